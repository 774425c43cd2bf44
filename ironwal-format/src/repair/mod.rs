//! The repair plan: from what was found of the segments of a stream to what the log is, and what has
//! to be done before it is appended to.
//!
//! Pure: recovery gathers [`SegmentFacts`], calls [`plan`] and does what it says. The rules are those
//! of FORMAT.md, "Evidence and verdicts":
//!
//! - What a segment holds at or past the base of a later one is dead.
//! - A record of a segment, a floor or a synced length above zero in it prove that it was there and
//!   that all before its base was durable. What a newer version wrote may prove as much, so it counts
//!   as such.
//! - A segment is made in two cases: when the one in front of it is there and all before that is
//!   durable; or by a repair, when all before its own base is, and what is not is dead from then on.
//!   So each segment with a later one is proven, unless that has no valid header and nothing vouches
//!   for it.
//! - The last one may be what a crash left of a rotation or repair. If it is behind a gap, the log ends
//!   there; if it has no valid header, it is set aside; but either is damage if anything vouches for
//!   it, be it a record of the segment before it that names its base.
//! - What no evidence covers is written again from what was verified. No byte is cut: a log that does
//!   not end in an open segment is ended by a new one.

use alloc::vec::Vec;

use crate::frame::{FrameError, MAX_SEGMENT_FILE_LEN};
use crate::ids::{Ordinal, SequenceNumber};
use crate::index::{SegmentRecord, StartRecord};
use crate::scan::{Scan, ScanEnd, is_cut_off};
use crate::seal::Seal;
use crate::segment_header::SegmentHeaderError;
use crate::verdict::{Evidence, Tear, Verdict, judge};

/// What the index says of one segment: a sealed record or a floor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vouched {
    /// The number of its first entry.
    pub base: SequenceNumber,
    /// One past its last entry that counts.
    pub end: SequenceNumber,
    /// How many of its bytes count.
    pub len: u64,
}

/// What is known of one segment, in the order of ordinals.
#[derive(Clone, Debug)]
pub struct SegmentFacts {
    /// Its place in the order of creation.
    pub ordinal: Ordinal,
    /// Its base, as its file name or its record says.
    pub base: SequenceNumber,
    /// Its sealed record, if the index has one.
    pub record: Option<Vouched>,
    /// The floor, if the index has one for it.
    pub floor: Option<Vouched>,
    /// What the file turned out to be.
    pub file: FileFacts,
}

impl SegmentFacts {
    /// Whether what is known of this segment proves that all segments before it were durable whole.
    pub fn proves_all_before(&self) -> bool {
        self.record.is_some()
            || self.floor.is_some()
            || self.file.scan().is_some_and(|scan| scan.evidence_len > 0)
            || self.file.is_newer()
    }
}

/// What a segment file turned out to be.
#[derive(Clone, Debug)]
pub enum FileFacts {
    /// There is no such file, but a record of it.
    Missing,
    /// A record vouches for it, so that only its length was looked at. One that is too short is
    /// better scanned, which tells the place of the damage.
    Recorded {
        /// The length of the file.
        len: u64,
    },
    /// Its header is valid, and its frames were scanned: up to the lowest base of all later segments
    /// with a valid header or a record, or further.
    Scanned(Scan),
    /// Its header is not valid; frames were scanned from where they should start.
    Headless(SegmentHeaderError, Scan),
}

impl FileFacts {
    /// What was found in the frames, if they were looked at.
    pub const fn scan(&self) -> Option<&Scan> {
        match self {
            Self::Missing | Self::Recorded { .. } => None,
            Self::Scanned(scan) | Self::Headless(_, scan) => Some(scan),
        }
    }

    /// Whether a newer version wrote some of it: what that proves cannot be told.
    const fn is_newer(&self) -> bool {
        match self {
            Self::Missing | Self::Recorded { .. } => false,
            Self::Scanned(scan) => matches!(scan.end, ScanEnd::Unsupported { .. }),
            Self::Headless(error, scan) => {
                error.is_unsupported() || matches!(scan.end, ScanEnd::Unsupported { .. })
            }
        }
    }

    const fn is_headless(&self) -> bool {
        matches!(self, Self::Headless(..))
    }

    /// What was found in the frames, if they were looked at.
    pub fn into_scan(self) -> Option<Scan> {
        match self {
            Self::Missing | Self::Recorded { .. } => None,
            Self::Scanned(scan) | Self::Headless(_, scan) => Some(scan),
        }
    }
}

/// A segment of which entries are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LiveSegment {
    /// Its place in the order of creation.
    pub ordinal: Ordinal,
    /// The number of its first entry.
    pub base: SequenceNumber,
    /// One past its last entry that counts.
    pub until: SequenceNumber,
    /// How many of its bytes are to be looked at.
    pub len: u64,
}

