//! Opening what an earlier process left, until the first append has returned.

use std::path::Path;
use std::time::Instant;

use crate::contender::{Contender, Durability, Kind, Log, Plan, Result};
use crate::sample::Sample;
use crate::{ENTRY_LEN, copy_all, noise, process};

use super::Effort;

/// What was left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Left {
    /// One stream of so many segments.
    Segments(u64),
    /// So many streams of one entry.
    Streams(u64),
    /// So many bytes in a segment that nobody has ended: the process was killed.
    Active(u64),
}

impl Left {
    fn plan(self, dir: &Path) -> Plan {
        let plan = Plan::new(dir.join("log"), Durability::Async);
        match self {
            Self::Segments(_) => Plan { segment_len: 4096, ..plan },
            Self::Streams(count) => {
                Plan { stream_count: usize::try_from(count).unwrap_or(usize::MAX), ..plan }
            }
            Self::Active(_) => Plan { segment_len: 256 << 20, ..plan },
        }
    }

    /// Leaves that; gives a log that is not to be closed.
    pub(super) fn prepare(
        self,
        contender: Contender,
        dir: &Path,
        effort: Effort,
    ) -> Result<Option<Box<dyn Log>>> {
        let log = contender.open(&self.plan(dir))?;
        let entry = noise(1);
        match self {
            Self::Segments(count) => {
                // A frame has the entry and a header.
                let each = 4096 / (ENTRY_LEN as u64 + 32);
                (0..effort.some(count) * each).try_for_each(|_| log.append(0, &entry))?;
            }
            Self::Streams(count) => {
                for stream in 0..effort.some(count) {
                    log.append(usize::try_from(stream)?, &entry)?;
                }
            }
            Self::Active(len) => {
                let each = ENTRY_LEN as u64 + 32;
                (0..effort.some(len) / each).try_for_each(|_| log.append(0, &entry))?;
                return Ok(Some(log));
            }
        }
        Ok(None)
    }

    /// Milliseconds until the first append has returned.
    pub(super) fn run(self, contender: Contender, dir: &Path) -> Result<Sample> {
        let copy = dir.join("copy");
        copy_all(&dir.join("log"), &copy.join("log"))?;
        process::settle(dir)?;
        let entry = noise(1);
        let plan = self.plan(&copy);
        let begun = Instant::now();
        let log = contender.open(&plan)?;
        if contender.kind() == Kind::Limit {
            log.scan(0)?;
        } else {
            log.append(0, &entry)?;
        }
        let took = begun.elapsed();
        drop(log);
        std::fs::remove_dir_all(&copy)?;
        Ok(Sample::new(took.as_secs_f64() * 1e3))
    }
}
