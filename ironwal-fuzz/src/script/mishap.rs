//! What goes wrong in a generation, and how it is brought about.

use std::fmt;
use std::io::ErrorKind;

use super::refusal::{RANDOM_REFUSALS, REFUSALS, Refusal};
use crate::faults::{Fault, Faults, Op, Repeat};
use crate::random::SplitMix64;
use crate::sim_storage::{SimStorage, SyncFailure};
use crate::tally::{self, Group};

/// One thing that goes wrong. Numbers count calls from the beginning of the generation, its opening
/// included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mishap {
    /// Calls fail and do nothing: those of the kinds that can fail so.
    Refused {
        /// In this way.
        refusal: Refusal,
        /// From this call on.
        at: u64,
        /// So often.
        repeat: Repeat,
    },
    /// Calls that read, write or make room are interrupted.
    Interrupted {
        /// From this one of them on.
        at: u64,
        /// So often.
        repeat: Repeat,
    },
    /// Reads and writes move half of their bytes.
    Short {
        /// From this one of them on.
        at: u64,
        /// So often.
        repeat: Repeat,
    },
    /// A write moves half of its bytes, and the next finds no space.
    TornWrite {
        /// Which write.
        at: u64,
    },
    /// A write moves all of its bytes but the last, and the next finds no space: where that one is padding,
    /// all of the frame is there that is refused.
    AlmostWrite {
        /// Which write.
        at: u64,
    },
    /// Files can grow by so many bytes together.
    FullAfter {
        /// So many.
        len: u64,
    },
    /// A sync finds that there is no room for what was written.
    Quota {
        /// Which sync.
        at: u64,
    },
    /// A sync of a file fails, and what it was of stays in the cache as if it were clean.
    ///
    /// Only files are counted: after that failure of a directory no file system goes on. What is relied
    /// on is that syncing one does not succeed later without having done it.
    SyncKeeps {
        /// Which sync of a file.
        at: u64,
    },
    /// A sync of the root fails, and the names that it was of stay as if they were durable: no sync of this
    /// opening of the log makes them so, whatever it says.
    RootKeeps {
        /// Which sync of the root.
        at: u64,
    },
    /// A sync fails, and what it was of is gone from the cache. It comes about in generations that show
    /// nothing but what is durable: else what was shown is gone, which is told as damage until the
    /// stream is reopened.
    SyncDrops {
        /// Which sync.
        at: u64,
    },
    /// The file system takes no change any more.
    ReadOnly {
        /// From this call that would change something on.
        from: u64,
    },
    /// Syncs say that they succeeded and do nothing.
    Lies {
        /// From this sync on.
        from: u64,
    },
}

const EROFS: i32 = 30;

/// What a file system refuses that is read-only.
const CHANGES: [Op; 8] = [
    Op::Create,
    Op::Write,
    Op::SetLen,
    Op::Allocate,
    Op::Rename,
    Op::Unlink,
    Op::CreateDir,
    Op::RemoveDir,
];

/// The calls that are made again when they are interrupted, so often at the most.
const RETRIED: [Op; 4] = [Op::Read, Op::Write, Op::SetLen, Op::Allocate];
const MAX_RETRIES: u64 = 1000;

const SYNCS: [Op; 2] = [Op::SyncData, Op::SyncDir];

impl Mishap {
    /// Something, at most about `span` calls from the beginning.
    pub(super) fn random(random: &mut SplitMix64, span: usize) -> Self {
        let at = random.below(span) as u64;
        let sync = at / 8;
        match random.below(16) {
            0 => Mishap::Interrupted { at: at / 2, repeat: random_repeat(random) },
            1 => Mishap::Short { at: at / 2, repeat: random_repeat(random) },
            2 => Mishap::TornWrite { at: at / 4 },
            3 => Mishap::AlmostWrite { at: at / 4 },
            4 | 5 => Mishap::FullAfter { len: random.below(120 * span) as u64 },
            6 => Mishap::Quota { at: sync },
            7 | 8 => Mishap::SyncKeeps { at: sync },
            9 | 10 => Mishap::SyncDrops { at: sync },
            11 => Mishap::ReadOnly { from: at / 2 },
            _ => {
                let place = random.below(RANDOM_REFUSALS);
                let refusal = REFUSALS.get(place).map_or(Refusal::Eio, |(_, refusal)| *refusal);
                let share = Op::ALL.len() / refusal.ops().len();
                let at = at / share.max(1) as u64;
                Mishap::Refused { refusal, at, repeat: random_repeat(random) }
            }
        }
    }

