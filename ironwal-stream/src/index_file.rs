//! The file `segments.idx`: reading it whole, appending to it, replacing it.

use std::sync::Arc;

use ironwal_format::Ordinal;
use ironwal_format::cast;
use ironwal_format::index::{
    IndexContents, IndexError, IndexRecord, MAX_INDEX_LEN, RECORD_LEN, SegmentRecord, StartRecord,
    encode_header, encode_record, read_index,
};
use ironwal_format::names::{INDEX_FILE, INDEX_TEMP_FILE};
use ironwal_segment::io::{allocate, read_up_to, write_all};
use ironwal_segment::storage::{OpenMode, Storage, StorageFile, StoragePath};
use ironwal_segment::{IoOp, StreamDir};

use crate::error::Error;
use crate::sync_side::TruncateError;

/// What reading an index gave.
#[derive(Debug)]
pub(crate) enum LoadedIndex {
    /// There is none.
    Missing,
    /// What has its name is no file: a directory, a link, a FIFO.
    NotAFile,
    /// It cannot be used.
    Wrong(IndexError),
    /// What it says, as far as it can be read.
    Read(IndexContents),
}

/// Reads the index of a stream.
///
/// # Errors
///
/// Those of the operating system. Whatever the bytes are is a finding.
pub(crate) fn load(storage: &dyn Storage, dir: StoragePath<'_>) -> Result<LoadedIndex, Error> {
    let path = dir.join(INDEX_FILE);
    let failed = |op| move |source| Error::io(storage.display(path), op, source);
    let file = match storage.open(path, OpenMode::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(LoadedIndex::Missing);
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            return Ok(LoadedIndex::NotAFile);
        }
        opened => opened.map_err(failed(IoOp::Open))?,
    };
    let len = file.file_len().map_err(failed(IoOp::Read))?;
    if len > MAX_INDEX_LEN {
        return Ok(LoadedIndex::Wrong(IndexError::TooLong { len }));
    }
    let mut bytes = vec![0; cast::usize_from(len)];
    let read = read_up_to(&*file, &mut bytes, 0).map_err(failed(IoOp::Read))?;
    bytes.truncate(read);
    Ok(match read_index(&bytes) {
        Ok(contents) => LoadedIndex::Read(contents),
        Err(error) => LoadedIndex::Wrong(error),
    })
}

/// How long the index of a stream with so many records is.
pub(crate) fn file_len(dir: &StreamDir, record_count: usize) -> u64 {
    let header_len = encode_header(dir.key(), dir.id()).len();
    cast::u64_from(header_len + record_count * RECORD_LEN)
}

/// Writes a new index to a name of its own and makes its bytes durable; returns its length.
///
/// # Errors
///
/// Those of the operating system.
pub(crate) fn write_new(
    dir: &StreamDir,
    name: &str,
    records: &[IndexRecord],
) -> Result<u64, Error> {
    let path = dir.path().join(name);
    let failed = |op| move |source| Error::io(dir.display(name), op, source);
    let mut bytes = encode_header(dir.key(), dir.id());
    for record in records {
        let offset = cast::u64_from(bytes.len());
        bytes.extend_from_slice(&encode_record(*record, dir.id(), offset));
    }
    let file = match dir.storage().open(path, OpenMode::CreateNew) {
        // Left behind by a crash: it never took effect.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            dir.storage().unlink(path).map_err(failed(IoOp::Unlink))?;
            dir.storage().open(path, OpenMode::CreateNew)
        }
        opened => opened,
    }
    .map_err(failed(IoOp::Create))?;
    write_all(&*file, &bytes, 0).map_err(failed(IoOp::Write))?;
    file.sync_data().map_err(failed(IoOp::Sync))?;
    Ok(cast::u64_from(bytes.len()))
}

/// Replaces the index of a stream whole; returns its length.
///
/// 1. Write the new one beside it and sync it. A crash leaves the old one, and a file to remove.
/// 2. Rename it into place. A crash leaves the old one or the new one.
/// 3. Sync the directory. A crash leaves the new one.
///
/// # Errors
///
/// Those of the operating system.
pub(crate) fn replace(dir: &StreamDir, records: &[IndexRecord]) -> Result<u64, Error> {
    let len = write_new(dir, INDEX_TEMP_FILE, records)?;
    rename_new(dir)?;
    dir.sync()?;
    Ok(len)
}

fn rename_new(dir: &StreamDir) -> Result<(), Error> {
    let (from, to) = (dir.path().join(INDEX_TEMP_FILE), dir.path().join(INDEX_FILE));
    let failed = |source| Error::io(dir.display(INDEX_TEMP_FILE), IoOp::Rename, source);
    dir.storage().rename(from, to).map_err(failed)
}

/// Appends records to the index, and knows what stands in it.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    dir: Arc<StreamDir>,
    len: u64,
    start: Option<StartRecord>,
    /// The sealed records, in the order of ordinals.
    sealed: Vec<SegmentRecord>,
    last: Option<IndexRecord>,
    /// Whether the last record is durable.
    durability: Durability,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Durability {
    Synced,
    Written,
}

impl IndexWriter {
    /// A writer behind the `len` bytes of an index that holds these records, durable.
    pub(crate) fn new(dir: Arc<StreamDir>, len: u64, records: &[IndexRecord]) -> Self {
        let mut sealed = Vec::new();
        let mut start = None;
        for record in records {
            match *record {
                IndexRecord::Sealed(record) => sealed.push(record),
                IndexRecord::Start(record) => start = Some(record),
                IndexRecord::Floor(_) => {}
            }
        }
        let last = records.last().copied();
        Self { dir, len, start, sealed, last, durability: Durability::Synced }
    }

