//! The options of a log.

use ironwal_format::frame::MAX_BATCH_LEN;
use ironwal_format::payload::EntryLimits;
use ironwal_segment::storage::open_file_limit;
use ironwal_stream::{CorruptionPolicy, StreamOptions};

use crate::error::{Error, ErrorKind, Result};

const MIB: u64 = 1 << 20;

/// The longest segment: 2 GiB.
const MAX_SEGMENT_SIZE: u64 = 2 << 30;

/// The options of a log. They are checked when it is opened, and hold for all its streams; they may
/// differ from one opening to the next.
///
/// ```
/// let options = ironwal::WalOptions::new().max_segment_size(16 << 20).max_entry_len(4096);
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct WalOptions {
    max_segment_size: u64,
    max_segment_entries: u64,
    max_entry_len: u64,
    max_batch_len: u64,
    max_open_segments: Option<u64>,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl WalOptions {
    /// The default options.
    pub const fn new() -> Self {
        Self {
            max_segment_size: 64 * MIB,
            max_segment_entries: u32::MAX as u64,
            max_entry_len: 64 * MIB,
            max_batch_len: 64 * MIB,
            max_open_segments: None,
        }
    }

    /// How long a segment file gets, in bytes, before the next is started: 1 byte to 2 GiB, by
    /// default 64 MiB.
    ///
    /// Smaller segments are the unit of what can be removed and copied; each start of one costs a few
    /// more syncs. An append that is longer than this has a segment alone.
    pub const fn max_segment_size(mut self, bytes: u64) -> Self {
        self.max_segment_size = bytes;
        self
    }

    /// How many entries a segment holds before the next is started: 1 to 2^32 - 1, which is the
    /// default. A batch that is larger than this has a segment alone.
    pub const fn max_segment_entries(mut self, count: u64) -> Self {
        self.max_segment_entries = count;
        self
    }

    /// How long one entry may be, in bytes: 0 to 1 GiB, by default 64 MiB. A longer one is refused
    /// before anything is written.
    pub const fn max_entry_len(mut self, bytes: u64) -> Self {
        self.max_entry_len = bytes;
        self
    }

    /// How long the entries of one batch may be together, in bytes: 0 to 1 GiB, by default 64 MiB.
    /// It holds for a single entry too. A batch has at most 2^24 entries.
    pub const fn max_batch_len(mut self, bytes: u64) -> Self {
        self.max_batch_len = bytes;
        self
    }

    /// How many segment files are held open while no call is using them: at least 1, by default a
    /// quarter of what the process may open, and at most 1,024.
    ///
    /// A stream that is appended to keeps one file open. When there are more such streams than this,
    /// the coldest give theirs up, and open it again when they are next appended to. Files that a
    /// running call uses come on top, at most two for each thread.
    pub const fn max_open_segments(mut self, count: u64) -> Self {
        self.max_open_segments = Some(count);
        self
    }

    /// Checks all values; gives what the layers below need.
    pub(crate) fn check(&self) -> Result<Checked> {
        in_range("max_segment_size", self.max_segment_size, 1, MAX_SEGMENT_SIZE)?;
        in_range("max_segment_entries", self.max_segment_entries, 1, u64::from(u32::MAX))?;
        in_range("max_entry_len", self.max_entry_len, 0, MAX_BATCH_LEN)?;
        in_range("max_batch_len", self.max_batch_len, 0, MAX_BATCH_LEN)?;
        let open_count = self.max_open_segments.unwrap_or_else(default_open_segments);
        in_range("max_open_segments", open_count, 1, u64::MAX)?;
        Ok(Checked {
            stream: StreamOptions {
                entries: EntryLimits::new(self.max_entry_len, self.max_batch_len),
                max_segment_len: self.max_segment_size,
                max_segment_entry_count: self.max_segment_entries,
                corruption: CorruptionPolicy::Error,
            },
            max_open_segments: usize::try_from(open_count).unwrap_or(usize::MAX),
        })
    }
}

/// Options that are in their ranges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub(crate) stream: StreamOptions,
    pub(crate) max_open_segments: usize,
}

fn in_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidOption { name, value, min, max }))
}

/// A quarter of what the process may open, so that the program has the rest.
fn default_open_segments() -> u64 {
    open_file_limit().map_or(256, |limit| limit / 4).clamp(1, 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_refused_outside_its_range_and_named() {
        let defaults = WalOptions::new;
        assert!(defaults().check().is_ok());
        let refused = [
            ("max_segment_size", defaults().max_segment_size(0)),
            ("max_segment_size", defaults().max_segment_size((2 << 30) + 1)),
            ("max_segment_entries", defaults().max_segment_entries(0)),
            ("max_segment_entries", defaults().max_segment_entries(1 << 32)),
            ("max_entry_len", defaults().max_entry_len((1 << 30) + 1)),
            ("max_batch_len", defaults().max_batch_len((1 << 30) + 1)),
            ("max_open_segments", defaults().max_open_segments(0)),
        ];
        for (expected, options) in refused {
            let error = options.check().unwrap_err();
            let ErrorKind::InvalidOption { name, .. } = error.kind() else {
                panic!("{error}");
            };
            assert_eq!(*name, expected);
        }
    }
}
