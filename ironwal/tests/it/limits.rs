//! What a log refuses, and what refuses a log.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use ironwal::{CompressionType, ErrorKind, Outcome, Stream, Wal, WalOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::files;
use crate::kill::{Process, TASK};

#[test]
fn keys_of_all_kinds_are_distinct_streams_before_and_after_a_restart() {
    let keys = [
        "user/1",
        "user_1",
        "user%2F1",
        "user%2f1",
        "user\\1",
        "A",
        "a",
        "!a",
        "%41",
        "..",
        ".",
        "...",
        ".lock",
        ".new-1",
        ".trash-1",
        "a.",
        ".a",
        "/",
        "a/../b",
        "~",
        "-",
        " ",
        "a ",
        "\0",
        "a\0b",
        "\n",
        "nul",
        "CON",
        "segments.idx",
        "\u{e9}",
        "e\u{301}",
        "\u{414}\u{430}",
        "\u{65e5}\u{672c}",
        "\u{1f980}",
        "\u{202e}abc",
    ];
    let longest_plain = "k".repeat(240);
    let longest_escaped = "\u{e9}".repeat(40);
    let keys = || keys.into_iter().chain([&*longest_plain, &*longest_escaped]);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for run in 0..2 {
        let wal = Wal::open(&root, WalOptions::new()).unwrap();
        for key in keys() {
            assert_eq!(wal.append(key, format!("{run} {key}")).unwrap(), run, "{key:?}");
        }
        if run == 0 {
            wal.close().unwrap();
        }
    }
    let wal = Wal::open(&root, WalOptions::new()).unwrap();
    for key in keys() {
        let found: Vec<_> = wal.iter(key, ..).unwrap().map(|entry| entry.unwrap().data).collect();
        assert_eq!(found, [format!("0 {key}"), format!("1 {key}")], "{key:?}");
        assert!(wal.contains(key).unwrap());
    }
    let expected: BTreeSet<_> = keys().map(str::to_owned).collect();
    assert_eq!(wal.streams().unwrap(), expected.into_iter().collect::<Vec<_>>());
    assert_eq!(files::list(dir.path()), ["root"], "nothing is written outside of the root");
}

#[test]
fn a_key_that_fits_into_no_directory_name_is_a_clear_error_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path(), WalOptions::new()).unwrap();
    let too_long = ["k".repeat(400), "k".repeat(241), "K".repeat(121), "\u{e9}".repeat(41)];
    for key in too_long.iter().map(String::as_str).chain([""]) {
        for error in [
            wal.append(key, "x").unwrap_err(),
            wal.append_batch(key, ["x"]).unwrap_err(),
            wal.get(key, 0).unwrap_err(),
            wal.stream(key).unwrap_err(),
            wal.contains(key).unwrap_err(),
        ] {
            assert!(matches!(error.kind(), ErrorKind::InvalidKey(_)), "{error}");
            assert_eq!(error.outcome(), Outcome::NotWritten);
            assert!(std::error::Error::source(&error).is_some(), "it says why");
        }
    }
    assert_eq!(files::list(dir.path()), [".lock"]);
}

#[test]
fn what_is_too_large_is_refused_before_a_byte_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let options = WalOptions::new().max_entry_len(1_000).max_batch_len(3_000);
    let wal = Wal::open(dir.path(), options).unwrap();
    let (fits, too_long) = (vec![1; 1_000], vec![1; 1_001]);
    let refuse = |stream: &Stream| {
        for error in [
            stream.append(&too_long).unwrap_err(),
            stream.append_batch([&too_long]).unwrap_err(),
            stream.append_batch([&fits, &too_long, &fits]).unwrap_err(),
            stream.append_batch([&fits, &fits, &fits, &vec![1]]).unwrap_err(),
        ] {
            assert!(matches!(error.kind(), ErrorKind::TooLarge(_)), "{error}");
            assert_eq!(error.outcome(), Outcome::NotWritten);
        }
    };
    let stream = wal.stream("s").unwrap();
    refuse(&stream);
    assert_eq!(files::list(dir.path()), [".lock"], "a refused append makes no stream");
    assert_eq!(stream.append(&fits).unwrap(), 0);
    assert_eq!(stream.append_batch([&fits, &fits, &fits]).unwrap(), 1..4);
    let before = files::contents(dir.path());
    refuse(&stream);
    assert!(files::contents(dir.path()) == before);
    assert_eq!(stream.append("goes on").unwrap(), 4);
}

