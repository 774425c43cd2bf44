//! The write side of a stream: places frames, rotates. It syncs nothing but what it cuts back.
//!
//! What it has written goes as a value, [`SyncWork`], to the sync side, and what that has made
//! durable comes back as a [`SyncedMark`]. It has no lock: whoever holds it is the only writer.

use std::sync::Arc;

use ironwal_format::frame::PreparedFrame;
use ironwal_format::index::SegmentRecord;
use ironwal_format::seal::Point;
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::storage::{OpenMode, StorageFile};
use ironwal_segment::{FrameAt, SegmentName, SegmentWriter, StreamDir, WriteError};

use crate::error::{Error, ErrorKind};
use crate::index_file::IndexWriter;
use crate::options::StreamOptions;
use crate::view::{ClosedSegment, ViewChange};

/// How much of which segment is durable, all earlier segments being durable whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SyncedMark {
    /// The segment.
    pub ordinal: Ordinal,
    /// How many bytes of it.
    pub len: u64,
}

/// Places frames at the end of a stream.
#[derive(Debug)]
pub struct WriteSide {
    dir: Arc<StreamDir>,
    options: StreamOptions,
    next: SequenceNumber,
    writer: SegmentWriter,
    file: Option<Arc<dyn StorageFile>>,
    /// The index, with room for the record of the active segment, while a rotation is attempted.
    index: Option<Arc<dyn StorageFile>>,
    /// The segment that was active before, if the sync side was not told of the rotation yet.
    rotated: Option<Rotated>,
    /// Points of the active segment that the sync side was not told of yet.
    points: Vec<Point>,
}

/// A segment that was sealed, and what is needed to make that known.
#[derive(Debug)]
pub(crate) struct Rotated {
    pub(crate) file: Arc<dyn StorageFile>,
    /// The index, opened and given room for the record before anything was written: a sync must fail
    /// neither for want of a handle nor of space.
    pub(crate) index: Arc<dyn StorageFile>,
    pub(crate) record: SegmentRecord,
}

/// Why a frame was not appended.
#[derive(Debug)]
pub enum AppendError {
    /// Nothing was written, and nothing of it will ever appear.
    NotWritten(Error),
    /// What the file holds is not known: the stream has to be fenced.
    Broken(Error),
}

/// Whether a frame can be placed at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// It can.
    Now,
    /// It needs a rotation, and the one before is not durable yet: sync first.
    AfterSync,
}

/// What was written since the last work was taken: all that one sync has to cover.
#[derive(Debug)]
pub struct SyncWork {
    pub(crate) rotated: Option<Rotated>,
    pub(crate) name: SegmentName,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) len: u64,
    pub(crate) next: SequenceNumber,
    pub(crate) points: Vec<Point>,
}

impl WriteSide {
    pub(crate) const fn new(
        dir: Arc<StreamDir>,
        options: StreamOptions,
        next: SequenceNumber,
        writer: SegmentWriter,
        file: Arc<dyn StorageFile>,
    ) -> Self {
        let file = Some(file);
        Self { dir, options, next, writer, file, index: None, rotated: None, points: Vec::new() }
    }

    /// One past the last entry that was written.
    pub const fn next(&self) -> SequenceNumber {
        self.next
    }

    /// What is durable when all that was written is.
    pub const fn written_mark(&self) -> SyncedMark {
        SyncedMark { ordinal: self.writer.ordinal(), len: self.writer.position() }
    }

    /// The floor that holds when all that was written is durable.
    pub fn floor(&self) -> SegmentRecord {
        record(&self.writer, self.next)
    }

    /// Whether a frame can be placed, when `mark` is what is durable.
    ///
    /// At most one sealed segment awaits its sync.
    pub fn admission(&self, frame: &PreparedFrame, mark: SyncedMark) -> Admission {
        let first_is_durable = mark.ordinal == self.writer.ordinal();
        if self.needs_rotation(frame) && !first_is_durable {
            Admission::AfterSync
        } else {
            Admission::Now
        }
    }

    /// Writes a frame behind all others; returns one past its last entry. `mark` is what is durable.
    /// The entries are written, not durable.
    ///
    /// 1. If the frame does not fit, rotate: open the index and reserve room for the record that the
    ///    next sync makes; write the seal and cut the reserved space off behind it; create the next
    ///    segment and write its header. Each step that fails is tried again by the next append. A crash
    ///    leaves a torn end of the index, a sealed last segment, or a new one for which nothing vouches
    ///    and which holds nothing.
    /// 2. Write the frame. A crash leaves a torn tail.
    ///
    /// # Errors
    ///
    /// [`AppendError`], which tells whether the stream can go on.
    ///
    /// # Panics
    ///
    /// If [`admission`](Self::admission) says to sync first.
    pub fn append(
        &mut self,
        frame: &mut PreparedFrame,
        mark: SyncedMark,
        now: impl FnOnce() -> u64,
    ) -> Result<SequenceNumber, AppendError> {
        let Some(end) = self.next.checked_add(u64::from(frame.entry_count())) else {
            return Err(AppendError::NotWritten(self.exhausted()));
        };
        let file = self.open()?;
        let file = if self.needs_rotation(frame) {
            assert!(self.admission(frame, mark) == Admission::Now, "one rotation at a time");
            self.rotate(file, mark, now)?
        } else {
            file
        };
        let at = FrameAt { base: self.next, synced_len: self.synced_len(mark) };
        let written = self.writer.append(&self.dir, &*file, frame, at)?;
        self.points.extend(written.point);
        self.next = end;
        Ok(end)
    }

