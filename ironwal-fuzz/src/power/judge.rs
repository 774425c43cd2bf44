//! Opens the log on a disk whose power was cut, and compares it with what was promised.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use ironwal::{Entry, IndexFinding, RecoveryReport, Wal, WalOptions};

use super::events::Event;
use super::promises::{Deletion, LifePromises, Promises};
use super::script::{KEYS, Op};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::told;

type Checked<T = ()> = Result<T, Violation>;

/// What was there of one stream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct FoundStream {
    pub(super) first: u64,
    pub(super) next: u64,
    /// The operations whose entries are there, and the number of their first.
    pub(super) frames: Vec<(u64, Op)>,
    /// The life of the stream, if anything tells.
    pub(super) life: Option<u64>,
}

/// What was there of all streams, by the place of their key in [`KEYS`].
pub(super) type Found = BTreeMap<usize, FoundStream>;

/// What recoveries told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) torn: u64,
    pub(super) set_aside: u64,
    pub(super) rewritten_len: u64,
    pub(super) byte_len: u64,
}

/// Opens the log, and recovers all of it.
pub(super) fn open(root: &Path, options: &WalOptions, counts: &mut Told) -> Checked<Wal> {
    let wal = Wal::open(root, options.clone()).map_err(|error| failed("open", &error))?;
    let reports = wal.recover_all().map_err(|error| failed("recover", &error))?;
    for report in &reports {
        if !report.damage.is_empty() || !report.foreign_names.is_empty() {
            return Err(Violation::new(Invariant::I12, format!("a false alarm: {report:?}")));
        }
        if report.index != IndexFinding::Sound {
            // The end of it may be lost, but it is never in the place of another before it is whole.
            return Err(Violation::new(Invariant::I12, format!("the index: {report:?}")));
        }
        counts.torn += u64::from(report.torn.is_some());
        counts.set_aside += u64::from(report.set_aside.is_some());
        counts.rewritten_len += report.rewritten_len;
    }
    Ok(wal)
}

/// Compares what is there with what was promised.
pub(super) fn compare(wal: &Wal, promises: &Promises, counts: &mut Told) -> Checked<Found> {
    let keys = wal.streams().map_err(|error| failed("list streams", &error))?;
    if let Some(key) = keys.iter().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(Violation::new(Invariant::I6, format!("a stream {key:?} that nobody made")));
    }
    let mut seen = HashSet::new();
    let mut all = Found::new();
    for (stream, key) in KEYS.iter().enumerate() {
        let mut found = read(wal, stream, promises, counts)?;
        if let Some((_, op)) = found.frames.iter().find(|(_, op)| !seen.insert(*op)) {
            return Err(Violation::new(Invariant::I4, format!("{key}: {op:?} is there twice")));
        }
        found.life = Some(settle(stream, &found, promises)?).filter(|_| found.next > 0);
        check_others(stream, &found, promises)?;
        all.insert(stream, found);
    }
    Ok(all)
}

/// Reads a stream: its numbers have to be dense, its entries what was issued, its batches whole.
fn read(wal: &Wal, stream: usize, promises: &Promises, counts: &mut Told) -> Checked<FoundStream> {
    let key = KEYS.get(stream).copied().unwrap_or_default();
    let first = wal.first_seq(key).map_err(|error| failed("look", &error))?;
    let next = wal.next_seq(key).map_err(|error| failed("look", &error))?;
    let mut entries = wal.iter(key, ..).map_err(|error| failed("read", &error))?;
    let mut read_next = |seq: u64| -> Checked<Entry> {
        let entry = entries.next().transpose().map_err(|error| failed("read", &error))?;
        let entry = entry.filter(|entry| entry.seq == seq);
        entry.ok_or_else(|| Violation::new(Invariant::I4, format!("{key}: there is no {seq}")))
    };
    let mut found = FoundStream { first, next, ..FoundStream::default() };
    let mut seq = first;
    while seq < next {
        let entry = read_next(seq)?;
        let op = Op::of(&entry.data).filter(|op| promises.issued.contains_key(op));
        let op = op.filter(|op| op.stream() == stream && op.count() > 0).ok_or_else(|| {
            Violation::new(
                Invariant::I6,
                format!("{key} {seq}: {:?} was not issued", Op::of(&entry.data)),
            )
        })?;
        found.frames.push((seq, op));
        let mut data = entry.data;
        for part in 0..op.count() {
            if part > 0 {
                if seq == next {
                    return Err(Violation::new(
                        Invariant::I3,
                        format!("{key}: {op:?} ends at {seq}"),
                    ));
                }
                data = read_next(seq)?.data;
            }
            if *data != *op.entry(part) {
                let what = format!("{key} {seq} is not part {part} of {op:?}");
                return Err(Violation::new(Invariant::I6, what));
            }
            counts.byte_len += data.len() as u64;
            seq += 1;
        }
    }
    if entries.next().is_some() {
        return Err(Violation::new(Invariant::I4, format!("{key}: there is more than {next}")));
    }
    Ok(found)
}

/// In which of its lives a stream is, and that all is there that was promised of it.
fn settle(stream: usize, found: &FoundStream, promises: &Promises) -> Checked<u64> {
    let lives: HashSet<_> =
        found.frames.iter().filter_map(|(_, op)| promises.issued.get(op)).collect();
    if lives.len() > 1 {
        return Err(Violation::new(
            Invariant::I7,
            format!("{:?}: of lives {lives:?}", KEYS.get(stream)),
        ));
    }
    if let Some(life) = lives.into_iter().next() {
        return settle_as(stream, *life, found, promises).map(|()| *life);
    }
    // Without entries, the numbers have to fit to one of them.
    let candidates = promises.candidates(stream);
    let mut refused =
        Violation::new(Invariant::I7, format!("{:?}: nothing fits {found:?}", KEYS.get(stream)));
    for life in candidates.iter().rev() {
        match settle_as(stream, *life, found, promises) {
            Ok(()) => return Ok(*life),
            Err(violation) => refused = violation,
        }
    }
    // It is not there, or has nothing: `check_others` says whether that is right.
    if found.next == 0 { Ok(u64::MAX) } else { Err(refused) }
}

