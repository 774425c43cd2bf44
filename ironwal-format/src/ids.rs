//! The numbers that name things on disk, each of a type of its own.
//!
//! `new` and `get` mark the border to plain integers; there is no other conversion, and only the
//! sums that mean something exist.

use core::fmt;

/// An entry's place in its stream: dense, never used again for other bytes once committed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SequenceNumber(u64);

impl SequenceNumber {
    /// The number of the first entry of a stream that was never reset.
    pub const ZERO: Self = Self(0);

    /// The last number that an end (one past the last entry) can have.
    pub const MAX: Self = Self(u64::MAX);

    /// The sequence number `value`.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The plain number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number `count` entries later, or `None` past the end of the numbering.
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// How many entries lie from `earlier` until this one; 0 if `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A segment's place in the order of creation in its stream.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ordinal(u32);

impl Ordinal {
    /// The ordinal of the first segment of a stream.
    pub const ZERO: Self = Self(0);

    /// The ordinal `value`.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The plain number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The next ordinal, or `None` past the end of the numbering.
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The random name of one incarnation of a stream: a stream that is deleted and made again under
/// the same key has another.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId([u8; 16]);

impl StreamId {
    /// How many bytes it has.
    pub const LEN: usize = 16;

    /// The stream id of these random bytes.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The plain bytes.
    pub const fn get(self) -> [u8; Self::LEN] {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}
