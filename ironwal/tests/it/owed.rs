//! Entries that were acknowledged as written and are not durable: whoever closes or syncs the log is told,
//! whatever became of the stream meanwhile.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ironwal::{SyncMode, Wal, WalOptions};

use crate::files;
use crate::hooked::{self, Call};

/// What the disk refuses of the stream, from when it is told so.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Vec<Call>>>);

impl Refused {
    fn set(&self, calls: &[Call]) {
        *self.0.lock().unwrap() = calls.to_vec();
    }
}

/// A log whose stream has one entry that is durable and one that is not.
fn owing(root: &Path) -> (Wal, Refused) {
    let refused = Refused::default();
    let refuses = refused.clone();
    let wal =
        hooked::open(root, WalOptions::new().sync_mode(SyncMode::Async), move |call, path| {
            let is_refused = refuses.0.lock().unwrap().contains(&call) && path.contains('s');
            if is_refused { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        });
    wal.append("s", "0").unwrap();
    wal.sync().unwrap();
    wal.append("s", "1").unwrap();
    (wal, refused)
}

/// The same, after its last sync has failed.
fn fenced(root: &Path) -> (Wal, Refused) {
    let (wal, refused) = owing(root);
    refused.set(&[Call::Sync]);
    let error = wal.sync().unwrap_err();
    assert!(error.is_fenced() && error.stream() == Some("s"), "{error}");
    (wal, refused)
}

#[test]
fn a_stream_that_cannot_be_reopened_still_owes_what_it_owed() {
    for is_synced_first in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let (wal, refused) = fenced(root.path());
        refused.set(&[Call::List, Call::Sync]);
        wal.reopen("s").unwrap_err();
        if is_synced_first {
            wal.sync().unwrap_err();
            wal.reopen("s").unwrap_err();
        }
        let error = wal.close().unwrap_err();
        assert_eq!(error.stream(), Some("s"), "{error}");
    }
}

/// Also where it was used by nobody yet: handles that were got before go on.
#[test]
fn a_stream_that_works_is_left_as_it_is_when_it_is_reopened() {
    let root = tempfile::tempdir().unwrap();
    let (wal, _) = owing(root.path());
    let stream = wal.stream("s").unwrap();
    assert_eq!(wal.reopen("s").unwrap().next_seq, 2);
    assert_eq!(stream.append("2").unwrap(), 2);
    assert_eq!(stream.durable_seq().unwrap(), 1, "nothing was synced for that");
    wal.close().unwrap();

    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let (stream, absent) = (wal.stream("s").unwrap(), wal.stream("t").unwrap());
    assert_eq!((wal.reopen("s").unwrap().next_seq, wal.reopen("t").unwrap().next_seq), (3, 0));
    assert_eq!((stream.append("3").unwrap(), absent.append("0").unwrap()), (3, 0));
    let report = wal.reopen("s").unwrap();
    assert_eq!((report.next_seq, wal.reopen("t").unwrap().next_seq), (3, 1), "of its opening");
    assert_eq!(stream.append("4").unwrap(), 4);
}

/// Nothing of it can be made durable, and nothing was promised of it since it was opened.
#[test]
fn a_stream_that_is_damaged_is_passed_over_by_who_syncs_and_closes_the_log() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new().max_segment_entries(1)).unwrap();
    (0..3).for_each(|n| assert_eq!(wal.append("s", "entry").unwrap(), n));
    wal.append("t", "entry").unwrap();
    wal.close().unwrap();
    files::remove(&files::segments(&root.path().join("s"))[1]);

    let wal = Wal::open(root.path(), WalOptions::new().sync_mode(SyncMode::Async)).unwrap();
    let damaged = wal.stream("s").unwrap();
    wal.append("t", "more").unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.durable_seq("t").unwrap(), 2, "the other is found to be damaged by this");
    assert!(damaged.append("more").unwrap_err().is_damage());
    wal.append("t", "more").unwrap();
    assert_eq!(wal.durable_seq("t").unwrap(), 2);
    wal.sync().unwrap();
    assert_eq!(wal.durable_seq("t").unwrap(), 3);
    assert!(damaged.sync().unwrap_err().is_damage());
    wal.close().unwrap();
}

#[test]
fn a_stream_that_is_reopened_owes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (wal, refused) = fenced(root.path());
    refused.set(&[]);
    assert_eq!(wal.reopen("s").unwrap().next_seq, 2);
    refused.set(&[Call::Sync]);
    wal.sync().unwrap();
    wal.close().unwrap();
}

