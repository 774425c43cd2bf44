//! Recovery: from the files of a stream to an open stream, or to a finding.
//!
//! [`gather`](crate::gather) looks and changes nothing, [`plan`] decides, and
//! [`open`] does what was decided. A reader that must change nothing stops after the decision.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ironwal_format::index::{IndexRecord, SegmentRecord};
use ironwal_format::names::{StreamKey, torn_file_name};
use ironwal_format::repair::{
    Continuation, Damage, DamageKind, FileFacts, Plan, SegmentFacts, plan, plan_cut,
};
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::recover::{rewrite, scan_segment};
use ironwal_segment::storage::{OpenMode, Storage, StorageFile};
use ironwal_segment::{IoOp, SegmentName, SegmentWriter, StreamDir, check_identity, read_header};

use crate::create::sync_root;
use crate::error::{Error, ErrorKind};
use crate::gather::{Gathered, Identified, Refusal, gather};
use crate::index_file::{IndexWriter, file_len, replace};
use crate::options::{CorruptionPolicy, StreamOptions};
use crate::report::{DamageReport, StreamReport};
use crate::sync_side::SyncSide;
use crate::view::{ActiveSegment, ClosedSegment, MissingEntries, StreamView};
use crate::write_side::WriteSide;

/// How many bytes an index may be longer than twice what it needs, before an opening replaces it:
/// each clean close adds a record.
const INDEX_SLACK_LEN: u64 = 4096;

/// What became of opening a stream.
#[derive(Debug)]
pub enum Opened {
    /// There is no such stream.
    Absent,
    /// It can be appended to.
    Ready(Box<OpenStream>, StreamReport),
    /// It is damaged, or has parts that cannot be judged: nothing on disk was changed, and what is
    /// not damaged can be read. The report says what it is.
    Refused(Option<StreamView>, StreamReport),
}

/// A stream that can be appended to, in its two halves, and what its readers start from.
#[derive(Debug)]
pub struct OpenStream {
    /// Places frames.
    pub write: WriteSide,
    /// Makes them durable.
    pub sync: SyncSide,
    /// What is committed: everything that was found.
    pub view: StreamView,
}

/// Opens a stream for writing, and repairs it if it was not closed. When this returns, all that it
/// found is durable.
///
/// 1. Look at everything and decide. If anything is damaged, stop: nothing was changed. With
///    [`CorruptionPolicy::Truncate`] go on, unless something is not to be judged: the log ends at the
///    first lost number, and what lies past it is left as it is.
/// 2. Rename a last segment without a valid header, for which nothing vouches. Step 4 makes that
///    durable, before anything takes its place.
/// 3. Write again and sync what was verified but nothing vouches for, in the order of ordinals.
/// 4. Sync the directory, and the root if nothing proves that this was done.
/// 5. If the log does not end in an open segment: create the segment that ends it, sync it, sync the
///    directory. From then on what was given up is dead.
/// 6. Replace the index whole, with a floor for the last segment and no other.
///
/// A crash after any step leaves the same log for the next recovery to find: steps 2 and 5 change
/// only what holds no entry, step 3 changes no byte, and step 6 says what is so by then. Where numbers
/// are given up, a crash before the end of step 5 may leave the damage as it was, for either policy to
/// find; one behind it leaves the shorter log, whole. After a clean close there is nothing to do after
/// step 1.
///
/// # Errors
///
/// Those of the operating system: no verdict was come to, and what is there counts as before.
pub fn open(
    storage: &Arc<dyn Storage>,
    key: &StreamKey,
    options: StreamOptions,
    now: u64,
) -> Result<Opened, Error> {
    let Some(gathered) = gather(storage, key)? else {
        return Ok(Opened::Absent);
    };
    let (identified, plan, mut report) = match judge(storage, key, gathered, options.corruption)? {
        Judged::Sound(identified, plan, report) => (identified, plan, report),
        Judged::Refused(view, report) => return Ok(Opened::Refused(view, report)),
    };
    let repair = Repair { storage, identified, plan, options };
    let stream = repair.run(now, &mut report)?;
    Ok(Opened::Ready(Box::new(stream), report))
}

