//! Reading what was written before.

use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::Effort;
use crate::contender::{Contender, Durability, Kind, Plan, Result, SEGMENT_LEN};
use crate::sample::Sample;
use crate::{ENTRY_LEN, mix};

/// One `get` in so many is timed alone.
const TIMED: u64 = 64;
/// What is done once for each segment is done after so many.
const WARM_UP: u64 = 20_000;

fn plan(dir: &Path, entry_len: usize, segment_len: u64) -> Plan {
    Plan { segment_len, entry_len, ..Plan::new(dir.join("log"), Durability::Async) }
}

/// Appends so many entries of so many bytes to one stream, one after the other.
pub(crate) fn fill(
    contender: Contender,
    dir: &Path,
    entries: (u64, usize),
    segment_len: u64,
) -> Result<()> {
    let (count, len) = entries;
    let log = contender.open(&plan(dir, len, segment_len))?;
    let mut bytes: Vec<u8> = (0..=(len / ENTRY_LEN) as u64).flat_map(crate::noise).collect();
    bytes.truncate(len);
    for number in 0..count {
        for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        log.append(0, &bytes)?;
    }
    Ok(())
}

/// Nanoseconds for an entry at random.
pub(crate) fn get(
    contender: Contender,
    dir: &Path,
    entry_count: u64,
    segment_len: u64,
    effort: Effort,
) -> Result<Sample> {
    let log = contender.open(&plan(dir, ENTRY_LEN, segment_len))?;
    if contender.kind() != Kind::Limit {
        // There is a segment that is being written.
        log.append(0, &crate::noise(0))?;
    }
    let mut turn = 0;
    let mut get = || -> Result<()> {
        turn += 1;
        match log.get(0, mix(turn) % entry_count)? {
            ENTRY_LEN => Ok(()),
            len => Err(format!("an entry of {len} bytes").into()),
        }
    };
    let begun = Instant::now();
    let mut warmed = 0;
    while warmed < WARM_UP && begun.elapsed() < effort.time {
        get()?;
        warmed += 1;
    }
    // Where one takes long, the clock is looked at more often.
    let step = if warmed < WARM_UP { 1 } else { 64 * TIMED };
    let mut nanos = Histogram::new(3)?;
    let (mut count, begun) = (0_u64, Instant::now());
    while begun.elapsed() < effort.time {
        for call in 0..step {
            if call % TIMED == 0 {
                let begun_one = Instant::now();
                get()?;
                nanos.record(u64::try_from(begun_one.elapsed().as_nanos())?)?;
            } else {
                get()?;
            }
            count += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 calls")]
    let each = begun.elapsed().as_secs_f64() * 1e9 / count as f64;
    Ok(Sample::new(each).timed(&nanos))
}

/// Gigabytes of payload per second.
pub(super) fn scan(
    contender: Contender,
    dir: &Path,
    entry_count: u64,
    entry_len: usize,
) -> Result<Sample> {
    let log = contender.open(&plan(dir, entry_len, SEGMENT_LEN))?;
    let payload = entry_count * entry_len as u64;
    // Pages are in memory, and mapped where they are mapped at all.
    let is_repeatable = contender != Contender::Walrus;
    if is_repeatable {
        log.scan(0)?;
    }
    let begun = Instant::now();
    let read = log.scan(0)?;
    let took = begun.elapsed();
    if read != payload {
        return Err(format!("read {read} bytes of {payload}").into());
    }
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 bytes")]
    let speed = read as f64 / took.as_secs_f64() / 1e9;
    Ok(Sample::new(speed))
}
