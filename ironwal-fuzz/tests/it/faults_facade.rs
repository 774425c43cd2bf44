//! What a log does when the machine fails: it tells, it fences, and nothing acknowledged is lost.

use std::io::ErrorKind::{Interrupted, StorageFull};
use std::sync::Arc;

use ironwal::{Environment, ErrorKind, Outcome, Wal, WalOptions};
use ironwal_format::names::SEGMENT_SUFFIX;
use ironwal_fuzz::faults::{Fault, Faults, FaultyStorage, Op, Repeat};
use ironwal_fuzz::host::CountingHost;
use ironwal_fuzz::judge::Index;
use ironwal_fuzz::model::Model;
use ironwal_fuzz::oracle::{check_disk, check_readers, open};
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage, SyncFailure};
use ironwal_fuzz::world::{Call, Trouble, World};

const OPTIONS: WalOptions = WalOptions::new().max_segment_entries(2);

const EIO: i32 = 5;
const EMFILE: i32 = 24;

fn append(stream: usize) -> Call {
    Call::Append { stream, len: 20 }
}

/// Appends with rotations to two streams, a close among them.
fn script() -> Vec<Call> {
    let mut calls: Vec<_> = [0, 0, 1, 0, 0, 1, 0].map(append).to_vec();
    calls.push(Call::Batch { stream: 1, lens: vec![30, 0, 30] });
    calls.push(Call::Iterate { stream: 0, from: 1 });
    calls.push(Call::Close);
    calls.extend([0, 1, 0].map(append));
    calls.push(Call::Get { stream: 1, at: 3 });
    calls
}

/// The same, with an attempt to reopen after each call.
fn reopening(calls: &[Call]) -> Vec<Call> {
    let after =
        |call: &Call| [call.clone(), Call::Reopen { stream: 0 }, Call::Reopen { stream: 1 }];
    calls.iter().flat_map(after).collect()
}

struct Machine {
    disk: SimStorage,
    faults: Faults,
    world: World,
}

fn machine() -> Machine {
    let disk = SimStorage::new();
    let storage = FaultyStorage::new(Arc::new(disk.clone()));
    let faults = storage.faults().clone();
    let world = World::new(Arc::new(storage), OPTIONS, Trouble::None);
    Machine { disk, faults, world }
}

impl Machine {
    /// The machine works again: so has the log, with all that was acknowledged, in this run and
    /// after every end of it.
    fn recovers(&mut self, context: &str) {
        self.faults.clear();
        let Self { disk, world, .. } = self;
        world.set_trouble(Trouble::None);
        let mut check = || {
            check_disk(&disk.kill(), world.model(), (world.options(), Index::Any))?;
            for choice in [CrashChoice::Nothing, CrashChoice::Everything] {
                check_disk(&disk.crash(choice), world.model(), (world.options(), Index::Any))?;
            }
            world.run(&[Call::Reopen { stream: 0 }, Call::Reopen { stream: 1 }])?;
            world.run(&[append(0), append(1), append(0), append(0)])?;
            check_readers(world.wal().expect("it is open"), world.model())?;
            check_disk(
                &disk.crash(CrashChoice::Nothing),
                world.model(),
                (world.options(), Index::Any),
            )?;
            world.run(&[Call::Close, append(0)])?;
            check_disk(
                &disk.crash(CrashChoice::Nothing),
                world.model(),
                (world.options(), Index::Any),
            )
        };
        if let Err(violation) = check() {
            panic!("{context}: {violation}");
        }
    }
}

/// How many calls to the storage the script needs.
fn operation_count(calls: &[Call]) -> u64 {
    let mut machine = machine();
    machine.world.run(calls).unwrap();
    machine.faults.total_count()
}

#[test]
fn a_failure_of_any_call_loses_nothing_and_uses_no_number_twice() {
    for calls in [script(), reopening(&script())] {
        let count = operation_count(&calls);
        let mut runs = 0;
        for fault in [Fault::error(StorageFull), Fault::errno(EMFILE), Fault::errno(EIO)] {
            for repeat in [Repeat::Once, Repeat::Times(2), Repeat::ForEver] {
                for number in 0..count {
                    let mut machine = machine();
                    machine.world.set_trouble(Trouble::Expected);
                    machine.faults.add(fault.clone().nth(number).repeated(repeat));
                    let context = format!("{fault:?} {repeat:?} at {number}");
                    if let Err(violation) = machine.world.run(&calls) {
                        panic!("{context}: {violation}");
                    }
                    machine.recovers(&context);
                    runs += 1;
                }
            }
        }
        println!("{runs} runs, {count} operations");
    }
}