/// Looks at a stream and changes nothing; `None` if there is no such stream. The view ends where
/// recovery would end the log; a segment that it would set aside is told by the name that it has.
///
/// # Errors
///
/// Those of the operating system.
pub fn inspect(
    storage: &Arc<dyn Storage>,
    key: &StreamKey,
) -> Result<Option<(Option<StreamView>, StreamReport)>, Error> {
    let Some(gathered) = gather(storage, key)? else {
        return Ok(None);
    };
    Ok(Some(match judge(storage, key, gathered, CorruptionPolicy::Error)? {
        Judged::Sound(identified, plan, mut report) => {
            report.set_aside =
                plan.set_aside.map(|ordinal| segment_path(&identified.dir, &identified, ordinal));
            (Some(closed_view(&identified.dir, &plan)), report)
        }
        Judged::Refused(view, report) => (view, report),
    }))
}

enum Judged {
    Sound(Identified, Box<Plan>, StreamReport),
    Refused(Option<StreamView>, StreamReport),
}

/// Looks into what is too short, and decides what the stream is, without changing anything.
///
/// # Errors
///
/// Those of the operating system.
fn judge(
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

fn segment_path(dir: &StreamDir, identified: &Identified, ordinal: Ordinal) -> PathBuf {
    let segment = identified.facts.iter().find(|segment| segment.ordinal == ordinal);
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
fn closed_view(dir: &Arc<StreamDir>, plan: &Plan) -> StreamView {
    StreamView {
        dir: Arc::clone(dir),
        first: plan.first,
        next: plan.end,
        closed: plan.live.iter().map(closed_segment).collect(),
        active: None,
        missing: Vec::new(),
    }
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
    let is_first = facts.iter().all(|segment| segment.ordinal > name.ordinal);
    if is_first && name.base < plan.first && identified.start.is_none() {
        return (name.base, plan.first);
    }
    let is_last = facts.iter().all(|segment| segment.ordinal < name.ordinal);
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

/// The repair of one stream, as planned.
struct Repair<'a> {
    storage: &'a Arc<dyn Storage>,
    identified: Identified,
    plan: Box<Plan>,
    options: StreamOptions,
}

/// The segment that appends go on in.
struct Tail {
    writer: SegmentWriter,
    file: Arc<dyn StorageFile>,
    floor: SegmentRecord,
}

impl Repair<'_> {
    fn run(mut self, now: u64, report: &mut StreamReport) -> Result<OpenStream, Error> {
        let dir = Arc::clone(&self.identified.dir);
        report.set_aside = self.set_aside()?;
        report.rewritten_len = self.rewrite()?;
        let tail = match self.plan.continuation {
            Continuation::Append => self.resume()?,
            Continuation::NewSegment(ordinal) => self.start_segment(ordinal, now)?,
            Continuation::OrdinalsExhausted => {
                let path = self.storage.display(dir.path());
                return Err(Error::new(path, ErrorKind::Exhausted));
            }
        };
        let index = self.index(tail.floor)?;
        let Tail { writer, file, floor } = tail;
        let mut view = closed_view(&dir, &self.plan);
        view.closed.retain(|segment| segment.name.ordinal != floor.ordinal);
        view.active = Some(ActiveSegment {
            name: writer.name(),
            file: Some(Arc::clone(&file)),
            table: writer.table().clone(),
            len: writer.position(),
        });
        report.segment_count = view.closed.len() + 1;
        let write = WriteSide::new(Arc::clone(&dir), self.options, self.plan.end, writer, file);
        Ok(OpenStream { write, sync: SyncSide::new(dir, index), view })
    }

    /// Renames the last segment, if it has no valid header and nothing vouches for it.
    fn set_aside(&self) -> Result<Option<PathBuf>, Error> {
        let Some(ordinal) = self.plan.set_aside else { return Ok(None) };
        let Some(base) = self.base(ordinal) else { return Ok(None) };
        let dir = &*self.identified.dir;
        let kept = (0..=u32::MAX)
            .map(|n| torn_file_name(base, ordinal, n))
            .find(|name| !self.identified.torn_names.contains(name))
            .expect("not every number is taken");
        let name = SegmentName { base, ordinal }.file_name();
        self.storage
            .rename(dir.path().join(&name), dir.path().join(&kept))
            .map_err(|source| Error::io(dir.display(&name), IoOp::Rename, source))?;
        Ok(Some(dir.display(&kept)))
    }

    /// Writes again and syncs what nothing vouches for; then the names, if nothing proves them.
    fn rewrite(&mut self) -> Result<u64, Error> {
        let dir = &*self.identified.dir;
        let mut rewritten_len = 0;
        for part in &self.plan.rewrite {
            let Some(base) = self.base(part.ordinal) else { continue };
            let Some(scan) = self.identified.scan(part.ordinal) else { continue };
            let name = SegmentName { base, ordinal: part.ordinal };
            let file = dir.open_segment(name, OpenMode::ReadWrite)?;
            rewrite(dir, name, &file, scan, part.from)?;
            rewritten_len += part.until.saturating_sub(part.from);
        }
        if !self.identified.closed_cleanly {
            dir.sync()?;
        }
        if !self.identified.has_evidence() {
            sync_root(&**self.storage)?;
        }
        Ok(rewritten_len)
    }

    /// Goes on in the last segment.
    fn resume(&mut self) -> Result<Tail, Error> {
        let dir = &*self.identified.dir;
        let last = self.identified.facts.pop();
        let last = last.expect("a log that goes on has a segment to go on in");
        let name = SegmentName { base: last.base, ordinal: last.ordinal };
        let file = dir.open_segment(name, OpenMode::ReadWrite)?;
        let failed = |source| Error::io(dir.display(&name.file_name()), IoOp::Read, source);
        let file_len = file.file_len().map_err(failed)?;
        let scan = last.file.into_scan().expect("what goes on was scanned");
        let writer = self.writer(name).resume(scan, file_len);
        Ok(self.tail(writer, file))
    }

    /// Ends the log by a new segment.
    fn start_segment(&self, ordinal: Ordinal, now: u64) -> Result<Tail, Error> {
        let dir = &*self.identified.dir;
        let name = SegmentName { base: self.plan.end, ordinal };
        let file = dir.create_segment(name, now)?;
        let failed = |source| Error::io(dir.display(&name.file_name()), IoOp::Sync, source);
        file.sync_data().map_err(failed)?;
        dir.sync()?;
        Ok(self.tail(self.writer(name), file))
    }

    fn writer(&self, name: SegmentName) -> SegmentWriter {
        SegmentWriter::new(&self.identified.dir, name, self.options.max_segment_len)
    }

    fn tail(&self, writer: SegmentWriter, file: Arc<dyn StorageFile>) -> Tail {
        let SegmentName { base, ordinal } = writer.name();
        let len = u32::try_from(writer.position()).expect("offsets in a segment have 32 bits");
        let floor = SegmentRecord { base, end: self.plan.end, len, ordinal };
        Tail { writer, file, floor }
    }

    /// Replaces the index whole, unless it ends in the floor that it would end in, and few records of
    /// earlier closings have piled up in it.
    fn index(&self, floor: SegmentRecord) -> Result<IndexWriter, Error> {
        let dir = &self.identified.dir;
        let last = IndexRecord::Floor(floor);
        let start = self.identified.start.map(IndexRecord::Start);
        let sealed = self.plan.records.iter().copied().map(IndexRecord::Sealed);
        let records: Vec<_> = start.into_iter().chain(sealed).chain([last]).collect();
        if self.identified.closed_cleanly
            && let Some((len, found)) = self.identified.index_end
            && found == Some(last)
            && len <= 2 * file_len(dir, records.len()) + INDEX_SLACK_LEN
        {
            return Ok(IndexWriter::new(Arc::clone(dir), len, found));
        }
        let len = replace(dir, &records)?;
        Ok(IndexWriter::new(Arc::clone(dir), len, Some(last)))
    }

    fn base(&self, ordinal: Ordinal) -> Option<SequenceNumber> {
        let found = self.identified.facts.iter().find(|segment| segment.ordinal == ordinal);
        found.map(|segment| segment.base)
    }
}
