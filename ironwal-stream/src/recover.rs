//! Recovery: from the files of a stream to an open stream, or to a finding.
//!
//! [`gather`](crate::gather) looks and changes nothing, [`plan`] decides, and
//! [`open`] does what was decided. A reader that must change nothing stops after the decision.

use std::path::PathBuf;
use std::sync::Arc;

use ironwal_format::index::{IndexRecord, SegmentRecord, StartRecord};
use ironwal_format::names::{StreamKey, torn_file_name};
use ironwal_format::repair::{Continuation, Plan};
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::recover::rewrite;
use ironwal_segment::storage::{OpenMode, Storage, StorageFile};
use ironwal_segment::{IoOp, SegmentName, SegmentWriter};

use crate::create::sync_root;
use crate::error::{Error, ErrorKind};
use crate::gather::{Identified, gather};
use crate::index_file::{IndexWriter, file_len, replace};
use crate::judge::{Judged, closed_view, judge, live_view, proven, segment_path};
use crate::options::{CorruptionPolicy, StreamOptions};
use crate::report::{IndexFinding, StreamReport};
use crate::sync_side::{SyncSide, remove_files};
use crate::view::{ActiveSegment, StreamView};
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
///    directory. From then on what was given up is dead. Else sync that one, if step 3 has not.
/// 6. Replace the index whole, with a floor for the last segment and no other.
/// 7. Unlink what a start record says is gone.
///
/// A crash after any step leaves the same log for the next recovery to find: steps 2 and 5 change
/// only what holds no entry, step 3 changes no byte, step 6 says what is so by then, and what step 7
/// removes counts for nothing. Where numbers are given up, a crash before the end of step 5 may leave
/// the damage as it was, for either policy to find; one behind it leaves the shorter log, whole. After a
/// clean close there is nothing to do after step 1, but to sync the last segment, from which a process that
/// was killed since may have cut a failed append off, and the directory if there is a start record, or what was
/// set aside: what the record says must be durable before step 7, what was unlinked must not come back with a lost
/// index, and what was renamed not with its old name.
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
    let proven = gathered.identified.as_ref().map(proven).transpose()?;
    let (mut view, report) = match judge(storage, key, gathered, CorruptionPolicy::Error)? {
        Judged::Sound(identified, plan, mut report) => {
            report.set_aside =
                plan.set_aside.map(|ordinal| segment_path(&identified.dir, &identified, ordinal));
            (Some(live_view(identified, &plan)), report)
        }
        Judged::Refused(view, report) => (view, report),
    };
    if let (Some(view), Some(proven)) = (&mut view, proven) {
        view.proven = proven.min(view.next);
    }
    Ok(Some((view, report)))
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
        let index = self.index(tail.floor, report.index)?;
        self.remove_gone()?;
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
        // What a truncation that was killed has renamed and unlinked may be in the cache only, though the
        // index that it leaves covers everything; so may the name of what a recovery has set aside.
        let Identified { closed_cleanly, start, torn_names, .. } = &self.identified;
        if !closed_cleanly || start.is_some() || !torn_names.is_empty() {
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
        // A process that was killed may have cut a failed append off, and not synced that: nothing is seen of
        // it, and a power cut would bring the append back.
        if self.plan.rewrite.iter().all(|part| part.ordinal != last.ordinal) {
            let failed = |source| Error::io(dir.display(&name.file_name()), IoOp::Sync, source);
            file.sync_data().map_err(failed)?;
        }
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
        let StreamOptions { max_segment_len, preallocation, .. } = self.options;
        SegmentWriter::new(&self.identified.dir, name, max_segment_len, preallocation)
    }

    fn tail(&self, writer: SegmentWriter, file: Arc<dyn StorageFile>) -> Tail {
        let SegmentName { base, ordinal } = writer.name();
        let len = u32::try_from(writer.position()).expect("offsets in a segment have 32 bits");
        let floor = SegmentRecord { base, end: self.plan.end, len, ordinal };
        Tail { writer, file, floor }
    }

    /// Replaces the index whole, unless it ends in the floor that it would end in, and few records of
    /// earlier closings have piled up in it.
    fn index(&self, floor: SegmentRecord, index: IndexFinding) -> Result<IndexWriter, Error> {
        let dir = &self.identified.dir;
        let last = IndexRecord::Floor(floor);
        let start = self.start(floor, index).map(IndexRecord::Start);
        let sealed = self.plan.records.iter().copied().map(IndexRecord::Sealed);
        let records: Vec<_> = start.into_iter().chain(sealed).chain([last]).collect();
        if self.identified.closed_cleanly
            && let Some((len, found)) = self.identified.index_end
            && found == Some(last)
            && len <= 2 * file_len(dir, records.len()) + INDEX_SLACK_LEN
        {
            return Ok(IndexWriter::found(Arc::clone(dir), len, &records));
        }
        let len = replace(dir, &records)?;
        Ok(IndexWriter::new(Arc::clone(dir), len, &records))
    }

    /// The start record; where it was lost with the index, what it has to be: without one a stream begins
    /// with the first segment that it ever had.
    fn start(&self, floor: SegmentRecord, index: IndexFinding) -> Option<StartRecord> {
        let SegmentRecord { ordinal, .. } = *self.plan.records.first().unwrap_or(&floor);
        let was_lost = index != IndexFinding::Sound && ordinal > Ordinal::ZERO;
        let base = self.plan.first;
        self.identified.start.or(was_lost.then_some(StartRecord { base, ordinal }))
    }

    /// Unlinks the segments in front of the start record: a truncation was interrupted.
    fn remove_gone(&self) -> Result<(), Error> {
        remove_files(&self.identified.dir, &self.identified.gone_names)
    }

    fn base(&self, ordinal: Ordinal) -> Option<SequenceNumber> {
        self.identified.fact(ordinal).map(|segment| segment.base)
    }
}
