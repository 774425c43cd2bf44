//! The handle of one stream.

use std::ops::{Bound, Range, RangeBounds};

use bytes::Bytes;
use ironwal_format::SequenceNumber;
use ironwal_format::frame::PreparedFrame;
use ironwal_format::payload::{Compression, prepare_batch, prepare_entry_in};

use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::iter::Iter;
use crate::options::SyncMode;
use crate::segment_cache::Reading;
use crate::spare;
use crate::state::{Commit, StreamState};
use crate::stats::StreamStats;
use crate::sync::{Arc, FileArc};
use crate::view::{Found, Located, View};
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

    /// Appends an entry, which is committed when this returns: durable in
    /// [`SyncMode::Strict`], else written. Gives its sequence number.
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
        let options = &self.wal.shared.options;
        let (entry, limits) = (entry.as_ref(), options.stream.entries);
        let mut prepared = prepare_entry_in(spare::take(), entry, limits, options.compression);
        let frame = prepared.as_mut().map_err(|error| self.too_large(*error))?;
        let commit = match options.sync_mode {
            SyncMode::Strict => Commit::Durable,
            SyncMode::BatchOnly | SyncMode::Async => Commit::Written,
        };
        let appended = self.state.append(frame, commit);
        if let Ok(frame) = prepared {
            spare::keep(frame.into_memory());
        }
        Ok(appended?.get() - 1)
    }

    /// Appends entries as one frame, which is committed when this returns: durable in
    /// [`SyncMode::Strict`] and [`SyncMode::BatchOnly`], else written. After a crash all of them are
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
        let options = self.wal.shared.options;
        let frame = prepare_batch(entries, options.stream.entries, options.compression)
            .map_err(|error| self.too_large(error))?;
        self.append_frame(frame)
    }

    /// Collects entries that [`Batch::commit`] appends as one frame.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone(), self.wal.shared.options.stream.entries)
    }

    /// How batches are to be compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.wal.shared.options.compression
    }

    /// Appends the frame of a batch; there is none for a batch without entries.
    pub(crate) fn append_frame(&self, frame: Option<PreparedFrame>) -> Result<Range<u64>> {
        let Some(mut frame) = frame else {
            let next = self.next_seq()?;
            return Ok(next..next);
        };
        let commit = match self.wal.shared.options.sync_mode {
            SyncMode::Strict | SyncMode::BatchOnly => Commit::Durable,
            SyncMode::Async => Commit::Written,
        };
        let count = u64::from(frame.entry_count());
        let end = self.state.append(&mut frame, commit)?.get();
        Ok(end - count..end)
    }

    /// Makes everything durable that was appended to the stream before: when this returns it survives a
    /// power cut.
    ///
    /// # Errors
    ///
    /// That a sync failed: then it is unknown what is durable, and the stream is fenced until
    /// [`Wal::reopen`](crate::Wal::reopen). No sync is tried again. A stream that was fenced before, or
    /// deleted, and a closed log say so.
    pub fn sync(&self) -> Result<()> {
        self.state.sync()
    }

    /// Ends the segment that is appended to and starts the next, durably, with all that was appended
    /// before. A segment that holds nothing is left as it is. Gives the number of the next entry, with
    /// which the segment begins.
    ///
    /// What was ended can be [truncated](Self::truncate_before), and copied as a file that never changes
    /// again.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append); no entry is lost by one.
    pub fn rotate(&self) -> Result<u64> {
        self.state.rotate().map(SequenceNumber::get)
    }

    /// Removes entries below `seq`, as far as whole segments hold nothing else; durable when this
    /// returns. Gives the number of the first entry that is left: the base of the first segment that is
    /// kept. The segment that is appended to is always kept.
    ///
    /// What was read before stays readable for whoever holds it. An iterator that is overtaken says so.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append). If files could not be removed the entries are gone nevertheless, and
    /// the next opening removes the files.
    pub fn truncate_before(&self, seq: u64) -> Result<u64> {
        self.state.truncate_before(SequenceNumber::new(seq)).map(SequenceNumber::get)
    }

    /// What is known of the stream, at about one moment. Nothing is read for it but to open the stream.
    ///
    /// # Errors
    ///
    /// Those of opening the stream.
    pub fn stats(&self) -> Result<StreamStats> {
        self.state.stats()
    }

    /// Reads one entry; `None` if it is not there yet.
    ///
    /// An entry of a batch costs reading, checking and unpacking the whole batch: see
    /// [`get_many`](Self::get_many).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`] if it was removed, [`ErrorKind::Damaged`] or
    /// [`ErrorKind::MissingSegment`] if it is lost, and the failure of the operating system.
    pub fn get(&self, seq: u64) -> Result<Option<Bytes>> {
        let seq = SequenceNumber::new(seq);
        self.find(seq, |found| found.into_entry(self.key(), seq))
    }

    /// Reads entries in the order in which they are asked for, `None` for each that is not there yet. Of
    /// entries of one batch that are asked for one behind the other, the batch is read once.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), for the first entry that cannot be read.
    pub fn get_many(&self, seqs: impl IntoIterator<Item = u64>) -> Result<Vec<Option<Bytes>>> {
        get_many(self.key(), seqs, |seq| self.find(seq, Ok))
    }

    /// What is wanted of the frame that holds an entry.
    fn find<R>(&self, seq: SequenceNumber, take: impl Fn(Found) -> Result<R>) -> Result<Option<R>> {
        let reading = &self.wal.shared.reading;
        let found = reading.files.with_room(|| {
            let located =
                self.state.read(|view| view.map_or(Located::Beyond, |view| view.locate(seq)))?;
            located.find(reading, self.key(), seq)?.map(&take).transpose()
        });
        reading.settle();
        found.map_err(|error| self.state.explain(error, Some(seq)))
    }

    fn too_large(&self, error: ironwal_format::payload::TooLarge) -> Error {
        Error::of(self.key(), ErrorKind::TooLarge(error))
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
        let reading = &self.wal.shared.reading;
        let iter = self.state.read(|view| snapshot(self.key(), reading, view, (start, end)))?;
        Ok(iter.with_origin(FileArc::new(Arc::clone(&self.state))))
    }

    /// The number of the first entry, or of the next where there is none: 0 if there is no such stream.
    ///
    /// # Errors
    ///
    /// Those of opening the stream.
    pub fn first_seq(&self) -> Result<u64> {
        self.state.read(|view| view.map_or(0, |view| view.first().get()))
    }

    /// One past the last committed entry; 0 if there is no such stream.
    ///
    /// The next append gets this number if no other append is running or comes first. No append is made on
    /// condition of a number: who expects one has to keep others from appending to the stream between this
    /// call and the append.
    ///
    /// # Errors
    ///
    /// Those of opening the stream.
    pub fn next_seq(&self) -> Result<u64> {
        self.state.read(|view| view.map_or(0, |view| view.next().get()))
    }

    /// The first number that is not known to be durable: all entries before it survive a power cut.
    ///
    /// # Errors
    ///
    /// Those of opening the stream.
    pub fn durable_seq(&self) -> Result<u64> {
        self.state.durable().map(SequenceNumber::get)
    }
}

