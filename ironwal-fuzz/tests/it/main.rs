//! Tests of the whole stack.

#[cfg(test)]
mod campaigns;
#[cfg(test)]
#[path = "../../../ironwal-segment/tests/it/conformance.rs"]
mod conformance;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod crash_points;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faults_facade;
#[cfg(test)]
mod faults_maintain;
#[cfg(test)]
mod maintain_points;
#[cfg(test)]
mod marks;
#[cfg(test)]
mod model;
#[cfg(test)]
mod order;
#[cfg(test)]
mod owed;
#[cfg(test)]
mod power;
#[cfg(test)]
mod races;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod sim_storage;
#[cfg(test)]
mod stress;
#[cfg(test)]
mod syncs_needed;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod walk;