    /// As [`new`](Self::new), of an index that was found so and may not be durable.
    pub(crate) fn found(dir: Arc<StreamDir>, len: u64, records: &[IndexRecord]) -> Self {
        Self { durability: Durability::Written, ..Self::new(dir, len, records) }
    }

    /// Opens the index, for [`append`](Self::append). It is opened for each record and closed again,
    /// so that a stream holds one file.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub(crate) fn open(dir: &StreamDir) -> Result<Arc<dyn StorageFile>, Error> {
        let path = dir.path().join(INDEX_FILE);
        dir.storage()
            .open(path, OpenMode::ReadWrite)
            .map_err(|source| Error::io(dir.display(INDEX_FILE), IoOp::Open, source))
    }

    /// As [`open`](Self::open), with space reserved for one record, where that can be done: what
    /// stands there until the record does are zeros, which is a torn end.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub(crate) fn open_with_room(dir: &StreamDir) -> Result<Arc<dyn StorageFile>, Error> {
        let file = Self::open(dir)?;
        let failed = |op| move |source| Error::io(dir.display(INDEX_FILE), op, source);
        let len = file.file_len().map_err(failed(IoOp::Read))?;
        match allocate(&*file, len + cast::u64_from(RECORD_LEN)) {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(file),
            reserved => reserved.map(|()| file).map_err(failed(IoOp::Allocate)),
        }
    }

    /// Appends a record and makes it durable, after what is in front of it: a crash leaves no valid record
    /// behind a bad one.
    ///
    /// # Errors
    ///
    /// Those of the operating system: the stream has to be fenced then.
    pub(crate) fn append(
        &mut self,
        file: &dyn StorageFile,
        record: IndexRecord,
    ) -> Result<(), Error> {
        self.settle(file)?;
        self.note(file, record)?;
        self.sync(file)
    }

    /// Makes durable what is in front of the next record, if it may not be.
    ///
    /// # Errors
    ///
    /// Those of the operating system: the stream has to be fenced then.
    pub(crate) fn settle(&mut self, file: &dyn StorageFile) -> Result<(), Error> {
        match self.durability {
            Durability::Synced => Ok(()),
            Durability::Written => self.sync(file),
        }
    }

    /// Appends a record without making it durable. What is in front of it must be.
    ///
    /// # Errors
    ///
    /// Those of the operating system: the next record takes its place.
    pub(crate) fn note(
        &mut self,
        file: &dyn StorageFile,
        record: IndexRecord,
    ) -> Result<(), Error> {
        let bytes = encode_record(record, self.dir.id(), self.len);
        write_all(file, &bytes, self.len).map_err(|source| self.failed(IoOp::Write, source))?;
        self.len += cast::u64_from(RECORD_LEN);
        self.last = Some(record);
        self.durability = Durability::Written;
        if let IndexRecord::Sealed(record) = record {
            self.sealed.push(record);
        }
        Ok(())
    }

    /// Makes all records durable.
    ///
    /// # Errors
    ///
    /// Those of the operating system: nothing is known of the last record then.
    pub(crate) fn sync(&mut self, file: &dyn StorageFile) -> Result<(), Error> {
        file.sync_data().map_err(|source| self.failed(IoOp::Sync, source))?;
        self.durability = Durability::Synced;
        Ok(())
    }

    /// Replaces the index by one that begins with `start`, keeps the sealed records from there on, and
    /// ends in `floor`; durable when this returns.
    ///
    /// # Errors
    ///
    /// [`TruncateError::NotBegun`] while the index was not touched, else [`TruncateError::Unknown`]: which
    /// of the two indexes counts is not known then.
    pub(crate) fn replace(
        &mut self,
        start: StartRecord,
        floor: SegmentRecord,
    ) -> Result<(), TruncateError> {
        let kept = self.sealed.iter().filter(|record| record.ordinal >= start.ordinal);
        let sealed: Vec<_> = kept.copied().collect();
        let records: Vec<_> = [IndexRecord::Start(start)]
            .into_iter()
            .chain(sealed.iter().copied().map(IndexRecord::Sealed))
            .chain([IndexRecord::Floor(floor)])
            .collect();
        let len =
            write_new(&self.dir, INDEX_TEMP_FILE, &records).map_err(TruncateError::NotBegun)?;
        rename_new(&self.dir).map_err(|error| {
            // A directory that cannot be opened, for want of a handle, was not renamed in.
            if error.is_out_of_files() {
                TruncateError::NotBegun(error)
            } else {
                TruncateError::Unknown(error)
            }
        })?;
        self.dir.sync().map_err(|error| TruncateError::Unknown(error.into()))?;
        *self = Self::new(Arc::clone(&self.dir), len, &records);
        Ok(())
    }

    /// The record that the index ends in.
    pub(crate) const fn last(&self) -> Option<IndexRecord> {
        self.last
    }

    /// Whether the index ends in this record, and that needs no sync.
    pub(crate) fn ends_in_synced(&self, record: IndexRecord) -> bool {
        self.last == Some(record) && self.durability == Durability::Synced
    }

    /// The ordinal below which everything is gone.
    pub(crate) fn start_ordinal(&self) -> Ordinal {
        self.start.map_or(Ordinal::ZERO, |start| start.ordinal)
    }

    fn failed(&self, op: IoOp, source: std::io::Error) -> Error {
        Error::io(self.dir.display(INDEX_FILE), op, source)
    }
}
