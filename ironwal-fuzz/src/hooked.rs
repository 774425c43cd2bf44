//! A storage that asks before every call, and may change what a read gives: for tests that need two
//! threads at certain places at once.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use ironwal_segment::storage::{
    DirEntry, MapKind, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

use crate::faults::Op;

/// What is asked: the kind of the call and its path as `dir/name`. An error is what the call gives.
type Before = dyn Fn(Op, &str) -> io::Result<()> + Send + Sync;

/// What sees, and may change, the bytes that a read of a path gave.
type AfterRead = dyn Fn(&str, &mut [u8]) + Send + Sync;

/// A storage that asks before every call.
#[derive(Clone)]
pub struct HookedStorage {
    inner: Arc<dyn Storage>,
    before: Arc<Before>,
    after_read: Arc<AfterRead>,
}

#[derive(Clone)]
struct HookedFile {
    inner: Arc<dyn StorageFile>,
    hooks: HookedStorage,
    path: String,
}

impl HookedStorage {
    /// Asks `before` for each call on `inner`.
    pub fn new(
        inner: Arc<dyn Storage>,
        before: impl Fn(Op, &str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, before: Arc::new(before), after_read: Arc::new(|_, _| ()) }
    }

    /// Shows `after_read` what each read gives.
    #[must_use]
    pub fn with_reads(self, after_read: impl Fn(&str, &mut [u8]) + Send + Sync + 'static) -> Self {
        Self { after_read: Arc::new(after_read), ..self }
    }

    fn ask(&self, op: Op, path: StoragePath<'_>) -> io::Result<()> {
        (self.before)(op, &joined(path))
    }
}

fn joined(path: StoragePath<'_>) -> String {
    path.names().collect::<Vec<_>>().join("/")
}

impl Storage for HookedStorage {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let op = if mode == OpenMode::CreateNew { Op::Create } else { Op::Open };
        self.ask(op, path)?;
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(HookedFile { inner, hooks: self.clone(), path: joined(path) }))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.ask(Op::CreateDir, path)?;
        self.inner.create_dir(path)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.ask(Op::RemoveDir, path)?;
        self.inner.remove_dir(path)
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        self.ask(Op::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.ask(Op::Unlink, path)?;
        self.inner.unlink(path)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        self.ask(Op::List, dir)?;
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        self.ask(Op::SyncDir, dir)?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.ask(Op::Lock, path)?;
        self.inner.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}

impl HookedFile {
    fn ask(&self, op: Op) -> io::Result<()> {
        (self.hooks.before)(op, &self.path)
    }
}

impl StorageFile for HookedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.ask(Op::Read)?;
        let read = self.inner.read_at(buf, offset)?;
        (self.hooks.after_read)(&self.path, buf.get_mut(..read).unwrap_or_default());
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.ask(Op::Write)?;
        self.inner.write_at(bytes, offset)
    }

    fn file_len(&self) -> io::Result<u64> {
        self.ask(Op::FileLen)?;
        self.inner.file_len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.ask(Op::SetLen)?;
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.ask(Op::Allocate)?;
        self.inner.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.ask(Op::SyncData)?;
        self.inner.sync_data()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.ask(Op::Map)?;
        self.inner.map(len)
    }

    fn map_kind(&self) -> MapKind {
        self.inner.map_kind()
    }
}

impl fmt::Debug for HookedStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookedStorage({:?})", self.inner)
    }
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookedFile({:?})", self.path)
    }
}
