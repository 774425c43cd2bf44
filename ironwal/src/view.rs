//! What the readers of one stream see: which segments hold the committed entries.
//!
//! It grows by what each commit publishes. A reader copies what it needs out of it and goes, so that
//! the lock around it is held for no I/O. The list of closed segments never changes; a rotation puts
//! another in its place.

use std::ops::Range;

use bytes::Bytes;
use ironwal_format::frame::FrameError;
use ironwal_format::seal::{SparseTable, Stretch};
use ironwal_format::walk::{Bounds, Place};
use ironwal_format::{SequenceNumber, StreamId};
use ironwal_stream::{
    ActiveSegment, ClosedSegment, Error as StreamError, Frame, KnownEnd, MissingEntries,
    ReadSegment, RotatedView, SegmentBytes, SegmentName, StreamView, ViewChange,
};

use crate::error::{Error, ErrorKind, Result};
use crate::segment_cache::{Reading, SegmentCache, Within};
use crate::sync::{Arc, FileArc};

/// The committed entries of a stream and where they are.
#[derive(Debug)]
pub(crate) struct View {
    dir: Arc<ironwal_stream::StreamDir>,
    first: SequenceNumber,
    next: SequenceNumber,
    /// Copied before it is changed, if any iterator has it.
    closed: Arc<Vec<Closed>>,
    active: Option<Active>,
    missing: Arc<[MissingEntries]>,
}

/// A segment that is not appended to any more, and what is kept of it.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    segment: ClosedSegment,
    cache: Arc<SegmentCache>,
}

/// The segment that is appended to, and what is kept of it.
#[derive(Debug)]
struct Active {
    segment: ActiveSegment,
    cache: Arc<SegmentCache>,
}

/// Where an entry is.
#[derive(Debug)]
pub(crate) enum Located {
    /// It is not there yet.
    Beyond,
    /// It was removed; this is the first that is there.
    Truncated(SequenceNumber),
    /// It is lost with its segment.
    Missing(StreamError),
    /// It is in this segment.
    Segment(ReadSegment, Within, Arc<SegmentCache>),
}

/// A frame that holds an entry, and the segment that it is in.
#[derive(Debug)]
pub(crate) struct Found {
    segment: ReadSegment,
    frame: Frame,
}

impl View {
    pub(crate) fn new(mut view: StreamView) -> Self {
        view.missing.sort_unstable_by_key(|missing| missing.until);
        Self {
            dir: view.dir,
            first: view.first,
            next: view.next,
            closed: Arc::new(view.closed.into_iter().map(Closed::new).collect()),
            active: view.active.map(Active::new),
            missing: view.missing.into(),
        }
    }

    /// The number of the first entry.
    pub(crate) const fn first(&self) -> SequenceNumber {
        self.first
    }

    /// One past the last committed entry.
    pub(crate) const fn next(&self) -> SequenceNumber {
        self.next
    }

    /// The directory of the stream.
    pub(crate) const fn dir(&self) -> &Arc<ironwal_stream::StreamDir> {
        &self.dir
    }

    /// Up to where the stream is known, if it can be followed from there.
    pub(crate) fn known_end(&self) -> Option<KnownEnd> {
        let Active { segment, .. } = self.active.as_ref()?;
        let ActiveSegment { name, ref table, len, .. } = *segment;
        Some(KnownEnd {
            first: self.closed.first().map_or(name, |closed| closed.segment.name),
            last: name,
            at: Place { offset: len, seq: self.next },
            point: table.points().last().copied(),
        })
    }

    /// How many segments hold the entries, or will.
    pub(crate) fn segment_count(&self) -> usize {
        self.closed.len() + usize::from(self.active.is_some())
    }

    /// How many bytes of the segment files readers may look at; of segments that are damaged, nothing
    /// is counted.
    pub(crate) fn byte_len(&self) -> u64 {
        let lens = self.closed.iter().map(|closed| closed.segment.len);
        let closed: u64 = lens.filter(|len| *len < u64::MAX).sum();
        closed + self.active.as_ref().map_or(0, |active| active.segment.len)
    }

