//! Processes that are killed, or end in other ways, while they write, recover or hold the log.
//!
//! The child is this test binary again, told by an environment variable to be one. It says on its
//! standard output what was acknowledged; the parent keeps the books and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use ironwal::{RecoveryReport, Wal, WalOptions};

use crate::files;

/// What tells this binary that it is a child, and what to do.
pub(crate) const TASK: &str = "IRONWAL_TEST_TASK";

const SIGKILL: i32 = 9;

const STREAMS: [&str; 4] = ["a", "b", "c", "d"];

/// What a child appends: a function of the operation's number, so that whoever finds an entry can
/// tell whether it is what was appended, acknowledged or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Workload {
    /// Single entries and batches, most of which fit into a segment.
    Mixed,
    /// Batches that are all larger than a segment.
    LargeBatches,
}

/// How a child ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    Killed,
    Closed,
    Dropped,
    /// By `std::process::exit`, which drops nothing.
    Exited,
}

impl Workload {
    const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::LargeBatches => "large-batches",
        }
    }

    const fn options(self) -> WalOptions {
        match self {
            Self::Mixed => WalOptions::new().max_segment_size(900).max_open_segments(2),
            Self::LargeBatches => WalOptions::new().max_segment_size(400).max_open_segments(2),
        }
    }

    const fn writer_count(self) -> u64 {
        match self {
            Self::Mixed => 4,
            Self::LargeBatches => 8,
        }
    }

    /// The entries of an operation.
    fn entries(self, op: u64) -> Vec<Vec<u8>> {
        let dice = mix(op);
        let count = match (self, dice % 16) {
            (Self::LargeBatches, _) => 10 + (dice >> 8) % 30,
            (Self::Mixed, 0..=9) => 1,
            (Self::Mixed, 10..=14) => 1 + (dice >> 8) % 5,
            (Self::Mixed, _) => 20,
        };
        let entry = |part| {
            let mut entry = format!("{op} {part}/{count} ").into_bytes();
            let filler = mix(op ^ (part << 48));
            let len = usize::from(filler.to_le_bytes()[7] % 90);
            entry.extend(filler.to_le_bytes().iter().cycle().take(len));
            entry
        };
        (0..count).map(entry).collect()
    }

    /// Whether an operation is a batch, if only of one.
    fn is_batch(self, op: u64) -> bool {
        self == Self::LargeBatches || mix(op) % 16 >= 10
    }
}

fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// What was acknowledged, or found when the log was opened: from then on it has to stay.
#[derive(Debug, Default)]
struct Books {
    /// Which operation and part of it stands in a stream under a number.
    entries: BTreeMap<(String, u64), (u64, u64)>,
}

impl Books {
    fn enter(&mut self, ack: &str, workload: Workload) {
        let fields: Vec<_> = ack.split(' ').collect();
        let [stream, start, end, op] = fields[..] else { panic!("{ack}") };
        let (start, end, op): (u64, u64, u64) =
            (start.parse().unwrap(), end.parse().unwrap(), op.parse().unwrap());
        assert_eq!(end - start, workload.entries(op).len() as u64, "{ack}");
        for (part, seq) in (0..).zip(start..end) {
            let other = self.entries.insert((stream.to_owned(), seq), (op, part));
            assert_eq!(other, None, "{stream} {seq} was acknowledged before");
        }
    }

    /// Opens the log, and compares all of it with the books. Operations that were not acknowledged
    /// are at most `in_flight` and whole.
    fn check(&mut self, root: &Path, workload: Workload, in_flight: u64) {
        let wal = Wal::open(root, workload.options()).unwrap();
        for report in wal.recover_all().unwrap() {
            assert!(report.damage.is_empty() && report.foreign_names.is_empty(), "{report:?}");
        }
        let mut ops = BTreeSet::new();
        let mut new_count = 0;
        let mut found_count = 0;
        for stream in STREAMS {
            let mut entries = (0..).zip(wal.iter(stream, ..).unwrap());
            while let Some((seq, first)) = entries.next() {
                let first = first.unwrap();
                let op = op_of(&first.data);
                assert!(ops.insert(op), "{stream} {seq}: {op} is there twice");
                let mut is_new = false;
                let expected = workload.entries(op);
                for (part, bytes) in (0..).zip(&expected) {
                    let (seq, found) = if part == 0 {
                        (seq, first.clone())
                    } else {
                        let (seq, found) = entries.next().expect("a batch is whole");
                        (seq, found.unwrap())
                    };
                    assert_eq!((found.seq, &found.data[..]), (seq, &bytes[..]), "{stream}");
                    let place = (stream.to_owned(), seq);
                    let known = *self.entries.entry(place).or_insert_with(|| {
                        is_new = true;
                        (op, part)
                    });
                    assert_eq!(known, (op, part), "{stream} {seq}");
                    found_count += 1;
                }
                new_count += u64::from(is_new);
            }
        }
        assert_eq!(found_count, self.entries.len(), "everything in the books is there");
        assert!(new_count <= in_flight, "{new_count} operations that nobody can have been at");
    }
}

