//! The command `ironwal`, as a process.
#![expect(clippy::disallowed_methods, reason = "tests look at the files from outside")]

#[cfg(test)]
mod append;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod cat;
#[cfg(test)]
mod dump;
#[cfg(test)]
mod odd;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod stat;
#[cfg(test)]
mod support;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod verify;
