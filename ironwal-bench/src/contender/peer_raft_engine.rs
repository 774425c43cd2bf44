//! raft-engine 0.4: all streams share one log; an append is durable with `sync` set.

use std::sync::Mutex;
use std::sync::PoisonError;

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use super::{Durability, Log, Plan, Result};

pub(super) struct RaftEngine {
    engine: Engine,
    durability: Durability,
    next: Vec<Mutex<u64>>,
}

/// An entry whose first eight bytes are its number.
#[derive(Clone)]
struct Numbered;

impl MessageExt for Numbered {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        let mut number = [0; 8];
        for (to, from) in number.iter_mut().zip(&entry.value) {
            *to = *from;
        }
        u64::from_le_bytes(number)
    }
}

fn numbered(number: u64, entry: &[u8]) -> BytesValue {
    let mut value = entry.to_vec();
    for (to, from) in value.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    BytesValue { value, ..BytesValue::default() }
}

impl RaftEngine {
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        let dir = plan.dir.to_str().ok_or("a path that is not text")?.to_owned();
        // Nothing here gets smaller: it need not try.
        let batch_compression_threshold = ReadableSize(0);
        let config = Config { dir, batch_compression_threshold, ..Config::default() };
        let engine = Engine::open(config)?;
        // Numbers begin at 1: an index of 0 is none.
        let next = (0..plan.stream_count)
            .map(|stream| Mutex::new(engine.last_index(stream as u64 + 1).unwrap_or(0) + 1))
            .collect();
        Ok(Self { engine, durability: plan.durability, next })
    }
}

impl Log for RaftEngine {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        self.append_batch(stream, &[entry])
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        let place = self.next.get(stream).ok_or("no such stream")?;
        // One writer for each region, as its documentation demands.
        let mut next = place.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered: Vec<_> =
            entries.iter().zip(*next..).map(|(entry, number)| numbered(number, entry)).collect();
        let mut batch = LogBatch::with_capacity(1);
        batch.add_entries::<Numbered>(stream as u64 + 1, &numbered)?;
        self.engine.write(&mut batch, self.durability == Durability::Strict)?;
        *next += numbered.len() as u64;
        Ok(())
    }

    fn get(&self, stream: usize, number: u64) -> Result<usize> {
        let entry = self.engine.get_entry::<Numbered>(stream as u64 + 1, number + 1)?;
        Ok(entry.ok_or("no such entry")?.value.len())
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        const STEP: u64 = 1_000;
        let region = stream as u64 + 1;
        let end = self.engine.last_index(region).unwrap_or(0) + 1;
        let (mut at, mut len) = (self.engine.first_index(region).unwrap_or(end), 0);
        let mut entries = Vec::new();
        while at < end {
            entries.clear();
            let to = end.min(at + STEP);
            self.engine.fetch_entries_to::<Numbered>(region, at, to, None, &mut entries)?;
            len += entries.iter().map(|entry| entry.value.len() as u64).sum::<u64>();
            at = to;
        }
        Ok(len)
    }
}
