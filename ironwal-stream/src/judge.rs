//! The verdict on what was found of a stream: whether it is sound, and what readers see of it.
//!
//! Nothing here changes anything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ironwal_format::names::StreamKey;
use ironwal_format::repair::{
    Continuation, Damage, DamageKind, FileFacts, Plan, SegmentFacts, plan, plan_cut, proven_end,
};
use ironwal_format::walk::{Bounds, Place};
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::recover::scan_segment;
use ironwal_segment::storage::{OpenMode, Storage};
use ironwal_segment::{
    IoOp, Read, SCAN_WINDOW_LEN, SegmentBytes, SegmentName, SegmentReader, StreamDir,
    check_identity, read_header,
};

use crate::error::{Error, ErrorKind};
use crate::gather::{Gathered, Identified, Refusal};
use crate::options::CorruptionPolicy;
use crate::report::{DamageReport, StreamReport};
use crate::view::{ActiveSegment, ClosedSegment, MissingEntries, StreamView};

/// What a stream is.
pub(crate) enum Judged {
    /// It is, or will be once it is repaired as planned, whole.
    Sound(Identified, Box<Plan>, StreamReport),
    /// It is damaged, or has parts that are not to be judged.
    Refused(Option<StreamView>, StreamReport),
}

/// Looks into what is too short, and decides what the stream is, without changing anything.
///
/// # Errors
///
/// Those of the operating system.
pub(crate) fn judge(
    storage: &Arc<dyn Storage>,
    key: &StreamKey,
    gathered: Gathered,
    policy: CorruptionPolicy,
) -> Result<Judged, Error> {
    let Gathered { identified, mut refusals, index, foreign_names } = gathered;
    let mut report = StreamReport {
        key: key.clone(),
        first: SequenceNumber::ZERO,
        next: SequenceNumber::ZERO,
        segment_count: 0,
        torn: None,
        set_aside: None,
        rewritten_len: 0,
        index,
        damage: Vec::new(),
        given_up: None,
        foreign_names,
    };
    let none = SequenceNumber::ZERO;
    let refuse = |error: Error| DamageReport { error, lost_from: none, lost_until: none };
    let Some(mut identified) = identified else {
        report.damage.extend(refusals.into_iter().map(|refusal| refuse(refusal.error)));
        return Ok(Judged::Refused(None, report));
    };
    let short = scan_short(&mut identified, policy, &mut refusals)?;
    let (facts, start) = (&identified.facts, identified.start);
    let plan = match policy {
        CorruptionPolicy::Truncate if refusals.is_empty() => plan_cut(facts, start),
        CorruptionPolicy::Truncate | CorruptionPolicy::Error => plan(facts, start),
    };
    let dir = &identified.dir;
    report.first = plan.first;
    report.next = plan.end;
    report.segment_count = plan.live.len();
    report.torn = plan.torn.map(|(ordinal, tear)| (segment_path(dir, &identified, ordinal), tear));
    if !refusals.is_empty() || !plan.damage.is_empty() {
        let view = refused_view(&identified, &plan, refusals, &mut report);
        if policy == CorruptionPolicy::Truncate
            && plan.continuation == Continuation::OrdinalsExhausted
        {
            let path = storage.display(dir.path());
            report.damage.push(refuse(Error::new(path, ErrorKind::Exhausted)));
        }
        return Ok(Judged::Refused(Some(view), report));
    }
    let found = plan.cut.as_ref().map(|cut| &*cut.damage).unwrap_or_default();
    let is_told = |short: &&Damage| found.iter().any(|damage| damage.ordinal == short.ordinal);
    let short = short.iter().filter(|short| !is_told(short));
    report.damage.extend(found.iter().chain(short).map(|damage| damage_report(dir, damage)));
    if let Some(cut) = &plan.cut {
        name_what_may_be_lost(&mut report.damage, cut.until);
        let until = report.damage.iter().map(|damage| damage.lost_until).max();
        report.given_up = Some(cut.from..until.unwrap_or(cut.until).max(cut.until));
    }
    if plan.continuation == Continuation::OrdinalsExhausted {
        let path = storage.display(dir.path());
        report.damage.push(refuse(Error::new(path, ErrorKind::Exhausted)));
        return Ok(Judged::Refused(Some(closed_view(dir, &plan)), report));
    }
    Ok(Judged::Sound(identified, Box::new(plan), report))
}

