//! What must hold after every recovery, by the numbers that the whole of the tests uses.

use std::fmt;

/// A promise of the log. Each is looked at by name: a run counts how often, and says so.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Invariant {
    /// Every acknowledged entry is there, byte for byte, under its number, in its stream.
    I1,
    /// The recovered log is a prefix of the issued log that holds everything acknowledged as durable.
    I2,
    /// Batches are whole or absent.
    I3,
    /// Numbers are dense and rising, and never reused for other bytes once acknowledged or seen.
    I4,
    /// What an earlier recovery dropped never reappears.
    I5,
    /// No read ever returns bytes that were not written under that number, under every fault.
    I6,
    /// What was truncated or deleted stays so once the call has returned, also when the index is lost.
    I7,
    /// Recovering twice is recovering once: the same directory, and the second report is clean.
    I8,
    /// A recovery that was killed anywhere converges to what it would have reached undisturbed.
    I9,
    /// What one recovery called durable survives all later crashes.
    I10,
    /// After recovery append, sync, read, close and reopen work.
    I11,
    /// No false alarm: with crash faults alone nothing is ever called damaged or missing.
    I12,
    /// Rot with evidence is an error that names stream, segment and a right offset, and changes nothing.
    I13,
    /// Rot without evidence is an error or a report, and their count is what theory says. The bytes of all
    /// files that a recovery finds stay, and files that are not the log's stay always.
    I14,
    /// Undamaged streams and segments stay readable beside damaged ones.
    I15,
    /// An index that is rebuilt from the segments equals the index.
    I16,
    /// Marks never run ahead of returned syncs, and each frame's synced length equals that history.
    I17,
    /// Errors of the machine never become "damaged", "absent" or "done", and nothing is deleted or cut on them.
    I18,
    /// A fenced stream acknowledges nothing more.
    I19,
    /// What was reported as not written never appears.
    I20,
    /// No panic, no allocation beyond the limits, nothing outside the root, a bounded number of operations;
    /// segments are within their limits, and so is the number of files that are held.
    I21,
    /// The same seed gives the same operations.
    I22,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Invariant; 22] = {
        use Invariant::{
            I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, I13, I14, I15, I16, I17, I18, I19,
            I20, I21, I22,
        };
        [
            I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, I13, I14, I15, I16, I17, I18, I19,
            I20, I21, I22,
        ]
    };

    /// "I1" to "I22".
    pub const fn name(self) -> &'static str {
        match self {
            Invariant::I1 => "I1",
            Invariant::I2 => "I2",
            Invariant::I3 => "I3",
            Invariant::I4 => "I4",
            Invariant::I5 => "I5",
            Invariant::I6 => "I6",
            Invariant::I7 => "I7",
            Invariant::I8 => "I8",
            Invariant::I9 => "I9",
            Invariant::I10 => "I10",
            Invariant::I11 => "I11",
            Invariant::I12 => "I12",
            Invariant::I13 => "I13",
            Invariant::I14 => "I14",
            Invariant::I15 => "I15",
            Invariant::I16 => "I16",
            Invariant::I17 => "I17",
            Invariant::I18 => "I18",
            Invariant::I19 => "I19",
            Invariant::I20 => "I20",
            Invariant::I21 => "I21",
            Invariant::I22 => "I22",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
