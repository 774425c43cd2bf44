//! The limits of one stream, and what is done about damage.

use ironwal_format::payload::EntryLimits;
use ironwal_segment::Preallocation;

/// What is done when a stream that is opened for writing is damaged.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CorruptionPolicy {
    /// Nothing on disk is changed, and appends are refused.
    #[default]
    Error,
    /// The log is ended at the first lost number, and goes on there. What lies past it is given up,
    /// also what could be read, and stays on disk. What is of a newer version, not ours, of another
    /// stream or doubled is refused all the same.
    Truncate,
}

/// The limits that hold for a stream, and what is done about damage.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// How much one append may hold.
    pub entries: EntryLimits,
    /// A segment is ended before it is longer than this, in bytes, its seal included; one that holds a
    /// single frame may be longer.
    pub max_segment_len: u64,
    /// A segment is ended before it holds more entries than this; one that holds a single frame may
    /// hold more.
    pub max_segment_entry_count: u64,
    /// How segment files are made ready for what will be written to them.
    pub preallocation: Preallocation,
    /// What is done about damage.
    pub corruption: CorruptionPolicy,
}
