//! Many threads: readers, writers, leaders of syncs, and the budget of open files.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use ironwal::{ErrorKind, FenceCause, Outcome, Stream, Wal, WalOptions};
use ironwal_fuzz::faults::{Fault, Faults, FaultyStorage, Op};
use ironwal_fuzz::host::CountingHost;
use ironwal_fuzz::oracle::open;
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};
use ironwal_fuzz::watched::WatchedStorage;
use ironwal_segment::storage::MemStorage;

fn faulty(options: &WalOptions) -> (Wal, Faults, SimStorage) {
    let disk = SimStorage::new();
    let storage = FaultyStorage::new(Arc::new(disk.clone()));
    let faults = storage.faults().clone();
    let wal = open(Arc::new(storage), &CountingHost::starting_at(1), options).unwrap();
    (wal, faults, disk)
}

/// Returns once there were so many writes.
fn wait_for_writes(faults: &Faults, count: u64) {
    while faults.count(Op::Write) < count {
        thread::yield_now();
    }
}

/// What a reader sees of a stream that has one entry.
fn sees_one_entry(stream: &Stream) {
    assert_eq!(stream.next_seq().unwrap(), 1);
    assert_eq!(stream.durable_seq().unwrap(), 1);
    assert_eq!(stream.get(0).unwrap().unwrap(), "first");
    assert_eq!(stream.get(1).unwrap(), None);
    assert_eq!(stream.iter(..).unwrap().count(), 1);
}

#[test]
fn a_reader_never_waits_for_a_sync_and_sees_nothing_before_it_is_committed() {
    for options in [WalOptions::new(), WalOptions::new().max_segment_entries(1)] {
        let (wal, faults, _) = faulty(&options);
        let stream = wal.stream("s").unwrap();
        stream.append("first").unwrap();
        thread::scope(|scope| {
            let held = faults.hold_syncs();
            let writer = scope.spawn(|| stream.append("second").unwrap());
            faults.wait_for_held_sync();
            // Were these to wait for the sync, they would wait for ever.
            sees_one_entry(&stream);
            scope.spawn(|| sees_one_entry(&wal.stream("s").unwrap())).join().unwrap();
            drop(held);
            assert_eq!(writer.join().unwrap(), 1);
        });
        assert_eq!(stream.next_seq().unwrap(), 2);
        assert_eq!(stream.get(1).unwrap().unwrap(), "second");
        assert_eq!(stream.iter(1..).unwrap().count(), 1);
    }
}

#[test]
fn four_hundred_appends_of_eight_threads_need_a_quarter_of_the_syncs_at_most() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 50;
    let (wal, faults, _) = faulty(&WalOptions::new());
    let stream = wal.stream("s").unwrap();
    stream.append("first").unwrap();
    let (writes, syncs) = (faults.count(Op::Write), faults.count(Op::SyncData));
    let (round_begins, round_ends) = (Barrier::new(9), Barrier::new(9));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    round_begins.wait();
                    stream.append("entry").unwrap();
                    round_ends.wait();
                }
            });
        }
        for round in 1..=ROUNDS {
            // The first who comes leads; the others have written before his sync is over.
            let held = faults.hold_syncs();
            round_begins.wait();
            wait_for_writes(&faults, writes + round * THREADS);
            drop(held);
            round_ends.wait();
        }
    });
    let syncs = faults.count(Op::SyncData) - syncs;
    println!("{syncs} syncs for 400 appends");
    assert_eq!(stream.next_seq().unwrap(), 401);
    assert!(syncs <= 2 * ROUNDS, "{syncs}");
}

