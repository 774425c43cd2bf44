//! Deleting streams.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use ironwal::{Error, ReadStrategy, SyncMode, Wal, WalOptions};

use crate::files;
use crate::hooked::{self, Call, Gate};
use crate::kill_modes::MODES;

const TINY: WalOptions = WalOptions::new().max_segment_size(300);

fn is_trash(name: &str) -> bool {
    name.starts_with(".trash-")
}

#[test]
fn deleting_gives_whether_there_was_a_stream_and_leaves_nothing_of_it() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), TINY.sync_mode(mode)).unwrap();
        assert!(!wal.delete_stream("s").unwrap(), "absent");
        for n in 0..20 {
            wal.append("s", format!("entry {n}")).unwrap();
        }
        wal.append("other", "x").unwrap();
        assert!(wal.delete_stream("s").unwrap());
        assert_eq!(files::list(root.path()), [".lock", "other"]);
        assert!(!wal.delete_stream("s").unwrap(), "twice");
        assert!(!wal.contains("s").unwrap());
        assert_eq!(wal.get("s", 0).unwrap(), None);
        wal.close().unwrap();
        assert!(wal.delete_stream("other").unwrap_err().is_closed());
        let wal = Wal::open(root.path(), TINY).unwrap();
        assert_eq!(wal.streams().unwrap(), ["other"]);
        assert!(wal.delete_stream("other").unwrap(), "one that was not used in this opening");
        assert_eq!(files::list(root.path()), [".lock"]);
    }
}

#[test]
fn a_stream_with_the_key_of_a_deleted_one_begins_with_0_and_old_handles_stay_deleted() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    let old = wal.stream("s").unwrap();
    for n in 0..20 {
        assert_eq!(old.append(format!("old {n}")).unwrap(), n);
    }
    assert!(wal.delete_stream("s").unwrap());
    let all_say_deleted = || {
        let errors: [Error; 11] = [
            old.append("x").unwrap_err(),
            old.append_batch(["x"]).unwrap_err(),
            old.get(3).unwrap_err(),
            old.get_many([3]).unwrap_err(),
            old.iter(..).unwrap_err(),
            old.first_seq().unwrap_err(),
            old.next_seq().unwrap_err(),
            old.sync().unwrap_err(),
            old.rotate().unwrap_err(),
            old.truncate_before(5).unwrap_err(),
            old.stats().unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_deleted(), "{error}");
            assert_eq!(error.stream(), Some("s"));
        }
        assert!(old.durable_seq().unwrap_err().is_deleted());
    };
    all_say_deleted();
    let new = wal.stream("s").unwrap();
    assert_eq!(new.append("new 0").unwrap(), 0);
    assert_eq!(wal.append("s", "new 1").unwrap(), 1);
    all_say_deleted();
    assert_eq!(new.get(0).unwrap().unwrap(), "new 0");
    assert!(wal.reopen("s").unwrap().damage.is_empty());
    wal.close().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    let found: Vec<_> = wal.iter("s", ..).unwrap().map(|entry| entry.unwrap().data).collect();
    assert_eq!(found, ["new 0", "new 1"]);
}

#[test]
fn of_two_who_delete_at_once_one_is_told_that_it_did() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    for round in 0..50 {
        wal.append("s", format!("{round}")).unwrap();
        let deleted = thread::scope(|scope| {
            let other = scope.spawn(|| wal.delete_stream("s").unwrap());
            let deleted = wal.delete_stream("s").unwrap();
            usize::from(deleted) + usize::from(other.join().unwrap())
        });
        assert_eq!(deleted, 1, "round {round}");
    }
}

/// By handles that are got anew, or kept until they are told that the stream was deleted.
#[test]
fn who_appends_while_a_stream_is_deleted_is_told_so_or_is_in_the_next_one() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), TINY.sync_mode(mode).max_open_segments(1)).unwrap();
        let told = AtomicUsize::new(0);
        thread::scope(|scope| {
            let mut writers = Vec::new();
            for writer in 0..4 {
                let (wal, told) = (&wal, &told);
                writers.push(scope.spawn(move || {
                    let mut stream = wal.stream("s").unwrap();
                    // On a fast disk they go on until they have met a deletion.
                    for n in (0..1_000_000).take_while(|n| *n < 60 || told.load(Relaxed) == 0) {
                        let appended = if n % 3 == 0 {
                            stream
                                .append_batch([format!("{writer} {n}"), format!("{writer} {n}")])
                                .map(drop)
                        } else {
                            stream.append(format!("{writer} {n}")).map(drop)
                        };
                        if let Err(error) = appended {
                            assert!(error.is_deleted(), "{mode:?}: {error:?}");
                            told.fetch_add(1, Relaxed);
                            stream = wal.stream("s").unwrap();
                        }
                    }
                }));
            }
            let mut deleted = 0;
            while writers.iter().any(|writer| !writer.is_finished()) {
                if wal.next_seq("s").unwrap() < 10 {
                    thread::yield_now();
                } else {
                    assert!(wal.delete_stream("s").unwrap());
                    deleted += 1;
                }
            }
            for writer in writers {
                writer.join().unwrap();
            }
            let told = told.load(Relaxed);
            assert!(deleted > 0 && told > 0, "{deleted} deletions, {told} told");
        });
        // What is there is one incarnation, whole.
        let mut seqs = wal.iter("s", ..).unwrap().map(|entry| entry.unwrap().seq);
        assert!((0..).zip(&mut seqs).all(|(n, seq)| n == seq));
        assert!(!files::list(root.path()).iter().any(|name| is_trash(name)));
        wal.close().unwrap();
    }
}

