//! The reading and checking of every byte of a stream that counts.
//!
//! Two sources of findings, told as one list. Recovery's verdict judges what no record vouches for;
//! reading every frame of every segment finds what is wrong in those that a record vouches for, where
//! recovery looks at the length alone. Where both see the same thing it is told once, with the numbers
//! of the reading, which knows the next frame that is whole.
//!
//! Nothing is changed. What is dead, behind a torn end or past the base of a later segment, does not
//! count and is not read.

mod check;
mod progress;

use std::ops::Range;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

pub(crate) use check::verify;
pub use progress::Progress;

/// What was found when all bytes of a stream that count were read and checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verification {
    /// The key of the stream.
    pub stream: String,
    /// The number of its first entry.
    pub first_seq: u64,
    /// One past its last entry, lost ones counted.
    pub next_seq: u64,
    /// How many entries were read and are whole.
    pub entry_count: u64,
    /// How many frames hold them.
    pub frame_count: u64,
    /// How many segments were read.
    pub segment_count: usize,
    /// How many bytes of those segments count.
    pub byte_len: u64,
    /// What is not as it should be, in the order of places.
    pub findings: Vec<Finding>,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where in it, if it is a place.
    pub offset: Option<u64>,
    /// What it is.
    pub kind: FindingKind,
    /// The sequence numbers that are, or may be, lost with it; empty when none is.
    pub lost: Range<u64>,
}

/// What a finding is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FindingKind {
    /// The log ends here, and behind are bytes that are no whole frame, and that nothing shows to have
    /// ever been durable: torn by a crash, or being written at this moment.
    Torn {
        /// How many bytes there are up to the last that is not zero.
        rest_len: u64,
        /// The bit that would have to be turned to make the frame whole, counted from the lowest bit
        /// of its first byte, if one does.
        turned_bit: Option<u64>,
    },
    /// The last segment has no whole header, and nothing shows that it ever had: left by a crash, or
    /// being made at this moment.
    Unfinished,
    /// There is no index. The next opening for writing makes it anew.
    IndexMissing,
    /// The index is wrong, or another stream's. The next opening for writing makes it anew.
    IndexWrong,
    /// A file that is not the log's. It is left alone.
    Stray,
    /// Damaged, missing, foreign, of a newer version, or whole but not to be read by this build: the
    /// error says which.
    Loss(Error),
}

impl Finding {
    /// In a word, what it is: `torn`, `unfinished`, `index missing`, `index wrong`, `stray`,
    /// `damaged`, `missing`, `foreign`, `newer`, `unreadable` or `exhausted`.
    pub fn verdict(&self) -> &'static str {
        match &self.kind {
            FindingKind::Torn { .. } => "torn",
            FindingKind::Unfinished => "unfinished",
            FindingKind::IndexMissing => "index missing",
            FindingKind::IndexWrong => "index wrong",
            FindingKind::Stray => "stray",
            FindingKind::Loss(error) => match error.kind() {
                ErrorKind::MissingSegment => "missing",
                ErrorKind::Foreign | ErrorKind::NotOurs => "foreign",
                ErrorKind::NewerVersion => "newer",
                ErrorKind::MissingFeature { .. } => "unreadable",
                ErrorKind::Exhausted => "exhausted",
                // All others are failures of calls, and never findings.
                ErrorKind::Damaged { .. }
                | ErrorKind::InvalidKey(_)
                | ErrorKind::InvalidOption { .. }
                | ErrorKind::TooLarge(_)
                | ErrorKind::Truncated { .. }
                | ErrorKind::Locked
                | ErrorKind::Closed
                | ErrorKind::Deleted
                | ErrorKind::SyncFailed(_)
                | ErrorKind::Fenced(_)
                | ErrorKind::Io { .. } => "damaged",
            },
        }
    }

    /// Whether it keeps the stream from being appended to, or is damage of what was acknowledged. All
    /// else is what a crash or a stranger leaves behind, and harms nothing, or what another build reads.
    pub fn is_damage(&self) -> bool {
        match &self.kind {
            FindingKind::Loss(error) => !matches!(error.kind(), ErrorKind::MissingFeature { .. }),
            FindingKind::Torn { .. }
            | FindingKind::Unfinished
            | FindingKind::IndexMissing
            | FindingKind::IndexWrong
            | FindingKind::Stray => false,
        }
    }
}

impl Verification {
    /// Whether anything is damaged, missing, foreign, or of a newer version.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(Finding::is_damage)
    }
}
