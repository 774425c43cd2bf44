//! What an append costs beside the system calls that it cannot do without.
//!
//! `cargo bench -p ironwal-bench --bench appends`. All that is compared is timed in turn, in one process
//! and on one disk. The plain loops write frames of the same length to a file of their own, which grows
//! or whose space was reserved.
#![expect(clippy::print_stdout, reason = "a program that reports to people")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use ironwal::{Stream, SyncMode, WalOptions};
use ironwal_bench::compare::{Contender, Request};
use ironwal_bench::{ENTRY_LEN, TempLog, share};
use rustix::fs::{FallocateFlags, fallocate};

/// Header, entry, padding: what one entry takes on disk.
const FRAME_LEN: usize = 32 + ENTRY_LEN;

/// More than all rounds write.
const RESERVED_LEN: u64 = 256 << 20;

const STRICT: &str = "append 128 bytes, Strict, 1 thread";
const WRITTEN: &str = "append 128 bytes, not synced, 1 thread";
const MANY: &str = "append 128 bytes, not synced, 8 threads on 8 streams";

const THREAD_COUNT: u64 = 8;

fn main() -> io::Result<()> {
    let request = Request::from_args();
    strict(&request)?;
    written(&request)?;
    many(&request)
}

fn strict(request: &Request) -> io::Result<()> {
    if !request.wants(STRICT) {
        return Ok(());
    }
    let log = TempLog::new()?;
    let stream = log.wal().stream("bench")?;
    let mut reserved = Plain::reserved(log.root())?;
    let mut growing = Plain::growing(log.root())?;
    let mut contenders = [
        Contender::new("pwrite + fdatasync, reserved", |count| reserved.write_and_sync(count)),
        Contender::new("pwrite + fdatasync, growing", |count| growing.write_and_sync(count)),
        Contender::new("ironwal", |count| append(&stream, count)),
    ];
    let round_len = request.scale().pick(200, 5);
    print!("{}", request.compare(STRICT, round_len, &mut contenders)?);
    Ok(())
}

fn written(request: &Request) -> io::Result<()> {
    if !request.wants(WRITTEN) {
        return Ok(());
    }
    let lazy = TempLog::with(WalOptions::new().sync_mode(SyncMode::Async))?;
    let lazy_stream = lazy.wal().stream("bench")?;
    let batch_only = TempLog::with(WalOptions::new().sync_mode(SyncMode::BatchOnly))?;
    let batch_only_stream = batch_only.wal().stream("bench")?;
    let mut reserved = Plain::reserved(lazy.root())?;
    let mut growing = Plain::growing(lazy.root())?;
    let mut contenders = [
        Contender::new("pwrite, reserved", |count| reserved.write(count)),
        Contender::new("pwrite, growing", |count| growing.write(count)),
        Contender::new("ironwal, Async", |count| append(&lazy_stream, count)),
        Contender::new("ironwal, BatchOnly", |count| append(&batch_only_stream, count)),
    ];
    let round_len = request.scale().pick(20_000, 50);
    print!("{}", request.compare(WRITTEN, round_len, &mut contenders)?);
    Ok(())
}

fn many(request: &Request) -> io::Result<()> {
    if !request.wants(MANY) {
        return Ok(());
    }
    let log = TempLog::with(WalOptions::new().sync_mode(SyncMode::Async))?;
    let (mut streams, mut files) = (Vec::new(), Vec::new());
    for thread in 0..THREAD_COUNT {
        streams.push(log.wal().stream(&format!("bench-{thread}"))?);
        files.push(Mutex::new(Plain::growing(log.root())?));
    }
    let of = |thread: u64| usize::try_from(thread).unwrap_or(usize::MAX);
    let mut contenders = [
        Contender::new("pwrite, growing, 8 files", |count| {
            share(THREAD_COUNT, count, |thread, share| {
                let file = files.get(of(thread)).ok_or(io::ErrorKind::NotFound)?;
                file.lock().expect("no thread panics").write(share)
            })
        }),
        Contender::new("ironwal, Async, 8 streams", |count| {
            share(THREAD_COUNT, count, |thread, share| {
                append(streams.get(of(thread)).ok_or(io::ErrorKind::NotFound)?, share)
            })
        }),
    ];
    let round_len = request.scale().pick(80_000, 80);
    print!("{}", request.compare(MANY, round_len, &mut contenders)?);
    Ok(())
}

fn append(stream: &Stream, count: u64) -> io::Result<()> {
    for _ in 0..count {
        stream.append([b'x'; ENTRY_LEN])?;
    }
    Ok(())
}

/// A file that is written to without any log.
struct Plain {
    file: File,
    offset: u64,
}

impl Plain {
    fn growing(dir: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(dir)?, offset: 0 })
    }

    fn reserved(dir: &Path) -> io::Result<Self> {
        let plain = Self::growing(dir)?;
        fallocate(&plain.file, FallocateFlags::empty(), 0, RESERVED_LEN)?;
        Ok(plain)
    }

    fn write(&mut self, count: u64) -> io::Result<()> {
        (0..count).try_for_each(|_| self.write_one())
    }

    fn write_and_sync(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            self.write_one()?;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn write_one(&mut self) -> io::Result<()> {
        self.file.write_all_at(&[b'x'; FRAME_LEN], self.offset)?;
        self.offset += FRAME_LEN as u64;
        Ok(())
    }
}
