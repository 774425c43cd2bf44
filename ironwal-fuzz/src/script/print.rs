//! How a script is printed.

use std::fmt;

use ironwal::{CompressionType, CorruptionPolicy, Preallocation, ReadStrategy, SyncMode};

use super::{End, Generation, Script};
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

/// The words for each value of an option.
pub(super) const MODES: [(&str, SyncMode); 3] =
    [("strict", SyncMode::Strict), ("batch-only", SyncMode::BatchOnly), ("async", SyncMode::Async)];
pub(super) const READS: [(&str, ReadStrategy); 2] =
    [("mmap", ReadStrategy::Mmap), ("io", ReadStrategy::StandardIo)];
pub(super) const LZ4: [(&str, CompressionType); 2] =
    [("off", CompressionType::None), ("on", CompressionType::Lz4)];
pub(super) const SPACES: [(&str, Preallocation); 3] = [
    ("reserve", Preallocation::Reserve),
    ("zeros", Preallocation::Zeros),
    ("off", Preallocation::Off),
];

pub(super) const POLICIES: [(&str, CorruptionPolicy); 2] =
    [("told", CorruptionPolicy::Error), ("cut", CorruptionPolicy::Truncate)];

fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, other)| other == value).map_or("?", |(word, _)| word)
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.generations.iter().try_for_each(|generation| write!(f, "{generation}"))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "with {}", self.setup)?;
        self.calls.iter().try_for_each(|call| writeln!(f, "{call}"))?;
        if let Some(cut) = self.cut {
            writeln!(f, "cut {cut}")?;
        }
        self.faults.iter().try_for_each(|mishap| writeln!(f, "fault {mishap}"))?;
        writeln!(f, "end {}", self.end)
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { max_segment_size, max_segment_entries, max_open_segments, .. } = self;
        write!(
            f,
            "mode={} size={max_segment_size} entries={max_segment_entries} \
             open={max_open_segments} reads={} lz4={} space={} damage={}",
            word(&MODES, &self.mode),
            word(&READS, &self.reads),
            word(&LZ4, &self.compression),
            word(&SPACES, &self.space),
            word(&POLICIES, &self.policy),
        )
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Append { stream, len } => write!(f, "append {stream} {len}"),
            Call::Batch { stream, lens } => {
                write!(f, "batch {stream}")?;
                lens.iter().try_for_each(|len| write!(f, " {len}"))
            }
            Call::Get { stream, at } => write!(f, "get {stream} {at}"),
            Call::Iterate { stream, from } => write!(f, "iterate {stream} {from}"),
            Call::Close => f.write_str("close"),
            Call::Drop => f.write_str("drop"),
            Call::Reopen { stream } => write!(f, "reopen {stream}"),
            Call::Sync { stream } => write!(f, "sync {stream}"),
            Call::SyncAll => f.write_str("sync-all"),
            Call::Rotate { stream } => write!(f, "rotate {stream}"),
            Call::Truncate { stream, at } => write!(f, "truncate {stream} {at}"),
            Call::Delete { stream } => write!(f, "delete {stream}"),
            Call::Visit { stream } => write!(f, "visit {stream}"),
            Call::Reconfigure(setup) => write!(f, "reconfigure {setup}"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Close => f.write_str("close"),
            End::Drop => f.write_str("drop"),
            End::Kill => f.write_str("kill"),
            End::Crash(choice) => write!(f, "crash {choice}"),
            End::CloseThenCrash(choice) => write!(f, "close-then-crash {choice}"),
        }
    }
}

impl fmt::Display for CrashChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CrashChoice::Nothing => f.write_str("nothing"),
            CrashChoice::Everything => f.write_str("everything"),
            CrashChoice::Only(only) => write!(f, "only {only}"),
            CrashChoice::AllBut(missing) => write!(f, "all-but {missing}"),
            CrashChoice::Prefix(count) => write!(f, "prefix {count}"),
            CrashChoice::Subset(mask) => write!(f, "subset {mask}"),
            CrashChoice::Seeded(seed) => write!(f, "seeded {seed}"),
        }
    }
}
