//! What is found of a stream before anything is decided: nothing here changes anything.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ironwal_format::index::{
    IndexContents, IndexEnd, IndexKnowledge, IndexRecord, SegmentRecord, StartRecord,
};
use ironwal_format::names::StreamKey;
use ironwal_format::repair::{FileFacts, SegmentFacts, Vouched};
use ironwal_format::scan::{Scan, ScanEnd};
use ironwal_format::segment_header::{SegmentHeader, SegmentHeaderError};
use ironwal_format::{Ordinal, SequenceNumber, StreamId};
use ironwal_segment::recover::scan_segment;
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};
use ironwal_segment::{IoOp, SegmentName, StreamDir, read_header};

use crate::error::{Error, ErrorKind};
use crate::index_file::{self, LoadedIndex};
use crate::layout::{self, Layout, Presence};
use crate::report::IndexFinding;

/// What is found of a stream.
pub(crate) struct Gathered {
    /// What can be judged; `None` if nothing tells which incarnation of the stream this is.
    pub(crate) identified: Option<Identified>,
    /// What keeps the stream from being appended to, whatever the rest is.
    pub(crate) refusals: Vec<Refusal>,
    /// What the index is.
    pub(crate) index: IndexFinding,
    /// Names that are not ours.
    pub(crate) foreign_names: Vec<String>,
}

/// A file that keeps the stream from being appended to for what it is.
pub(crate) struct Refusal {
    /// Which file, and what it is.
    pub(crate) error: Error,
    /// The segment whose name it has, if nothing else has that place.
    pub(crate) segment: Option<SegmentName>,
}

/// The facts of a stream whose incarnation is known.
pub(crate) struct Identified {
    pub(crate) dir: Arc<StreamDir>,
    /// The segments, in the order of ordinals.
    pub(crate) facts: Vec<SegmentFacts>,
    /// The start record, if there is one.
    pub(crate) start: Option<StartRecord>,
    /// The floor, if there is one.
    pub(crate) floor: Option<SegmentRecord>,
    /// The length of the index and its last record, if it is whole.
    pub(crate) index_end: Option<(u64, Option<IndexRecord>)>,
    /// Whether the index ends in a floor that covers the whole last segment, and nothing is left of
    /// an index that was to take its place.
    pub(crate) closed_cleanly: bool,
    /// The names of segments that were set aside.
    pub(crate) torn_names: Vec<String>,
    /// The names of segments that the start record says are gone.
    pub(crate) gone_names: Vec<String>,
}

impl Identified {
    /// What is known of a segment. The facts are in the order of ordinals.
    pub(crate) fn fact(&self, ordinal: Ordinal) -> Option<&SegmentFacts> {
        let at = self.facts.binary_search_by_key(&ordinal, |segment| segment.ordinal);
        self.facts.get(at.ok()?)
    }

    /// What was found in the frames of a segment.
    pub(crate) fn scan(&self, ordinal: Ordinal) -> Option<&Scan> {
        self.fact(ordinal)?.file.scan()
    }

    /// The same, taken out.
    pub(crate) fn into_scan(self, ordinal: Ordinal) -> Option<Scan> {
        let mut facts = self.facts.into_iter();
        facts.find(|segment| segment.ordinal == ordinal)?.file.into_scan()
    }

    /// Whether anything proves that entries of this stream were durable once, and so its name.
    pub(crate) fn has_evidence(&self) -> bool {
        self.facts.iter().any(SegmentFacts::proves_all_before)
    }
}

/// Looks at the files of a stream; `None` if there is no such stream.
///
/// # Errors
///
/// Those of the operating system. Whatever the files are is a finding.
pub(crate) fn gather(
    storage: &Arc<dyn Storage>,
    key: &StreamKey,
) -> Result<Option<Gathered>, Error> {
    let dir_name = key.dir_name();
    let path = StoragePath::new(&dir_name);
    let layout = match layout::list(&**storage, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed.map_err(|source| Error::io(storage.display(path), IoOp::List, source))?,
    };
    let gatherer = Gatherer { storage, key, dir_name: &dir_name, layout };
    gatherer.run().map(Some)
}

