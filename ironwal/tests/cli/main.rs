//! The command `ironwal`, as a process.
#![expect(clippy::disallowed_methods, reason = "tests look at the files from outside")]

#[cfg(test)]
mod append;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod cat;
#[cfg(test)]
mod support;
#[cfg(test)]
mod verify;
