//! What it costs to read one entry: it does not depend on where in its segment it is.

use ironwal::{CompressionType, ReadStrategy, SyncMode, Wal, WalOptions};

use crate::hooked::{self, Counter};

const ENTRY_COUNT: u64 = 1_000_000;

fn entry(seq: u64) -> [u8; 8] {
    seq.to_le_bytes()
}

/// First, second, middle, last but one and last.
fn places() -> [u64; 5] {
    [0, 1, ENTRY_COUNT / 2, ENTRY_COUNT - 2, ENTRY_COUNT - 1]
}

/// How many calls each of the places costs, once everything is opened or mapped.
fn costs(wal: &Wal, counter: &Counter) -> Vec<usize> {
    for seq in places() {
        assert_eq!(wal.get("s", seq).unwrap().unwrap(), entry(seq)[..]);
    }
    counter.take();
    let cost = |seq| {
        assert_eq!(wal.get("s", seq).unwrap().unwrap(), entry(seq)[..]);
        counter.take_count()
    };
    places().into_iter().map(cost).collect()
}

/// The first read of all: what is opened, mapped, and read of tables.
fn first_cost(wal: &Wal, counter: &Counter, seq: u64) -> usize {
    counter.take();
    assert_eq!(wal.get("s", seq).unwrap().unwrap(), entry(seq)[..]);
    counter.take_count()
}

fn check(costs: &[usize], strategy: ReadStrategy, what: &str) {
    println!("{strategy:?}, {what}: {costs:?} calls");
    let expected = usize::from(strategy != ReadStrategy::Mmap);
    assert!(costs.iter().all(|cost| *cost == expected), "{what}: {costs:?}");
}

#[test]
fn each_entry_of_a_segment_of_a_million_costs_the_same_few_calls_and_none_once_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions::new().sync_mode(SyncMode::Async).compression(CompressionType::None);
    let wal = Wal::open(dir.path(), options.clone()).unwrap();
    let stream = wal.stream("s").unwrap();
    for seq in 0..ENTRY_COUNT {
        assert_eq!(stream.append(entry(seq)).unwrap(), seq);
    }
    assert_eq!(wal.stream("s").unwrap().stats().unwrap().segment_count, 1);
    let counter = Counter::default();
    drop(stream);
    wal.close().unwrap();
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        let options = options.clone().read_strategy(strategy);
        let wal = hooked::open(dir.path(), options, counter.hook());
        wal.recover_all().unwrap();
        let first = first_cost(&wal, &counter, ENTRY_COUNT / 2);
        assert!(first <= 4, "{strategy:?}: {first} calls for the first read of the active segment");
        check(&costs(&wal, &counter), strategy, "active");
    }
    let wal = hooked::open(dir.path(), options.clone(), counter.hook());
    assert_eq!(wal.stream("s").unwrap().rotate().unwrap(), ENTRY_COUNT);
    check(&costs(&wal, &counter), ReadStrategy::Mmap, "just sealed");
    wal.close().unwrap();
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        let options = options.clone().read_strategy(strategy);
        let wal = hooked::open(dir.path(), options, counter.hook());
        wal.recover_all().unwrap();
        let first = first_cost(&wal, &counter, ENTRY_COUNT / 2);
        assert!(first <= 12, "{strategy:?}: {first} calls for the first read of a sealed segment");
        check(&costs(&wal, &counter), strategy, "sealed");
    }
}

/// Of a batch, the whole is read; a second entry of it is not read again by `get_many`.
#[test]
fn entries_of_one_batch_cost_one_read_together() {
    let dir = tempfile::tempdir().unwrap();
    let counter = Counter::default();
    let options = WalOptions::new().read_strategy(ReadStrategy::StandardIo);
    let wal = hooked::open(dir.path(), options, counter.hook());
    let stream = wal.stream("s").unwrap();
    stream.append_batch((0..400_u64).map(entry)).unwrap();
    stream.append(entry(400)).unwrap();
    counter.take();
    stream.get(7).unwrap().unwrap();
    let one = counter.take_count();
    stream.get_many(0..400).unwrap();
    assert_eq!(counter.take_count(), one);
}
