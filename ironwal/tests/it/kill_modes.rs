//! Processes that are killed while they write, in each sync mode: a killed process loses nothing of what
//! was written, so in every mode all that was acknowledged is there.
//!
//! `IRONWAL_KILLS` says how often, for each mode.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ironwal::{SyncMode, Wal, WalOptions};

use crate::files;
use crate::kill::{Process, TASK};

const STREAMS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

const WRITER_COUNT: u64 = 4;

pub(crate) const MODES: [SyncMode; 3] = [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async];

/// What a writer does: a function of the operation's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Single,
    Batch,
    /// Of entries that LZ4 makes smaller.
    Compressed,
    SyncStream,
    SyncAll,
    Rotate,
}

fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn kind(op: u64) -> Kind {
    match mix(op) % 32 {
        0..=15 => Kind::Single,
        16..=23 => Kind::Batch,
        24..=28 => Kind::Compressed,
        29 => Kind::SyncStream,
        30 => Kind::SyncAll,
        _ => Kind::Rotate,
    }
}

fn stream_of(op: u64) -> &'static str {
    STREAMS[(mix(op) >> 32) as usize % STREAMS.len()]
}

fn entries(op: u64) -> Vec<Vec<u8>> {
    let dice = mix(op ^ 0xABCD);
    let count = match kind(op) {
        Kind::Single => 1,
        Kind::Batch => 1 + dice % 6,
        Kind::Compressed => 5 + dice % 20,
        Kind::SyncStream | Kind::SyncAll | Kind::Rotate => 0,
    };
    let entry = |part| {
        let mut entry = format!("{op} {part}/{count} ").into_bytes();
        if kind(op) == Kind::Compressed {
            entry.extend([b'z'; 150]);
        } else {
            let filler = mix(op ^ (part << 48));
            let len = usize::from(filler.to_le_bytes()[7] % 90);
            entry.extend(filler.to_le_bytes().iter().cycle().take(len));
        }
        entry
    };
    (0..count).map(entry).collect()
}

fn options(mode: SyncMode) -> WalOptions {
    let options = WalOptions::new().max_segment_size(3_000).max_open_segments(3);
    options.min_compression_size(400).sync_mode(mode)
}

fn mode_of(name: &str) -> SyncMode {
    MODES.into_iter().find(|mode| format!("{mode:?}") == name).unwrap()
}

