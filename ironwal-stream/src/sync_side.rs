//! The sync side of a stream: makes durable what the write side has written.
//!
//! Whoever holds it is the only one to sync. After any error it must not be used again: nothing is
//! known of what is durable, and a second sync may lie.

use std::io;
use std::sync::Arc;

use ironwal_format::index::{IndexRecord, SegmentRecord, StartRecord};
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::storage::StorageFile;
use ironwal_segment::{IoOp, SegmentName, StreamDir};

use crate::error::Error;
use crate::index_file::IndexWriter;
use crate::layout;
use crate::write_side::{Rotated, SyncWork, SyncedMark};

/// How much has to be durable past the last floor before an idle stream gets another.
const IDLE_FLOOR_LEN: u64 = 64 << 10;

/// Syncs the files, the directory and the index of a stream.
#[derive(Debug)]
pub struct SyncSide {
    dir: Arc<StreamDir>,
    index: IndexWriter,
    removal: Removal,
}

/// Whether a truncation has left files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Removal {
    Done,
    /// It failed, or its sync did.
    Due,
}

/// The index, opened for a floor.
#[derive(Debug)]
pub struct FloorRoom(Arc<dyn StorageFile>);

/// What a returned sync has made durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Synced {
    /// Up to where.
    pub mark: SyncedMark,
    /// One past the last entry that is durable.
    pub next: SequenceNumber,
}

/// What [`SyncSide::truncate`] is told of the segments.
#[derive(Clone, Copy, Debug)]
pub struct Truncation {
    /// The first segment that is kept: its base is the number of the first entry from now on.
    pub first: SegmentName,
    /// How much of the active segment is durable.
    pub floor: SegmentRecord,
}

impl SyncSide {
    pub(crate) const fn new(dir: Arc<StreamDir>, index: IndexWriter) -> Self {
        Self { dir, index, removal: Removal::Done }
    }

    /// Makes all of `work` durable.
    ///
    /// After a rotation, in this order:
    ///
    /// 1. Sync the segment that was sealed. A crash before leaves it torn, and what follows behind a
    ///    gap.
    /// 2. Sync the active segment: its header, and what was written behind it. A crash leaves frames
    ///    whose synced length is zero, for which nothing vouches.
    /// 3. Sync the directory. A crash before may leave no active segment: the log ends with the sealed
    ///    one.
    /// 4. Append the sealed record to the index, and sync it. From now on the sealed segment is known
    ///    to be whole, and the active one to be there. Only then is anything in it durable.
    ///
    /// Without a rotation step 2 is all there is to do.
    ///
    /// # Errors
    ///
    /// Those of the operating system. The stream has to be fenced.
    pub fn sync(&mut self, work: SyncWork) -> Result<Synced, Error> {
        let SyncWork { rotated, name, file, len, next } = work;
        let dir = &self.dir;
        let sync = |file: Arc<dyn StorageFile>, name: SegmentName| {
            let failed = |source| Error::io(dir.display(&name.file_name()), IoOp::Sync, source);
            file.sync_data().map_err(failed)
        };
        if let Some(Rotated { file: sealed, index, record }) = rotated {
            let SegmentRecord { base, ordinal, .. } = record;
            sync(sealed, SegmentName { base, ordinal })?;
            sync(file, name)?;
            dir.sync()?;
            self.index.append(&*index, IndexRecord::Sealed(record))?;
        } else {
            sync(file, name)?;
        }
        let mark = SyncedMark { ordinal: name.ordinal, len };
        Ok(Synced { mark, next })
    }

    /// Records how much of the active segment is durable, for a clean close.
    ///
    /// # Errors
    ///
    /// Those of the operating system. Nothing is lost by it.
    pub fn write_floor(&mut self, floor: SegmentRecord) -> Result<(), Error> {
        let record = IndexRecord::Floor(floor);
        if self.index.ends_in_synced(record) {
            return Ok(());
        }
        let file = IndexWriter::open(&self.dir)?;
        if self.index.last() == Some(record) {
            return self.index.sync(&*file);
        }
        self.index.append(&*file, record)
    }

    /// Whether so much was made durable since the last floor that one is worth its cost when the
    /// file of an idle stream is closed.
    fn is_floor_due(&self, mark: SyncedMark) -> bool {
        let told = match self.index.last() {
            Some(IndexRecord::Floor(last)) if last.ordinal == mark.ordinal => u64::from(last.len),
            Some(IndexRecord::Floor(_) | IndexRecord::Sealed(_) | IndexRecord::Start(_)) | None => {
                0
            }
        };
        mark.len.saturating_sub(told) >= IDLE_FLOOR_LEN
    }

