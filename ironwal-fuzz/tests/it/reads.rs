//! What a read costs.

use std::sync::Arc;

use ironwal::{Environment, ReadStrategy, ReaderOptions, Stream, Wal, WalOptions, WalReader};
use ironwal_fuzz::faults::{Faults, FaultyStorage, Op};
use ironwal_segment::storage::MemStorage;

const COUNT: u64 = 20_000;

/// By positioned reads.
fn plain() -> WalOptions {
    WalOptions::new().read_strategy(ReadStrategy::StandardIo)
}

fn filled(options: WalOptions) -> (Stream, Faults) {
    let storage = FaultyStorage::new(Arc::new(MemStorage::new()));
    let faults = storage.faults().clone();
    let wal = Wal::open_in(Environment::new(Arc::new(storage)), options).unwrap();
    let stream = wal.stream("s").unwrap();
    for n in 0..COUNT {
        stream.append(n.to_le_bytes().repeat(6)).unwrap();
    }
    (stream, faults)
}

/// How many reads one get takes.
fn reads_of(stream: &Stream, faults: &Faults, seq: u64) -> u64 {
    let before = faults.count(Op::Read);
    assert_eq!(stream.get(seq).unwrap().unwrap(), seq.to_le_bytes().repeat(6));
    faults.count(Op::Read) - before
}

#[test]
fn a_get_in_the_active_segment_takes_one_read_wherever_the_entry_is() {
    let (stream, faults) = filled(plain());
    for seq in (0..COUNT).step_by(997).chain([0, 1, COUNT / 2, COUNT - 1]) {
        let reads = reads_of(&stream, &faults, seq);
        // A frame that the window cuts takes a second one.
        assert!((1..=2).contains(&reads), "{reads} reads for entry {seq}");
    }
}

#[test]
fn a_get_in_a_sealed_segment_takes_as_many_reads_wherever_the_entry_is() {
    let (stream, faults) = filled(plain().max_segment_size(200_000));
    for base in (0..COUNT - 4000).step_by(3000) {
        // The first in a segment reads its table.
        reads_of(&stream, &faults, base);
        for seq in (base..base + 2500).step_by(331) {
            reads_of(&stream, &faults, seq);
            let reads = reads_of(&stream, &faults, seq);
            // The window, and a frame that the window cuts.
            assert!((1..=2).contains(&reads), "{reads} reads for entry {seq}");
        }
    }
}

/// An iterator reads a window at a time, each byte about once.
#[test]
fn an_iterator_reads_each_byte_about_once() {
    let (stream, faults) = filled(plain());
    let before = faults.count(Op::Read);
    assert_eq!(stream.iter(..).unwrap().count() as u64, COUNT);
    let (reads, len) = (faults.count(Op::Read) - before, COUNT * 80);
    assert!(reads <= 2 * (len >> 17) + 2, "{reads} reads for {len} bytes");
    let before = faults.count(Op::Read);
    assert_eq!(stream.iter(COUNT - 3..).unwrap().count(), 3);
    let reads = faults.count(Op::Read) - before;
    assert!(reads <= 2, "{reads} reads for the last three");
}

#[test]
fn a_segment_is_mapped_once_and_then_read_without_a_call() {
    let (stream, faults) = filled(WalOptions::new().max_segment_size(200_000));
    for seq in (0..COUNT).step_by(97) {
        assert!(stream.get(seq).unwrap().is_some());
    }
    let segment_count = stream.stats().unwrap().segment_count as u64;
    assert_eq!(faults.count(Op::Map), segment_count);
    let calls = || [Op::Read, Op::Open, Op::Map].map(|op| faults.count(op));
    let before = calls();
    for seq in (0..COUNT).step_by(31) {
        assert_eq!(stream.get(seq).unwrap().unwrap(), seq.to_le_bytes().repeat(6));
    }
    assert_eq!(stream.iter(..).unwrap().count() as u64, COUNT);
    assert_eq!(calls(), before);
}

#[test]
fn a_reader_that_follows_reads_what_is_new_and_not_the_whole_again() {
    let storage = FaultyStorage::new(Arc::new(MemStorage::new()));
    let faults = storage.faults().clone();
    let environment = Environment::new(Arc::new(storage));
    let wal = Wal::open_in(environment.clone(), WalOptions::new()).unwrap();
    let stream = wal.stream("s").unwrap();
    for _ in 0..COUNT {
        stream.append([7; 100]).unwrap();
    }
    let reader = WalReader::open_in(environment, ReaderOptions::new()).stream("s").unwrap();
    let before = faults.count(Op::Read);
    assert_eq!(reader.next_seq().unwrap(), COUNT);
    let whole = faults.count(Op::Read) - before;
    let before = faults.count(Op::Read);
    for next in COUNT + 1..=COUNT + 100 {
        stream.append([7; 100]).unwrap();
        assert_eq!(reader.next_seq().unwrap(), next);
    }
    let following = faults.count(Op::Read) - before;
    // The segment header and a window, each time.
    assert!(following <= 2 * 100 && whole > 10, "{whole} reads, then {following}");
}

/// Whoever reads what is truncated or deleted meanwhile gets whole entries, or is told.
#[test]
fn an_iterator_that_is_overtaken_gives_right_entries_or_says_so() {
    let entry = |seq: u64| seq.to_le_bytes().repeat(6);
    let (mut told, mut read) = (0, 0);
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        for is_deleted in [false, true] {
            for read_before in 0..8 {
                let options = WalOptions::new().max_segment_entries(2).read_strategy(strategy);
                let environment = Environment::new(Arc::new(MemStorage::new()));
                let wal = Wal::open_in(environment, options).unwrap();
                let stream = wal.stream("s").unwrap();
                for seq in 0..9 {
                    stream.append(entry(seq)).unwrap();
                }
                let mut iter = stream.iter(..).unwrap();
                for seq in 0..read_before {
                    assert_eq!(iter.next().unwrap().unwrap().data, entry(seq));
                }
                if is_deleted {
                    assert!(wal.delete_stream("s").unwrap());
                    wal.append("s", "another life").unwrap();
                } else {
                    assert_eq!(stream.truncate_before(7).unwrap(), 6);
                }
                for item in iter {
                    match item {
                        Ok(found) => {
                            assert_eq!(found.data, entry(found.seq));
                            read += 1;
                        }
                        Err(error) => {
                            let is_right =
                                if is_deleted { error.is_deleted() } else { error.is_truncated() };
                            assert!(is_right, "{error}");
                            told += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{told} told, {read} read");
    assert!(told > 5 && read > 50);
}
