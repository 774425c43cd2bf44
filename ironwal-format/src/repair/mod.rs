//! The repair plan: from what was found of the segments of a stream to what the log is, and what has
//! to be done before it is appended to.
//!
//! Pure: recovery gathers [`SegmentFacts`], calls [`plan`] and does what it says. The rules are those
//! of FORMAT.md, "Evidence and verdicts":
//!
//! - What a segment holds at or past the base of a later one is dead. One of which nothing else counts
//!   is not judged.
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
//! - Damage can be given up with all that lies behind it: [`plan_cut`] ends the log by a new segment
//!   at the first lost number. What that makes of the stream is judged by these same rules.

mod cut;
mod proven;
mod standing;
mod walk;

use alloc::vec::Vec;

use self::standing::standings;
use self::walk::Walk;
use crate::frame::FrameError;
use crate::ids::{Ordinal, SequenceNumber};
use crate::index::{SegmentRecord, StartRecord};
use crate::scan::{Scan, ScanEnd};
use crate::segment_header::SegmentHeaderError;
use crate::verdict::Tear;

pub use self::cut::{Cut, plan_cut};
pub use self::proven::{ProvenEnd, ProvenWithin, proven_end};

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
    /// A record vouches for it, so that only its length was looked at. One that is too short has to
    /// be scanned where a later segment begins before the end in the record, which is older than that
    /// then; else it is better scanned, which tells the place of the damage.
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
    /// What is given up, in a plan of [`plan_cut`] that ends the log because of damage.
    pub cut: Option<Cut>,
}

/// Judges the segments of one stream.
///
/// The facts come in the order of ordinals, no two of one ordinal, with [`FileFacts::Missing`] for
/// each segment that a record, a floor or the record before it names and that has no file. `start`
/// is the start record, if the index has one: lower ordinals are gone, whatever is left of them.
pub fn plan(facts: &[SegmentFacts], start: Option<StartRecord>) -> Plan {
    let missing = missing_start(facts, start);
    plan_for(&counting(facts, start, missing.as_ref()), start)
}

/// The segment that the start record names, if it has no other fact: the record vouches for it.
fn missing_start(facts: &[SegmentFacts], start: Option<StartRecord>) -> Option<SegmentFacts> {
    let StartRecord { ordinal, base } = start?;
    let at = facts.partition_point(|segment| segment.ordinal < ordinal);
    let is_there = facts.get(at).is_some_and(|segment| segment.ordinal == ordinal);
    let (record, floor, file) = (None, None, FileFacts::Missing);
    (!is_there).then_some(SegmentFacts { ordinal, base, record, floor, file })
}

/// The facts that count: those in front of the start are gone, its own segment is one.
fn counting<'a>(
    facts: &'a [SegmentFacts],
    start: Option<StartRecord>,
    missing: Option<&'a SegmentFacts>,
) -> Vec<&'a SegmentFacts> {
    debug_assert!(facts.is_sorted_by(|a, b| a.ordinal < b.ordinal), "in the order of ordinals");
    let gone = |segment: &SegmentFacts| start.is_some_and(|start| segment.ordinal < start.ordinal);
    let kept = facts.get(facts.partition_point(gone)..).unwrap_or_default();
    missing.into_iter().chain(kept).collect()
}

fn plan_for(facts: &[&SegmentFacts], start: Option<StartRecord>) -> Plan {
    let (standings, set_aside) = standings(facts);
    // No rollback goes below the first number, so without a start record it is the lowest base.
    let lowest = standings.iter().map(|standing| standing.segment.base).min();
    let first = start.map(|start| start.base).or(lowest).unwrap_or_default();
    let walk = Walk::along(&standings, first);
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
    let cut = None;
    Plan { live, first, end, torn, set_aside, records, rewrite, continuation, damage, cut }
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