struct Gatherer<'a> {
    storage: &'a Arc<dyn Storage>,
    key: &'a StreamKey,
    dir_name: &'a str,
    layout: Layout,
}

/// A segment file whose header was read. The file is closed again: there may be thousands.
struct Candidate {
    name: SegmentName,
    header: Result<SegmentHeader, SegmentHeaderError>,
}

/// Whether the index can be believed in what it does not say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum IndexTrust {
    Whole,
    Partial,
}

/// A segment as far as it was looked at before its frames are.
enum Seen {
    Recorded(SegmentRecord),
    Unrecorded(Candidate, Option<SegmentRecord>),
}

impl Gatherer<'_> {
    fn run(mut self) -> Result<Gathered, Error> {
        self.choose_among_doubled()?;
        let mut refusals: Vec<_> =
            self.layout.doubled.iter().map(|name| self.doubled(*name)).collect();
        let (contents, mut index) = self.load_index(&mut refusals)?;
        let last = match self.layout.segments.last() {
            Some(name) => self.read_candidate(*name, &mut refusals)?,
            None => None,
        };
        let contents = contents.filter(|contents| {
            // Where there is but one segment, nothing tells which of the two is the stranger: then the
            // index counts, the segment is refused, and nothing is lost for that.
            let fits = contents.header.key() == self.key
                && (self.layout.segments.len() == 1
                    || last.as_ref().is_none_or(|last| {
                        last.header
                            .as_ref()
                            .map_or(true, |header| header.id == contents.header.id())
                    }));
            if !fits {
                index = IndexFinding::Wrong;
            }
            fits
        });
        let id = match &contents {
            Some(contents) => Some(contents.header.id()),
            None => self.id_of_segments(last.as_ref(), &mut refusals)?,
        };
        let identified = match id {
            Some(id) => Some(self.identify(id, contents.as_ref(), last, &mut refusals)?),
            None if refusals.is_empty() => {
                refusals.push(Refusal { error: self.unidentified(last.as_ref()), segment: None });
                None
            }
            None => None,
        };
        let foreign_names = self.layout.foreign;
        Ok(Gathered { identified, refusals, index, foreign_names })
    }

    /// Of two files for one place, reads the one whose header says the same as its name. The other
    /// is refused nevertheless.
    fn choose_among_doubled(&mut self) -> Result<(), Error> {
        for at in 0..self.layout.doubled.len() {
            let Some(&doubled) = self.layout.doubled.get(at) else { break };
            let place = self.layout.segments.iter();
            let place = place.enumerate().find(|(_, name)| name.ordinal == doubled.ordinal);
            let Some((place, &chosen)) = place else { continue };
            let fits = |candidate: Option<Candidate>| {
                candidate.is_some_and(|candidate| candidate.header.is_ok())
            };
            if !fits(self.read_candidate(chosen, &mut Vec::new())?)
                && fits(self.read_candidate(doubled, &mut Vec::new())?)
                && let Some(segment) = self.layout.segments.get_mut(place)
                && let Some(other) = self.layout.doubled.get_mut(at)
            {
                (*segment, *other) = (doubled, chosen);
            }
        }
        Ok(())
    }

    fn load_index(
        &self,
        refusals: &mut Vec<Refusal>,
    ) -> Result<(Option<IndexContents>, IndexFinding), Error> {
        let path = StoragePath::new(self.dir_name);
        if self.layout.index == Presence::Absent {
            return Ok((None, IndexFinding::Missing));
        }
        let refuse = |kind| {
            let path = path.join(ironwal_format::names::INDEX_FILE);
            Refusal { error: Error::new(self.storage.display(path), kind), segment: None }
        };
        Ok(match index_file::load(&**self.storage, path)? {
            LoadedIndex::Missing => (None, IndexFinding::Missing),
            LoadedIndex::NotAFile => {
                refusals.push(refuse(ErrorKind::NotOurs));
                (None, IndexFinding::Wrong)
            }
            LoadedIndex::Wrong(error) if error.is_newer() => {
                refusals.push(refuse(ErrorKind::Unsupported));
                (None, IndexFinding::Wrong)
            }
            LoadedIndex::Wrong(_) => (None, IndexFinding::Wrong),
            LoadedIndex::Read(contents) => {
                if contents.newer.is_some() {
                    refusals.push(refuse(ErrorKind::Unsupported));
                }
                let finding =
                    if contents.bad.is_some() { IndexFinding::Wrong } else { IndexFinding::Sound };
                (Some(contents), finding)
            }
        })
    }

    /// Reads the header of a segment; `None` if it is refused for what it is.
    fn read_candidate(
        &self,
        name: SegmentName,
        refusals: &mut Vec<Refusal>,
    ) -> Result<Option<Candidate>, Error> {
        let file_name = name.file_name();
        let path = StoragePath::new(self.dir_name).join(&file_name);
        let failed = |op, source| Error::io(self.storage.display(path), op, source);
        let file = match self.storage.open(path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                refusals.push(self.not_a_file(name));
                return Ok(None);
            }
            opened => opened.map_err(|source| failed(IoOp::Open, source))?,
        };
        let header = read_header(&*file).map_err(|source| failed(IoOp::Read, source))?;
        let refused = match &header {
            Ok(header) => {
                let SegmentHeader { base, ordinal, ref key, .. } = *header;
                let same = SegmentName { base, ordinal } == name && key == self.key;
                (!same).then_some(ErrorKind::Foreign)
            }
            Err(SegmentHeaderError::NotOurs) => Some(ErrorKind::NotOurs),
            Err(error) => error.is_unsupported().then_some(ErrorKind::Unsupported),
        };
        if let Some(kind) = refused {
            let error = Error::new(self.storage.display(path), kind);
            refusals.push(Refusal { error, segment: Some(name) });
            return Ok(None);
        }
        Ok(Some(Candidate { name, header }))
    }

    /// The incarnation that most of the segments with a valid header belong to; of two, the one of the
    /// lower ordinal.
    fn id_of_segments(
        &self,
        last: Option<&Candidate>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<Option<StreamId>, Error> {
        let mut counts: Vec<(StreamId, usize)> = Vec::new();
        for name in &self.layout.segments {
            let id = match last {
                Some(last) if last.name == *name => {
                    last.header.as_ref().ok().map(|header| header.id)
                }
                // What is refused here is refused again, and told, when all are looked at.
                Some(_) | None => self
                    .read_candidate(*name, &mut Vec::new())?
                    .and_then(|candidate| candidate.header.ok())
                    .map(|header| header.id),
            };
            let Some(id) = id else { continue };
            match counts.iter_mut().find(|(counted, _)| *counted == id) {
                Some((_, count)) => *count += 1,
                None => counts.push((id, 1)),
            }
        }
        // The first of equals.
        let most = counts.iter().rev().max_by_key(|(_, count)| *count);
        if let Some((id, _)) = most {
            return Ok(Some(*id));
        }
        // None will be looked at again: tell of each. Of the last it was told when it was read first.
        if let [before @ .., _] = self.layout.segments.as_slice() {
            for name in before {
                self.read_candidate(*name, refusals)?;
            }
        }
        Ok(None)
    }

    fn identify(
        &self,
        id: StreamId,
        contents: Option<&IndexContents>,
        last: Option<Candidate>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<Identified, Error> {
        let dir = StreamDir::new(Arc::clone(self.storage), self.dir_name, self.key.clone(), id);
        let index_end = contents.and_then(index_end);
        let knowledge = contents.map(|contents| IndexKnowledge::of(&contents.records));
        let start = knowledge.as_ref().and_then(|knowledge| knowledge.start);
        let gone_names = start.map_or_else(Vec::new, |start| self.layout.before(start.ordinal));
        let mut facts = self.facts(&dir, knowledge.as_ref(), last, refusals)?;
        // The start record stands in front: a torn end hides none, a bad record may.
        let trust = match contents {
            Some(contents) if contents.bad.is_none() => IndexTrust::Whole,
            Some(_) | None => IndexTrust::Partial,
        };
        self.add_missing(&mut facts, knowledge.as_ref(), trust);
        add_gaps(&mut facts, knowledge.as_ref());
        let facts: Vec<_> = facts.into_values().collect();
        let closed_cleanly = self.layout.index_temp == Presence::Absent
            && facts.last().is_some_and(|last| is_covered(last, index_end));
        Ok(Identified {
            dir: Arc::new(dir),
            facts,
            start,
            floor: knowledge.and_then(|knowledge| knowledge.floor),
            index_end,
            closed_cleanly,
            torn_names: self.layout.torn.clone(),
            gone_names,
        })
    }

    /// Looks at each segment: at the length where a record vouches for it, else at header and frames.
    fn facts(
        &self,
        dir: &StreamDir,
        knowledge: Option<&IndexKnowledge>,
        mut last: Option<Candidate>,
        refusals: &mut Vec<Refusal>,
    ) -> Result<BTreeMap<Ordinal, SegmentFacts>, Error> {
        let mut seen = Vec::with_capacity(self.layout.segments.len());
        let last_name = self.layout.segments.last().copied();
        let start = knowledge.and_then(|knowledge| knowledge.start);
        let gone = |name: &SegmentName| start.is_some_and(|start| name.ordinal < start.ordinal);
        // What is gone is not looked at, but for whose it is: an index of another life of the stream must
        // not have the segments of this one unlinked.
        for name in self.layout.segments.iter().filter(|name| gone(name)) {
            let candidate = match last.take_if(|last| last.name == *name) {
                Some(last) => Some(last),
                None => self.read_candidate(*name, &mut Vec::new())?,
            };
            refusals.extend(candidate.and_then(|candidate| foreign(dir, &candidate)));
        }
        for name in self.layout.segments.iter().filter(|name| !gone(name)) {
            let told = knowledge.and_then(|knowledge| told_of(knowledge, name.ordinal));
            if told.is_some_and(|told| told.base != name.base) {
                // An ordinal that something vouches for is never used for another base.
                let error = Error::new(dir.display(&name.file_name()), ErrorKind::Foreign);
                refusals.push(Refusal { error, segment: Some(*name) });
                continue;
            }
            let record =
                knowledge.and_then(|knowledge| knowledge.sealed.get(&name.ordinal)).copied();
            let candidate = match record {
                Some(record) if last_name != Some(*name) => {
                    seen.push((*name, Seen::Recorded(record)));
                    continue;
                }
                Some(_) | None if last_name == Some(*name) => last.take(),
                Some(_) | None => self.read_candidate(*name, refusals)?,
            };
            let Some(candidate) = candidate else { continue };
            if let Some(refusal) = foreign(dir, &candidate) {
                refusals.push(refusal);
                continue;
            }
            seen.push((*name, Seen::Unrecorded(candidate, record)));
        }
        let mut lens = self.lens_of_recorded(&seen);
        let mut facts = BTreeMap::new();
        // From the last to the first: what a later segment cuts off is not looked at.
        let mut limit = SequenceNumber::MAX;
        for (name, seen) in seen.into_iter().rev() {
            let (record, file) = match seen {
                Seen::Recorded(record) => {
                    // Theirs are in the same order.
                    let len = match lens.pop() {
                        Some(len) => Some(len),
                        None => self.file_len(dir, name, refusals)?,
                    };
                    let Some(len) = len else { continue };
                    (Some(record), FileFacts::Recorded { len })
                }
                Seen::Unrecorded(Candidate { header, .. }, record) => {
                    let file = dir.open_segment(name, OpenMode::Read)?;
                    let scan = match scan_segment(dir, name, &file, limit).map_err(Error::from) {
                        Err(error) if error.is_finding() => {
                            refusals.push(Refusal { error, segment: Some(name) });
                            continue;
                        }
                        scanned => scanned?,
                    };
                    let file = match header {
                        Ok(_) => FileFacts::Scanned(scan),
                        Err(error) => FileFacts::Headless(error, scan),
                    };
                    (record, file)
                }
            };
            if !matches!(file, FileFacts::Headless(..)) {
                limit = limit.min(name.base);
            }
            facts.insert(name.ordinal, fact(name, record, knowledge, file));
        }
        Ok(facts)
    }

    /// The lengths of all segments that a record vouches for; none where one of them has no length: then
    /// each is asked for its own.
    fn lens_of_recorded(&self, seen: &[(SegmentName, Seen)]) -> Vec<u64> {
        let recorded = seen.iter().filter_map(|(name, seen)| match seen {
            Seen::Recorded(_) => Some(name.file_name()),
            Seen::Unrecorded(..) => None,
        });
        let names: Vec<_> = recorded.collect();
        self.storage.file_lens(StoragePath::new(self.dir_name), &names).unwrap_or_default()
    }

    /// The length of a segment; `None` if it is refused for what it is.
    fn file_len(
        &self,
        dir: &StreamDir,
        name: SegmentName,
        refusals: &mut Vec<Refusal>,
    ) -> Result<Option<u64>, Error> {
        let file_name = name.file_name();
        let failed = |op, source| Error::io(dir.display(&file_name), op, source);
        let file = match self.storage.open(dir.path().join(&file_name), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                refusals.push(self.not_a_file(name));
                return Ok(None);
            }
            opened => opened.map_err(|source| failed(IoOp::Open, source))?,
        };
        file.file_len().map(Some).map_err(|source| failed(IoOp::Read, source))
    }

    /// The refusal of a link, a directory or a FIFO with the name of a segment.
    fn not_a_file(&self, name: SegmentName) -> Refusal {
        let file_name = name.file_name();
        let path = StoragePath::new(self.dir_name).join(&file_name);
        let error = Error::new(self.storage.display(path), ErrorKind::NotOurs);
        Refusal { error, segment: Some(name) }
    }

    /// Adds the segments that the index tells of and that have no file.
    fn add_missing(
        &self,
        facts: &mut BTreeMap<Ordinal, SegmentFacts>,
        knowledge: Option<&IndexKnowledge>,
        trust: IndexTrust,
    ) {
        let Some(knowledge) = knowledge else { return };
        let mut expected: Vec<(SegmentName, Option<SegmentRecord>)> = Vec::new();
        for record in knowledge.sealed.values() {
            let SegmentRecord { base, end, ordinal, .. } = *record;
            expected.push((SegmentName { base, ordinal }, Some(*record)));
            // A sealed record is made when the next segment is durable.
            if let Some(ordinal) = ordinal.next()
                && !knowledge.sealed.contains_key(&ordinal)
            {
                expected.push((SegmentName { base: end, ordinal }, None));
            }
        }
        if let Some(SegmentRecord { base, ordinal, .. }) = knowledge.floor {
            expected.push((SegmentName { base, ordinal }, None));
        }
        // A stream comes to be with its index and its first segment, and without a start record it
        // keeps that: an index that is right, or a stream without any segment, tells that it is gone.
        let is_empty = self.layout.segments.is_empty() && expected.is_empty();
        if is_empty || (trust == IndexTrust::Whole && knowledge.start.is_none()) {
            let start = knowledge.start.map(|start| (start.base, start.ordinal));
            let (base, ordinal) = start.unwrap_or_default();
            expected.push((SegmentName { base, ordinal }, None));
        }
        let present = self.layout.segments.iter().map(|name| (name.ordinal, name.base));
        let present: BTreeMap<_, _> = present.collect();
        for (name, record) in expected {
            let is_told = told_of(knowledge, name.ordinal).is_some();
            let found = present.get(&name.ordinal);
            // What only the record before it names may have been left by a crash under another base.
            if found.is_none_or(|base| is_told && *base != name.base) {
                facts
                    .entry(name.ordinal)
                    .or_insert_with(|| fact(name, record, Some(knowledge), FileFacts::Missing));
            }
        }
    }

    fn doubled(&self, name: SegmentName) -> Refusal {
        let file_name = name.file_name();
        let path = StoragePath::new(self.dir_name).join(&file_name);
        let kind = ErrorKind::Doubled { ordinal: name.ordinal.get() };
        Refusal { error: Error::new(self.storage.display(path), kind), segment: None }
    }

    fn holds_only_foreign(&self) -> bool {
        let Layout { segments, doubled, index, index_temp, torn, foreign } = &self.layout;
        let holds_ours = !(segments.is_empty() && doubled.is_empty() && torn.is_empty())
            || [index, index_temp].contains(&&Presence::Present);
        !holds_ours && !foreign.is_empty()
    }

    /// The error for a stream of which nothing tells the incarnation.
    fn unidentified(&self, last: Option<&Candidate>) -> Error {
        let path = StoragePath::new(self.dir_name);
        match last {
            // Somebody's directory, whose name could be a stream's.
            None if self.holds_only_foreign() => {
                Error::new(self.storage.display(path), ErrorKind::NotOurs)
            }
            None => Error::new(self.storage.display(path), ErrorKind::Missing),
            Some(Candidate { name, header, .. }) => {
                let file_name = name.file_name();
                let source = *header.as_ref().err().unwrap_or(&SegmentHeaderError::Absent);
                let kind = ErrorKind::of_header(source);
                Error::new(self.storage.display(path.join(&file_name)), kind)
            }
        }
    }
}

