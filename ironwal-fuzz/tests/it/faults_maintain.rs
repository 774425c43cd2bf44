//! What is done with a stream beside appending to it, when the machine fails: in each mode.

use std::io::ErrorKind::StorageFull;
use std::sync::Arc;

use ironwal::SyncMode::{self, Async, BatchOnly, Strict};
use ironwal::{CompressionType, CorruptionPolicy, Outcome, ReadStrategy, WalOptions};
use ironwal_format::frame::HEADER_LEN;
use ironwal_format::names::segment_file_name;
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber, StreamKey};
use ironwal_fuzz::faults::{Fault, Faults, FaultyStorage, Op, Repeat};
use ironwal_fuzz::host::CountingHost;
use ironwal_fuzz::judge::Index;
use ironwal_fuzz::oracle::{check_disk, check_readers, open};
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage, SyncFailure};
use ironwal_fuzz::watched::WatchedStorage;
use ironwal_fuzz::world::{Call, Trouble, World};
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};

const EIO: i32 = 5;
const EMFILE: i32 = 24;

fn options() -> WalOptions {
    WalOptions::new()
        .max_segment_entries(2)
        .max_open_segments(1)
        .compression(CompressionType::None)
        .read_strategy(ReadStrategy::StandardIo)
}

fn append(stream: usize) -> Call {
    Call::Append { stream, len: 20 }
}

/// Everything there is to do with two streams, of which one is always parked.
fn script() -> Vec<Call> {
    let (stream, at) = (0, 3);
    vec![
        append(0),
        append(1),
        append(0),
        append(0),
        Call::Sync { stream },
        Call::Rotate { stream },
        append(0),
        Call::Truncate { stream, at },
        append(1),
        Call::Iterate { stream, from: 0 },
        Call::Batch { stream, lens: vec![30, 0] },
        Call::Truncate { stream, at: 4 },
        Call::SyncAll,
        Call::Delete { stream: 1 },
        append(1),
        Call::Close,
        append(0),
        Call::Delete { stream },
        append(0),
        Call::Get { stream, at: 0 },
        append(1),
    ]
}

/// The same, with an attempt to reopen after each call.
fn reopening() -> Vec<Call> {
    let after = |call| [call, Call::Reopen { stream: 0 }, Call::Reopen { stream: 1 }];
    script().into_iter().flat_map(after).collect()
}

struct Machine {
    disk: SimStorage,
    faults: Faults,
    world: World,
}

fn machine(mode: SyncMode) -> Machine {
    let disk = SimStorage::new();
    let storage = FaultyStorage::new(Arc::new(disk.clone()));
    let faults = storage.faults().clone();
    let world = World::new(Arc::new(storage), options(), Trouble::None).in_mode(mode);
    Machine { disk, faults, world }
}

impl Machine {
    /// The machine works again: so has the log, with all that was acknowledged, in this run and after
    /// every end of it.
    fn recovers(&mut self, context: &str) {
        self.faults.clear();
        let Self { disk, world, .. } = self;
        let cut = |disk: &SimStorage, choice, world: &World| {
            let model = world.model().after_power_cut();
            check_disk(&disk.crash(choice), &model, (world.options(), Index::Any))
        };
        let mut check = || {
            check_disk(&disk.kill(), world.model(), (world.options(), Index::Any))?;
            cut(disk, CrashChoice::Nothing, world)?;
            cut(disk, CrashChoice::Everything, world)?;
            world.run(&[Call::Reopen { stream: 0 }, Call::Reopen { stream: 1 }])?;
            // A failed sync of the root keeps streams from being made until the log is opened anew.
            world.run(&[Call::Drop])?;
            world.set_trouble(Trouble::None);
            world.run(&[append(0), append(1), append(0), Call::Rotate { stream: 0 }, append(0)])?;
            check_readers(world.wal().expect("it is open"), world.model())?;
            cut(disk, CrashChoice::Nothing, world)?;
            world.run(&[Call::Truncate { stream: 0, at: 2 }, Call::Close, append(0)])?;
            cut(disk, CrashChoice::Nothing, world)
        };
        if let Err(violation) = check() {
            panic!("{context}: {violation}");
        }
    }
}

