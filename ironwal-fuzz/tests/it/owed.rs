//! What is owed to those who were told that their entries are written, and what is said of a stream that
//! damage, a lost index or a failure of the machine has met.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ironwal::{CorruptionPolicy, Environment, SyncMode, Wal, WalOptions};
use ironwal_format::names::SEGMENT_SUFFIX;
use ironwal_fuzz::faults::Op;
use ironwal_fuzz::hooked::HookedStorage;
use ironwal_segment::storage::{MemStorage, OpenMode, Storage, StoragePath};

fn open(storage: &Arc<dyn Storage>, options: &WalOptions) -> Wal {
    Wal::open_in(Environment::new(Arc::clone(storage)), options.clone()).unwrap()
}

/// The segment of stream `s` with this base and ordinal.
fn segment(base: u64, ordinal: u32) -> String {
    format!("{base:020}-{ordinal:010}{SEGMENT_SUFFIX}")
}

/// Turns a bit of each entry that is this text, which no header holds by chance.
fn corrupt(storage: &dyn Storage, name: &str, entry: [u8; 8]) {
    let file = storage.open(StoragePath::new("s").join(name), OpenMode::ReadWrite).unwrap();
    let mut bytes = vec![0; usize::try_from(file.file_len().unwrap()).unwrap()];
    ironwal_segment::io::read_up_to(&*file, &mut bytes, 0).unwrap();
    let mut hits = 0;
    for (at, _) in bytes.windows(entry.len()).enumerate().filter(|(_, found)| *found == entry) {
        file.write_at(&[entry[0] ^ 1], at as u64).unwrap();
        hits += 1;
    }
    assert!(hits > 0, "nothing was turned");
}

/// A storage of which, while it is told so, one kind of call on segments fails.
fn failing(
    inner: &Arc<dyn Storage>,
    failing: Op,
    error: io::ErrorKind,
) -> (Arc<dyn Storage>, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&armed);
    let storage = HookedStorage::new(Arc::clone(inner), move |op, path| {
        let is_hit = op == failing && path.ends_with(SEGMENT_SUFFIX);
        if is_hit && fails.load(Ordering::SeqCst) { Err(error.into()) } else { Ok(()) }
    });
    (Arc::new(storage), armed)
}

#[test]
fn a_damaged_stream_that_owes_entries_is_told_by_sync_and_close() {
    let inner: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let (storage, armed) = failing(&inner, Op::SyncData, io::ErrorKind::Other);
    let wal = open(&storage, &WalOptions::new().sync_mode(SyncMode::Async));
    wal.append("s", "to turn!").unwrap();
    wal.sync().unwrap();
    wal.append("s", "acknowledged").unwrap();
    armed.store(true, Ordering::SeqCst);
    assert!(wal.sync().is_err());
    armed.store(false, Ordering::SeqCst);
    corrupt(&*inner, &segment(0, 0), *b"to turn!");
    assert_eq!(wal.reopen("s").unwrap().damage.len(), 1);
    assert!(wal.sync().is_err());
    assert!(wal.close().is_err());
}

#[test]
fn damage_is_told_by_an_iterator_whatever_became_of_the_log() {
    for is_closed in [false, true] {
        let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
        let wal = open(&storage, &WalOptions::new().max_segment_entries(3));
        for entry in ["0", "1", "2", "3", "to turn!", "5", "6", "7"] {
            wal.append("s", entry).unwrap();
        }
        corrupt(&*storage, &segment(3, 1), *b"to turn!");
        let iter = wal.iter("s", ..).unwrap();
        if is_closed {
            wal.close().unwrap();
        }
        let (read, told): (Vec<_>, Vec<_>) = iter.partition(Result::is_ok);
        let read: Vec<_> = read.into_iter().map(|entry| entry.unwrap().seq).collect();
        assert_eq!(read, [0, 1, 2, 3, 5, 6, 7]);
        assert!(told.len() == 1 && told[0].as_ref().is_err_and(ironwal::Error::is_damage));
    }
}