fn settle_as(stream: usize, life: u64, found: &FoundStream, promises: &Promises) -> Checked {
    let what = |what: String| format!("{:?}, life {life}: {what}", KEYS.get(stream));
    let unused = LifePromises::default();
    let promised = promises.lives.get(&(stream, life)).unwrap_or(&unused);
    if promised.deletion == Deletion::Done {
        return Err(Violation::new(Invariant::I7, what("it was deleted".to_owned())));
    }
    if found.next < promised.durable_end {
        let what = what(format!("ends at {}, not at {}", found.next, promised.durable_end));
        return Err(Violation::new(Invariant::I1, what));
    }
    if found.first < promised.first_at_least {
        let what = what(format!("starts at {}, not {}", found.first, promised.first_at_least));
        return Err(Violation::new(Invariant::I7, what));
    }
    if found.first > promised.first_at_most {
        let what = what(format!("starts at {}, not {}", found.first, promised.first_at_most));
        return Err(Violation::new(Invariant::I1, what));
    }
    for (seq, op) in &found.frames {
        let placed = promises.placed.get(&((stream, life), *seq));
        if placed.is_some_and(|placed| placed != op) {
            return Err(Violation::new(
                Invariant::I4,
                what(format!("{seq} is {op:?}, not {placed:?}")),
            ));
        }
    }
    Ok(())
}

/// Other lives of a stream than the one that is there were deleted, or held nothing durable.
fn check_others(stream: usize, found: &FoundStream, promises: &Promises) -> Checked {
    let of_stream = promises.lives.iter().filter(|((of, _), _)| *of == stream);
    for ((_, life), promised) in of_stream.filter(|((_, life), _)| found.life != Some(*life)) {
        if promised.durable_end > 0 && promised.deletion == Deletion::No {
            let key = KEYS.get(stream);
            let what =
                format!("{key:?}: life {life}, up to {} durable, is gone", promised.durable_end);
            return Err(Violation::new(Invariant::I1, what));
        }
    }
    Ok(())
}

/// Appends, closes and opens again: all that was there is there, and the new entries.
pub(super) fn go_on(wal: Wal, root: &Path, options: &WalOptions, found: &Found) -> Checked {
    for (stream, key) in KEYS.iter().enumerate() {
        let expected = found.get(&stream).map_or(0, |found| found.next);
        for (part, seq) in (expected..expected + 3).enumerate() {
            let appended = wal.append(key, format!("probe {part}"));
            let appended = appended.map_err(|error| failed("append", &error))?;
            if appended != seq {
                return Err(Violation::new(Invariant::I4, format!("{key}: {appended}, not {seq}")));
            }
        }
    }
    wal.sync().map_err(|error| failed("sync", &error))?;
    wal.close().map_err(|error| failed("close", &error))?;
    drop(wal);
    let wal = Wal::open(root, options.clone()).map_err(|error| failed("reopen", &error))?;
    let reports = wal.recover_all().map_err(|error| failed("recover again", &error))?;
    if let Some(report) = reports.iter().find(|report| !RecoveryReport::is_clean(report)) {
        return Err(Violation::new(Invariant::I8, format!("it was closed, but {report:?}")));
    }
    for (stream, key) in KEYS.iter().enumerate() {
        let first_new = found.get(&stream).map_or(0, |found| found.next);
        let entries = wal.iter(key, ..).map_err(|error| failed("read again", &error))?;
        let mut next = found.get(&stream).map_or(0, |found| found.first);
        let mut frames = found.get(&stream).into_iter().flat_map(|found| &found.frames).peekable();
        let mut op = None;
        for entry in entries {
            let entry = entry.map_err(|error| failed("read again", &error))?;
            if let Some((start, of)) = frames.next_if(|(start, _)| *start == next) {
                op = Some((*start, *of));
            }
            let expected = match op.filter(|_| next < first_new) {
                Some((start, of)) => of.entry(usize::try_from(next - start).unwrap_or_default()),
                None => format!("probe {}", next.wrapping_sub(first_new)).into_bytes(),
            };
            if entry.seq != next || *entry.data != *expected {
                return Err(Violation::new(
                    Invariant::I8,
                    format!("{key} {next}: other bytes than before"),
                ));
            }
            next += 1;
        }
        if next != first_new + 3 {
            return Err(Violation::new(
                Invariant::I11,
                format!("{key}: ends at {next}, not {first_new}+3"),
            ));
        }
    }
    wal.close().map_err(|error| failed("close again", &error))
}

/// What was found, as the history that the next life of the writer goes on with.
pub(super) fn history(found: &Found) -> Vec<Event> {
    let mut events = Vec::new();
    for (stream, found) in found {
        let Some(life) = found.life else { continue };
        for (start, op) in &found.frames {
            events.push(Event::Issued { op: *op, life, at: 0 });
            let end = start + op.count() as u64;
            events.push(Event::Acknowledged { op: *op, start: *start, end });
        }
        events.push(Event::Found { stream: *stream, life, first: found.first, next: found.next });
    }
    events
}

fn failed(doing: &str, error: &ironwal::Error) -> Violation {
    let invariant =
        if error.is_damage() || error.is_foreign() { Invariant::I12 } else { Invariant::I11 };
    Violation::new(invariant, told(doing, error))
}
