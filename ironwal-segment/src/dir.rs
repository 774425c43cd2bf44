//! The directory of one stream, as its segments see it.

use std::path::PathBuf;
use std::sync::Arc;

use ironwal_format::checksum::Salt;
use ironwal_format::names::{StreamKey, segment_file_name};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber, StreamId};

use crate::error::{Error, IoOp};
use crate::io::write_all;
use crate::storage::{OpenMode, Storage, StorageFile, StoragePath};

/// Where the segments of one incarnation of a stream are.
#[derive(Debug)]
pub struct StreamDir {
    storage: Arc<dyn Storage>,
    name: Box<str>,
    key: StreamKey,
    id: StreamId,
}

/// Which segment of its stream: its file name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SegmentName {
    /// The number of its first entry.
    pub base: SequenceNumber,
    /// Its place in the order of creation.
    pub ordinal: Ordinal,
}

impl SegmentName {
    /// The name of the file.
    pub fn file_name(self) -> String {
        segment_file_name(self.base, self.ordinal)
    }
}

impl StreamDir {
    /// The directory called `name`, which holds this incarnation of this stream.
    pub fn new(storage: Arc<dyn Storage>, name: &str, key: StreamKey, id: StreamId) -> Self {
        Self { storage, name: name.into(), key, id }
    }

    /// What it is in.
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// What it is in, to be shared.
    pub fn shared_storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    /// The key of the stream.
    pub const fn key(&self) -> &StreamKey {
        &self.key
    }

    /// The incarnation of the stream.
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// The directory itself.
    pub fn path(&self) -> StoragePath<'_> {
        StoragePath::new(&self.name)
    }

    /// What to call a file of it in messages.
    pub fn display(&self, file_name: &str) -> PathBuf {
        self.storage.display(self.path().join(file_name))
    }

    /// The salt of a segment.
    pub fn salt(&self, ordinal: Ordinal) -> Salt {
        Salt::of(self.id, ordinal)
    }

    /// The length of the header of each segment.
    pub fn header_len(&self) -> u64 {
        SegmentHeader::len_for(&self.key)
    }

    /// Opens a segment.
    ///
    /// # Errors
    ///
    /// Those of [`Storage::open`]. The file is not looked into.
    pub fn open_segment(
        &self,
        segment: SegmentName,
        mode: OpenMode,
    ) -> Result<Arc<dyn StorageFile>, Error> {
        let name = segment.file_name();
        self.storage
            .open(self.path().join(&name), mode)
            .map_err(|source| Error::io(self.display(&name), IoOp::Open, source))
    }

    /// Makes a segment and writes its header. Neither its bytes nor its name are durable yet.
    ///
    /// A file of that name is in the way only if making it failed half-way before: it holds no frame
    /// that anyone was told of, and is replaced.
    ///
    /// # Errors
    ///
    /// Those of the operating system. There may be a file without a valid header then.
    pub fn create_segment(
        &self,
        segment: SegmentName,
        created_unix_nanos: u64,
    ) -> Result<Arc<dyn StorageFile>, Error> {
        let name = segment.file_name();
        let path = self.path().join(&name);
        let failed = |op, source| Error::io(self.display(&name), op, source);
        let file = match self.storage.open(path, OpenMode::CreateNew) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.storage.unlink(path).map_err(|source| failed(IoOp::Unlink, source))?;
                self.storage.open(path, OpenMode::CreateNew)
            }
            opened => opened,
        }
        .map_err(|source| failed(IoOp::Create, source))?;
        let header = SegmentHeader {
            base: segment.base,
            ordinal: segment.ordinal,
            id: self.id,
            key: self.key.clone(),
            created_unix_nanos,
        };
        write_all(&*file, &header.encode(), 0).map_err(|source| failed(IoOp::Write, source))?;
        Ok(file)
    }

    /// Makes the names in the directory durable.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn sync(&self) -> Result<(), Error> {
        let failed = |source| Error::io(self.storage.display(self.path()), IoOp::SyncDir, source);
        self.storage.sync_dir(self.path()).map_err(failed)
    }
}
