//! Tests of the door to the disk and of one segment file.

#[cfg(test)]
mod compressed;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod io;
#[cfg(test)]
mod segment;
#[cfg(test)]
mod storage;