    /// The name by which it is counted.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mishap::Refused { refusal, .. } => refusal.name(),
            Mishap::Interrupted { .. } => "interrupted",
            Mishap::Short { .. } => "short",
            Mishap::TornWrite { .. } => "torn-write",
            Mishap::AlmostWrite { .. } => "almost-write",
            Mishap::FullAfter { .. } => "full-after",
            Mishap::Quota { .. } => "quota",
            Mishap::SyncKeeps { .. } => "sync-keeps",
            Mishap::RootKeeps { .. } => "root-keeps",
            Mishap::SyncDrops { .. } => "sync-drops",
            Mishap::ReadOnly { .. } => "read-only",
            Mishap::Lies { .. } => "lies",
        }
    }

    /// Whether nobody may notice it: the call is made again, or the rest of it.
    pub(super) fn is_hidden(self) -> bool {
        match self {
            Mishap::Short { .. } | Mishap::Lies { .. } => true,
            Mishap::Interrupted { repeat, .. } => match repeat {
                Repeat::Once => true,
                Repeat::Times(count) => count < MAX_RETRIES,
                Repeat::Every(step) => step > 1,
                Repeat::ForEver => false,
            },
            Mishap::Refused { .. }
            | Mishap::TornWrite { .. }
            | Mishap::AlmostWrite { .. }
            | Mishap::FullAfter { .. }
            | Mishap::Quota { .. }
            | Mishap::SyncKeeps { .. }
            | Mishap::RootKeeps { .. }
            | Mishap::SyncDrops { .. }
            | Mishap::ReadOnly { .. } => false,
        }
    }

    /// Whether a sync of a file may be what fails.
    pub(super) fn may_fail_sync(self) -> bool {
        match self {
            Mishap::Refused { refusal, .. } => refusal.ops().contains(&Op::SyncData),
            Mishap::Quota { .. } | Mishap::SyncKeeps { .. } | Mishap::SyncDrops { .. } => true,
            Mishap::Interrupted { .. }
            | Mishap::Short { .. }
            | Mishap::TornWrite { .. }
            | Mishap::AlmostWrite { .. }
            | Mishap::FullAfter { .. }
            | Mishap::RootKeeps { .. }
            | Mishap::ReadOnly { .. }
            | Mishap::Lies { .. } => false,
        }
    }

    /// Lets it go wrong from here on.
    pub(super) fn arm(self, faults: &Faults, disk: &SimStorage) {
        let name = self.name();
        let fault = match self {
            Mishap::Refused { refusal, at, repeat } => {
                Fault::errno(refusal.errno()).on_any(refusal.ops()).nth(at).repeated(repeat)
            }
            Mishap::Interrupted { at, repeat } => {
                Fault::error(ErrorKind::Interrupted).on_any(&RETRIED).nth(at).repeated(repeat)
            }
            Mishap::Short { at, repeat } => Fault::short().nth(at).repeated(repeat),
            Mishap::TornWrite { at } => Fault::short_write_then(ErrorKind::StorageFull).nth(at),
            Mishap::AlmostWrite { at } => {
                Fault::nearly_whole_write_then(ErrorKind::StorageFull).nth(at)
            }
            Mishap::FullAfter { len } => return faults.set_free_bytes(Some(len)),
            Mishap::Quota { at } => Fault::error(ErrorKind::QuotaExceeded).on_any(&SYNCS).nth(at),
            Mishap::SyncKeeps { at } => {
                return disk.fail_file_sync_at(at, SyncFailure::KeepCache);
            }
            Mishap::RootKeeps { at } => {
                return disk.fail_root_sync_at(at, SyncFailure::KeepNames);
            }
            Mishap::SyncDrops { at } => {
                return disk.fail_sync_at(disk.sync_count() + at, SyncFailure::DropCache);
            }
            Mishap::ReadOnly { from } => {
                Fault::errno(EROFS).on_any(&CHANGES).nth(from).repeated(Repeat::ForEver)
            }
            Mishap::Lies { from } => Fault::forgotten_sync().nth(from).repeated(Repeat::ForEver),
        };
        faults.add(fault.named(name));
    }

    /// How often it went wrong.
    pub(super) fn fired(self, faults: &Faults, disk: &SimStorage) -> u64 {
        match self {
            Mishap::FullAfter { .. } => faults.roomless_count(),
            Mishap::SyncKeeps { .. } => disk.failed_sync_count(SyncFailure::KeepCache) as u64,
            Mishap::RootKeeps { .. } => disk.failed_sync_count(SyncFailure::KeepNames) as u64,
            Mishap::SyncDrops { .. } => disk.failed_sync_count(SyncFailure::DropCache) as u64,
            Mishap::Refused { .. }
            | Mishap::Interrupted { .. }
            | Mishap::Short { .. }
            | Mishap::TornWrite { .. }
            | Mishap::AlmostWrite { .. }
            | Mishap::Quota { .. }
            | Mishap::ReadOnly { .. }
            | Mishap::Lies { .. } => faults.fired(self.name()),
        }
    }

    /// Counts what went wrong, and the row of the failure catalogue that it is.
    pub(super) fn count(self, fired: u64) {
        tally::add(Group::Fault, self.name(), fired);
        let row = match self {
            Mishap::Quota { .. } => "row 23: no space at a sync",
            Mishap::Short { .. } => "row 25: short calls",
            Mishap::Interrupted { .. } => "row 26: interrupted calls",
            Mishap::Refused { refusal: Refusal::Emfile | Refusal::Enfile, .. } => {
                "row 27: no more files"
            }
            Mishap::ReadOnly { .. } | Mishap::Refused { refusal: Refusal::Eacces, .. } => {
                "row 28: not allowed to write"
            }
            Mishap::Refused { .. }
            | Mishap::TornWrite { .. }
            | Mishap::AlmostWrite { .. }
            | Mishap::FullAfter { .. }
            | Mishap::SyncKeeps { .. }
            | Mishap::RootKeeps { .. }
            | Mishap::SyncDrops { .. }
            | Mishap::Lies { .. } => return,
        };
        tally::count(Group::Reached, row);
    }

    /// The same, earlier or less often, if there is that.
    pub(super) fn simpler(self) -> Option<Self> {
        let mut simpler = self;
        match &mut simpler {
            Mishap::Refused { repeat, at, .. }
            | Mishap::Interrupted { at, repeat }
            | Mishap::Short { at, repeat } => {
                if *repeat == Repeat::Once {
                    *at /= 2;
                } else {
                    *repeat = Repeat::Once;
                }
            }
            Mishap::FullAfter { len: at }
            | Mishap::TornWrite { at }
            | Mishap::AlmostWrite { at }
            | Mishap::Quota { at }
            | Mishap::SyncKeeps { at }
            | Mishap::RootKeeps { at }
            | Mishap::SyncDrops { at }
            | Mishap::ReadOnly { from: at }
            | Mishap::Lies { from: at } => *at /= 2,
        }
        (simpler != self).then_some(simpler)
    }
}

fn random_repeat(random: &mut SplitMix64) -> Repeat {
    match random.below(6) {
        0..3 => Repeat::Once,
        3 => Repeat::Times(1 + random.below(5) as u64),
        4 => Repeat::Every(2 + random.below(6) as u64),
        _ => Repeat::ForEver,
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Mishap::Refused { at, repeat, .. }
            | Mishap::Interrupted { at, repeat }
            | Mishap::Short { at, repeat } => {
                write!(f, "{name} at {at} ")?;
                match repeat {
                    Repeat::Once => f.write_str("once"),
                    Repeat::Times(count) => write!(f, "times {count}"),
                    Repeat::ForEver => f.write_str("forever"),
                    Repeat::Every(step) => write!(f, "every {step}"),
                }
            }
            Mishap::FullAfter { len } => write!(f, "{name} {len}"),
            Mishap::TornWrite { at }
            | Mishap::AlmostWrite { at }
            | Mishap::Quota { at }
            | Mishap::SyncKeeps { at }
            | Mishap::RootKeeps { at }
            | Mishap::SyncDrops { at } => write!(f, "{name} at {at}"),
            Mishap::ReadOnly { from } | Mishap::Lies { from } => write!(f, "{name} from {from}"),
        }
    }
}
