//! What is done to the log all the time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ironwal::{Stream, Wal};

use crate::contender::Result;
use crate::{ENTRY_LEN, mix, noise};

const WRITERS: u64 = 4;
const STREAMS: u64 = 16;
/// One append in so many is a batch, which is durable when it returns. No multiple of what a writer has of
/// streams: then all of them would be for one.
const BATCH_EVERY: u64 = 21;
const BATCH: u64 = 32;
/// So many entries of each stream are kept: a few segments.
const KEPT: u64 = 6_000;
/// What is behind is removed so often.
const PAUSE: Duration = Duration::from_millis(20);

const _: () = assert!(!BATCH_EVERY.is_multiple_of(STREAMS / WRITERS));

/// In words.
pub(super) fn describe() -> String {
    format!(
        "{WRITERS} threads append to {} streams each; one append in {BATCH_EVERY} is a durable batch of \
         {BATCH} entries, the others are single entries of {ENTRY_LEN} bytes that are written. Segments of {} \
         KiB; of each stream the last {KEPT} entries and more are kept. One thread gets entries at random, \
         one reads streams from end to end, and both check every byte.",
        STREAMS / WRITERS,
        super::SEGMENT_LEN >> 10
    )
}

/// The threads, and what they did.
#[derive(Debug)]
pub(super) struct Load {
    streams: Vec<Stream>,
    is_over: AtomicBool,
    failure: Mutex<Option<String>>,
    /// Nanoseconds of the appends since somebody looked; one for each writer.
    latencies: Vec<Mutex<Histogram<u64>>>,
    counters: Counters,
}

/// What was done since the beginning.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Entries that were appended.
    pub entries: AtomicU64,
    /// Entries that were read by number.
    pub gets: AtomicU64,
    /// Entries that iterators gave.
    pub iterated: AtomicU64,
    /// How often a reader found that what it asked for was just removed.
    pub overtaken: AtomicU64,
    /// Entries that were removed.
    pub removed: AtomicU64,
}

impl Load {
    pub(super) fn new(wal: &Wal) -> Result<Self> {
        let latencies = (0..WRITERS).map(|_| Ok(Mutex::new(Histogram::new(3)?)));
        Ok(Self {
            streams: streams(wal)?,
            is_over: AtomicBool::new(false),
            failure: Mutex::new(None),
            latencies: latencies.collect::<Result<_>>()?,
            counters: Counters::default(),
        })
    }

