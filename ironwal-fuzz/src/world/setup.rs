//! The options that a run varies.

use ironwal::{
    CompressionType, CorruptionPolicy, Preallocation, ReadStrategy, SyncMode, WalOptions,
};

use crate::random::SplitMix64;

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

const MODES: [SyncMode; 3] = [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async];
const READS: [ReadStrategy; 2] = [ReadStrategy::Mmap, ReadStrategy::StandardIo];
const LZ4: [CompressionType; 2] = [CompressionType::None, CompressionType::Lz4];
const SPACES: [Preallocation; 3] =
    [Preallocation::Reserve, Preallocation::Zeros, Preallocation::Off];

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

    /// The same, but with segments as large as these at least.
    #[must_use]
    pub fn at_least(self, other: &Setup) -> Setup {
        Setup {
            max_segment_size: self.max_segment_size.max(other.max_segment_size),
            max_segment_entries: self.max_segment_entries.max(other.max_segment_entries),
            ..self
        }
    }

    /// What another opening of the same log may have, by a seed: all but what becomes of damage.
    #[must_use]
    pub fn other(self, seed: u64) -> Self {
        let random = &mut SplitMix64::new(seed);
        Setup {
            mode: one_of(random, &MODES, self.mode),
            max_segment_size: self.max_segment_size.div_ceil(4) << random.below(5),
            max_segment_entries: match random.below(2) {
                0 => self.max_segment_entries,
                _ => 1 + random.below(5) as u64,
            },
            max_open_segments: if random.chance(1, 2) { 1 } else { self.max_open_segments },
            reads: one_of(random, &READS, self.reads),
            compression: one_of(random, &LZ4, self.compression),
            space: one_of(random, &SPACES, self.space),
            policy: self.policy,
        }
    }

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

fn one_of<T: Copy>(random: &mut SplitMix64, all: &[T], default: T) -> T {
    all.get(random.below(all.len())).copied().unwrap_or(default)
}
