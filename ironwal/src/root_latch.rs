//! A storage whose root is never synced again after a sync of it failed.
//!
//! All streams share the root, and a failed sync is told once: another stream's sync of the root, or a
//! second one, may then return success for a name that is lost. So the syncs of the root are made one
//! after the other, and after one that failed no stream is made, until the log is opened anew. Streams
//! that are there already do not need the root.
//!
//! Lock order: the latch is the last of all. It is held during the sync of the root, which is what it is
//! for: the operating system makes them one after the other as well.

use std::io;
use std::path::PathBuf;

use ironwal_segment::storage::{
    DirEntry, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

use crate::sync::{FileArc, Mutex};

#[derive(Debug)]
pub(crate) struct RootLatch {
    inner: FileArc<dyn Storage>,
    failed: Mutex<Option<io::ErrorKind>>,
}

/// Why the root is not synced any more.
#[derive(Debug, thiserror::Error)]
#[error("an earlier sync of the root failed: close the log and open it again")]
struct FailedBefore;

impl RootLatch {
    pub(crate) fn new(inner: FileArc<dyn Storage>) -> Self {
        Self { inner, failed: Mutex::new(None) }
    }
}

impl Storage for RootLatch {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<FileArc<dyn StorageFile>> {
        self.inner.open(path, mode)
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
        if dir != StoragePath::ROOT {
            return self.inner.sync_dir(dir);
        }
        let mut failed = self.failed.lock();
        if let Some(kind) = *failed {
            return Err(io::Error::new(kind, FailedBefore));
        }
        let synced = self.inner.sync_dir(dir);
        *failed = synced.as_ref().err().map(io::Error::kind);
        synced
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.inner.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}