    /// Lets readers see what was committed.
    #[inline]
    pub(crate) fn apply(&mut self, change: ViewChange) {
        let ViewChange { next, rotated, file, points, len } = change;
        if let Some(rotated) = rotated {
            let RotatedView { closed, points, active: name } = *rotated;
            let mut ended = Closed::new(closed);
            if let Some(Active { mut segment, cache }) = self.active.take() {
                segment.table.extend(points);
                cache.seal(segment.table);
                ended.cache = cache;
            }
            Arc::make_mut(&mut self.closed).push(ended);
            let table = SparseTable::default();
            let segment = ActiveSegment { name, file: None, table, len };
            self.active = Some(Active::new(segment));
        }
        if let Some(Active { segment, .. }) = &mut self.active {
            if let Some(file) = file {
                segment.file = Some(file);
            }
            segment.len = len;
            segment.table.extend(points);
        }
        self.next = next;
    }

    /// Lets go of the file of the active segment.
    pub(crate) fn park(&mut self) {
        if let Some(active) = &mut self.active {
            active.segment.file = None;
        }
    }

    /// The first segment that is needed for the entries from `seq` on, if any segment is in front of it.
    pub(crate) fn first_kept(&self, seq: SequenceNumber) -> Option<SegmentName> {
        let gone_count = self.closed.partition_point(|closed| closed.segment.until <= seq);
        let active = self.active.as_ref().map(|active| active.segment.name);
        let kept = self.closed.get(gone_count).map(|closed| closed.segment.name).or(active);
        kept.filter(|_| gone_count > 0)
    }

    /// Lets readers see nothing of the segments in front of this one.
    pub(crate) fn truncate(&mut self, first: SegmentName) {
        let gone_count =
            self.closed.partition_point(|closed| closed.segment.name.ordinal < first.ordinal);
        Arc::make_mut(&mut self.closed).drain(..gone_count);
        self.first = first.base;
    }

    /// Where an entry is.
    pub(crate) fn locate(&self, seq: SequenceNumber) -> Located {
        if seq >= self.next {
            return Located::Beyond;
        }
        if seq < self.first {
            return Located::Truncated(self.first);
        }
        if let Some(active) = &self.active
            && seq >= active.segment.name.base
        {
            let (segment, stretch) = self.active_segment(active, seq);
            let within = Within::Stretch(stretch);
            return Located::Segment(segment, within, Arc::clone(&active.cache));
        }
        let behind = self.closed.partition_point(|closed| closed.segment.name.base <= seq);
        let closed = behind.checked_sub(1).and_then(|at| self.closed.get(at));
        if let Some(closed) = closed.filter(|closed| seq < closed.segment.until) {
            let segment = ReadSegment::closed(Arc::clone(&self.dir), closed.segment);
            return Located::Segment(segment, Within::Table, Arc::clone(&closed.cache));
        }
        match missing_at(&self.missing, seq) {
            Some(missing) => Located::Missing(missing.error.clone()),
            None => Located::Beyond,
        }
    }

    /// The entries as they are now, to be read one after the other from `start` on.
    pub(crate) fn snapshot(&self, start: SequenceNumber) -> Snapshot {
        Snapshot {
            dir: Arc::clone(&self.dir),
            closed: Arc::clone(&self.closed),
            active: self.active.as_ref().map(|active| {
                let (segment, stretch) = self.active_segment(active, start);
                let place = segment.place(stretch.map(|stretch| stretch.from));
                (segment, place, Arc::clone(&active.cache))
            }),
            missing: Arc::clone(&self.missing),
        }
    }

    /// The active segment, to be read from, and the stretch that holds an entry.
    fn active_segment(
        &self,
        active: &Active,
        seq: SequenceNumber,
    ) -> (ReadSegment, Option<Stretch>) {
        let ActiveSegment { name, ref file, ref table, len } = active.segment;
        let segment = ReadSegment {
            dir: Arc::clone(&self.dir),
            name,
            bounds: Bounds { len, until: self.next },
            bytes: file.as_ref().map(|file| SegmentBytes::File(FileArc::clone(file))),
        };
        (segment, table.stretch(seq.since(name.base)))
    }
}

