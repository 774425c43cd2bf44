//! Processes that have hardly any file to open, and such that have none left.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread;

use ironwal::{Error, Outcome, ReadStrategy, Stream, SyncMode, Wal, WalOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::files;
use crate::kill::{Process, TASK};
use crate::kill_modes::MODES;

fn limit_open_files(count: u64) {
    let limit = Rlimit { current: Some(count), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn mode_of(name: &str) -> SyncMode {
    MODES.into_iter().find(|mode| format!("{mode:?}") == name).unwrap()
}

fn run_child(task: &str, mode: SyncMode, root: &Path) {
    let line = format!("{task} {mode:?} {}", root.to_str().unwrap());
    let mut process = Process::start("few_files::child", &line);
    assert!(process.next("done").is_some(), "{task} {mode:?}: the child failed");
    assert!(process.wait().success());
}

/// Not a test but the child of the tests here.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    println!();
    let fields: Vec<_> = task.splitn(3, ' ').collect();
    let [task, mode, root] = fields[..] else { panic!("{task}") };
    let (mode, root) = (mode_of(mode), Path::new(root));
    match task {
        "one" => many_writers_one_file(root, mode),
        "none" => no_file_left(root, mode),
        _ => panic!("{task}"),
    }
    println!("done");
}

/// A thread that rotates has four files open for a moment: both segments, the index, the directory.
fn many_writers_one_file(root: &Path, mode: SyncMode) {
    const WRITER_COUNT: u64 = 32;
    const STREAM_COUNT: u64 = 80;
    const ROUND_COUNT: u64 = 30;
    limit_open_files(5 * WRITER_COUNT);
    let options = WalOptions::new().sync_mode(mode).max_open_segments(1).max_segment_size(600);
    let entry = |writer: u64, n: u64| format!("{writer} {n} {}", "x".repeat(60));
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        let wal = Wal::open(root, options.clone().read_strategy(strategy)).unwrap();
        thread::scope(|scope| {
            for writer in 0..WRITER_COUNT {
                let wal = &wal;
                scope.spawn(move || {
                    for n in 0..ROUND_COUNT {
                        let key = format!("s{}", (writer * 37 + n * 11) % STREAM_COUNT);
                        let stream = wal.stream(&key).unwrap();
                        match n % 7 {
                            0 => stream.sync().unwrap(),
                            1 => assert!(stream.rotate().unwrap() <= stream.next_seq().unwrap()),
                            2 => assert!(stream.stats().unwrap().byte_len < 1 << 20),
                            _ => {}
                        }
                        let seqs = if n % 3 == 0 {
                            stream.append_batch([entry(writer, n), entry(writer, n)]).unwrap()
                        } else {
                            let seq = stream.append(entry(writer, n)).unwrap();
                            seq..seq + 1
                        };
                        for found in stream.get_many(seqs).unwrap() {
                            assert_eq!(found.unwrap(), entry(writer, n));
                        }
                    }
                });
            }
        });
        wal.sync().unwrap();
        assert!(wal.stats().open_segment_count <= 1, "{:?}", wal.stats());
        let open = files::list(Path::new("/proc/self/fd")).len();
        assert!(open <= 16, "{open} files");
        wal.close().unwrap();
    }
    let wal = Wal::open(root, options).unwrap();
    assert!(wal.recover_all().unwrap().iter().all(ironwal::RecoveryReport::is_clean));
    let mut found = std::collections::BTreeMap::new();
    for key in wal.streams().unwrap() {
        for entry in wal.iter(&key, ..).unwrap() {
            *found.entry(entry.unwrap().data).or_insert(0) += 1;
        }
    }
    let expected = |n| if n % 3 == 0 { 4 } else { 2 };
    for (writer, n) in (0..WRITER_COUNT).flat_map(|w| (0..ROUND_COUNT).map(move |n| (w, n))) {
        assert_eq!(found.remove(entry(writer, n).as_bytes()), Some(expected(n)), "{writer} {n}");
    }
    assert!(found.is_empty());
}

/// Opens files until the process has no more; dropped, they are free again.
fn take_all_files() -> Vec<OwnedFd> {
    let mut held = Vec::new();
    loop {
        match io::stdin().as_fd().try_clone_to_owned() {
            Ok(file) => held.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(24), "EMFILE");
                return held;
            }
        }
    }
}

