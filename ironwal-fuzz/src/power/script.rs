//! What a writer does: a function of the number of an operation, so that whoever finds an entry can tell
//! whether it is what was appended, acknowledged or not.

use ironwal::{Preallocation, SyncMode, WalOptions};

use crate::random::SplitMix64;

/// The keys of the streams, one of which has to be escaped in the name of its directory.
pub(super) const KEYS: [&str; 6] = ["a", "b", "c", "D/4", "e", "f"];

pub(super) const WRITER_COUNT: usize = 4;

/// What an operation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Single,
    Batch,
    SyncStream,
    SyncAll,
    Rotate,
    Truncate,
    Delete,
    /// Nothing, for a while: so that others have the disk for themselves.
    Pause,
}

/// An operation, by its number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Op(pub(super) u64);

impl Op {
    fn random(self, salt: u64) -> SplitMix64 {
        SplitMix64::new(self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt)
    }

    pub(super) fn kind(self) -> Kind {
        match self.random(1).below(100) {
            0..=49 => Kind::Single,
            50..=74 => Kind::Batch,
            75..=79 => Kind::SyncStream,
            80..=81 => Kind::SyncAll,
            82..=84 => Kind::Rotate,
            85..=90 => Kind::Truncate,
            91..=93 => Kind::Delete,
            _ => Kind::Pause,
        }
    }

    /// Which of [`KEYS`] it is about.
    pub(super) fn stream(self) -> usize {
        self.random(2).below(KEYS.len())
    }

    /// Something below `end` that its kind does not tell.
    pub(super) fn detail(self, end: usize) -> usize {
        self.random(3).below(end)
    }

    /// How many entries it appends.
    pub(super) fn count(self) -> usize {
        match self.kind() {
            Kind::Single => 1,
            Kind::Batch => 1 + self.random(4).below(12),
            Kind::SyncStream
            | Kind::SyncAll
            | Kind::Rotate
            | Kind::Truncate
            | Kind::Delete
            | Kind::Pause => 0,
        }
    }

    /// One of its entries: its number, then bytes that can be compressed or not.
    pub(super) fn entry(self, part: usize) -> Vec<u8> {
        let mut random = self.random(5 + part as u64);
        let mut entry = format!("{} {part} ", self.0).into_bytes();
        let len = if random.chance(1, 12) { random.below(9_000) } else { random.below(250) };
        let is_even = random.chance(1, 3);
        while entry.len() < len {
            let bits = if is_even { 0x7878_7878_7878_7878 } else { random.next_u64() };
            entry.extend(bits.to_le_bytes());
        }
        entry
    }

    /// The operation that an entry is of.
    pub(super) fn of(entry: &[u8]) -> Option<Self> {
        let number = entry.split(|&byte| byte == b' ').next()?;
        std::str::from_utf8(number).ok()?.parse().ok().map(Op)
    }
}

/// How a life of the writer is set up, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style(pub(super) u64);

impl Style {
    fn pick<T: Copy, const N: usize>(self, salt: u64, choices: [T; N]) -> T {
        let index = SplitMix64::new(self.0 ^ (salt << 32)).below(N);
        // `below` keeps to the array; the first is as good as any.
        choices.into_iter().nth(index).unwrap_or(choices[0])
    }

    pub(super) fn mode(self) -> SyncMode {
        self.pick(1, [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async])
    }

    pub(super) fn options(self) -> WalOptions {
        WalOptions::new()
            .sync_mode(self.mode())
            .max_segment_size(self.pick(2, [700, 3_000, 12_000, 60_000]))
            .max_open_segments(self.pick(3, [1, 3, 100]))
            .min_compression_size(self.pick(4, [200, 4_096]))
            .preallocation(
                self.pick(5, [Preallocation::Reserve, Preallocation::Zeros, Preallocation::Off]),
            )
    }
}
