//! At most one sealed segment awaits its sync, and whoever has to wait for that makes it.

use std::io::ErrorKind::StorageFull;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ironwal::{Environment, Outcome, Wal, WalOptions};
use ironwal_fuzz::faults::{Fault, FaultyStorage, Op};
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};

/// An append that rotates, and then finds no space for its frame, leaves a sealed segment that nobody
/// syncs. A wait that does not sync it never ends.
#[test]
fn a_rotation_that_nobody_has_synced_is_synced_by_the_next() {
    let mut waited_count = 0;
    for write in 0..6 {
        let disk = SimStorage::new();
        let storage = FaultyStorage::new(Arc::new(disk.clone()));
        let faults = storage.faults().clone();
        let options = WalOptions::new().max_segment_entries(1);
        let wal = Wal::open_in(Environment::new(Arc::new(storage)), options.clone()).unwrap();
        wal.append("s", "one").unwrap();
        faults.add(Fault::error(StorageFull).on(Op::Write).nth(write));
        match wal.append("s", "two") {
            Err(error) if error.outcome() == Outcome::NotWritten => {}
            Ok(_) | Err(_) => continue,
        }
        faults.clear();
        let is_written = disk.contents().keys().any(|path| path.contains("-0000000001."));
        waited_count += u32::from(is_written);
        let (tell, told) = mpsc::channel();
        let stream = wal.stream("s").unwrap();
        thread::spawn(move || tell.send(stream.rotate()));
        let rotated = told.recv_timeout(Duration::from_mins(1));
        assert_eq!(rotated.expect("a rotation comes to an end").unwrap(), 1, "write {write}");
        let left = Arc::new(disk.crash(CrashChoice::Nothing));
        let after = Wal::open_in(Environment::new(left), options).unwrap();
        let report = after.reopen("s").unwrap();
        assert_eq!((report.next_seq, report.segment_count), (1, 2), "write {write}");
        assert!(wal.append("s", "two").is_ok_and(|seq| seq == 1), "write {write}");
    }
    assert!(waited_count > 0, "no frame failed behind a rotation");
}
