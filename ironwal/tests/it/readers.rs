//! Reads against rotation, truncation, deletion and files that are closed under them.
//!
//! What an entry holds follows from its stream and number, so a reader needs no books: it knows which
//! bytes are right, and by a few numbers that each writer keeps, what has to be there.
//!
//! `IRONWAL_READ_MILLIS` says how long, for each of the six cases of each strategy.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ironwal::{ErrorKind, Iter, ReadStrategy, SyncMode, Wal, WalOptions};

use crate::kill_modes::MODES;

const STREAMS: [&str; 3] = ["kept", "truncated", "deleted"];

const READER_COUNT: u64 = 5;

/// What the writer of a stream has to say of it.
#[derive(Debug, Default)]
struct Marks {
    /// How often it was deleted, twice; odd while it is being deleted.
    deletions: AtomicU64,
    /// Up to where it may have been truncated.
    floor: AtomicU64,
    /// Up to where appends have returned.
    acknowledged: AtomicU64,
}

fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^ (bits >> 27)
}

fn entry(stream: usize, seq: u64) -> Vec<u8> {
    let head = [(stream as u64).to_le_bytes(), seq.to_le_bytes(), mix(seq).to_le_bytes()].concat();
    let len = 24 + (mix(seq ^ 0x77) % 200) as usize;
    head.into_iter().cycle().take(len).collect()
}