    /// Lets all threads begin.
    pub(super) fn start<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>) {
        for (writer, latencies) in (0..).zip(&self.latencies) {
            scope.spawn(move || self.until_over(|| self.write(writer, latencies)));
        }
        scope.spawn(|| self.until_over(|| self.get_at_random()));
        scope.spawn(|| self.until_over(|| self.iterate()));
        scope.spawn(|| self.until_over(|| self.remove()));
    }

    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// The first that went wrong, if anything did.
    pub(super) fn outcome(&self) -> Result<()> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |failure| Err(failure.as_str().into()))
    }

    /// How long the appends took since this was asked before.
    pub(super) fn latencies(&self) -> Result<Histogram<u64>> {
        let mut all = Histogram::new(3)?;
        for latencies in &self.latencies {
            let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
            all.add(&*latencies)?;
            latencies.reset();
        }
        Ok(all)
    }

    pub(super) const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn until_over(&self, work: impl FnOnce() -> Result<()>) {
        if let Err(error) = work() {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| error.to_string());
            self.stop();
        }
    }

    /// Appends to the streams of one writer.
    fn write(&self, writer: u64, latencies: &Mutex<Histogram<u64>>) -> Result<()> {
        let own = (0..).zip(&self.streams).skip(usize::try_from(writer)?);
        let mut own: Vec<_> =
            own.step_by(usize::try_from(WRITERS)?).map(|(id, stream)| (id, stream, 0)).collect();
        let mut turn = 0;
        while !self.is_over() {
            for (id, stream, next) in &mut own {
                turn += 1;
                let count = if turn % BATCH_EVERY == 0 { BATCH } else { 1 };
                let numbers = *next..*next + count;
                let entries: Vec<_> = numbers.clone().map(|number| entry(*id, number)).collect();
                let begun = Instant::now();
                let written = match entries.as_slice() {
                    [one] => stream.append(one).map(|number| number..number + 1),
                    batch => stream.append_batch(batch),
                }?;
                let took = u64::try_from(begun.elapsed().as_nanos())?;
                latencies.lock().unwrap_or_else(PoisonError::into_inner).record(took)?;
                if written != numbers {
                    return Err(wrong(stream, &format!("{written:?} for {numbers:?}")));
                }
                self.counters.entries.fetch_add(count, Ordering::Relaxed);
                *next = numbers.end;
            }
        }
        Ok(())
    }

    /// Reads single entries.
    fn get_at_random(&self) -> Result<()> {
        let mut turn = 0;
        while !self.is_over() {
            turn += 1;
            let dice = mix(turn);
            let id = dice % STREAMS;
            let stream = self.streams.get(usize::try_from(id)?).ok_or("no such stream")?;
            let there = there(stream)?;
            if there.is_empty() {
                continue;
            }
            let number = there.start + (dice >> 32) % (there.end - there.start);
            match stream.get(number) {
                Ok(Some(bytes)) if *bytes == entry(id, number) => {
                    self.counters.gets.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if error.is_truncated() && stream.first_seq()? > number => {
                    self.counters.overtaken.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Some(_)) => return Err(wrong(stream, &format!("other bytes at {number}"))),
                Ok(None) => return Err(wrong(stream, &format!("nothing at {number}"))),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads streams from one end to the other.
    fn iterate(&self) -> Result<()> {
        while !self.is_over() {
            for (id, stream) in (0..).zip(&self.streams) {
                let (read, overtaken) = check(id, stream)?;
                self.counters.iterated.fetch_add(read, Ordering::Relaxed);
                self.counters.overtaken.fetch_add(overtaken, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Keeps the last few segments of each stream.
    fn remove(&self) -> Result<()> {
        while !self.is_over() {
            for stream in &self.streams {
                let there = there(stream)?;
                if there.end - there.start > 2 * KEPT {
                    let until = there.end - KEPT;
                    let first = stream.truncate_before(until)?;
                    if !(there.start..=until).contains(&first) {
                        return Err(wrong(stream, &format!("{first} is first, not {until}")));
                    }
                    self.counters.removed.fetch_add(first - there.start, Ordering::Relaxed);
                }
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// Checks all streams of a log that nobody writes to.
pub(super) fn check_all(wal: &Wal) -> Result<()> {
    (0..).zip(streams(wal)?).try_for_each(|(id, stream)| match check(id, &stream)? {
        (_, 0) => Ok(()),
        _ => Err(wrong(&stream, "there is less than it says")),
    })
}

fn streams(wal: &Wal) -> Result<Vec<Stream>> {
    (0..STREAMS).map(|id| Ok(wal.stream(&format!("stream-{id}"))?)).collect()
}

/// What a stream holds at this moment, or a little more.
fn there(stream: &Stream) -> Result<Range<u64>> {
    let start = stream.first_seq()?;
    Ok(start..stream.next_seq()?)
}

/// Reads all of a stream; gives how many entries it had, and how often they were removed in front of it.
fn check(id: u64, stream: &Stream) -> Result<(u64, u64)> {
    let Range { start: mut next, end } = there(stream)?;
    let (mut read, mut overtaken) = (0, 0);
    let mut is_exact = false;
    for found in stream.iter(next..)? {
        match found {
            Ok(found) => {
                if found.seq < next || is_exact && found.seq > next {
                    return Err(wrong(stream, &format!("{} in the place of {next}", found.seq)));
                }
                if *found.data != entry(id, found.seq) {
                    return Err(wrong(stream, &format!("other bytes at {}", found.seq)));
                }
                (next, is_exact) = (found.seq + 1, true);
                read += 1;
            }
            Err(error) if error.is_truncated() && stream.first_seq()? > next => {
                overtaken += 1;
                is_exact = false;
            }
            Err(error) => return Err(error.into()),
        }
    }
    // All of it may be gone meanwhile.
    if next < end && stream.first_seq()? < end {
        return Err(wrong(stream, &format!("it ends at {next} and not at {end}")));
    }
    Ok((read, overtaken))
}

/// The entry that a stream has at this number.
fn entry(id: u64, number: u64) -> [u8; ENTRY_LEN] {
    noise(id << 48 | number)
}

fn wrong(stream: &Stream, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
    format!("{}: {what}", stream.key()).into()
}