/// What ends a segment.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Len(u64),
    EntryCount(u64),
}

impl Limit {
    const fn options(self) -> WalOptions {
        match self {
            Self::Len(len) => WalOptions::new().max_segment_size(len),
            Self::EntryCount(count) => WalOptions::new().max_segment_entries(count),
        }
    }

    /// Looks at segments that hold the last of what was appended. Space that is reserved in the active
    /// one does not count.
    fn check(self, segments: &[PathBuf], appended: &[Range<u64>]) {
        let next = appended.last().unwrap().end;
        let ends = segments.iter().skip(1).map(|path| files::name_parts(path).0).chain([next]);
        for (path, end) in segments.iter().zip(ends) {
            let base = files::name_parts(path).0;
            let frames = appended.iter().filter(|range| base <= range.start && range.end <= end);
            if frames.count() < 2 {
                continue;
            }
            match self {
                Self::Len(max) => {
                    let len = files::used_len(path);
                    assert!(len <= max, "{}: {len} bytes", path.display());
                }
                Self::EntryCount(max) => assert!(end - base <= max, "{}", path.display()),
            }
        }
    }
}

#[test]
fn no_segment_exceeds_the_limits_unless_it_holds_one_frame_however_entries_arrive() {
    let cases = [(Limit::Len(2_000), 1), (Limit::Len(2_000), 15), (Limit::EntryCount(10), 1)];
    for (limit, run_count) in cases {
        let dir = tempfile::tempdir().unwrap();
        for key in ["singles", "batches-of-one", "batches", "mixed", "too-large"] {
            let mut appended = Vec::new();
            for run in 0..run_count {
                let wal = Wal::open(dir.path(), limit.options()).unwrap();
                let stream = wal.stream(key).unwrap();
                for n in 0..120 / run_count {
                    let entry = vec![7; (run * 31 + n * 97) % 150];
                    let single = || {
                        let seq = stream.append(&entry).unwrap();
                        seq..seq + 1
                    };
                    appended.push(match (key, n % 3) {
                        ("singles", _) | ("mixed", 0) => single(),
                        ("batches-of-one", _) | ("mixed", 1) => {
                            stream.append_batch([&entry]).unwrap()
                        }
                        ("too-large", 1) => stream.append_batch(vec![[9; 99]; 25]).unwrap(),
                        _ => stream.append_batch(vec![&entry; 2 + n % 4]).unwrap(),
                    });
                    // The active segment too.
                    let segments = files::segments(&dir.path().join(key));
                    limit.check(&segments[segments.len().saturating_sub(2)..], &appended);
                }
                if run % 2 == 0 {
                    wal.close().unwrap();
                }
            }
            let segments = files::segments(&dir.path().join(key));
            limit.check(&segments, &appended);
            assert!(segments.len() > 4, "{key}: {} segments", segments.len());
        }
    }
}

#[test]
fn what_else_is_in_the_root_is_left_alone_and_no_stream_takes_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for name in ["notes", "empty", ".git", "Upper", ".new-notes", ".trash-notes"] {
        files::make_dir(&root.join(name));
    }
    for file in ["notes/todo.txt", ".git/HEAD", "Upper/x", ".new-notes/y", ".trash-notes/z"] {
        files::write(&root.join(file), file.as_bytes());
    }
    files::make_dir(&root.join("notes/drafts"));
    for file in ["readme.md", "file", "notes/drafts/1"] {
        files::write(&root.join(file), file.as_bytes());
    }
    let before = files::contents(root);
    for run in 0..2 {
        let wal = Wal::open(root, WalOptions::new()).unwrap();
        assert_eq!(wal.append("ours", "entry").unwrap(), run);
        for key in ["notes", "file", "readme.md"] {
            let error = wal.append(key, "x").unwrap_err();
            assert!(!wal.contains(key).unwrap(), "{key}");
            assert_eq!(error.outcome(), Outcome::NotWritten);
            assert_eq!(error.path(), Some(&*root.join(key)), "{error}");
            let is_no_directory = error.io_error().map(std::io::Error::kind)
                == Some(std::io::ErrorKind::NotADirectory);
            assert!(if key == "notes" { error.is_foreign() } else { is_no_directory }, "{error:?}");
        }
        assert_eq!(wal.streams().unwrap(), ["ours"]);
        wal.recover_all().unwrap();
        wal.close().unwrap();
    }
    let is_not_ours = |path: &Path| {
        let name = path.strip_prefix(root).unwrap();
        !name.starts_with("ours") && name != Path::new(".lock")
    };
    let after = files::contents(root).into_iter().filter(|(path, _)| is_not_ours(path));
    assert_eq!(after.collect::<Vec<_>>(), before);
}

