//! A storage whose root is never synced again after a sync of it failed.
//!
//! All streams share the root, and a failed sync is told once: another stream's sync of the root, or a
//! second one, may then return success for a name that is lost. So the syncs of the root are made one
//! after the other, and after one that failed no stream is made, until the log is opened anew. Streams
//! that are there already do not need the root.
//!
//! Threads that make streams at the same time share its syncs, by a group commit that counts who asked.
//!
//! Lock order: the group's lock is the last of all, and not held during a sync.

use std::io;
use std::path::PathBuf;

use ironwal_segment::storage::{
    DirEntry, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

use crate::commit::{GroupClosed, GroupCommit, LeaderGone};
use crate::sync::FileArc;
use crate::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct RootLatch {
    inner: FileArc<dyn Storage>,
    /// How often somebody asked for a sync of the root.
    asked: AtomicU64,
    syncs: GroupCommit<(), Failed>,
}

/// Why the root is not synced any more.
#[derive(Clone, Copy, Debug)]
struct Failed(io::ErrorKind);

/// What is told of a sync that failed to all but the one who made it.
#[derive(Debug, thiserror::Error)]
#[error("a sync of the root failed: close the log and open it again")]
struct FailedBefore;

impl From<LeaderGone> for Failed {
    fn from(_: LeaderGone) -> Self {
        Self(io::ErrorKind::Other)
    }
}

impl From<GroupClosed> for Failed {
    fn from(_: GroupClosed) -> Self {
        Self(io::ErrorKind::Other)
    }
}

impl RootLatch {
    pub(crate) fn new(inner: FileArc<dyn Storage>) -> Self {
        Self { inner, asked: AtomicU64::new(0), syncs: GroupCommit::new(0, ()) }
    }

    fn sync_root(&self) -> io::Result<()> {
        let on_way = self.syncs.approach();
        // The names that it is about are there: a sync that begins behind this covers them.
        let asked = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut told = None;
        let synced = on_way.commit(asked, |()| {
            let covered = self.asked.load(Ordering::Acquire);
            match self.inner.sync_dir(StoragePath::ROOT) {
                Ok(()) => Ok(covered),
                Err(error) => {
                    let failed = Failed(error.kind());
                    told = Some(error);
                    Err(failed)
                }
            }
        });
        synced.map_err(|Failed(kind)| told.unwrap_or_else(|| io::Error::new(kind, FailedBefore)))
    }
}

impl Storage for RootLatch {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<FileArc<dyn StorageFile>> {
        self.inner.open(path, mode)
    }

    fn file_lens(&self, dir: StoragePath<'_>, names: &[String]) -> io::Result<Vec<u64>> {
        self.inner.file_lens(dir, names)
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
        if dir == StoragePath::ROOT { self.sync_root() } else { self.inner.sync_dir(dir) }
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.inner.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}

#[cfg(all(test, not(ironwal_loom)))]
mod tests {
    use ironwal_segment::storage::MemStorage;

    use super::*;
    use crate::sync::{Condvar, Mutex, thread};

    /// A storage whose first sync of the root lasts until it is told what comes of it.
    #[derive(Debug)]
    struct Slow {
        below: MemStorage,
        root: Mutex<Root>,
        moved: Condvar,
    }

    #[derive(Debug, Default)]
    struct Root {
        sync_count: u32,
        /// What the first sync gives.
        outcome: Option<Result<(), io::ErrorKind>>,
    }

    impl Storage for Slow {
        fn open(&self, _: StoragePath<'_>, _: OpenMode) -> io::Result<FileArc<dyn StorageFile>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
            self.below.create_dir(path)
        }

        fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
            self.below.remove_dir(path)
        }

        fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
            self.below.rename(from, to)
        }

        fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
            self.below.unlink(path)
        }

        fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
            self.below.list(dir)
        }

        fn sync_dir(&self, _: StoragePath<'_>) -> io::Result<()> {
            let mut root = self.root.lock();
            root.sync_count += 1;
            self.moved.notify_all();
            loop {
                match root.outcome {
                    Some(outcome) if root.sync_count == 1 => return outcome.map_err(Into::into),
                    Some(_) => return Ok(()),
                    None => root = self.moved.wait(root),
                }
            }
        }

        fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
            self.below.lock(path)
        }

        fn display(&self, path: StoragePath<'_>) -> PathBuf {
            self.below.display(path)
        }
    }

    /// What four callers are told who come while the sync of a first one runs, and how many syncs there were.
    fn sync_of_five(
        outcome: Result<(), io::ErrorKind>,
    ) -> (io::Result<()>, Vec<io::Result<()>>, u32) {
        let (root, moved) = (Mutex::default(), Condvar::new());
        let slow = FileArc::new(Slow { below: MemStorage::new(), root, moved });
        let latch = RootLatch::new(FileArc::<Slow>::clone(&slow));
        let sync = || latch.sync_dir(StoragePath::ROOT);
        let (first, others) = thread::scope(|scope| {
            let first = scope.spawn(sync);
            let mut root = slow.root.lock();
            while root.sync_count == 0 {
                root = slow.moved.wait(root);
            }
            drop(root);
            let others: Vec<_> = (0..4).map(|_| scope.spawn(sync)).collect();
            while latch.asked.load(Ordering::SeqCst) < 5 {
                thread::yield_now();
            }
            slow.root.lock().outcome = Some(outcome);
            slow.moved.notify_all();
            let others = others
                .into_iter()
                .map(|other| other.join().expect("it has not panicked"))
                .collect();
            (first.join().expect("it has not panicked"), others)
        });
        let sync_count = slow.root.lock().sync_count;
        (first, others, sync_count)
    }

    #[test]
    fn those_who_come_while_the_root_is_synced_share_the_next_sync() {
        for _ in 0..50 {
            let (first, others, sync_count) = sync_of_five(Ok(()));
            first.unwrap();
            others.into_iter().collect::<io::Result<()>>().unwrap();
            assert_eq!(sync_count, 2);
        }
    }

    #[test]
    fn a_sync_of_the_root_that_failed_is_the_last() {
        for _ in 0..50 {
            let (first, others, sync_count) = sync_of_five(Err(io::ErrorKind::StorageFull));
            assert_eq!(first.unwrap_err().kind(), io::ErrorKind::StorageFull);
            for other in others {
                let error = other.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                assert!(error.to_string().contains("open it again"), "{error}");
            }
            assert_eq!(sync_count, 1);
        }
    }
}
