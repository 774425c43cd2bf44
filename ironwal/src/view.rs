//! What the readers of one stream see: which segments hold the committed entries.
//!
//! It grows by what each commit publishes. A reader copies what it needs out of it and goes, so that
//! the lock around it is held for no I/O. The list of closed segments never changes; a rotation puts
//! another in its place.

use std::ops::Range;

use bytes::Bytes;
use ironwal_format::SequenceNumber;
use ironwal_format::seal::{Point, SparseTable};
use ironwal_format::walk::{Bounds, Place};
use ironwal_stream::{
    ActiveSegment, ClosedSegment, Error as StreamError, MissingEntries, ReadSegment, StreamView,
    ViewChange,
};

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, OnceLock};

/// The committed entries of a stream and where they are.
#[derive(Debug)]
pub(crate) struct View {
    dir: Arc<ironwal_stream::StreamDir>,
    first: SequenceNumber,
    next: SequenceNumber,
    closed: Arc<[Arc<Closed>]>,
    active: Option<ActiveSegment>,
    missing: Arc<[MissingEntries]>,
}

/// A segment that is not appended to any more, and its sparse table once it was needed.
#[derive(Debug)]
pub(crate) struct Closed {
    segment: ClosedSegment,
    table: OnceLock<SparseTable>,
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
    /// It is in this segment, at or behind this place.
    Active(ReadSegment, Place),
    /// It is in this segment.
    Closed(ReadSegment, Arc<Closed>),
}

impl View {
    pub(crate) fn new(mut view: StreamView) -> Self {
        view.missing.sort_unstable_by_key(|missing| missing.until);
        Self {
            dir: view.dir,
            first: view.first,
            next: view.next,
            closed: view.closed.into_iter().map(Closed::new).collect(),
            active: view.active,
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

    /// Lets readers see what was committed.
    pub(crate) fn apply(&mut self, change: ViewChange) {
        let ViewChange { next, rotated, file, points, len } = change;
        if let Some((closed, name)) = rotated {
            let added = Closed::new(closed);
            self.closed = self.closed.iter().cloned().chain([added]).collect();
            let table = SparseTable::default();
            self.active = Some(ActiveSegment { name, file: None, table, len });
        }
        if let Some(active) = &mut self.active {
            active.file = Some(file);
            active.len = len;
            for point in points {
                active.table.push(point);
            }
        }
        self.next = next;
    }

    /// Lets go of the file of the active segment.
    pub(crate) fn park(&mut self) {
        if let Some(active) = &mut self.active {
            active.file = None;
        }
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
            && seq >= active.name.base
        {
            let segment = self.active_segment(active);
            let place = segment.place(active.table.before(seq.since(active.name.base)));
            return Located::Active(segment, place);
        }
        let behind = self.closed.partition_point(|closed| closed.segment.name.base <= seq);
        let closed = behind.checked_sub(1).and_then(|at| self.closed.get(at));
        if let Some(closed) = closed.filter(|closed| seq < closed.segment.until) {
            let segment = ReadSegment::closed(Arc::clone(&self.dir), closed.segment);
            return Located::Closed(segment, Arc::clone(closed));
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
                let segment = self.active_segment(active);
                let place = segment.place(active.table.before(start.since(active.name.base)));
                (segment, place)
            }),
            missing: Arc::clone(&self.missing),
        }
    }

    fn active_segment(&self, active: &ActiveSegment) -> ReadSegment {
        ReadSegment {
            dir: Arc::clone(&self.dir),
            name: active.name,
            bounds: Bounds { len: active.len, until: self.next },
            file: active.file.clone(),
        }
    }
}

/// Which of the lost parts, in the order of their ends, holds an entry.
fn missing_at(missing: &[MissingEntries], seq: SequenceNumber) -> Option<&MissingEntries> {
    let at = missing.partition_point(|missing| missing.until <= seq);
    missing.get(at).filter(|missing| missing.from <= seq)
}

impl Located {
    /// Reads the entry `seq` of the stream `key`; `None` if it is not there yet.
    pub(crate) fn get(&self, key: &str, seq: SequenceNumber) -> Result<Option<Bytes>> {
        let entry = match self {
            Self::Beyond => return Ok(None),
            Self::Truncated(first) => {
                let kind = ErrorKind::Truncated { first_seq: first.get() };
                return Err(Error::of(key, kind));
            }
            Self::Missing(error) => Err(error.clone()),
            Self::Active(segment, place) => segment.get(*place, seq),
            Self::Closed(segment, closed) => closed.get(segment, seq),
        };
        entry.map(Some).map_err(|error| Error::below(key, &error))
    }
}

impl Closed {
    fn new(segment: ClosedSegment) -> Arc<Self> {
        Arc::new(Self { segment, table: OnceLock::new() })
    }

    /// The last point at or before an entry. The table is read when it is first needed, and kept.
    pub(crate) fn point(
        &self,
        segment: &ReadSegment,
        seq: SequenceNumber,
    ) -> Result<Option<Point>, StreamError> {
        let entry = seq.since(self.segment.name.base);
        if let Some(table) = self.table.get() {
            return Ok(table.before(entry));
        }
        let table = segment.table()?;
        Ok(self.table.get_or_init(|| table).before(entry))
    }

    /// Reads one entry.
    pub(crate) fn get(
        &self,
        segment: &ReadSegment,
        seq: SequenceNumber,
    ) -> Result<Bytes, StreamError> {
        let place = segment.place(self.point(segment, seq)?);
        segment.get(place, seq)
    }
}

/// The entries of a stream at one moment. It stays as it is, whatever becomes of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    dir: Arc<ironwal_stream::StreamDir>,
    closed: Arc<[Arc<Closed>]>,
    /// With the place from where to walk to the first entry that will be asked for.
    active: Option<(ReadSegment, Place)>,
    missing: Arc<[MissingEntries]>,
}

/// What holds the entries from some number on.
#[derive(Debug)]
pub(crate) enum Part {
    /// The segment that is appended to, and a place at or before the entry.
    Active(ReadSegment, Place),
    /// A segment that is not, and the range of its entries.
    Closed(ReadSegment, Arc<Closed>, Range<SequenceNumber>),
    /// Entries that are lost with their segment, and the number behind them.
    Missing(StreamError, SequenceNumber),
    /// Nothing.
    End,
}

impl Snapshot {
    /// What holds the entry `seq`.
    pub(crate) fn part(&self, seq: SequenceNumber) -> Part {
        if let Some((active, place)) = &self.active
            && seq >= active.name.base
        {
            return Part::Active(active.clone(), *place);
        }
        let behind = self.closed.partition_point(|closed| closed.segment.name.base <= seq);
        let closed = behind.checked_sub(1).and_then(|at| self.closed.get(at));
        if let Some(closed) = closed.filter(|closed| seq < closed.segment.until) {
            let segment = ReadSegment::closed(Arc::clone(&self.dir), closed.segment);
            let range = closed.segment.name.base..closed.segment.until;
            return Part::Closed(segment, Arc::clone(closed), range);
        }
        match missing_at(&self.missing, seq) {
            Some(missing) => Part::Missing(missing.error.clone(), missing.until),
            None => Part::End,
        }
    }
}
