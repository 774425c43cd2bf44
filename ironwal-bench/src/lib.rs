//! Workloads of IronWal's benchmarks.
//!
//! [`contender`] is who is measured, [`workload`] what is done, [`report`] does it in turn. [`scale`] tells
//! what this log costs as it gets larger, [`soak`] as time goes by. What `benches/` and `src/bin/` share is
//! here.
#![forbid(unsafe_code)]

mod child;
pub mod compare;
pub mod contender;
mod line;
pub mod process;
pub mod report;
pub mod sample;
pub mod scale;
pub mod soak;
pub mod workload;

use std::io;
use std::path::Path;

use ironwal::{Wal, WalOptions};

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
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A copy of all there is below the root: while nothing is appended, what the process would leave if it
    /// was killed.
    ///
    /// # Errors
    ///
    /// Those of reading and writing.
    pub fn copy_root(&self) -> io::Result<tempfile::TempDir> {
        let copy = tempfile::tempdir()?;
        copy_all(self.root.path(), copy.path())?;
        Ok(copy)
    }
}

#[expect(clippy::disallowed_methods, reason = "copies what a log has left")]
fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
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
