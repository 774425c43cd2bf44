//! This log.

use ironwal::{Preallocation, ReadStrategy, Stream, SyncMode, Wal, WalOptions};

use super::{Contender, Durability, Log, Plan, Result};

/// A log and the streams of it that are used.
#[derive(Debug)]
pub(super) struct Ours {
    wal: Wal,
    streams: Vec<std::sync::OnceLock<Stream>>,
}

impl Ours {
    pub(super) fn open(contender: Contender, plan: &Plan) -> Result<Self> {
        let mode = match plan.durability {
            Durability::Strict => SyncMode::Strict,
            Durability::Async => SyncMode::Async,
        };
        let mut options = WalOptions::new().sync_mode(mode).max_segment_size(plan.segment_len);
        if contender == Contender::OursZeros {
            options = options.preallocation(Preallocation::Zeros);
        }
        if contender == Contender::OursPread {
            options = options.read_strategy(ReadStrategy::StandardIo);
        }
        let wal = Wal::open(&plan.dir, options)?;
        let streams = (0..plan.stream_count).map(|_| std::sync::OnceLock::new()).collect();
        Ok(Self { wal, streams })
    }

    fn stream(&self, number: usize) -> Result<&Stream> {
        let place = self.streams.get(number).ok_or("no such stream")?;
        if let Some(stream) = place.get() {
            return Ok(stream);
        }
        let stream = self.wal.stream(&format!("stream-{number}"))?;
        Ok(place.get_or_init(|| stream))
    }
}

impl Log for Ours {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        self.stream(stream)?.append(entry)?;
        Ok(())
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        self.stream(stream)?.append_batch(entries)?;
        Ok(())
    }

    fn get(&self, stream: usize, number: u64) -> Result<usize> {
        let entry = self.stream(stream)?.get(number)?;
        Ok(entry.ok_or("no such entry")?.len())
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        let mut len = 0;
        for entry in self.stream(stream)?.iter(..)? {
            len += entry?.data.len() as u64;
        }
        Ok(len)
    }
}
