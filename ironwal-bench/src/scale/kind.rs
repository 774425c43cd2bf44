//! What gets larger, and what is done then.

use crate::workload::Effort;

/// What a log has more and more of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dimension {
    /// Entries of one stream.
    Entries,
    /// Segments of one stream, with an entry each.
    Segments,
    /// Streams, with an entry each.
    Streams,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// An append that is written: of many streams, to a hundred.
    Append,
    /// An append that is durable.
    StrictAppend,
    /// An entry at random: of many streams, from a hundred.
    Get,
    /// The same from a mapped file without a log: what the memory of the machine costs.
    GetByHand,
    /// From nothing until the first append has returned.
    Open,
    /// The same, of a log with small segments.
    OpenSmall,
    /// An append that starts a new segment.
    Rotate,
    /// Removing the first segment.
    Truncate,
    /// An append to any stream there is, as if none were used more than another.
    AppendAny,
    /// A get from any.
    GetAny,
}

impl Dimension {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Entries, Self::Segments, Self::Streams];

    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Segments => "segments",
            Self::Streams => "streams",
        }
    }

    /// In a few words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Entries => "entries in one stream",
            Self::Segments => "segments in one stream",
            Self::Streams => "streams in one log",
        }
    }

    /// What is done, in this order: what leaves the log as it is comes first.
    pub const fn operations(self) -> &'static [Operation] {
        use Operation::{
            Append, AppendAny, Get, GetAny, GetByHand, Open, OpenSmall, Rotate, StrictAppend,
            Truncate,
        };
        match self {
            Self::Entries => &[Open, OpenSmall, Get, GetByHand, Append, StrictAppend],
            Self::Segments => &[Open, Get, Append, StrictAppend, Rotate, Truncate],
            Self::Streams => &[Open, Get, GetAny, Append, StrictAppend, AppendAny],
        }
    }

    /// How many of them there are, from few to many.
    pub fn sizes(self, effort: Effort) -> Vec<u64> {
        let powers = match self {
            Self::Entries => 3..=6,
            Self::Segments => 0..=4,
            Self::Streams => 0..=5,
        };
        let mut sizes: Vec<_> = powers.map(|power| effort.some(10_u64.pow(power))).collect();
        sizes.dedup();
        sizes
    }
}

impl Operation {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Append,
        Self::StrictAppend,
        Self::Get,
        Self::GetByHand,
        Self::Open,
        Self::OpenSmall,
        Self::Rotate,
        Self::Truncate,
        Self::AppendAny,
        Self::GetAny,
    ];

    /// How it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Append => "append, Async",
            Self::StrictAppend => "append, Strict",
            Self::Get => "get",
            Self::GetByHand => "get by hand, mapped",
            Self::Open => "open, and append",
            Self::OpenSmall => "open, segments of 1 MiB",
            Self::Rotate => "append and rotate, Async",
            Self::Truncate => "remove a segment",
            Self::AppendAny => "append to any, Async",
            Self::GetAny => "get from any",
        }
    }

    /// Where there is less, what it does itself would hide the size.
    pub const fn least(self) -> u64 {
        match self {
            Self::Rotate => 100,
            Self::Truncate => 10,
            Self::Append
            | Self::StrictAppend
            | Self::Get
            | Self::GetByHand
            | Self::Open
            | Self::OpenSmall
            | Self::AppendAny
            | Self::GetAny => 1,
        }
    }

    /// Whether it changes how many there are.
    pub(super) const fn is_measured_on_a_copy(self, dimension: Dimension) -> bool {
        match self {
            Self::Append | Self::StrictAppend => matches!(dimension, Dimension::Entries),
            Self::Rotate | Self::Truncate => true,
            Self::Get
            | Self::GetByHand
            | Self::Open
            | Self::OpenSmall
            | Self::AppendAny
            | Self::GetAny => false,
        }
    }
}
