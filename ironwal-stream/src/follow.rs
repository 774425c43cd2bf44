//! Following a stream that somebody else appends to, without changing anything.
//!
//! What is known of a stream grows by frames behind its end, and by segments behind its last. All else
//! that may happen to it (a truncation, a deletion, a recovery that ended the log elsewhere) is for a
//! new look at the whole: nothing here decides what that means.
//!
//! What is not a whole frame at the live end is not there yet.

use std::io;
use std::sync::Arc;

use ironwal_format::SequenceNumber;
use ironwal_format::seal::{Point, SparseTable};
use ironwal_format::walk::{Bounds, Place};
use ironwal_segment::storage::{OpenMode, StorageFile};
use ironwal_segment::{
    ErrorKind as SegmentErrorKind, IoOp, Read, SegmentBytes, SegmentName, SegmentReader, StreamDir,
    check_identity,
};

use crate::error::Error;
use crate::layout;
use crate::view::{ClosedSegment, RotatedView, ViewChange};

/// How much is read at a time.
const FOLLOW_WINDOW_LEN: usize = 64 << 10;

/// Up to where a stream is known.
#[derive(Clone, Copy, Debug)]
pub struct KnownEnd {
    /// The first segment that holds entries.
    pub first: SegmentName,
    /// The last one.
    pub last: SegmentName,
    /// Where the next frame is expected in it.
    pub at: Place,
    /// The last point of its sparse table.
    pub point: Option<Point>,
}

/// What became of a stream behind its known end.
#[derive(Debug)]
pub enum Followed {
    /// It grew by this, in this order; by nothing if there is none.
    Grown(Vec<ViewChange>),
    /// Something else happened to it: look anew.
    Changed,
}

/// Looks at what is behind the known end of a stream.
///
/// 1. List the directory. What was written to the last segment before a later one was made is seen by
///    what follows.
/// 2. Read the frames behind the known end, up to what is no whole frame.
/// 3. If the next segment begins with the number that is next, go on in it.
///
/// # Errors
///
/// Those of the operating system.
pub fn follow(dir: &Arc<StreamDir>, known: KnownEnd) -> Result<Followed, Error> {
    let layout = match layout::list(dir.storage(), dir.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Followed::Changed),
        listed => listed
            .map_err(|source| Error::io(dir.storage().display(dir.path()), IoOp::List, source))?,
    };
    let is_there = |name: &SegmentName| layout.segments.contains(name);
    if !layout.doubled.is_empty() || !is_there(&known.first) || !is_there(&known.last) {
        return Ok(Followed::Changed);
    }
    let behind = layout.segments.iter().filter(|name| name.ordinal > known.last.ordinal);
    let mut behind = behind.copied().peekable();
    let mut follower = Follower { dir, at: known.at, table: SparseTable::default() };
    follower.table.extend(known.point);
    let mut changes = Vec::new();
    let mut name = known.last;
    let mut file = match follower.open(name)? {
        Opened::Ours(file) => file,
        Opened::NotYet | Opened::Changed => return Ok(Followed::Changed),
    };
    loop {
        let Some(grown) = follower.frames(name, &file)? else { return Ok(Followed::Changed) };
        let Some(&next) = behind.peek() else {
            changes.extend(follower.change(file, grown));
            return Ok(Followed::Grown(changes));
        };
        if next.base != follower.at.seq {
            return Ok(Followed::Changed);
        }
        match follower.open(next)? {
            Opened::Ours(opened) => {
                let closed = follower.closed(name, &file)?;
                changes.push(follower.rotation(closed, grown, next, &opened));
                (name, file) = (next, opened);
                behind.next();
            }
            // It is being made.
            Opened::NotYet => {
                changes.extend(follower.change(file, grown));
                return Ok(Followed::Grown(changes));
            }
            Opened::Changed => return Ok(Followed::Changed),
        }
    }
}