#[test]
fn closing_beside_deletions_is_no_failure() {
    for round in 0..40 {
        let root = tempfile::tempdir().unwrap();
        let options = WalOptions::new().sync_mode(SyncMode::Async);
        let wal = Wal::open(root.path(), options).unwrap();
        for n in 0..20 {
            wal.append(&format!("s{n}"), "x").unwrap();
        }
        thread::scope(|scope| {
            let deleting = scope.spawn(|| {
                for n in (0..20).rev() {
                    match wal.delete_stream(&format!("s{n}")) {
                        Ok(deleted) => assert!(deleted),
                        Err(error) => assert!(error.is_closed(), "{error}"),
                    }
                }
            });
            let closed = wal.close();
            assert!(closed.is_ok(), "round {round}: {closed:?}");
            deleting.join().unwrap();
        });
    }
}

#[test]
fn an_interrupted_deletion_is_finished_at_the_next_opening_and_foreign_files_stay() {
    let root = tempfile::tempdir().unwrap();
    let trash = |n: u8| format!(".trash-{}", format!("{n:02x}").repeat(16));
    for foreign in [false, true] {
        let wal = Wal::open(root.path(), TINY).unwrap();
        for n in 0..10 {
            assert_eq!(wal.append("s", format!("entry {n}")).unwrap(), n);
        }
        wal.close().unwrap();
        let from = root.path().join("s");
        let to = root.path().join(trash(u8::from(foreign)));
        if foreign {
            files::write(&from.join("notes.txt"), b"mine");
        }
        files::copy_tree(&from, &to);
        for name in files::list(&from) {
            files::remove(&from.join(name));
        }
        std::fs::remove_dir(&from).unwrap();
        drop(Wal::open(root.path(), TINY).unwrap());
        let expected =
            if foreign { vec![".lock".to_owned(), trash(1)] } else { vec![".lock".to_owned()] };
        assert_eq!(files::list(root.path()), expected);
    }
    assert_eq!(files::list(&root.path().join(trash(1))), ["notes.txt"]);
}

#[test]
fn foreign_files_stay_where_a_stream_is_deleted_and_its_key_is_free() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), TINY).unwrap();
    wal.append("s", "entry").unwrap();
    files::write(&root.path().join("s/notes.txt"), b"mine");
    assert!(wal.delete_stream("s").unwrap());
    let names = files::list(root.path());
    let kept = names.iter().find(|name| is_trash(name)).unwrap();
    assert_eq!(files::list(&root.path().join(kept)), ["notes.txt"]);
    assert_eq!(wal.append("s", "anew").unwrap(), 0);
    // A directory that holds nothing of ours is no stream.
    files::make_dir(&root.path().join("photos"));
    files::write(&root.path().join("photos/1.jpg"), b"mine");
    assert!(!wal.delete_stream("photos").unwrap());
    assert_eq!(files::read(&root.path().join("photos/1.jpg")), b"mine");
}

/// Also where the new stream has segments with the same names.
#[test]
fn an_iterator_of_a_deleted_stream_says_deleted_and_ends_also_when_its_key_is_used_again() {
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        for is_made_anew in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let wal = Wal::open(root.path(), TINY.read_strategy(strategy)).unwrap();
            let fill = || {
                for n in 0..20 {
                    wal.append("s", format!("entry {n}")).unwrap();
                }
            };
            fill();
            let mut iter = wal.iter("s", ..).unwrap();
            assert_eq!(iter.next().unwrap().unwrap().data, "entry 0");
            let untouched = wal.iter("s", 5..).unwrap();
            assert!(wal.delete_stream("s").unwrap());
            if is_made_anew {
                fill();
            }
            for iter in [iter, untouched] {
                let items: Vec<_> = iter.collect();
                let (last, before) = items.split_last().unwrap();
                assert!(before.iter().all(Result::is_ok), "{is_made_anew}: {items:?}");
                let error = last.as_ref().unwrap_err();
                assert!(error.is_deleted(), "{is_made_anew}: {error}");
            }
        }
    }
}

