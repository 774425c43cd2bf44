//! A log of very many streams: how long things take, and what they leave in memory and open.
//!
//! ```text
//! cargo run --release -p ironwal-bench --bin many_streams [COUNT [OPEN [DIR]]]
//! ```
//!
//! There are 10,000 streams unless COUNT says otherwise. OPEN is how many segments the log may hold open
//! while no call uses them, `default` for what it does by itself: beyond that, appending to streams in
//! turn costs a sync for each that is closed to make room. The log is in a temporary directory, or in
//! DIR, which has to be empty and is kept.
//!
//! Handles are all that the process has open; idle ones those of segments that no call uses.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program that reports to people")]

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ironwal::{SyncMode, Wal, WalOptions};
use ironwal_bench::process::{open_handle_count, resident_len};
use ironwal_bench::{ENTRY_LEN, share};

const THREAD_COUNT: u64 = 16;

/// How many entries each stream gets when it is made.
const FIRST_BATCH_LEN: usize = 10;

/// How many streams are used by a program that needs but a few.
const FEW: u64 = 100;

fn main() -> io::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let count = args.next().map_or(Some(10_000), |arg| arg.to_str()?.parse().ok());
    let open = args.next().filter(|arg| arg != "default");
    let open = open.map_or(Some(None), |arg| arg.to_str()?.parse().ok().map(Some));
    let (Some(count), Some(open)) = (count, open) else {
        return Err(io::Error::other("usage: many_streams [COUNT [OPEN [DIR]]]"));
    };
    let options = open.map_or_else(WalOptions::new, |n| WalOptions::new().max_open_segments(n));
    let in_passing = tempfile::tempdir()?;
    let root = args.next().map_or(in_passing.path().to_path_buf(), PathBuf::from);
    println!("{count} streams in {}", root.display());
    println!(
        "{:<44} {:>10} {:>12} {:>10} {:>8} {:>8} {:>8}",
        "", "seconds", "us each", "RSS MiB", "handles", "idle", "mapped"
    );
    run(&root, count, &options)?;
    in_passing.close()
}

fn run(root: &Path, count: u64, options: &WalOptions) -> io::Result<()> {
    let few = FEW.min(count);
    let strict = || options.clone();
    let lazy = strict().sync_mode(SyncMode::Async);

    row("at the start", 1, None, || Ok(()))?;
    let wal = Wal::open(root, strict())?;
    if !wal.streams()?.is_empty() {
        return Err(io::Error::other("there are streams already: choose an empty directory"));
    }
    row("made, a batch of 10 each, 16 threads", count, Some(&wal), || {
        each(count, THREAD_COUNT, |key| {
            wal.append_batch(key, [[b'x'; ENTRY_LEN]; FIRST_BATCH_LEN]).map(drop)
        })
    })?;
    row("closed", count, Some(&wal), || wal.close())?;
    drop(wal);

    let wal = opened("opened, Strict", root, strict())?;
    row("keys listed", count, Some(&wal), || wal.streams().map(drop))?;
    row("appended to 100 of them, 1 thread", few, Some(&wal), || {
        each(few, 1, |key| wal.append(key, [b'x'; ENTRY_LEN]).map(drop))
    })?;
    let mut unclean_count = 0;
    row("recover_all", count, Some(&wal), || {
        unclean_count = wal.recover_all()?.iter().filter(|report| !report.is_clean()).count();
        Ok(())
    })?;
    if unclean_count > 0 {
        return Err(io::Error::other(format!("{unclean_count} streams are not clean")));
    }
    for (name, threads) in [("1 thread", 1), ("16 threads", THREAD_COUNT)] {
        row(&format!("appended to each, Strict, {name}"), count, Some(&wal), || {
            each(count, threads, |key| wal.append(key, [b'x'; ENTRY_LEN]).map(drop))
        })?;
    }
    row("got one of each, 1 thread", count, Some(&wal), || {
        each(count, 1, |key| wal.get(key, 5).map(drop))
    })?;
    row("closed", count, Some(&wal), || wal.close())?;
    drop(wal);

    let wal = opened("opened, Async", root, lazy)?;
    for turn in ["first", "second", "third"] {
        row(&format!("appended to each, Async, 1 thread, {turn}"), count, Some(&wal), || {
            each(count, 1, |key| wal.append(key, [b'x'; ENTRY_LEN]).map(drop))
        })?;
    }
    row("synced", count, Some(&wal), || wal.sync())?;
    row("closed", count, Some(&wal), || wal.close())?;
    drop(wal);

    let wal = opened("opened again", root, strict())?;
    row("recover_all", count, Some(&wal), || wal.recover_all().map(drop))?;
    row("closed", count, Some(&wal), || wal.close())
}

/// Does something with each stream, shared by so many threads.
fn each(
    count: u64,
    thread_count: u64,
    run: impl Fn(&str) -> ironwal::Result<()> + Sync,
) -> ironwal::Result<()> {
    share(thread_count, count, |thread, share| {
        for n in 0..share {
            run(&format!("stream/{:06}", n * thread_count + thread))?;
        }
        Ok(())
    })
}

/// Takes a step for `count` streams, and tells what it took.
fn row(
    name: &str,
    count: u64,
    wal: Option<&Wal>,
    step: impl FnOnce() -> ironwal::Result<()>,
) -> io::Result<()> {
    let begun = Instant::now();
    step()?;
    let elapsed = begun.elapsed();
    let nanos = elapsed.as_nanos() / u128::from(count.max(1));
    let tenths = (resident_len()? * 10) >> 20;
    println!(
        "{name:<44} {:>10.3} {:>9}.{:02} {:>8}.{} {:>8} {:>8} {:>8}",
        elapsed.as_secs_f64(),
        nanos / 1000,
        nanos % 1000 / 10,
        tenths / 10,
        tenths % 10,
        open_handle_count()?,
        wal.map_or(0, |wal| wal.stats().open_segment_count),
        wal.map_or(0, |wal| wal.stats().mapped_segment_count),
    );
    Ok(())
}

/// As [`row`], for the opening of a log.
fn opened(name: &str, root: &Path, options: WalOptions) -> io::Result<Wal> {
    let mut wal = None;
    row(name, 1, None, || {
        wal = Some(Wal::open(root, options)?);
        Ok(())
    })?;
    wal.ok_or_else(|| io::Error::other("the step was taken"))
}
