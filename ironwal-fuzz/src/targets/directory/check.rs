//! What must hold for any directory, whatever is in it.

use std::sync::Arc;

use bytes::Bytes;
use ironwal::{
    CorruptionPolicy, Environment, ErrorKind, Iter, ReadStrategy, ReaderOptions, RecoveryReport,
    Visibility, Wal, WalOptions, WalReader,
};
use ironwal_format::frame::FrameError;
use ironwal_format::index::{IndexKnowledge, read_index};
use ironwal_format::names::{INDEX_FILE, StreamFileName};

use super::Files;
use crate::host::CountingHost;
use crate::oracle::{in_streams, open, told};
use crate::sim_storage::SimStorage;

/// More items than any log here can have: one for each entry, which has an end offset at least, and one
/// for each hole.
const MAX_ITEMS: usize = 200_000;

const STRATEGIES: [ReadStrategy; 2] = [ReadStrategy::Mmap, ReadStrategy::StandardIo];

/// What is read of a stream: its first number and the one behind its last, and what an iterator gives.
#[derive(Debug, Eq, PartialEq)]
struct Seen {
    key: String,
    ends: Result<(u64, u64), String>,
    items: Vec<Result<(u64, Bytes), String>>,
}

/// Opens the log on copies of this disk in every way.
pub(super) fn check(disk: &SimStorage) {
    let before = disk.contents();
    let seen = STRATEGIES.map(|strategy| looked_at(disk, strategy, Visibility::Valid));
    let proven = looked_at(disk, ReadStrategy::StandardIo, Visibility::Proven);
    assert_eq!(disk.contents(), before, "looking changes nothing");
    let [seen, other] = seen;
    assert_eq!(seen, other, "both strategies give the same");
    check_proven(&proven, &seen);
    let opened = STRATEGIES.map(|strategy| opened(disk, &before, strategy));
    let [opened, other] = opened;
    assert_eq!(opened, other, "both strategies give the same");
    assert_eq!(opened, seen, "who looks sees what is found by opening");
    cut(disk, &before);
}

fn looked_at(disk: &SimStorage, strategy: ReadStrategy, visibility: Visibility) -> Vec<Seen> {
    let environment = Environment::new(Arc::new(disk.clone()));
    let options = ReaderOptions::new().read_strategy(strategy).visibility(visibility);
    let reader = WalReader::open_in(environment, options);
    let streams = reader.streams().expect("a disk that does not fail");
    let look = |key: &String| {
        drop((reader.report(key), reader.verify(key)));
        let stream = reader.stream(key).expect("a key that was listed");
        let ends = stream.first_seq().and_then(|first| Ok((first, stream.next_seq()?)));
        seen(key, ends, stream.iter(..), |seq| stream.get(seq))
    };
    streams.iter().map(look).collect()
}

/// What is proven is a beginning of what there is.
fn check_proven(proven: &[Seen], all: &[Seen]) {
    for (proven, all) in proven.iter().zip(all) {
        let (Ok((first, end)), Ok((all_first, all_end))) = (&proven.ends, &all.ends) else {
            continue;
        };
        assert!(first == all_first && end <= all_end, "{}: {proven:?}, {all:?}", all.key);
        for item in proven.items.iter().flatten() {
            assert!(all.items.contains(&Ok(item.clone())), "{} has {item:?}", all.key);
        }
    }
}

/// Opens it, and asks that nothing is changed where anything is damaged.
fn opened(disk: &SimStorage, before: &Files, strategy: ReadStrategy) -> Vec<Seen> {
    let disk = disk.kill();
    let options = WalOptions::new().read_strategy(strategy);
    let wal = open(Arc::new(disk.clone()), &CountingHost::starting_at(1 << 32), &options);
    let wal = wal.expect("no stream keeps a log from being opened");
    let reports = wal.recover_all();
    let after = disk.contents();
    check_kept(before, &after);
    for report in reports.iter().flatten().filter(|report| !report.damage.is_empty()) {
        assert_eq!(of_stream(&after, report), of_stream(before, report), "changed: {report:?}");
    }
    let seen = read(&wal);
    assert_eq!(disk.contents(), after, "reading changes nothing");
    drop(wal);
    check_second(&disk, &options, &seen);
    seen
}

