//! Workloads of IronWal's benchmarks.
//!
//! What is measured is measured in `benches/`; here is what several of them share.
#![forbid(unsafe_code)]

use std::io;

use ironwal::{Stream, Wal, WalOptions};

/// How long the entries are that are appended, unless a benchmark says otherwise.
pub const ENTRY_LEN: usize = 128;

/// A log in a directory that is removed with it.
///
/// The directory is made where temporary files go: set `TMPDIR` to measure another disk.
#[derive(Debug)]
pub struct TempLog {
    wal: Wal,
    root: tempfile::TempDir,
}

impl TempLog {
    /// An empty log with default options.
    ///
    /// # Errors
    ///
    /// Those of making the directory and of opening the log.
    pub fn new() -> io::Result<Self> {
        let root = tempfile::tempdir()?;
        let wal = Wal::open(root.path(), WalOptions::new())?;
        Ok(Self { wal, root })
    }

    /// The log.
    pub const fn wal(&self) -> &Wal {
        &self.wal
    }

    /// Where it is.
    pub fn root(&self) -> &std::path::Path {
        self.root.path()
    }

    /// A stream of `count` entries of [`ENTRY_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// Those of appending.
    pub fn filled(&self, key: &str, count: u64) -> io::Result<Stream> {
        const BATCH: u64 = 1000;
        let stream = self.wal.stream(key)?;
        let entry = [b'x'; ENTRY_LEN];
        let mut left = count;
        while left > 0 {
            let now = left.min(BATCH);
            stream.append_batch((0..now).map(|_| &entry))?;
            left -= now;
        }
        Ok(stream)
    }

    /// A stream of `count` entries of [`ENTRY_LEN`] bytes, each in a frame of its own, appended by
    /// many threads so that they share syncs.
    ///
    /// # Errors
    ///
    /// Those of appending.
    pub fn filled_one_by_one(&self, key: &str, count: u64) -> io::Result<Stream> {
        const THREADS: u64 = 64;
        let stream = self.wal.stream(key)?;
        std::thread::scope(|scope| {
            let append = |n: u64| {
                let stream = stream.clone();
                move || (0..n).try_for_each(|_| stream.append([b'x'; ENTRY_LEN]).map(drop))
            };
            let share = count / THREADS;
            let threads: Vec<_> = (1..THREADS).map(|_| scope.spawn(append(share))).collect();
            append(count - share * (THREADS - 1))()?;
            threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })?;
        Ok(stream)
    }
}
