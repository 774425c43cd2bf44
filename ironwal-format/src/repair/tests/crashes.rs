//! All crashes of a small writer: every history of a few calls, all that a power cut or a failed sync
//! can leave of what was not durable, and every crash of the repair itself.
//!
//! The writer does what the design says: frames with synced lengths, rotation that syncs nothing, a
//! record when all is durable, rollback by a new segment. What must come of a crash is known from
//! what was called and which syncs returned, and from nothing else.

use alloc::{vec, vec::Vec};

use super::cuts::ShortFiles;
use super::*;
use crate::index::{IndexKnowledge, IndexRecord};

/// What has become of a frame, a header or the name of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    Lost,
    /// Of a frame, the header alone.
    Header,
    /// There, but not on the disk: written and not synced, or left behind by a sync that failed.
    Seen,
    Durable,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// What the caller appended, told from all else that was; none in a seal.
    pub(super) entry: u32,
    pub(super) synced_len: u64,
    pub(super) piece: Piece,
}

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) ordinal: u32,
    pub(super) base: u64,
    pub(super) name: Piece,
    pub(super) header: Piece,
    pub(super) frames: Vec<Frame>,
    pub(super) seal: Option<(u64, Frame)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) segments: Vec<Segment>,
    pub(super) index: Vec<IndexRecord>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Append,
    /// An append that needs a new segment.
    Rotate,
    Sync,
    /// Gives the last entry up.
    RollBack,
}

/// What must hold, by the calls that returned.
#[derive(Clone, Debug, Default)]
pub(super) struct Promise {
    /// The entries in order.
    pub(super) log: Vec<u32>,
    /// How many of them must be there.
    pub(super) durable_count: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) disk: Disk,
    pub(super) promise: Promise,
    pub(super) entry_count: u32,
    /// The segment that syncs have come to, and how many bytes of it they covered.
    pub(super) mark: (u32, u64),
}

impl Segment {
    pub(super) fn new(ordinal: u32, base: u64, piece: Piece) -> Self {
        Self { ordinal, base, name: piece, header: piece, frames: Vec::new(), seal: None }
    }

    fn all_frames(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        self.frames.iter().chain(self.seal.iter().map(|(_, frame)| frame))
    }

    /// All that a crash decides on: the name, the header, the frames.
    pub(super) fn pieces_mut(&mut self) -> impl Iterator<Item = &mut Piece> {
        let frames = self.frames.iter_mut().chain(self.seal.iter_mut().map(|(_, frame)| frame));
        [&mut self.name, &mut self.header].into_iter().chain(frames.map(|frame| &mut frame.piece))
    }

    /// Writes again what lies in this range.
    fn rewrite(&mut self, from: u64, until: u64) {
        if from < HEADER_LEN {
            self.header = Piece::Durable;
        }
        let end = self.end();
        for (nth, frame) in self.frames.iter_mut().enumerate() {
            let frame_end = end_of(nth as u64 + 1);
            if from < frame_end && frame_end <= until {
                frame.piece = Piece::Durable;
            }
        }
        if let Some((_, seal)) = self.seal.as_mut().filter(|_| from < end && end <= until) {
            seal.piece = Piece::Durable;
        }
    }

    fn end(&self) -> u64 {
        end_of(self.frames.len() as u64) + if self.seal.is_some() { SEAL_LEN } else { 0 }
    }

    /// The end of what is there of it.
    pub(super) fn file_len(&self) -> u64 {
        let lost = self.all_frames().rev().take_while(|frame| frame.piece == Piece::Lost).count();
        let left = self.all_frames().count() - lost;
        if left > self.frames.len() { self.end() } else { end_of(left as u64) }
    }

    pub(super) fn found(&self) -> Frames {
        let is_whole = |frame: &&Frame| matches!(frame.piece, Piece::Seen | Piece::Durable);
        let valid_count = self.all_frames().take_while(is_whole).count();
        let is_gone = |frame: &Frame| frame.piece == Piece::Lost;
        let end = match self.seal {
            Some((next_base, _)) if valid_count > self.frames.len() => FramesEnd::Seal(next_base),
            _ if self.all_frames().skip(valid_count).all(is_gone) => FramesEnd::Zeros,
            _ => FramesEnd::Garbage,
        };
        let headers = self.all_frames().filter(|frame| !is_gone(frame));
        let synced_len = headers.map(|frame| frame.synced_len).max().unwrap_or(0);
        let valid_count = valid_count.min(self.frames.len()) as u64;
        Frames { valid_count, end, synced_len }
    }
}