#[test]
fn a_copy_of_the_folder_of_a_closed_log_is_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    let (root, copy) = (dir.path().join("root"), dir.path().join("copy"));
    let options = WalOptions::new().max_segment_size(500);
    let wal = Wal::open(&root, options.clone()).unwrap();
    for n in 0..50 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    wal.close().unwrap();
    files::copy_tree(&root, &copy);
    let wal = Wal::open(&copy, options).unwrap();
    assert!(wal.recover_all().unwrap().iter().all(ironwal::RecoveryReport::is_clean));
    assert_eq!(wal.iter("s", ..).unwrap().map(Result::unwrap).count(), 50);
    assert_eq!(wal.append("s", "goes on").unwrap(), 50);
}

/// The child of the tests whose limits are those of a process.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    println!();
    let (task, root) = task.split_once(' ').unwrap();
    match task {
        "fsize" => no_room_then_room(Path::new(root), raw(), &FileSizeLimit),
        "fsize-small" => {
            let options = raw().max_segment_size(3_000);
            no_room_then_room(Path::new(root), options, &FileSizeLimit);
        }
        "nofile" => {
            limit_open_files(64);
            many_streams_few_files(Path::new(root), WalOptions::new(), 8);
        }
        "nofile-1" => {
            limit_open_files(96);
            many_streams_few_files(Path::new(root), WalOptions::new().max_open_segments(1), 32);
        }
        _ => panic!("{task}"),
    }
    println!("done");
}

/// So that what is appended takes the room that it seems to.
fn raw() -> WalOptions {
    WalOptions::new().compression(CompressionType::None)
}

fn run_child(task: &str, root: &Path) {
    let task = format!("{task} {}", root.to_str().unwrap());
    let mut process = Process::start("limits::child", &task);
    assert!(process.next("done").is_some(), "the child failed");
    assert!(process.wait().success());
}

/// What takes away room on the disk and gives it back.
trait Room {
    fn take_away(&self, active_segment: &Path);
    fn give_back(&self);
}

/// `RLIMIT_FSIZE`, with its signal ignored.
struct FileSizeLimit;

impl Room for FileSizeLimit {
    fn take_away(&self, active_segment: &Path) {
        let current = Some(files::len(active_segment).next_multiple_of(4096) + 20_000);
        setrlimit(Resource::Fsize, Rlimit { current, ..getrlimit(Resource::Fsize) }).unwrap();
    }

    fn give_back(&self) {
        let limit = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: limit.maximum, ..limit }).unwrap();
    }
}

/// A small file system with a file in it that can grow until it is full.
struct SmallDisk {
    mount_point: PathBuf,
}

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(at);
        let mounted = mount.stdout(Stdio::null()).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self { mount_point: at.to_owned() })
    }

    fn ballast(&self) -> PathBuf {
        self.mount_point.join("ballast")
    }
}

impl Room for SmallDisk {
    fn take_away(&self, _active_segment: &Path) {
        let disk = rustix::fs::statvfs(&self.mount_point).unwrap();
        let block_count = usize::try_from(disk.f_bavail - 5).unwrap();
        let block_len = usize::try_from(disk.f_frsize).unwrap();
        files::write(&self.ballast(), &vec![1; block_count * block_len]);
    }

    fn give_back(&self) {
        // Not removed: a process that is just being started elsewhere may hold a copy of the handle.
        files::write(&self.ballast(), b"");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.mount_point).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || thread::panicking());
    }
}

