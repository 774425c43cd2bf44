//! Each fault meets the calls that it is about, and no others.

use std::io::ErrorKind::{
    AlreadyExists, Interrupted, NotFound, PermissionDenied, QuotaExceeded, StorageFull,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ironwal_fuzz::faults::{Fault, Faults, FaultyStorage, Op, Repeat};
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};
use ironwal_segment::io::{read_up_to, write_all};
use ironwal_segment::storage::{MemStorage, OpenMode, Storage, StorageFile, StoragePath};

use crate::conformance::{bytes_of, get, path, put, refused};

mod conforms {
    crate::conformance::conformance_tests!((super::fresh().0, ()));
}

const ROOT: StoragePath<'static> = StoragePath::ROOT;

fn fresh() -> (FaultyStorage, Faults) {
    let storage = FaultyStorage::new(Arc::new(MemStorage::new()));
    let faults = storage.faults().clone();
    (storage, faults)
}

/// Makes one call of this kind; the storage holds the file `f`, the directory `d` and nothing else.
fn call(storage: &FaultyStorage, file: &dyn StorageFile, op: Op) -> std::io::Result<()> {
    match op {
        Op::Open => storage.open(path("f"), OpenMode::Read).map(drop),
        Op::Create => storage.open(path("new"), OpenMode::CreateNew).map(drop),
        Op::Read => file.read_at(&mut [0; 4], 0).map(drop),
        Op::Write => file.write_at(b"1234", 0).map(drop),
        Op::FileLen => file.file_len().map(drop),
        Op::SetLen => file.set_len(2),
        Op::Allocate => file.allocate(100),
        Op::SyncData => file.sync_data(),
        Op::Map => file.map(1).map(drop),
        Op::SyncDir => storage.sync_dir(ROOT),
        Op::Rename => storage.rename(path("f"), path("g")),
        Op::Unlink => storage.unlink(path("f")),
        Op::List => storage.list(ROOT).map(drop),
        Op::CreateDir => storage.create_dir(path("e")),
        Op::RemoveDir => storage.remove_dir(path("d")),
        Op::Lock => storage.lock(path("l")).map(drop),
    }
}

#[test]
fn every_kind_of_call_is_counted_and_can_fail_without_being_made() {
    for op in Op::ALL {
        let inner = SimStorage::new();
        let storage = FaultyStorage::new(Arc::new(inner.clone()));
        let faults = storage.faults().clone();
        let file = put(&storage, "f", b"abcd");
        storage.create_dir(path("d")).unwrap();
        let before = (inner.contents(), inner.operation_count(), faults.count(op));

        faults.add(Fault::errno(5).on(op));
        let error = call(&storage, &*file, op).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5), "{op:?}");
        assert_eq!(faults.count(op), before.2 + 1, "{op:?}");
        assert_eq!((inner.contents(), inner.operation_count()), (before.0, before.1), "{op:?}");
        assert_eq!(faults.fired_count(), 1);

        call(&storage, &*file, op).unwrap();
        assert_eq!(faults.count(op), before.2 + 2, "{op:?}");
        assert!(inner.operation_count() > before.1, "{op:?}");
    }
    assert!(Op::CHANGING.iter().all(|op| Op::ALL.contains(op)));
}

#[test]
fn the_nth_call_fails_as_often_as_is_said() {
    let outcomes = |fault: Fault| {
        let (storage, faults) = fresh();
        faults.add(fault.on(Op::List));
        (0..8).map(|_| if storage.list(ROOT).is_err() { 'x' } else { '.' }).collect::<String>()
    };
    let fault = || Fault::error(PermissionDenied);
    assert_eq!(outcomes(fault()), "x.......");
    assert_eq!(outcomes(fault().nth(2)), "..x.....");
    assert_eq!(outcomes(fault().nth(2).repeated(Repeat::Times(3))), "..xxx...");
    assert_eq!(outcomes(fault().nth(5).repeated(Repeat::ForEver)), ".....xxx");
    assert_eq!(outcomes(fault().nth(1).repeated(Repeat::Every(3))), ".x..x..x");
}

#[test]
fn a_fault_without_a_kind_counts_every_call() {
    let (storage, faults) = fresh();
    faults.add(Fault::error(PermissionDenied).nth(2));
    storage.list(ROOT).unwrap();
    let file = storage.open(path("f"), OpenMode::CreateNew).unwrap();
    assert_eq!(refused(file.write_at(b"1", 0)), PermissionDenied);
    file.write_at(b"1", 0).unwrap();
    assert_eq!(faults.total_count(), 4);
}

