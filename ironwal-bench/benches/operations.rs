//! What every user of the log does, by criterion: it remembers the last run, and draws plots.
//!
//! `cargo bench -p ironwal-bench --bench operations [-- NAME]`; the plots are in `target/criterion/report`.
//! Single appends stand beside the machine's own limit: a `pwrite` and a `fdatasync` for each entry, on a
//! file that grows and on one whose space was reserved.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use ironwal::{Result, Stream, SyncMode, Wal, WalOptions};
use ironwal_bench::compare::Request;
use ironwal_bench::{ENTRY_LEN, TempLog, mix, process, share};
use rustix::fs::{FallocateFlags, fallocate};

/// Header, entry, padding: what one entry takes on disk.
const FRAME_LEN: usize = 32 + ENTRY_LEN;

const ENTRY: [u8; ENTRY_LEN] = [b'x'; ENTRY_LEN];

criterion_group!(benches, append, batch, group_commit, many_streams, get, iterate, open);
criterion_main!(benches);

fn append(criterion: &mut Criterion) {
    let mut group = of_entries(criterion, "append 128 bytes", 1);
    for (name, mode) in [("Strict", SyncMode::Strict), ("Async", SyncMode::Async)] {
        let log = TempLog::with(WalOptions::new().sync_mode(mode)).expect("a log");
        let stream = log.wal().stream("bench").expect("a stream");
        group.bench_function(name, |bencher| {
            bencher.iter(|| stream.append(ENTRY).expect("an append"));
        });
    }
    for (name, reserved_len) in
        [("pwrite + fdatasync, growing", 0), ("pwrite + fdatasync, reserved", 64 << 20)]
    {
        let file: File = tempfile::tempfile().expect("a file");
        if reserved_len > 0 {
            fallocate(&file, FallocateFlags::empty(), 0, reserved_len).expect("space");
        }
        let mut offset = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                file.write_all_at(&[b'x'; FRAME_LEN], offset).expect("a write");
                file.sync_data().expect("a sync");
                offset += FRAME_LEN as u64;
            });
        });
    }
    group.finish();
}

fn batch(criterion: &mut Criterion) {
    let log = TempLog::new().expect("a log");
    let stream = log.wal().stream("bench").expect("a stream");
    let mut group = of_entries(criterion, "append a batch of 100 x 128 bytes", 100);
    group.bench_function("Strict", |bencher| {
        bencher.iter(|| stream.append_batch([ENTRY; 100]).expect("an append"));
    });
    group.finish();
}

/// Threads that append to one stream share syncs.
fn group_commit(criterion: &mut Criterion) {
    let log = TempLog::new().expect("a log");
    let stream = log.wal().stream("bench").expect("a stream");
    let mut group = of_entries(criterion, "group commit of 128 bytes, Strict, 1 stream", 1);
    for thread_count in [2, 4, 16, 64] {
        group.bench_function(format!("{thread_count} threads"), |bencher| {
            bencher.iter_custom(|count| {
                together(thread_count, count, |_| stream.append(ENTRY).map(drop))
            });
        });
    }
    group.finish();
}

/// Threads that append to streams drawn at random hardly ever meet at one.
fn many_streams(criterion: &mut Criterion) {
    const THREAD_COUNT: u64 = 16;
    let stream_count = Request::from_args().scale().pick(1_024, 16);
    let log = TempLog::new().expect("a log");
    let streams: Vec<Stream> = (0..stream_count)
        .map(|number| log.wal().stream(&format!("bench-{number}")).expect("a stream"))
        .collect();
    share(THREAD_COUNT, stream_count, |thread, _| {
        let own = streams.iter().zip(0..).filter(|(_, n)| n % THREAD_COUNT == thread);
        own.map(|(stream, _)| stream).try_for_each(|stream| stream.append(ENTRY).map(drop))
    })
    .expect("the files are there");
    let mut group = of_entries(criterion, "append 128 bytes to many streams, Strict", 1);
    group.bench_function(format!("{THREAD_COUNT} threads, {stream_count} streams"), |bencher| {
        bencher.iter_custom(|count| {
            together(THREAD_COUNT, count, |turn| {
                let drawn = usize::try_from(mix(turn) % stream_count).expect("64 bits");
                streams.get(drawn).expect("one of them").append(ENTRY).map(drop)
            })
        });
    });
    group.finish();
}

fn get(criterion: &mut Criterion) {
    let (log, count) = filled();
    let stream = log.wal().stream("bench").expect("a stream");
    let mut group = of_entries(criterion, "get 128 bytes", 1);
    let half = count / 2;
    for (name, first) in [("sealed segment, random", 0), ("active segment, random", half)] {
        let mut turn = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                turn += 1;
                black_box(stream.get(first + mix(turn) % half).expect("an entry"))
            });
        });
    }
    for (name, seq) in [("active segment, first", half), ("active segment, last", count - 1)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(stream.get(seq).expect("an entry")));
        });
    }
    group.finish();
}

fn iterate(criterion: &mut Criterion) {
    let (log, count) = filled();
    let stream = log.wal().stream("bench").expect("a stream");
    let mut group = of_entries(criterion, "iterate over 128 bytes", count);
    group.bench_function("all segments", |bencher| {
        bencher.iter(|| {
            let entries = stream.iter(..).expect("an iterator");
            entries.map(|entry| entry.expect("an entry").data.len()).sum::<usize>()
        });
    });
    group.finish();
}

/// Until the first append has returned: what recovery takes, and what it does not where a log was closed.
fn open(criterion: &mut Criterion) {
    let options = || WalOptions::new().sync_mode(SyncMode::Async);
    let (log, count) = filled();
    let mut group =
        criterion.benchmark_group(format!("open {count} entries, until the first append"));
    // Most of the time goes by between the iterations, where the root is copied.
    group.sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_millis(500));
    for (name, is_closed) in [("killed", false), ("closed", true)] {
        if is_closed {
            log.wal().close().expect("a log that is closed");
        }
        group.bench_function(name, |bencher| {
            let left = || {
                // While it is open, what is there is what a killed process leaves.
                let root = log.copy_root().expect("a copy");
                process::settle(root.path()).expect("a file system that is quiet");
                root
            };
            let open = |root: tempfile::TempDir| {
                let wal = Wal::open(root.path(), options()).expect("a log");
                wal.append("bench", ENTRY).expect("an append");
                // Closed and removed when the clock has stopped.
                (wal, root)
            };
            bencher.iter_batched(left, open, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn of_entries<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    entry_count: u64,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(entry_count)).sample_size(20);
    group
}

/// A log with a stream of so many entries: half of them in a segment that was ended, half in the one that
/// is appended to.
fn filled() -> (TempLog, u64) {
    let half = Request::from_args().scale().pick(100_000, 1_000);
    let log = TempLog::with(WalOptions::new().sync_mode(SyncMode::Async)).expect("a log");
    let stream = log.wal().stream("bench").expect("a stream");
    let fill = || (0..half).try_for_each(|_| stream.append(ENTRY).map(drop));
    fill().expect("entries");
    stream.rotate().expect("another segment");
    fill().expect("entries");
    (log, 2 * half)
}

/// How long `count` calls take that are shared by so many threads; each is told a number of its own.
fn together(thread_count: u64, count: u64, run: impl Fn(u64) -> Result<()> + Sync) -> Duration {
    let begun = Instant::now();
    share(thread_count, count, |thread, share| {
        (0..share).try_for_each(|turn| run(thread << 32 | turn))
    })
    .expect("appends");
    begun.elapsed()
}