    /// Opens the index for a floor, if one is due when `mark` is what is durable, and syncs the floor that
    /// was noted before.
    ///
    /// # Errors
    ///
    /// That the floor before it could not be synced. The stream has to be fenced.
    pub fn prepare_floor(&mut self, mark: SyncedMark) -> Result<Option<FloorRoom>, Error> {
        if !self.is_floor_due(mark) {
            return Ok(None);
        }
        // Without a handle there is no floor: nothing is lost by that.
        let Ok(file) = IndexWriter::open(&self.dir) else { return Ok(None) };
        self.index.settle(&*file)?;
        Ok(Some(FloorRoom(file)))
    }

    /// Writes a floor without making it durable: where it is lost nothing is. So it is no error if it
    /// cannot be written: what was written of it is a torn end of the index, and the next record takes its
    /// place. No rotation may be begun meanwhile, since it would reserve the same room.
    pub fn note_floor(&mut self, room: &FloorRoom, floor: SegmentRecord) {
        drop(self.index.note(&*room.0, IndexRecord::Floor(floor)));
    }

    /// Removes all segments in front of one, durable when this returns. All segments but the active one
    /// must have their sealed record: that is so when everything that was written is synced.
    ///
    /// 1. Replace the index whole: the start record in front, the sealed records from there on, the
    ///    floor. A crash before its rename counts leaves everything as it was; from then on the first
    ///    entry is that of the start.
    /// 2. Call `published`: no reader may be led to what is gone.
    /// 3. Unlink the segments in front, from the lowest ordinal on, and sync the directory, so that they
    ///    do not come back with a lost index. A crash leaves some of them, for the next opening to
    ///    unlink.
    ///
    /// # Errors
    ///
    /// [`TruncateError`], which tells how far it came.
    pub fn truncate(
        &mut self,
        truncation: Truncation,
        published: impl FnOnce(),
    ) -> Result<(), TruncateError> {
        let Truncation { first: SegmentName { base, ordinal }, floor } = truncation;
        let start = StartRecord { base, ordinal };
        self.index.replace(start, floor)?;
        published();
        self.removal = Removal::Due;
        self.remove_gone()
    }

    /// Removes what an earlier truncation has left because that failed, if one did.
    ///
    /// # Errors
    ///
    /// [`TruncateError::NotRemoved`].
    pub fn remove_gone(&mut self) -> Result<(), TruncateError> {
        if self.removal == Removal::Due {
            let ordinal = self.index.start_ordinal();
            names_before(&self.dir, ordinal)
                .and_then(|names| unlink_files(&self.dir, &names))
                .and_then(|()| Ok(self.dir.sync()?))
                .map_err(TruncateError::NotRemoved)?;
            self.removal = Removal::Done;
        }
        Ok(())
    }

    /// Whether the index says already that nothing is in front of this segment.
    pub fn starts_at(&self, ordinal: Ordinal) -> bool {
        self.index.start_ordinal() >= ordinal
    }
}

/// How far a truncation came that failed.
#[derive(Debug)]
pub enum TruncateError {
    /// Nothing was changed: the stream is as it was.
    NotBegun(Error),
    /// Whether it will have taken effect when the stream is opened again is not known. Nothing was
    /// removed, and nothing more may be appended to the index: the stream has to be fenced.
    Unknown(Error),
    /// It took effect, but files could not be removed: the next truncation or opening will.
    NotRemoved(Error),
}

/// Unlinks files of a stream and makes that durable.
///
/// # Errors
///
/// Those of the operating system. That one is not there is none.
pub(crate) fn remove_files(dir: &StreamDir, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    unlink_files(dir, names)?;
    Ok(dir.sync()?)
}

fn unlink_files(dir: &StreamDir, names: &[String]) -> Result<(), Error> {
    for name in names {
        match dir.storage().unlink(dir.path().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            unlinked => {
                unlinked.map_err(|source| Error::io(dir.display(name), IoOp::Unlink, source))?;
            }
        }
    }
    Ok(())
}

/// The names of all segments that a start record calls gone.
fn names_before(dir: &StreamDir, ordinal: Ordinal) -> Result<Vec<String>, Error> {
    let listed = layout::list(dir.storage(), dir.path());
    let failed = |source| Error::io(dir.storage().display(dir.path()), IoOp::List, source);
    Ok(listed.map_err(failed)?.before(ordinal))
}