#[test]
fn a_failure_of_any_call_of_any_kind_loses_nothing_and_brings_nothing_back() {
    let mut runs = 0;
    for (mode, calls) in [(Async, script()), (Strict, script()), (BatchOnly, reopening())] {
        let count = {
            let mut machine = machine(mode);
            machine.world.run(&calls).unwrap();
            machine.faults.total_count()
        };
        let faults = [
            (Fault::error(StorageFull), Repeat::Times(2)),
            (Fault::errno(EMFILE), Repeat::Once),
            (Fault::errno(EIO), Repeat::Once),
            (Fault::errno(EIO), Repeat::ForEver),
        ];
        for (fault, repeat) in faults {
            for number in 0..count {
                let mut machine = machine(mode);
                machine.world.set_trouble(Trouble::Expected);
                machine.faults.add(fault.clone().nth(number).repeated(repeat));
                let context = format!("{mode:?} {fault:?} {repeat:?} at {number}");
                let ran = machine.world.run(&calls);
                ran.unwrap_or_else(|violation| panic!("{context}: {violation}"));
                machine.recovers(&context);
                runs += 1;
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn what_was_recovered_after_a_failed_sync_survives_in_every_mode() {
    let mut runs = 0;
    for mode in [Async, Strict] {
        let calls = reopening();
        let syncs: Vec<Op> = {
            let mut machine = machine(mode);
            machine.faults.keep_journal();
            machine.world.run(&calls).unwrap();
            let journal = machine.faults.journal().into_iter().map(|(op, _)| op);
            journal.filter(|op| matches!(op, Op::SyncData | Op::SyncDir)).collect()
        };
        for (number, op) in (0..).zip(syncs) {
            for failure in [SyncFailure::KeepCache, SyncFailure::DropCache] {
                if op == Op::SyncDir && failure == SyncFailure::KeepCache {
                    // No file system goes on after that: a failed journal makes it read-only.
                    continue;
                }
                if (mode, failure) == (Async, SyncFailure::DropCache) {
                    // What readers were shown is gone from the cache: until the stream is reopened it is
                    // told as damage.
                    continue;
                }
                let context = format!("{mode:?} sync {number} {op:?} {failure:?}");
                let mut machine = machine(mode);
                machine.world.set_trouble(Trouble::Expected);
                machine.disk.fail_sync_at(number, failure);
                let ran = machine.world.run(&calls);
                ran.unwrap_or_else(|violation| panic!("{context}: {violation}"));
                // What the cache has dropped is lost to a killed process, too.
                machine.world.power_was_cut();
                machine.recovers(&context);
                runs += 1;
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn a_full_disk_fences_nothing_whatever_is_done_and_all_goes_on_when_there_is_room() {
    let mut refused_count = 0;
    for mode in [Async, Strict] {
        for free_len in (0..5000).step_by(7) {
            let Machine { disk, faults, mut world } = machine(mode);
            let stream = 0;
            world.run(&[append(0), append(1), append(0), append(0)]).unwrap();
            let wal = world.wal().unwrap().clone();
            let handle = wal.stream(&World::key(0)).unwrap();
            faults.set_free_bytes(Some(free_len));
            let mut refused = |error: ironwal::Error| {
                assert_eq!(error.outcome(), Outcome::NotWritten, "{free_len}: {error}");
                refused_count += 1;
                assert!(!error.is_fenced(), "{mode:?} {free_len}: {error}");
            };
            let mut next = 3;
            for _ in 0..3 {
                match handle.append("more") {
                    Ok(seq) => {
                        assert_eq!(seq, next);
                        next += 1;
                    }
                    Err(error) => refused(error),
                }
                if let Err(error) = handle.rotate() {
                    refused(error);
                }
            }
            if let Err(error) = handle.truncate_before(2) {
                refused(error);
            }
            drop((handle, wal));
            faults.set_free_bytes(None);
            let handle = world.wal().unwrap().stream(&World::key(stream)).unwrap();
            assert_eq!(handle.append("room").unwrap(), next, "{mode:?} {free_len}");
            assert_eq!(handle.rotate().unwrap(), next + 1);
            assert_eq!(handle.truncate_before(2).unwrap(), 2);
            let cut = disk.crash(CrashChoice::Nothing);
            let again = open(Arc::new(cut), &CountingHost::starting_at(77), &options()).unwrap();
            assert_eq!(again.next_seq(&World::key(0)).unwrap(), next + 1);
        }
    }
    println!("{refused_count} calls refused");
    assert!(refused_count > 300);
}

/// In Async, the one who closes or syncs the log is the first to hear of a sync that failed when an idle
/// file was closed.
#[test]
fn a_failed_sync_of_an_idle_file_is_told_to_the_next_who_asks_for_durability() {
    for ask in [Call::SyncAll, Call::Close] {
        let Machine { faults, mut world, .. } = machine(Async);
        world.run(&[append(0), append(1), append(0)]).unwrap();
        faults.add(Fault::errno(EIO).on(Op::SyncData).at_path_with("stream%2F0"));
        world.run(&[append(1)]).unwrap();
        assert!(faults.fired_count() > 0, "the file is parked");
        let wal = world.wal().unwrap().clone();
        let answer = if matches!(ask, Call::Close) { wal.close() } else { wal.sync() };
        assert!(answer.unwrap_err().is_fenced());
    }
}

/// What a killed process has written is made durable by whoever syncs the stream next.
#[test]
fn a_sync_covers_what_a_killed_process_has_written() {
    let Machine { disk, mut world, .. } = machine(Async);
    world.run(&[append(0)]).unwrap();
    let killed = disk.kill();
    let host = CountingHost::starting_at(5);
    let wal = open(Arc::new(killed.clone()), &host, &options()).unwrap();
    wal.stream(&World::key(0)).unwrap().sync().unwrap();
    let cut = open(Arc::new(killed.crash(CrashChoice::Nothing)), &host, &options()).unwrap();
    assert_eq!(cut.next_seq(&World::key(0)).unwrap(), 1);
}

#[test]
fn a_deletion_whose_sync_failed_is_never_said_to_be_done() {
    let Machine { disk, faults, mut world } = machine(Strict);
    world.run(&[append(0)]).unwrap();
    let wal = world.wal().unwrap().clone();
    faults.add(Fault::errno(EIO).on(Op::SyncDir));
    assert!(wal.delete_stream(&World::key(0)).is_err());
    let again = wal.delete_stream(&World::key(0));
    let cut = disk.crash(CrashChoice::Nothing);
    let after = open(Arc::new(cut), &CountingHost::starting_at(5), &options()).unwrap();
    assert!(again.is_err() || !after.contains(&World::key(0)).unwrap(), "{again:?}");
}

#[test]
fn files_that_could_not_be_removed_are_removed_by_the_next_truncation() {
    let Machine { disk, faults, mut world } = machine(Strict);
    world.run(&[append(0), append(0), append(0)]).unwrap();
    let stream = world.wal().unwrap().stream(&World::key(0)).unwrap();
    faults.add(Fault::errno(EIO).on(Op::Unlink));
    assert!(stream.truncate_before(2).is_err());
    assert_eq!(stream.first_seq().unwrap(), 2);
    assert_eq!(stream.truncate_before(2).unwrap(), 2);
    let cut = disk.crash(CrashChoice::Nothing).contents();
    let segments = cut.keys().filter(|path| path.contains(".wal"));
    assert_eq!(segments.count(), 1, "{:?}", cut.keys());
}

#[test]
fn rotating_streams_that_are_empty_holds_no_more_files_than_the_budget_allows() {
    let storage = WatchedStorage::new(Arc::new(SimStorage::new()));
    let host = CountingHost::starting_at(1);
    let wal = open(Arc::new(storage.clone()), &host, &options()).unwrap();
    let keys: Vec<_> = (0..5).map(World::key).collect();
    for _ in 0..2 {
        for key in &keys {
            wal.append(key, "one").unwrap();
            wal.stream(key).unwrap().rotate().unwrap();
        }
        for key in &keys {
            wal.stream(key).unwrap().rotate().unwrap();
        }
        assert!(storage.held_count() <= 1, "{} are held", storage.held_count());
    }
}

/// A segment that is shorter than its record is looked into: where that fails, it is no damage.
#[test]
fn a_failure_while_looking_into_what_is_short_is_told_and_gives_nothing_else_up() {
    let options = options().corruption_policy(CorruptionPolicy::Truncate);
    let host = CountingHost::starting_at(0);
    let opened = |storage: Arc<dyn Storage>| open(storage, &host, &options).unwrap();
    let disk = SimStorage::new();
    let wal = opened(Arc::new(disk.clone()));
    for n in 0..7 {
        wal.append("s", format!("entry number {n:05}")).unwrap();
    }
    wal.close().unwrap();
    // Two entries to a segment: of the second one, only the first entry is left.
    let name = segment_file_name(SequenceNumber::new(2), Ordinal::new(1));
    let file = disk.open(StoragePath::new("s").join(&name), OpenMode::ReadWrite).unwrap();
    let header_len = SegmentHeader::len_for(&StreamKey::new("s").unwrap());
    file.set_len(header_len + HEADER_LEN + 24 + 10).unwrap();
    file.sync_data().unwrap();
    let mut failures = 0;
    for number in 0.. {
        let disk = disk.kill();
        let storage = FaultyStorage::new(Arc::new(disk.clone()));
        let faults = storage.faults().clone();
        faults.add(Fault::errno(EIO).nth(number));
        match open(Arc::new(storage), &host, &options).and_then(|wal| wal.next_seq("s")) {
            Ok(next) => assert_eq!(next, 3, "call {number}"),
            Err(error) => {
                assert!(error.io_error().is_some(), "call {number}: {error}");
                failures += 1;
            }
        }
        let wal = opened(Arc::new(disk.kill()));
        assert_eq!(wal.next_seq("s").unwrap(), 3, "call {number}");
        assert_eq!(wal.get("s", 2).unwrap().unwrap(), "entry number 00002");
        if faults.fired_count() == 0 {
            break;
        }
    }
    assert!(failures > 10, "{failures} failures");
}