/// The refusal of a segment whose header says that it is of another stream.
fn foreign(dir: &StreamDir, candidate: &Candidate) -> Option<Refusal> {
    let Candidate { name, header } = candidate;
    header.as_ref().ok().filter(|header| header.id != dir.id())?;
    let error = Error::new(dir.display(&name.file_name()), ErrorKind::Foreign);
    Some(Refusal { error, segment: Some(*name) })
}

/// Adds the segments that only the seals before them, and the segments behind them, tell of.
fn add_gaps(facts: &mut BTreeMap<Ordinal, SegmentFacts>, knowledge: Option<&IndexKnowledge>) {
    let named = facts.values().filter_map(|segment| match segment.file.scan()?.end {
        ScanEnd::Sealed { next_base: base } => {
            segment.ordinal.next().map(|ordinal| SegmentName { base, ordinal })
        }
        ScanEnd::Clean | ScanEnd::Limit | ScanEnd::Broken(_) | ScanEnd::Unsupported { .. } => None,
    });
    let named: Vec<_> = named.collect();
    let last = facts.last_key_value().map(|(ordinal, _)| *ordinal);
    for name in named.into_iter().filter(|name| Some(name.ordinal) < last) {
        facts
            .entry(name.ordinal)
            .or_insert_with(|| fact(name, None, knowledge, FileFacts::Missing));
    }
}

