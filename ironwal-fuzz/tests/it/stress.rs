//! Many threads on one log, as fast as they can, with an oracle that needs no order among them.
//!
//! Each entry names its writer and counts up for that writer and stream, so that any run of entries can be
//! judged alone: numbers are dense, no entry comes twice, those of one writer are in order and whole,
//! and what was acknowledged before a read began is there. `IRONWAL_STRESS_MILLIS` makes it longer.
//!
//! `ThreadSanitizer` runs this too. It sees nothing of the locks and channels of std, which are not built
//! here: so there are none but atomics.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ironwal::{
    CompressionType, ErrorKind, FenceCause, Outcome, ReadStrategy, SyncMode, Wal, WalOptions,
};
use ironwal_fuzz::host::CountingHost;
use ironwal_fuzz::oracle::{open, told};
use ironwal_fuzz::random::SplitMix64;
use ironwal_fuzz::sim_storage::SimStorage;
use ironwal_segment::storage::{MemStorage, StdStorage, Storage};

const WRITERS: usize = 6;
const READERS: usize = 3;
const STREAMS: usize = 4;

/// How many calls a writer makes at most, and for how long.
const MAX_CALLS: u64 = 3_000;
const MILLIS: u64 = 700;

/// So long without any call that returns is a deadlock.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is known of one stream.
#[derive(Debug, Default)]
struct Known {
    /// One past the last number that was acknowledged.
    acknowledged: AtomicU64,
    /// Below this, an entry may be gone: raised before it is asked for.
    may_be_gone: AtomicU64,
    /// Below this, an entry is gone: raised after the answer.
    gone: AtomicU64,
}

/// What all threads share.
#[derive(Debug)]
struct Stage {
    wal: Wal,
    streams: [Known; STREAMS],
    /// How many appends may or may not be there.
    unknown_count: AtomicU64,
    /// Grows with each call that returns.
    call_count: AtomicU64,
    is_over: AtomicBool,
    writers_left: AtomicU64,
    until: Instant,
}

fn key(stream: usize) -> String {
    format!("stream {stream}")
}

/// The entry with this number among those that a writer appended to a stream.
fn entry(stream: usize, writer: usize, count: u64) -> String {
    let filling = (count * 37 + 11) % 300;
    let filling = "x".repeat(usize::try_from(filling).unwrap());
    format!("{stream} {writer} {count} {filling}")
}

fn check_entry(stream: usize, data: &Bytes) -> (usize, u64) {
    let text = std::str::from_utf8(data).expect("entries are text");
    let mut words = text.split(' ').map(|word| word.parse::<u64>().unwrap_or_default());
    let mut word = || words.next().expect("an entry has four words");
    let (_, writer, count) = (word(), usize::try_from(word()).unwrap(), word());
    assert_eq!(text, entry(stream, writer, count), "bytes that nobody wrote");
    (writer, count)
}

impl Stage {
    fn new(storage: Arc<dyn Storage>, options: &WalOptions) -> Self {
        let wal = open(storage, &CountingHost::starting_at(1), options).expect("it opens");
        let asked = std::env::var("IRONWAL_STRESS_MILLIS").ok().and_then(|text| text.parse().ok());
        Stage {
            wal,
            streams: Default::default(),
            unknown_count: AtomicU64::new(0),
            call_count: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            writers_left: AtomicU64::new(WRITERS as u64),
            until: Instant::now() + Duration::from_millis(asked.unwrap_or(MILLIS)),
        }
    }

    fn called(&self, random: &mut SplitMix64) {
        self.call_count.fetch_add(1, Ordering::Relaxed);
        if random.chance(1, 4) {
            thread::yield_now();
        }
    }

    /// Asks for something that a handle from before a reopening may refuse, until it does not.
    fn ask<T>(&self, doing: &str, mut ask: impl FnMut() -> ironwal::Result<T>) -> T {
        loop {
            match ask() {
                Ok(answer) => return answer,
                Err(error) => self.is_reopened(doing, &error),
            }
        }
    }

    /// Panics unless the error is that another thread reopened the stream meanwhile.
    fn is_reopened(&self, doing: &str, error: &ironwal::Error) {
        let is_so = matches!(error.kind(), ErrorKind::Fenced(FenceCause::Reopened));
        assert!(is_so, "{}", told(doing, error));
        self.call_count.fetch_add(1, Ordering::Relaxed);
    }

