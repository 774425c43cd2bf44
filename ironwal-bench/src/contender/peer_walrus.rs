//! walrus-rust 0.2: a topic for each stream; `SyncEach`, or no sync and its memory maps.

use walrus_rust::{FsyncSchedule, ReadConsistency, disable_fd_backend};

use super::{Durability, Log, Plan, Result};

pub(super) struct Walrus {
    log: walrus_rust::Walrus,
    topics: Vec<String>,
}

impl Walrus {
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        let schedule = match plan.durability {
            Durability::Strict => FsyncSchedule::SyncEach,
            Durability::Async => {
                // Of its two ways to write the faster one; what is in a map outlives the process.
                disable_fd_backend();
                FsyncSchedule::NoFsync
            }
        };
        // The directory and its silence are set by the environment of the process.
        let consistency = ReadConsistency::AtLeastOnce { persist_every: u32::MAX };
        let log = walrus_rust::Walrus::with_consistency_and_schedule(consistency, schedule)?;
        Ok(Self { log, topics: (0..plan.stream_count).map(|n| format!("stream-{n}")).collect() })
    }

    fn topic(&self, stream: usize) -> Result<&str> {
        Ok(self.topics.get(stream).ok_or("no such stream")?)
    }
}

impl Log for Walrus {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        Ok(self.log.append_for_topic(self.topic(stream)?, entry)?)
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        Ok(self.log.batch_append_for_topic(self.topic(stream)?, entries)?)
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        let mut len = 0;
        loop {
            // It reads each entry once: a second scan goes on where the first one ended.
            let entries = self.log.batch_read_for_topic(self.topic(stream)?, 1 << 20, true)?;
            if entries.is_empty() {
                return Ok(len);
            }
            len += entries.iter().map(|entry| entry.data.len() as u64).sum::<u64>();
        }
    }
}
