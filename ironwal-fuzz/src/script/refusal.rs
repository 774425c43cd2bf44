//! The errors by which the system refuses a call, and the calls that can fail so.

use crate::faults::Op;

/// How a call is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The disk failed.
    Eio,
    /// The process has too many files open.
    Emfile,
    /// The machine has.
    Enfile,
    /// The process may not.
    Eacces,
    /// There is no space.
    Enospc,
    /// A file may not be removed.
    Eperm,
    /// The disk failed when a directory was to be synced, of which nothing is lost.
    EioOfDir,
    /// A signal came, in a call of any kind.
    Eintr,
    /// The disk failed as a file was to get another length.
    Uncut,
}

/// The words for them.
pub(super) const REFUSALS: [(&str, Refusal); 9] = [
    ("eio", Refusal::Eio),
    ("emfile", Refusal::Emfile),
    ("enfile", Refusal::Enfile),
    ("eacces", Refusal::Eacces),
    ("enospc", Refusal::Enospc),
    ("eintr", Refusal::Eintr),
    ("eperm", Refusal::Eperm),
    ("eio-of-dir", Refusal::EioOfDir),
    ("uncut", Refusal::Uncut),
];

/// How many of them come by chance, from the first on; the others are put where they tell something.
pub(super) const RANDOM_REFUSALS: usize = 6;

/// The calls that need a new handle.
const HANDLES: [Op; 5] = [Op::Open, Op::Create, Op::List, Op::SyncDir, Op::Lock];

/// The calls that ask for a name.
const NAMES: [Op; 8] = [
    Op::Open,
    Op::Create,
    Op::List,
    Op::Rename,
    Op::Unlink,
    Op::CreateDir,
    Op::RemoveDir,
    Op::Lock,
];

impl Refusal {
    /// Its word, by which it is counted as well.
    pub(super) fn name(self) -> &'static str {
        REFUSALS.iter().find(|(_, other)| *other == self).map_or("?", |(name, _)| name)
    }

    /// The calls that are refused like this.
    pub(super) const fn ops(self) -> &'static [Op] {
        match self {
            Refusal::Emfile | Refusal::Enfile => &HANDLES,
            Refusal::Eacces => &NAMES,
            Refusal::Uncut => &[Op::SetLen],
            Refusal::Eperm => &[Op::Unlink],
            Refusal::EioOfDir => &[Op::SyncDir],
            Refusal::Eio | Refusal::Enospc | Refusal::Eintr => &Op::ALL,
        }
    }

    pub(super) const fn errno(self) -> i32 {
        match self {
            Refusal::Eio | Refusal::EioOfDir | Refusal::Uncut => 5,
            Refusal::Emfile => 24,
            Refusal::Enfile => 23,
            Refusal::Eacces => 13,
            Refusal::Eperm => 1,
            Refusal::Enospc => 28,
            Refusal::Eintr => 4,
        }
    }
}