#[test]
fn a_fault_at_a_path_leaves_others_alone() {
    let (storage, faults) = fresh();
    storage.create_dir(path("d")).unwrap();
    let wal = put(&storage, "d/0.wal", b"1");
    let index = put(&storage, "d/segments.idx", b"1");
    faults.add(Fault::error(QuotaExceeded).at_path_with(".idx").repeated(Repeat::ForEver));
    wal.write_at(b"2", 0).unwrap();
    assert_eq!(refused(index.write_at(b"2", 0)), QuotaExceeded);
    assert_eq!(refused(storage.rename(path("d/0.wal"), path("d/1.idx"))), QuotaExceeded);
    assert_eq!(refused(storage.unlink(path("d/segments.idx"))), QuotaExceeded);
    storage.sync_dir(path("d")).unwrap();
    faults.clear();
    index.write_at(b"2", 0).unwrap();
    assert_eq!(get(&storage, "d/segments.idx"), b"2");
}

#[test]
fn errors_of_the_storage_itself_come_through_and_count() {
    let (storage, faults) = fresh();
    put(&storage, "f", b"");
    assert_eq!(refused(storage.open(path("f"), OpenMode::CreateNew)), AlreadyExists);
    assert_eq!(refused(storage.unlink(path("g"))), NotFound);
    assert_eq!((faults.count(Op::Create), faults.count(Op::Unlink)), (2, 1));
    assert_eq!(faults.fired_count(), 0);
}

#[test]
fn short_calls_move_half_and_loops_get_through() {
    let (storage, faults) = fresh();
    let file = put(&storage, "f", b"");
    faults.add(Fault::short().repeated(Repeat::ForEver));
    assert_eq!(file.write_at(b"0123456789", 0).unwrap(), 5);
    write_all(&*file, b"0123456789", 0).unwrap();
    let mut buf = [0; 10];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 5);
    assert_eq!(read_up_to(&*file, &mut buf, 0).unwrap(), 10);
    assert_eq!(&buf, b"0123456789");
    assert_eq!(file.read_at(&mut buf, 10).unwrap(), 0);
}

#[test]
fn a_short_write_is_followed_by_the_error_that_is_said() {
    let (storage, faults) = fresh();
    let file = put(&storage, "f", b"");
    let other = put(&storage, "g", b"");
    faults.add(Fault::short_write_then(StorageFull).at_path_with("f").nth(1));
    write_all(&*file, b"before", 0).unwrap();
    assert_eq!(refused(write_all(&*file, b"0123456789", 6)), StorageFull);
    write_all(&*other, b"fine", 0).unwrap();
    assert_eq!(bytes_of(&*file), b"before01234");
    write_all(&*file, b"again", 6).unwrap();
    assert_eq!(bytes_of(&*file), b"beforeagain");
    assert_eq!(faults.fired_count(), 2);
}

#[test]
fn the_error_after_a_short_write_comes_before_all_other_faults() {
    let (storage, faults) = fresh();
    let file = put(&storage, "f", b"");
    faults.add(Fault::short_write_then(StorageFull).repeated(Repeat::ForEver));
    for _ in 0..3 {
        assert_eq!(file.write_at(b"0123", 0).unwrap(), 2);
        assert_eq!(refused(file.write_at(b"0123", 0)), StorageFull);
    }
}

#[test]
fn interrupted_calls_are_gone_through_by_the_loops() {
    let (storage, faults) = fresh();
    let file = put(&storage, "f", b"");
    faults.add(Fault::error(Interrupted).repeated(Repeat::Every(2)));
    assert_eq!(refused(file.write_at(b"0", 0)), Interrupted);
    write_all(&*file, b"0123", 0).unwrap();
    assert_eq!(refused(file.write_at(b"0", 0)), Interrupted);
    assert_eq!(read_up_to(&*file, &mut [0; 4], 0).unwrap(), 4);
}

#[test]
fn a_forgotten_sync_reports_success_and_loses_everything() {
    for (forgotten, expected) in [(Op::SyncData, Some(0)), (Op::SyncDir, None)] {
        let inner = SimStorage::new();
        let storage = FaultyStorage::new(Arc::new(inner.clone()));
        storage.faults().add(Fault::forgotten_sync().on(forgotten).nth(1));
        put(&storage, "first", b"1").sync_data().unwrap();
        storage.sync_dir(ROOT).unwrap();
        put(&storage, "second", b"2").sync_data().unwrap();
        storage.sync_dir(ROOT).unwrap();
        let left = inner.crash(CrashChoice::Nothing).contents();
        assert_eq!(left["first"], b"1");
        assert_eq!(left.get("second").map(Vec::len), expected, "{forgotten:?}");
        assert_eq!(storage.faults().fired_count(), 1);
    }
}

