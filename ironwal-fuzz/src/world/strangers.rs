//! Files that somebody else puts into the directories of streams: the log leaves them alone.

use std::collections::BTreeMap;
use std::io;

use ironwal_format::names::{StreamFileName, StreamKey, torn_file_name};
use ironwal_segment::io::write_all;
use ironwal_segment::storage::{OpenMode, StoragePath};

use super::World;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::sim_storage::SimStorage;
use crate::tally;

/// What strangers have put somewhere, by its name.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    count: u64,
    there: BTreeMap<String, Vec<u8>>,
}

impl World {
    /// Puts two files into the directory of a stream, if there is one: one with a name of its own, and one with
    /// that of its last segment as if that had been set aside before. A machine that fails may refuse it.
    ///
    /// # Errors
    ///
    /// I21, if a key is none.
    pub(super) fn visit(&mut self, stream: usize) -> Result<(), Violation> {
        let no_key = |error| Violation::new(Invariant::I21, format!("{error}"));
        let key = StreamKey::new(&Self::key(stream)).map_err(no_key)?;
        let dir = key.dir_name();
        let Ok(found) = self.storage.list(StoragePath::new(&dir)) else {
            return Ok(());
        };
        let segments = found.iter().filter_map(|entry| match StreamFileName::of(&entry.name) {
            StreamFileName::Segment { base, ordinal } => Some((ordinal, base)),
            StreamFileName::Index
            | StreamFileName::IndexTemp
            | StreamFileName::Torn { .. }
            | StreamFileName::Foreign => None,
        });
        let last = segments.max();
        self.strangers.count += 1;
        let name = format!("stranger-{}", self.strangers.count);
        let bytes = format!("{name} was here").into_bytes();
        if let Some((ordinal, base)) = last {
            // There may be one already.
            drop(self.put(&dir, &torn_file_name(base, ordinal, 0), &bytes));
        }
        if self.put(&dir, &name, &bytes).is_ok() {
            self.strangers.there.insert(name, bytes);
        }
        Ok(())
    }

    fn put(&self, dir: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.storage.open(StoragePath::new(dir).join(name), OpenMode::CreateNew)?;
        write_all(&*file, bytes, 0)?;
        // Its name is synced with the next of the log.
        file.sync_data()
    }

    /// What strangers have put anywhere is there still, though perhaps in a directory of another name.
    ///
    /// # Errors
    ///
    /// I14.
    pub fn check_strangers(&self, disk: &SimStorage) -> Result<(), Violation> {
        if let Some(name) = self.lost_strangers(disk).first() {
            let what = format!("{name} is not the log's, and is gone");
            return Err(Violation::new(Invariant::I14, what));
        }
        if !self.strangers.there.is_empty() {
            tally::checked(Invariant::I14);
        }
        Ok(())
    }

    /// The machine has lost some of it, perhaps: from here on what is there on this disk has to be.
    pub fn forget_strangers(&mut self, disk: &SimStorage) {
        for name in self.lost_strangers(disk) {
            self.strangers.there.remove(&name);
        }
    }

    fn lost_strangers(&self, disk: &SimStorage) -> Vec<String> {
        if self.strangers.there.is_empty() {
            return Vec::new();
        }
        let files = disk.contents();
        let is_there = |name: &str, bytes: &[u8]| {
            let is_it = |path: &str| path.rsplit_once('/').is_some_and(|(_, last)| last == name);
            files.iter().any(|(path, found)| is_it(path) && found == bytes)
        };
        let lost = self.strangers.there.iter().filter(|(name, bytes)| !is_there(name, bytes));
        lost.map(|(name, _)| name.clone()).collect()
    }
}
