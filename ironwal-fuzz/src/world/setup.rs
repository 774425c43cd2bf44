//! The options that a run varies.

use ironwal::{
    CompressionType, CorruptionPolicy, Preallocation, ReadStrategy, SyncMode, WalOptions,
};

/// The options of an opening, as far as a run varies them: small, so that what is rare is common.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Setup {
    /// What a call survives that succeeds.
    pub mode: SyncMode,
    /// Segments end at so many bytes,
    pub max_segment_size: u64,
    /// or at so many entries.
    pub max_segment_entries: u64,
    /// So many idle segments stay open.
    pub max_open_segments: u64,
    /// How entries are read.
    pub reads: ReadStrategy,
    /// Whether frames of at least 64 bytes are compressed.
    pub compression: CompressionType,
    /// How space is made ahead of the writes.
    pub space: Preallocation,
    /// What becomes of damage, of which crashes alone make none.
    pub policy: CorruptionPolicy,
}

impl Setup {
    /// Strict, and nothing else out of the ordinary.
    pub const DEFAULT: Setup = Setup {
        mode: SyncMode::Strict,
        max_segment_size: 64 << 10,
        max_segment_entries: u32::MAX as u64,
        max_open_segments: 100,
        reads: ReadStrategy::Mmap,
        compression: CompressionType::None,
        space: Preallocation::Reserve,
        policy: CorruptionPolicy::Error,
    };

    /// The options of the log.
    pub const fn options(&self) -> WalOptions {
        WalOptions::new()
            .sync_mode(self.mode)
            .max_segment_size(self.max_segment_size)
            .max_segment_entries(self.max_segment_entries)
            .max_open_segments(self.max_open_segments)
            .read_strategy(self.reads)
            .compression(self.compression)
            .min_compression_size(64)
            .preallocation(self.space)
            .corruption_policy(self.policy)
    }
}
