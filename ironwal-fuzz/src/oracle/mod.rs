//! The judge: whether a log that was opened on what a crash left keeps every promise.
//!
//! The invariants are numbered I1 to I22. Those that hold after each recovery are checked here, against
//! the [`Model`] alone.

mod kept;
mod limits;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use ironwal::{Environment, RecoveryReport, Wal, WalOptions};
use ironwal_format::names::{INDEX_FILE, SEGMENT_SUFFIX};
use ironwal_segment::io::write_all;
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};

pub(crate) use self::kept::{check_kept, first_lost};
pub(crate) use self::limits::check_limits;
use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::judge::{Index, Judge};
use crate::model::{Found, Means, Model, Promise, Violation};
use crate::numbers::{check_each_is_reported, check_report, check_stats, first_told};
use crate::reach;
use crate::sim_storage::{CrashChoice, SimStorage};
use crate::tally::{self, Group};

/// Opens a log on a simulated machine: nothing depends on a clock or on chance.
///
/// # Errors
///
/// Those of the log.
pub fn open(
    storage: Arc<dyn Storage>,
    host: &Arc<CountingHost>,
    options: &WalOptions,
) -> ironwal::Result<Wal> {
    open_shared(storage, host, (options, NonZeroUsize::MIN))
}

/// As [`open`], where so many threads do what is done to several streams at once.
fn open_shared(
    storage: Arc<dyn Storage>,
    host: &Arc<CountingHost>,
    (options, threads): (&WalOptions, NonZeroUsize),
) -> ironwal::Result<Wal> {
    let host: Arc<dyn ironwal::Host> = Arc::<CountingHost>::clone(host);
    let environment = Environment::new(storage).with_host(host).with_recovery_threads(threads);
    Wal::open_in(environment, options.clone())
}

/// What each recovery is compared with the history for.
const LOOKED_AT: [Invariant; 9] = {
    use Invariant::{I1, I2, I3, I4, I5, I6, I7, I12, I20};
    [I1, I2, I3, I4, I5, I6, I7, I12, I20]
};

/// Recovers all streams of a log that was just opened, and compares all that is there with what was
/// issued; from then on exactly that has to be there. Gives the reports.
///
/// # Errors
///
/// The first promise that is broken: I1 to I7, I11, I12, I17 or I20.
pub fn check_after_recovery(
    wal: &Wal,
    model: &mut Model,
) -> Result<Vec<RecoveryReport>, Violation> {
    let reports = wal.recover_all().map_err(|error| broken(Invariant::I11, "recovery", &error))?;
    for report in &reports {
        if let Some(damage) = report.damage.first() {
            let what = format!("{}: {}", report.stream, told("damage", &damage.error));
            return Err(Violation::new(Invariant::I12, what));
        }
    }
    let streams = wal.streams().map_err(|error| broken(Invariant::I11, "streams", &error))?;
    let known: BTreeSet<String> = model.keys().map(str::to_owned).collect();
    if let Some(foreign) = streams.iter().find(|key| !known.contains(*key)) {
        return Err(Violation::new(Invariant::I2, format!("nobody made the stream {foreign}")));
    }
    if let Some(back) = streams.iter().find(|key| model.is_deleted(key)) {
        return Err(Violation::new(
            Invariant::I7,
            format!("the stream {back} was deleted, and is back"),
        ));
    }
    check_each_is_reported(&reports, &streams)?;
    for key in &known {
        let (found, durable) = read_all(wal, key)?;
        if durable != found.first + found.entries.iter().map(|_| 1).sum::<u64>() {
            let what = format!("{key}: only what is before {durable} is said to be durable");
            return Err(Violation::new(Invariant::I17, what));
        }
        model.settle(key, &found, Means::Recovered)?;
        if let Some(report) = reports.iter().find(|report| report.stream == *key) {
            check_report(wal, report, &found)?;
        }
        if found.entries.iter().any(Bytes::is_empty) {
            tally::count(Group::Reached, reach::EMPTY);
        }
        if model.is_recreated(key) {
            tally::count(Group::Reached, reach::RECREATED);
        }
    }
    LOOKED_AT.into_iter().for_each(tally::checked);
    Ok(reports)
}

/// Compares what readers of a running log see with what was acknowledged: that, and nothing else.
///
/// # Errors
///
/// The first promise that is broken.
pub fn check_readers(wal: &Wal, model: &Model) -> Result<(), Violation> {
    for key in model.keys() {
        let (found, durable) = read_all(wal, key)?;
        let promised = model.durable_count(key);
        if durable < promised {
            let what = format!("{key}: durable before {durable}, not before {promised}");
            return Err(Violation::new(Invariant::I17, what));
        }
        let Found { first, entries } = found;
        model.judge(key, |history| {
            let skipped = usize::try_from(first).unwrap_or(usize::MAX);
            if history.may_start_at(first) && entries.iter().eq(history.committed().skip(skipped)) {
                return Ok(());
            }
            let expected = history.committed().count();
            let seen = entries.len();
            let what = format!("{key}: readers see {seen} entries from {first} on, not {expected}");
            Err(Violation::new(Invariant::I6, what))
        })?;
    }
    Ok(())
}

