//! Many streams: what they take, and how fast they are made.

use std::path::Path;
use std::time::Instant;

use crate::contender::{
    Contender, Durability, Kind, Plan, Result, create_streams_by_hand, create_streams_together,
};
use crate::sample::Sample;
use crate::{noise, process};

/// Megabytes over those of the process before it opened the log.
pub(super) fn memory(
    contender: Contender,
    dir: &Path,
    stream_count: usize,
    busy_count: usize,
) -> Result<Sample> {
    const ROUNDS: usize = 100;
    let entry = noise(1);
    let before = process::resident_len()?;
    let plan = Plan { stream_count, ..Plan::new(dir, Durability::Async) };
    let log = contender.open(&plan)?;
    (0..stream_count).try_for_each(|stream| log.append(stream, &entry))?;
    for _ in 0..ROUNDS {
        (0..busy_count).try_for_each(|stream| log.append(stream, &entry))?;
    }
    let after = process::resident_len()?;
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 bytes")]
    let [over, threads, handles] = [
        after.saturating_sub(before),
        process::thread_count()?,
        process::open_handle_count()? as u64,
    ]
    .map(|count| count as f64);
    drop(log);
    Ok(Sample::new(over / 1e6).with("threads", threads).with("open files", handles))
}

/// Streams per second.
pub(super) fn create(
    contender: Contender,
    dir: &Path,
    stream_count: usize,
    thread_count: usize,
) -> Result<Sample> {
    let entry = noise(1);
    let threads = thread_count as u64;
    let count = stream_count as u64;
    let first = |thread: u64| count * thread / threads;
    let begun = if contender.kind() == Kind::Limit {
        let begun = Instant::now();
        if contender == Contender::Syncfs {
            create_streams_together(dir, thread_count, count, &entry)?;
        } else {
            crate::share(threads, count, |thread, _| {
                create_streams_by_hand(dir, first(thread)..first(thread + 1), &entry)
            })?;
        }
        begun
    } else {
        let plan = Plan { stream_count, ..Plan::new(dir, Durability::Strict) };
        let log = contender.open(&plan)?;
        let begun = Instant::now();
        crate::share(threads, count, |thread, _| {
            (first(thread)..first(thread + 1))
                .try_for_each(|stream| log.append(usize::try_from(stream)?, &entry))
        })?;
        begun
    };
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 streams")]
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    Ok(Sample::new(rate))
}
