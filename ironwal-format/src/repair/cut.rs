//! Giving damage up: the log is ended at the first lost number.

use alloc::vec::Vec;

use super::{
    Continuation, Damage, DamageKind, FileFacts, Plan, SegmentFacts, counting, missing_start,
    plan_for,
};
use crate::ids::{Ordinal, SequenceNumber};
use crate::index::StartRecord;
use crate::scan::{Scan, ScanEnd};
use crate::seal::SparseTable;
use crate::segment_header::SegmentHeaderError;

/// What is given up when a damaged log is ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cut {
    /// The first number that is given up: the end of the log.
    pub from: SequenceNumber,
    /// One past the last number that is known to have been there. What lies between and could be
    /// read is given up with the rest.
    pub until: SequenceNumber,
    /// The damage, as [`plan`](super::plan) found it.
    pub damage: Vec<Damage>,
}

/// Judges the segments of one stream as [`plan`](super::plan) does; where it is damaged, ends the log
/// at the first lost number.
///
/// Then the plan has no damage but a [`Cut`], and its log is ended by a new segment of an ordinal
/// that nothing tells of. Whatever lies past the cut is dead once that is there; what lies in front of
/// it, and nothing vouches for, has to be durable before.
///
/// Where that cannot be, the plan is that of [`plan`](super::plan), damage and all: if something is
/// of a newer version or not ours, so that it cannot be judged what would be given up; if no ordinal
/// is left; if the log so ended would not be sound, as when its numbering is at its end.
pub fn plan_cut(facts: &[SegmentFacts], start: Option<StartRecord>) -> Plan {
    let missing = missing_start(facts, start);
    let counting = counting(facts, start, missing.as_ref());
    let found = plan_for(&counting, start);
    let Continuation::NewSegment(ordinal) = found.continuation else { return found };
    let Some(lost_from) = found.damage.iter().map(|damage| damage.lost_from).min() else {
        return found;
    };
    if found.damage.iter().any(is_not_to_be_judged) {
        return found;
    }
    let from = lost_from.max(found.first);
    // What the stream will be found to be is what it is planned to be.
    let ending = ending(ordinal, from);
    let kept = counting.into_iter().filter(|segment| Some(segment.ordinal) != found.set_aside);
    let ended: Vec<_> = kept.chain([&ending]).collect();
    let mut ended = plan_for(&ended, start);
    let is_sound = ended.damage.is_empty()
        && ended.continuation == Continuation::Append
        && (ended.first, ended.end) == (found.first, from);
    if !is_sound {
        return found;
    }
    ended.live.retain(|live| live.ordinal != ordinal);
    // With the new segment there, the others count as durable: that is for this repair to see to.
    let is_kept = |ordinal| ended.live.binary_search_by_key(&ordinal, |live| live.ordinal).is_ok();
    let rewrite = found.rewrite.into_iter().filter(|part| is_kept(part.ordinal)).collect();
    let until = found.damage.iter().map(|damage| damage.lost_until).max();
    let until = until.unwrap_or(found.end).max(found.end);
    Plan {
        torn: found.torn,
        set_aside: found.set_aside,
        rewrite,
        continuation: found.continuation,
        cut: Some(Cut { from, until, damage: found.damage }),
        ..ended
    }
}

/// Whether a file is none of ours, or of a version that knows more of it.
const fn is_not_to_be_judged(damage: &Damage) -> bool {
    match damage.kind {
        DamageKind::Unsupported { .. } => true,
        DamageKind::Header(error) => {
            error.is_unsupported() || matches!(error, SegmentHeaderError::NotOurs)
        }
        DamageKind::Frame { .. } | DamageKind::Short { .. } | DamageKind::Missing => false,
    }
}

/// The segment that ends the log, as it is found when nothing but it has been made.
fn ending(ordinal: Ordinal, base: SequenceNumber) -> SegmentFacts {
    let scan = Scan {
        next: base,
        valid_end: 0,
        frame_count: 0,
        table: SparseTable::default(),
        end: ScanEnd::Clean,
        evidence_len: 0,
    };
    SegmentFacts { ordinal, base, record: None, floor: None, file: FileFacts::Scanned(scan) }
}