/// Judges what a crash left, as [`Judge::judge_with`] does; the history as it is after a recovery is
/// forgotten, and so is the disk.
///
/// # Errors
///
/// The first promise that is broken.
pub fn check_disk(
    disk: &SimStorage,
    model: &Model,
    (options, index): (&WalOptions, Index),
) -> Result<(), Violation> {
    Judge::new().judge_with(&disk.kill(), model, (options, index)).map(drop)
}

/// I8: a second recovery has nothing to report and nothing to do.
pub(crate) fn check_unchanged(
    reports: &[RecoveryReport],
    before: &BTreeMap<String, Vec<u8>>,
    after: &BTreeMap<String, Vec<u8>>,
) -> Result<(), Violation> {
    if let Some(report) = reports.iter().find(|report| !report.is_clean()) {
        return Err(Violation::new(Invariant::I8, format!("the second recovery found {report:?}")));
    }
    if in_streams(before) != in_streams(after) {
        return Err(Violation::new(Invariant::I8, "the second recovery changed what is on disk"));
    }
    tally::checked(Invariant::I8);
    Ok(())
}

/// Takes each file away, then each beginning of a segment, from what a crash left: what was
/// acknowledged is there nevertheless, or its absence is told.
///
/// # Errors
///
/// The first promise that is broken.
pub fn check_losses(
    disk: &SimStorage,
    model: &Model,
    options: &WalOptions,
) -> Result<(), Violation> {
    let host = CountingHost::starting_at(1 << 42);
    // Nothing vouches for what was only written.
    let model = model.after_power_cut();
    for path in in_streams(&disk.contents()).keys() {
        let Some((dir, name)) = path.split_once('/').filter(|(_, name)| !name.is_empty()) else {
            continue;
        };
        let path = StoragePath::new(dir).join(name);
        let is_segment = name.strip_suffix(SEGMENT_SUFFIX).is_some();
        let losses = if is_segment { &[Loss::File, Loss::Beginning][..] } else { &[Loss::File] };
        for loss in losses {
            let poorer = disk.kill();
            let lost = match loss {
                Loss::File => poorer.unlink(path),
                Loss::Beginning => poorer
                    .open(path, OpenMode::ReadWrite)
                    .and_then(|file| write_all(&*file, &[0; 64], 0)),
            };
            lost.map_err(|error| Violation::new(Invariant::I13, format!("{path:?}: {error}")))?;
            let wal = open_sim(&poorer, &host, (options, NonZeroUsize::MIN))?;
            let reports =
                wal.recover_all().map_err(|error| broken(Invariant::I18, "recovery", &error))?;
            for key in model.keys() {
                let is_told =
                    reports.iter().any(|report| report.stream == key && !report.damage.is_empty());
                if is_told {
                    continue;
                }
                let (found, _) = read_all(&wal, key)?;
                model.clone().settle(key, &found, Means::Recovered).map_err(|violation| {
                    Violation::new(Invariant::I13, format!("{loss:?} of {path:?}: {violation}"))
                })?;
            }
        }
    }
    Ok(())
}

/// Takes the index of each stream away from what the end of a log left, whatever else went wrong: what was
/// removed by a truncation that succeeded stays so, or the loss is told.
///
/// # Errors
///
/// I7, and I18 where streams cannot be recovered.
pub fn check_removed(
    disk: &SimStorage,
    model: &Model,
    options: &WalOptions,
) -> Result<(), Violation> {
    let host = CountingHost::starting_at(1 << 43);
    let poorer = disk.kill();
    for path in in_streams(&disk.contents()).keys() {
        let Some((dir, INDEX_FILE)) = path.split_once('/') else { continue };
        poorer
            .unlink(StoragePath::new(dir).join(INDEX_FILE))
            .map_err(|error| Violation::new(Invariant::I13, format!("{path}: {error}")))?;
    }
    let wal = open_sim(&poorer, &host, (options, NonZeroUsize::MIN))?;
    let reports = wal.recover_all().map_err(|error| broken(Invariant::I18, "recovery", &error))?;
    for report in reports.iter().filter(|report| report.damage.is_empty()) {
        let (key, removed) = (&report.stream, model.removed(&report.stream));
        let (found, _) = read_all(&wal, key)?;
        if found.first < removed {
            let what = format!("{key}: begins with {}, not with {removed}", found.first);
            return Err(Violation::new(Invariant::I7, what));
        }
        tally::checked(Invariant::I7);
    }
    Ok(())
}

/// What is taken away.
#[derive(Clone, Copy, Debug)]
enum Loss {
    File,
    Beginning,
}