#[test]
fn a_failed_sync_is_told_to_all_who_wait_and_nothing_is_acknowledged_after_it() {
    let (wal, faults, disk) = faulty(&WalOptions::new());
    let stream = wal.stream("s").unwrap();
    stream.append("first").unwrap();
    let writes = faults.count(Op::Write);
    faults.add(Fault::errno(5).on(Op::SyncData));
    let held = faults.hold_syncs();
    let errors: Vec<_> = thread::scope(|scope| {
        let waiters: Vec<_> =
            (0..8).map(|_| scope.spawn(|| stream.append("waits").unwrap_err())).collect();
        wait_for_writes(&faults, writes + 8);
        drop(held);
        waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect()
    });
    for error in errors {
        assert!(matches!(error.kind(), ErrorKind::SyncFailed(_)), "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
    let error = stream.append("later").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Fenced(FenceCause::Failed(_))), "{error}");
    assert_eq!(stream.next_seq().unwrap(), 1);
    assert_eq!(wal.reopen("s").unwrap().next_seq, 9);
    assert_eq!(wal.append("s", "after").unwrap(), 9);
    let left = disk.crash(CrashChoice::Nothing);
    let again = open(Arc::new(left), &CountingHost::starting_at(2), &WalOptions::new()).unwrap();
    assert_eq!(again.next_seq("s").unwrap(), 10);
}

#[test]
fn a_panic_in_a_sync_fences_the_stream_and_wakes_all_who_wait() {
    let disk = SimStorage::new();
    let faulty = FaultyStorage::new(Arc::new(disk));
    let faults = faulty.faults().clone();
    let storage = WatchedStorage::new(Arc::new(faulty));
    let host = CountingHost::starting_at(1);
    let wal = open(Arc::new(storage.clone()), &host, &WalOptions::new()).unwrap();
    let stream = wal.stream("s").unwrap();
    stream.append("first").unwrap();
    let writes = faults.count(Op::Write);
    storage.panic_in_next_sync();
    let held = faults.hold_syncs();
    let answers: Vec<_> = thread::scope(|scope| {
        let append = || catch_unwind(AssertUnwindSafe(|| stream.append("waits")));
        let waiters: Vec<_> = (0..4).map(|_| scope.spawn(append)).collect();
        wait_for_writes(&faults, writes + 4);
        drop(held);
        waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1, "who leads panics");
    for error in answers.into_iter().flatten().map(Result::unwrap_err) {
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::Fenced(FenceCause::Panicked)), "{error}");
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
    let error = stream.append("later").unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotWritten);
    assert_eq!(wal.reopen("s").unwrap().next_seq, 5);
    assert_eq!(wal.append("s", "after").unwrap(), 5);
    wal.close().unwrap();
}

#[test]
fn a_budget_of_one_open_file_is_enough_for_many_threads_and_kept_at_rest() {
    const THREADS: usize = 32;
    const STREAMS: usize = 50;
    for max_segment_entries in [1_000_000, 2] {
        let storage = WatchedStorage::new(Arc::new(MemStorage::new()));
        let options =
            WalOptions::new().max_open_segments(1).max_segment_entries(max_segment_entries);
        let host = CountingHost::starting_at(1);
        let wal = open(Arc::new(storage.clone()), &host, &options).unwrap();
        thread::scope(|scope| {
            for n in 0..THREADS {
                let wal = &wal;
                scope.spawn(move || {
                    for turn in 0..60 {
                        let key = format!("{}", (n * 7 + turn * 11) % STREAMS);
                        let seq = wal.append(&key, format!("{n} {turn}")).unwrap();
                        let found = wal.get(&key, seq).unwrap().unwrap();
                        assert_eq!(found, format!("{n} {turn}"));
                    }
                });
            }
        });
        let held = storage.held_count();
        println!("{held} held at rest, {} at most", storage.most_held_count());
        assert!(held <= 1, "{held} files are held");
        let total: u64 = (0..STREAMS).map(|n| wal.next_seq(&n.to_string()).unwrap()).sum();
        assert_eq!(total, 32 * 60);
        wal.close().unwrap();
        assert_eq!(storage.held_count(), 0);
    }
}