fn write(wal: &Wal, at: usize, marks: &Marks, is_done: &AtomicBool) {
    let key = STREAMS[at];
    let mut next = 0;
    for dice in (0..).map(mix) {
        if is_done.load(Ordering::Relaxed) {
            return;
        }
        let stream = wal.stream(key).unwrap();
        let count = if dice % 3 == 0 { 1 + dice / 3 % 9 } else { 1 };
        if count == 1 {
            assert_eq!(stream.append(entry(at, next)).unwrap(), next);
        } else {
            let entries: Vec<_> = (next..next + count).map(|seq| entry(at, seq)).collect();
            assert_eq!(stream.append_batch(entries).unwrap(), next..next + count);
        }
        next += count;
        marks.acknowledged.store(next, Ordering::SeqCst);
        match (dice >> 20) % 64 {
            0 => assert_eq!(stream.rotate().unwrap(), next),
            1 => stream.sync().unwrap(),
            2..=5 if key != "kept" => {
                let floor = next.saturating_sub((dice >> 32) % 60);
                marks.floor.fetch_max(floor, Ordering::SeqCst);
                assert!(
                    stream.truncate_before(floor).unwrap()
                        <= floor.max(stream.first_seq().unwrap())
                );
            }
            6..=9 if key == "deleted" => {
                marks.deletions.fetch_add(1, Ordering::SeqCst);
                assert!(wal.delete_stream(key).unwrap());
                assert!(stream.append("late").unwrap_err().is_deleted());
                assert!(stream.get(0).unwrap_err().is_deleted());
                marks.floor.store(0, Ordering::SeqCst);
                marks.acknowledged.store(0, Ordering::SeqCst);
                next = 0;
                marks.deletions.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
    }
}

/// What was so before a read began.
#[derive(Clone, Copy, Debug)]
struct Before {
    deletions: u64,
    acknowledged: u64,
}

impl Marks {
    fn before(&self) -> Before {
        let deletions = self.deletions.load(Ordering::SeqCst);
        Before { deletions, acknowledged: self.acknowledged.load(Ordering::SeqCst) }
    }

    /// Whether the stream was the same all the time.
    fn is_same(&self, before: Before) -> bool {
        before.deletions.is_multiple_of(2)
            && self.deletions.load(Ordering::SeqCst) == before.deletions
    }
}

/// Reads one entry, and some behind it; counts what was found.
fn get_some(wal: &Wal, at: usize, marks: &Marks, dice: u64) -> u64 {
    let before = marks.before();
    let seq = (dice >> 8) % (before.acknowledged + 3);
    let stream = wal.stream(STREAMS[at]).unwrap();
    let wanted: Range<u64> = seq..seq + 1 + (dice >> 40) % 12;
    let found = if wanted.end == seq + 1 {
        stream.get(seq).map(|entry| vec![entry])
    } else {
        stream.get_many(wanted.clone())
    };
    match found {
        Ok(found) => {
            assert_eq!(found.len() as u64, wanted.end - seq);
            let mut count = 0;
            for (seq, found) in wanted.zip(found) {
                if let Some(found) = found {
                    assert!(found == entry(at, seq), "{} {seq}: wrong bytes", STREAMS[at]);
                    count += 1;
                } else if seq < before.acknowledged && marks.is_same(before) {
                    panic!("{} {seq} is not there: {before:?} {marks:?}", STREAMS[at]);
                }
            }
            count
        }
        Err(error) => {
            if let ErrorKind::Truncated { first_seq } = error.kind() {
                assert!(wanted.start < *first_seq, "{error}");
                let floor = marks.floor.load(Ordering::SeqCst);
                assert!(*first_seq <= floor || !marks.is_same(before), "{error} {floor}");
            } else {
                assert!(error.is_deleted() && !marks.is_same(before), "{error}: {error:?}");
            }
            0
        }
    }
}

/// Walks through a stream; counts what was found.
fn iterate(wal: &Wal, at: usize, marks: &Marks, dice: u64) -> u64 {
    let before = marks.before();
    let from = dice.is_multiple_of(3).then(|| (dice >> 8) % (before.acknowledged + 1));
    let iter = match from {
        Some(from) => wal.iter(STREAMS[at], from..),
        None => wal.iter(STREAMS[at], ..),
    };
    match iter {
        Ok(iter) => walk(iter, from, at, marks, before),
        Err(error) => {
            assert!(error.is_deleted() && !marks.is_same(before), "{error}: {error:?}");
            0
        }
    }
}

fn walk(iter: Iter, from: Option<u64>, at: usize, marks: &Marks, before: Before) -> u64 {
    let (mut expected, mut count, mut was_deleted) = (from, 0, false);
    for item in iter {
        assert!(!was_deleted, "the end comes behind the error that the stream was deleted");
        match item {
            Ok(found) => {
                if let Some(expected) = expected {
                    assert_eq!(found.seq, expected, "{}: a gap, or twice", STREAMS[at]);
                }
                assert!(found.data == entry(at, found.seq), "{} {}", STREAMS[at], found.seq);
                expected = Some(found.seq + 1);
                count += 1;
            }
            Err(error) => {
                if let ErrorKind::Truncated { first_seq } = error.kind() {
                    assert!(expected.is_none_or(|expected| expected < *first_seq), "{error}");
                    expected = Some(*first_seq);
                } else {
                    assert!(error.is_deleted() && !marks.is_same(before), "{error}: {error:?}");
                    was_deleted = true;
                }
            }
        }
    }
    let is_whole = expected.unwrap_or(0) >= before.acknowledged || was_deleted;
    let is_short = marks.is_same(before) && !is_whole;
    assert!(!is_short, "{}: ends at {expected:?}, {before:?} {marks:?}", STREAMS[at]);
    count
}

/// Whoever ends, by a failure too, ends the others.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn read_against_changes(strategy: ReadStrategy, mode: SyncMode, max_open: u64, time: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions::new().read_strategy(strategy).sync_mode(mode);
    let options = options.max_open_segments(max_open).max_segment_size(2_000);
    let wal = Wal::open(dir.path(), options.min_compression_size(700)).unwrap();
    let marks: [Marks; 3] = Default::default();
    let is_done = AtomicBool::new(false);
    let found = AtomicU64::new(0);
    thread::scope(|scope| {
        for (at, marks) in marks.iter().enumerate() {
            let (wal, is_done) = (&wal, &is_done);
            scope.spawn(move || {
                let _finish = Finish(is_done);
                write(wal, at, marks, is_done);
            });
        }
        for reader in 0..READER_COUNT {
            let (wal, is_done, marks, found) = (&wal, &is_done, &marks, &found);
            scope.spawn(move || {
                let _finish = Finish(is_done);
                let start = Instant::now();
                for round in 0_u64.. {
                    if is_done.load(Ordering::Relaxed) || start.elapsed() > time {
                        return;
                    }
                    let dice = mix(round * 16 + reader);
                    let at = (dice >> 50) as usize % STREAMS.len();
                    let count = match dice % 8 {
                        0 => iterate(wal, at, &marks[at], dice >> 3),
                        _ => get_some(wal, at, &marks[at], dice >> 3),
                    };
                    found.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    wal.close().unwrap();
    let [kept, truncated, deleted] = &marks;
    println!(
        "{strategy:?} {mode:?} {max_open}: {} read, {} kept, {} truncated, {} deletions",
        found.into_inner(),
        kept.acknowledged.load(Ordering::SeqCst),
        truncated.floor.load(Ordering::SeqCst),
        deleted.deletions.load(Ordering::SeqCst) / 2,
    );
}

fn all_modes(strategy: ReadStrategy) {
    let millis = std::env::var("IRONWAL_READ_MILLIS").map_or(300, |time| time.parse().unwrap());
    for mode in MODES {
        for max_open in [1, 3] {
            read_against_changes(strategy, mode, max_open, Duration::from_millis(millis));
        }
    }
}

#[test]
fn mapped_reads_find_all_that_was_acknowledged_against_rotation_truncation_and_deletion() {
    all_modes(ReadStrategy::Mmap);
}

#[test]
fn plain_reads_find_all_that_was_acknowledged_against_rotation_truncation_and_deletion() {
    all_modes(ReadStrategy::StandardIo);
}
