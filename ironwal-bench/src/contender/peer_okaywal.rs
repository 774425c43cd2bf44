//! okaywal 0.3: an append is durable when `commit` returns. A log has a directory and a thread of its own.

use std::path::PathBuf;
use std::sync::OnceLock;

use okaywal::{Configuration, Entry, EntryId, LogManager, SegmentReader, WriteAheadLog};

use super::{Durability, Log, Plan, Result};

pub(super) struct Okaywal {
    dir: PathBuf,
    logs: Vec<OnceLock<WriteAheadLog>>,
}

/// Keeps nothing, so that checkpoints cost nothing.
#[derive(Debug)]
struct Forget;

impl LogManager for Forget {
    fn recover(&mut self, _entry: &mut Entry<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _wal: &WriteAheadLog,
    ) -> std::io::Result<()> {
        Ok(())
    }
}

impl Okaywal {
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        if plan.durability == Durability::Async {
            return Err("has no other appends than durable ones".into());
        }
        let logs = (0..plan.stream_count).map(|_| OnceLock::new()).collect();
        Ok(Self { dir: plan.dir.clone(), logs })
    }

    fn log(&self, stream: usize) -> Result<&WriteAheadLog> {
        let place = self.logs.get(stream).ok_or("no such stream")?;
        if let Some(log) = place.get() {
            return Ok(log);
        }
        let dir = self.dir.join(format!("stream-{stream}"));
        let log = Configuration::default_for(dir).open(Forget)?;
        Ok(place.get_or_init(|| log))
    }
}

impl Log for Okaywal {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        let mut writer = self.log(stream)?.begin_entry()?;
        writer.write_chunk(entry)?;
        writer.commit()?;
        Ok(())
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        let mut writer = self.log(stream)?.begin_entry()?;
        for entry in entries {
            writer.write_chunk(entry)?;
        }
        writer.commit()?;
        Ok(())
    }
}