#[test]
fn a_short_write_then_a_full_disk_leaves_no_trace_of_the_append() {
    let calls = reopening(&script());
    let mut machine_of = machine();
    machine_of.world.run(&calls).unwrap();
    for number in 0..machine_of.faults.count(Op::Write) {
        let mut machine = machine();
        machine.world.set_trouble(Trouble::Expected);
        machine.faults.add(Fault::short_write_then(StorageFull).nth(number));
        machine.world.run(&calls).unwrap_or_else(|violation| panic!("{number}: {violation}"));
        machine.recovers(&format!("short write {number}"));
    }
}

#[test]
fn a_disk_that_is_full_after_any_number_of_bytes_loses_nothing_and_works_when_there_is_room() {
    let calls = reopening(&script());
    let mut full_runs = 0;
    for free_len in (0..30_000).step_by(37).chain(0..700) {
        let mut machine = machine();
        machine.world.set_trouble(Trouble::Expected);
        machine.faults.set_free_bytes(Some(free_len));
        machine.world.run(&calls).unwrap_or_else(|violation| panic!("{free_len}: {violation}"));
        full_runs += usize::from(machine.world.model().total_durable_count() < 13);
        machine.recovers(&format!("{free_len} bytes free"));
    }
    println!("the disk was full in {full_runs} runs");
    assert!(full_runs > 100);
}

/// Wherever in a rotation the space runs out, the append alone fails: nothing is fenced, and the
/// next works once there is room.
#[test]
fn a_full_disk_fences_nothing_and_appends_go_on_without_reopening() {
    let options = WalOptions::new().max_segment_size(500);
    let mut refused_count = 0;
    for free_len in (0..6000).step_by(3) {
        let storage = FaultyStorage::new(Arc::new(SimStorage::new()));
        let faults = storage.faults().clone();
        let environment =
            Environment::new(Arc::new(storage)).with_host(CountingHost::starting_at(1));
        let wal = Wal::open_in(environment, options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        let mut next = 0;
        let entry = |next: u64| next.to_le_bytes().repeat(10);
        while next < 9 {
            assert_eq!(stream.append(entry(next)).unwrap(), next);
            next += 1;
        }
        faults.set_free_bytes(Some(free_len));
        for _ in 0..12 {
            match stream.append(entry(next)) {
                Ok(seq) => {
                    assert_eq!(seq, next, "{free_len}");
                    next += 1;
                }
                Err(error) => {
                    assert_eq!(error.outcome(), Outcome::NotWritten, "{free_len}: {error}");
                    assert!(!error.is_fenced(), "{free_len}: {error}");
                    refused_count += 1;
                }
            }
        }
        faults.set_free_bytes(None);
        assert_eq!(stream.append(entry(next)).unwrap(), next, "{free_len}");
        let found: Vec<_> = stream.iter(..).unwrap().map(|found| found.unwrap().data).collect();
        assert_eq!(found, (0..=next).map(entry).collect::<Vec<_>>(), "{free_len}");
        wal.close().unwrap();
    }
    println!("{refused_count} appends refused");
    assert!(refused_count > 1000);
}

#[test]
fn short_and_interrupted_calls_are_not_noticed() {
    let moves = [Op::Read, Op::Write];
    let faults = [
        Fault::short().repeated(Repeat::ForEver),
        Fault::short().repeated(Repeat::Every(3)),
        Fault::error(Interrupted).on_any(&moves).repeated(Repeat::Every(2)),
        Fault::error(Interrupted).on(Op::Allocate).repeated(Repeat::Every(2)),
        Fault::error(Interrupted).on(Op::SetLen).repeated(Repeat::Every(2)),
    ];
    for fault in faults {
        let mut machine = machine();
        machine.faults.add(fault.clone());
        machine.world.run(&script()).unwrap_or_else(|violation| panic!("{fault:?}: {violation}"));
        assert_eq!(machine.world.model().total_durable_count(), 13);
        assert!(machine.faults.fired_count() > 0);
        machine.recovers(&format!("{fault:?}"));
    }
}

/// The syncs of a run, by what they sync.
fn syncs(calls: &[Call]) -> Vec<Op> {
    let mut machine = machine();
    machine.faults.keep_journal();
    machine.world.run(calls).unwrap();
    let journal = machine.faults.journal().into_iter().map(|(op, _)| op);
    journal.filter(|op| matches!(op, Op::SyncData | Op::SyncDir)).collect()
}

#[test]
fn what_was_recovered_after_a_failed_sync_survives_every_later_crash() {
    let calls = reopening(&script());
    let mut fenced_count = 0;
    for (number, op) in (0..).zip(syncs(&calls)) {
        for failure in [SyncFailure::KeepCache, SyncFailure::DropCache] {
            if op == Op::SyncDir && failure == SyncFailure::KeepCache {
                // No file system goes on after that: a failed journal makes it read-only.
                continue;
            }
            let context = format!("sync {number} {op:?} {failure:?}");
            let mut machine = machine();
            machine.world.set_trouble(Trouble::Expected);
            machine.disk.fail_sync_at(number, failure);
            machine.world.run(&calls).unwrap_or_else(|violation| panic!("{context}: {violation}"));
            fenced_count += usize::from(machine.world.model().total_durable_count() < 13);
            machine.recovers(&context);
        }
    }
    println!("{fenced_count} runs");
}

#[test]
fn a_failed_sync_fences_one_stream_until_it_is_reopened_and_old_handles_stay_dead() {
    let storage = FaultyStorage::new(Arc::new(SimStorage::new()));
    let faults = storage.faults().clone();
    let wal = open(Arc::new(storage), &CountingHost::starting_at(1), &OPTIONS).unwrap();
    let (stream, other) = (wal.stream("a").unwrap(), wal.stream("b").unwrap());
    stream.append("0").unwrap();
    other.append("0").unwrap();
    faults.add(Fault::errno(EIO).on(Op::SyncData));
    let error = stream.append("1").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SyncFailed(_)), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    for _ in 0..2 {
        let error = stream.append("2").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Fenced(_)), "{error}");
        assert_eq!(error.outcome(), Outcome::NotWritten);
    }
    assert_eq!(stream.next_seq().unwrap(), 1);
    assert_eq!(stream.durable_seq().unwrap(), 1);
    assert_eq!(stream.get(0).unwrap().unwrap(), "0");
    assert_eq!(other.append("1").unwrap(), 1);
    let report = wal.reopen("a").unwrap();
    assert_eq!(report.next_seq, 2);
    assert!(stream.append("3").unwrap_err().is_fenced());
    assert!(stream.get(0).unwrap_err().is_fenced());
    assert_eq!(wal.append("a", "2").unwrap(), 2);
    assert_eq!(wal.get("a", 1).unwrap().unwrap(), "1");
    wal.reopen("a").unwrap();
    assert_eq!(wal.append("a", "3").unwrap(), 3);
    wal.close().unwrap();
}