/// A second opening finds the same and changes nothing; then the log is appended to.
fn check_second(disk: &SimStorage, options: &WalOptions, expected: &[Seen]) {
    let before = disk.contents();
    let disk = disk.kill();
    let wal = open(Arc::new(disk.clone()), &CountingHost::starting_at(1 << 33), options);
    let wal = wal.expect("it was opened before");
    let reports = wal.recover_all();
    assert_eq!(read(&wal), expected, "a second opening finds the same");
    let (after, before) = (counting(&disk.contents()), counting(&before));
    assert!(after == before, "a second opening does nothing: {after:?} from {before:?}");
    let is_damaged = |key: &str| {
        reports.iter().flatten().any(|found| found.stream == key && !found.damage.is_empty())
    };
    for seen in expected {
        let answer = wal.append(&seen.key, "appended");
        match (&answer, &seen.ends) {
            (Ok(seq), Ok((_, next))) => {
                assert_eq!(seq, next, "{} goes on at its end", seen.key);
                assert!(!is_damaged(&seen.key), "{} is damaged, and appended to", seen.key);
                let found = wal.get(&seen.key, *seq).expect("it was just appended");
                assert_eq!(found.as_deref(), Some(&b"appended"[..]));
            }
            (Ok(_), Err(error)) => panic!("{} is appended to, but: {error}", seen.key),
            (Err(error), _) => {
                let is_full = matches!(error.kind(), ErrorKind::Exhausted);
                let is_told = error.is_damage() || error.is_foreign() || is_full;
                let is_newer = matches!(error.kind(), ErrorKind::NewerVersion);
                assert!(is_told || is_newer, "{}: {}", seen.key, told("append", error));
            }
        }
    }
}

/// Opens it so that damage is given up: no byte is removed, and what is then there stays.
fn cut(disk: &SimStorage, before: &Files) {
    let disk = disk.kill();
    let options = WalOptions::new().corruption_policy(CorruptionPolicy::Truncate);
    let wal = open(Arc::new(disk.clone()), &CountingHost::starting_at(1 << 34), &options);
    let wal = wal.expect("no stream keeps a log from being opened");
    drop(wal.recover_all());
    check_kept(before, &disk.contents());
    let seen = read(&wal);
    drop(wal);
    check_second(&disk, &WalOptions::new(), &seen);
}

/// The files of streams. A segment that was set aside, and that an index that was made anew calls gone, goes
/// with the second opening only.
fn counting(files: &Files) -> Files {
    let is_torn = |path: &str| {
        let name = path.rsplit_once('/').map_or("", |(_, name)| name);
        matches!(StreamFileName::of(name), StreamFileName::Torn { .. })
    };
    in_streams(files).into_iter().filter(|(path, _)| !is_torn(path)).collect()
}

fn read(wal: &Wal) -> Vec<Seen> {
    let streams = wal.streams().expect("a disk that does not fail");
    let look = |key: &String| {
        let ends = wal.first_seq(key).and_then(|first| Ok((first, wal.next_seq(key)?)));
        seen(key, ends, wal.iter(key, ..), |seq| wal.get(key, seq))
    };
    streams.iter().map(look).collect()
}