/// Reads entries, those of one frame that are asked for one behind the other at once.
pub(crate) fn get_many(
    key: &str,
    seqs: impl IntoIterator<Item = u64>,
    find: impl Fn(SequenceNumber) -> Result<Option<Found>>,
) -> Result<Vec<Option<Bytes>>> {
    let mut entries = Vec::new();
    let mut last: Option<Found> = None;
    for seq in seqs.into_iter().map(SequenceNumber::new) {
        let mut entry = last.as_ref().and_then(|found| found.entry(key, seq));
        if entry.is_none() {
            last = find(seq)?;
            entry = last.as_ref().and_then(|found| found.entry(key, seq));
        }
        entries.push(entry.transpose()?);
    }
    Ok(entries)
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
    reading: &Reading,
    view: Option<&View>,
    (start, end): (Option<SequenceNumber>, SequenceNumber),
) -> Iter {
    let Some(view) = view else {
        return Iter::new(key, reading.clone(), None, (end, end));
    };
    let first = view.first();
    let start = start.unwrap_or(first);
    let (from, until) = (start.max(first), end.min(view.next()));
    let iter = Iter::new(key, reading.clone(), Some(view.snapshot(from)), (from, until));
    if start < first && start < end { iter.with_truncated(first) } else { iter }
}