/// Whether it is there still nobody knows.
#[test]
fn a_stream_that_cannot_be_deleted_still_owes_what_it_owed() {
    let root = tempfile::tempdir().unwrap();
    let (wal, refused) = owing(root.path());
    refused.set(&[Call::Rename, Call::List]);
    wal.delete_stream("s").unwrap_err();
    wal.close().unwrap_err();

    let root = tempfile::tempdir().unwrap();
    let (wal, refused) = owing(root.path());
    refused.set(&[Call::Rename]);
    wal.delete_stream("s").unwrap_err();
    refused.set(&[]);
    assert_eq!(wal.next_seq("s").unwrap(), 2);
    wal.sync().unwrap();
    wal.close().unwrap();
}

#[test]
fn a_stream_that_is_deleted_owes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (wal, _) = fenced(root.path());
    assert!(wal.delete_stream("s").unwrap());
    wal.sync().unwrap();
    wal.close().unwrap();
}

#[test]
fn closing_a_log_tells_of_entries_whose_sync_failed_before() {
    let root = tempfile::tempdir().unwrap();
    let (wal, refused) = fenced(root.path());
    refused.set(&[]);
    let error = wal.sync().unwrap_err();
    assert!(error.is_fenced(), "{error}");
    let error = wal.close().unwrap_err();
    assert_eq!(error.stream(), Some("s"), "{error}");
}

/// It was told to whoever waited for it.
#[test]
fn closing_a_log_tells_nobody_again_of_a_failure_that_owes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let refused = Refused::default();
    let refuses = refused.clone();
    let wal = hooked::open(root.path(), WalOptions::new(), move |call, path| {
        let is_refused = refuses.0.lock().unwrap().contains(&call) && path.contains('s');
        if is_refused { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    wal.append("s", "0").unwrap();
    refused.set(&[Call::Sync]);
    assert!(wal.append("s", "1").unwrap_err().is_fenced());
    wal.sync().unwrap();
    wal.close().unwrap();
}

/// Nobody knows what is in it.
#[test]
fn a_stream_that_cannot_be_opened_is_told_by_who_syncs_the_log() {
    let root = tempfile::tempdir().unwrap();
    drop(owing(root.path()));
    let refused = Refused::default();
    let refuses = refused.clone();
    let wal = hooked::open(root.path(), WalOptions::new(), move |call, path| {
        let is_refused = refuses.0.lock().unwrap().contains(&call) && path.contains('s');
        if is_refused { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    let stream = wal.stream("s").unwrap();
    refused.set(&[Call::List]);
    stream.sync().unwrap_err();
    let error = wal.sync().unwrap_err();
    assert!(error.io_error().is_some(), "{error}");
    refused.set(&[]);
    wal.sync().unwrap();
    wal.close().unwrap();
}

/// A segment was ended for an entry that was not written: what is left to sync is the rotation.
#[test]
fn the_last_sync_of_a_log_is_told_if_it_fails_though_no_entry_depends_on_it() {
    for is_sync_refused in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let refused = Refused::default();
        let refuses = refused.clone();
        let options = WalOptions::new().max_segment_entries(1);
        let wal = hooked::open(root.path(), options, move |call, path| {
            let is_refused = refuses.0.lock().unwrap().contains(&call) && path.contains('s');
            // Of the second segment the space behind its header.
            let is_frame = call != Call::Allocate || path.ends_with("-0000000001.wal");
            if is_refused && is_frame { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        wal.append("s", "0").unwrap();
        refused.set(&[Call::Allocate]);
        let error = wal.append("s", "1").unwrap_err();
        assert!(!error.is_fenced(), "{error}");
        assert_eq!(wal.stream("s").unwrap().stats().unwrap().next_seq, 1);
        refused.set(if is_sync_refused { &[Call::Sync] } else { &[] });
        assert_eq!(wal.close().is_err(), is_sync_refused);
        let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
        assert_eq!(wal.next_seq("s").unwrap(), 1);
    }
}

/// Nothing of it will be synced any more, so nothing keeps its file from being closed.
#[test]
fn streams_that_are_fenced_hold_no_file_open() {
    let root = tempfile::tempdir().unwrap();
    let options = WalOptions::new().max_open_segments(1);
    let wal = hooked::open(root.path(), options, |call, path| {
        let is_refused = call == Call::Sync && path.starts_with("fenced");
        if is_refused { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    let append = |name: &str, n: u32| wal.append(&format!("{name} {n}"), "x");
    (0..4).for_each(|n| assert_eq!(append("fenced", n).unwrap(), 0));
    // Their files are closed for these, and opened again by the names that they have now.
    (0..4).for_each(|n| assert_eq!(append("busy", n).unwrap(), 0));
    (0..4).for_each(|n| assert!(append("fenced", n).unwrap_err().is_fenced()));
    for _ in 0..3 {
        (0..4).for_each(|n| assert!(append("busy", n).is_ok()));
    }
    assert!(wal.stats().open_segment_count <= 1, "{:?}", wal.stats());
}
