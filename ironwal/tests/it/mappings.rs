//! Bytes that were read stay what they are for whoever holds them, whatever becomes of their segment.

use bytes::Bytes;
use ironwal::{ReadStrategy, Stream, SyncMode, Wal, WalOptions};

use crate::files;

fn options(strategy: ReadStrategy) -> WalOptions {
    let options = WalOptions::new().read_strategy(strategy).max_segment_size(20_000);
    options.max_open_segments(1).sync_mode(SyncMode::Async)
}

/// More than a page, so that entries lie in pages of their own.
fn entry(seq: u64) -> Vec<u8> {
    let noise = |n: u64| (n ^ seq).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..625).flat_map(noise).collect()
}

fn fill(stream: &Stream, count: u64) {
    for _ in 0..count {
        let next = stream.next_seq().unwrap();
        assert_eq!(stream.append(entry(next)).unwrap(), next);
    }
}

struct Held(Vec<Bytes>);

impl Held {
    fn of(stream: &Stream) -> Self {
        let seqs = stream.first_seq().unwrap()..stream.next_seq().unwrap();
        assert_eq!(seqs.start, 0);
        Self(stream.get_many(seqs).unwrap().into_iter().map(Option::unwrap).collect())
    }

    fn check(&self, what: &str) {
        for (seq, bytes) in (0..).zip(&self.0) {
            assert!(*bytes == entry(seq), "{what}: {seq}");
        }
    }
}

fn held_through(strategy: ReadStrategy, what: &str, change: impl Fn(&Wal, &Stream)) {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), options(strategy)).unwrap();
    let stream = wal.stream("s").unwrap();
    // The last of them lie in the active segment, in space that was reserved.
    fill(&stream, 10);
    let held = Held::of(&stream);
    let mut iter = stream.iter(..).unwrap();
    let first = iter.next().unwrap().unwrap();
    change(&wal, &stream);
    held.check(what);
    drop((iter, stream, wal));
    held.check(what);
    assert!(first.data == entry(0));
}

fn all(what: &str, change: impl Fn(&Wal, &Stream)) {
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        held_through(strategy, what, &change);
    }
}

#[test]
fn bytes_of_a_segment_that_is_rotated_and_trimmed_stay() {
    all("rotated", |_, stream| {
        assert_eq!(stream.rotate().unwrap(), 10);
        fill(stream, 20);
        Held::of(stream).check("rotated");
    });
}

#[test]
fn bytes_of_a_segment_that_is_truncated_stay() {
    all("truncated", |_, stream| {
        let next = stream.rotate().unwrap();
        assert_eq!(stream.truncate_before(next).unwrap(), 10);
        fill(stream, 20);
    });
}

#[test]
fn bytes_of_a_stream_that_is_deleted_and_made_anew_stay() {
    all("deleted", |wal, _| {
        assert!(wal.delete_stream("s").unwrap());
        for _ in 0..10 {
            wal.append("s", vec![0xEE; 5_000]).unwrap();
        }
        wal.get("s", 3).unwrap().unwrap();
    });
}

#[test]
fn bytes_of_a_stream_that_was_parked_stay_and_new_ones_are_read() {
    all("parked", |wal, stream| {
        for n in 0..8 {
            let other = wal.stream(&format!("other {n}")).unwrap();
            fill(&other, 3);
            Held::of(&other).check("other");
        }
        Held::of(stream).check("parked");
        fill(stream, 4);
        Held::of(stream).check("appended to after it was parked");
    });
}

#[test]
fn bytes_of_a_log_that_was_closed_and_removed_stay_and_its_iterators_end() {
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), options(strategy)).unwrap();
        let stream = wal.stream("s").unwrap();
        fill(&stream, 30);
        let held = Held::of(&stream);
        let iter = stream.iter(..).unwrap();
        wal.close().unwrap();
        held.check("closed");
        std::fs::remove_dir_all(root.path()).unwrap();
        held.check("removed");
        // What was not opened before is missing: one error for each segment, and no wrong byte.
        let mut next = 0;
        for item in iter {
            match item {
                Ok(found) => {
                    assert!(found.seq >= next && found.data == entry(found.seq));
                    next = found.seq + 1;
                }
                Err(error) => assert!(error.is_damage(), "{error}"),
            }
        }
        held.check("iterated");
    }
}

#[test]
fn no_map_of_this_process_outlives_those_who_hold_its_bytes() {
    let maps = |root: &std::path::Path| {
        let maps = String::from_utf8_lossy(&files::read(std::path::Path::new("/proc/self/maps")))
            .into_owned();
        maps.lines().filter(|line| line.contains(root.to_str().unwrap())).count()
    };
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), options(ReadStrategy::Mmap)).unwrap();
    let stream = wal.stream("s").unwrap();
    fill(&stream, 30);
    let held = Held::of(&stream);
    assert_eq!(maps(root.path()), stream.stats().unwrap().segment_count);
    assert_eq!(wal.stats().mapped_segment_count, stream.stats().unwrap().segment_count);
    stream.rotate().unwrap();
    stream.truncate_before(30).unwrap();
    held.check("truncated");
    assert!(maps(root.path()) > 0);
    drop(held);
    assert_eq!(maps(root.path()), 0);
    wal.close().unwrap();
}