/// The stream is deleted, and made again under the same names, while a reader of the first one opens its
/// file: what that finds is of another stream.
#[test]
fn a_reader_that_comes_upon_the_next_stream_is_told_that_its_own_was_deleted() {
    let root = tempfile::tempdir().unwrap();
    let gates: [Arc<Gate>; 3] = Default::default();
    let [armed, opening, go_on] = &gates;
    let hook = gates.clone();
    let options = TINY.read_strategy(ReadStrategy::StandardIo);
    let wal = hooked::open(root.path(), options, move |call, path| {
        let [armed, opening, go_on] = &hook;
        let is_first = path.starts_with("s/") && path.ends_with("-0000000000.wal");
        if armed.is_open() && !opening.is_open() && call == Call::Open && is_first {
            opening.open();
            go_on.pass();
        }
        Ok(())
    });
    let fill = || assert!((0..9).all(|n| wal.append("s", format!("entry {n:050}")).is_ok()));
    fill();
    let stream = wal.stream("s").unwrap();
    assert!(stream.stats().unwrap().segment_count > 2);
    armed.open();
    thread::scope(|scope| {
        let reader = scope.spawn(|| stream.get(0));
        opening.pass();
        assert!(wal.delete_stream("s").unwrap());
        fill();
        go_on.open();
        let error = reader.join().unwrap().unwrap_err();
        assert!(error.is_deleted(), "{error}");
    });
    assert!(wal.get("s", 0).unwrap().is_some());
}

/// Also where the bytes go before the names do.
#[test]
fn a_stream_whose_files_a_stranger_empties_and_removes_is_deleted_and_not_damaged() {
    let root = tempfile::tempdir().unwrap();
    let options = WalOptions::new().read_strategy(ReadStrategy::StandardIo);
    let wal = Wal::open(root.path(), options).unwrap();
    wal.append("s", "0").unwrap();
    let stream = wal.stream("s").unwrap();
    let dir = root.path().join("s");
    let segment = &files::segments(&dir)[0];
    files::set_len(segment, 0);
    let error = stream.get(0).unwrap_err();
    assert!(error.is_damage(), "{error}");
    for name in files::list(&dir) {
        files::remove(&dir.join(name));
    }
    files::remove_dir(&dir);
    let error = stream.get(0).unwrap_err();
    assert!(error.is_deleted(), "{error}");
}

/// A log is synced stream by stream; one that is deleted, and made again, before its turn has come is
/// synced as what it is then.
#[test]
fn syncing_a_log_takes_streams_as_they_are_when_their_turn_comes() {
    for is_made_again in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let gates: [Arc<Gate>; 3] = Default::default();
        let [armed, syncing, go_on] = &gates;
        let hook = gates.clone();
        let first = Arc::new(Mutex::new(String::new()));
        let whose = Arc::clone(&first);
        let environment = hooked::environment(root.path(), move |call, path| {
            let [armed, syncing, go_on] = &hook;
            if armed.is_open() && !syncing.is_open() && call == Call::Sync {
                *whose.lock().unwrap() = path.to_owned();
                syncing.open();
                go_on.pass();
            }
            Ok(())
        });
        let options = WalOptions::new().sync_mode(SyncMode::Async);
        let one = NonZeroUsize::new(1).unwrap();
        let wal = Wal::open_in(environment.with_recovery_threads(one), options).unwrap();
        for key in ["first", "second"] {
            wal.append(key, "old").unwrap();
        }
        armed.open();
        thread::scope(|scope| {
            let synced = scope.spawn(|| wal.sync());
            syncing.pass();
            let is_first = first.lock().unwrap().contains("first/");
            let waits = if is_first { "second" } else { "first" };
            assert!(wal.delete_stream(waits).unwrap());
            if is_made_again {
                wal.append(waits, "new").unwrap();
                assert_eq!(wal.durable_seq(waits).unwrap(), 0);
            }
            go_on.open();
            synced.join().unwrap().unwrap();
            assert_eq!(wal.durable_seq(waits).unwrap(), u64::from(is_made_again));
        });
        assert_eq!(wal.stats().counts.append_count, if is_made_again { 3 } else { 2 });
    }
}

/// There is nothing to delete, so nobody is told that it was.
#[test]
fn handles_of_a_stream_that_there_is_not_go_on_when_it_is_deleted() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let stream = wal.stream("s").unwrap();
    for _ in 0..2 {
        assert!(!wal.delete_stream("s").unwrap());
        assert_eq!(stream.next_seq().unwrap(), 0);
    }
    assert_eq!(stream.append("0").unwrap(), 0);
}

#[test]
fn a_file_in_the_place_of_a_stream_keeps_no_log_from_being_synced() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    files::write(&root.path().join("s"), b"a stranger's");
    let stream = wal.stream("s").unwrap();
    wal.sync().unwrap();
    stream.append("0").unwrap_err();
    wal.append("t", "0").unwrap();
    wal.sync().unwrap();
    wal.close().unwrap();
}