/// What is wrong with a stream that cannot be repaired.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The segment in which, or in place of which, it is.
    pub ordinal: Ordinal,
    /// The base of that segment.
    pub base: SequenceNumber,
    /// What is wrong.
    pub kind: DamageKind,
    /// The first number that may be lost.
    pub lost_from: SequenceNumber,
    /// One past the last number that may be lost.
    pub lost_until: SequenceNumber,
}

/// How a stream is damaged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DamageKind {
    /// No valid frame at this offset, where durable ones were.
    Frame {
        /// The start of the frame.
        offset: u64,
        /// What is wrong with it.
        error: FrameError,
    },
    /// The segment has no valid header, but once had.
    Header(SegmentHeaderError),
    /// The file is shorter than it was when it was sealed.
    Short {
        /// The length of the file.
        len: u64,
        /// The length that it had.
        expected: u64,
    },
    /// The file is not there.
    Missing,
    /// A frame of a newer version.
    Unsupported {
        /// The start of the frame.
        offset: u64,
        /// What it needs.
        error: FrameError,
    },
}

/// What to do with a part of a segment that was verified but for which nothing vouches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rewrite {
    /// The segment.
    pub ordinal: Ordinal,
    /// The first byte to be written again.
    pub from: u64,
    /// The end of the bytes to be written again.
    pub until: u64,
}

/// How the log goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Continuation {
    /// Appends go on in the last segment, behind its last frame.
    Append,
    /// The log is ended by a new segment with this ordinal, whose base is the end of the log.
    NewSegment(Ordinal),
    /// No ordinal is left for the segment that would be needed.
    OrdinalsExhausted,
}

/// What a stream is, and what has to be done before it is appended to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The segments that hold the log, in order. Between them may be holes, if there is damage.
    pub live: Vec<LiveSegment>,
    /// The number of the first entry.
    pub first: SequenceNumber,
    /// One past the last entry.
    pub end: SequenceNumber,
    /// Where the log was torn, and in which segment.
    pub torn: Option<(Ordinal, Tear)>,
    /// The last segment, if nothing vouches for it and it has no valid header: to be renamed.
    pub set_aside: Option<Ordinal>,
    /// The sealed records that the index is to have: one for each segment but the one that appends
    /// go on in, or the new one that ends the log.
    pub records: Vec<SegmentRecord>,
    /// What is to be written again and synced, in this order.
    pub rewrite: Vec<Rewrite>,
    /// How the log goes on; where there is damage, when it is cut off there.
    pub continuation: Continuation,
    /// What is lost. Unless this is empty, nothing on disk is to be changed.
    pub damage: Vec<Damage>,
}

/// Judges the segments of one stream.
///
/// The facts come in the order of ordinals, no two of one ordinal, with [`FileFacts::Missing`] for
/// each segment that a record, a floor or the record before it names and that has no file. `start`
/// is the start record, if the index has one: lower ordinals are gone, whatever is left of them.
pub fn plan(facts: &[SegmentFacts], start: Option<StartRecord>) -> Plan {
    debug_assert!(facts.is_sorted_by(|a, b| a.ordinal < b.ordinal), "in the order of ordinals");
    let gone = |segment: &SegmentFacts| start.is_some_and(|start| segment.ordinal < start.ordinal);
    let facts = facts.get(facts.partition_point(gone)..).unwrap_or_default();
    let (standings, set_aside) = standings(facts);
    // No rollback goes below the first number, so without a start record it is the lowest base.
    let lowest = standings.iter().map(|standing| standing.segment.base).min();
    let first = start.map(|start| start.base).or(lowest).unwrap_or_default();
    let mut walk = Walk {
        next: first,
        live: Vec::new(),
        damage: Vec::new(),
        rewrite: Vec::new(),
        torn: None,
        open: None,
    };
    if let Some(StartRecord { ordinal, base }) = start
        && facts.first().is_none_or(|first| first.ordinal != ordinal)
    {
        walk.lose(ordinal, base, DamageKind::Missing, base);
    }
    for standing in standings.iter().filter(|standing| !standing.is_dead()) {
        let SegmentFacts { base, ref file, .. } = *standing.segment;
        if standing.trust == Trust::None && (base > walk.next || file.is_headless()) {
            break;
        }
        walk.visit(standing);
    }
    let open = walk.open.filter(|_| walk.damage.is_empty());
    let last = standings.last().map(|last| last.segment.ordinal);
    let continuation = continuation(last, set_aside, open);
    let Walk { next: end, live, damage, rewrite, torn, .. } = walk;
    let closed_count = match continuation {
        Continuation::Append => standings.len() - 1,
        Continuation::NewSegment(_) | Continuation::OrdinalsExhausted => standings.len(),
    };
    let closed = standings.iter().take(closed_count);
    let records = closed.map(|standing| standing.record(&live, end)).collect();
    Plan { live, first, end, torn, set_aside, records, rewrite, continuation, damage }
}

