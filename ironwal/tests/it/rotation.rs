//! Ending the active segment by hand.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ironwal::{SyncMode, Wal, WalOptions};

use crate::files;
use crate::hooked::{self, Call, Gate};
use crate::kill_modes::MODES;

#[test]
fn rotating_ends_the_segment_durably_and_leaves_one_that_holds_nothing_as_it_is() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), WalOptions::new().sync_mode(mode)).unwrap();
        let stream = wal.stream("s").unwrap();
        assert_eq!(stream.rotate().unwrap(), 0, "absent");
        assert!(!wal.contains("s").unwrap());
        stream.append("a").unwrap();
        stream.append("b").unwrap();
        assert_eq!(stream.rotate().unwrap(), 2);
        assert_eq!(stream.durable_seq().unwrap(), 2);
        assert_eq!(stream.stats().unwrap().segment_count, 2);
        assert_eq!(stream.rotate().unwrap(), 2, "twice");
        assert_eq!(stream.append("c").unwrap(), 2);
        let segments = files::segments(&root.path().join("s"));
        let names: Vec<_> = segments.iter().map(|path| files::name_parts(path)).collect();
        assert_eq!(names, [(0, 0), (2, 1)]);
        let found = stream.get_many(0..3).unwrap();
        assert_eq!(found.into_iter().map(Option::unwrap).collect::<Vec<_>>(), ["a", "b", "c"]);
        let sealed = files::read(&segments[0]);
        stream.append("d").unwrap();
        wal.close().unwrap();
        assert!(stream.rotate().unwrap_err().is_closed());
        assert!(files::read(&segments[0]) == sealed, "a sealed segment never changes");
        let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
        assert_eq!(wal.stream("s").unwrap().rotate().unwrap(), 4, "not used in this opening yet");
        assert!(wal.recovery_reports().iter().all(ironwal::RecoveryReport::is_clean));
    }
}

#[test]
fn rotating_and_truncating_leaves_an_empty_log_whose_numbering_goes_on() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let options = WalOptions::new().sync_mode(mode).max_segment_size(400);
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        for n in 0..30 {
            stream.append(format!("entry {n}")).unwrap();
        }
        let next = stream.rotate().unwrap();
        assert_eq!(next, 30);
        assert_eq!(stream.truncate_before(next).unwrap(), 30);
        let stats = stream.stats().unwrap();
        assert_eq!((stats.first_seq, stats.next_seq, stats.segment_count), (30, 30, 1));
        assert_eq!(stream.iter(..).unwrap().count(), 0);
        assert!(stream.get(29).unwrap_err().is_truncated());
        assert_eq!(stream.get(30).unwrap(), None);
        assert_eq!(files::segments(&root.path().join("s")).len(), 1);
        wal.close().unwrap();
        let wal = Wal::open(root.path(), options).unwrap();
        let stream = wal.stream("s").unwrap();
        assert_eq!(stream.first_seq().unwrap()..stream.next_seq().unwrap(), 30..30);
        assert_eq!(stream.append("on").unwrap(), 30);
        assert_eq!(stream.get(30).unwrap().unwrap(), "on");
    }
}

/// The rotation is made while a sync runs that began before it: whoever leads next has to tell readers
/// of it.
#[test]
fn a_rotation_beside_a_running_sync_is_seen_when_it_returns() {
    let root = tempfile::tempdir().unwrap();
    let gates: [Arc<Gate>; 3] = Default::default();
    let [armed, syncing, _] = &gates;
    let hook = gates.clone();
    let wal = hooked::open(root.path(), WalOptions::new(), move |call, path| {
        let [armed, syncing, rotated] = &hook;
        // The first segment was opened when the stream was made.
        if !armed.is_open() || !path.contains("s/") {
            return Ok(());
        }
        if call == Call::Sync {
            syncing.open();
            rotated.pass();
        } else if call == Call::Create {
            rotated.open();
        }
        Ok(())
    });
    let stream = wal.stream("s").unwrap();
    stream.append("0").unwrap();
    armed.open();
    thread::scope(|scope| {
        let append = scope.spawn(|| stream.append("1").unwrap());
        syncing.pass();
        assert_eq!(stream.rotate().unwrap(), 2);
        append.join().unwrap();
    });
    let stats = stream.stats().unwrap();
    assert_eq!((stats.next_seq, stats.durable_seq, stats.segment_count), (2, 2, 2));
    assert_eq!(stream.truncate_before(2).unwrap(), 2, "what was ended can be truncated");
    assert_eq!(stream.append("2").unwrap(), 2);
    assert_eq!(stream.get(2).unwrap().unwrap(), "2");
}

/// An entry that is to be durable first is shown to nobody by a rotation that comes while it is synced.
#[test]
fn a_rotation_shows_nothing_that_is_not_durable() {
    let root = tempfile::tempdir().unwrap();
    let gates: [Arc<Gate>; 4] = Default::default();
    let [armed, syncing, rotated, go_on] = &gates;
    let hook = gates.clone();
    let wal = hooked::open(root.path(), WalOptions::new(), move |call, path| {
        let [armed, syncing, rotated, go_on] = &hook;
        if !armed.is_open() {
            return Ok(());
        }
        if call == Call::Sync && path.ends_with("-0000000000.wal") {
            syncing.open();
            go_on.pass();
        } else if call == Call::Write && path.ends_with("-0000000001.wal") {
            rotated.open();
        }
        Ok(())
    });
    let stream = wal.stream("s").unwrap();
    stream.append("0").unwrap();
    armed.open();
    thread::scope(|scope| {
        let append = scope.spawn(|| stream.append("1").unwrap());
        syncing.pass();
        let rotation = scope.spawn(|| stream.rotate().unwrap());
        rotated.pass();
        // Long enough for the rotation to come to where it waits for the sync.
        for _ in 0..50 {
            assert_eq!((stream.next_seq().unwrap(), stream.durable_seq().unwrap()), (1, 1));
            assert_eq!(stream.get(1).unwrap(), None);
            thread::sleep(Duration::from_millis(2));
        }
        go_on.open();
        assert_eq!((append.join().unwrap(), rotation.join().unwrap()), (1, 2));
    });
    assert_eq!((stream.next_seq().unwrap(), stream.durable_seq().unwrap()), (2, 2));
    assert_eq!(stream.stats().unwrap().segment_count, 2);
}

