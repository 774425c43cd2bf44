//! Removing entries from the front of a stream.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ironwal::{ErrorKind, ReadStrategy, Stream, Wal, WalOptions};

use crate::files;
use crate::hooked::{self, Call, Gate};
use crate::kill_modes::MODES;

const TINY: WalOptions = WalOptions::new().max_segment_size(400);

fn fill(stream: &Stream, count: u64) {
    for _ in 0..count {
        let next = stream.next_seq().unwrap();
        stream.append(format!("entry {next} {}", "x".repeat(40))).unwrap();
    }
}

/// The bases of the segments on disk.
fn bases(root: &Path) -> Vec<u64> {
    files::segments(&root.join("s")).iter().map(|path| files::name_parts(path).0).collect()
}

fn check_from(stream: &Stream, first: u64, next: u64) {
    assert_eq!(stream.first_seq().unwrap()..stream.next_seq().unwrap(), first..next);
    for seq in 0..first {
        let error = stream.get(seq).unwrap_err();
        let is_right =
            matches!(error.kind(), ErrorKind::Truncated { first_seq } if *first_seq == first);
        assert!(is_right, "{seq}: {error}");
    }
    let mut iter = stream.iter(..).unwrap();
    for seq in first..next {
        let entry = format!("entry {seq} {}", "x".repeat(40));
        assert_eq!(iter.next().unwrap().unwrap().data, entry);
        assert_eq!(stream.get(seq).unwrap().unwrap(), entry);
    }
    assert!(iter.next().is_none());
    if first > 0 {
        assert!(stream.iter(first - 1..).unwrap().next().unwrap().unwrap_err().is_truncated());
    }
}

#[test]
fn what_is_left_begins_with_the_first_segment_that_is_kept_before_and_after_a_restart() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let options = TINY.sync_mode(mode);
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        fill(&stream, 40);
        let before = bases(root.path());
        assert!(before.len() > 8, "{before:?}");
        assert_eq!(stream.truncate_before(0).unwrap(), 0);
        assert_eq!(stream.truncate_before(before[1] - 1).unwrap(), 0, "no whole segment is below");
        assert_eq!(bases(root.path()), before);
        // In the middle of a segment, at the start of one, and both again.
        let mut kept = 0;
        for (seq, at) in
            [(before[3] + 1, 3), (before[5], 5), (before[5], 5), (before[3], 5), (0, 5)]
        {
            kept = stream.truncate_before(seq).unwrap();
            assert_eq!(kept, before[at], "{mode:?} {seq}");
            assert_eq!(bases(root.path()), before[at..]);
            check_from(&stream, kept, 40);
        }
        assert_eq!(stream.durable_seq().unwrap(), 40, "a truncation makes all before it durable");
        wal.close().unwrap();
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        check_from(&stream, kept, 40);
        assert!(wal.recovery_reports().iter().all(ironwal::RecoveryReport::is_clean));
        fill(&stream, 10);
        let active = *bases(root.path()).last().unwrap();
        for seq in [1_000, u64::MAX, active + 1] {
            assert_eq!(stream.truncate_before(seq).unwrap(), active, "the active segment is kept");
        }
        check_from(&stream, active, 50);
        drop((stream, wal));
        let wal = Wal::open(root.path(), options).unwrap();
        check_from(&wal.stream("s").unwrap(), active, 50);
    }
}

#[test]
fn truncating_an_absent_or_closed_stream_makes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    let stream = wal.stream("s").unwrap();
    assert_eq!(stream.truncate_before(7).unwrap(), 0);
    assert_eq!(files::list(root.path()), [".lock"]);
    fill(&stream, 3);
    wal.close().unwrap();
    assert!(stream.truncate_before(1).unwrap_err().is_closed());
}

