//! The storage, and the open file, that faults stand in front of.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use ironwal_format::cast;
use ironwal_segment::storage::{
    DirEntry, MapKind, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

use super::fault::{Effect, refuse};
use super::{Faults, Op, Passing};

/// How many of `len` bytes are moved: half, and at least one, so that no loop stands still.
fn short(len: usize) -> usize {
    if len < 2 { len } else { len / 2 }
}

/// A storage that goes wrong as its [`Faults`] say.
#[derive(Clone, Debug)]
pub struct FaultyStorage {
    inner: Arc<dyn Storage>,
    faults: Faults,
}

impl FaultyStorage {
    /// Puts faults in front of a storage; without any, calls are only counted.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self::with_faults(inner, Faults::new())
    }

    /// As [`new`](Self::new), with faults that may be those of another storage, too.
    pub fn with_faults(inner: Arc<dyn Storage>, faults: Faults) -> Self {
        FaultyStorage { inner, faults }
    }

    /// The handle to say through what goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

/// `name` or `name/name`, or nothing for the root.
fn path_text(path: StoragePath<'_>) -> String {
    path.names().collect::<Vec<_>>().join("/")
}

impl Storage for FaultyStorage {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let text = path_text(path);
        let op = match mode {
            OpenMode::Read | OpenMode::ReadWrite => Op::Open,
            OpenMode::CreateNew => Op::Create,
        };
        self.faults.begin_whole(op, &[&text])?;
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(FaultyFile { inner, path: text, faults: self.faults.clone() }))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.faults.begin_whole(Op::CreateDir, &[&path_text(path)])?;
        self.inner.create_dir(path)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.faults.begin_whole(Op::RemoveDir, &[&path_text(path)])?;
        self.inner.remove_dir(path)
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        self.faults.begin_whole(Op::Rename, &[&path_text(from), &path_text(to)])?;
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.faults.begin_whole(Op::Unlink, &[&path_text(path)])?;
        self.inner.unlink(path)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        self.faults.begin_whole(Op::List, &[&path_text(dir)])?;
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        match self.faults.begin_sync(Op::SyncDir, &path_text(dir))? {
            Passing::On => self.inner.sync_dir(dir),
            Passing::Forgotten => Ok(()),
        }
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.faults.begin_whole(Op::Lock, &[&path_text(path)])?;
        self.inner.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}

/// An open file that goes wrong alike.
#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn StorageFile>,
    path: String,
    faults: Faults,
}

impl FaultyFile {
    fn begin_whole(&self, op: Op) -> io::Result<()> {
        self.faults.begin_whole(op, &[&self.path])
    }

    /// Counts a call that moves `len` bytes: how many it moves.
    fn begin_part(&self, op: Op, len: usize) -> io::Result<usize> {
        match self.faults.begin(op, &[&self.path]) {
            None => Ok(len),
            Some(Effect::Short | Effect::ShortThen(_)) => Ok(short(len)),
            Some(Effect::NearlyThen(_)) => Ok(len.saturating_sub(1).max(len.min(1))),
            Some(effect) => refuse(effect).map(|()| len),
        }
    }
}

impl StorageFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = self.begin_part(Op::Read, buf.len())?;
        self.inner.read_at(buf.get_mut(..len).unwrap_or_default(), offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let part = self.begin_part(Op::Write, bytes.len())?;
        let bytes = bytes.get(..part).unwrap_or_default();
        if bytes.is_empty() || !self.faults.is_limited() {
            return self.inner.write_at(bytes, offset);
        }
        let len = self.inner.file_len()?;
        let end = offset.saturating_add(cast::u64_from(bytes.len()));
        let granted_end = self.faults.take_room(len, end);
        let taken = granted_end.saturating_sub(len);
        let Some(room) = granted_end.checked_sub(offset).filter(|&room| room > 0) else {
            self.faults.give_back(taken);
            return Err(io::ErrorKind::StorageFull.into());
        };
        let written =
            self.inner.write_at(bytes.get(..cast::usize_from(room)).unwrap_or(bytes), offset);
        let written_end = match &written {
            Ok(count) => offset.saturating_add(cast::u64_from(*count)),
            Err(_) => 0,
        };
        self.faults.give_back(taken - written_end.saturating_sub(len).min(taken));
        written
    }

    fn file_len(&self) -> io::Result<u64> {
        self.begin_whole(Op::FileLen)?;
        self.inner.file_len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.begin_whole(Op::SetLen)?;
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.begin_whole(Op::Allocate)?;
        if !self.faults.is_limited() {
            return self.inner.allocate(len);
        }
        let current_len = self.inner.file_len()?;
        let granted_len = self.faults.take_room(current_len, len);
        let taken = granted_len.saturating_sub(current_len);
        if granted_len < len {
            self.faults.give_back(taken);
            return Err(io::ErrorKind::StorageFull.into());
        }
        let allocated = self.inner.allocate(len);
        if allocated.is_err() {
            self.faults.give_back(taken);
        }
        allocated
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.faults.begin_sync(Op::SyncData, &self.path)? {
            Passing::On => self.inner.sync_data(),
            Passing::Forgotten => Ok(()),
        }
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.begin_whole(Op::Map)?;
        self.inner.map(len)
    }

    fn map_kind(&self) -> MapKind {
        self.inner.map_kind()
    }
}
