//! Every sync is needed: a disk that forgets one of them breaks a promise in some crash.
//!
//! A sync is told apart by what it syncs and by what was done just before it. One whose loss nobody
//! notices is useless, or not tested enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ironwal::{CompressionType, Outcome, SyncMode, WalOptions};
use ironwal_format::StreamId;
use ironwal_format::names::{INDEX_FILE, INDEX_TEMP_FILE, SEGMENT_SUFFIX, StreamKey};
use ironwal_format::payload::{Compression, EntryLimits, prepare_entry};
use ironwal_fuzz::faults::{Fault, FaultyStorage, Op};
use ironwal_fuzz::judge::Index;
use ironwal_fuzz::model::{self, Means, Model, Violation};
use ironwal_fuzz::oracle::{check_disk, check_losses};
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};
use ironwal_fuzz::world::{Call, Trouble, World};
use ironwal_segment::storage::Storage;
use ironwal_stream::{CorruptionPolicy, OpenStream, StreamOptions, create};

const OPTIONS: WalOptions = WalOptions::new().max_segment_entries(2);

fn append() -> Call {
    Call::Append { stream: 0, len: 20 }
}

/// What a path is, whatever its numbers.
fn kind(path: &str) -> &'static str {
    let is_new = path.starts_with(".new-");
    if path.starts_with(".trash-") {
        return "trash";
    }
    let Some((_, name)) = path.split_once('/') else {
        return match path {
            "" => "root",
            ".lock" => "lock",
            _ if is_new => "new dir",
            _ => "dir",
        };
    };
    match (is_new, name) {
        (true, INDEX_FILE) => "new index",
        (true, _) => "new segment",
        (false, INDEX_FILE) => "index",
        (false, INDEX_TEMP_FILE) => "temporary index",
        (false, name) if name.strip_suffix(SEGMENT_SUFFIX).is_some() => "segment",
        (false, name) if name.contains("torn") => "torn segment",
        (false, _) => "something else",
    }
}

/// A name for each sync of a journal: what is synced, and in which piece of work.
fn labels(journal: &[(Op, String)]) -> Vec<String> {
    let mut labels = Vec::new();
    for (at, (op, path)) in journal.iter().enumerate() {
        if matches!(op, Op::SyncData | Op::SyncDir) {
            let is_work = |(op, path): &&(Op, String)| {
                let is_new_work = !matches!(op, Op::SyncData | Op::SyncDir | Op::Write);
                is_new_work && kind(path) != "torn segment"
            };
            let work = journal[..at].iter().rfind(is_work);
            let work = work
                .map_or("the opening".to_owned(), |(op, path)| format!("{op:?} of {}", kind(path)));
            let label = format!("{} after {work}", kind(path));
            // The floor in front of a record, then the record.
            let is_again = kind(path) == "index" && labels.last() == Some(&label);
            labels.push(if is_again { label + ", again" } else { label });
        }
    }
    labels
}

/// Whether this is the sync of the floor that a clean close leaves: a lost one harms nothing.
fn is_of_floor(label: &str) -> bool {
    matches!(label, "index after Allocate of new segment" | "index after Rename of index")
}

/// A disk to start from, and what was done on it.
struct Start {
    disk: SimStorage,
    model: Model,
}

/// Runs the calls from `start` on with the sync number `forgotten` passed over, and the power cut
/// before operation `point`.
fn run(
    start: &Start,
    calls: &[Call],
    forgotten: Option<u64>,
    point: Option<u64>,
) -> (SimStorage, Model, FaultyStorage) {
    run_with(start, (&OPTIONS, SyncMode::Strict), calls, forgotten, point)
}

/// As [`run`], with these options and in this mode.
fn run_with(
    start: &Start,
    (options, mode): (&WalOptions, SyncMode),
    calls: &[Call],
    forgotten: Option<u64>,
    point: Option<u64>,
) -> (SimStorage, Model, FaultyStorage) {
    let disk = start.disk.kill();
    if let Some(point) = point {
        disk.crash_at(point);
    }
    let storage = FaultyStorage::new(Arc::new(disk.clone()));
    storage.faults().keep_journal();
    if let Some(number) = forgotten {
        storage.faults().add(Fault::forgotten_sync().nth(number));
    }
    let mut world = World::new(Arc::new(storage.clone()), options.clone(), Trouble::Expected)
        .in_mode(mode)
        .after(start.model.clone(), 7);
    let ran = world.run_on(&disk, calls);
    ran.unwrap_or_else(|violation| panic!("{forgotten:?} {point:?}: {violation}"));
    let model = world.model().clone();
    // What is synced from here on is for floors: a lost one harms nothing.
    storage.faults().end_journal();
    drop(world);
    (disk, model, storage)
}