/// The index is never the only copy of an entry, nor may it be the only witness of what was removed.
#[test]
fn truncated_entries_do_not_come_back_when_the_index_is_lost() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), TINY.sync_mode(mode)).unwrap();
        let stream = wal.stream("s").unwrap();
        fill(&stream, 40);
        let first = stream.truncate_before(25).unwrap();
        assert!(first > 15);
        wal.close().unwrap();
        files::remove(&root.path().join("s/segments.idx"));
        let wal = Wal::open(root.path(), TINY).unwrap();
        let stream = wal.stream("s").unwrap();
        check_from(&stream, first, 40);
        fill(&stream, 5);
        wal.close().unwrap();
        let wal = Wal::open(root.path(), TINY).unwrap();
        check_from(&wal.stream("s").unwrap(), first, 45);
    }
}

/// As a crash between the index and the unlinking leaves it.
#[test]
fn files_that_a_truncation_left_behind_are_removed_by_the_next_opening() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    let stream = wal.stream("s").unwrap();
    fill(&stream, 40);
    let copies: Vec<_> = files::segments(&root.path().join("s"))
        .into_iter()
        .map(|path| (files::read(&path), path))
        .collect();
    let first = stream.truncate_before(25).unwrap();
    wal.close().unwrap();
    let after = bases(root.path());
    for (bytes, path) in copies.iter().filter(|(_, path)| files::name_parts(path).0 < first) {
        files::write(path, bytes);
    }
    let wal = Wal::open(root.path(), TINY).unwrap();
    check_from(&wal.stream("s").unwrap(), first, 40);
    assert_eq!(bases(root.path()), after);
}

#[test]
fn a_file_that_cannot_be_removed_is_an_error_and_the_entries_are_gone_nevertheless() {
    let root = tempfile::tempdir().unwrap();
    let wal = hooked::open(root.path(), TINY, |call, path| {
        let is_refused = call == Call::Unlink && path.contains("-0000000001.");
        if is_refused { Err(std::io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    });
    let stream = wal.stream("s").unwrap();
    fill(&stream, 40);
    let before = bases(root.path());
    let error = stream.truncate_before(before[4]).unwrap_err();
    assert!(error.io_error().is_some() && !error.is_fenced(), "{error}");
    check_from(&stream, before[4], 40);
    fill(&stream, 5);
    wal.close().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    check_from(&wal.stream("s").unwrap(), before[4], 45);
    assert_eq!(bases(root.path())[0], before[4]);
}

/// For want of a file or of room: then nothing was changed.
#[test]
fn a_truncation_whose_index_cannot_be_written_changes_nothing_and_appends_go_on() {
    for (refused, kind) in [
        (Call::Create, std::io::ErrorKind::PermissionDenied),
        (Call::Write, std::io::ErrorKind::StorageFull),
    ] {
        let root = tempfile::tempdir().unwrap();
        let is_armed = Arc::new(AtomicBool::new(false));
        let armed = Arc::clone(&is_armed);
        let wal = hooked::open(root.path(), TINY, move |call, path| {
            let is_index = path.contains(".idx.");
            if armed.load(Ordering::SeqCst) && is_index && call == refused {
                Err(kind.into())
            } else {
                Ok(())
            }
        });
        let stream = wal.stream("s").unwrap();
        fill(&stream, 40);
        let before = bases(root.path());
        is_armed.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let error = stream.truncate_before(30).unwrap_err();
            assert_eq!(error.io_error().unwrap().kind(), kind, "{error}");
            assert!(!error.is_fenced(), "{error}");
        }
        check_from(&stream, 0, 40);
        fill(&stream, 10);
        is_armed.store(false, Ordering::SeqCst);
        let first = stream.truncate_before(30).unwrap();
        assert!(first > 20 && before.contains(&first));
        check_from(&stream, first, 50);
        wal.close().unwrap();
        let wal = Wal::open(root.path(), TINY).unwrap();
        check_from(&wal.stream("s").unwrap(), first, 50);
    }
}

#[test]
fn truncations_beside_appends_take_nothing_but_what_was_given_up() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let options = TINY.sync_mode(mode).max_open_segments(1);
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        stream.append("0").unwrap();
        let given_up = thread::scope(|scope| {
            let mut writers = Vec::new();
            for _ in 0..3 {
                let stream = &stream;
                writers.push(scope.spawn(move || {
                    for n in 0..60 {
                        if n % 5 == 0 {
                            stream.append_batch(["batch", "of two"]).unwrap();
                        } else {
                            stream.append(format!("{n} {}", "y".repeat(30))).unwrap();
                        }
                    }
                }));
            }
            let mut given_up = 0;
            while writers.iter().any(|writer| !writer.is_finished()) {
                given_up = stream.next_seq().unwrap().saturating_sub(20);
                let first = stream.truncate_before(given_up).unwrap();
                assert!(first <= given_up, "{first} of {given_up}");
                assert_eq!(stream.first_seq().unwrap(), first);
                assert!(stream.get(given_up).unwrap().is_some());
            }
            given_up
        });
        let first = stream.truncate_before(given_up).unwrap();
        let next = stream.next_seq().unwrap();
        assert_eq!(next, 1 + 3 * (60 + 12));
        drop((stream, wal));
        let wal = Wal::open(root.path(), options).unwrap();
        let seqs: Vec<_> = wal.iter("s", ..).unwrap().map(|entry| entry.unwrap().seq).collect();
        assert_eq!(seqs, (first..next).collect::<Vec<_>>());
        assert_eq!(bases(root.path())[0], first);
    }
}

