//! Syncs that fail, by their numbers.

use std::collections::BTreeMap;

use super::SimStorage;

/// What a sync that fails does to what it should have made durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SyncFailure {
    /// Calls still see it, but it counts as clean: no later sync makes it durable unless it is
    /// written again, and any part of it may have reached the disk. As on ext4 and XFS.
    KeepCache,
    /// Calls see what was durable before; a file keeps its length. As on Btrfs.
    DropCache,
    /// Names stay as with [`KeepCache`](Self::KeepCache), but only until the log is locked again: it is relied
    /// on that a sync for another opening does not succeed without having been done.
    KeepNames,
}

/// What a sync is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Synced {
    File,
    Names,
    RootNames,
}

/// Which syncs fail, and how many there were.
#[derive(Debug, Default)]
pub(super) struct FailingSyncs {
    count: u64,
    file_count: u64,
    root_count: u64,
    failed: Vec<SyncFailure>,
    any: BTreeMap<u64, SyncFailure>,
    of_files: BTreeMap<u64, SyncFailure>,
    of_root: BTreeMap<u64, SyncFailure>,
}

impl FailingSyncs {
    /// Counts a call to sync: the way it fails, if it does.
    pub(super) fn begin(&mut self, synced: Synced) -> Option<SyncFailure> {
        let mut failure = self.any.get(&self.count).copied();
        self.count += 1;
        match synced {
            Synced::File => {
                failure = failure.or(self.of_files.get(&self.file_count).copied());
                self.file_count += 1;
            }
            Synced::RootNames => {
                failure = failure.or(self.of_root.get(&self.root_count).copied());
                self.root_count += 1;
            }
            Synced::Names => {}
        }
        self.failed.extend(failure);
        failure
    }
}

impl SimStorage {
    /// How many calls to sync there were, of files and directories; the next one has this number.
    pub fn sync_count(&self) -> u64 {
        self.machine().syncs.count
    }

    /// Lets the call to sync with this number fail, in this way; how many do is not limited.
    pub fn fail_sync_at(&self, sync: u64, failure: SyncFailure) {
        self.machine().syncs.any.insert(sync, failure);
    }

    /// As [`fail_sync_at`](Self::fail_sync_at), where only syncs of files are counted: from here on, the
    /// next one being number 0.
    pub fn fail_file_sync_at(&self, sync: u64, failure: SyncFailure) {
        let syncs = &mut self.machine().syncs;
        syncs.of_files.insert(syncs.file_count + sync, failure);
    }

    /// As [`fail_file_sync_at`](Self::fail_file_sync_at), for syncs of the root.
    pub fn fail_root_sync_at(&self, sync: u64, failure: SyncFailure) {
        let syncs = &mut self.machine().syncs;
        syncs.of_root.insert(syncs.root_count + sync, failure);
    }

    /// How many syncs have failed in this way.
    pub fn failed_sync_count(&self, failure: SyncFailure) -> usize {
        self.machine().syncs.failed.iter().filter(|failed| **failed == failure).count()
    }
}
