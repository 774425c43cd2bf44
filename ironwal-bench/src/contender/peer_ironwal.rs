//! The crate ironwal 0.6.9 of the registry.

use peer_ironwal::{ReadStrategy, SyncMode, Wal, WalOptions};

use super::{Contender, Durability, Log, Plan, Result};

pub(super) struct PeerIronwal {
    wal: Wal,
    names: Vec<String>,
}

impl PeerIronwal {
    pub(super) fn open(contender: Contender, plan: &Plan) -> Result<Self> {
        let mut options = WalOptions::new(&plan.dir);
        options.sync_mode = match plan.durability {
            Durability::Strict => SyncMode::Strict,
            Durability::Async => SyncMode::Async,
        };
        options.max_segment_size = plan.segment_len;
        // With fewer files, what was acknowledged may be lost.
        options.max_open_segments = plan.stream_count.max(128);
        if contender == Contender::PeerIronwalMmap {
            options.read_strategy = ReadStrategy::Mmap;
        }
        let names = (0..plan.stream_count).map(|number| format!("stream-{number}")).collect();
        Ok(Self { wal: Wal::new(options)?, names })
    }

    fn name(&self, stream: usize) -> Result<&str> {
        Ok(self.names.get(stream).ok_or("no such stream")?)
    }
}

impl Log for PeerIronwal {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        self.wal.append(self.name(stream)?, entry)?;
        Ok(())
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        self.wal.append_batch(self.name(stream)?, entries)?;
        Ok(())
    }

    fn get(&self, stream: usize, number: u64) -> Result<usize> {
        let entry = self.wal.get(self.name(stream)?, number)?;
        Ok(entry.ok_or("no such entry")?.len())
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        let mut len = 0;
        for entry in self.wal.iter(self.name(stream)?, 0)? {
            len += entry?.len() as u64;
        }
        Ok(len)
    }
}