/// Which of the lost parts, in the order of their ends, holds an entry.
fn missing_at(missing: &[MissingEntries], seq: SequenceNumber) -> Option<&MissingEntries> {
    let at = missing.partition_point(|missing| missing.until <= seq);
    missing.get(at).filter(|missing| missing.from <= seq)
}

impl Located {
    /// Reads the frame that holds the entry `seq` of the stream `key`; `None` if it is not there yet.
    pub(crate) fn find(
        self,
        reading: &Reading,
        key: &str,
        seq: SequenceNumber,
    ) -> Result<Option<Found>> {
        let found = match self {
            Self::Beyond => return Ok(None),
            Self::Truncated(first) => {
                let kind = ErrorKind::Truncated { first_seq: first.get() };
                return Err(Error::of(key, kind));
            }
            Self::Missing(error) => Err(error),
            Self::Segment(segment, within, cache) => reading
                .find(segment, within, &cache, seq)
                .map(|(segment, frame)| Found { segment, frame }),
        };
        found.map(Some).map_err(|error| Error::below(key, &error))
    }
}

impl Found {
    /// The bytes of an entry of the stream `key`, if this frame holds it; `None` if not.
    pub(crate) fn entry(&self, key: &str, seq: SequenceNumber) -> Option<Result<Bytes>> {
        let until = self.frame.end().min(self.segment.bounds.until);
        let is_held = self.frame.base() <= seq && seq < until;
        is_held.then(|| self.frame.entry(seq).map_err(|source| self.damaged(key, source)))
    }

    /// The bytes of the entry that was looked for.
    pub(crate) fn into_entry(self, key: &str, seq: SequenceNumber) -> Result<Bytes> {
        let Self { segment, frame } = self;
        let offset = frame.offset();
        frame.into_entry(seq).map_err(|source| Error::below(key, &segment.damaged(offset, source)))
    }

    fn damaged(&self, key: &str, source: FrameError) -> Error {
        Error::below(key, &self.segment.damaged(self.frame.offset(), source))
    }
}

impl Closed {
    fn new(segment: ClosedSegment) -> Self {
        Self { segment, cache: Arc::default() }
    }
}

impl Active {
    fn new(segment: ActiveSegment) -> Self {
        Self { segment, cache: Arc::default() }
    }
}

/// The entries of a stream at one moment. It stays as it is, whatever becomes of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    dir: Arc<ironwal_stream::StreamDir>,
    closed: Arc<Vec<Closed>>,
    /// With the place from where to walk to the first entry that will be asked for.
    active: Option<(ReadSegment, Place, Arc<SegmentCache>)>,
    missing: Arc<[MissingEntries]>,
}

/// What holds the entries from some number on.
#[derive(Debug)]
pub(crate) enum Part {
    /// The segment that is appended to, and a place at or before the entry.
    Active(ReadSegment, Place, Arc<SegmentCache>),
    /// A segment that is not, and the range of its entries.
    Closed(ReadSegment, Arc<SegmentCache>, Range<SequenceNumber>),
    /// Entries that are lost with their segment, and the number behind them.
    Missing(StreamError, SequenceNumber),
    /// Nothing.
    End,
}

impl Snapshot {
    /// Which incarnation of the stream it is of.
    pub(crate) fn life(&self) -> StreamId {
        self.dir.id()
    }

    /// What holds the entry `seq`.
    pub(crate) fn part(&self, seq: SequenceNumber) -> Part {
        if let Some((active, place, cache)) = &self.active
            && seq >= active.name.base
        {
            return Part::Active(active.clone(), *place, Arc::clone(cache));
        }
        let behind = self.closed.partition_point(|closed| closed.segment.name.base <= seq);
        let closed = behind.checked_sub(1).and_then(|at| self.closed.get(at));
        if let Some(closed) = closed.filter(|closed| seq < closed.segment.until) {
            let segment = ReadSegment::closed(Arc::clone(&self.dir), closed.segment);
            let range = closed.segment.name.base..closed.segment.until;
            return Part::Closed(segment, Arc::clone(&closed.cache), range);
        }
        match missing_at(&self.missing, seq) {
            Some(missing) => Part::Missing(missing.error.clone(), missing.until),
            None => Part::End,
        }
    }
}
