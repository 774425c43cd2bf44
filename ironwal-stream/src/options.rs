//! The limits of one stream.

use ironwal_format::payload::EntryLimits;

/// The limits that hold for a stream.
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
}
