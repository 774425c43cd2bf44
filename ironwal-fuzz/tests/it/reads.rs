//! What a read costs.

use std::sync::Arc;

use ironwal::{Environment, Stream, Wal, WalOptions};
use ironwal_fuzz::faults::{Faults, FaultyStorage, Op};
use ironwal_segment::storage::MemStorage;

const COUNT: u64 = 20_000;

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
    let (stream, faults) = filled(WalOptions::new());
    for seq in (0..COUNT).step_by(997).chain([0, 1, COUNT / 2, COUNT - 1]) {
        let reads = reads_of(&stream, &faults, seq);
        // A frame that the window cuts takes a second one.
        assert!((1..=2).contains(&reads), "{reads} reads for entry {seq}");
    }
}

#[test]
fn a_get_in_a_sealed_segment_takes_as_many_reads_wherever_the_entry_is() {
    let (stream, faults) = filled(WalOptions::new().max_segment_size(200_000));
    for base in (0..COUNT - 4000).step_by(3000) {
        // The first in a segment reads its table.
        reads_of(&stream, &faults, base);
        for seq in (base..base + 2500).step_by(331) {
            reads_of(&stream, &faults, seq);
            let reads = reads_of(&stream, &faults, seq);
            // The segment header, the window, and a frame that the window cuts.
            assert!((2..=3).contains(&reads), "{reads} reads for entry {seq}");
        }
    }
}

/// An iterator reads a window at a time, each byte about once.
#[test]
fn an_iterator_reads_each_byte_about_once() {
    let (stream, faults) = filled(WalOptions::new());
    let before = faults.count(Op::Read);
    assert_eq!(stream.iter(..).unwrap().count() as u64, COUNT);
    let (reads, len) = (faults.count(Op::Read) - before, COUNT * 80);
    assert!(reads <= 2 * (len >> 17) + 2, "{reads} reads for {len} bytes");
    let before = faults.count(Op::Read);
    assert_eq!(stream.iter(COUNT - 3..).unwrap().count(), 3);
    let reads = faults.count(Op::Read) - before;
    assert!(reads <= 2, "{reads} reads for the last three");
}
