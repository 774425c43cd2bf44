//! Following a stream that somebody else appends to, without changing anything.
//!
//! What is known of a stream grows by frames behind its end, and by segments behind its last. All else
//! that may happen to it (a truncation, a deletion, a recovery that ended the log elsewhere) is for a
//! new look at the whole: nothing here decides what that means.
//!
//! What is not a whole frame at the live end is not there yet.

use std::io;
use std::sync::Arc;
use std::vec;

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
/// 1. See whether the first segment is there.
/// 2. Read the frames behind the known end, up to what is no whole frame. Where the next segment begins
///    with the number that is next, go on in it: it has that number in its name.
/// 3. If there was nothing, list the directory, and try again with what is in it: the log may have been
///    ended elsewhere. What was written to the last segment before a later one was made is seen then.
///
/// # Errors
///
/// Those of the operating system.
pub fn follow(dir: &Arc<StreamDir>, known: KnownEnd) -> Result<Followed, Error> {
    if known.first != known.last
        && let Err(error) = dir.open_segment(known.first, OpenMode::Read)
    {
        return if is_gone(error.kind()) { Ok(Followed::Changed) } else { Err(error.into()) };
    }
    match Follower::new(dir, known).run(known.last, Ahead::ByName)? {
        Followed::Grown(changes) if changes.is_empty() => {}
        followed @ (Followed::Grown(_) | Followed::Changed) => return Ok(followed),
    }
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
    let ahead = Ahead::Listed(behind.copied().collect::<Vec<_>>().into_iter());
    Follower::new(dir, known).run(known.last, ahead)
}

/// Where the next segment is known from.
enum Ahead {
    /// Its name is what it has to be; there may be none of that name.
    ByName,
    /// These are there, in the order of ordinals.
    Listed(vec::IntoIter<SegmentName>),
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

impl<'a> Follower<'a> {
    fn new(dir: &'a Arc<StreamDir>, known: KnownEnd) -> Self {
        let mut table = SparseTable::default();
        table.extend(known.point);
        Self { dir, at: known.at, table }
    }

    /// Follows from the known end in the segment `name`.
    fn run(mut self, mut name: SegmentName, mut ahead: Ahead) -> Result<Followed, Error> {
        let mut changes = Vec::new();
        let mut file = match self.open(name)? {
            Opened::Ours(file) => file,
            Opened::NotYet | Opened::Changed => return Ok(Followed::Changed),
        };
        loop {
            let Some(grown) = self.frames(name, &file)? else { return Ok(Followed::Changed) };
            let next = match &mut ahead {
                Ahead::ByName => {
                    let ordinal = name.ordinal.next();
                    ordinal.map(|ordinal| SegmentName { base: self.at.seq, ordinal })
                }
                Ahead::Listed(behind) => behind.next(),
            };
            let opened = match next {
                Some(next) if next.base != self.at.seq => return Ok(Followed::Changed),
                Some(next) => (next, self.open(next)?),
                None => (name, Opened::NotYet),
            };
            match (opened, &ahead) {
                ((next, Opened::Ours(opened)), _) => {
                    let closed = self.closed(name, &file)?;
                    changes.push(self.rotation(closed, grown, next, &opened));
                    (name, file) = (next, opened);
                }
                ((_, Opened::Changed), Ahead::Listed(_)) => return Ok(Followed::Changed),
                // There is none, or it is being made.
                ((_, Opened::NotYet | Opened::Changed), _) => {
                    changes.extend(self.change(file, grown));
                    return Ok(Followed::Grown(changes));
                }
            }
        }
    }

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
        (from < next).then_some(ViewChange { next, rotated: None, file, points, len })
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
            rotated: Some(RotatedView { closed, points: grown.points, active: next }),
            file: Arc::clone(file),
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
