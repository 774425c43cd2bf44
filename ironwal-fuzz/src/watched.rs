//! A wrapper of any storage that counts the handles that are held and the cuts that are refused, and panics in
//! a sync on demand.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use ironwal_segment::io::is_out_of_files;
use ironwal_segment::storage::{
    DirEntry, MapKind, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

/// A storage that knows how many of its files are open. Clones share it.
#[derive(Clone, Debug)]
pub struct WatchedStorage {
    inner: Arc<dyn Storage>,
    watch: Arc<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    held: AtomicUsize,
    most_held: AtomicUsize,
    refused_cuts: AtomicU64,
    panics: AtomicBool,
}

impl WatchedStorage {
    /// Watches a storage.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        WatchedStorage { inner, watch: Arc::default() }
    }

    /// How many handles of files there are.
    pub fn held_count(&self) -> usize {
        self.watch.held.load(Ordering::SeqCst)
    }

    /// How many there were at most.
    pub fn most_held_count(&self) -> usize {
        self.watch.most_held.load(Ordering::SeqCst)
    }

    /// How often a file could not be given another length, but for reasons that pass.
    pub fn refused_cut_count(&self) -> u64 {
        self.watch.refused_cuts.load(Ordering::SeqCst)
    }

    /// Lets the next sync of a file panic, when the storage below has done it.
    pub fn panic_in_next_sync(&self) {
        self.watch.panics.store(true, Ordering::SeqCst);
    }
}

impl Storage for WatchedStorage {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let inner = self.inner.open(path, mode)?;
        let held = self.watch.held.fetch_add(1, Ordering::SeqCst) + 1;
        self.watch.most_held.fetch_max(held, Ordering::SeqCst);
        Ok(Arc::new(WatchedFile { inner, watch: Arc::clone(&self.watch) }))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.inner.create_dir(path)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.inner.unlink(path)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.inner.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}

/// Whether the call is made again for it: after an interruption, and when a handle was given back.
fn is_tried_again(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted || is_out_of_files(error)
}

/// An open file that is counted while it is.
#[derive(Debug)]
struct WatchedFile {
    inner: Arc<dyn StorageFile>,
    watch: Arc<Watch>,
}

impl StorageFile for WatchedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.inner.write_at(bytes, offset)
    }

    fn file_len(&self) -> io::Result<u64> {
        self.inner.file_len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let set = self.inner.set_len(len);
        if set.as_ref().is_err_and(|error| !is_tried_again(error)) {
            self.watch.refused_cuts.fetch_add(1, Ordering::SeqCst);
        }
        set
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let synced = self.inner.sync_data();
        assert!(!self.watch.panics.swap(false, Ordering::SeqCst), "a panic that was asked for");
        synced
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.inner.map(len)
    }

    fn map_kind(&self) -> MapKind {
        self.inner.map_kind()
    }
}

impl Drop for WatchedFile {
    fn drop(&mut self) {
        self.watch.held.fetch_sub(1, Ordering::SeqCst);
    }
}
