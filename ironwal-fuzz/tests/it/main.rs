//! Tests of the whole stack.

#[cfg(test)]
#[path = "../../../ironwal-segment/tests/it/conformance.rs"]
mod conformance;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod sim_storage;
