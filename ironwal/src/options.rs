//! The options of a log.

use ironwal_format::frame::MAX_BATCH_LEN;
use ironwal_format::payload::{Compression, EntryLimits};
use ironwal_segment::storage::open_file_limit;
use ironwal_stream::StreamOptions;
pub use ironwal_stream::{CorruptionPolicy, Preallocation};

use crate::error::{Error, ErrorKind, Result};

const MIB: u64 = 1 << 20;

/// The longest segment: 2 GiB.
const MAX_SEGMENT_SIZE: u64 = 2 << 30;

/// When an append returns: what of it is durable by then.
///
/// | the call has returned | the process is killed | the power fails |
/// | --- | --- | --- |
/// | any append, `Strict` | there | there |
/// | a batch, `BatchOnly` | there | there, and all before it in its stream |
/// | a single append, `BatchOnly` | there | may be lost, with all behind it in its stream |
/// | any append, `Async` | there | may be lost, with all behind it in its stream |
/// | [`Stream::sync`](crate::Stream::sync), any mode | there | all that was appended before is there |
///
/// In every mode a batch is there whole or not at all, and what is left of a stream after a crash has
/// no holes: when an entry is there, so is all before it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SyncMode {
    /// Every append is durable when it returns.
    #[default]
    Strict,
    /// A batch is durable when its call returns, and so is all before it in its stream. A single append
    /// is written: it outlives the process, not a power cut. One that comes while a batch of the same
    /// stream is being made durable waits for that, and is durable with it: readers see entries in
    /// order, and a batch only when it is durable.
    BatchOnly,
    /// Every append is written when it returns: it outlives the process, not a power cut. What is
    /// durable is up to [`Stream::sync`](crate::Stream::sync) and [`Wal::sync`](crate::Wal::sync), and
    /// to the log where it ends a segment or closes a file.
    Async,
}

/// How frames are compressed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum CompressionType {
    /// Not at all.
    None,
    /// As LZ4 blocks, from [`WalOptions::min_compression_size`] on and where that makes them smaller.
    /// Needs the feature `lz4`, which is on by default, and so does reading them.
    #[cfg(feature = "lz4")]
    Lz4,
}

impl Default for CompressionType {
    /// LZ4, if this build has the feature `lz4`.
    fn default() -> Self {
        #[cfg(feature = "lz4")]
        return Self::Lz4;
        #[cfg(not(feature = "lz4"))]
        Self::None
    }
}

/// How segments are read. Both give the same answers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReadStrategy {
    /// Through memory maps, without copying: what is read shares the mapping, and keeps it alive. A
    /// segment is mapped when it is first read, and stays so while it is used; 8,192 segments at most
    /// are kept mapped. A file that cannot be mapped is read like the other strategy does.
    ///
    /// A segment file that a stranger cuts short while it is mapped, or a disk that fails below a mapping,
    /// ends the process with SIGBUS. The log itself never cuts a file below what was committed.
    #[default]
    Mmap,
    /// By positioned reads, into memory of their own. Files are kept open within
    /// [`WalOptions::max_open_segments`].
    StandardIo,
}

/// The options of a log. They are checked when it is opened, and hold for all its streams; they may
/// differ from one opening to the next: what was written with other options is read like all else.
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
    sync_mode: SyncMode,
    compression: Option<CompressionType>,
    min_compression_size: u64,
    read_strategy: ReadStrategy,
    preallocation: Preallocation,
    corruption_policy: CorruptionPolicy,
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
            sync_mode: SyncMode::Strict,
            compression: None,
            min_compression_size: 4096,
            read_strategy: ReadStrategy::Mmap,
            preallocation: Preallocation::Reserve,
            corruption_policy: CorruptionPolicy::Error,
        }
    }

    /// What is done when a stream turns out to be damaged as it is opened: by default nothing on disk is
    /// changed and appends to it fail, [`CorruptionPolicy::Error`].
    ///
    /// With [`CorruptionPolicy::Truncate`] the stream ends at the first lost number, and is appended to
    /// from there: the numbers from there on are used again. [`RecoveryReport::damage`] and
    /// [`RecoveryReport::given_up`] name all that is lost, and no byte of it is removed from the disk.
    /// Damage inside a sealed segment is not looked for when a stream is opened: what is read of it is an
    /// error under either policy.
    ///
    /// [`RecoveryReport::damage`]: crate::RecoveryReport::damage
    /// [`RecoveryReport::given_up`]: crate::RecoveryReport::given_up
    pub const fn corruption_policy(mut self, policy: CorruptionPolicy) -> Self {
        self.corruption_policy = policy;
        self
    }

    /// What of an append is durable when it returns: by default everything, [`SyncMode::Strict`].
    pub const fn sync_mode(mut self, mode: SyncMode) -> Self {
        self.sync_mode = mode;
        self
    }

    /// How frames are compressed: by default as LZ4, if this build has the feature `lz4`.
    pub const fn compression(mut self, compression: CompressionType) -> Self {
        self.compression = Some(compression);
        self
    }

    /// How long a frame's payload has to be, in bytes, to be compressed: any number, by default 4 KiB.
    /// Shorter ones stay raw, since what they would save is less than what unpacking costs.
    pub const fn min_compression_size(mut self, bytes: u64) -> Self {
        self.min_compression_size = bytes;
        self
    }

    /// How segments are read: by default through memory maps, [`ReadStrategy::Mmap`].
    pub const fn read_strategy(mut self, strategy: ReadStrategy) -> Self {
        self.read_strategy = strategy;
        self
    }

    /// How segment files are made ready for what will be written to them: by default their space is
    /// reserved ahead, [`Preallocation::Reserve`].
    pub const fn preallocation(mut self, preallocation: Preallocation) -> Self {
        self.preallocation = preallocation;
        self
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
    /// A stream that is appended to keeps one file open, and with [`ReadStrategy::StandardIo`] so does a
    /// segment that is read. When there are more than this, the coldest are closed, and opened again
    /// when they are next used; what is not durable by then is synced first. Files that a running call
    /// uses come on top: one or two, four while a segment is ended.
    ///
    /// So where more streams than this are appended to in turn, an append costs about a sync in every
    /// [`SyncMode`]. For [`SyncMode::BatchOnly`] and [`SyncMode::Async`] give at least as many as there are
    /// busy streams, as far as the limit of open files of the process allows.
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
                preallocation: self.preallocation,
                corruption: self.corruption_policy,
            },
            sync_mode: self.sync_mode,
            compression: match self.compression.unwrap_or_default() {
                CompressionType::None => Compression::None,
                #[cfg(feature = "lz4")]
                CompressionType::Lz4 => Compression::Lz4 { min_len: self.min_compression_size },
            },
            read_strategy: self.read_strategy,
            max_open_segments: usize::try_from(open_count).unwrap_or(usize::MAX),
        })
    }
}

/// Options that are in their ranges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub(crate) stream: StreamOptions,
    pub(crate) sync_mode: SyncMode,
    pub(crate) compression: Compression,
    pub(crate) read_strategy: ReadStrategy,
    pub(crate) max_open_segments: usize,
}

fn in_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidOption { name, value, min, max }))
}

/// A quarter of what the process may open, so that the program has the rest.
pub(crate) fn default_open_segments() -> u64 {
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