/// What opening a segment came to.
enum Opened {
    Ours(Arc<dyn StorageFile>),
    /// It has no whole header.
    NotYet,
    /// It is gone, or another's.
    Changed,
}

/// What frames were found.
struct Grown {
    /// Where the first was looked for.
    from: SequenceNumber,
    points: Vec<Point>,
}

struct Follower<'a> {
    dir: &'a Arc<StreamDir>,
    at: Place,
    /// The last point, so that the next is far enough from it.
    table: SparseTable,
}

impl Follower<'_> {
    fn open(&self, name: SegmentName) -> Result<Opened, Error> {
        let file = match self.dir.open_segment(name, OpenMode::Read) {
            Err(error) if is_gone(error.kind()) => return Ok(Opened::Changed),
            opened => opened?,
        };
        match check_identity(self.dir, name, &*file).map_err(Error::from) {
            Ok(()) => Ok(Opened::Ours(file)),
            Err(error) if !error.is_finding() => Err(error),
            Err(error) if matches!(error.kind(), crate::error::ErrorKind::Header { .. }) => {
                Ok(Opened::NotYet)
            }
            Err(_) => Ok(Opened::Changed),
        }
    }

    /// Goes over the whole frames behind the known end; `None` if there are such behind what is not one.
    fn frames(
        &mut self,
        name: SegmentName,
        file: &Arc<dyn StorageFile>,
    ) -> Result<Option<Grown>, Error> {
        let mut grown = Grown { from: self.at.seq, points: Vec::new() };
        let bounds = Bounds { len: self.len(name, &**file)?, until: SequenceNumber::MAX };
        let bytes = SegmentBytes::File(Arc::clone(file));
        let mut reader =
            SegmentReader::new(Arc::clone(self.dir), name, bytes, bounds, FOLLOW_WINDOW_LEN)?;
        while !reader.is_blank(self.at)? {
            match reader.read(self.at)? {
                Read::Frame(_, next) => {
                    let entry = self.at.seq.since(name.base);
                    grown.points.extend(self.table.note(entry, self.at.offset));
                    self.at = next;
                }
                // What is no whole frame is not there yet, unless whole ones are behind it.
                Read::Lost(_, next) if next.seq == SequenceNumber::MAX => break,
                Read::Lost(..) => return Ok(None),
                Read::End => break,
            }
        }
        Ok(Some(grown))
    }

    fn len(&self, name: SegmentName, file: &dyn StorageFile) -> Result<u64, Error> {
        file.file_len()
            .map_err(|source| Error::io(self.dir.display(&name.file_name()), IoOp::Read, source))
    }

    fn closed(
        &self,
        name: SegmentName,
        file: &Arc<dyn StorageFile>,
    ) -> Result<ClosedSegment, Error> {
        Ok(ClosedSegment { name, until: self.at.seq, len: self.len(name, &**file)? })
    }

    /// What readers are told of the last segment, if it grew.
    fn change(&self, file: Arc<dyn StorageFile>, grown: Grown) -> Option<ViewChange> {
        let Place { offset: len, seq: next } = self.at;
        let Grown { from, points } = grown;
        (from < next).then_some(ViewChange { next, rotated: None, file: Some(file), points, len })
    }

    /// What readers are told of a rotation. The known end is behind the header of the next segment then.
    fn rotation(
        &mut self,
        closed: ClosedSegment,
        grown: Grown,
        next: SegmentName,
        file: &Arc<dyn StorageFile>,
    ) -> ViewChange {
        self.at = Place { offset: self.dir.header_len(), seq: next.base };
        self.table = SparseTable::default();
        ViewChange {
            next: next.base,
            rotated: Some(Box::new(RotatedView { closed, points: grown.points, active: next })),
            file: Some(Arc::clone(file)),
            points: Vec::new(),
            len: self.at.offset,
        }
    }
}

fn is_gone(kind: &SegmentErrorKind) -> bool {
    matches!(
        kind,
        SegmentErrorKind::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
    )
}