/// What the index tells of a segment: a sealed record, or else a floor.
fn told_of(knowledge: &IndexKnowledge, ordinal: Ordinal) -> Option<SegmentRecord> {
    let floor = knowledge.floor.filter(|floor| floor.ordinal == ordinal);
    knowledge.sealed.get(&ordinal).copied().or(floor)
}

fn fact(
    name: SegmentName,
    record: Option<SegmentRecord>,
    knowledge: Option<&IndexKnowledge>,
    file: FileFacts,
) -> SegmentFacts {
    let SegmentName { base, ordinal } = name;
    let floor = knowledge.and_then(|knowledge| knowledge.floor);
    let floor = floor.filter(|floor| floor.ordinal == ordinal && floor.base == base);
    SegmentFacts { ordinal, base, record: record.map(vouched), floor: floor.map(vouched), file }
}

fn vouched(record: SegmentRecord) -> Vouched {
    let SegmentRecord { base, end, len, .. } = record;
    Vouched { base, end, len: u64::from(len) }
}

/// The length of an index and its last record, if it is whole to the end.
fn index_end(contents: &IndexContents) -> Option<(u64, Option<IndexRecord>)> {
    if contents.bad.is_some() || contents.end != IndexEnd::Whole {
        return None;
    }
    let record_len = 32 * u64::try_from(contents.records.len()).ok()?;
    Some((contents.header.records_offset() + record_len, contents.records.last().copied()))
}

/// Whether the index ends in a floor that covers the whole of a segment.
fn is_covered(last: &SegmentFacts, index_end: Option<(u64, Option<IndexRecord>)>) -> bool {
    match (index_end, last.file.scan()) {
        (Some((_, Some(IndexRecord::Floor(floor)))), Some(scan)) => {
            floor.ordinal == last.ordinal && u64::from(floor.len) == scan.valid_end
        }
        _ => false,
    }
}
