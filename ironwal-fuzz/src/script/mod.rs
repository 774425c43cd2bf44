//! A run as text: what is done to a log, how it ends, and what is left on the disk each time.
//!
//! A seed makes a script, a run of one is the same each time, and a failing one is shrunk to the shortest
//! that still fails. [`Script`] reads and prints itself, so a failure can be kept as a file that people
//! read:
//!
//! ```
//! use ironwal_fuzz::script::Script;
//!
//! let text = "\
//! with mode=strict size=400 entries=2 open=1 reads=mmap lz4=off space=reserve damage=told
//! append 0 20
//! batch 0 60 0 60
//! cut 57
//! fault eio at 12 once
//! fault sync-keeps at 2
//! fault full-after 1234
//! end crash seeded 77
//! ";
//! let script: Script = text.parse()?;
//! assert_eq!(script.to_string(), text);
//! # Ok::<(), ironwal_fuzz::script::ParseError>(())
//! ```

mod armed;
mod directed;
mod half;
mod lies;
mod make;
mod mishap;
mod parse;
mod points;
mod print;
mod refusal;
mod run;
mod shrink;
mod strange;

pub use self::make::Size;
pub use self::mishap::Mishap;
pub use self::parse::ParseError;
pub use self::refusal::Refusal;
pub use self::run::{Effort, Failure};
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

/// Generations of a log, one after the other, on one disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// What happens between each opening and the end of it.
    pub generations: Vec<Generation>,
}

/// What happens between two openings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Generation {
    /// The options.
    pub setup: Setup,
    /// What is done.
    pub calls: Vec<Call>,
    /// After so many operations, those of the opening counted, the machine does nothing any more. It
    /// matters only where the process or the machine ends.
    pub cut: Option<u64>,
    /// What goes wrong, until it ends.
    pub faults: Vec<Mishap>,
    /// How it ends.
    pub end: End,
}

/// How a generation ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The log is closed.
    Close,
    /// The log is dropped.
    Drop,
    /// The process is killed.
    Kill,
    /// The power is cut.
    Crash(CrashChoice),
    /// The log is closed, and the power is cut before anyone opens it again.
    CloseThenCrash(CrashChoice),
}

impl End {
    /// Whether it comes at any moment.
    pub fn is_sudden(self) -> bool {
        matches!(self, End::Kill | End::Crash(_))
    }

    /// What is left of the pending operations, where the power is cut.
    pub fn choice(self) -> Option<CrashChoice> {
        match self {
            End::Crash(choice) | End::CloseThenCrash(choice) => Some(choice),
            End::Close | End::Drop | End::Kill => None,
        }
    }

    /// The same, with something else left where the power is cut; without that it is a cut.
    pub(crate) fn leaving(self, choice: CrashChoice) -> Self {
        match self {
            End::CloseThenCrash(_) => End::CloseThenCrash(choice),
            End::Crash(_) | End::Close | End::Drop | End::Kill => End::Crash(choice),
        }
    }
}