/// Two frames in one segment and one in the next, and one sync for all of them, as for callers who
/// come together.
fn run_group(forgotten: Option<u64>, point: Option<u64>) -> (SimStorage, Model, FaultyStorage) {
    let disk = SimStorage::new();
    if let Some(point) = point {
        disk.crash_at(point);
    }
    let storage = FaultyStorage::new(Arc::new(disk.clone()));
    storage.faults().keep_journal();
    if let Some(number) = forgotten {
        storage.faults().add(Fault::forgotten_sync().nth(number));
    }
    let mut model = Model::new();
    // An error is the end of the power.
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    drop(append_group(&shared, &mut model));
    (disk, model, storage)
}

fn append_group(storage: &Arc<dyn Storage>, model: &mut Model) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Debug| format!("{error:?}");
    let limits = EntryLimits::new(1000, 1000);
    let options = StreamOptions {
        entries: limits,
        max_segment_len: 1 << 20,
        max_segment_entry_count: 2,
        preallocation: ironwal_stream::Preallocation::Reserve,
        corruption: CorruptionPolicy::Error,
    };
    let key = World::key(0);
    let stream_key = StreamKey::new(&key).unwrap();
    let none = model::Found { first: 0, entries: Vec::new() };
    model.settle(&key, &none, Means::Recovered).unwrap();
    let created = create(storage, &stream_key, StreamId::new([7; 16]), options, 0);
    let OpenStream { mut write, mut sync, .. } = created.map_err(|error| told(&error))?;
    let mark = write.written_mark();
    for entry in ["one", "two", "three"] {
        model.issue(&key, &vec![entry.into()]);
        let mut frame = prepare_entry(entry.as_bytes(), limits, Compression::None).unwrap();
        write.append(&mut frame, mark, || 0).map_err(|error| told(&error))?;
    }
    let work = write.take_work().map_err(|error| told(&error))?;
    sync.sync(work).map_err(|error| told(&error))?;
    model.acknowledge(&key);
    Ok(())
}

/// What breaks when this sync is forgotten.
fn broken_without(run: &Run<'_>, forgotten: u64) -> Option<Violation> {
    let (whole, ..) = run(Some(forgotten), None);
    for point in whole.crash_points() {
        let (disk, model, _) = run(Some(forgotten), Some(point));
        let model = model.after_power_cut();
        let choices = CrashChoice::systematic(disk.pending_count(), 1 << 5);
        let seeds = (0..6).map(CrashChoice::Seeded);
        for choice in choices.into_iter().chain(seeds) {
            let left = disk.crash(choice);
            let judged = check_losses(&left, &model, &OPTIONS)
                .and_then(|()| check_disk(&left, &model, (&OPTIONS, Index::Sound)));
            if let Err(violation) = judged {
                return Some(violation);
            }
        }
    }
    None
}

/// A run with one sync passed over, and the power cut before one operation.
type Run<'a> = dyn Fn(Option<u64>, Option<u64>) -> (SimStorage, Model, FaultyStorage) + 'a;

/// Disks on which the process was killed, or the power cut, in the middle of a run.
fn starts(run: &Run<'_>) -> Vec<Start> {
    let (whole, ..) = run(None, None);
    let mut starts = Vec::new();
    for point in whole.crash_points() {
        let (disk, model, _) = run(None, Some(point));
        starts.push(Start { disk: disk.kill(), model: model.clone() });
        for choice in CrashChoice::systematic(disk.pending_count(), 1 << 4) {
            starts.push(Start { disk: disk.crash(choice), model: model.clone() });
        }
    }
    starts
}

#[derive(Default)]
struct Found {
    needed: BTreeMap<String, Violation>,
    seen: BTreeSet<String>,
}

impl Found {
    fn look(&mut self, run: &Run<'_>) {
        let (.., storage) = run(None, None);
        for (number, label) in (0..).zip(labels(&storage.faults().journal())) {
            if is_of_floor(&label) {
                continue;
            }
            self.seen.insert(label.clone());
            if !self.needed.contains_key(&label)
                && let Some(violation) = broken_without(run, number)
            {
                self.needed.insert(label, violation);
            }
        }
    }

