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
use crate::view::{ClosedSegment, RotatedView, ViewChange};

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
    file: Option<ActiveFile>,
    /// The index, with room for the record of the active segment, while a rotation is attempted.
    index: Option<Arc<dyn StorageFile>>,
    /// The segment that was active before, if the sync side was not told of the rotation yet.
    rotated: Option<Rotated>,
    /// The same, if readers were not told of it yet.
    closed: Option<Box<RotatedView>>,
    /// Points of the active segment that readers were not told of yet.
    points: Vec<Point>,
    /// Readers are shown nothing that is written until everything before this number is durable.
    withheld: SequenceNumber,
    rotations: Rotations,
}

/// The file of the active segment, while it is held open.
#[derive(Debug)]
struct ActiveFile {
    file: Arc<dyn StorageFile>,
    shown: Shown,
}

/// Whether readers were given a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown {
    No,
    Yes,
}

/// Whether the active segment may be ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rotations {
    Allowed,
    /// The index is being replaced: a handle of it would be of the old one.
    Held,
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
    /// It needs a rotation, and the one before is not durable yet, or the index is being replaced: sync
    /// first, or wait for whoever has the sync side.
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
}

impl WriteSide {
    pub(crate) const fn new(
        dir: Arc<StreamDir>,
        options: StreamOptions,
        next: SequenceNumber,
        writer: SegmentWriter,
        file: Arc<dyn StorageFile>,
    ) -> Self {
        Self {
            dir,
            options,
            next,
            writer,
            file: Some(ActiveFile::new(file)),
            index: None,
            rotated: None,
            closed: None,
            points: Vec::new(),
            withheld: SequenceNumber::ZERO,
            rotations: Rotations::Allowed,
        }
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
    #[inline]
    pub fn admission(&self, frame: &PreparedFrame, mark: SyncedMark) -> Admission {
        if self.needs_rotation(frame) { self.rotation_admission(mark) } else { Admission::Now }
    }

    /// Whether a rotation can be made, when `mark` is what is durable.
    pub fn rotation_admission(&self, mark: SyncedMark) -> Admission {
        let is_allowed = self.rotations == Rotations::Allowed;
        if is_allowed && mark.ordinal == self.writer.ordinal() {
            Admission::Now
        } else {
            Admission::AfterSync
        }
    }

    /// Lets no rotation begin while the sync side replaces the index.
    pub fn hold_rotations(&mut self) {
        self.rotations = Rotations::Held;
        self.index = None;
    }

    /// Lets rotations begin again.
    pub const fn allow_rotations(&mut self) {
        self.rotations = Rotations::Allowed;
    }

    /// The floor that holds when `mark` is what is durable, of the active segment, and `end` is one
    /// past the last entry that is.
    pub fn floor_at(&self, mark: SyncedMark, end: SequenceNumber) -> SegmentRecord {
        let SegmentName { base, ordinal } = self.writer.name();
        let len = u32::try_from(mark.len).expect("offsets in a segment have 32 bits");
        SegmentRecord { base, end, len, ordinal }
    }

    /// Whether everything that was written is durable, names included, when `mark` is.
    pub fn is_synced(&self, mark: SyncedMark) -> bool {
        mark == self.written_mark() && self.rotated.is_none()
    }

    /// Whether a rotation was made that is not durable: its files are held open until it is.
    pub const fn is_rotation_due(&self) -> bool {
        self.rotated.is_some()
    }

    /// Whether readers may be shown what is written, when everything before `durable` is.
    #[inline]
    pub fn may_show(&self, durable: SequenceNumber) -> bool {
        self.withheld <= durable
    }

    /// Readers are shown nothing that is written before all that was written so far is durable.
    pub const fn withhold(&mut self) {
        self.withheld = self.next;
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
    #[inline]
    pub fn append(
        &mut self,
        frame: &mut PreparedFrame,
        mark: SyncedMark,
        now: impl FnOnce() -> u64,
    ) -> Result<SequenceNumber, AppendError> {
        let Some(end) = self.next.checked_add(u64::from(frame.entry_count())) else {
            return Err(AppendError::NotWritten(self.exhausted()));
        };
        if self.needs_rotation(frame) {
            assert!(self.admission(frame, mark) == Admission::Now, "one rotation at a time");
            self.start_next(mark, now)?;
        }
        let at = FrameAt { base: self.next, synced_len: self.synced_len(mark) };
        let Self { dir, file, writer, .. } = self;
        let ActiveFile { file, .. } =
            open(dir, file, writer.name()).map_err(AppendError::NotWritten)?;
        let written = writer.append(dir, &**file, frame, at)?;
        self.points.extend(written.point);
        self.next = end;
        Ok(end)
    }

    /// Ends the active segment and starts the next, if the active one holds anything. The rotation is
    /// written, not durable. The steps are those of [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    ///
    /// # Panics
    ///
    /// If [`rotation_admission`](Self::rotation_admission) says to sync first.
    pub fn rotate(
        &mut self,
        mark: SyncedMark,
        now: impl FnOnce() -> u64,
    ) -> Result<(), AppendError> {
        if self.writer.is_empty() && !self.writer.is_sealed() {
            return Ok(());
        }
        assert!(self.rotation_admission(mark) == Admission::Now, "one rotation at a time");
        self.start_next(mark, now)
    }

    /// Takes what readers were not told of yet.
    ///
    /// # Errors
    ///
    /// The failure to open the file again, if it was parked.
    #[inline]
    pub fn take_change(&mut self) -> Result<ViewChange, Error> {
        let file = self.open()?.show();
        Ok(ViewChange {
            next: self.next,
            rotated: self.closed.take(),
            file,
            points: std::mem::take(&mut self.points),
            len: self.writer.position(),
        })
    }

    /// Takes what was written since this was called last, for one sync to cover.
    ///
    /// # Errors
    ///
    /// The failure to open the file again, if it was parked.
    pub fn take_work(&mut self) -> Result<SyncWork, Error> {
        let file = Arc::clone(&self.open()?.file);
        Ok(SyncWork {
            rotated: self.rotated.take(),
            name: self.writer.name(),
            file,
            len: self.writer.position(),
            next: self.next,
        })
    }

    /// Whether the file is held open.
    pub const fn holds_file(&self) -> bool {
        self.file.is_some()
    }

    /// Lets go of the file, if all that was written is durable; the next append opens it again.
    pub fn park(&mut self, mark: SyncedMark) {
        if self.is_synced(mark) {
            self.file = None;
            // A floor may take the room that an attempt to rotate has reserved.
            self.index = None;
        }
    }

    /// Lets go of the file of a stream that is fenced: nothing of it will be synced any more.
    pub fn abandon(&mut self) {
        self.file = None;
        self.index = None;
        self.rotated = None;
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

    fn start_next(
        &mut self,
        mark: SyncedMark,
        now: impl FnOnce() -> u64,
    ) -> Result<(), AppendError> {
        let file = Arc::clone(&self.open().map_err(AppendError::NotWritten)?.file);
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
        self.closed = Some(Box::new(RotatedView {
            closed: ClosedSegment::of(record),
            points: std::mem::take(&mut self.points),
            active: name,
        }));
        let StreamOptions { max_segment_len, preallocation, .. } = self.options;
        self.writer = SegmentWriter::new(&self.dir, name, max_segment_len, preallocation);
        self.file = Some(ActiveFile::new(created));
        Ok(())
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

    fn open(&mut self) -> Result<&mut ActiveFile, Error> {
        open(&self.dir, &mut self.file, self.writer.name())
    }

    fn exhausted(&self) -> Error {
        let path = self.dir.storage().display(self.dir.path());
        Error::new(path, ErrorKind::Exhausted)
    }
}

impl ActiveFile {
    const fn new(file: Arc<dyn StorageFile>) -> Self {
        Self { file, shown: Shown::No }
    }

    /// The file, for readers, if they were not given it yet.
    fn show(&mut self) -> Option<Arc<dyn StorageFile>> {
        match std::mem::replace(&mut self.shown, Shown::Yes) {
            Shown::No => Some(Arc::clone(&self.file)),
            Shown::Yes => None,
        }
    }
}

/// The file of the active segment, opened if it was parked.
#[inline]
fn open<'a>(
    dir: &StreamDir,
    file: &'a mut Option<ActiveFile>,
    name: SegmentName,
) -> Result<&'a mut ActiveFile, Error> {
    if file.is_none() {
        *file = Some(ActiveFile::new(dir.open_segment(name, OpenMode::ReadWrite)?));
    }
    Ok(file.as_mut().expect("opened above"))
}

/// The record of a segment in its present state.
fn record(writer: &SegmentWriter, end: SequenceNumber) -> SegmentRecord {
    let SegmentName { base, ordinal } = writer.name();
    let len = u32::try_from(writer.position()).expect("offsets in a segment have 32 bits");
    SegmentRecord { base, end, len, ordinal }
}

impl From<WriteError> for AppendError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::CutBack(error) => Self::NotWritten(error.into()),
            WriteError::Broken(error) => Self::Broken(error.into()),
        }
    }
}
