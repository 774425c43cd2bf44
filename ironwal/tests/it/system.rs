//! What the operating system may put in the way: little address space, no threads, files that may not grow,
//! a disk that may only be read, and files that are cut by strangers.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use ironwal::{CompressionType, Outcome, ReadStrategy, SyncMode, Wal, WalOptions};
use ironwal::{ReaderOptions, WalReader};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::files;
use crate::kill::{Process, TASK};

const SIGBUS: i32 = 7;

/// Not a test but the child of the tests here.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    println!();
    let (task, root) = task.split_once(' ').unwrap();
    let root = Path::new(root);
    match task {
        "address-space" => little_address_space(root),
        "no-thread" => no_thread_to_be_had(root),
        "file-size" => one_stream_may_not_grow(root),
        "cut-map" => read_what_a_stranger_cut(root, ReadStrategy::Mmap),
        "cut-io" => read_what_a_stranger_cut(root, ReadStrategy::StandardIo),
        _ => panic!("{task}"),
    }
    println!("done");
}

fn start(task: &str, root: &Path) -> Process {
    Process::start("system::child", &format!("{task} {}", root.to_str().unwrap()))
}

fn run_child(task: &str, root: &Path) {
    let mut process = start(task, root);
    assert!(process.next("done").is_some(), "{task}: the child failed");
    assert!(process.wait().success());
}

const LARGE_LEN: usize = 100_000;

fn large(n: u64) -> Vec<u8> {
    let mut entry = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes().repeat(LARGE_LEN / 8);
    entry[..8].copy_from_slice(&n.to_le_bytes());
    entry
}

fn segments_of_a_mebibyte() -> WalOptions {
    let options = WalOptions::new().max_segment_size(1 << 20).sync_mode(SyncMode::Async);
    options.compression(CompressionType::None)
}

/// How many bytes of address space this process has in use.
fn address_space() -> u64 {
    let pages = String::from_utf8(files::read(Path::new("/proc/self/statm"))).unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * 4096
}

/// There is address space for a part of the log only: neither recovery nor reading needs more.
fn little_address_space(root: &Path) {
    const COUNT: u64 = 1_200;
    limit_address_space(40 << 20);
    for strategy in [ReadStrategy::StandardIo, ReadStrategy::Mmap] {
        // So that all of it is scanned.
        files::remove(&root.join("s/segments.idx"));
        let wal = Wal::open(root, segments_of_a_mebibyte().read_strategy(strategy)).unwrap();
        let reports = wal.recover_all().unwrap();
        let report = reports.iter().find(|report| report.stream == "s").unwrap();
        assert_eq!(report.next_seq, COUNT, "{report:?}");
        assert!(report.segment_count > 100 && report.damage.is_empty(), "{report:?}");
        for (seq, entry) in (0..).zip(wal.iter("s", ..).unwrap()) {
            assert!(entry.unwrap().data == large(seq), "{strategy:?} {seq}");
        }
        for seq in (0..COUNT).step_by(100) {
            assert!(wal.get("s", seq).unwrap().unwrap() == large(seq), "{strategy:?} {seq}");
        }
        wal.append("other", large(0)).unwrap();
        println!("{strategy:?}: {} segments are mapped", wal.stats().mapped_segment_count);
        wal.close().unwrap();
    }
}

#[test]
fn a_log_larger_than_the_address_space_is_recovered_read_and_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let wal = Wal::open(&root, segments_of_a_mebibyte()).unwrap();
    for n in 0..1_200 {
        wal.append("s", large(n)).unwrap();
    }
    wal.close().unwrap();
    run_child("address-space", &root);
}

fn limit_address_space(more: u64) {
    let current = Some(address_space() + more);
    setrlimit(Resource::As, Rlimit { current, ..getrlimit(Resource::As) }).unwrap();
}

/// No stack of another thread fits into what is left: what is done side by side is done by whoever calls.
fn no_thread_to_be_had(root: &Path) {
    limit_address_space(1 << 20);
    assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "there is room for a thread");
    for dropped in [false, true] {
        let wal = Wal::open(root, WalOptions::new().sync_mode(SyncMode::Async)).unwrap();
        assert_eq!(wal.recover_all().unwrap().len(), 20);
        for n in 0..20 {
            wal.append(&format!("s{n}"), "more").unwrap();
        }
        wal.sync().unwrap();
        for n in 0..20 {
            wal.append(&format!("s{n}"), "more").unwrap();
        }
        if !dropped {
            wal.close().unwrap();
        }
    }
}

#[test]
fn where_no_thread_can_be_started_the_caller_does_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let wal = Wal::open(&root, WalOptions::new()).unwrap();
    for n in 0..20 {
        wal.append(&format!("s{n}"), "first").unwrap();
    }
    wal.close().unwrap();
    run_child("no-thread", &root);
    let wal = Wal::open(&root, WalOptions::new()).unwrap();
    let reports = wal.recover_all().unwrap();
    assert!(reports.iter().all(|report| report.is_clean() && report.next_seq == 5), "{reports:?}");
}