#[test]
fn an_iterator_that_a_truncation_overtakes_says_so_once_and_goes_on_with_what_is_left() {
    use ironwal::ReadStrategy::{Mmap, StandardIo};
    for strategy in [Mmap, StandardIo] {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), TINY.read_strategy(strategy)).unwrap();
        let stream = wal.stream("s").unwrap();
        fill(&stream, 60);
        drop((stream, wal));
        let wal = Wal::open(root.path(), TINY.read_strategy(strategy)).unwrap();
        let stream = wal.stream("s").unwrap();
        let mut iter = stream.iter(..).unwrap();
        assert_eq!(iter.next().unwrap().unwrap().seq, 0);
        let first = stream.truncate_before(40).unwrap();
        let (mut seqs, mut errors) = (vec![0], Vec::new());
        for item in iter {
            match item {
                Ok(entry) => seqs.push(entry.seq),
                Err(error) => errors.push(error),
            }
        }
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert!(error.is_truncated(), "{error}");
        let read_before = seqs.partition_point(|seq| *seq < first);
        assert!((0..).zip(&seqs[..read_before]).all(|(n, seq)| n == *seq));
        assert_eq!(seqs[read_before..], (first..60).collect::<Vec<_>>());
    }
}

/// The file is unlinked between the look at the view and its opening.
#[test]
fn a_reader_whose_segment_is_removed_before_it_is_opened_is_told_that_it_was_truncated() {
    let root = tempfile::tempdir().unwrap();
    let gates: [Arc<Gate>; 3] = Default::default();
    let [armed, opening, go_on] = &gates;
    let hook = gates.clone();
    let options = WalOptions::new().max_segment_entries(2).read_strategy(ReadStrategy::StandardIo);
    let wal = hooked::open(root.path(), options, move |call, path| {
        let [armed, opening, go_on] = &hook;
        let is_first = path.ends_with("-0000000000.wal");
        if armed.is_open() && !opening.is_open() && call == Call::Open && is_first {
            opening.open();
            go_on.pass();
        }
        Ok(())
    });
    let stream = wal.stream("s").unwrap();
    for n in 0..7 {
        assert_eq!(stream.append(format!("{n}")).unwrap(), n);
    }
    armed.open();
    thread::scope(|scope| {
        let reader = scope.spawn(|| stream.get(1));
        opening.pass();
        assert_eq!(stream.truncate_before(4).unwrap(), 4);
        go_on.open();
        let error = reader.join().unwrap().unwrap_err();
        assert!(error.is_truncated(), "{error}");
    });
    assert_eq!(stream.get(4).unwrap().unwrap(), "4");
}