impl Disk {
    /// The facts, as recovery gathers them.
    pub(super) fn gather(&self) -> Vec<SegmentFacts> {
        self.gather_scanning_short(ShortFiles::None)
    }

    pub(super) fn gather_scanning_short(&self, short_files: ShortFiles) -> Vec<SegmentFacts> {
        let known = IndexKnowledge::of(&self.index);
        let as_vouched = |record: &SegmentRecord| {
            vouched(record.base.get(), record.end.get(), u64::from(record.len))
        };
        let mut found = Vec::new();
        let mut limit = SequenceNumber::MAX;
        let present: Vec<_> = self.segments.iter().filter(|s| s.name != Piece::Lost).collect();
        for (nth, segment) in present.iter().rev().enumerate() {
            let Segment { ordinal: number, base, .. } = **segment;
            let record = known.sealed.get(&ordinal(number)).map(as_vouched);
            let floor = known.floor.filter(|floor| floor.ordinal == ordinal(number));
            let scan = segment.found().scan(base, limit);
            let is_short = record.is_some_and(|record| segment.file_len() < record.len);
            let is_cut_off = record.is_some_and(|record| limit < record.end);
            let is_scanned = match short_files {
                ShortFiles::None => false,
                ShortFiles::WhereCutOff => is_short && is_cut_off,
                ShortFiles::All => is_short,
            };
            let file = if record.is_some() && nth > 0 && !is_scanned {
                FileFacts::Recorded { len: segment.file_len() }
            } else if segment.header == Piece::Lost {
                FileFacts::Headless(SegmentHeaderError::Absent, scan)
            } else {
                FileFacts::Scanned(scan)
            };
            if !file.is_headless() {
                limit = limit.min(seq(base));
            }
            let floor = floor.as_ref().map(as_vouched);
            found.push(SegmentFacts { record, floor, ..facts(number, base, file) });
        }
        for record in known.sealed.values() {
            let next = (record.ordinal.next().unwrap(), record.end, None);
            for (ordinal, base, record) in [(record.ordinal, record.base, Some(record)), next] {
                if found.iter().all(|segment| segment.ordinal != ordinal) {
                    let missing = facts(ordinal.get(), base.get(), FileFacts::Missing);
                    found.push(SegmentFacts { record: record.map(as_vouched), ..missing });
                }
            }
        }
        found.sort_by_key(|segment| segment.ordinal);
        add_gaps(&mut found);
        found
    }

    /// The entries of the log that a plan describes.
    pub(super) fn read(&self, plan: &Plan) -> Vec<u32> {
        let of_segment = |live: &LiveSegment| {
            let same = |segment: &&Segment| segment.ordinal == live.ordinal.get();
            let segment = self.segments.iter().find(same).unwrap();
            let count = live.until.since(live.base);
            let frames = segment.frames.iter().take(usize::try_from(count).unwrap());
            let entries: Vec<_> = frames.map(|frame| frame.entry).collect();
            assert_eq!(entries.len() as u64, count);
            entries
        };
        plan.live.iter().flat_map(of_segment).collect()
    }

    /// What a power cut leaves: all that is durable.
    pub(super) fn without_power(&self) -> Self {
        let mut disk = self.clone();
        disk.segments.iter_mut().flat_map(Segment::pieces_mut).for_each(|piece| {
            *piece = if *piece == Piece::Seen { Piece::Lost } else { *piece };
        });
        disk.segments.retain(|segment| segment.name == Piece::Durable);
        disk
    }

    /// Everything that a crash can leave: each piece that is there but not durable becomes one of these.
    pub(super) fn crashes(&self, outcomes: &[Piece]) -> Vec<Self> {
        let mut crashes = Vec::new();
        self.clone().crash_from(0, outcomes, &mut crashes);
        crashes
    }

