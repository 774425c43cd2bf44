//! The handle of one stream.

use std::ops::{Bound, Range, RangeBounds};

use bytes::Bytes;
use ironwal_format::SequenceNumber;
use ironwal_format::payload::{Compression, prepare_batch, prepare_entry};

use crate::error::{Error, ErrorKind, Result};
use crate::iter::Iter;
use crate::state::StreamState;
use crate::sync::Arc;
use crate::view::{Located, View};
use crate::wal::Inner;

/// A handle of one stream: append-only, its entries numbered without gaps.
///
/// It is cheap to clone and may be used from many threads at once; calls on it skip the look-up by key.
/// A stream comes to be with its first append. Until then it reads as empty.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Keeps the log open.
    wal: Arc<Inner>,
    state: Arc<StreamState>,
}

impl Stream {
    pub(crate) const fn new(wal: Arc<Inner>, state: Arc<StreamState>) -> Self {
        Self { wal, state }
    }

    /// The key of the stream.
    pub fn key(&self) -> &str {
        self.state.key().as_str()
    }

    /// Appends an entry, which is durable when this returns. Gives its sequence number.
    ///
    /// Threads that append to one stream at the same time share syncs.
    ///
    /// # Errors
    ///
    /// [`Error::outcome`] tells whether the entry may be there nevertheless. It was not written if it
    /// is [too large](ErrorKind::TooLarge), if the stream is damaged or fenced or the log closed, or if
    /// the write failed, as for want of space: appends work again once there is room. If a sync failed,
    /// it is unknown whether the entry is durable, and the stream is fenced until
    /// [`Wal::reopen`](crate::Wal::reopen).
    pub fn append(&self, entry: impl AsRef<[u8]>) -> Result<u64> {
        let limits = self.wal.shared.options.stream.entries;
        let mut frame = prepare_entry(entry.as_ref(), limits, Compression::None)
            .map_err(|error| Error::of(self.key(), ErrorKind::TooLarge(error)))?;
        let end = self.state.append(&mut frame)?;
        Ok(end.get() - 1)
    }

    /// Appends entries as one frame, which is durable when this returns: after a crash all of them are
    /// there or none. Gives their sequence numbers. Without any entry nothing is written.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append), for all of them together.
    pub fn append_batch<I>(&self, entries: I) -> Result<Range<u64>>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let limits = self.wal.shared.options.stream.entries;
        let frame = prepare_batch(entries, limits, Compression::None)
            .map_err(|error| Error::of(self.key(), ErrorKind::TooLarge(error)))?;
        let Some(mut frame) = frame else {
            let next = self.next_seq()?;
            return Ok(next..next);
        };
        let count = u64::from(frame.entry_count());
        let end = self.state.append(&mut frame)?.get();
        Ok(end - count..end)
    }

    /// Reads one entry; `None` if it is not there yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`] if it was removed, [`ErrorKind::Damaged`] or
    /// [`ErrorKind::MissingSegment`] if it is lost, and the failure of the operating system.
    pub fn get(&self, seq: u64) -> Result<Option<Bytes>> {
        let seq = SequenceNumber::new(seq);
        let located =
            self.state.read(|view| view.map_or(Located::Beyond, |view| view.locate(seq)))?;
        let entry = self.state.with_room(|| located.get(self.key(), seq));
        entry.map_err(|error| self.state.explain(error))
    }

    /// The committed entries of a range, in order, as they are now: what is committed later is not
    /// among them.
    ///
    /// If the range starts before the first entry that there is, the first item is the error
    /// [`ErrorKind::Truncated`]. A range without a start begins with the first entry.
    ///
    /// # Errors
    ///
    /// Those of opening the stream. What is wrong with entries is an item of the iterator.
    pub fn iter(&self, range: impl RangeBounds<u64>) -> Result<Iter> {
        let (start, end) = bounds(&range);
        let iter = self.state.read(|view| snapshot(self.key(), view, start, end))?;
        Ok(iter.with_room(Arc::clone(&self.wal.shared)))
    }

    /// The number of the first entry.
    ///
    /// # Errors
    ///
    /// Those of opening the stream.
    pub fn first_seq(&self) -> Result<u64> {
        self.state.read(|view| view.map_or(0, |view| view.first().get()))
    }

    /// One past the last committed entry: the number that the next append gets.
    ///
    /// # Errors
    ///
    /// Those of opening the stream.
    pub fn next_seq(&self) -> Result<u64> {
        self.state.read(|view| view.map_or(0, |view| view.next().get()))
    }

    /// The first number that is not known to be durable.
    ///
    /// # Errors
    ///
    /// Those of opening the stream.
    pub fn durable_seq(&self) -> Result<u64> {
        self.state.durable().map(SequenceNumber::get)
    }
}

/// The start of a range, if it has one, and the end.
pub(crate) fn bounds(range: &impl RangeBounds<u64>) -> (Option<SequenceNumber>, SequenceNumber) {
    let start = match range.start_bound() {
        Bound::Included(start) => Some(*start),
        Bound::Excluded(before) => Some(before.saturating_add(1)),
        Bound::Unbounded => None,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start.map(SequenceNumber::new), SequenceNumber::new(end))
}

/// The entries of a range of what readers may see.
pub(crate) fn snapshot(
    key: &str,
    view: Option<&View>,
    start: Option<SequenceNumber>,
    end: SequenceNumber,
) -> Iter {
    let Some(view) = view else {
        return Iter::new(key, None, end, end);
    };
    let first = view.first();
    let start = start.unwrap_or(first);
    let (from, until) = (start.max(first), end.min(view.next()));
    let iter = Iter::new(key, Some(view.snapshot(from)), from, until);
    if start < first && start < end { iter.with_truncated(first) } else { iter }
}