    /// Takes what was written since this was called last, for one sync to cover.
    ///
    /// # Errors
    ///
    /// The failure to open the file again, if it was parked.
    pub fn take_work(&mut self) -> Result<SyncWork, Error> {
        let file = match self.open() {
            Ok(file) => file,
            Err(AppendError::NotWritten(error) | AppendError::Broken(error)) => return Err(error),
        };
        Ok(SyncWork {
            rotated: self.rotated.take(),
            name: self.writer.name(),
            file,
            len: self.writer.position(),
            next: self.next,
            points: std::mem::take(&mut self.points),
        })
    }

    /// Whether the file is held open.
    pub const fn holds_file(&self) -> bool {
        self.file.is_some()
    }

    /// Lets go of the file, if all that was written is durable; the next append opens it again.
    pub fn park(&mut self, mark: SyncedMark) {
        if mark == self.written_mark() && self.rotated.is_none() {
            self.file = None;
        }
    }

    /// The bytes of the active segment that a returned sync has covered; zero until every earlier
    /// segment is durable whole, which is when the mark has come to this one.
    fn synced_len(&self, mark: SyncedMark) -> u64 {
        if mark.ordinal == self.writer.ordinal() { mark.len } else { 0 }
    }

    fn needs_rotation(&self, frame: &PreparedFrame) -> bool {
        if self.writer.is_sealed() {
            return true;
        }
        let StreamOptions { max_segment_len, max_segment_entry_count, .. } = self.options;
        let entry_count = self.writer.entry_count() + u64::from(frame.entry_count());
        let fits = self.writer.sealed_len_with(frame) <= max_segment_len
            && entry_count <= max_segment_entry_count;
        // A frame that fits nowhere has a segment alone.
        !fits && !self.writer.is_empty()
    }

    fn rotate(
        &mut self,
        file: Arc<dyn StorageFile>,
        mark: SyncedMark,
        now: impl FnOnce() -> u64,
    ) -> Result<Arc<dyn StorageFile>, AppendError> {
        let Some(ordinal) = self.writer.ordinal().next() else {
            return Err(AppendError::NotWritten(self.exhausted()));
        };
        let index = self.open_index()?;
        let at = FrameAt { base: self.next, synced_len: self.synced_len(mark) };
        self.writer.seal(&self.dir, &*file, at)?;
        let trimmed = self.writer.trim(&self.dir, &*file);
        trimmed.map_err(|error| AppendError::NotWritten(error.into()))?;
        let name = SegmentName { base: self.next, ordinal };
        let created = self
            .dir
            .create_segment(name, now())
            .map_err(|error| AppendError::NotWritten(error.into()))?;
        let record = record(&self.writer, self.next);
        self.index = None;
        self.rotated = Some(Rotated { file, index, record });
        self.writer = SegmentWriter::new(&self.dir, name, self.options.max_segment_len);
        self.points.clear();
        self.file = Some(Arc::clone(&created));
        Ok(created)
    }

    /// Opens the index and reserves space for one record in it; an attempt to rotate that failed later
    /// has done so already.
    fn open_index(&mut self) -> Result<Arc<dyn StorageFile>, AppendError> {
        if let Some(index) = &self.index {
            return Ok(Arc::clone(index));
        }
        let index = IndexWriter::open_with_room(&self.dir).map_err(AppendError::NotWritten)?;
        self.index = Some(Arc::clone(&index));
        Ok(index)
    }

    fn open(&mut self) -> Result<Arc<dyn StorageFile>, AppendError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let opened = self
            .dir
            .open_segment(self.writer.name(), OpenMode::ReadWrite)
            .map_err(|error| AppendError::NotWritten(error.into()))?;
        self.file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn exhausted(&self) -> Error {
        let path = self.dir.storage().display(self.dir.path());
        Error::new(path, ErrorKind::Exhausted)
    }
}

/// The record of a segment in its present state.
fn record(writer: &SegmentWriter, end: SequenceNumber) -> SegmentRecord {
    let SegmentName { base, ordinal } = writer.name();
    let len = u32::try_from(writer.position()).expect("offsets in a segment have 32 bits");
    SegmentRecord { base, end, len, ordinal }
}

impl SyncWork {
    /// What readers may see, once this is durable.
    pub(crate) fn into_change(self) -> ViewChange {
        let rotated = self.rotated.map(|Rotated { record, .. }| {
            let SegmentRecord { base, end: until, len, ordinal } = record;
            let closed =
                ClosedSegment { name: SegmentName { base, ordinal }, until, len: u64::from(len) };
            (closed, self.name)
        });
        let Self { file, points, len, next, .. } = self;
        ViewChange { next, rotated, file, points, len }
    }
}

impl From<WriteError> for AppendError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::CutBack(error) => Self::NotWritten(error.into()),
            WriteError::Broken(error) => Self::Broken(error.into()),
        }
    }
}