    fn crash_from(mut self, from: usize, outcomes: &[Piece], crashes: &mut Vec<Self>) {
        let pieces = self.segments.iter_mut().flat_map(|segment| segment.pieces_mut().enumerate());
        let open = pieces.enumerate().skip(from).find(|(_, (_, piece))| **piece == Piece::Seen);
        let Some((at, (in_segment, _))) = open else { return crashes.push(self) };
        for outcome in outcomes {
            // Names and segment headers are not read in parts.
            if in_segment < 2 && *outcome == Piece::Header {
                continue;
            }
            let mut disk = self.clone();
            let mut pieces = disk.segments.iter_mut().flat_map(Segment::pieces_mut);
            *pieces.nth(at).unwrap() = *outcome;
            drop(pieces);
            disk.crash_from(at + 1, outcomes, crashes);
        }
    }

    /// What is on disk after each step of a repair. What the last state holds, it found or made.
    pub(super) fn repair(&self, plan: &Plan) -> Vec<Self> {
        let mut steps = vec![self.clone()];
        let mut disk = self.clone();
        disk.segments.retain(|segment| segment.name != Piece::Lost);
        let sync_names = |disk: &mut Self| {
            disk.segments.iter_mut().for_each(|segment| segment.name = Piece::Durable);
        };
        if let Some(aside) = plan.set_aside {
            disk.segments.retain(|segment| segment.ordinal != aside.get());
            sync_names(&mut disk);
            steps.push(disk.clone());
        }
        for part in &plan.rewrite {
            let number = part.ordinal.get();
            let segment = disk.segments.iter_mut().find(|segment| segment.ordinal == number);
            segment.unwrap().rewrite(part.from, part.until);
            steps.push(disk.clone());
        }
        sync_names(&mut disk);
        steps.push(disk.clone());
        if let Continuation::NewSegment(number) = plan.continuation {
            disk.segments.push(Segment::new(number.get(), plan.end.get(), Piece::Seen));
            steps.push(disk.clone());
            disk.segments
                .last_mut()
                .unwrap()
                .pieces_mut()
                .for_each(|piece| *piece = Piece::Durable);
            steps.push(disk.clone());
        }
        let last = disk.segments.last().unwrap();
        let len = u32::try_from(end_of(last.found().valid_count)).unwrap();
        let (base, ordinal) = (seq(last.base), ordinal(last.ordinal));
        let floor = SegmentRecord { base, end: plan.end, len, ordinal };
        let sealed = plan.records.iter().copied().map(IndexRecord::Sealed);
        disk.index = sealed.chain([IndexRecord::Floor(floor)]).collect();
        steps.push(disk);
        steps
    }
}

/// Adds the segments between others that only the seals in front of them tell of.
fn add_gaps(found: &mut Vec<SegmentFacts>) {
    let named = found.iter().filter_map(|segment| match segment.file.scan()?.end {
        ScanEnd::Sealed { next_base } => Some((segment.ordinal.next()?, next_base)),
        ScanEnd::Clean | ScanEnd::Limit | ScanEnd::Broken(_) | ScanEnd::Unsupported { .. } => None,
    });
    let named: Vec<_> = named.collect();
    let last = found.last().map(|last| last.ordinal);
    for (ordinal, base) in named.into_iter().filter(|(ordinal, _)| Some(*ordinal) < last) {
        if let Err(at) = found.binary_search_by_key(&ordinal, |segment| segment.ordinal) {
            found.insert(at, facts(ordinal.get(), base.get(), FileFacts::Missing));
        }
    }
}

impl Writer {
    pub(super) fn new() -> Self {
        let first = Segment::new(0, 0, Piece::Durable);
        let disk = Disk { segments: vec![first], index: Vec::new() };
        Self { disk, promise: Promise::default(), entry_count: 0, mark: (0, HEADER_LEN) }
    }

    pub(super) fn active(&mut self) -> &mut Segment {
        self.disk.segments.last_mut().expect("there is always one")
    }

