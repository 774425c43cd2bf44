//! How far the entries of a stream are proven durable, for readers that want to see no others.

use super::standing::standings;
use super::{SegmentFacts, counting, missing_start};
use crate::ids::{Ordinal, SequenceNumber};
use crate::index::StartRecord;
use crate::scan::{Scan, ScanEnd};

/// Up to where evidence covers the entries of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProvenEnd {
    /// All below this number is proven; the first number, if nothing is.
    pub end: SequenceNumber,
    /// Where more may be proven than the facts can put into numbers.
    pub within: Option<ProvenWithin>,
}

/// A segment whose headers prove it durable up to an offset: each frame that ends at or before that
/// proves its entries too, as far as they count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProvenWithin {
    /// The segment.
    pub ordinal: Ordinal,
    /// Its base.
    pub base: SequenceNumber,
    /// How many of its bytes are proven.
    pub len: u64,
    /// What lies in it at or past this number is dead.
    pub limit: SequenceNumber,
}

/// Tells up to where evidence covers the entries of a stream, whatever of them is damaged. The facts
/// are those of [`plan`](super::plan).
pub fn proven_end(facts: &[SegmentFacts], start: Option<StartRecord>) -> ProvenEnd {
    let missing = missing_start(facts, start);
    let (standings, _) = standings(&counting(facts, start, missing.as_ref()));
    let lowest = standings.iter().map(|standing| standing.segment.base).min();
    let first = start.map(|start| start.base).or(lowest).unwrap_or_default();
    let mut end = first;
    let mut within = None;
    for standing in &standings {
        let SegmentFacts { ordinal, base, record, floor, ref file } = *standing.segment;
        let limit = standing.limit;
        // A rollback may have come no further than its seal.
        let own_limit = match file.scan() {
            Some(Scan { end: ScanEnd::Sealed { next_base }, .. }) => limit.min(*next_base),
            Some(_) | None => limit,
        };
        for told in [record, floor].into_iter().flatten() {
            end = end.max(told.end.min(own_limit));
        }
        if standing.proves_all_before {
            end = end.max(base.min(limit));
        }
        let Some(scan) = file.scan().filter(|scan| scan.evidence_len > 0) else { continue };
        // It proves all before its base, and with that all that earlier ones can.
        within = None;
        if standing.is_dead(first) {
            continue;
        }
        let len = scan.evidence_len;
        if scan.valid_end <= len {
            end = end.max(scan.next.min(own_limit));
        }
        if scan.valid_end != len {
            within = Some(ProvenWithin { ordinal, base, len, limit: own_limit });
        }
    }
    ProvenEnd { end, within }
}