/// Large appends fail, small ones go on while they can, and when there is room again all do: what
/// failed is nowhere, and numbers are dense.
fn no_room_then_room(root: &Path, options: WalOptions, room: &impl Room) {
    let wal = Wal::open(root, options).unwrap();
    let stream = wal.stream("s").unwrap();
    let mut expected = Vec::new();
    let append = |entry: Vec<u8>, expected: &mut Vec<Vec<u8>>| {
        assert_eq!(stream.append(&entry).unwrap(), expected.len() as u64);
        expected.push(entry);
    };
    for n in 0..20 {
        append(vec![n; 100], &mut expected);
    }
    for round in 0..3 {
        room.take_away(files::segments(&root.join("s")).last().unwrap());
        for _ in 0..2 {
            for error in [
                stream.append(vec![0xEE; 400_000]).unwrap_err(),
                stream.append_batch(vec![[0xEE; 4_000]; 100]).unwrap_err(),
            ] {
                assert!(error.io_error().is_some(), "{error:?}");
                assert_eq!(error.outcome(), Outcome::NotWritten, "{error}");
                assert!(!error.is_fenced(), "{error}");
            }
            assert_eq!(stream.next_seq().unwrap(), expected.len() as u64);
            append(vec![round; 50], &mut expected);
        }
        room.give_back();
        append(vec![round; 200_000 / (usize::from(round) + 1)], &mut expected);
        append(vec![round; 10], &mut expected);
        let found: Vec<_> = stream.iter(..).unwrap().map(|entry| entry.unwrap().data).collect();
        assert!(found == expected, "round {round}");
    }
    let state = expected.iter().map(|entry| format!("{} {}\n", entry.len(), entry[0]));
    files::write(&root.with_extension("expected"), state.collect::<String>().as_bytes());
}

/// Opens the log of [`no_room_then_room`] again.
fn check_after_no_room(root: &Path) {
    let expected = String::from_utf8(files::read(&root.with_extension("expected"))).unwrap();
    let wal = Wal::open(root, WalOptions::new()).unwrap();
    let found = wal.iter("s", ..).unwrap().map(|entry| {
        let data = entry.unwrap().data;
        assert!(data.iter().all(|byte| *byte == data[0] && *byte != 0xEE));
        format!("{} {}\n", data.len(), data[0])
    });
    assert_eq!(found.collect::<String>(), expected);
    assert!(wal.recovery_reports().iter().all(|report| report.damage.is_empty()));
}

#[test]
fn an_append_past_the_largest_file_that_is_allowed_fails_alone_and_never_shows_up() {
    for task in ["fsize", "fsize-small"] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        run_child(task, &root);
        check_after_no_room(&root);
    }
}

#[test]
fn an_append_on_a_full_disk_fails_alone_and_never_shows_up() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        println!("skipped: this process may not mount a tmpfs");
        return;
    };
    for (name, size) in [("large", 1 << 20), ("small", 3_000)] {
        let root = dir.path().join(name);
        let options = raw().max_segment_size(size);
        no_room_then_room(&root, options, &disk);
        check_after_no_room(&root);
    }
}

fn limit_open_files(count: u64) {
    let limit = Rlimit { current: Some(count), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// More streams than files may be open, and threads that all want some at once. Each thread may have
/// two open on top of the budget.
fn many_streams_few_files(root: &Path, options: WalOptions, writer_count: u64) {
    const STREAM_COUNT: u64 = 300;
    const APPEND_COUNT: u64 = 1_024;
    let wal = Wal::open(root, options.max_segment_size(400)).unwrap();
    thread::scope(|scope| {
        for writer in 0..writer_count {
            let wal = &wal;
            scope.spawn(move || {
                for n in 0..APPEND_COUNT / writer_count {
                    let key = format!("stream {}", (writer * 37 + n * 11) % STREAM_COUNT);
                    let entry = format!("{writer} {n} {}", "x".repeat(60));
                    let seq = wal.append(&key, &entry).unwrap();
                    assert_eq!(wal.get(&key, seq).unwrap().unwrap(), entry.as_bytes());
                    for entry in wal.iter(&key, ..).unwrap() {
                        assert_eq!(entry.unwrap().data.len() / 10, 6);
                    }
                }
            });
        }
    });
    let count_all = |wal: &Wal| -> usize {
        let keys = wal.streams().unwrap();
        keys.iter().map(|key| wal.iter(key, ..).unwrap().map(Result::unwrap).count()).sum()
    };
    assert_eq!(count_all(&wal) as u64, APPEND_COUNT);
    wal.close().unwrap();
    let wal = Wal::open(root, WalOptions::new()).unwrap();
    wal.recover_all().unwrap();
    assert_eq!(count_all(&wal) as u64, APPEND_COUNT);
}

#[test]
fn few_open_files_are_enough_for_many_streams_and_threads() {
    for task in ["nofile", "nofile-1"] {
        let dir = tempfile::tempdir().unwrap();
        run_child(task, &dir.path().join("root"));
    }
}