/// What has to be told of a call for which there was no file.
fn check_refused(error: &Error, what: &str) {
    assert_eq!(error.outcome(), Outcome::NotWritten, "{what}: {error}");
    assert_eq!(error.io_error().and_then(io::Error::raw_os_error), Some(24), "{what}: {error}");
    assert!(!error.is_fenced() && !error.is_damage() && !error.is_deleted(), "{what}: {error}");
}

fn long_entry(n: usize) -> String {
    format!("{n} {}", "y".repeat(100))
}

/// Appends the next entry; false if there was no file for it.
fn append_or_be_refused(stream: &Stream, count: &mut usize) -> bool {
    let appended = if count.is_multiple_of(4) {
        stream.append_batch([long_entry(*count)]).map(|seqs| seqs.start)
    } else {
        stream.append(long_entry(*count))
    };
    match appended {
        Ok(seq) => {
            assert_eq!(seq, *count as u64);
            *count += 1;
            true
        }
        Err(error) => {
            check_refused(&error, "append");
            false
        }
    }
}

fn no_file_left(root: &Path, mode: SyncMode) {
    limit_open_files(80);
    let options = WalOptions::new().sync_mode(mode).max_segment_size(1_000).max_open_segments(4);
    let wal = Wal::open(root, options.clone()).unwrap();
    for n in 0..4 {
        wal.append(&format!("cold {n}"), "x").unwrap();
    }
    let held = take_all_files();
    assert_eq!(wal.append("warm", "x").unwrap(), 0, "the files of cold streams are closed for it");
    drop(held);
    let (busy, idle) = (wal.stream("busy").unwrap(), wal.stream("idle").unwrap());
    let (mut in_busy, mut in_idle) = (0, 0);
    let (mut refused_count, mut refused_stream_count, mut rotation_count) = (0, 0, 0);
    let mut append = |stream: &Stream, count: &mut usize| {
        refused_count += usize::from(!append_or_be_refused(stream, count));
    };
    for round in 0..6 {
        append(&busy, &mut in_busy);
        append(&idle, &mut in_idle);
        let mut held = take_all_files();
        for n in 0..30 {
            // What the log has let go of meanwhile.
            held.extend(take_all_files());
            append(&busy, &mut in_busy);
            append(&idle, &mut in_idle);
            match busy.rotate() {
                Ok(next) => {
                    assert_eq!(next, in_busy as u64);
                    rotation_count += 1;
                }
                Err(error) => check_refused(&error, "rotate"),
            }
            if n % 7 == 0 {
                busy.sync().unwrap();
                wal.sync().unwrap();
            }
            assert_eq!(busy.next_seq().unwrap(), in_busy as u64);
        }
        match busy.truncate_before(busy.next_seq().unwrap()) {
            Ok(first) => assert!(first <= in_busy as u64),
            Err(error) => assert!(error.io_error().is_some(), "{error}"),
        }
        held.extend(take_all_files());
        // There may be one to let go of.
        let new = format!("new {round}");
        let new_count = match wal.append(&new, "x") {
            Ok(seq) => seq + 1,
            Err(error) => {
                check_refused(&error, "a new stream");
                refused_stream_count += 1;
                0
            }
        };
        drop(held);
        assert_eq!(busy.append(long_entry(in_busy)).unwrap(), in_busy as u64, "it goes on");
        in_busy += 1;
        assert_eq!(wal.append(&new, "x").unwrap(), new_count);
    }
    assert!(refused_stream_count > 0);
    assert!(refused_count > 10, "{refused_count} refused");
    println!("{refused_count} appends were refused, {rotation_count} rotations were not");
    wal.close().unwrap();
    let wal = Wal::open(root, options).unwrap();
    for (key, count) in [("busy", in_busy), ("idle", in_idle)] {
        let first = wal.first_seq(key).unwrap();
        let found: Vec<_> = wal.iter(key, ..).unwrap().map(|found| found.unwrap().data).collect();
        let expected: Vec<_> = (usize::try_from(first).unwrap()..count).map(long_entry).collect();
        assert_eq!(found, expected, "{key}");
    }
    assert!(wal.recovery_reports().iter().all(|report| report.damage.is_empty()));
}

#[test]
fn one_open_file_is_enough_for_32_writers_in_every_mode() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        run_child("one", mode, &dir.path().join("root"));
    }
}

#[test]
fn where_the_process_has_no_file_left_appends_fail_alone_and_go_on_when_it_has() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        run_child("none", mode, &dir.path().join("root"));
    }
}
