//! Kinds of cases that are run by the thousand, each by its number.
//!
//! A case has a number, and the same number is the same case: what failed can be run again alone. Where
//! all cases of a kind can be run, the numbers count them; where there is no end of them, the number is
//! the seed.

mod codec;
mod crash;
mod faults;
mod killed;
mod marks;
mod power;
mod rot;
mod segment;
mod small_world;
mod stream;

use std::fmt;

use crate::model::Violation;
use crate::script;

/// Which part of IronWal a campaign works on, from the inside out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Layer {
    /// Bytes: frames, records, names.
    Codec,
    /// One file.
    Segment,
    /// One directory.
    Stream,
    /// The whole log, on a simulated disk.
    Facade,
    /// The whole log, on the operating system.
    System,
}

impl Layer {
    /// All layers.
    pub const ALL: [Layer; 5] =
        [Layer::Codec, Layer::Segment, Layer::Stream, Layer::Facade, Layer::System];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Layer::Codec => "codec",
            Layer::Segment => "segment",
            Layer::Stream => "stream",
            Layer::Facade => "facade",
            Layer::System => "system",
        }
    }
}

/// A kind of cases.
pub trait Campaign: fmt::Debug + Send + Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// What it works on.
    fn layer(&self) -> Layer;

    /// What it does, in a line.
    fn about(&self) -> &'static str;

    /// How many cases there are, or none if there is no end of them.
    fn case_count(&self) -> Option<u64> {
        None
    }

    /// How many cases the part of fixed size runs.
    fn fixed_count(&self) -> u64;

    /// What share of the time it gets, compared with the others.
    fn weight(&self) -> u32 {
        1
    }

    /// Why it cannot run on this machine, if it cannot.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// The rules and rows of the failure catalogue that have to come about in a run of the fixed part:
    /// names of counts in [`Group::Reached`](crate::tally::Group::Reached).
    fn must_reach(&self) -> &'static [&'static str] {
        &[]
    }

    /// Runs a case. What it reached is counted by [`tally`](crate::tally).
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    fn run(&self, case: u64) -> Result<(), Failure>;
}

/// A promise that a case showed not to be kept.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which, and how.
    pub violation: Violation,
    /// What was done, in words or as a script.
    pub story: String,
}

impl From<Box<script::Failure>> for Failure {
    fn from(failure: Box<script::Failure>) -> Self {
        let script::Failure { violation, script } = failure.shrunk();
        Failure { violation, story: script.to_string() }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Failure { violation, story: String::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.violation, self.story)
    }
}

/// All campaigns.
pub const ALL: [&dyn Campaign; 13] = [
    &codec::Codec,
    &segment::Segment,
    &stream::Stream,
    &small_world::SmallWorld,
    &killed::Killed,
    &crash::Crash::SHORT,
    &crash::Crash::LONG,
    &faults::Faults,
    &marks::Marks,
    &rot::Rot,
    &power::Power::EXT4,
    &power::Power::XFS,
    &power::Power::BTRFS,
];