/// The segment was ended for an entry that was not written then, so nobody is about to sync that.
#[test]
fn a_rotation_that_nobody_syncs_is_synced_by_whoever_is_to_rotate_next() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let writes = AtomicUsize::new(0);
        let options = WalOptions::new().sync_mode(mode).max_segment_size(200);
        let wal = hooked::open(root.path(), options, move |call, path| {
            // The second write to the second segment, behind that of its header, is the frame.
            let is_second = path.ends_with("0000000001.wal") && call == Call::Write;
            if is_second && writes.fetch_add(1, Ordering::SeqCst) == 1 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        });
        let stream = wal.stream("s").unwrap();
        stream.append("0").unwrap();
        let refused = stream.append("1".repeat(100)).unwrap_err();
        assert!(!refused.is_fenced(), "{refused}");
        let stats = stream.stats().unwrap();
        assert_eq!(stats.next_seq, 1, "{mode:?}");
        let (answer, answers) = mpsc::channel();
        let rotating = stream.clone();
        // It is not waited for: it may never come to an end.
        thread::spawn(move || answer.send(rotating.rotate()));
        let rotated = answers.recv_timeout(Duration::from_secs(20));
        assert_eq!(rotated.expect("the rotation comes to an end").unwrap(), 1);
        assert_eq!(stream.durable_seq().unwrap(), 1, "{mode:?}");
        let stats = stream.stats().unwrap();
        assert_eq!(stats.segment_count, 2, "the segment that was begun holds nothing");
        assert_eq!(stream.append("1".repeat(100)).unwrap(), 1);
        assert_eq!(stream.get(1).unwrap().unwrap(), "1".repeat(100));
    }
}

/// How many files of streams this process has open below a root.
fn open_below(root: &std::path::Path) -> usize {
    let fds = std::path::Path::new("/proc/self/fd");
    let targets =
        files::list(fds).into_iter().filter_map(|fd| std::fs::read_link(fds.join(fd)).ok());
    targets.filter(|target| target.starts_with(root) && target.extension().is_some()).count()
}

#[test]
fn rotating_idle_streams_that_hold_nothing_new_keeps_no_file_open() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new().max_open_segments(2)).unwrap();
    let streams: Vec<_> = (0..30).map(|n| wal.stream(&format!("s{n}")).unwrap()).collect();
    for stream in &streams {
        stream.append("x").unwrap();
        assert_eq!(stream.rotate().unwrap(), 1);
    }
    for stream in &streams {
        assert_eq!(stream.rotate().unwrap(), 1);
        assert_eq!(stream.truncate_before(0).unwrap(), 0);
        stream.sync().unwrap();
    }
    assert!(wal.stats().open_segment_count <= 2);
    let open = open_below(root.path());
    assert!(open <= 2, "{open} files are open, the budget is 2");
}

#[test]
fn rotations_beside_appends_lose_nothing_and_numbers_stay_dense() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let options = WalOptions::new().sync_mode(mode).max_segment_size(700).max_open_segments(1);
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let stream = &stream;
                scope.spawn(move || {
                    for n in 0..60 {
                        if n % 4 == writer {
                            stream.rotate().unwrap();
                        }
                        let seqs = stream
                            .append_batch([format!("{writer} {n}"), "second".to_owned()])
                            .unwrap();
                        let found = stream.get(seqs.start).unwrap().unwrap();
                        assert_eq!(found, format!("{writer} {n}"));
                    }
                });
            }
        });
        assert_eq!(stream.next_seq().unwrap(), 480);
        wal.close().unwrap();
        let wal = Wal::open(root.path(), options).unwrap();
        let found: Vec<_> = wal.iter("s", ..).unwrap().map(|entry| entry.unwrap().data).collect();
        assert_eq!(found.len(), 480);
        assert!(found.chunks(2).all(|pair| pair[1] == "second"));
    }
}

/// An entry is written, its segment ended by hand, and the process says that all is durable.
#[test]
fn what_a_rotation_ended_is_copied_as_a_file_that_never_changes() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new().sync_mode(SyncMode::Async)).unwrap();
    let stream = wal.stream("s").unwrap();
    for n in 0..100 {
        stream.append(format!("entry {n}")).unwrap();
    }
    assert_eq!(stream.durable_seq().unwrap(), 0);
    stream.rotate().unwrap();
    let stats = stream.stats().unwrap();
    assert_eq!((stats.durable_seq, stats.next_seq), (100, 100));
    let segment = &files::segments(&root.path().join("s"))[0];
    assert_eq!(
        files::len(segment),
        files::used_len(segment).next_multiple_of(8),
        "no reserved space"
    );
}