#[test]
fn files_that_were_busy_when_the_budget_was_passed_are_let_go_of_afterwards() {
    const STREAMS: usize = 6;
    let faulty = FaultyStorage::new(Arc::new(MemStorage::new()));
    let faults = faulty.faults().clone();
    let storage = WatchedStorage::new(Arc::new(faulty));
    let options = WalOptions::new().max_open_segments(2);
    let wal = open(Arc::new(storage.clone()), &CountingHost::starting_at(1), &options).unwrap();
    let keys: Vec<_> = (0..STREAMS).map(|n| n.to_string()).collect();
    for key in &keys {
        wal.append(key, "first").unwrap();
    }
    assert_eq!(storage.held_count(), 2);
    thread::scope(|scope| {
        let held = faults.hold_syncs();
        for key in &keys {
            let wal = &wal;
            scope.spawn(move || wal.append(key, "second").unwrap());
        }
        faults.wait_for_held_syncs(STREAMS);
        assert_eq!(storage.held_count(), STREAMS);
        drop(held);
    });
    assert!(storage.held_count() <= 2, "{} files are held", storage.held_count());
}

/// The bytes of an entry: who wrote it, and as which of his.
fn entry_of(writer: usize, turn: u64) -> String {
    format!("{writer} {turn} {}", "x".repeat(usize::try_from(turn % 90).unwrap()))
}

#[test]
fn readers_among_writers_see_dense_numbers_right_bytes_and_all_that_was_acknowledged() {
    const STREAMS: usize = 4;
    const TURNS: u64 = 400;
    let options = WalOptions::new().max_segment_size(700).max_open_segments(2);
    let storage = Arc::new(MemStorage::new());
    let wal = open(storage, &CountingHost::starting_at(1), &options).unwrap();
    let acknowledged: Vec<_> = (0..STREAMS).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);
    let read_count = AtomicU64::new(0);
    let read = |stream: usize| {
        let promised = acknowledged[stream].load(Ordering::SeqCst);
        let key = stream.to_string();
        let next = wal.next_seq(&key).unwrap();
        assert!(next >= promised);
        let from = promised.saturating_sub(60);
        let mut expected = from;
        let mut seen = BTreeSet::new();
        for entry in wal.iter(&key, from..).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.seq, expected);
            expected += 1;
            let text = std::str::from_utf8(&entry.data).unwrap();
            let mut words = text.split(' ');
            let mut number = || words.next().unwrap().parse::<u64>().unwrap();
            let (writer, turn) = (number(), number());
            assert_eq!(text, entry_of(usize::try_from(writer).unwrap(), turn));
            assert!(seen.insert((writer, turn)), "{text} came twice");
        }
        assert!(expected >= next);
        if let Some(last) = promised.checked_sub(1) {
            assert!(wal.get(&key, last).unwrap().is_some());
        }
        read_count.fetch_add(1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        let write = |writer: usize| {
            let (wal, acknowledged) = (&wal, &acknowledged);
            move || {
                for turn in 0..TURNS {
                    let stream = (writer + usize::try_from(turn).unwrap()) % STREAMS;
                    let key = stream.to_string();
                    let end = if turn % 5 == 0 {
                        let batch = [entry_of(writer, turn), entry_of(writer, turn + TURNS)];
                        wal.append_batch(&key, batch).unwrap().end
                    } else {
                        wal.append(&key, entry_of(writer, turn)).unwrap() + 1
                    };
                    acknowledged[stream].fetch_max(end, Ordering::SeqCst);
                }
            }
        };
        let writers: Vec<_> = (0..8).map(|writer| scope.spawn(write(writer))).collect();
        for stream in 0..STREAMS {
            let (read, done) = (&read, &done);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    read(stream);
                }
            });
        }
        let joined: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        for joined in joined {
            joined.unwrap();
        }
    });
    (0..STREAMS).for_each(read);
    let total: u64 = (0..STREAMS).map(|n| wal.next_seq(&n.to_string()).unwrap()).sum();
    assert_eq!(total, 8 * (TURNS + TURNS / 5));
    println!("{} reads", read_count.load(Ordering::Relaxed));
    wal.close().unwrap();
}
