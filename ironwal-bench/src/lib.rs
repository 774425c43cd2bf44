//! Workloads of IronWal's benchmarks.
//!
//! [`contender`] is who is measured, [`workload`] what is done, [`report`] does it in turn. What `benches/` and
//! `src/bin/` share is here.
#![forbid(unsafe_code)]

pub mod compare;
pub mod contender;
pub mod process;
pub mod report;
pub mod sample;
pub mod workload;

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
        Self::with(WalOptions::new())
    }

    /// An empty log with these options.
    ///
    /// # Errors
    ///
    /// Those of making the directory and of opening the log.
    pub fn with(options: WalOptions) -> io::Result<Self> {
        let root = tempfile::tempdir()?;
        let wal = Wal::open(root.path(), options)?;
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

/// A number that looks random, the same for the same number: the finalizer of `SplitMix64`.
pub const fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// An event as programs log them: [`ENTRY_LEN`] bytes of JSON, each with numbers of its own.
pub fn event(number: u64) -> String {
    let dice = mix(number);
    let kind = match dice % 4 {
        0 => "salary",
        1 => "rent",
        2 => "card payment",
        _ => "interest",
    };
    let (account, amount) = (dice >> 8 & 0xffff, dice >> 24 & 0xff_ffff);
    let mut event = format!(
        r#"{{"account":"4711-{account:05}","kind":"{kind}","amount":{amount},"currency":"EUR","at":{},"memo":"#,
        1_700_000_000 + number
    );
    // A memo as long as there is room for.
    event.push('"');
    while event.len() < ENTRY_LEN - 2 {
        event.push(char::from(b'a' + (mix(dice ^ event.len() as u64) % 26) as u8));
    }
    event.push_str("\"}");
    event
}

/// Bytes that nothing makes smaller.
pub fn noise(number: u64) -> [u8; ENTRY_LEN] {
    let mut bytes = [0; ENTRY_LEN];
    for (part, word) in bytes.chunks_exact_mut(8).zip(0..) {
        part.copy_from_slice(&mix(number << 8 | word).to_le_bytes());
    }
    bytes
}

/// Lets so many threads share `count` operations; each is told which thread it is, and its share.
///
/// # Errors
///
/// The first that a thread gives.
pub fn share<E: Send>(
    thread_count: u64,
    count: u64,
    run: impl Fn(u64, u64) -> Result<(), E> + Sync,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let start = |thread: u64| {
            let share = count / thread_count + u64::from(thread < count % thread_count);
            let run = &run;
            scope.spawn(move || run(thread, share))
        };
        let threads: Vec<_> = (0..thread_count).map(start).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
}
