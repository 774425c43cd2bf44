//! What reading costs, through memory maps and by plain reads, when the files are in memory.
//!
//! `cargo bench -p ironwal-bench --bench reads`. Two logs hold the same entries and are read in turn.
#![expect(clippy::print_stdout, reason = "a program that reports to people")]

use std::hint::black_box;
use std::io;
use std::ops::Range;

use ironwal::{ReadStrategy, Stream, SyncMode, WalOptions};
use ironwal_bench::compare::{Contender, Request, Scale};
use ironwal_bench::{TempLog, event, mix};

/// How long an entry is that has a frame of its own.
const SHORT_LEN: usize = 100;

/// How many entries a batch has.
const BATCH_LEN: u64 = 100;

const GET: &str = "get 1 of 1,000,000 entries of 100 bytes, random";
const GET_MANY: &str = "get 100 consecutive entries of 128 bytes, one LZ4 batch";
const ITERATE: &str = "iterate over entries";

const STRATEGIES: [(&str, ReadStrategy); 2] =
    [("Mmap", ReadStrategy::Mmap), ("StandardIo", ReadStrategy::StandardIo)];

fn main() -> io::Result<()> {
    let request = Request::from_args();
    let mut filled = Vec::new();
    for (name, strategy) in STRATEGIES {
        filled.push(Filled::new(name, strategy, request.scale())?);
    }
    get(&request, &filled)?;
    get_many(&request, &filled)?;
    iterate(&request, &filled)
}

/// A log that is read.
struct Filled {
    name: &'static str,
    /// Each entry has a frame of its own.
    single: Stream,
    /// The first half of them, in a segment that was ended.
    sealed: Range<u64>,
    /// The others, in the segment that is appended to.
    active: Range<u64>,
    /// Batches, as LZ4.
    batches: Stream,
    batch_count: u64,
    /// Removed with it.
    _log: TempLog,
}

impl Filled {
    fn new(name: &'static str, strategy: ReadStrategy, scale: Scale) -> io::Result<Self> {
        let options = WalOptions::new().sync_mode(SyncMode::Async).max_segment_size(256 << 20);
        let log = TempLog::with(options.read_strategy(strategy))?;
        let (half, batch_count) = (scale.pick(500_000, 500), scale.pick(2_000, 20));
        let single = log.wal().stream("single")?;
        for seq in 0..2 * half {
            if seq == half {
                single.rotate()?;
            }
            single.append([b'x'; SHORT_LEN])?;
        }
        let batches = log.wal().stream("batches")?;
        for batch in 0..batch_count {
            let first = batch * BATCH_LEN;
            batches.append_batch((first..first + BATCH_LEN).map(event))?;
        }
        log.wal().sync()?;
        let (sealed, active) = (0..half, half..2 * half);
        let filled = Self { name, single, sealed, active, batches, batch_count, _log: log };
        filled.warm()?;
        Ok(filled)
    }

    /// Reads everything once.
    fn warm(&self) -> io::Result<()> {
        for stream in [&self.single, &self.batches] {
            iterate_over(stream, u64::MAX)?;
        }
        Ok(())
    }
}

fn get(request: &Request, filled: &[Filled]) -> io::Result<()> {
    if !request.wants(GET) {
        return Ok(());
    }
    let mut contenders = Vec::new();
    for Filled { name, single, sealed, active, .. } in filled {
        for (place, range) in [("sealed", sealed), ("active", active)] {
            let mut drawn = 0;
            contenders.push(Contender::new(format!("{name}, {place} segment"), move |count| {
                for _ in 0..count {
                    drawn += 1;
                    let seq = range.start + mix(drawn) % (range.end - range.start);
                    black_box(single.get(seq)?.ok_or(io::ErrorKind::NotFound)?);
                }
                Ok(())
            }));
        }
    }
    let round_len = request.scale().pick(40_000, 100);
    print!("{}", request.compare(GET, round_len, &mut contenders)?);
    Ok(())
}

fn get_many(request: &Request, filled: &[Filled]) -> io::Result<()> {
    if !request.wants(GET_MANY) {
        return Ok(());
    }
    let mut contenders = Vec::new();
    for Filled { name, batches, batch_count, .. } in filled {
        let mut drawn = 0;
        let mut draw = move || {
            drawn += 1;
            let first = mix(drawn) % batch_count * BATCH_LEN;
            first..first + BATCH_LEN
        };
        contenders.push(Contender::new(format!("{name}, get_many"), move |count| {
            for _ in 0..count {
                let entries = black_box(batches.get_many(draw())?);
                if entries.iter().any(Option::is_none) {
                    return Err(io::ErrorKind::NotFound.into());
                }
            }
            Ok(())
        }));
        contenders.push(Contender::new(format!("{name}, get, 100 times"), move |count| {
            for seq in (0..count).flat_map(|_| draw()) {
                black_box(batches.get(seq)?.ok_or(io::ErrorKind::NotFound)?);
            }
            Ok(())
        }));
    }
    let round_len = request.scale().pick(40, 2);
    print!("{}", request.compare(GET_MANY, round_len, &mut contenders)?);
    Ok(())
}

fn iterate(request: &Request, filled: &[Filled]) -> io::Result<()> {
    if !request.wants(ITERATE) {
        return Ok(());
    }
    let mut contenders = Vec::new();
    for Filled { name, single, batches, .. } in filled {
        contenders.push(Contender::new(format!("{name}, 100 bytes in single frames"), |count| {
            iterate_over(single, count)
        }));
        contenders.push(Contender::new(format!("{name}, 128 bytes in LZ4 batches"), |count| {
            iterate_over(batches, count)
        }));
    }
    let round_len = request.scale().pick(200_000, 200);
    print!("{}", request.compare(ITERATE, round_len, &mut contenders)?);
    Ok(())
}

/// Reads the first `count` entries.
fn iterate_over(stream: &Stream, count: u64) -> io::Result<()> {
    let mut byte_count = 0;
    for entry in stream.iter(..count)? {
        byte_count += entry?.data.len();
    }
    black_box(byte_count);
    Ok(())
}
