//! The sync side of a stream: makes durable what the write side has written.
//!
//! Whoever holds it is the only one to sync. After any error it must not be used again: nothing is
//! known of what is durable, and a second sync may lie.

use std::sync::Arc;

use ironwal_format::index::{IndexRecord, SegmentRecord};
use ironwal_segment::storage::StorageFile;
use ironwal_segment::{IoOp, SegmentName, StreamDir};

use crate::error::Error;
use crate::index_file::IndexWriter;
use crate::view::ViewChange;
use crate::write_side::{Rotated, SyncWork, SyncedMark};

/// Syncs the files, the directory and the index of a stream.
#[derive(Debug)]
pub struct SyncSide {
    dir: Arc<StreamDir>,
    index: IndexWriter,
}

/// What a returned sync has made durable.
#[derive(Debug)]
pub struct Synced {
    /// Up to where.
    pub mark: SyncedMark,
    /// What readers may see from now on.
    pub change: ViewChange,
}

impl SyncSide {
    pub(crate) const fn new(dir: Arc<StreamDir>, index: IndexWriter) -> Self {
        Self { dir, index }
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
        let dir = &self.dir;
        let sync = |file: &Arc<dyn StorageFile>, name: SegmentName| {
            let failed = |source| Error::io(dir.display(&name.file_name()), IoOp::Sync, source);
            file.sync_data().map_err(failed)
        };
        if let Some(Rotated { file, record, .. }) = &work.rotated {
            let SegmentRecord { base, ordinal, .. } = *record;
            sync(file, SegmentName { base, ordinal })?;
        }
        sync(&work.file, work.name)?;
        if let Some(Rotated { index, record, .. }) = &work.rotated {
            self.dir.sync()?;
            self.index.append(&**index, IndexRecord::Sealed(*record))?;
        }
        let mark = SyncedMark { ordinal: work.name.ordinal, len: work.len };
        Ok(Synced { mark, change: work.into_change() })
    }

    /// Records how much of the active segment is durable, for a clean close.
    ///
    /// # Errors
    ///
    /// Those of the operating system. Nothing is lost by it.
    pub fn write_floor(&mut self, floor: SegmentRecord) -> Result<(), Error> {
        let record = IndexRecord::Floor(floor);
        if self.index.last() == Some(record) {
            return Ok(());
        }
        self.index.append(&*IndexWriter::open(&self.dir)?, record)
    }
}
