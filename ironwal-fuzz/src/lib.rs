//! The disk that fails: storages to test IronWal on, with everything that a disk may do to it.
//!
//! [`SimStorage`](sim_storage::SimStorage) knows what was synced and makes up what a power cut may leave of
//! the rest. [`FaultyStorage`](faults::FaultyStorage) stands in front of any storage and fails, shortens,
//! forgets or holds calls. [`World`](world::World) is a caller of the log with a history of its own, the
//! [`Model`](model::Model), by which the [`oracle`] judges what a crash left. Nothing here looks at a clock or at random numbers of the machine: a
//! seed replays a run. But for [`power`], which cuts the power below real file systems.

#![forbid(unsafe_code)]

pub mod campaign;
pub mod faults;
pub mod hooked;
pub mod host;
pub mod invariant;
pub mod judge;
pub mod model;
mod numbers;
pub mod oracle;
pub mod power;
pub mod random;
pub mod reach;
pub mod runner;
pub mod script;
pub mod sim_storage;
pub mod tally;
pub mod targets;
pub mod watched;
pub mod world;
