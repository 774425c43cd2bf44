//! The disk that fails: storages to test IronWal on, with everything that a disk may do to it.
//!
//! [`SimStorage`](sim_storage::SimStorage) knows what was synced and makes up what a power cut may leave of
//! the rest. [`FaultyStorage`](faults::FaultyStorage) stands in front of any storage and fails, shortens,
//! forgets or holds calls. Nothing here looks at a clock or at random numbers of the machine: a
//! seed replays a run.

#![forbid(unsafe_code)]

pub mod faults;
pub mod random;
pub mod sim_storage;