    fn report(&self, what: &str) -> BTreeSet<&str> {
        let useless: BTreeSet<_> = self
            .seen
            .iter()
            .map(String::as_str)
            .filter(|label| !self.needed.contains_key(*label))
            .collect();
        for (label, violation) in &self.needed {
            println!("{what}: needed: {label}: {violation}");
        }
        for label in &useless {
            println!("{what}: not noticed: {label}");
        }
        useless
    }
}

#[test]
fn every_sync_of_a_running_log_is_needed() {
    let mut found = Found::default();
    let fresh = Start { disk: SimStorage::new(), model: Model::new() };
    let calls = [append(), append(), append(), append(), append()];
    found.look(&|forgotten, point| run(&fresh, &calls, forgotten, point));
    found.look(&run_group);
    assert_eq!(found.report("running"), BTreeSet::new());
}

/// Runs each script by itself: what is a sync of many in one is that of a certain call in another.
/// Gives the syncs that were seen.
fn look_at(what: &str, options: &WalOptions, mode: SyncMode, calls: &[Call]) -> BTreeSet<String> {
    let fresh = Start { disk: SimStorage::new(), model: Model::new() };
    let mut found = Found::default();
    found.look(&|forgotten, point| run_with(&fresh, (options, mode), calls, forgotten, point));
    let mut useless = found.report(what);
    if what == "truncate" {
        // That of the segment in front, which is gone in the end; the running log needs it.
        useless.remove("new segment after Allocate of segment");
    }
    if what == "close" {
        // Of the opening behind it, which needs it only where an append failed: below.
        useless.remove("segment after Allocate of new segment");
    }
    assert_eq!(useless, BTreeSet::new());
    found.seen
}

#[test]
fn every_sync_of_what_is_done_with_a_stream_is_needed() {
    let plain = &WalOptions::new();
    let (sync, rotate) = (Call::Sync { stream: 0 }, Call::Rotate { stream: 0 });
    let delete = Call::Delete { stream: 0 };
    look_at("sync", plain, SyncMode::Async, &[append(), sync.clone()]);
    look_at("sync of all", plain, SyncMode::Async, &[append(), Call::SyncAll]);
    let batch = Call::Batch { stream: 0, lens: vec![20, 20] };
    look_at("batch", plain, SyncMode::BatchOnly, &[append(), batch]);
    look_at("close", plain, SyncMode::Async, &[append(), Call::Close]);
    look_at("rotate", plain, SyncMode::Async, &[append(), rotate.clone(), append(), sync.clone()]);
    let rotate_alone = [append(), append(), rotate];
    look_at("rotate alone", plain, SyncMode::Async, &rotate_alone);
    let truncate = Call::Truncate { stream: 0, at: 3 };
    let calls = [append(), append(), append(), truncate];
    let seen = look_at("truncate", &OPTIONS, SyncMode::Strict, &calls);
    assert!(seen.contains("dir after Unlink of segment"), "nothing was removed: {seen:?}");
    look_at("delete", plain, SyncMode::Strict, &[append(), append(), delete.clone()]);
    look_at("recreate", plain, SyncMode::Strict, &[append(), append(), delete, append()]);
}

#[test]
fn every_sync_of_a_file_that_is_closed_as_idle_is_needed() {
    let other = Call::Append { stream: 1, len: 20 };
    let (sync, other_sync) = (Call::Sync { stream: 0 }, Call::Sync { stream: 1 });
    let parking = WalOptions::new().max_open_segments(1).compression(CompressionType::None);
    look_at("parking", &parking, SyncMode::Async, &[append(), other.clone(), sync, other_sync]);
    let long = Call::Append { stream: 0, len: 66_000 };
    let calls = [long.clone(), other.clone(), append(), Call::Rotate { stream: 0 }];
    let seen = look_at("parked floor", &parking, SyncMode::Strict, &calls);
    assert!(seen.contains("index after Create of segment, again"), "no floor was noted: {seen:?}");
    let calls = [long.clone(), other.clone(), long, other];
    look_at("two parked floors", &parking, SyncMode::Strict, &calls);
}

