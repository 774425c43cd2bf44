//! The verdict on a segment: clean, torn or damaged.
//!
//! Only evidence tells a tear from damage: proof on disk that bytes were durable once. That later
//! frames are valid is none, since what was not synced reaches the disk in any order.

use crate::frame::{FrameError, HEADER_LEN};
use crate::ids::SequenceNumber;
use crate::scan::{Break, Scan, ScanEnd};

/// What is known of a segment from other places than its own frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Evidence {
    /// How many bytes of it were durable once.
    pub len: u64,
    /// All its entries below this number were durable once.
    pub until: SequenceNumber,
}

/// What a segment is found to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Valid frames up to the end, to zeros, to a seal, or to where the rest is dead.
    Clean,
    /// No valid frame where a crash may have cut, and no evidence covers it: the log ends there.
    Torn(Tear),
    /// No valid frame, or no bytes at all, where evidence says that durable ones were.
    Damaged {
        /// Where the first frame that is lost starts.
        offset: u64,
        /// What is wrong there.
        error: FrameError,
    },
    /// A frame of a newer version.
    Unsupported {
        /// Where it starts.
        offset: u64,
        /// What it needs.
        error: FrameError,
    },
}

/// Where a log was torn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tear {
    /// The start of the frame, and so of the batch, that is not whole.
    pub offset: u64,
    /// How many bytes there are from there to the last that is not zero.
    pub rest_len: u64,
    /// The bit that would have to be turned to make the frame valid, counted from the lowest bit of
    /// its first byte, if one does: a hint at rot that no evidence proves.
    pub turned_bit: Option<u64>,
}

/// Judges what a scan found by the evidence that there is.
pub fn judge(scan: &Scan, elsewhere: Evidence) -> Verdict {
    let offset = scan.valid_end;
    let durable_len = elsewhere.len.max(scan.evidence_len);
    let lost = offset < durable_len || scan.next < elsewhere.until;
    match scan.end {
        ScanEnd::Unsupported { offset, error } => Verdict::Unsupported { offset, error },
        ScanEnd::Broken(Break { error, .. }) if lost => Verdict::Damaged { offset, error },
        ScanEnd::Broken(Break { rest_len, turned_bit, .. }) => {
            Verdict::Torn(Tear { offset, rest_len, turned_bit })
        }
        ScanEnd::Clean | ScanEnd::Sealed { .. } if lost => {
            // At least one frame is missing, even where only numbers tell of it.
            let needed = durable_len.saturating_sub(offset).max(HEADER_LEN);
            Verdict::Damaged { offset, error: FrameError::Cut { available: 0, needed } }
        }
        ScanEnd::Clean | ScanEnd::Sealed { .. } | ScanEnd::Limit => Verdict::Clean,
    }
}
