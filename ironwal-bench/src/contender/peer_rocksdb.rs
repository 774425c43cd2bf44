//! RocksDB, compaction by age only, which writes nothing twice after the flush; its own log is synced by
//! each write.

use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{
    DB, DBCompactionStyle, FifoCompactOptions, IteratorMode, Options, ReadOptions, WriteBatch,
    WriteOptions,
};

use super::{Durability, Log, Plan, Result};

pub(super) struct RocksDb {
    db: DB,
    durability: Durability,
    next: Vec<AtomicU64>,
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
        let db = DB::open(&options, &plan.dir)?;
        let next = (0..plan.stream_count).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { db, durability: plan.durability, next })
    }

    fn key(stream: usize, number: u64) -> [u8; 16] {
        (u128::from(stream as u64) << 64 | u128::from(number)).to_be_bytes()
    }

    fn write(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.set_sync(self.durability == Durability::Strict);
        options
    }
}

impl Log for RocksDb {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        let next = self.next.get(stream).ok_or("no such stream")?;
        let number = next.fetch_add(1, Ordering::Relaxed);
        Ok(self.db.put_opt(Self::key(stream, number), entry, &self.write())?)
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        let next = self.next.get(stream).ok_or("no such stream")?;
        let first = next.fetch_add(entries.len() as u64, Ordering::Relaxed);
        let mut batch = WriteBatch::default();
        for (entry, number) in entries.iter().zip(first..) {
            batch.put(Self::key(stream, number), entry);
        }
        Ok(self.db.write_opt(&batch, &self.write())?)
    }

    fn get(&self, stream: usize, number: u64) -> Result<usize> {
        let entry = self.db.get_pinned(Self::key(stream, number))?;
        Ok(entry.ok_or("no such entry")?.len())
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(Self::key(stream + 1, 0).to_vec());
        let from = Self::key(stream, 0);
        let mode = IteratorMode::From(&from, rocksdb::Direction::Forward);
        let mut len = 0;
        for item in self.db.iterator_opt(mode, options) {
            len += item?.1.len() as u64;
        }
        Ok(len)
    }
}