fn op_of(entry: &[u8]) -> u64 {
    let end = entry.iter().position(|&byte| byte == b' ').unwrap();
    std::str::from_utf8(&entry[..end]).unwrap().parse().unwrap()
}

/// A child process, and the lines that it says.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts this binary as a child that runs `test`, which finds `task` in [`TASK`].
    ///
    /// Its signals for files that are too large are ignored, so that it gets the error.
    pub(crate) fn start(test: &str, task: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(TASK, task)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            while pipe.read_line(&mut line).is_ok_and(|len| len > 0) {
                // Half a line, where the child was killed, did not arrive.
                let Some(whole) = line.strip_suffix('\n') else { return };
                if sender.send(whole.to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { child, lines }
    }

    /// What stands behind `prefix` in the next line that begins with it; `None` at the end.
    pub(crate) fn next(&self, prefix: &str) -> Option<String> {
        loop {
            let line = match self.lines.recv_timeout(Duration::from_mins(2)) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the child hangs"),
            };
            if let Some(rest) = line.strip_prefix(prefix) {
                return Some(rest.to_owned());
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A parent that panics must not leave a child that writes for ever.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

fn start(root: &Path, workload: Workload, ending: Ending, first_op: u64) -> Process {
    let task = format!("{} {ending:?} {first_op} {}", workload.name(), root.to_str().unwrap());
    Process::start("kill::child", &task)
}

/// Not a test but the child of the tests here.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    // The test harness has begun a line.
    println!();
    let fields: Vec<_> = task.splitn(4, ' ').collect();
    let [workload, ending, first_op, root] = fields[..] else { panic!("{task}") };
    let workload = match workload {
        "mixed" => Workload::Mixed,
        "large-batches" => Workload::LargeBatches,
        _ => return hold(Path::new(root)),
    };
    println!("opening");
    let wal = Wal::open(root, workload.options()).unwrap();
    wal.recover_all().unwrap();
    println!("recovered");
    let first_op: u64 = first_op.parse().unwrap();
    let until = if ending == "Killed" { u64::MAX } else { first_op + 60 };
    append_all(&wal, workload, first_op..until);
    match ending {
        "Closed" => wal.close().unwrap(),
        "Dropped" => drop(wal),
        "Exited" => exit(),
        _ => panic!("{ending}"),
    }
}

#[expect(clippy::exit, reason = "this way to end is what is tested")]
fn exit() {
    std::process::exit(0);
}

/// Opens the log, or says that it cannot, and waits for the parent.
fn hold(root: &Path) {
    match Wal::open(root, WalOptions::new()) {
        Ok(_wal) => {
            println!("held");
            let mut nothing = Vec::new();
            std::io::stdin().read_to_end(&mut nothing).unwrap();
        }
        Err(error) => println!("refused {}", error.is_locked()),
    }
}

/// Lets threads append, and acknowledges what was appended.
fn append_all(wal: &Wal, workload: Workload, ops: Range<u64>) {
    let next = AtomicU64::new(ops.start);
    thread::scope(|scope| {
        for _ in 0..workload.writer_count() {
            scope.spawn(|| {
                loop {
                    let op = next.fetch_add(1, Ordering::Relaxed);
                    if op >= ops.end {
                        return;
                    }
                    let stream = STREAMS[(mix(op) >> 32) as usize % STREAMS.len()];
                    let entries = workload.entries(op);
                    let seqs = if workload.is_batch(op) {
                        wal.append_batch(stream, &entries).unwrap()
                    } else {
                        let seq = wal.append(stream, &entries[0]).unwrap();
                        seq..seq + 1
                    };
                    let line = format!("ack {stream} {} {} {op}\n", seqs.start, seqs.end);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    assert!(wal.durable_seq(stream).unwrap() >= seqs.end, "{line}");
                }
            });
        }
    });
}

/// Takes acknowledgements until there are `count`, then kills, and takes those that were on their
/// way.
fn kill_after(mut process: Process, count: u64, workload: Workload, books: &mut Books) {
    for _ in 0..count {
        let Some(ack) = process.next("ack ") else { break };
        books.enter(&ack, workload);
    }
    process.kill();
    finish_killed(process, workload, books);
}

fn finish_killed(mut process: Process, workload: Workload, books: &mut Books) {
    while let Some(ack) = process.next("ack ") {
        books.enter(&ack, workload);
    }
    assert_eq!(process.wait().signal(), Some(SIGKILL), "the child ended by itself");
}

/// One log through all of it: it grows, and what one round left the next finds.
#[test]
fn every_acknowledged_entry_survives_200_kills_of_writers_and_of_recoveries() {
    const ROUND_COUNT: u64 = 200;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let workload = Workload::Mixed;
    let mut books = Books::default();
    let (mut in_flight, mut killed_recoveries) = (0, 0);
    for round in 1..=ROUND_COUNT {
        let dice = mix(round);
        let mut process = start(&root, workload, Ending::Killed, round * 1_000_000);
        if dice.is_multiple_of(3) {
            // While it opens and recovers, which takes it about as long as this.
            assert!(process.next("opening").is_some());
            thread::sleep(Duration::from_micros((dice >> 8) % 25_000));
            process.kill();
            killed_recoveries += u64::from(process.next("recovered").is_none());
            finish_killed(process, workload, &mut books);
        } else {
            kill_after(process, (dice >> 8) % 40, workload, &mut books);
        }
        in_flight += workload.writer_count();
        if round % 8 == 0 {
            books.check(&root, workload, in_flight);
            in_flight = 0;
        }
    }
    books.check(&root, workload, in_flight);
    let segment_count: usize =
        STREAMS.iter().map(|stream| files::segments(&root.join(stream)).len()).sum();
    let entry_count = books.entries.len();
    println!(
        "{entry_count} entries in {segment_count} segments, {killed_recoveries} recoveries killed"
    );
    assert!(entry_count > 1_000 && segment_count > 100);
}

#[test]
fn batches_larger_than_segments_are_whole_after_any_ending_with_eight_writers() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let workload = Workload::LargeBatches;
    let mut books = Books::default();
    let endings = [Ending::Killed, Ending::Closed, Ending::Dropped, Ending::Exited];
    for (round, ending) in (1..).zip(endings.into_iter().cycle().take(16)) {
        let mut process = start(&root, workload, ending, round * 1_000_000);
        if ending == Ending::Killed {
            kill_after(process, 10 * round, workload, &mut books);
            books.check(&root, workload, workload.writer_count());
            continue;
        }
        let mut ack_count = 0;
        while let Some(ack) = process.next("ack ") {
            books.enter(&ack, workload);
            ack_count += 1;
        }
        assert!(process.wait().success());
        assert_eq!(ack_count, 60);
        books.check(&root, workload, 0);
    }
    // Each batch has a segment alone.
    let batches = books.entries.values().filter(|(_, part)| *part == 0).count();
    let segments: usize = STREAMS.iter().map(|key| files::segments(&root.join(key)).len()).sum();
    assert!(segments >= batches, "{segments} segments, {batches} batches");
}

#[test]
fn a_log_that_was_closed_or_dropped_needs_no_repair() {
    for ending in [Ending::Closed, Ending::Dropped] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let mut books = Books::default();
        let mut process = start(&root, Workload::Mixed, ending, 0);
        while let Some(ack) = process.next("ack ") {
            books.enter(&ack, Workload::Mixed);
        }
        assert!(process.wait().success());
        let before = files::contents(&root);
        let wal = Wal::open(&root, Workload::Mixed.options()).unwrap();
        let reports = wal.recover_all().unwrap();
        assert_eq!(reports.len(), STREAMS.len());
        let is_untouched = |report: &RecoveryReport| report.is_clean() && report.rewritten_len == 0;
        assert!(reports.iter().all(is_untouched), "{ending:?}: {reports:?}");
        drop(wal);
        assert!(files::contents(&root) == before, "{ending:?}: opening changed something");
        books.check(&root, Workload::Mixed, 0);
    }
}

#[test]
fn a_second_process_is_locked_out_until_the_first_is_dead() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let task = format!("hold - - {}", root.to_str().unwrap());
    let mut holder = Process::start("kill::child", &task);
    assert!(holder.next("held").is_some());
    let error = Wal::open(&root, WalOptions::new()).unwrap_err();
    assert!(error.is_locked(), "{error}");
    let second = Process::start("kill::child", &task);
    assert_eq!(second.next("refused ").as_deref(), Some("true"));
    holder.kill();
    holder.wait();
    let wal = Wal::open(&root, WalOptions::new()).unwrap();
    wal.append("a", "the lock is free").unwrap();
    let third = Process::start("kill::child", &task);
    assert_eq!(third.next("refused ").as_deref(), Some("true"));
    wal.close().unwrap();
    let fourth = Process::start("kill::child", &task);
    assert!(fourth.next("held").is_some());
}