/// Not a test but the child of the test here.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    println!();
    let fields: Vec<_> = task.splitn(3, ' ').collect();
    let [mode, first_op, root] = fields[..] else { panic!("{task}") };
    let mode = mode_of(mode);
    let wal = Wal::open(root, options(mode)).unwrap();
    for report in wal.recover_all().unwrap() {
        assert!(report.damage.is_empty(), "{report:?}");
    }
    let next = AtomicU64::new(first_op.parse().unwrap());
    thread::scope(|scope| {
        for _ in 0..WRITER_COUNT {
            scope.spawn(|| {
                loop {
                    run(&wal, mode, next.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
    });
}

fn run(wal: &Wal, mode: SyncMode, op: u64) {
    let key = stream_of(op);
    let stream = wal.stream(key).unwrap();
    let before = stream.next_seq().unwrap();
    let (seqs, is_durable) = match kind(op) {
        Kind::Single => {
            let seq = stream.append(&entries(op)[0]).unwrap();
            (seq..seq + 1, mode == SyncMode::Strict)
        }
        Kind::Batch | Kind::Compressed => {
            (stream.append_batch(entries(op)).unwrap(), mode != SyncMode::Async)
        }
        Kind::SyncStream => {
            stream.sync().unwrap();
            (before..before, true)
        }
        Kind::SyncAll => {
            wal.sync().unwrap();
            (before..before, true)
        }
        Kind::Rotate => {
            stream.rotate().unwrap();
            (before..before, true)
        }
    };
    if !seqs.is_empty() {
        let line = format!("ack {key} {} {} {op}\n", seqs.start, seqs.end);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
    assert!(!is_durable || stream.durable_seq().unwrap() >= seqs.end, "{mode:?} {op}");
}

/// What was acknowledged, or found when the log was opened: from then on it has to stay.
#[derive(Debug, Default)]
struct Books {
    /// Which operation and part of it stands in a stream under a number.
    entries: BTreeMap<(&'static str, u64), (u64, u64)>,
}

impl Books {
    fn enter(&mut self, ack: &str) {
        let fields: Vec<_> = ack.split(' ').collect();
        let [stream, start, end, op] = fields[..] else { panic!("{ack}") };
        let (start, end, op): (u64, u64, u64) =
            (start.parse().unwrap(), end.parse().unwrap(), op.parse().unwrap());
        assert_eq!((stream, end - start), (stream_of(op), entries(op).len() as u64), "{ack}");
        for (part, seq) in (0..).zip(start..end) {
            let other = self.entries.insert((stream_of(op), seq), (op, part));
            assert_eq!(other, None, "{stream} {seq} was acknowledged before");
        }
    }

    /// Opens the log, and compares all of it with the books. Operations that were not acknowledged are
    /// at most `in_flight` and whole.
    fn check(&mut self, root: &Path, mode: SyncMode, in_flight: u64) {
        let wal = Wal::open(root, options(mode)).unwrap();
        for report in wal.recover_all().unwrap() {
            assert!(report.damage.is_empty() && report.foreign_names.is_empty(), "{report:?}");
        }
        let mut ops = BTreeSet::new();
        let (mut new_count, mut found_count) = (0, 0);
        for stream in STREAMS {
            let found: Vec<_> = wal.iter(stream, ..).unwrap().map(Result::unwrap).collect();
            let mut rest = &found[..];
            let mut seq = 0;
            while let Some(first) = rest.first() {
                let op = op_of(&first.data);
                assert!(ops.insert(op), "{stream} {seq}: {op} is there twice");
                assert_eq!(stream_of(op), stream);
                let expected = entries(op);
                let (whole, behind) =
                    rest.split_at_checked(expected.len()).expect("a batch is whole");
                rest = behind;
                let mut is_new = false;
                for (part, (found, bytes)) in (0..).zip(whole.iter().zip(&expected)) {
                    assert_eq!((found.seq, &found.data[..]), (seq, &bytes[..]), "{stream}");
                    let known = *self.entries.entry((stream, seq)).or_insert_with(|| {
                        is_new = true;
                        (op, part)
                    });
                    assert_eq!(known, (op, part), "{stream} {seq}");
                    seq += 1;
                }
                new_count += u64::from(is_new);
            }
            found_count += found.len();
        }
        assert_eq!(found_count, self.entries.len(), "everything in the books is there");
        assert!(new_count <= in_flight, "{new_count} operations that nobody can have been at");
    }
}

fn op_of(entry: &[u8]) -> u64 {
    let end = entry.iter().position(|&byte| byte == b' ').unwrap();
    std::str::from_utf8(&entry[..end]).unwrap().parse().unwrap()
}

fn kill_again_and_again(mode: SyncMode) {
    let kill_count = std::env::var("IRONWAL_KILLS").map_or(20, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let mut books = Books::default();
    let mut in_flight = 0;
    for round in 1..=kill_count {
        let task = format!("{mode:?} {} {}", round * 1_000_000, root.to_str().unwrap());
        let mut process = Process::start("kill_modes::child", &task);
        for _ in 0..mix(round) % 150 {
            let ack = process.next("ack ").expect("the child fails");
            books.enter(&ack);
        }
        process.kill();
        while let Some(ack) = process.next("ack ") {
            books.enter(&ack);
        }
        assert!(!process.wait().success());
        in_flight += WRITER_COUNT;
        if round % 5 == 0 {
            books.check(&root, mode, in_flight);
            in_flight = 0;
        }
    }
    books.check(&root, mode, in_flight);
    let segment_count: usize =
        STREAMS.iter().map(|stream| files::segments(&root.join(stream)).len()).sum();
    let entry_count = books.entries.len();
    println!("{mode:?}: {kill_count} kills, {entry_count} entries in {segment_count} segments");
    assert!(entry_count as u64 > 20 * kill_count && segment_count as u64 > kill_count);
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_in_strict_mode() {
    kill_again_and_again(SyncMode::Strict);
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_in_batch_only_mode() {
    kill_again_and_again(SyncMode::BatchOnly);
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_in_async_mode() {
    kill_again_and_again(SyncMode::Async);
}