    fn append(&self, (writer, stream): (usize, usize), count: &mut u64, random: &mut SplitMix64) {
        let (key, known) = (key(stream), &self.streams[stream]);
        let len = if random.chance(1, 4) { random.below(5) as u64 + 1 } else { 1 };
        let range = loop {
            let entries: Vec<_> = (0..len).map(|n| entry(stream, writer, *count + n)).collect();
            let answer = match entries.as_slice() {
                [one] => self.wal.append(&key, one).map(|seq| seq..seq + 1),
                more => self.wal.append_batch(&key, more),
            };
            // What was not written is not there, so its counts are used again.
            match answer {
                Ok(range) => break range,
                Err(error) if error.outcome() == Outcome::NotWritten => {
                    self.is_reopened("append", &error);
                }
                Err(error) => {
                    self.is_reopened("append", &error);
                    self.unknown_count.fetch_add(1, Ordering::SeqCst);
                    *count += len;
                }
            }
        };
        assert_eq!(range.end - range.start, len, "a batch is dense");
        known.acknowledged.fetch_max(range.end, Ordering::SeqCst);
        let seq = range.start + random.below(usize::try_from(len).unwrap()) as u64;
        match self.wal.get(&key, seq) {
            Ok(found) => {
                let data = found.expect("it was just appended");
                let expected = (writer, *count + (seq - range.start));
                assert_eq!(
                    check_entry(stream, &data),
                    expected,
                    "another's entry came in its place"
                );
            }
            Err(error) if error.is_truncated() => {
                assert!(seq < known.may_be_gone.load(Ordering::SeqCst), "{seq} is gone");
            }
            Err(error) => self.is_reopened("get", &error),
        }
        *count += len;
    }

    /// What a writer does: the counts go on from one stream to the next.
    fn write(&self, writer: usize) {
        let mut random = SplitMix64::new(writer as u64);
        let mut counts = [0_u64; STREAMS];
        for turn in 0.. {
            let is_late = Instant::now() >= self.until;
            if is_late || turn >= MAX_CALLS && has_default_time() {
                break;
            }
            let stream = random.below(STREAMS);
            let (key, known) = (key(stream), &self.streams[stream]);
            match random.below(40) {
                0 => self.ask("sync", || self.wal.stream(&key)?.sync()),
                1 => self.ask("sync", || self.wal.sync()),
                2 => drop(self.ask("rotate", || self.wal.stream(&key)?.rotate())),
                3 => {
                    let report = self.ask("reopen", || self.wal.reopen(&key));
                    assert!(report.damage.is_empty() && report.torn.is_none(), "{report:?}");
                }
                4 => {
                    let end = known.acknowledged.load(Ordering::SeqCst);
                    let before = end.saturating_sub(random.below(60) as u64);
                    known.may_be_gone.fetch_max(before, Ordering::SeqCst);
                    let first =
                        self.ask("truncate", || self.wal.stream(&key)?.truncate_before(before));
                    known.gone.fetch_max(first, Ordering::SeqCst);
                }
                5 => drop(self.wal.stats()),
                6 => {
                    // A stream of this thread's own comes and goes.
                    let own = format!("of {writer}");
                    self.ask("append", || self.wal.append(&own, "x"));
                    assert!(self.ask("delete", || self.wal.delete_stream(&own)));
                    assert!(!self.wal.contains(&own).expect("it can be looked for"));
                }
                _ => self.append((writer, stream), &mut counts[stream], &mut random),
            }
            self.called(&mut random);
        }
        if self.writers_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.is_over.store(true, Ordering::SeqCst);
        }
    }

    fn read(&self, reader: usize) {
        let mut random = SplitMix64::new(1000 + reader as u64);
        while !self.is_over.load(Ordering::SeqCst) {
            let stream = random.below(STREAMS);
            if random.chance(1, 2) {
                self.read_one(stream, &mut random);
            } else {
                let back = random.below(200) as u64;
                self.read_range(stream, back);
            }
            self.called(&mut random);
        }
    }

    fn read_one(&self, stream: usize, random: &mut SplitMix64) {
        let known = &self.streams[stream];
        let (gone, promised) =
            (known.gone.load(Ordering::SeqCst), known.acknowledged.load(Ordering::SeqCst));
        let Some(last) = promised.checked_sub(1) else { return };
        let seq = last.saturating_sub(random.below(80) as u64);
        match self.wal.get(&key(stream), seq) {
            Ok(Some(data)) => {
                assert!(seq >= gone, "{seq} was removed");
                check_entry(stream, &data);
            }
            Ok(None) => panic!("{seq} was acknowledged, and is not there"),
            Err(error) if error.is_truncated() => {
                assert!(seq < known.may_be_gone.load(Ordering::SeqCst), "{seq} is gone");
            }
            Err(error) => self.is_reopened("get", &error),
        }
    }

    /// Iterates from so far back to the end.
    fn read_range(&self, stream: usize, back: u64) {
        let (key, known) = (key(stream), &self.streams[stream]);
        let promised = known.acknowledged.load(Ordering::SeqCst);
        let mut expected = promised.saturating_sub(back);
        let items = match self.wal.iter(&key, expected..) {
            Ok(items) => items,
            Err(error) => return self.is_reopened("iterate", &error),
        };
        let mut last: [Option<u64>; WRITERS] = [None; WRITERS];
        for item in items {
            match item {
                Ok(found) => {
                    assert_eq!(found.seq, expected, "numbers are dense");
                    expected += 1;
                    let (writer, count) = check_entry(stream, &found.data);
                    let before = last[writer].replace(count);
                    let follows = before.is_none_or(|before| count > before);
                    assert!(follows, "{count} of writer {writer} came behind {before:?}");
                    let is_next = before.is_none_or(|before| count == before + 1);
                    let unknown_count = self.unknown_count.load(Ordering::SeqCst);
                    assert!(is_next || unknown_count > 0, "{before:?} and {count} of {writer}");
                }
                Err(error) => {
                    let ErrorKind::Truncated { first_seq } = error.kind() else {
                        return self.is_reopened("read", &error);
                    };
                    let allowed = known.may_be_gone.load(Ordering::SeqCst);
                    assert!(*first_seq <= allowed, "{first_seq} of {allowed} are gone");
                    expected = expected.max(*first_seq);
                    last = [None; WRITERS];
                }
            }
        }
        assert!(expected >= promised, "{promised} were acknowledged, {expected} are there");
    }

    /// Reads all of it when nobody writes: what is left of each writer is there.
    fn check_rest(&self) {
        for stream in 0..STREAMS {
            self.read_range(stream, u64::MAX);
            let (key, known) = (key(stream), &self.streams[stream]);
            let next = self.wal.next_seq(&key).expect("it is open");
            let acknowledged = known.acknowledged.load(Ordering::SeqCst);
            let unknown_count = self.unknown_count.load(Ordering::SeqCst);
            assert!(next == acknowledged || next > acknowledged && unknown_count > 0, "{key}");
        }
    }
}