    fn append(&mut self) {
        let (ordinal, synced_len) = self.mark;
        let entry = self.entry_count;
        self.entry_count += 1;
        let active = self.active();
        let synced_len = if active.ordinal == ordinal { synced_len } else { 0 };
        active.frames.push(Frame { entry, synced_len, piece: Piece::Seen });
        self.promise.log.push(entry);
    }

    fn seal(&mut self, next_base: u64) {
        let (ordinal, synced_len) = self.mark;
        let active = self.active();
        let synced_len = if active.ordinal == ordinal { synced_len } else { 0 };
        let seal = Frame { entry: u32::MAX, synced_len, piece: Piece::Seen };
        active.seal = Some((next_base, seal));
    }

    /// Makes all durable, and records the segment in front of the active one.
    fn sync(&mut self) {
        let pieces = self.disk.segments.iter_mut().flat_map(Segment::pieces_mut);
        // What an earlier crash took stays away.
        pieces.filter(|piece| **piece == Piece::Seen).for_each(|piece| *piece = Piece::Durable);
        self.record();
        self.promise.durable_count = self.promise.log.len();
    }

    fn record(&mut self) {
        let [.., sealed, active] = &self.disk.segments[..] else { return self.set_mark() };
        if self.mark.0 < active.ordinal {
            let record = SegmentRecord {
                base: seq(sealed.base),
                end: seq(active.base),
                len: u32::try_from(sealed.end()).unwrap(),
                ordinal: ordinal(sealed.ordinal),
            };
            self.disk.index.push(IndexRecord::Sealed(record));
        }
        self.set_mark();
    }

    fn set_mark(&mut self) {
        let active = self.active();
        self.mark = (active.ordinal, active.end());
    }

    /// Makes a call. Gives the states in the middle of it in which it can be interrupted.
    pub(super) fn call(&mut self, call: Call) -> Vec<Self> {
        match call {
            Call::Append => self.append(),
            Call::Rotate => {
                // At most one sealed segment awaits its sync, and none is empty.
                if self.active().frames.is_empty() {
                    self.append();
                }
                if self.mark.0 < self.active().ordinal {
                    self.sync();
                }
                let next = self.promise.log.len() as u64;
                self.seal(next);
                let before = self.clone();
                let ordinal = self.active().ordinal + 1;
                self.disk.segments.push(Segment::new(ordinal, next, Piece::Seen));
                self.append();
                return vec![before];
            }
            Call::Sync => self.sync(),
            Call::RollBack => {
                if self.promise.log.is_empty() {
                    return Vec::new();
                }
                let count = self.promise.log.len() - 1;
                // From here on either log will do.
                self.sync();
                self.promise.durable_count = count;
                self.seal(count as u64);
                let sealed = self.clone();
                self.active().seal.as_mut().unwrap().1.piece = Piece::Durable;
                let ordinal = self.active().ordinal + 1;
                self.disk.segments.push(Segment::new(ordinal, count as u64, Piece::Seen));
                let made = self.clone();
                self.promise.log.truncate(count);
                self.sync();
                return vec![sealed, made];
            }
        }
        Vec::new()
    }
}

/// Recovers a disk and sees to it that the log is one that was promised. Gives its entries.
fn recover(disk: &Disk, promise: &Promise) -> (Plan, Vec<u32>) {
    let found = plan(&disk.gather(), None);
    assert_eq!(found.damage, [], "{disk:#?}");
    let log = disk.read(&found);
    assert!(promise.log.starts_with(&log), "{log:?} {promise:?} {disk:#?}");
    assert!(log.len() >= promise.durable_count, "{log:?} {promise:?} {disk:#?}");
    assert_eq!((found.first.get(), found.end.get()), (0, log.len() as u64));
    (found, log)
}