/// The cost of asking what became of the stream does not come with each frame.
#[test]
fn an_iterator_asks_once_for_each_segment_what_became_of_the_stream() {
    let (inner, lists) = (Arc::new(MemStorage::new()), Arc::new(std::sync::Mutex::new(0)));
    let counted = Arc::clone(&lists);
    let hooked = HookedStorage::new(Arc::<MemStorage>::clone(&inner), move |op, _| {
        *counted.lock().unwrap() += u32::from(op == Op::List);
        Ok(())
    });
    let storage: Arc<dyn Storage> = Arc::new(hooked);
    let wal = open(&storage, &WalOptions::new().max_segment_entries(500));
    for _ in 0..1000 {
        wal.append("s", "to turn!").unwrap();
    }
    for name in [segment(0, 0), segment(500, 1)] {
        corrupt(&*inner, &name, *b"to turn!");
    }
    *lists.lock().unwrap() = 0;
    assert_eq!(wal.iter("s", ..).unwrap().filter(Result::is_err).count(), 1000);
    assert_eq!(*lists.lock().unwrap(), 2);
}

#[test]
fn a_failure_of_the_machine_never_says_that_a_stream_was_deleted() {
    for op in [Op::Open, Op::Create] {
        let inner: Arc<dyn Storage> = Arc::new(MemStorage::new());
        if op == Op::Open {
            open(&inner, &WalOptions::new()).append("s", "zero").unwrap();
        }
        let (storage, armed) = failing(&inner, op, io::ErrorKind::NotFound);
        let wal = open(&storage, &WalOptions::new());
        armed.store(true, Ordering::SeqCst);
        let error = wal.append("s", "one").unwrap_err();
        assert!(!error.is_deleted() && error.io_error().is_some(), "{op:?}: {error}");
        armed.store(false, Ordering::SeqCst);
        wal.append("s", "one").unwrap();
    }
}

#[test]
fn a_handle_of_what_is_no_stream_does_not_keep_the_log_from_being_synced() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    drop(storage.open(StoragePath::new("x"), OpenMode::CreateNew).unwrap());
    let wal = open(&storage, &WalOptions::new());
    let stranger = wal.stream("x").unwrap();
    wal.sync().unwrap();
    assert!(!wal.contains("x").unwrap());
    assert!(stranger.append("entry").is_err());
    wal.append("s", "entry").unwrap();
    wal.sync().unwrap();
    wal.close().unwrap();
}

/// A log that was truncated, and given up in its middle, loses index and first segment at once.
#[test]
fn what_is_left_of_a_log_without_index_and_first_segment_stays_so() {
    for policy in [CorruptionPolicy::Error, CorruptionPolicy::Truncate] {
        let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
        let (dir, options) = (StoragePath::new("s"), WalOptions::new().max_segment_entries(10));
        let wal = open(&storage, &options);
        for n in 0..25 {
            wal.append("s", format!("entry {n:02}")).unwrap();
        }
        assert_eq!(wal.stream("s").unwrap().truncate_before(10).unwrap(), 10);
        wal.close().unwrap();
        let first = segment(10, 1);
        let file = storage.open(dir.join(&first), OpenMode::ReadWrite).unwrap();
        file.set_len(file.file_len().unwrap() / 2).unwrap();
        let giving_up = options.clone().corruption_policy(CorruptionPolicy::Truncate);
        let wal = open(&storage, &giving_up);
        let cut = wal.next_seq("s").unwrap();
        assert!((11..20).contains(&cut));
        wal.append_batch("s", ["a", "b", "c"]).unwrap();
        wal.close().unwrap();
        for name in [&first, "segments.idx"] {
            storage.unlink(dir.join(name)).unwrap();
        }
        let options = options.corruption_policy(policy);
        for n in 0..3 {
            let wal = open(&storage, &options);
            let range = (wal.first_seq("s").unwrap(), wal.next_seq("s").unwrap());
            assert_eq!(range, (cut, cut + 3 + n), "{policy:?}, opening {n}");
            let report = wal.recovery_reports().remove(0);
            assert!(report.damage.is_empty() && report.given_up.is_none(), "{report:?}");
            assert_eq!(wal.append("s", "acknowledged").unwrap(), cut + 3 + n);
            wal.close().unwrap();
        }
    }
}
