//! Small whole logs, the same bytes each time.

use std::sync::{Arc, OnceLock};

use ironwal::{CompressionType, Preallocation, SyncMode, WalOptions};

use super::super::input::Input;
use super::Files;
use crate::host::CountingHost;
use crate::oracle::open;
use crate::sim_storage::SimStorage;

/// One of the logs, by a byte.
pub(super) fn log(input: &mut Input<'_>) -> Files {
    static LOGS: OnceLock<[Files; 6]> = OnceLock::new();
    let logs = LOGS.get_or_init(|| [short(), rotated(), truncated(), killed(), packed(), long()]);
    let chosen = logs.get(input.below(logs.len()));
    chosen.expect("a number below the count of them").clone()
}

/// What is on a disk when a log was used, and its files are as these options and `then` leave them.
fn used(options: &WalOptions, then: impl FnOnce(&ironwal::Wal) -> ironwal::Result<()>) -> Files {
    let disk = SimStorage::new();
    let wal = open(Arc::new(disk.clone()), &CountingHost::starting_at(1), options);
    let left = wal.and_then(|wal| then(&wal).map(|()| disk.contents()));
    left.expect("a disk that does not fail")
}

fn small() -> WalOptions {
    // Room behind the entries as there is in a real one, and not too much of it.
    WalOptions::new().max_segment_size(400).compression(CompressionType::None)
}

fn appended(wal: &ironwal::Wal, count: u64) -> ironwal::Result<()> {
    for n in 0..count {
        wal.append("s", format!("entry {n}"))?;
    }
    Ok(())
}

/// A few entries in one segment, and closed.
fn short() -> Files {
    used(&small(), |wal| {
        appended(wal, 2)?;
        wal.append_batch("s", ["a", "", "ccc"])?;
        wal.close()
    })
}

/// Three segments, the last one open; and another stream.
fn rotated() -> Files {
    used(&small().max_segment_entries(3), |wal| {
        appended(wal, 5)?;
        wal.append_batch("s", ["a", "bb"])?;
        wal.append("T", "of another")?;
        wal.close()
    })
}

/// As that, with its beginning removed.
fn truncated() -> Files {
    used(&small().max_segment_entries(2), |wal| {
        appended(wal, 7)?;
        wal.stream("s")?.truncate_before(3)?;
        wal.append("s", "after")?;
        wal.close()
    })
}

/// Not closed: room is reserved, and nothing but the headers tells what was durable.
fn killed() -> Files {
    used(&small(), |wal| appended(wal, 4))
}

/// Packed entries, some of them not durable.
fn packed() -> Files {
    let options = small().compression(CompressionType::Lz4).min_compression_size(16);
    used(&options.sync_mode(SyncMode::Async), |wal| {
        for n in 0..4 {
            wal.append_batch("s", [format!("{n}").repeat(90), "b".repeat(40)])?;
        }
        Ok(())
    })
}

/// A seal with more than one point.
fn long() -> Files {
    let options = small().max_segment_size(20_000).preallocation(Preallocation::Off);
    used(&options, |wal| {
        for n in 0..10 {
            wal.append("s", format!("{n}").repeat(900))?;
        }
        wal.stream("s")?.rotate()?;
        wal.append("s", "last")?;
        wal.close()
    })
}
