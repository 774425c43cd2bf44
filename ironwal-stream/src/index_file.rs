//! The file `segments.idx`: reading it whole, appending to it, replacing it.

use std::sync::Arc;

use ironwal_format::cast;
use ironwal_format::index::{
    IndexContents, IndexError, IndexRecord, MAX_INDEX_LEN, RECORD_LEN, encode_header,
    encode_record, read_index,
};
use ironwal_format::names::{INDEX_FILE, INDEX_TEMP_FILE};
use ironwal_segment::io::{allocate, read_up_to, write_all};
use ironwal_segment::storage::{OpenMode, Storage, StorageFile, StoragePath};
use ironwal_segment::{IoOp, StreamDir};

use crate::error::Error;

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
    let (from, to) = (dir.path().join(INDEX_TEMP_FILE), dir.path().join(INDEX_FILE));
    let failed = |source| Error::io(dir.display(INDEX_TEMP_FILE), IoOp::Rename, source);
    dir.storage().rename(from, to).map_err(failed)?;
    dir.sync()?;
    Ok(len)
}

/// Appends records to the index.
#[derive(Debug)]
pub(crate) struct IndexWriter {
    dir: Arc<StreamDir>,
    len: u64,
    last: Option<IndexRecord>,
}

impl IndexWriter {
    /// A writer behind the `len` bytes of an index that ends in `last`.
    pub(crate) const fn new(dir: Arc<StreamDir>, len: u64, last: Option<IndexRecord>) -> Self {
        Self { dir, len, last }
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

    /// Appends a record and makes it durable.
    ///
    /// # Errors
    ///
    /// Those of the operating system: the stream has to be fenced then.
    pub(crate) fn append(
        &mut self,
        file: &dyn StorageFile,
        record: IndexRecord,
    ) -> Result<(), Error> {
        let failed = |op| {
            let dir = &self.dir;
            move |source| Error::io(dir.display(INDEX_FILE), op, source)
        };
        let bytes = encode_record(record, self.dir.id(), self.len);
        write_all(file, &bytes, self.len).map_err(failed(IoOp::Write))?;
        file.sync_data().map_err(failed(IoOp::Sync))?;
        self.len += cast::u64_from(RECORD_LEN);
        self.last = Some(record);
        Ok(())
    }

    /// The record that the index ends in.
    pub(crate) const fn last(&self) -> Option<IndexRecord> {
        self.last
    }
}