/// Scans the segments that are shorter than their records, where these may be older than what ended
/// the log before; with [`CorruptionPolicy::Truncate`] all of them, so that no more is given up than
/// has to be. Gives what is wrong with those that were scanned for that, if it is only the length.
fn scan_short(
    identified: &mut Identified,
    policy: CorruptionPolicy,
    refusals: &mut Vec<Refusal>,
) -> Result<Vec<Damage>, Error> {
    let Identified { dir, facts, start, closed_cleanly, .. } = identified;
    let first = start.map(|start| start.base).unwrap_or_default();
    let mut short = Vec::new();
    let mut limit = SequenceNumber::MAX;
    for segment in facts.iter_mut().rev() {
        let SegmentFacts { ordinal, base, record, ref file, .. } = *segment;
        let later = limit;
        if !matches!(file, FileFacts::Missing | FileFacts::Headless(..)) {
            limit = limit.min(base);
        }
        let (FileFacts::Recorded { len }, Some(record)) = (file, record) else { continue };
        let (len, expected) = (*len, record.len);
        let is_cut_off = later < record.end;
        let is_dead = base.max(first) >= later;
        if len >= expected || is_dead || (policy == CorruptionPolicy::Error && !is_cut_off) {
            continue;
        }
        let name = SegmentName { base, ordinal };
        let file = dir.open_segment(name, OpenMode::Read)?;
        if let Err(error) = check_identity(dir, name, &*file).map_err(Error::from) {
            if !error.is_finding() {
                return Err(error);
            }
            if !matches!(error.kind(), ErrorKind::Header { .. }) {
                refusals.push(Refusal { error, segment: Some(name) });
                continue;
            }
        }
        let failed = |source| Error::io(dir.display(&name.file_name()), IoOp::Read, source);
        let header = read_header(&*file).map_err(failed)?;
        let scan = scan_segment(dir, name, &file, later)?;
        let lost_from = scan.next.min(record.end);
        segment.file = match header {
            Ok(_) => FileFacts::Scanned(scan),
            Err(error) => FileFacts::Headless(error, scan),
        };
        // The index has to be replaced.
        *closed_cleanly = false;
        if !is_cut_off {
            let kind = DamageKind::Short { len, expected };
            short.push(Damage { ordinal, base, kind, lost_from, lost_until: lost_from });
        }
    }
    Ok(short)
}

pub(crate) fn segment_path(dir: &StreamDir, identified: &Identified, ordinal: Ordinal) -> PathBuf {
    let segment = identified.fact(ordinal);
    let base = segment.map_or(SequenceNumber::ZERO, |segment| segment.base);
    dir.display(&SegmentName { base, ordinal }.file_name())
}

fn damage_report(dir: &StreamDir, damage: &Damage) -> DamageReport {
    let Damage { ordinal, base, kind, lost_from, lost_until } = *damage;
    let kind = match kind {
        DamageKind::Frame { offset, error } => ErrorKind::Frame { offset, source: error },
        DamageKind::Header(error) => ErrorKind::of_header(error),
        DamageKind::Short { len, expected } => ErrorKind::Short { len, expected },
        DamageKind::Missing => ErrorKind::Missing,
        DamageKind::Unsupported { .. } => ErrorKind::Unsupported,
    };
    let path = dir.display(&SegmentName { base, ordinal }.file_name());
    DamageReport { error: Error::new(path, kind), lost_from, lost_until }
}

/// The view of a stream that is not appended to.
pub(crate) fn closed_view(dir: &Arc<StreamDir>, plan: &Plan) -> StreamView {
    StreamView {
        dir: Arc::clone(dir),
        first: plan.first,
        next: plan.end,
        proven: plan.end,
        closed: plan.live.iter().map(closed_segment).collect(),
        active: None,
        missing: Vec::new(),
    }
}

/// The view of a stream that somebody else may append to: its last segment, if it was looked at whole,
/// is where that goes on.
pub(crate) fn live_view(identified: Identified, plan: &Plan) -> StreamView {
    let mut view = closed_view(&identified.dir, plan);
    let last = view.closed.last().copied();
    let scan = last.and_then(|last| identified.into_scan(last.name.ordinal));
    if let (Some(ClosedSegment { name, len, .. }), Some(scan)) = (last, scan) {
        view.closed.pop();
        view.active = Some(ActiveSegment { name, file: None, table: scan.table, len });
    }
    view
}

