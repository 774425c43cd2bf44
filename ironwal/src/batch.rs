//! Entries that are collected to be appended together.

use std::ops::Range;

use ironwal_format::payload::{BatchBuilder, EntryLimits};

use crate::error::{Error, ErrorKind, Result};
use crate::stream::Stream;

/// Entries that will be appended to a stream as one frame: all of them or none.
///
/// Nothing is written before [`commit`](Self::commit), and nothing if this is dropped.
///
/// ```
/// # use ironwal::{Wal, WalOptions};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let root = tempfile::tempdir()?;
/// # let wal = Wal::open(root.path(), WalOptions::new())?;
/// let mut batch = wal.stream("account/4711")?.batch();
/// for posting in ["fee 1", "withdrawal 20"] {
///     batch.push(posting)?;
/// }
/// assert_eq!(batch.commit()?, 0..2);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is written before `commit`"]
#[derive(Clone, Debug)]
pub struct Batch {
    stream: Stream,
    entries: BatchBuilder,
}

impl Batch {
    pub(crate) const fn new(stream: Stream, limits: EntryLimits) -> Self {
        Self { stream, entries: BatchBuilder::new(limits) }
    }

    /// Adds an entry behind the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`] if the entry, or the batch with it, is longer than its limit: the batch
    /// is as before.
    pub fn push(&mut self, entry: impl AsRef<[u8]>) -> Result<()> {
        let pushed = self.entries.push(entry.as_ref());
        pushed.map_err(|error| Error::of(self.stream.key(), ErrorKind::TooLarge(error)))
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes its entries have together.
    pub fn byte_len(&self) -> u64 {
        self.entries.entries_len()
    }

    /// Appends the entries: see [`Stream::append_batch`]. They are gone also where that fails: who may
    /// want to try again commits a clone.
    ///
    /// # Errors
    ///
    /// As [`Stream::append_batch`].
    pub fn commit(self) -> Result<Range<u64>> {
        let Self { stream, entries } = self;
        let frame = entries.prepare(stream.compression());
        stream.append_frame(frame)
    }
}
