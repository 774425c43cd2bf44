//! What opening a stream found, and what was done about it.

use std::ops::Range;
use std::path::PathBuf;

use ironwal_format::names::StreamKey;
use ironwal_format::{SequenceNumber, verdict::Tear};

use crate::error::Error;

/// What opening a stream found, and what was done about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamReport {
    /// The stream.
    pub key: StreamKey,
    /// The number of its first entry.
    pub first: SequenceNumber,
    /// One past its last entry.
    pub next: SequenceNumber,
    /// How many segments hold entries or are appended to.
    pub segment_count: usize,
    /// Where the log was torn, and in which file: nothing from there on was ever acknowledged as
    /// durable, as far as anything on disk tells. Where numbers are given up, it lies past them.
    pub torn: Option<(PathBuf, Tear)>,
    /// The last segment, if it had no valid header and nothing vouched for it: by which name it is
    /// kept.
    pub set_aside: Option<PathBuf>,
    /// How many bytes were written again and synced, because nothing proved them durable.
    pub rewritten_len: u64,
    /// What was found of the index.
    pub index: IndexFinding,
    /// What is damaged, missing, foreign or of a newer version. Unless this is empty the stream
    /// cannot be appended to, and nothing on disk was changed; but a stream that is opened by
    /// [`CorruptionPolicy::Truncate`](crate::CorruptionPolicy::Truncate) has what was found here.
    pub damage: Vec<DamageReport>,
    /// The numbers that were given up because of damage, also those that could be read: they are in
    /// use again from the first one on.
    pub given_up: Option<Range<SequenceNumber>>,
    /// Names in the directory that are not ours: left alone.
    pub foreign_names: Vec<String>,
}

/// One thing that keeps a stream from being appended to, or did until it was given up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DamageReport {
    /// Which file, where, and what is wrong.
    pub error: Error,
    /// The first number that may be lost.
    pub lost_from: SequenceNumber,
    /// One past the last number that may be lost; the same as `lost_from` when none is.
    pub lost_until: SequenceNumber,
}

/// What was found of the index of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IndexFinding {
    /// It says what the segments say. That its end is torn or behind is an everyday state.
    Sound,
    /// It was missing.
    Missing,
    /// It was wrong, or of another stream.
    Wrong,
}

impl StreamReport {
    /// Whether nothing was found but a whole log.
    pub fn is_clean(&self) -> bool {
        self.torn.is_none()
            && self.set_aside.is_none()
            && self.damage.is_empty()
            && self.index == IndexFinding::Sound
    }
}
