//! What a user does first.

use std::collections::BTreeSet;

use ironwal::{ErrorKind, Wal, WalOptions};

const TINY: WalOptions = WalOptions::new().max_segment_size(600);

#[test]
fn what_was_appended_is_read_before_and_after_a_restart_across_segments() {
    let root = tempfile::tempdir().unwrap();
    let entry = |n: u64| format!("entry {n} {}", "x".repeat((n % 50) as usize));
    for run in 0..4 {
        let wal = Wal::open(root.path(), TINY).unwrap();
        let stream = wal.stream("orders").unwrap();
        assert_eq!(stream.next_seq().unwrap(), run * 50);
        for n in run * 50..(run + 1) * 50 {
            assert_eq!(stream.append(entry(n)).unwrap(), n);
            assert_eq!(stream.get(n).unwrap().unwrap(), entry(n).as_bytes());
        }
        let all: Vec<_> = stream.iter(..).unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len() as u64, (run + 1) * 50);
        for (n, found) in (0..).zip(&all) {
            assert_eq!((found.seq, &found.data[..]), (n, entry(n).as_bytes()));
            assert_eq!(stream.get(n).unwrap().unwrap(), entry(n).as_bytes());
        }
        assert_eq!(stream.durable_seq().unwrap(), (run + 1) * 50);
        if run != 2 {
            wal.close().unwrap();
        }
        let reports = wal.recovery_reports();
        assert_eq!(reports.len(), usize::from(run > 0));
        assert!(reports.iter().all(ironwal::RecoveryReport::is_clean), "{reports:?}");
    }
    let segments = std::fs::read_dir(root.path().join("orders")).unwrap().count();
    assert!(segments > 20, "{segments} files");
}

#[test]
fn a_batch_is_numbered_in_order_and_an_empty_one_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    assert_eq!(wal.append_batch("s", Vec::<&str>::new()).unwrap(), 0..0);
    assert!(!wal.contains("s").unwrap());
    assert_eq!(wal.append_batch("s", ["a", "", "c"]).unwrap(), 0..3);
    assert_eq!(wal.append("s", "d").unwrap(), 3);
    assert_eq!(wal.append_batch("s", Vec::<&str>::new()).unwrap(), 4..4);
    let all: Vec<_> = wal.iter("s", 1..=3).unwrap().map(|entry| entry.unwrap().data).collect();
    assert_eq!(all, ["", "c", "d"]);
    assert_eq!(wal.get("s", 4).unwrap(), None);
    assert_eq!(wal.streams().unwrap(), ["s"]);
}

#[test]
fn reading_an_absent_stream_sees_an_empty_log_and_creates_nothing() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let stream = wal.stream("nobody").unwrap();
    assert_eq!(stream.get(0).unwrap(), None);
    assert_eq!(stream.iter(..).unwrap().count(), 0);
    assert_eq!(stream.first_seq().unwrap()..stream.next_seq().unwrap(), 0..0);
    assert_eq!(stream.durable_seq().unwrap(), 0);
    let names: BTreeSet<_> =
        std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [".lock".into()].into());
}

#[test]
fn the_second_writer_is_locked_out_and_every_call_after_closing_says_closed() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let stream = wal.stream("s").unwrap();
    stream.append("1").unwrap();
    assert!(Wal::open(root.path(), WalOptions::new()).unwrap_err().is_locked());
    wal.clone().close().unwrap();
    assert!(stream.append("2").unwrap_err().is_closed());
    assert!(stream.get(0).unwrap_err().is_closed());
    assert!(stream.iter(..).unwrap_err().is_closed());
    assert!(wal.streams().unwrap_err().is_closed());
    assert!(wal.close().unwrap_err().is_closed());
    let again = Wal::open(root.path(), WalOptions::new()).unwrap();
    assert_eq!(again.next_seq("s").unwrap(), 1);
    assert!(matches!(again.append("", "x").unwrap_err().kind(), ErrorKind::InvalidKey(_)));
}