/// The limit is that of one file: what it stops in one stream must not stop any other.
fn one_stream_may_not_grow(root: &Path) {
    let wal = Wal::open(root, segments_of_a_mebibyte().sync_mode(SyncMode::Strict)).unwrap();
    wal.append("grown", large(0)).unwrap();
    wal.append("small", "x").unwrap();
    let limit = getrlimit(Resource::Fsize);
    let current = Some(LARGE_LEN as u64 * 3 / 2);
    setrlimit(Resource::Fsize, Rlimit { current, ..limit }).unwrap();
    for (n, key) in (1..).zip(["small", "new"]) {
        let error = wal.append("grown", large(9)).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotWritten, "{error}");
        assert_eq!(error.io_error().unwrap().raw_os_error(), Some(27), "{error}: EFBIG");
        assert!(!error.is_fenced() && !error.is_damage(), "{error}");
        wal.append(key, large(n)).unwrap();
        assert_eq!(wal.append("grown", "little").unwrap(), n);
    }
    setrlimit(Resource::Fsize, Rlimit { current: limit.maximum, ..limit }).unwrap();
    assert_eq!(wal.append("grown", large(3)).unwrap(), 3);
    wal.close().unwrap();
}

#[test]
fn a_file_that_may_not_grow_stops_its_stream_alone_and_for_what_is_too_large_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    run_child("file-size", &root);
    let wal = Wal::open(&root, segments_of_a_mebibyte()).unwrap();
    let read = |key| -> Vec<_> { wal.iter(key, ..).unwrap().map(|e| e.unwrap().data).collect() };
    assert_eq!(read("grown"), [&large(0)[..], b"little", b"little", &large(3)]);
    assert_eq!(read("small"), [&b"x"[..], &large(1)]);
    assert_eq!(read("new"), [&large(2)[..]]);
    assert!(wal.recovery_reports().iter().all(ironwal::RecoveryReport::is_clean));
}

/// A tmpfs, unmounted when it is dropped.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    /// `None` where this process may not mount one.
    fn mount(at: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(at).output();
        output.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", how]).arg(self.0).status();
        assert!(status.unwrap().success(), "{how}");
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.0).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_log_on_a_disk_that_may_only_be_read_is_read_and_not_opened_for_writing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Tmpfs::mount(dir.path()) else {
        // Past what the test harness keeps to itself.
        let why = "skipped: a log on a read-only disk: this process may not mount a tmpfs";
        writeln!(std::io::stderr(), "{why}").unwrap();
        return;
    };
    let root = dir.path().join("root");
    let wal = Wal::open(&root, WalOptions::new().max_segment_size(300)).unwrap();
    for n in 0..20 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    wal.close().unwrap();
    // What an opening would mend: an end that is torn, an index that is lost, a deletion to finish.
    let last = files::segments(&root.join("s")).pop().unwrap();
    let torn = files::read(&last);
    files::write(&last, &[&torn[..], &[0xEE; 50]].concat());
    files::remove(&root.join("s/segments.idx"));
    files::copy_tree(&root.join("s"), &root.join(".trash-0000000000000000"));
    let before = files::contents(&root);
    disk.remount("remount,ro");
    for path in [root.clone(), dir.path().join("new")] {
        let error = Wal::open(&path, WalOptions::new()).unwrap_err();
        let kind = error.io_error().map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::ReadOnlyFilesystem), "{error}");
        assert!(!error.is_locked() && !error.is_damage(), "{error}");
    }
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        let options = ReaderOptions::new().read_strategy(strategy);
        let reader = WalReader::open_with(&root, options).unwrap();
        assert_eq!(reader.streams().unwrap(), ["s"]);
        let found = reader.iter("s", ..).unwrap().map(|entry| entry.unwrap().data);
        let expected: Vec<_> = (0..20).map(|n| format!("entry {n}")).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert!(reader.verify("s").unwrap().is_some());
    }
    assert!(files::contents(&root) == before, "reading changed something");
    disk.remount("remount,rw");
    let wal = Wal::open(&root, WalOptions::new()).unwrap();
    assert_eq!(wal.append("s", "goes on").unwrap(), 20);
}

/// Reads a segment, has it cut, as by a stranger, and reads it again.
fn read_what_a_stranger_cut(root: &Path, strategy: ReadStrategy) {
    let wal = Wal::open(root, segments_of_a_mebibyte().read_strategy(strategy)).unwrap();
    for seq in 0..5 {
        assert!(wal.get("s", seq).unwrap().unwrap() == large(seq));
    }
    let segment = files::segments(&root.join("s")).remove(0);
    files::set_len(&segment, LARGE_LEN as u64 * 3 / 2);
    assert!(wal.get("s", 0).unwrap().unwrap() == large(0));
    println!("cut");
    for seq in 1..5 {
        match wal.get("s", seq) {
            Ok(entry) => panic!("{seq} is there: {:?}", entry.map(|entry| entry.len())),
            Err(error) => assert!(error.is_damage() || error.io_error().is_some(), "{error}"),
        }
    }
}

#[test]
fn a_segment_that_a_stranger_cuts_is_an_error_and_ends_the_process_if_it_is_mapped() {
    for task in ["cut-map", "cut-io"] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let wal = Wal::open(&root, segments_of_a_mebibyte()).unwrap();
        for n in 0..20 {
            wal.append("s", large(n)).unwrap();
        }
        wal.close().unwrap();
        let mut process = start(task, &root);
        assert!(process.next("cut").is_some(), "{task}");
        let is_done = process.next("done").is_some();
        let status = process.wait();
        if task == "cut-map" {
            assert_eq!(status.signal(), Some(SIGBUS), "{status}");
        } else {
            assert!(is_done && status.success(), "{status}");
        }
    }
}