/// Whether anything proves that a segment was there, header and all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Trust {
    Vouched,
    None,
}

/// A segment, and what the others say of it.
struct Standing<'a> {
    segment: &'a SegmentFacts,
    trust: Trust,
    /// The lowest base of all later segments: what lies at or past it is dead.
    limit: SequenceNumber,
    /// Below which number later segments prove all entries durable, if they prove anything.
    later: Option<SequenceNumber>,
}

impl Standing<'_> {
    fn is_dead(&self) -> bool {
        is_cut_off(self.segment.base, self.limit)
    }

    /// What other places than its own frames say of it.
    fn evidence(&self) -> Evidence {
        let own = [self.segment.record, self.segment.floor];
        let ends = own.iter().flatten().map(|vouched| vouched.end).chain(self.later);
        Evidence {
            len: own.iter().flatten().map(|vouched| vouched.len).max().unwrap_or(0),
            until: ends.map(|end| end.min(self.limit)).max().unwrap_or_default(),
        }
    }

    /// The sealed record that the index is to have of it, when the log ends at `end`.
    fn record(&self, live: &[LiveSegment], end: SequenceNumber) -> SegmentRecord {
        let SegmentFacts { ordinal, base, record, ref file, .. } = *self.segment;
        let is_live = live.binary_search_by_key(&ordinal, |live| live.ordinal).is_ok();
        let len = match file.scan().filter(|_| is_live) {
            Some(scan) => scan.valid_end,
            None => record.map_or(0, |record| record.len),
        };
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        SegmentRecord { base, end: self.limit.min(end), len, ordinal }
    }
}

/// Weighs the segments against each other, from the last to the first. If nothing vouches for the
/// last one and it has no valid header, it is none of them, but set aside.
fn standings(facts: &[SegmentFacts]) -> (Vec<Standing<'_>>, Option<Ordinal>) {
    let mut limit = SequenceNumber::MAX;
    let mut later = None;
    // What any segment proves that was there: that those in front of it were.
    let mut trust_in_front = Trust::None;
    let mut set_aside = None;
    let mut standings = Vec::with_capacity(facts.len());
    for (at, segment) in facts.iter().enumerate().rev() {
        let before = at.checked_sub(1).and_then(|before| facts.get(before));
        let proves_all_before = trust_in_front == Trust::Vouched || segment.proves_all_before();
        let trust = if proves_all_before { Trust::Vouched } else { trust_in(before, segment) };
        let is_headless = segment.file.is_headless();
        if trust == Trust::None && is_headless && at + 1 == facts.len() {
            set_aside = Some(segment.ordinal);
            continue;
        }
        standings.push(Standing { segment, trust, limit, later });
        limit = limit.min(segment.base);
        if proves_all_before {
            later = later.max(Some(segment.base));
        }
        if trust == Trust::Vouched || !is_headless {
            trust_in_front = Trust::Vouched;
        }
    }
    standings.reverse();
    (standings, set_aside)
}

/// Whether a segment must have been there because of what it is, or of the one before it.
fn trust_in(before: Option<&SegmentFacts>, segment: &SegmentFacts) -> Trust {
    // The first segment comes to be with the stream.
    let Some(before) = before else { return Trust::Vouched };
    let is_torn_at_most = match &segment.file {
        FileFacts::Headless(error, _) => error.may_be_torn(),
        FileFacts::Missing | FileFacts::Recorded { .. } | FileFacts::Scanned(_) => true,
    };
    let is_named = before.record.is_some_and(|record| record.end == segment.base);
    let is_next = before.ordinal.next() == Some(segment.ordinal);
    if is_torn_at_most && is_next && !is_named { Trust::None } else { Trust::Vouched }
}

/// The log as far as it was followed.
struct Walk {
    next: SequenceNumber,
    live: Vec<LiveSegment>,
    damage: Vec<Damage>,
    rewrite: Vec<Rewrite>,
    torn: Option<(Ordinal, Tear)>,
    /// The segment that the log ends in, if appends could go on there.
    open: Option<Ordinal>,
}

