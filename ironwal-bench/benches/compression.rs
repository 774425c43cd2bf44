//! What LZ4 costs and saves, for batches of 100 entries of 128 bytes.
//!
//! `cargo bench -p ironwal-bench --bench compression`. Events are JSON with numbers and a memo of random
//! letters; noise is what LZ4 can do nothing about, and is written raw after it was tried.
#![expect(clippy::print_stdout, reason = "a program that reports to people")]

use std::hint::black_box;
use std::io;

use ironwal::{CompressionType, Stream, SyncMode, WalOptions};
use ironwal_bench::compare::{Contender, Request};
use ironwal_bench::{ENTRY_LEN, TempLog, event, noise};

/// How many entries a batch has.
const BATCH_LEN: u64 = 100;

/// How many different batches are written.
const BATCH_COUNT: u64 = 64;

const APPEND: &str = "append a batch of 100 x 128 bytes";
const ITERATE: &str = "iterate over batches of 100 x 128 bytes, an entry";

const MODES: [(&str, SyncMode); 2] = [("Async", SyncMode::Async), ("Strict", SyncMode::Strict)];

fn main() -> io::Result<()> {
    let request = Request::from_args();
    let events: Vec<Vec<Vec<u8>>> = batches(|number| event(number).into_bytes());
    let noise: Vec<Vec<Vec<u8>>> = batches(|number| noise(number).to_vec());
    for (mode_name, mode) in MODES {
        let logs = [
            Log::new("events, raw", CompressionType::None, mode, &events)?,
            Log::new("events, LZ4", CompressionType::Lz4, mode, &events)?,
            Log::new("noise, raw", CompressionType::None, mode, &noise)?,
            Log::new("noise, LZ4", CompressionType::Lz4, mode, &noise)?,
        ];
        append(&request, &format!("{APPEND}, {mode_name}"), &logs)?;
        if mode == SyncMode::Async {
            iterate(&request, &logs)?;
        }
    }
    Ok(())
}

fn batches(entry: impl Fn(u64) -> Vec<u8>) -> Vec<Vec<Vec<u8>>> {
    let batch = |n: u64| (n * BATCH_LEN..(n + 1) * BATCH_LEN).map(&entry).collect();
    (0..BATCH_COUNT).map(batch).collect()
}

/// A log that is appended to, and what is appended.
struct Log<'a> {
    name: &'static str,
    stream: Stream,
    batches: &'a [Vec<Vec<u8>>],
    /// Removed with it.
    _log: TempLog,
}

impl<'a> Log<'a> {
    fn new(
        name: &'static str,
        compression: CompressionType,
        mode: SyncMode,
        batches: &'a [Vec<Vec<u8>>],
    ) -> io::Result<Self> {
        let log = TempLog::with(WalOptions::new().sync_mode(mode).compression(compression))?;
        Ok(Self { name, stream: log.wal().stream("bench")?, batches, _log: log })
    }
}

fn append(request: &Request, title: &str, logs: &[Log<'_>]) -> io::Result<()> {
    if !request.wants(title) {
        return Ok(());
    }
    let mut contenders = Vec::new();
    for Log { name, stream, batches, .. } in logs {
        let mut batches = batches.iter().cycle();
        contenders.push(Contender::new(*name, move |count| {
            for batch in batches.by_ref().take(usize::try_from(count).unwrap_or(usize::MAX)) {
                stream.append_batch(batch)?;
            }
            Ok(())
        }));
    }
    let round_len = request.scale().pick(80, 2);
    print!("{}", request.compare(title, round_len, &mut contenders)?);
    for Log { name, stream, .. } in logs {
        let counts = stream.stats()?.counts;
        let entries_len = counts.entry_count * ENTRY_LEN as u64;
        let percent = counts.written_len * 100 / entries_len.max(1);
        println!(
            "  {name:<12} {entries_len:>12} bytes of entries took {:>12} on disk: {percent} %",
            counts.written_len
        );
    }
    Ok(())
}

fn iterate(request: &Request, logs: &[Log<'_>]) -> io::Result<()> {
    if !request.wants(ITERATE) {
        return Ok(());
    }
    let mut contenders = Vec::new();
    for Log { name, stream, batches, .. } in logs {
        for batch in *batches {
            stream.append_batch(batch)?;
        }
        contenders.push(Contender::new(*name, move |count| {
            let lens = stream.iter(..count)?.map(|entry| entry.map(|entry| entry.data.len()));
            black_box(lens.sum::<ironwal::Result<usize>>()?);
            Ok(())
        }));
    }
    let round_len = request.scale().pick(BATCH_COUNT * BATCH_LEN, BATCH_LEN);
    print!("{}", request.compare(ITERATE, round_len, &mut contenders)?);
    Ok(())
}