/// The view of a stream that is damaged or has parts that are not judged, and what is told of them.
///
/// Readers never come to the end of the log in silence where entries may be lost: a segment that
/// cannot be read is an error under the numbers that it held.
fn refused_view(
    identified: &Identified,
    plan: &Plan,
    refusals: Vec<Refusal>,
    report: &mut StreamReport,
) -> StreamView {
    let dir = &identified.dir;
    let mut view = closed_view(dir, plan);
    // In the order of numbers, as they are come to.
    let found = plan.damage.iter().map(|damage| Some(damage_report(dir, damage)));
    let mut found: Vec<_> = found.collect();
    let places: BTreeMap<_, _> = found
        .iter()
        .enumerate()
        .rev()
        .filter_map(|(at, damage)| Some((damage.as_ref()?.error.path().to_owned(), at)))
        .collect();
    for refusal in refusals {
        let Refusal { error, segment } = refusal;
        // The plan knows a segment that is refused as a gap, if as anything.
        let place = places.get(error.path());
        let gap = place.and_then(|at| found.get_mut(*at)).and_then(Option::take);
        let (lost_from, lost_until) = match (gap, segment) {
            (Some(gap), _) => (gap.lost_from, gap.lost_until),
            (None, Some(name)) => not_judged(identified, plan, name),
            (None, None) => (SequenceNumber::ZERO, SequenceNumber::ZERO),
        };
        report.damage.push(DamageReport { error, lost_from, lost_until });
    }
    report.damage.extend(found.into_iter().flatten());
    name_what_may_be_lost(&mut report.damage, plan.end);
    for DamageReport { error, lost_from: from, lost_until: until } in &report.damage {
        let (from, until) = (*from, *until);
        // The segments stand in the order of numbers.
        let at = view.closed.partition_point(|live| live.until <= from);
        let is_held = view.closed.get(at).is_some_and(|live| live.name.base < until);
        if from < until && !is_held {
            view.missing.push(MissingEntries { from, until, error: error.clone() });
            view.first = view.first.min(from);
            view.next = view.next.max(until);
        }
    }
    report.first = view.first;
    report.next = view.next;
    view
}

/// Where nothing tells how many entries a segment held that cannot be read, behind the `end` of all
/// that is known, it is taken to have held one.
fn name_what_may_be_lost(damage: &mut [DamageReport], end: SequenceNumber) {
    for damage in damage {
        let is_unreadable = matches!(
            damage.error.kind(),
            ErrorKind::Missing
                | ErrorKind::Foreign
                | ErrorKind::NotOurs
                | ErrorKind::Unsupported
                | ErrorKind::Header { .. }
        );
        if is_unreadable && damage.lost_from == damage.lost_until && damage.lost_from == end {
            damage.lost_until = end.checked_add(1).unwrap_or(SequenceNumber::MAX);
        }
    }
}

/// Which numbers a segment may hold that was not judged, and that no gap is the place of.
fn not_judged(
    identified: &Identified,
    plan: &Plan,
    name: SegmentName,
) -> (SequenceNumber, SequenceNumber) {
    let facts = &identified.facts;
    let is_first = facts.first().is_none_or(|first| first.ordinal > name.ordinal);
    if is_first && name.base < plan.first && identified.start.is_none() {
        return (name.base, plan.first);
    }
    let is_last = facts.last().is_none_or(|last| last.ordinal < name.ordinal);
    if is_last && name.base >= plan.end {
        let known = identified.floor.filter(|floor| floor.ordinal == name.ordinal);
        return (plan.end, known.map_or(name.base, |floor| floor.end).max(plan.end));
    }
    (SequenceNumber::ZERO, SequenceNumber::ZERO)
}

fn closed_segment(live: &ironwal_format::repair::LiveSegment) -> ClosedSegment {
    let name = SegmentName { base: live.base, ordinal: live.ordinal };
    ClosedSegment { name, until: live.until, len: live.len }
}

/// Up to which number everything is proven durable, by what is on disk.
///
/// # Errors
///
/// Those of the operating system.
pub(crate) fn proven(identified: &Identified) -> Result<SequenceNumber, Error> {
    let found = proven_end(&identified.facts, identified.start);
    let Some(within) = found.within else { return Ok(found.end) };
    let dir = &identified.dir;
    let name = SegmentName { base: within.base, ordinal: within.ordinal };
    let bytes = SegmentBytes::File(dir.open_segment(name, OpenMode::Read)?);
    let bounds = Bounds { len: within.len, until: within.limit };
    let mut reader = SegmentReader::new(Arc::clone(dir), name, bytes, bounds, SCAN_WINDOW_LEN)?;
    let table = identified.scan(within.ordinal).map(|scan| &scan.table);
    let points = table.map(ironwal_format::seal::SparseTable::points).unwrap_or_default();
    let mut at = match points.iter().rfind(|point| u64::from(point.offset) <= within.len) {
        None => reader.start(),
        Some(point) => Place {
            offset: u64::from(point.offset),
            seq: SequenceNumber::new(name.base.get().saturating_add(u64::from(point.entry))),
        },
    };
    let mut end = found.end;
    while let Read::Frame(_, next) = reader.read(at)? {
        end = end.max(next.seq.min(within.limit));
        at = next;
    }
    Ok(end)
}
