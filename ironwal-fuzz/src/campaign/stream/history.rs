//! What one stream has to hold: the frames that were issued, and what was said of them.

use bytes::Bytes;

use crate::invariant::Invariant;
use crate::model::Violation;

/// Whether there is a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Existence {
    No,
    /// A call that makes or deletes it was cut off.
    Perhaps,
    Yes,
}

/// One life of a stream.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) existence: Existence,
    pub(super) frames: Vec<Vec<Bytes>>,
    /// So many of them are there whatever happens.
    pub(super) durable: usize,
    pub(super) first: u64,
    /// A truncation that was cut off may have come so far.
    pub(super) first_max: u64,
}

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) entries: Vec<(u64, Bytes)>,
}

impl History {
    pub(super) fn new(existence: Existence) -> Self {
        History { existence, frames: Vec::new(), durable: 0, first: 0, first_max: 0 }
    }

    pub(super) fn next(&self) -> u64 {
        self.end_of(self.frames.len())
    }

    pub(super) fn end_of(&self, frames: usize) -> u64 {
        self.frames.iter().take(frames).map(|frame| frame.len() as u64).sum()
    }

    /// All that was written is durable.
    pub(super) fn synced(&mut self) {
        self.durable = self.frames.len();
    }

    /// Nothing was found, or this: from here on exactly that has to be there.
    pub(super) fn settle(&mut self, found: Option<&Found>) -> Result<(), Violation> {
        let broken = |invariant, what: String| Err(Violation::new(invariant, what));
        let Some(Found { first, next, entries }) = found else {
            if self.existence == Existence::Yes {
                return broken(Invariant::I1, format!("there is no stream, but {self:?}"));
            }
            *self = History::new(Existence::No);
            return Ok(());
        };
        if self.existence == Existence::No {
            return broken(Invariant::I7, format!("there is a stream that nobody made: {found:?}"));
        }
        if !(self.first..=self.first_max).contains(first) {
            let what = format!("begins with {first}, not {} to {}", self.first, self.first_max);
            return broken(Invariant::I7, what);
        }
        let Some(whole) = (0..=self.frames.len()).find(|frames| self.end_of(*frames) == *next)
        else {
            return broken(Invariant::I3, format!("ends before {next}, which is within a batch"));
        };
        if whole < self.durable {
            let what = format!("{whole} frames are left of {} durable ones", self.durable);
            return broken(Invariant::I1, what);
        }
        let issued = (0..).zip(self.frames.iter().take(whole).flatten());
        let issued = issued.filter(|(seq, _)| seq >= first);
        if !issued.map(|(seq, entry)| (seq, entry.clone())).eq(entries.iter().cloned()) {
            return broken(Invariant::I6, format!("{entries:?} is not what was issued"));
        }
        self.frames.truncate(whole);
        self.durable = whole;
        (self.first, self.first_max) = (*first, *first);
        self.existence = Existence::Yes;
        Ok(())
    }
}
