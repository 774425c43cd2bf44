//! A storage on the operating system's files that asks before every call.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ironwal::storage::{
    DirEntry, MapKind, OpenMode, StdStorage, Storage, StorageFile, StorageLock, StoragePath,
};
use ironwal::{Environment, Wal, WalOptions};

/// What is about to be called.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Call {
    Open,
    Create,
    Read,
    Write,
    Len,
    SetLen,
    Allocate,
    Sync,
    Map,
    CreateDir,
    RemoveDir,
    Rename,
    Unlink,
    List,
    SyncDir,
    Lock,
}

type Before = dyn Fn(Call, &str) -> io::Result<()> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Hooked {
    inner: Arc<dyn Storage>,
    before: Arc<Before>,
}

#[derive(Clone)]
struct HookedFile {
    inner: Arc<dyn StorageFile>,
    before: Arc<Before>,
    path: String,
}

/// Opens a log that asks `before` for each call, with its path as `dir/name`; an error is what the call
/// gives.
pub(crate) fn open(
    root: &Path,
    options: WalOptions,
    before: impl Fn(Call, &str) -> io::Result<()> + Send + Sync + 'static,
) -> Wal {
    Wal::open_in(environment(root, before), options).unwrap()
}

/// What such a log is opened in.
pub(crate) fn environment(
    root: &Path,
    before: impl Fn(Call, &str) -> io::Result<()> + Send + Sync + 'static,
) -> Environment {
    let inner = Arc::new(StdStorage::create(root).unwrap());
    Environment::new(Arc::new(Hooked { inner, before: Arc::new(before) }))
}

/// How often what was called, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<Mutex<BTreeMap<(Call, String), usize>>>);

impl Counter {
    /// What counts calls.
    pub(crate) fn hook(&self) -> impl Fn(Call, &str) -> io::Result<()> + Send + Sync + 'static {
        let counter = self.clone();
        move |call, path| {
            *counter.0.lock().unwrap().entry((call, path.to_owned())).or_default() += 1;
            Ok(())
        }
    }

    /// What was called since this was asked last.
    pub(crate) fn take(&self) -> BTreeMap<(Call, String), usize> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// How many calls there were since this was asked last.
    pub(crate) fn take_count(&self) -> usize {
        self.take().values().sum()
    }
}

/// A place where one thread waits for another, with an end.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    moved: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.moved.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.is_open.lock().unwrap()
    }

    /// Waits until the gate is open.
    pub(crate) fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        let waited = self.moved.wait_timeout_while(is_open, Duration::from_mins(1), |open| !*open);
        let is_open = *waited.unwrap().0;
        assert!(is_open, "nobody opens the gate");
    }
}

fn joined(path: StoragePath<'_>) -> String {
    path.names().collect::<Vec<_>>().join("/")
}

impl Hooked {
    fn ask(&self, call: Call, path: StoragePath<'_>) -> io::Result<()> {
        (self.before)(call, &joined(path))
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").finish_non_exhaustive()
    }
}

impl fmt::Debug for HookedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Storage for Hooked {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        self.ask(if mode == OpenMode::CreateNew { Call::Create } else { Call::Open }, path)?;
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(HookedFile { inner, before: Arc::clone(&self.before), path: joined(path) }))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.ask(Call::CreateDir, path)?;
        self.inner.create_dir(path)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.ask(Call::RemoveDir, path)?;
        self.inner.remove_dir(path)
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        self.ask(Call::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.ask(Call::Unlink, path)?;
        self.inner.unlink(path)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        self.ask(Call::List, dir)?;
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        self.ask(Call::SyncDir, dir)?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.ask(Call::Lock, path)?;
        self.inner.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}

impl StorageFile for HookedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (self.before)(Call::Read, &self.path)?;
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        (self.before)(Call::Write, &self.path)?;
        self.inner.write_at(bytes, offset)
    }

    fn file_len(&self) -> io::Result<u64> {
        (self.before)(Call::Len, &self.path)?;
        self.inner.file_len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        (self.before)(Call::SetLen, &self.path)?;
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        (self.before)(Call::Allocate, &self.path)?;
        self.inner.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        (self.before)(Call::Sync, &self.path)?;
        self.inner.sync_data()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        (self.before)(Call::Map, &self.path)?;
        self.inner.map(len)
    }

    fn map_kind(&self) -> MapKind {
        self.inner.map_kind()
    }
}
