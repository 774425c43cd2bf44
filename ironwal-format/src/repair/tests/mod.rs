//! Tests of the repair plan: single cases that read as text, all small worlds against another
//! statement of the rules, and all crashes of a small writer.
//!
//! Segments here have a header of 100 bytes, frames of 100 bytes with one entry, seals of 50 bytes.

mod cases;
mod crashes;
mod cuts;
mod worlds;

use super::*;
use crate::ids::Ordinal;
use crate::scan::{Break, is_cut_off};
use crate::seal::SparseTable;
use crate::testing::seq;

const HEADER_LEN: u64 = 100;
const FRAME_LEN: u64 = 100;
const SEAL_LEN: u64 = 50;

/// The end of a segment's first `count` frames.
const fn end_of(count: u64) -> u64 {
    HEADER_LEN + count * FRAME_LEN
}

/// The frames of a segment file, as a scan comes upon them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Frames {
    /// How many are valid from the start on.
    valid_count: u64,
    end: FramesEnd,
    /// How many bytes the headers that are there prove durable.
    synced_len: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FramesEnd {
    Zeros,
    Garbage,
    /// A seal with this base for the next segment.
    Seal(u64),
    Newer,
}

impl Frames {
    const fn open(valid_count: u64) -> Self {
        Self { valid_count, end: FramesEnd::Zeros, synced_len: 0 }
    }

    const fn torn(valid_count: u64) -> Self {
        Self { valid_count, end: FramesEnd::Garbage, synced_len: 0 }
    }

    const fn sealed(valid_count: u64, next_base: u64) -> Self {
        Self { valid_count, end: FramesEnd::Seal(next_base), synced_len: 0 }
    }

    const fn newer(valid_count: u64) -> Self {
        Self { valid_count, end: FramesEnd::Newer, synced_len: 0 }
    }

    const fn synced(self, synced_len: u64) -> Self {
        Self { synced_len, ..self }
    }

    /// The end of the valid frames, with a seal.
    const fn valid_end(self) -> u64 {
        match self.end {
            FramesEnd::Seal(_) => end_of(self.valid_count) + SEAL_LEN,
            FramesEnd::Zeros | FramesEnd::Garbage | FramesEnd::Newer => end_of(self.valid_count),
        }
    }

    /// What a scan of the segment with this base finds, if it is limited so.
    fn scan(self, base: u64, limit: SequenceNumber) -> Scan {
        let at_limit = (0..=self.valid_count).find(|count| is_cut_off(seq(base + count), limit));
        let count = at_limit.unwrap_or(self.valid_count);
        let is_whole = count == self.valid_count;
        let end = match self.end {
            FramesEnd::Seal(next_base) if is_whole => ScanEnd::Sealed { next_base: seq(next_base) },
            FramesEnd::Seal(_) => ScanEnd::Limit,
            FramesEnd::Zeros | FramesEnd::Garbage | FramesEnd::Newer if at_limit.is_some() => {
                ScanEnd::Limit
            }
            FramesEnd::Newer => {
                let error = FrameError::Unsupported { kind: 3, reserved: 0 };
                ScanEnd::Unsupported { offset: end_of(count), error }
            }
            FramesEnd::Garbage => ScanEnd::Broken(Break {
                error: FrameError::Marker(0x55),
                rest_len: 7,
                turned_bit: None,
                end_behind: None,
            }),
            FramesEnd::Zeros => ScanEnd::Clean,
        };
        let is_sealed = matches!(end, ScanEnd::Sealed { .. });
        Scan {
            next: seq(base + count),
            valid_end: end_of(count) + if is_sealed { SEAL_LEN } else { 0 },
            frame_count: u32::try_from(count).unwrap(),
            table: SparseTable::default(),
            end,
            evidence_len: self.synced_len,
        }
    }
}

fn ordinal(number: u32) -> Ordinal {
    Ordinal::new(number)
}

/// Facts with no record and no floor.
fn facts(number: u32, base: u64, file: FileFacts) -> SegmentFacts {
    SegmentFacts { ordinal: ordinal(number), base: seq(base), record: None, floor: None, file }
}

fn vouched(base: u64, end: u64, len: u64) -> Vouched {
    Vouched { base: seq(base), end: seq(end), len }
}
