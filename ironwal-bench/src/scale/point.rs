//! One measurement at one size.

use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;
use ironwal::{SyncMode, Wal, WalOptions};

use super::{Dimension, Operation};
use crate::contender::{Contender, Durability, Log, Plan, Result, SEGMENT_LEN};
use crate::sample::Sample;
use crate::workload::{Effort, read};
use crate::{ENTRY_LEN, mix, noise, process};

/// So many streams are in use, however many there are.
const USED: u64 = 100;
/// Where the log is.
pub(super) const LOG: &str = "log";
/// Where the file by hand is.
const BY_HAND: &str = "by-hand";
/// Where the log with small segments is, and how long they are.
const SMALL: &str = "small";
const SMALL_LEN: u64 = 1 << 20;

fn plan(dir: &Path, durability: Durability, stream_count: u64, segment_len: u64) -> Result<Plan> {
    Ok(Plan {
        dir: dir.join(LOG),
        durability,
        stream_count: usize::try_from(stream_count)?,
        segment_len,
        stream_len: 4 << 30,
        entry_len: ENTRY_LEN,
    })
}

/// Makes a log of this size; all that is measured at this size shares it.
///
/// # Errors
///
/// Those of the log.
pub fn prepare(dimension: Dimension, size: u64, dir: &Path) -> Result<()> {
    const THREADS: u64 = 16;
    let entry = noise(1);
    std::fs::create_dir_all(dir)?;
    match dimension {
        Dimension::Entries => {
            let entries = (size, ENTRY_LEN);
            read::fill(Contender::Ours, dir, entries, SEGMENT_LEN)?;
            read::fill(Contender::Ours, &dir.join(SMALL), entries, SMALL_LEN)?;
            read::fill(Contender::Mapped, &dir.join(BY_HAND), entries, SEGMENT_LEN)?;
        }
        Dimension::Segments => {
            // No segment has room for a second entry.
            let log = Contender::Ours.open(&plan(dir, Durability::Async, 1, 1)?)?;
            (0..size).try_for_each(|_| log.append(0, &entry))?;
        }
        Dimension::Streams => {
            let plan = plan(dir, Durability::Async, size, SEGMENT_LEN)?;
            let log = Contender::Ours.open(&plan)?;
            crate::share(THREADS, size, |thread, share| {
                (0..share).try_for_each(|turn| {
                    log.append(usize::try_from(turn * THREADS + thread)?, &entry)
                })
            })?;
        }
    }
    Ok(process::settle(dir)?)
}

/// Does it to a log of this size; gives nanoseconds.
///
/// # Errors
///
/// Those of the log.
pub fn measure(
    (dimension, operation): (Dimension, Operation),
    size: u64,
    dir: &Path,
    effort: Effort,
) -> Result<Sample> {
    let stream_count = if dimension == Dimension::Streams { size } else { 1 };
    let plan = |durability, segment_len| plan(dir, durability, stream_count, segment_len);
    let lax = plan(Durability::Async, SEGMENT_LEN)?;
    let entry = noise(1);
    let used = |turn: u64| usize::try_from(mix(turn % USED) % stream_count).unwrap_or(0);
    let any = |turn: u64| usize::try_from(mix(turn) % stream_count).unwrap_or(0);
    match operation {
        Operation::Append => {
            let log = Contender::Ours.open(&lax)?;
            timed((2 * USED, 1_000), |turn| log.append(used(turn), &entry))
        }
        Operation::AppendAny => {
            let log = Contender::Ours.open(&lax)?;
            timed((3_000, 1_000), |turn| log.append(any(turn), &entry))
        }
        Operation::StrictAppend => {
            let log = Contender::Ours.open(&plan(Durability::Strict, SEGMENT_LEN)?)?;
            timed((2 * USED, 200), |turn| log.append(used(turn), &entry))
        }
        Operation::Get if dimension == Dimension::Streams => {
            let log = Contender::Ours.open(&lax)?;
            timed((100 * USED, 10_000), |turn| get(&*log, used(turn)))
        }
        Operation::GetAny => {
            let log = Contender::Ours.open(&lax)?;
            timed((3_000, 1_000), |turn| get(&*log, any(turn)))
        }
        Operation::Get => read::get(Contender::Ours, dir, size, SEGMENT_LEN, effort),
        Operation::GetByHand => {
            let dir = dir.join(BY_HAND);
            read::get(Contender::Mapped, &dir, size, SEGMENT_LEN, effort)
        }
        Operation::Open => open(&lax),
        Operation::OpenSmall => {
            open(&self::plan(&dir.join(SMALL), Durability::Async, 1, SMALL_LEN)?)
        }
        Operation::Rotate => {
            let log = Contender::Ours.open(&plan(Durability::Async, 1)?)?;
            timed((2, 32), |turn| log.append(used(turn), &entry))
        }
        Operation::Truncate => {
            let wal = Wal::open(&lax.dir, WalOptions::new().sync_mode(SyncMode::Async))?;
            let stream = wal.stream("stream-0")?;
            let first = stream.first_seq()?;
            timed((1, 1), |turn| match stream.truncate_before(first + 1 + turn)? {
                left if left == first + 1 + turn => Ok(()),
                left => Err(format!("{left} is the first that is left").into()),
            })
        }
    }
}

/// From nothing until an append has returned.
fn open(plan: &Plan) -> Result<Sample> {
    let begun = Instant::now();
    let log = Contender::Ours.open(plan)?;
    log.append(0, &noise(1))?;
    let took = begun.elapsed();
    drop(log);
    Ok(Sample::new(took.as_secs_f64() * 1e9))
}

fn get(log: &dyn Log, stream: usize) -> Result<()> {
    match log.get(stream, 0)? {
        ENTRY_LEN => Ok(()),
        len => Err(format!("an entry of {len} bytes").into()),
    }
}

/// Nanoseconds of each of so many calls, after some that do not count.
fn timed((warm_up, count): (u64, u64), mut call: impl FnMut(u64) -> Result<()>) -> Result<Sample> {
    (0..warm_up).try_for_each(&mut call)?;
    let mut nanos = Histogram::new(3)?;
    let begun = Instant::now();
    for turn in warm_up..warm_up + count {
        let begun_one = Instant::now();
        call(turn)?;
        nanos.record(u64::try_from(begun_one.elapsed().as_nanos())?)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 calls")]
    let each = begun.elapsed().as_secs_f64() * 1e9 / count as f64;
    Ok(Sample::new(each).timed(&nanos))
}
