//! Ten thousand streams in a process that may open 256 files: handles, memory, and what opening reads.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ironwal::{SyncMode, Wal, WalOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::files;
use crate::hooked::{self, Call, Counter};
use crate::kill::{Process, TASK};

const STREAM_COUNT: u64 = 10_000;

const THREAD_COUNT: u64 = 16;

const NOFILE: u64 = 256;

/// A quarter of the limit, by the options' documentation.
const BUDGET: usize = 64;

/// What an idle stream may cost: twice what was measured, and more.
const MAX_IDLE_STREAM_LEN: u64 = 6_000;

fn key(n: u64) -> String {
    format!("tenant/{n}")
}

fn entry(n: u64, seq: u64) -> String {
    format!("entry {seq} of {n}")
}

fn open_file_count() -> usize {
    // The one that lists is among them.
    files::list(Path::new("/proc/self/fd")).len() - 1
}

/// The memory of this process, in bytes.
fn memory_len() -> u64 {
    let status = String::from_utf8(files::read(Path::new("/proc/self/status"))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}

/// Runs something for all numbers below `count`, in this order, by several threads.
fn for_all(count: u64, run: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREAD_COUNT {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    run(n);
                }
            });
        }
    });
}

/// Not a test but the child of the test here.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    println!();
    let (task, root) = task.split_once(' ').unwrap();
    let root = Path::new(root);
    let limit = Rlimit { current: Some(NOFILE), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    match task {
        "make" => round_robin(root, SyncMode::Strict, 0..1),
        "use" => use_some(root),
        "async" => round_robin(root, SyncMode::Async, 1..3),
        "strict" => round_robin(root, SyncMode::Strict, 3..4),
        "check" => check(root),
        _ => panic!("{task}"),
    }
    println!("done");
}

fn round_robin(root: &Path, mode: SyncMode, seqs: std::ops::Range<u64>) {
    let idle = open_file_count();
    let wal = Wal::open(root, WalOptions::new().sync_mode(mode)).unwrap();
    for seq in seqs {
        for_all(STREAM_COUNT, |n| assert_eq!(wal.append(&key(n), entry(n, seq)).unwrap(), seq));
        let stats = wal.stats();
        assert_eq!(stats.used_stream_count as u64, STREAM_COUNT);
        assert!(stats.open_segment_count <= BUDGET, "{stats:?}");
        // The root and the lock.
        assert!(open_file_count() <= idle + BUDGET + 2, "{} files", open_file_count());
    }
    wal.close().unwrap();
    assert_eq!(open_file_count(), idle + 1, "the root");
    drop(wal);
    assert_eq!(open_file_count(), idle);
}

/// Opens the root, then all streams, then uses a hundred; looks at calls, memory and handles.
fn use_some(root: &Path) {
    let idle_files = open_file_count();
    let before = memory_len();
    let counter = Counter::default();
    let wal = hooked::open(root, WalOptions::new(), counter.hook());
    let calls = counter.take();
    assert!(calls.keys().all(|(_, path)| path.is_empty() || path == ".lock"), "{calls:?}");
    assert_eq!(calls[&(Call::List, String::new())], 1);
    let opened = memory_len();

    let streams: Vec<_> = (0..STREAM_COUNT).map(|n| wal.stream(&key(n)).unwrap()).collect();
    assert_eq!(counter.take_count(), 0, "a handle costs no call");
    let with_handles = memory_len();
    drop(streams);

    for n in (0..STREAM_COUNT).step_by(100) {
        assert_eq!(wal.get(&key(n), 0).unwrap().unwrap(), entry(n, 0));
    }
    let used = |n: u64| key(n).replace('/', "%2F");
    let names: Vec<_> = (0..STREAM_COUNT).step_by(100).map(used).collect();
    let is_used = |path: &str| names.iter().any(|name| path.split('/').next() == Some(name));
    let calls = counter.take();
    assert!(calls.keys().all(|(_, path)| is_used(path)), "only what is used is looked at");
    assert!(open_file_count() <= idle_files + BUDGET + 2);

    let reports = wal.recover_all().unwrap();
    assert_eq!(reports.len() as u64, STREAM_COUNT);
    assert!(reports.iter().all(ironwal::RecoveryReport::is_clean));
    drop(reports);
    assert!(wal.stats().open_segment_count <= BUDGET, "{:?}", wal.stats());
    assert!(open_file_count() <= idle_files + BUDGET + 2, "{} files", open_file_count());
    let recovered = memory_len();
    for _ in 0..3 {
        for n in (0..STREAM_COUNT).step_by(100) {
            assert_eq!(wal.get(&key(n), 0).unwrap().unwrap(), entry(n, 0));
        }
    }
    let read = memory_len();
    assert!(open_file_count() <= idle_files + BUDGET + 2);
    let per_stream = |from: u64, to: u64| to.saturating_sub(from) / STREAM_COUNT;
    println!(
        "memory of each stream: {} opened, {} with a handle, {} recovered, {} with 100 used",
        per_stream(before, opened),
        per_stream(before, with_handles),
        per_stream(before, recovered),
        per_stream(before, read),
    );
    assert!(per_stream(before, opened) < 100);
    assert!(per_stream(before, with_handles) < 1_500);
    assert!(per_stream(before, read) < MAX_IDLE_STREAM_LEN);
    wal.close().unwrap();
}

fn check(root: &Path) {
    let wal = Wal::open(root, WalOptions::new()).unwrap();
    assert!(wal.recover_all().unwrap().iter().all(ironwal::RecoveryReport::is_clean));
    for n in 0..STREAM_COUNT {
        let found: Vec<_> =
            wal.iter(&key(n), ..).unwrap().map(|found| found.unwrap().data).collect();
        assert_eq!(found, (0..4).map(|seq| entry(n, seq)).collect::<Vec<_>>(), "{n}");
    }
    assert!(open_file_count() <= BUDGET + 16);
}

/// Written round robin in two modes, opened, read, and opened again.
#[test]
fn ten_thousand_streams_need_few_handles_little_memory_and_no_read_of_what_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for task in ["make", "use", "async", "strict", "check"] {
        let start = std::time::Instant::now();
        let line = format!("{task} {}", root.to_str().unwrap());
        let mut process = Process::start("many_streams::child", &line);
        if task == "use" {
            let said = process.next("memory of each stream: ").expect("the child failed");
            println!("memory of each stream in bytes: {said}");
        }
        assert!(process.next("done").is_some(), "{task}: the child failed");
        assert!(process.wait().success());
        println!("{task}: {:?}", start.elapsed());
    }
}