/// Appends to every stream and to one that is not there yet, reads, closes and opens again.
///
/// # Errors
///
/// The first promise that is broken.
pub fn check_usable(
    disk: &SimStorage,
    wal: &Wal,
    model: &Model,
    options: &WalOptions,
) -> Result<(), Violation> {
    let mut model = model.clone();
    let mut keys: Vec<String> = model.keys().map(str::to_owned).collect();
    keys.push("made after the crash".to_owned());
    for key in &keys {
        for len in [1, 2] {
            let frame: Vec<Bytes> =
                (0..len).map(|n| Bytes::from(format!("{key} {len} {n}"))).collect();
            let answer = wal.append_batch(key, &frame);
            if let Err(error) = &answer {
                return Err(Violation::new(Invariant::I11, told("append", error)));
            }
            model.note(key, &frame, &answer, Promise::Written)?;
        }
    }
    check_readers(wal, &model)?;
    wal.close().map_err(|error| Violation::new(Invariant::I11, told("close", &error)))?;
    model.all_synced();
    let host = CountingHost::starting_at(1 << 41);
    let after = disk.crash(CrashChoice::Nothing);
    let again = open_sim(&after, &host, (options, NonZeroUsize::MIN))?;
    let reports = check_after_recovery(&again, &mut model)?;
    let dirty = reports.iter().find(|report| !report.is_clean() || report.rewritten_len > 0);
    if let Some(report) = dirty {
        return Err(Violation::new(Invariant::I11, format!("after a clean close: {report:?}")));
    }
    Ok(())
}

pub(crate) fn open_sim(
    disk: &SimStorage,
    host: &Arc<CountingHost>,
    shared: (&WalOptions, NonZeroUsize),
) -> Result<Wal, Violation> {
    open_shared(Arc::new(disk.clone()), host, shared)
        .map_err(|error| Violation::new(Invariant::I11, told("open", &error)))
}

/// All entries of a stream, by iterator and one by one, and what is said to be durable.
pub(crate) fn read_all(wal: &Wal, key: &str) -> Result<(Found, u64), Violation> {
    let failed = |error: ironwal::Error| broken(Invariant::I1, "read", &error);
    let (first, next) = (wal.first_seq(key).map_err(failed)?, wal.next_seq(key).map_err(failed)?);
    let durable = wal.durable_seq(key).map_err(failed)?;
    if first > durable || durable > next {
        let what = format!("{key}: first {first}, durable {durable}, next {next}");
        return Err(Violation::new(Invariant::I4, what));
    }
    let mut entries: Vec<Bytes> = Vec::new();
    for (expected, entry) in (first..).zip(wal.iter(key, ..).map_err(failed)?) {
        let entry = entry.map_err(failed)?;
        if entry.seq != expected {
            let what = format!("{key}: number {} came in place of {expected}", entry.seq);
            return Err(Violation::new(Invariant::I4, what));
        }
        entries.push(entry.data);
    }
    if !(first..next).eq((first..).zip(&entries).map(|(seq, _)| seq)) {
        let what = format!("{key}: {} entries from {first} to {next}", entries.len());
        return Err(Violation::new(Invariant::I4, what));
    }
    for (seq, expected) in (first..).zip(&entries) {
        if wal.get(key, seq).map_err(failed)?.as_ref() != Some(expected) {
            let what = format!("{key}: entry {seq} of {next} differs when read alone");
            return Err(Violation::new(Invariant::I6, what));
        }
    }
    if wal.get(key, next).map_err(failed)?.is_some() {
        return Err(Violation::new(
            Invariant::I6,
            format!("{key}: there is an entry {next}, past the end"),
        ));
    }
    if let Some(gone) = first.checked_sub(1) {
        let mut from_gone = wal.iter(key, gone..).map_err(failed)?;
        let alone = wal.get(key, gone).err().as_ref().and_then(first_told);
        let on_the_way = from_gone.next().and_then(Result::err).as_ref().and_then(first_told);
        if [alone, on_the_way] != [Some(first); 2] {
            let told = format!("{alone:?} and {on_the_way:?}");
            let what = format!("{key}: of entry {gone} {told} is said, not that {first} is first");
            return Err(Violation::new(Invariant::I7, what));
        }
    }
    check_stats(wal, key, [first, durable, next])?;
    Ok((Found { first, entries }, durable))
}

/// The promise that an error breaks: I11 if the machine failed, else `invariant`.
fn broken(invariant: Invariant, doing: &str, error: &ironwal::Error) -> Violation {
    let invariant = if error.io_error().is_some() { Invariant::I11 } else { invariant };
    Violation::new(invariant, told(doing, error))
}

/// What is in the directories of streams.
pub fn in_streams(contents: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let in_stream = |path: &String| path.contains('/') && !path.starts_with('.');
    contents
        .iter()
        .filter(|(path, _)| in_stream(path))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect()
}

/// An error and its causes, in one line.
pub fn told(doing: &str, error: &ironwal::Error) -> String {
    let mut text = format!("{doing}: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