/// Recovers what a crash left: with crashes in every step of the repair, and with a power cut behind it.
/// Gives what the repair leaves, and what must be there from then on.
fn check(crashed: &Disk, promise: &Promise) -> (Disk, Promise) {
    let (found, log) = recover(crashed, promise);
    // The index may be lost as well: it is never the only proof of what a crash has left whole.
    recover(&Disk { index: Vec::new(), ..crashed.clone() }, promise);
    let steps = crashed.repair(&found);
    for step in &steps {
        // A killed process leaves what was there; a power cut, what was made durable so far.
        for again in step.crashes(&[Piece::Lost, Piece::Durable]) {
            recover(&again, promise);
        }
        let (after, again) = recover(step, promise);
        assert_eq!(again, log, "{crashed:#?}");
        let repaired = step.repair(&after).pop().unwrap().without_power();
        assert_eq!(recover(&repaired, promise).1, log, "{crashed:#?}");
    }
    // Repaired, all of the log is durable, and nothing is left to do.
    let repaired = steps.last().unwrap();
    let promise = Promise { durable_count: log.len(), log };
    for disk in [repaired.clone(), repaired.without_power()] {
        let (after, _) = recover(&disk, &promise);
        assert_eq!(after.continuation, Continuation::Append, "{disk:#?}");
        assert_eq!((after.torn, after.set_aside), (None, None), "{disk:#?}");
        assert_eq!(after.rewrite, [], "{disk:#?}");
        // Without the index the log is the same.
        let lost = Disk { index: Vec::new(), ..disk };
        recover(&lost, &promise);
    }
    (repaired.clone(), promise)
}

/// Calls `check` with what is on disk, and what was promised, after all histories of so many calls and
/// in the middle of the last.
pub(super) fn all_histories(writer: &Writer, count: usize, check: &mut dyn FnMut(&Writer)) {
    check(writer);
    if count == 0 {
        return;
    }
    for call in [Call::Append, Call::Rotate, Call::Sync, Call::RollBack] {
        let mut writer = writer.clone();
        for interrupted in writer.call(call) {
            check(&interrupted);
        }
        all_histories(&writer, count - 1, check);
    }
}

#[test]
fn after_every_power_cut_the_log_is_a_prefix_with_all_that_was_durable_and_nothing_is_damaged() {
    let mut count = 0;
    all_histories(&Writer::new(), 4, &mut |writer| {
        for crashed in writer.disk.crashes(&[Piece::Lost, Piece::Header, Piece::Durable]) {
            check(&crashed, &writer.promise);
            count += 1;
        }
    });
    assert!(count > 20_000, "{count} crashes");
}

/// The page cache shows everything; what of it is on the disk, nobody knows.
#[test]
fn after_every_failed_sync_what_recovery_found_is_durable_once_it_has_returned() {
    let mut count = 0;
    all_histories(&Writer::new(), 4, &mut |writer| {
        for crashed in writer.disk.crashes(&[Piece::Seen, Piece::Durable]) {
            check(&crashed, &writer.promise);
            count += 1;
        }
    });
    assert!(count > 5_000, "{count} crashes");
}

/// The writer goes on behind its repair, and crashes again.
#[test]
fn what_one_recovery_found_outlives_the_next_crash() {
    let mut count = 0;
    let left = [Piece::Lost, Piece::Header, Piece::Durable];
    all_histories(&Writer::new(), 2, &mut |writer| {
        for crashed in writer.disk.crashes(&left) {
            let (disk, promise) = check(&crashed, &writer.promise);
            let last = disk.segments.last().unwrap();
            let mark = (last.ordinal, end_of(last.found().valid_count));
            let entry_count = writer.entry_count;
            let mut writer = Writer { disk, promise, entry_count, mark };
            // What was lost there is written over.
            let count_there = usize::try_from(writer.active().found().valid_count).unwrap();
            writer.active().frames.truncate(count_there);
            writer.active().seal = None;
            all_histories(&writer, 1, &mut |writer| {
                for crashed in writer.disk.crashes(&left) {
                    check(&crashed, &writer.promise);
                    count += 1;
                }
            });
        }
    });
    assert!(count > 100_000, "{count} crashes");
}

/// First a process is killed, and then the power is cut: some of each.
#[test]
fn after_any_mixture_of_both_recovery_finds_a_log_that_was_promised() {
    let mut count = 0;
    all_histories(&Writer::new(), 3, &mut |writer| {
        let pieces = [Piece::Lost, Piece::Header, Piece::Seen, Piece::Durable];
        for crashed in writer.disk.crashes(&pieces) {
            check(&crashed, &writer.promise);
            count += 1;
        }
    });
    assert!(count > 30_000, "{count} crashes");
}
