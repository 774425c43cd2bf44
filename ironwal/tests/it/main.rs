//! Tests of the facade through its public interface.

#[cfg(test)]
mod basics;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod compressed;
#[cfg(test)]
mod crafted;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod few_files;
#[cfg(test)]
mod files;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hooked;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod kill_modes;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod many_streams;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod options;
#[cfg(test)]
mod owed;
#[cfg(test)]
mod power_plug;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod stretches;
#[cfg(test)]
mod sync_modes;
#[cfg(test)]
mod system;
#[cfg(test)]
mod truncation;
