//! `RocksDB`, compaction by age only, which writes nothing twice after the flush; its own log is synced
//! by each write.
#![expect(clippy::big_endian_bytes, reason = "keys are compared byte by byte")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{
    DB, DBCompactionStyle, DBCompressionType, Direction, FifoCompactOptions, IteratorMode, Options,
    ReadOptions, WriteBatch, WriteOptions,
};

use super::{Durability, Log, Plan, Result};

pub(super) struct RocksDb {
    db: DB,
    durability: Durability,
    next: Vec<OnceLock<AtomicU64>>,
}

impl RocksDb {
    pub(super) fn open(plan: &Plan) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compaction_style(DBCompactionStyle::Fifo);
        // By default the oldest files go when all together have a gigabyte.
        let mut fifo = FifoCompactOptions::default();
        fifo.set_max_table_files_size(1 << 40);
        options.set_fifo_compaction_options(&fifo);
        // Nothing here gets smaller: it need not try.
        options.set_compression_type(DBCompressionType::None);
        let db = DB::open(&options, &plan.dir)?;
        let next = (0..plan.stream_count).map(|_| OnceLock::new()).collect();
        Ok(Self { db, durability: plan.durability, next })
    }

    fn key(stream: usize, number: u64) -> [u8; 16] {
        (u128::from(stream as u64) << 64 | u128::from(number)).to_be_bytes()
    }

    /// The number of the next entry, which is looked for once.
    fn next(&self, stream: usize) -> Result<&AtomicU64> {
        let place = self.next.get(stream).ok_or("no such stream")?;
        if let Some(next) = place.get() {
            return Ok(next);
        }
        let (first, last) = (Self::key(stream, 0), Self::key(stream, u64::MAX));
        let found = self.db.iterator(IteratorMode::From(&last, Direction::Reverse)).next();
        let next = match found.transpose()? {
            Some((key, _)) if *key >= first[..] => {
                u64::from_be_bytes(*key.last_chunk().ok_or("not a key")?) + 1
            }
            Some(_) | None => 0,
        };
        Ok(place.get_or_init(|| AtomicU64::new(next)))
    }

    fn write(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.set_sync(self.durability == Durability::Strict);
        options
    }
}

impl Log for RocksDb {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        let number = self.next(stream)?.fetch_add(1, Ordering::Relaxed);
        Ok(self.db.put_opt(Self::key(stream, number), entry, &self.write())?)
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        let first = self.next(stream)?.fetch_add(entries.len() as u64, Ordering::Relaxed);
        let mut batch = WriteBatch::default();
        for (entry, number) in entries.iter().zip(first..) {
            batch.put(Self::key(stream, number), entry);
        }
        Ok(self.db.write_opt(batch, &self.write())?)
    }

    fn get(&self, stream: usize, number: u64) -> Result<usize> {
        let entry = self.db.get_pinned(Self::key(stream, number))?;
        Ok(entry.ok_or("no such entry")?.len())
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(Self::key(stream + 1, 0).to_vec());
        let from = Self::key(stream, 0);
        let mode = IteratorMode::From(&from, Direction::Forward);
        let mut len = 0;
        for item in self.db.iterator_opt(mode, options) {
            len += item?.1.len() as u64;
        }
        Ok(len)
    }
}