#[test]
fn a_failure_while_opening_is_never_damage_and_removes_nothing() {
    // Disks as a killed process and a power cut leave them.
    let calls: Vec<_> = (0..5).map(|_| append(0)).collect();
    let whole = SimStorage::new();
    World::new(Arc::new(whole.clone()), OPTIONS, Trouble::None).run(&calls).unwrap();
    let mut opened = 0;
    for point in whole.crash_points() {
        let disk = SimStorage::new();
        disk.crash_at(point);
        let mut world = World::new(Arc::new(disk.clone()), OPTIONS, Trouble::Expected);
        world.run(&calls).unwrap();
        let model = world.model().clone();
        let left = [disk.kill(), disk.crash(CrashChoice::Seeded(point))];
        for left in left {
            let count = open_with(&left.kill(), &model, None);
            for number in 0..count {
                for errno in [EIO, EMFILE] {
                    for repeat in [Repeat::Once, Repeat::ForEver] {
                        let fault = Fault::errno(errno).nth(number).repeated(repeat);
                        open_with(&left.kill(), &model, Some(&fault));
                        opened += 1;
                    }
                }
            }
        }
    }
    println!("{opened} openings");
}

/// Opens a disk while something fails, then again; gives how many calls that took.
fn open_with(disk: &SimStorage, model: &Model, fault: Option<&Fault>) -> u64 {
    let before = disk.contents();
    let storage = FaultyStorage::new(Arc::new(disk.clone()));
    let faults = storage.faults().clone();
    if let Some(fault) = fault {
        faults.add(fault.clone());
    }
    let host = CountingHost::starting_at(9);
    if let Ok(wal) = open(Arc::new(storage), &host, &OPTIONS) {
        if let Err(error) = wal.recover_all() {
            assert!(error.io_error().is_some(), "{fault:?}: {error}");
        }
        for report in wal.recovery_reports() {
            assert!(report.damage.is_empty(), "{fault:?}: {report:?}");
        }
    }
    let count = faults.total_count();
    let after = disk.contents();
    for (path, bytes) in
        before.iter().filter(|(path, _)| path.strip_suffix(SEGMENT_SUFFIX).is_some())
    {
        let is_new = path.starts_with(".new-");
        let kept = |(other, other_bytes): (&String, &Vec<u8>)| {
            other.starts_with(path.as_str()) && other_bytes == bytes
        };
        assert!(is_new || after.iter().any(kept), "{fault:?}: {path} is not what it was");
    }
    faults.clear();
    check_disk(&disk.kill(), model, (&OPTIONS, Index::Sound))
        .and_then(|()| {
            check_disk(&disk.crash(CrashChoice::Nothing), model, (&OPTIONS, Index::Sound))
        })
        .unwrap_or_else(|violation| panic!("{fault:?}: {violation}"));
    count
}
