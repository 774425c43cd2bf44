//! What readers need to know of a stream: which segments hold which entries.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ironwal_format::SequenceNumber;
use ironwal_format::index::SegmentRecord;
use ironwal_format::seal::{FramePlace, Point, SparseTable, Stretch};
use ironwal_format::walk::{Bounds, Place};
use ironwal_segment::storage::{MapKind, OpenMode, StorageFile};
use ironwal_segment::{
    Frame, IoOp, LOOKUP_WINDOW_LEN, Read, SegmentBytes, SegmentName, SegmentReader, StreamDir,
    check_identity,
};

use crate::error::{Error, ErrorKind};

/// How much an iterator reads at a time.
const ITER_WINDOW_LEN: usize = 128 << 10;

/// The entries of a stream and where they are, at one moment.
#[derive(Debug)]
pub struct StreamView {
    /// The directory.
    pub dir: Arc<StreamDir>,
    /// The number of the first entry.
    pub first: SequenceNumber,
    /// One past the last entry that readers may see.
    pub next: SequenceNumber,
    /// All entries below this number are proven durable by what is on disk.
    pub proven: SequenceNumber,
    /// The segments that are not appended to any more, in order.
    pub closed: Vec<ClosedSegment>,
    /// The one that is appended to; a stream that is damaged, or only looked at, has none.
    pub active: Option<ActiveSegment>,
    /// Entries that are lost with their segments.
    pub missing: Vec<MissingEntries>,
}

/// A segment that is not appended to any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClosedSegment {
    /// Which it is.
    pub name: SegmentName,
    /// One past its last entry that counts.
    pub until: SequenceNumber,
    /// How many of its bytes count; `u64::MAX` for all there are.
    pub len: u64,
}

/// The segment that is appended to.
#[derive(Debug)]
pub struct ActiveSegment {
    /// Which it is.
    pub name: SegmentName,
    /// The file, while it is held open.
    pub file: Option<Arc<dyn StorageFile>>,
    /// Where its frames are.
    pub table: SparseTable,
    /// How many of its bytes readers may look at.
    pub len: u64,
}

impl ClosedSegment {
    pub(crate) fn of(record: SegmentRecord) -> Self {
        let SegmentRecord { base, end: until, len, ordinal } = record;
        Self { name: SegmentName { base, ordinal }, until, len: u64::from(len) }
    }
}

/// Entries that are lost with their segment.
#[derive(Clone, Debug)]
pub struct MissingEntries {
    /// The first of them.
    pub from: SequenceNumber,
    /// One past the last of them.
    pub until: SequenceNumber,
    /// Which segment, and what became of it.
    pub error: Error,
}

/// What a commit adds to a view.
#[derive(Debug)]
pub struct ViewChange {
    /// One past the last entry that readers may see from now on.
    pub next: SequenceNumber,
    /// The rotation, if there was one.
    pub rotated: Option<Box<RotatedView>>,
    /// The file of the active segment, if readers were not given it yet.
    pub file: Option<Arc<dyn StorageFile>>,
    /// Where frames of the active segment are.
    pub points: Vec<Point>,
    /// How many bytes of the active segment readers may look at.
    pub len: u64,
}

/// A rotation, as readers see it.
#[derive(Debug)]
pub struct RotatedView {
    /// The segment that was active before.
    pub closed: ClosedSegment,
    /// Where frames of it are that readers were not told of before.
    pub points: Vec<Point>,
    /// The segment that is in its place.
    pub active: SegmentName,
}

/// A segment to read from, with all that is needed for it: it outlives the view.
#[derive(Clone, Debug)]
pub struct ReadSegment {
    /// The directory.
    pub dir: Arc<StreamDir>,
    /// Which segment.
    pub name: SegmentName,
    /// How far it counts.
    pub bounds: Bounds,
    /// Where its bytes are, if that is known already; else the file is opened for each call.
    pub bytes: Option<SegmentBytes>,
}

/// What is known of a [`Stretch`] of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evenness {
    /// Nothing.
    Unknown,
    /// It is even, as long as its bytes are as they were.
    Proven,
}

