//! Appending and getting: what every user of the log does.
//!
//! `cargo bench -p ironwal-bench`. The appends stand beside the machine's own limit: a `pwrite` and a
//! `fdatasync` for each entry, on a file that grows and on one whose space was reserved.
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ironwal_bench::compare::Request;
use ironwal_bench::{ENTRY_LEN, TempLog};
use rustix::fs::{FallocateFlags, fallocate};

/// Header, entry, padding: what one entry takes on disk.
const FRAME_LEN: usize = 32 + ENTRY_LEN;

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append 128 bytes, durable");
    group.throughput(Throughput::Elements(1)).sample_size(30);
    let log = TempLog::new().expect("a log");
    let stream = log.wal().stream("bench").expect("a stream");
    group.bench_function("ironwal, 1 thread", |bencher| {
        bencher.iter(|| stream.append([b'x'; ENTRY_LEN]).expect("an append"));
    });
    group.bench_function("ironwal, 16 threads", |bencher| {
        bencher.iter_custom(|count| together(16, count, || stream.append([b'x'; ENTRY_LEN])));
    });
    for (name, reserved_len) in
        [("pwrite + fdatasync, growing", 0), ("pwrite + fdatasync, reserved", 64 << 20)]
    {
        let file: File = tempfile::tempfile_in(log.root()).expect("a file");
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

    let mut group = criterion.benchmark_group("append a batch of 100 x 128 bytes, durable");
    group.throughput(Throughput::Elements(100)).sample_size(30);
    let batch = [[b'x'; ENTRY_LEN]; 100];
    group.bench_function("ironwal, 1 thread", |bencher| {
        bencher.iter(|| stream.append_batch(batch).expect("an append"));
    });
    group.finish();
}

/// How long `count` calls take that are shared by so many threads.
fn together<R>(threads: u64, count: u64, run: impl Fn() -> ironwal::Result<R> + Sync) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let share = count / threads + u64::from(thread < count % threads);
            let run = &run;
            scope.spawn(move || (0..share).for_each(|_| drop(run().expect("an append"))));
        }
    });
    begun.elapsed()
}

fn get(criterion: &mut Criterion) {
    let count = Request::from_args().scale().pick(200_000, 2_000);
    let log = TempLog::new().expect("a log");
    let stream = log.filled_one_by_one("bench", count).expect("entries");
    let mut group = criterion.benchmark_group("get 128 bytes");
    group.throughput(Throughput::Elements(1));
    let mut seq = 0;
    group.bench_function("active segment, random", |bencher| {
        bencher.iter(|| {
            // A step that is prime to the count visits all entries, far from one another.
            seq = (seq + 78_121) % count;
            black_box(stream.get(seq).expect("an entry"))
        });
    });
    for (name, seq) in [("active segment, first", 0), ("active segment, last", count - 1)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(stream.get(seq).expect("an entry")));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("iterate over 128 bytes");
    group.throughput(Throughput::Elements(count)).sample_size(20);
    group.bench_function("active segment", |bencher| {
        bencher.iter(|| {
            stream
                .iter(..)
                .expect("an iterator")
                .map(|e| e.expect("an entry").data.len())
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, append, get);
criterion_main!(benches);