/// Of an opening after a process that was killed in a truncation or a deletion.
#[test]
fn every_sync_of_a_recovery_from_a_truncation_or_deletion_is_needed() {
    let fresh = Start { disk: SimStorage::new(), model: Model::new() };
    let truncate = Call::Truncate { stream: 0, at: 3 };
    let interrupted =
        [vec![append(), append(), append(), truncate], vec![append(), Call::Delete { stream: 0 }]];
    let mut found = Found::default();
    for calls in &interrupted {
        let run_calls = |forgotten, point| {
            run_with(&fresh, (&OPTIONS, SyncMode::Strict), calls, forgotten, point)
        };
        for start in starts(&run_calls) {
            found.look(&|forgotten, point| {
                run_with(&start, (&OPTIONS, SyncMode::Strict), &[], forgotten, point)
            });
        }
    }
    assert_eq!(found.report("recovery"), BTreeSet::new());
}

#[test]
fn every_sync_of_a_recovery_is_needed() {
    let mut found = Found::default();
    let fresh = Start { disk: SimStorage::new(), model: Model::new() };
    let calls = [append(), append(), append(), append()];
    let killed = starts(&|forgotten, point| run(&fresh, &calls, forgotten, point));
    for start in starts(&run_group).into_iter().chain(killed) {
        found.look(&|forgotten, point| run(&start, &[append()], forgotten, point));
    }
    assert_eq!(found.report("recovery"), BTreeSet::new());
}

/// Of a frame whose last bytes are zeros all may be on disk when its write fails: where space was
/// reserved, the rest is zero already.
#[test]
fn the_sync_of_a_cut_is_needed() {
    let mut came_back = 0;
    for forgotten in [None, Some(0)] {
        let disk = SimStorage::new();
        let storage = FaultyStorage::new(Arc::new(disk.clone()));
        let faults = storage.faults().clone();
        let mut world = World::new(Arc::new(storage), WalOptions::new(), Trouble::None);
        world.run(&[append(), append()]).unwrap();
        let wal = world.wal().unwrap();
        faults.add(Fault::short_write_then(std::io::ErrorKind::StorageFull));
        if let Some(number) = forgotten {
            faults.add(Fault::forgotten_sync().nth(number));
        }
        let error = wal.append(&World::key(0), [0; 500]).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotWritten);
        for choice in CrashChoice::systematic(disk.pending_count(), 1 << 10) {
            let judged = check_disk(&disk.crash(choice), world.model(), (&OPTIONS, Index::Sound));
            came_back += usize::from(judged.is_err());
            assert!(judged.is_ok() || forgotten.is_some(), "{judged:?}");
        }
    }
    assert!(came_back > 0);
}

/// The same, where the process is killed before it has synced what it cut: who opens the log sees nothing of
/// that append, and has to make it so.
#[test]
fn the_sync_of_a_segment_that_is_opened_is_needed() {
    let mut came_back = 0;
    for forgotten in [None, Some(0)] {
        let disk = SimStorage::new();
        let storage = FaultyStorage::new(Arc::new(disk.clone()));
        let faults = storage.faults().clone();
        let mut world = World::new(Arc::new(storage), WalOptions::new(), Trouble::None);
        world.run(&[append(), Call::Close]).unwrap();
        world.set_trouble(Trouble::Expected);
        // All but a byte of padding is written; then that is cut off, and the process ends in the sync.
        faults.add(Fault::nearly_whole_write_then(std::io::ErrorKind::StorageFull));
        faults.add(Fault::error(std::io::ErrorKind::Other).on(Op::SyncData));
        let entry = world.entry(1);
        let wal = world.wal().unwrap().clone();
        let error = wal.append(&World::key(0), &entry).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown);
        drop(wal);

        let left = disk.kill();
        let storage = FaultyStorage::new(Arc::new(left.clone()));
        if let Some(number) = forgotten {
            storage.faults().add(Fault::forgotten_sync().nth(number));
        }
        let opened = World::new(Arc::new(storage), WalOptions::new(), Trouble::None);
        let mut opened = opened.after(world.model().clone(), 7);
        opened.open().unwrap();
        for choice in CrashChoice::systematic(left.pending_count(), 1 << 10) {
            let judged = check_disk(&left.crash(choice), opened.model(), (&OPTIONS, Index::Sound));
            came_back += usize::from(judged.is_err());
            assert!(judged.is_ok() || forgotten.is_some(), "{judged:?}");
        }
    }
    assert!(came_back > 0);
}