fn has_default_time() -> bool {
    std::env::var_os("IRONWAL_STRESS_MILLIS").is_none()
}

/// Ends the process with a message where no call returns any more: nothing else ends a deadlock.
fn watch(stage: &Stage) {
    let (mut before, mut since) = (0, Instant::now());
    while !stage.is_over.load(Ordering::SeqCst) {
        thread::park_timeout(Duration::from_millis(20));
        let now = stage.call_count.load(Ordering::Relaxed);
        if now != before {
            (before, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            println!("deadlock: no call returned for {PATIENCE:?}, after {now} calls: {stage:?}");
            #[expect(clippy::exit, reason = "threads that wait for each other cannot be joined")]
            std::process::exit(101);
        }
    }
}

/// Lets a thread that panics end the others, so that the message is seen.
struct EndsAll<'a>(&'a Stage);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.is_over.store(true, Ordering::SeqCst);
        }
    }
}

fn stress(storage: &Arc<dyn Storage>, options: &WalOptions) {
    let stage = Stage::new(Arc::clone(storage), options);
    thread::scope(|scope| {
        let stage = &stage;
        let writers = (0..WRITERS).map(|writer| {
            scope.spawn(move || {
                let _ends = EndsAll(stage);
                stage.write(writer);
            })
        });
        let mut threads: Vec<_> = writers.collect();
        threads.extend((0..READERS).map(|reader| {
            scope.spawn(move || {
                let _ends = EndsAll(stage);
                stage.read(reader);
            })
        }));
        watch(stage);
        for thread in threads {
            thread.join().expect("no thread panics");
        }
    });
    stage.check_rest();
    println!("{} calls", stage.call_count.load(Ordering::Relaxed));
    stage.wal.close().expect("it closes");
    // What was closed is there.
    let wal = open(Arc::clone(storage), &CountingHost::starting_at(1 << 40), options);
    Stage { wal: wal.expect("it opens again"), ..stage }.check_rest();
}

/// Small segments and few open files, so that everything happens all the time.
fn options(mode: SyncMode, strategy: ReadStrategy) -> WalOptions {
    WalOptions::new()
        .max_segment_size(3000)
        .max_open_segments(3)
        .sync_mode(mode)
        .read_strategy(strategy)
        .compression(CompressionType::Lz4)
        .min_compression_size(200)
}

fn on_real_files(root: &Path, options: &WalOptions) {
    let storage: Arc<dyn Storage> = Arc::new(StdStorage::create(root).expect("a directory"));
    stress(&storage, options);
}

#[test]
fn many_threads_on_real_files() {
    for (mode, strategy) in [
        (SyncMode::Strict, ReadStrategy::Mmap),
        (SyncMode::BatchOnly, ReadStrategy::Mmap),
        (SyncMode::Async, ReadStrategy::StandardIo),
    ] {
        let dir = tempfile::tempdir().unwrap();
        on_real_files(&dir.path().join("log"), &options(mode, strategy));
    }
}

#[test]
fn many_threads_in_memory() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    stress(&storage, &options(SyncMode::Strict, ReadStrategy::StandardIo));
}

#[test]
fn many_threads_on_a_simulated_disk() {
    let storage: Arc<dyn Storage> = Arc::new(SimStorage::new());
    stress(&storage, &options(SyncMode::BatchOnly, ReadStrategy::Mmap));
}
