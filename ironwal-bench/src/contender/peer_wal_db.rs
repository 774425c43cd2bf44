//! wal-db 1.1: `append_and_sync`, or `append` alone. A log for each stream.

use std::path::PathBuf;
use std::sync::OnceLock;

use wal_db::Wal;

use super::{Durability, Log, Plan, Result};

pub(super) struct WalDb {
    dir: PathBuf,
    durability: Durability,
    logs: Vec<OnceLock<Wal>>,
}

impl WalDb {
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        std::fs::create_dir_all(&plan.dir)?;
        let logs = (0..plan.stream_count).map(|_| OnceLock::new()).collect();
        Ok(Self { dir: plan.dir.clone(), durability: plan.durability, logs })
    }

    fn log(&self, stream: usize) -> Result<&Wal> {
        let place = self.logs.get(stream).ok_or("no such stream")?;
        if let Some(log) = place.get() {
            return Ok(log);
        }
        let log = Wal::open(self.dir.join(format!("stream-{stream}")))?;
        Ok(place.get_or_init(|| log))
    }
}

impl Log for WalDb {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        let log = self.log(stream)?;
        let _lsn = match self.durability {
            Durability::Strict => log.append_and_sync(entry)?,
            Durability::Async => log.append(entry)?,
        };
        Ok(())
    }

    /// It has no batches that are all there or not; they are appended, and made durable together.
    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        let log = self.log(stream)?;
        for entry in entries {
            let _lsn = log.append(entry)?;
        }
        if self.durability == Durability::Strict {
            log.sync()?;
        }
        Ok(())
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        let mut len = 0;
        for entry in self.log(stream)?.iter()? {
            len += entry?.data().len() as u64;
        }
        Ok(len)
    }
}
