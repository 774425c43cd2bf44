//! What the records of an index say together.

use alloc::collections::BTreeMap;

use crate::{
    ids::{Ordinal, SequenceNumber},
    index::{IndexRecord, SegmentRecord, StartRecord},
};

/// What an index knows of a stream, after its records were weighed against each other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IndexKnowledge {
    /// The sealed segments that are not gone.
    pub sealed: BTreeMap<Ordinal, SegmentRecord>,
    /// Where the stream begins, if anything was ever removed.
    pub start: Option<StartRecord>,
    /// How much of a segment that no record calls sealed was durable. It is about the active
    /// segment only if that has the same ordinal.
    pub floor: Option<SegmentRecord>,
}

impl IndexKnowledge {
    /// What `records`, in the order of the file, say together.
    ///
    /// - Of two sealed records for one ordinal the later counts. Of all starts, and of all
    ///   floors, the one with the highest ordinal counts; of equal ones, the later.
    /// - What the start says is gone is vouched for by nothing: sealed records and floors of
    ///   lower ordinals are dropped.
    /// - A sealed record says more than a floor of the same ordinal, which is dropped.
    /// - A later base makes older records moot. Segments are made in the order of ordinals, so
    ///   where one of a higher ordinal begins, what older ones hold from there on is dead: the
    ///   end of each record is lowered to the lowest base that a record of a higher ordinal
    ///   names. The end of a sealed record is such a base too, that of the next ordinal. Lengths
    ///   stay as they are: the dead bytes are still durable.
    pub fn of(records: &[IndexRecord]) -> Self {
        let mut known = Self::default();
        for record in records {
            match *record {
                IndexRecord::Sealed(segment) => {
                    known.sealed.insert(segment.ordinal, segment);
                }
                IndexRecord::Start(start) => {
                    if known.start.is_none_or(|earlier| earlier.ordinal <= start.ordinal) {
                        known.start = Some(start);
                    }
                }
                IndexRecord::Floor(floor) => {
                    if known.floor.is_none_or(|earlier| earlier.ordinal <= floor.ordinal) {
                        known.floor = Some(floor);
                    }
                }
            }
        }
        if let Some(start) = known.start {
            known.sealed = known.sealed.split_off(&start.ordinal);
            known.floor = known.floor.filter(|floor| floor.ordinal >= start.ordinal);
        }
        known.floor = known.floor.filter(|floor| !known.sealed.contains_key(&floor.ordinal));
        lower_ends(&mut known.sealed, known.floor.as_mut());
        known
    }
}

/// Lowers the end of every record to the lowest base of a higher ordinal. One pass, from the
/// highest ordinal down; the floor is of none of the sealed ordinals.
fn lower_ends(
    sealed: &mut BTreeMap<Ordinal, SegmentRecord>,
    mut floor: Option<&mut SegmentRecord>,
) {
    // The lowest base of all segments with a higher ordinal.
    let mut limit = SequenceNumber::MAX;
    for segment in sealed.values_mut().rev() {
        if let Some(floor) = floor.take_if(|floor| floor.ordinal > segment.ordinal) {
            floor.end = floor.end.min(limit);
            limit = limit.min(floor.base);
        }
        segment.end = segment.end.min(limit);
        limit = segment.end.min(segment.base);
    }
    if let Some(floor) = floor {
        floor.end = floor.end.min(limit);
    }
}