/// The bytes of a segment by a mapping, and how far they can be used.
#[derive(Clone)]
pub struct SegmentMap {
    /// The mapping.
    pub bytes: Bytes,
    /// Bounds of at most so many bytes can be read through it.
    pub covers: u64,
}

/// As [`SegmentBytes`]: the length only.
impl fmt::Debug for SegmentMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentMap")
            .field("len", &self.bytes.len())
            .field("covers", &self.covers)
            .finish()
    }
}

impl ReadSegment {
    /// A segment that is not appended to any more.
    pub const fn closed(dir: Arc<StreamDir>, segment: ClosedSegment) -> Self {
        let ClosedSegment { name, until, len } = segment;
        Self { dir, name, bounds: Bounds { len, until }, bytes: None }
    }

    /// The same, to be read from these bytes.
    #[must_use]
    pub fn with_bytes(self, bytes: SegmentBytes) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    /// Maps the file: all that the bounds allow, and where later writes are seen through a mapping, as
    /// much as there is.
    ///
    /// # Errors
    ///
    /// The failure of the machine, which may be that files cannot be mapped there.
    pub fn map(&self, file: &dyn StorageFile) -> Result<SegmentMap, Error> {
        let failed =
            |source| Error::io(self.dir.display(&self.name.file_name()), IoOp::Read, source);
        let file_len = file.file_len().map_err(failed)?;
        let wanted = match file.map_kind() {
            MapKind::Shared => u64::MAX,
            MapKind::Copied => self.bounds.len,
        };
        let len = wanted.min(file_len);
        let bytes = file.map(len).map_err(failed)?;
        Ok(SegmentMap { bytes, covers: self.bounds.len.max(len) })
    }

    /// Where a frame that holds, or stands before, `seq` is, by a point of the sparse table.
    pub fn place(&self, point: Option<Point>) -> Place {
        match point {
            None => Place { offset: self.dir.header_len(), seq: self.name.base },
            Some(Point { entry, offset }) => Place {
                offset: u64::from(offset),
                seq: SequenceNumber::new(self.name.base.get().saturating_add(u64::from(entry))),
            },
        }
    }

    /// Reads the frame that holds an entry, walking through the stretch that does, or, without one, from
    /// the first frame on. Tells whether the stretch turned out to be even.
    ///
    /// # Errors
    ///
    /// That the entry is damaged, or the failure of the machine.
    pub fn find(
        &self,
        stretch: Option<Stretch>,
        seq: SequenceNumber,
    ) -> Result<(Frame, Evenness), Error> {
        let mut reader = self.reader(LOOKUP_WINDOW_LEN)?;
        let frame = reader.find(self.place(stretch.map(|stretch| stretch.from)), seq)?;
        let evenness = stretch
            .map_or(Evenness::Unknown, |stretch| self.evenness(&mut reader, stretch, &frame));
        Ok((frame, evenness))
    }

    /// Whether the stretch that a frame was found in is even, told by a walk through it where the frame
    /// does not rule it out. What cannot be read is not known.
    fn evenness(&self, reader: &mut SegmentReader, stretch: Stretch, frame: &Frame) -> Evenness {
        let place = frame.place();
        if stretch.even_frame(frame.base().since(self.name.base)) != Some(place) {
            return Evenness::Unknown;
        }
        let (from, until) = (self.place(Some(stretch.from)), self.place(stretch.until));
        match reader.is_even(from, until, place.len) {
            Ok(true) => Evenness::Proven,
            Ok(false) | Err(_) => Evenness::Unknown,
        }
    }

    /// Reads the frame of an entry out of these bytes of the segment, without a walk: for a stretch that
    /// [`find`](Self::find) has proven to be even. `None` if it does not lie whole where it did; `find`
    /// tells then what became of it.
    ///
    /// # Errors
    ///
    /// The failure of the machine.
    pub fn find_even(
        &self,
        bytes: SegmentBytes,
        stretch: Stretch,
        seq: SequenceNumber,
    ) -> Result<Option<Frame>, Error> {
        let place = stretch.even_frame(seq.since(self.name.base));
        let place = place.filter(|place| place.offset + place.len <= self.bounds.len);
        let Some(FramePlace { offset, len }) = place else { return Ok(None) };
        let bytes = bytes.into_part(offset, len).map_err(|source| {
            Error::io(self.dir.display(&self.name.file_name()), IoOp::Read, source)
        })?;
        let frame = Frame::decode(bytes, self.dir.salt(self.name.ordinal), offset).ok();
        Ok(frame.filter(|frame| frame.base() == seq && seq < self.bounds.until))
    }

