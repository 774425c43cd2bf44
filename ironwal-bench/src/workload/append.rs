//! Appends: how many, how fast, and how many bytes they make a device write.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use hdrhistogram::Histogram;

use super::{Appends, Effort};
use crate::contender::{Contender, Durability, Log, Plan, Result, SEGMENT_LEN};
use crate::sample::Sample;
use crate::{ENTRY_LEN, mix, noise, process};

/// Of calls that take less than the clock, one in so many is timed.
const TIMED: u64 = 64;
/// The phases of what goes on for some time: calls that begin in the second one count, and one at least.
const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// Entries that nothing makes smaller.
struct Entries(Vec<[u8; ENTRY_LEN]>);

impl Entries {
    fn new() -> Self {
        Self((0..1024).map(noise).collect())
    }

    /// Appends so many of them, beginning with one that the dice choose.
    fn append(&self, log: &dyn Log, stream: usize, dice: usize, count: usize) -> Result<()> {
        let first = dice % (self.0.len() + 1 - count);
        match self.0.get(first..first + count).ok_or("no entries")? {
            [entry] => log.append(stream, entry),
            entries => {
                let entries: Vec<&[u8]> = entries.iter().map(AsRef::as_ref).collect();
                log.append_batch(stream, &entries)
            }
        }
    }
}

pub(super) fn run(
    contender: Contender,
    dir: &Path,
    appends: Appends,
    effort: Effort,
) -> Result<Sample> {
    let Appends { durability, thread_count, stream_count, batch, count } = appends;
    // As many as there are, or fewer where less is to be done.
    let stream_count = stream_count.min(effort.some_of(stream_count).max(thread_count));
    let stream_len = match (batch, stream_count) {
        (2.., _) => 8 * SEGMENT_LEN,
        (_, 0..=64) => SEGMENT_LEN / 4,
        _ => SEGMENT_LEN / 64,
    };
    let plan = Plan { stream_count, stream_len, ..Plan::new(dir, durability) };
    let log = contender.open(&plan)?;
    let entries = Entries::new();
    warm_up(&*log, stream_count, &entries)?;
    process::settle(dir)?;
    let phase = AtomicU8::new(WARMING);
    let begin = Barrier::new(thread_count + 1);
    let (log, entries, phase, begin) = (&*log, &entries, &phase, &begin);
    let done = std::thread::scope(|scope| {
        let start = |number: usize| {
            let own = (stream_count == thread_count).then_some(number);
            let seed = mix(number as u64);
            let mut thread = Thread { log, entries, batch, stream_count, own, seed, turn: 0 };
            scope.spawn(move || {
                begin.wait();
                match count {
                    Some(count) => thread.count(count),
                    None => thread.until_over(phase),
                }
            })
        };
        let threads: Vec<_> = (0..thread_count).map(start).collect();
        begin.wait();
        if count.is_none() {
            std::thread::sleep(effort.time / 4);
            phase.store(MEASURING, Ordering::Relaxed);
            std::thread::sleep(effort.time);
            phase.store(OVER, Ordering::Relaxed);
        }
        let mut calls = 0;
        let mut nanos = Histogram::new(3)?;
        let mut started = Instant::now();
        for thread in threads {
            let (begun, count, histogram) = thread.join().expect("no panic")?;
            // The first may be well ahead of this thread.
            started = started.min(begun);
            calls += count;
            nanos.add(&histogram)?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((calls, nanos, started.elapsed()))
    })?;
    let (calls, nanos, took) = done;
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 calls")]
    let rate = calls as f64 / took.as_secs_f64();
    Ok(Sample::new(rate).timed(&nanos))
}

/// The streams are there, and their files, before anything is timed.
fn warm_up(log: &dyn Log, stream_count: usize, entries: &Entries) -> Result<()> {
    crate::share(16.min(stream_count as u64), stream_count as u64, |thread, _| {
        let step = 16.min(stream_count);
        let first = usize::try_from(thread)?;
        (first..stream_count).step_by(step).try_for_each(|stream| entries.append(log, stream, 0, 1))
    })
}

/// When a thread began, how many calls it did, and how long some of them took.
type Counted = (Instant, u64, Histogram<u64>);

struct Thread<'a> {
    log: &'a dyn Log,
    entries: &'a Entries,
    batch: usize,
    stream_count: usize,
    own: Option<usize>,
    /// Threads draw numbers of their own.
    seed: u64,
    turn: u64,
}

impl Thread<'_> {
    /// Appends until it is over, and times each call that counts.
    fn until_over(&mut self, phase: &AtomicU8) -> Result<Counted> {
        let mut nanos = Histogram::new(3)?;
        while phase.load(Ordering::Relaxed) == WARMING {
            self.append()?;
        }
        let started = Instant::now();
        let mut calls = 0;
        // One call counts, however slow the one before it was.
        loop {
            let begun = Instant::now();
            self.append()?;
            nanos.record(u64::try_from(begun.elapsed().as_nanos())?)?;
            calls += 1;
            if phase.load(Ordering::Relaxed) == OVER {
                break;
            }
        }
        Ok((started, calls, nanos))
    }

    /// So many calls, of which a few are timed.
    fn count(&mut self, count: u64) -> Result<Counted> {
        let mut nanos = Histogram::new(3)?;
        let started = Instant::now();
        for call in 0..count {
            if call % TIMED == 0 {
                let begun = Instant::now();
                self.append()?;
                nanos.record(u64::try_from(begun.elapsed().as_nanos())?)?;
            } else {
                self.append()?;
            }
        }
        Ok((started, count, nanos))
    }

    fn append(&mut self) -> Result<()> {
        self.turn += 1;
        let dice = mix(self.seed ^ self.turn);
        let stream = match self.own {
            Some(own) => own,
            None => usize::try_from(dice % self.stream_count as u64)?,
        };
        self.entries.append(self.log, stream, usize::try_from(dice >> 32)?, self.batch)
    }
}

/// How many bytes the device writes for each byte of payload.
pub(super) fn bytes(
    contender: Contender,
    dir: &Path,
    payload_len: u64,
    batch: usize,
    durability: Durability,
) -> Result<Sample> {
    let batch_len = (batch * ENTRY_LEN) as u64;
    let batch_count = (payload_len / batch_len).max(1);
    let framed = crate::contender::HEADER_LEN as u64 + batch_len + 4 * batch as u64;
    let plan = Plan { stream_len: framed * batch_count, ..Plan::new(dir, durability) };
    process::settle(dir)?;
    let before = process::device_written_len(dir)?.ok_or("the device does not tell")?;
    let log = contender.open(&plan)?;
    let entries = Entries::new();
    for turn in 0..batch_count {
        entries.append(&*log, 0, usize::try_from(mix(turn))?, batch)?;
    }
    drop(log);
    process::settle(dir)?;
    let after = process::device_written_len(dir)?.ok_or("the device does not tell")?;
    #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 bytes")]
    let [written, payload, used] =
        [after - before, batch_count * batch_len, process::used_len(dir)?].map(|len| len as f64);
    let sample = Sample::new(written / payload);
    // One that keeps nothing takes no space for it.
    let is_kept = contender != Contender::Okaywal;
    Ok(if is_kept { sample.with("bytes on disk per byte", used / payload) } else { sample })
}
