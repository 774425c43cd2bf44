//! What a user does first.

use ironwal::{ErrorKind, Wal, WalOptions};

use crate::files;

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
    let segments = files::list(&root.path().join("orders")).len();
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
    assert_eq!(files::list(root.path()), [".lock"]);
}

/// The index says where the log starts, once earlier segments were removed.
#[test]
fn entries_before_the_start_of_the_log_are_truncated_and_never_silently_skipped() {
    use ironwal_format::index::{IndexRecord, StartRecord, encode_record, read_index};
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    for n in 0..30 {
        wal.append("s", format!("{n} {}", "x".repeat(100))).unwrap();
    }
    wal.close().unwrap();
    let dir = root.path().join("s");
    let index = files::read(&dir.join("segments.idx"));
    let contents = read_index(&index).unwrap();
    let Some(IndexRecord::Sealed(second)) = contents.records.get(1).copied() else { panic!() };
    let start = StartRecord { base: second.base, ordinal: second.ordinal };
    let record = encode_record(IndexRecord::Start(start), contents.header.id(), index.len() as u64);
    files::write(&dir.join("segments.idx"), &[&index[..], &record].concat());
    files::remove(&files::segments(&dir)[0]);

    let wal = Wal::open(root.path(), TINY).unwrap();
    let first = second.base.get();
    assert!(first > 0);
    assert_eq!(wal.first_seq("s").unwrap()..wal.next_seq("s").unwrap(), first..30);
    let truncated = |error: &ironwal::Error| {
        assert!(error.is_truncated(), "{error}");
        assert!(matches!(error.kind(), ErrorKind::Truncated { first_seq } if *first_seq == first));
    };
    truncated(&wal.get("s", first - 1).unwrap_err());
    let mut from_zero = wal.iter("s", 0..).unwrap();
    truncated(&from_zero.next().unwrap().unwrap_err());
    assert_eq!(
        from_zero.map(|entry| entry.unwrap().seq).collect::<Vec<_>>(),
        (first..30).collect::<Vec<_>>()
    );
    assert_eq!(wal.iter("s", ..).unwrap().next().unwrap().unwrap().seq, first);
    assert_eq!(wal.append("s", "next").unwrap(), 30);
    wal.close().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    assert_eq!(wal.first_seq("s").unwrap()..wal.next_seq("s").unwrap(), first..31);
}

/// Neither is followed, read, or waited for.
#[test]
fn a_directory_or_a_link_in_the_place_of_a_segment_is_refused_and_the_rest_is_read() {
    for at in 0..3 {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), TINY).unwrap();
        for n in 0..12 {
            wal.append("s", format!("{n} {}", "x".repeat(100))).unwrap();
        }
        wal.append("other", "untouched").unwrap();
        wal.close().unwrap();
        let segments = files::segments(&root.path().join("s"));
        assert!(segments.len() >= 3, "{} segments", segments.len());
        let moved = root.path().join("moved");
        for plant in 0..2 {
            files::copy(&segments[at], &moved);
            files::remove(&segments[at]);
            if plant == 0 {
                files::make_dir(&segments[at]);
            } else {
                std::os::unix::fs::symlink(&moved, &segments[at]).unwrap();
            }
            let wal = Wal::open(root.path(), TINY).unwrap();
            let error = wal.append("s", "no").unwrap_err();
            assert!(error.is_foreign(), "{error}");
            assert_eq!(error.path().unwrap(), segments[at]);
            let read = wal.iter("s", ..).unwrap();
            let (good, bad): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
            assert!(good.len() >= 8, "{at}: {} entries", good.len());
            assert_eq!(bad.len(), 1, "{at}: {bad:?}");
            assert_eq!(wal.append("other", "more").unwrap(), 1 + plant);
            wal.close().unwrap();
            if plant == 0 {
                std::fs::remove_dir(&segments[at]).unwrap();
            } else {
                files::remove(&segments[at]);
            }
            files::copy(&moved, &segments[at]);
        }
        let wal = Wal::open(root.path(), TINY).unwrap();
        assert_eq!(wal.append("s", "again").unwrap(), 12);
    }
}

/// It is noticed when a file has to be opened, here by reading a sealed segment.
#[test]
fn a_stream_whose_directory_was_removed_is_deleted_and_not_damaged() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY.max_open_segments(1)).unwrap();
    for n in 0..20 {
        wal.append("gone", format!("{n} {}", "x".repeat(100))).unwrap();
    }
    wal.append("kept", "entry").unwrap();
    wal.append("kept", "entry").unwrap();
    std::fs::remove_dir_all(root.path().join("gone")).unwrap();
    for error in [wal.get("gone", 0).unwrap_err(), wal.append("gone", "more").unwrap_err()] {
        assert!(error.is_deleted() && !error.is_damage(), "{error}");
        assert_eq!(error.stream(), Some("gone"));
    }
    assert_eq!(wal.append("kept", "entry").unwrap(), 2);
}

/// Each clean close adds a record to the index, and each opening reads it whole.
#[test]
fn a_log_that_is_opened_and_closed_for_ever_keeps_a_small_index() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..400 {
        let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
        assert_eq!(wal.append("s", "entry").unwrap(), n);
        wal.close().unwrap();
        assert!(wal.recovery_reports().iter().all(ironwal::RecoveryReport::is_clean));
    }
    let index = std::fs::metadata(root.path().join("s").join("segments.idx")).unwrap();
    assert!(index.len() < 8192, "{} bytes", index.len());
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