#[test]
fn faults_that_a_call_cannot_have_are_refused() {
    let cannot = |fault: fn() -> Fault| std::panic::catch_unwind(fault).is_err();
    assert!(cannot(|| Fault::short().on(Op::SyncData)));
    assert!(cannot(|| Fault::short_write_then(StorageFull).on(Op::Read)));
    assert!(cannot(|| Fault::forgotten_sync().on(Op::Write)));
    assert!(cannot(|| Fault::short().repeated(Repeat::Every(0))));
}

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again() {
    let (storage, faults) = fresh();
    let file = put(&storage, "f", b"01");
    faults.set_free_bytes(Some(5));
    assert_eq!(file.write_at(b"abcd", 2).unwrap(), 4);
    assert_eq!(file.write_at(b"efgh", 6).unwrap(), 1);
    assert_eq!(refused(file.write_at(b"fgh", 7)), StorageFull);
    assert_eq!(file.write_at(b"ABCD", 5).unwrap(), 2, "what is in the file needs no room");
    assert_eq!(bytes_of(&*file), b"01abcAB");
    assert_eq!(refused(file.write_at(b"x", 20)), StorageFull);
    faults.set_free_bytes(Some(1));
    assert_eq!(refused(file.write_at(b"x", 20)), StorageFull);
    assert_eq!(file.write_at(b"x", 7).unwrap(), 1, "what was refused took no room");
    faults.set_free_bytes(None);
    write_all(&*file, b"0123456789", 8).unwrap();
    assert_eq!(bytes_of(&*file), b"01abcABx0123456789");
}

#[test]
fn what_the_storage_below_did_not_write_took_no_room() {
    let (below, faults_below) = fresh();
    let storage = FaultyStorage::new(Arc::new(below));
    let file = put(&storage, "f", b"");
    storage.faults().set_free_bytes(Some(4));
    faults_below.add(Fault::short());
    assert_eq!(file.write_at(b"0123", 0).unwrap(), 2);
    faults_below.add(Fault::error(QuotaExceeded).on_any(&[Op::Write, Op::Allocate]));
    assert_eq!(refused(file.write_at(b"23", 2)), QuotaExceeded);
    faults_below.add(Fault::error(QuotaExceeded).on(Op::Allocate));
    assert_eq!(refused(file.allocate(4)), QuotaExceeded);
    assert_eq!(file.write_at(b"23", 2).unwrap(), 2);
    assert_eq!(refused(file.write_at(b"4", 4)), StorageFull);
}

#[test]
fn reserved_space_takes_room_once() {
    let (storage, faults) = fresh();
    let file = put(&storage, "f", b"");
    faults.set_free_bytes(Some(10));
    assert_eq!(refused(file.allocate(11)), StorageFull);
    assert_eq!(file.file_len().unwrap(), 0);
    file.allocate(8).unwrap();
    file.allocate(4).unwrap();
    write_all(&*file, b"12345678", 0).unwrap();
    assert_eq!(file.write_at(b"abc", 8).unwrap(), 2);
    assert_eq!(refused(file.write_at(b"c", 10)), StorageFull);
}

#[test]
fn held_syncs_wait_while_other_calls_go_on() {
    let inner = SimStorage::new();
    let storage = FaultyStorage::new(Arc::new(inner.clone()));
    let faults = storage.faults();
    let file = put(&storage, "f", b"1");
    let returned = AtomicBool::new(false);
    thread::scope(|scope| {
        let _held = faults.hold_syncs();
        scope.spawn(|| {
            file.sync_data().unwrap();
            returned.store(true, Ordering::SeqCst);
        });
        faults.wait_for_held_sync();
        scope.spawn(|| storage.sync_dir(ROOT).unwrap());
        faults.wait_for_held_syncs(2);
        assert_eq!(faults.held_sync_count(), 2);
        file.write_at(b"2", 1).unwrap();
        assert_eq!(bytes_of(&*file), b"12");
        assert!(!returned.load(Ordering::SeqCst));
        assert_eq!(inner.sync_count(), 0);
        faults.release_syncs();
    });
    assert_eq!(faults.held_sync_count(), 0);
    assert_eq!(inner.sync_count(), 2);
    assert_eq!(inner.crash(CrashChoice::Nothing).contents()["f"], b"12");
}

#[test]
fn a_dropped_gate_releases_the_syncs() {
    let (storage, faults) = fresh();
    let held = faults.hold_syncs();
    thread::scope(|scope| {
        scope.spawn(|| storage.sync_dir(ROOT).unwrap());
        faults.wait_for_held_sync();
        drop(held);
    });
    storage.sync_dir(ROOT).unwrap();
}

#[test]
fn a_held_sync_can_fail_afterwards() {
    let (storage, faults) = fresh();
    faults.add(Fault::errno(5).on(Op::SyncDir));
    let held = faults.hold_syncs();
    thread::scope(|scope| {
        let sync = scope.spawn(|| storage.sync_dir(ROOT).unwrap_err().raw_os_error());
        faults.wait_for_held_sync();
        drop(held);
        assert_eq!(sync.join().unwrap(), Some(5));
    });
}
