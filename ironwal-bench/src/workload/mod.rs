//! What is done to each contender, and what is expected of this log.

mod append;
mod catalogue;
pub(crate) mod open;
pub(crate) mod read;
mod streams;

use std::path::Path;
use std::time::Duration;

pub use self::catalogue::ALL;
pub use self::open::Left;
use crate::contender::{Contender, Durability, Result, SEGMENT_LEN};
use crate::process;
use crate::sample::Sample;

/// One thing that is measured.
#[derive(Debug)]
pub struct Workload {
    /// Short, and the same from report to report.
    pub id: &'static str,
    /// What is done.
    pub title: &'static str,
    /// What its value is.
    pub unit: Unit,
    /// Who is measured; the order is that of the table.
    pub contenders: &'static [Contender],
    /// What this log is to reach.
    pub goals: &'static [Goal],
    /// How it is done.
    pub work: Work,
}

/// What a value means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// Operations per second.
    Rate,
    /// Nanoseconds for each operation.
    Nanoseconds,
    /// Milliseconds for all of it.
    Milliseconds,
    /// Gigabytes per second.
    Gigabytes,
    /// Bytes written for each byte of payload.
    Ratio,
    /// Millions of bytes.
    Megabytes,
}

impl Unit {
    /// Whether more is better.
    pub const fn is_speed(self) -> bool {
        matches!(self, Self::Rate | Self::Gigabytes)
    }

    /// As it is written behind a value.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Rate => "/s",
            Self::Nanoseconds => "ns",
            Self::Milliseconds => "ms",
            Self::Gigabytes => "GB/s",
            Self::Ratio => "bytes per byte",
            Self::Megabytes => "MB",
        }
    }
}

/// What one of this log's contenders is to reach.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// Who.
    pub who: Contender,
    /// How many times as good as the other: for a speed its value divided by the other's, else the other's
    /// divided by its own.
    pub factor: f64,
    /// The other.
    pub than: Than,
}

/// Against whom a goal is held.
#[derive(Clone, Copy, Debug)]
pub enum Than {
    /// The best of the other logs that were measured.
    BestPeer,
    /// The best of the other logs that have files for each stream.
    BestOfOwnFiles,
    /// The best of those in which all streams share one log.
    BestOfSharedLogs,
    /// The best that the machine can do.
    BestLimit,
    /// This one.
    One(Contender),
    /// A value.
    Value(f64),
}

/// What a workload does.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Appends from so many threads to so many streams.
    Append(Appends),
    /// Reads entries of one stream in random order.
    Get {
        /// How many there are.
        entry_count: u64,
        /// How long a segment is.
        segment_len: u64,
    },
    /// Reads a stream from its beginning to its end.
    Scan {
        /// How many entries there are.
        entry_count: u64,
        /// How long each is.
        entry_len: usize,
    },
    /// Opens what is there, and appends one entry.
    Open(Left),
    /// Counts what is written to the device.
    Bytes {
        /// How much payload.
        payload_len: u64,
        /// How many entries in a batch.
        batch: usize,
        /// With which promise.
        durability: Durability,
    },
    /// Opens streams, keeps some of them busy, and looks at the memory.
    Memory {
        /// How many there are.
        stream_count: usize,
        /// How many are busy.
        busy_count: usize,
    },
    /// Makes streams, durably, one entry in each.
    Create {
        /// How many.
        stream_count: usize,
        /// By so many threads.
        thread_count: usize,
    },
}

/// Appends.
#[derive(Clone, Copy, Debug)]
pub struct Appends {
    /// What they promise.
    pub durability: Durability,
    /// How many threads append.
    pub thread_count: usize,
    /// To how many streams: to one; to one for each thread; or to many, at random.
    pub stream_count: usize,
    /// How many entries an append has.
    pub batch: usize,
    /// How many appends each thread does; without, as many as there is time for.
    pub count: Option<u64>,
}

/// How much of everything is done.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How long what is measured by time goes on.
    pub time: Duration,
    /// What is measured by number is divided by this.
    pub divisor: u64,
}

impl Effort {
    /// So many, or fewer where there is less to be done.
    pub fn some(self, count: u64) -> u64 {
        (count / self.divisor).max(1)
    }

    /// The same.
    pub fn some_of(self, count: usize) -> usize {
        usize::try_from(self.some(count as u64)).unwrap_or(usize::MAX)
    }
}

/// What a directory has that a workload has made ready.
const READY: &str = "ready";

impl Workload {
    /// The workload of this id.
    pub fn find(id: &str) -> Option<&'static Self> {
        ALL.iter().find(|workload| workload.id == id)
    }

    /// Whether it appends durably.
    pub const fn is_strict(&self) -> bool {
        matches!(self.work, Work::Append(Appends { durability: Durability::Strict, .. }))
    }

    /// Whether something is made ready before, which all rounds share.
    pub const fn is_prepared(&self) -> bool {
        matches!(self.work, Work::Get { .. } | Work::Scan { .. } | Work::Open(_))
    }

    /// Whether what it needs was made ready in this directory.
    pub fn is_ready(dir: &Path) -> bool {
        dir.join(READY).exists()
    }

    /// Makes ready what it needs, and ends the process if that is to look as if it had been killed.
    ///
    /// # Errors
    ///
    /// Those of the contender.
    pub fn prepare(&self, contender: Contender, dir: &Path, effort: Effort) -> Result<()> {
        let mut unfinished = None;
        match self.work {
            Work::Get { entry_count, segment_len } => {
                let count = effort.some(entry_count);
                read::fill(contender, dir, (count, crate::ENTRY_LEN), segment_len)?;
            }
            Work::Scan { entry_count, entry_len } => {
                let count = effort.some(entry_count);
                read::fill(contender, dir, (count, entry_len), SEGMENT_LEN)?;
            }
            Work::Open(left) => unfinished = left.prepare(contender, dir, effort)?,
            Work::Append(_) | Work::Bytes { .. } | Work::Memory { .. } | Work::Create { .. } => {}
        }
        process::settle(dir)?;
        std::fs::write(dir.join(READY), [])?;
        if unfinished.is_some() {
            // Closed by nobody.
            rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            )?;
        }
        Ok(())
    }

    /// Does it once, in a directory that is empty or was made ready. With a count, each thread appends so
    /// often.
    ///
    /// # Errors
    ///
    /// Those of the contender.
    pub fn run(
        &self,
        contender: Contender,
        dir: &Path,
        effort: Effort,
        count: Option<u64>,
    ) -> Result<Sample> {
        match self.work {
            Work::Append(appends) => {
                let count = count.or(appends.count.map(|count| effort.some(count)));
                append::run(contender, dir, Appends { count, ..appends }, effort)
            }
            Work::Get { entry_count, segment_len } => {
                read::get(contender, dir, effort.some(entry_count), segment_len, effort)
            }
            Work::Scan { entry_count, entry_len } => {
                read::scan(contender, dir, effort.some(entry_count), entry_len)
            }
            Work::Open(left) => left.run(contender, dir),
            Work::Bytes { payload_len, batch, durability } => {
                append::bytes(contender, dir, effort.some(payload_len), batch, durability)
            }
            Work::Memory { stream_count, busy_count } => streams::memory(
                contender,
                dir,
                effort.some_of(stream_count),
                effort.some_of(busy_count),
            ),
            Work::Create { stream_count, thread_count } => {
                streams::create(contender, dir, effort.some_of(stream_count), thread_count)
            }
        }
    }
}
