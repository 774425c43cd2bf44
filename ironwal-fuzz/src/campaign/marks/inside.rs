//! What is written while a sync runs: it claims what was synced before, not what the sync is about to do.

use std::sync::{Arc, Mutex, PoisonError};

use ironwal::{SyncMode, Wal};
use ironwal_format::names::SEGMENT_SUFFIX;

use super::{claims, segments, synced_len};
use crate::faults::Op;
use crate::hooked::HookedStorage;
use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::{open, told};
use crate::random::SplitMix64;
use crate::sim_storage::SimStorage;
use crate::tally::{self, Group};
use crate::world::Setup;

const KEY: &str = "s";

/// The length of the frame of an intruder: a header, and one entry.
const INTRUDER_LEN: u64 = 32 + 8;

/// Who appends in the middle of the next sync of a segment, and what the disk had synced then.
#[derive(Debug, Default)]
struct Intruder {
    wal: Option<Wal>,
    /// The length of the file, and how much of it was durable, when it came.
    met: Option<(usize, u64)>,
}

/// Syncs a few times, and appends once in the middle of each sync.
///
/// # Errors
///
/// I17.
pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut random = SplitMix64::new(seed);
    let disk = SimStorage::new();
    let intruder: Arc<Mutex<Intruder>> = Arc::default();
    let storage = {
        let (disk, intruder) = (disk.clone(), Arc::clone(&intruder));
        HookedStorage::new(Arc::new(disk.clone()), move |op, path| {
            if op == Op::SyncData && path.ends_with(SEGMENT_SUFFIX) {
                let mut intruder = intruder.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(wal) = intruder.wal.take() {
                    // The only one; its handle may have been made under another name.
                    let segment = segments(&disk).pop_last();
                    intruder.met =
                        segment.map(|(path, bytes)| (bytes.len(), synced_len(&disk, &path)));
                    // An append that waits for nobody, on the thread whose sync this is.
                    wal.append(KEY, "intruder").map_err(std::io::Error::other)?;
                }
            }
            Ok(())
        })
    };
    let setup = Setup { mode: SyncMode::Async, ..super::SETUP };
    let setup = Setup { max_segment_entries: Setup::DEFAULT.max_segment_entries, ..setup };
    let failed = |error: ironwal::Error| Violation::new(Invariant::I11, told("marks", &error));
    let wal = open(Arc::new(storage), &CountingHost::starting_at(1), &setup.options());
    let wal = wal.map_err(failed)?;
    for _ in 0..=random.below(4) {
        for _ in 0..=random.below(4) {
            wal.append(KEY, "entry").map_err(failed)?;
        }
        intruder.lock().unwrap_or_else(PoisonError::into_inner).wal = Some(wal.clone());
        wal.sync().map_err(failed)?;
        let met = intruder.lock().unwrap_or_else(PoisonError::into_inner).met.take();
        let Some((offset, synced)) = met else {
            return Err(Violation::new(Invariant::I17, "a sync of the log syncs nothing"));
        };
        check(&disk, offset, synced)?;
        tally::count(Group::Reached, "rule: a frame is written in the middle of a sync");
    }
    Ok(())
}

fn check(disk: &SimStorage, offset: usize, synced: u64) -> Result<(), Violation> {
    let claimed = segments(disk)
        .values()
        .flat_map(|bytes| claims(bytes))
        .find(|claim| claim.offset == offset)
        .map(|claim| claim.synced_len);
    // The intruder of the sync before was in time for the disk, but the log does not know that.
    let known = synced.saturating_sub(INTRUDER_LEN)..=synced;
    if claimed.is_some_and(|claimed| known.contains(&claimed)) {
        return Ok(());
    }
    let what = format!("the frame at {offset} claims {claimed:?} in a sync, {synced} were durable");
    Err(Violation::new(Invariant::I17, what))
}