/// What an iterator gives, and that reading one by one gives the same.
fn seen(
    key: &str,
    ends: ironwal::Result<(u64, u64)>,
    items: ironwal::Result<Iter>,
    get: impl Fn(u64) -> ironwal::Result<Option<Bytes>>,
) -> Seen {
    let told = |error: ironwal::Error| format!("{:?} {}", error.path(), told("read", &error));
    let key = key.to_owned();
    let items = match (&ends, items) {
        (Ok(_), Ok(items)) => items,
        (Err(_), Err(_)) => return Seen { key, ends: ends.map_err(told), items: Vec::new() },
        (ends, items) => panic!("{key}: {ends:?}, but {items:?}"),
    };
    let Ok((first, next)) = ends else {
        return Seen { key, ends: ends.map_err(told), items: Vec::new() };
    };
    assert!(first <= next, "{key}: from {first} to {next}");
    let mut expected = first;
    let mut found: Vec<Result<_, String>> = Vec::new();
    for item in items {
        assert!(found.len() < MAX_ITEMS, "{key}: no end of items");
        if let Ok(entry) = &item {
            assert!(entry.seq >= expected && entry.seq < next, "{key}: {} out of order", entry.seq);
            check_lost(&key, expected..entry.seq, (found.last(), &get));
            let alone = get(entry.seq).expect("an iterator gave it");
            assert_eq!(alone.as_ref(), Some(&entry.data), "{key}: entry {}", entry.seq);
            expected = entry.seq.saturating_add(1);
        }
        found.push(item.map(|entry| (entry.seq, entry.data)).map_err(told));
    }
    check_lost(&key, expected..next, (found.last(), &get));
    let behind = get(next);
    assert!(matches!(behind, Ok(None)), "{key}: past the end is {behind:?}");
    Seen { key, ends: Ok((first, next)), items: found }
}

/// What an iterator passed over was told by its last item, and is an error when it is asked for alone: but
/// for a frame with a right checksum and wrong end offsets, which is one error for an iterator, while each
/// entry whose own offsets fit is found alone.
fn check_lost<T: std::fmt::Debug>(
    key: &str,
    lost: std::ops::Range<u64>,
    (before, get): (Option<&Result<T, String>>, impl Fn(u64) -> ironwal::Result<Option<Bytes>>),
) {
    if lost.is_empty() {
        return;
    }
    let Some(Err(error)) = before else { panic!("{key}: {lost:?} passed over without a word") };
    let is_offsets = error.ends_with(&FrameError::EntryOffsets.to_string());
    let last = lost.end.saturating_sub(1);
    for seq in lost.clone().take(3).chain([last]).filter(|seq| lost.contains(seq)) {
        let alone = get(seq);
        assert!(alone.is_err() || is_offsets, "{key}: {seq} was passed over, and is {alone:?}");
    }
}

fn of_stream(files: &Files, report: &RecoveryReport) -> Files {
    let dir =
        ironwal_format::StreamKey::new(&report.stream).expect("the key of a stream").dir_name();
    let is_in = |path: &String| path.strip_prefix(&dir).is_some_and(|rest| rest.starts_with('/'));
    files.iter().filter(|(path, _)| is_in(path)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// No byte of a segment is removed but room that was reserved, unless its index says that it is gone.
fn check_kept(before: &Files, after: &Files) {
    for (path, bytes) in before {
        let Some((dir, name)) = path.split_once('/') else { continue };
        let StreamFileName::Segment { ordinal, .. } = StreamFileName::of(name) else { continue };
        let index = before.get(&format!("{dir}/{INDEX_FILE}"));
        let contents = index.and_then(|bytes| read_index(bytes).ok());
        let start = contents.and_then(|contents| IndexKnowledge::of(&contents.records).start);
        let is_gone = dir.starts_with('.') || start.is_some_and(|start| ordinal < start.ordinal);
        let names = after.range(path.clone()..).take_while(|(name, _)| name.starts_with(path));
        let is_kept = names.into_iter().any(|(_, now)| used_part(now) == used_part(bytes));
        assert!(is_kept || is_gone, "{path} was changed");
    }
}

/// What is in front of the zeros at the end.
fn used_part(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..len).unwrap_or_default()
}