impl Walk {
    fn visit(&mut self, standing: &Standing<'_>) {
        let Standing { segment, limit, .. } = *standing;
        self.open = None;
        if segment.base > self.next {
            let before = Ordinal::new(segment.ordinal.get().saturating_sub(1));
            self.lose(before, self.next, DamageKind::Missing, segment.base);
            self.next = segment.base;
        }
        let SegmentFacts { ordinal, base, .. } = *segment;
        let evidence = standing.evidence();
        let recorded_end =
            segment.record.map_or(evidence.until, |record| record.end.min(limit)).max(base);
        match &segment.file {
            FileFacts::Missing => {
                self.lose(ordinal, base, DamageKind::Missing, recorded_end.max(self.next));
                self.next = recorded_end.max(self.next);
            }
            FileFacts::Recorded { len } => {
                if *len < evidence.len {
                    let kind = DamageKind::Short { len: *len, expected: evidence.len };
                    self.lose(ordinal, base, kind, recorded_end);
                }
                self.enter(segment, recorded_end, evidence.len.min(*len));
            }
            FileFacts::Scanned(scan) => self.visit_scanned(standing, scan),
            FileFacts::Headless(error, scan) => {
                // The frames behind the header are judged, and lost, on their own.
                self.lose(ordinal, base, DamageKind::Header(*error), self.next);
                self.visit_scanned(standing, scan);
            }
        }
        // Where later segments prove more than this one has, one between them is gone.
        if let Some(proven) = standing.later.map(|later| later.min(limit))
            && proven > self.next
        {
            let behind = Ordinal::new(ordinal.get().saturating_add(1));
            self.lose(behind, self.next, DamageKind::Missing, proven);
            self.next = proven;
        }
    }

    fn visit_scanned(&mut self, standing: &Standing<'_>, scan: &Scan) {
        let Standing { segment, limit, later, .. } = *standing;
        let SegmentFacts { ordinal, base, .. } = *segment;
        let evidence = standing.evidence();
        let next = match scan.end {
            ScanEnd::Sealed { next_base } => scan.next.min(next_base),
            ScanEnd::Clean | ScanEnd::Limit | ScanEnd::Broken(_) | ScanEnd::Unsupported { .. } => {
                scan.next
            }
        };
        // Where the first number lies within the first segment, nothing below it is lost any more.
        let next = next.min(limit).max(self.next);
        // A scan may have gone on where a later segment without a header cuts this one short. And
        // nothing can be lost behind the last number.
        let verdict = if scan.next >= limit { Verdict::Clean } else { judge(scan, evidence) };
        let kind = match verdict {
            Verdict::Clean | Verdict::Torn(_) => {
                self.enter(segment, next, scan.valid_end);
                // A later proof covers the segment whole, its seal too.
                let from = scan.evidence_len.max(evidence.len);
                if later.is_none() && from < scan.valid_end {
                    self.rewrite.push(Rewrite { ordinal, from, until: scan.valid_end });
                }
                if let Verdict::Torn(tear) = verdict {
                    self.torn = Some((ordinal, tear));
                }
                // A segment in which no seal fits any more is not gone on with.
                let sealed_len = scan.valid_end + Seal::frame_len(scan.table.points().len() + 1);
                let goes_on = matches!(scan.end, ScanEnd::Clean)
                    && scan.next == next
                    && sealed_len <= MAX_SEGMENT_FILE_LEN;
                self.open = goes_on.then_some(ordinal);
                return;
            }
            Verdict::Damaged { offset, error } => DamageKind::Frame { offset, error },
            Verdict::Unsupported { offset, error } => DamageKind::Unsupported { offset, error },
        };
        // The segment reaches as far as anything is known of entries in it.
        let behind = match scan.end {
            ScanEnd::Broken(found) => found.end_behind.unwrap_or(next),
            ScanEnd::Clean
            | ScanEnd::Limit
            | ScanEnd::Sealed { .. }
            | ScanEnd::Unsupported { .. } => next,
        };
        let until = match limit {
            SequenceNumber::MAX => behind.max(evidence.until),
            limit => limit,
        };
        let until = until.max(next);
        self.enter(segment, until, u64::MAX);
        let lost_from = next;
        self.damage.push(Damage { ordinal, base, kind, lost_from, lost_until: until });
    }

    fn enter(&mut self, segment: &SegmentFacts, until: SequenceNumber, len: u64) {
        let SegmentFacts { ordinal, base, .. } = *segment;
        self.live.push(LiveSegment { ordinal, base, until, len });
        self.next = until.max(self.next);
    }

    fn lose(
        &mut self,
        ordinal: Ordinal,
        base: SequenceNumber,
        kind: DamageKind,
        lost_until: SequenceNumber,
    ) {
        let lost_from = self.next.min(lost_until);
        self.damage.push(Damage { ordinal, base, kind, lost_from, lost_until });
    }
}

/// How the log goes on: in the last segment, or in a new one behind all that there are.
fn continuation(
    last: Option<Ordinal>,
    set_aside: Option<Ordinal>,
    open: Option<Ordinal>,
) -> Continuation {
    let next = match (set_aside, last) {
        (Some(set_aside), _) => Some(set_aside),
        (None, Some(last)) if open == Some(last) => return Continuation::Append,
        (None, Some(last)) => last.next(),
        (None, None) => Some(Ordinal::ZERO),
    };
    next.map_or(Continuation::OrdinalsExhausted, Continuation::NewSegment)
}

#[cfg(test)]
mod tests;