    /// The sparse table of a segment that is not appended to any more.
    ///
    /// # Errors
    ///
    /// The failure of the machine; a file that is not this segment.
    pub fn table(&self) -> Result<SparseTable, Error> {
        Ok(self.reader(ITER_WINDOW_LEN)?.table()?)
    }

    /// A cursor that reads frame after frame.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table).
    pub fn cursor(&self, from: Place) -> Result<Cursor, Error> {
        let reader = self.reader(ITER_WINDOW_LEN)?;
        Ok(Cursor { segment: self.clone(), reader, at: from })
    }

    /// The error for a frame of this segment.
    pub fn damaged(&self, offset: u64, source: ironwal_format::frame::FrameError) -> Error {
        let kind = ErrorKind::Frame { offset, source };
        Error::new(self.dir.display(&self.name.file_name()), kind)
    }

    fn reader(&self, window_len: usize) -> Result<SegmentReader, Error> {
        let bytes = match &self.bytes {
            Some(bytes) => bytes.clone(),
            None => SegmentBytes::File(self.open()?),
        };
        Ok(SegmentReader::new(Arc::clone(&self.dir), self.name, bytes, self.bounds, window_len)?)
    }

    /// Opens the file. One that is there but is something else is refused; a damaged header is not
    /// in the way of the entries, since each frame proves that it belongs here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`] if it is not there, [`ErrorKind::Foreign`] and [`ErrorKind::NotOurs`], and
    /// the failure of the machine.
    pub fn open(&self) -> Result<Arc<dyn StorageFile>, Error> {
        let file = match self.dir.open_segment(self.name, OpenMode::Read) {
            Err(error) if is_absent(&error) => {
                return Err(Error::new(error.path(), ErrorKind::Missing));
            }
            opened => opened?,
        };
        match check_identity(&self.dir, self.name, &*file).map_err(Error::from) {
            Err(error) if !matches!(error.kind(), ErrorKind::Header { .. }) => Err(error),
            Ok(()) | Err(_) => Ok(file),
        }
    }
}

/// Whether a file is not there, told apart from every failure to look.
fn is_absent(error: &ironwal_segment::Error) -> bool {
    matches!(
        error.kind(),
        ironwal_segment::ErrorKind::Io { source, .. }
            if source.kind() == std::io::ErrorKind::NotFound
    )
}

/// Reads the frames of one segment in order.
#[derive(Debug)]
pub struct Cursor {
    segment: ReadSegment,
    reader: SegmentReader,
    at: Place,
}

/// What a cursor comes to.
#[derive(Debug)]
pub enum CursorItem {
    /// A frame.
    Frame(Frame),
    /// Entries that are lost, and the number of the next that is not.
    Lost(Error, SequenceNumber),
    /// The end of the segment.
    End,
}

impl Cursor {
    /// The error for a frame that this cursor came to, right by its checksums but wrong inside.
    pub fn damaged(&self, offset: u64, source: ironwal_format::frame::FrameError) -> Error {
        self.segment.damaged(offset, source)
    }

    /// Reads the next frame.
    ///
    /// # Errors
    ///
    /// The failure of the machine; the same frame may be tried again.
    #[inline]
    pub fn read(&mut self) -> Result<CursorItem, Error> {
        Ok(match self.reader.read(self.at)? {
            Read::Frame(frame, next) => {
                self.at = next;
                CursorItem::Frame(frame)
            }
            Read::Lost(error, next) => {
                self.at = next;
                CursorItem::Lost(error.into(), next.seq)
            }
            Read::End => CursorItem::End,
        })
    }
}
