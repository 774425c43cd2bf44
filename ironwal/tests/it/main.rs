//! Tests of the facade through its public interface.

#[cfg(test)]
mod basics;
#[cfg(test)]
mod compressed;
#[cfg(test)]
mod crafted;
#[cfg(test)]
mod files;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod power_plug;
