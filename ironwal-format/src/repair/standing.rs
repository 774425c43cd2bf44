//! What the segments of a stream say of each other, whatever their own frames are.

use alloc::vec::Vec;

use super::{FileFacts, LiveSegment, SegmentFacts};
use crate::ids::{Ordinal, SequenceNumber};
use crate::index::SegmentRecord;
use crate::scan::is_cut_off;
use crate::verdict::Evidence;

/// Whether anything proves that a segment was there, header and all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trust {
    Vouched,
    None,
}

/// A segment, and what the others say of it.
pub(super) struct Standing<'a> {
    pub(super) segment: &'a SegmentFacts,
    pub(super) trust: Trust,
    /// The lowest base of all later segments: what lies at or past it is dead.
    pub(super) limit: SequenceNumber,
    /// Below which number later segments prove all entries durable, if they prove anything.
    pub(super) later: Option<SequenceNumber>,
    /// Whether it, or one behind it, proves that all below its base was durable.
    pub(super) proves_all_before: bool,
}

impl Standing<'_> {
    /// Whether nothing of it counts: what is not cut off by a later one lies before the first number.
    pub(super) fn is_dead(&self, first: SequenceNumber) -> bool {
        is_cut_off(self.segment.base.max(first), self.limit)
    }

    /// What other places than its own frames say of it.
    pub(super) fn evidence(&self) -> Evidence {
        let own = [self.segment.record, self.segment.floor];
        let ends = own.iter().flatten().map(|vouched| vouched.end).chain(self.later);
        Evidence {
            len: own.iter().flatten().map(|vouched| vouched.len).max().unwrap_or(0),
            until: ends.map(|end| end.min(self.limit)).max().unwrap_or_default(),
        }
    }

    /// The sealed record that the index is to have of it, when the log ends at `end`.
    pub(super) fn record(&self, live: &[LiveSegment], end: SequenceNumber) -> SegmentRecord {
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
pub(super) fn standings<'a>(facts: &[&'a SegmentFacts]) -> (Vec<Standing<'a>>, Option<Ordinal>) {
    let mut limit = SequenceNumber::MAX;
    let mut later = None;
    // What any segment proves that was there: that those in front of it were.
    let mut trust_in_front = Trust::None;
    let mut set_aside = None;
    let mut standings = Vec::with_capacity(facts.len());
    for (at, segment) in facts.iter().copied().enumerate().rev() {
        let before = at.checked_sub(1).and_then(|before| facts.get(before)).copied();
        let proves_all_before = trust_in_front == Trust::Vouched || segment.proves_all_before();
        let trust = if proves_all_before { Trust::Vouched } else { trust_in(before, segment) };
        let is_headless = segment.file.is_headless();
        if trust == Trust::None && is_headless && at + 1 == facts.len() {
            set_aside = Some(segment.ordinal);
            continue;
        }
        standings.push(Standing { segment, trust, limit, later, proves_all_before });
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
