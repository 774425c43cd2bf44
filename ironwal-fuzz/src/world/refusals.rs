//! What became of appends that failed.

use std::io::ErrorKind;

use ironwal::Outcome;

/// How many appends were refused, and why.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Refusals {
    /// The stream was fenced.
    pub fenced: u64,
    /// Nothing was written.
    pub unwritten: u64,
    /// There was no space.
    pub full: u64,
    /// It would have been the first entry of its stream.
    pub first: u64,
}

impl Refusals {
    /// Takes note of one, to a stream to which so many entries were acknowledged.
    pub(super) fn note(&mut self, error: &ironwal::Error, committed_count: u64) {
        let is_full = error.io_error().is_some_and(|io| io.kind() == ErrorKind::StorageFull);
        let is_unwritten = error.outcome() == Outcome::NotWritten;
        let is_first = committed_count == 0 && !error.is_fenced();
        self.fenced += u64::from(error.is_fenced());
        self.unwritten += u64::from(is_unwritten);
        self.full += u64::from(is_unwritten && is_full);
        self.first += u64::from(is_unwritten && is_first);
    }
}
