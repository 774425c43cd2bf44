//! The faults of one generation, armed, and what is looked at because of them.

use std::sync::Arc;

use ironwal::SyncMode;
use ironwal_segment::storage::Storage;

use super::lies::check_reader;
use super::{End, Generation, Mishap};
use crate::faults::{Faults, FaultyStorage};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::first_lost;
use crate::sim_storage::{SimStorage, SyncFailure};
use crate::tally::{self, Group};
use crate::world::{Call, Refusals, Trouble, World};

/// What goes wrong in a generation that runs.
#[derive(Debug)]
pub(super) struct Armed {
    storage: FaultyStorage,
    mishaps: Vec<Mishap>,
    refusals: Refusals,
}

/// What went wrong in a generation that has ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Outcome {
    /// So many calls that someone may have noticed.
    pub(super) noticed: u64,
    /// So many calls that may have been syncs of a file, which did not do it.
    pub(super) unsynced: u64,
    /// So many syncs that did nothing and said that they did.
    pub(super) lies: u64,
}

impl Armed {
    /// Lets go wrong what the generation says, if that is anything.
    pub(super) fn new(generation: &Generation, disk: &SimStorage, world: &World) -> Option<Self> {
        let is_strict = |setup: &crate::world::Setup| setup.mode == SyncMode::Strict;
        let is_loose = |call: &Call| matches!(call, Call::Reconfigure(setup) if !is_strict(setup));
        let shows_durable_only =
            is_strict(&generation.setup) && !generation.calls.iter().any(is_loose);
        let may_be =
            |mishap: &&Mishap| shows_durable_only || !matches!(mishap, Mishap::SyncDrops { .. });
        let mishaps: Vec<_> = generation.faults.iter().filter(may_be).copied().collect();
        if mishaps.is_empty() {
            return None;
        }
        let storage = FaultyStorage::new(Arc::new(disk.clone()));
        for mishap in &mishaps {
            mishap.arm(storage.faults(), disk);
        }
        Some(Armed { storage, mishaps, refusals: world.refusals() })
    }

    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.storage.clone())
    }

    fn faults(&self) -> &Faults {
        self.storage.faults()
    }

    /// Whether calls may fail.
    pub(super) fn trouble(&self) -> Trouble {
        let is_hidden = self.mishaps.iter().all(|mishap| self.is_hidden(*mishap));
        if is_hidden { Trouble::None } else { Trouble::Expected }
    }

    /// Whether nobody may notice it: two that interrupt calls may together interrupt each of them, and
    /// there is an end of trying again.
    fn is_hidden(&self, mishap: Mishap) -> bool {
        let interrupts = |mishap: &&Mishap| matches!(mishap, Mishap::Interrupted { .. });
        let is_alone = self.mishaps.iter().filter(interrupts).take(2).count() < 2;
        mishap.is_hidden() && (is_alone || !interrupts(&&mishap))
    }

    /// Opens the log, and looks that this has removed and cut nothing (I18).
    pub(super) fn open(&self, disk: &SimStorage, world: &mut World) -> Result<(), Violation> {
        let before = disk.contents();
        world.open()?;
        let fired = |mishap: &&Mishap| mishap.fired(self.faults(), disk) > 0;
        let fired: Vec<_> = self.mishaps.iter().filter(fired).map(|mishap| mishap.name()).collect();
        if fired.is_empty() {
            return Ok(());
        }
        if world.wal().is_none() && fired.iter().any(|name| ["full-after", "enospc"].contains(name))
        {
            tally::count(Group::Reached, "row 24: no space for a recovery");
        }
        if disk.failed_sync_count(SyncFailure::DropCache) == 0 {
            if let Some(path) = first_lost(&before, &disk.contents(), world.model()) {
                let what = format!("{path} is not what it was before an opening that failed");
                return Err(Violation::new(Invariant::I18, what));
            }
            tally::checked(Invariant::I18);
        }
        Ok(())
    }

    /// What is missing after a call that the machine refused was taken for absent because of that (I18).
    pub(super) fn blamed(&self, violation: Violation) -> Violation {
        let is_refused =
            |mishap: &Mishap| matches!(mishap, Mishap::Refused { .. } | Mishap::ReadOnly { .. });
        let fired = self.mishaps.iter().filter(|mishap| is_refused(mishap));
        if violation.invariant == Invariant::I1
            && fired.map(|mishap| self.faults().fired(mishap.name())).sum::<u64>() > 0
        {
            return Violation::new(Invariant::I18, violation.to_string());
        }
        violation
    }

    /// The generation has ended in this way: counts what went wrong, and lets nothing go wrong any more.
    pub(super) fn end(
        &self,
        disk: &SimStorage,
        world: &mut World,
        end: End,
    ) -> Result<Outcome, Violation> {
        let mut outcome = Outcome::default();
        for mishap in &self.mishaps {
            let fired = mishap.fired(self.faults(), disk);
            if fired == 0 {
                continue;
            }
            mishap.count(fired);
            if let Mishap::Lies { .. } = mishap {
                outcome.lies += fired;
            } else if !self.is_hidden(*mishap) {
                outcome.noticed += fired;
                outcome.unsynced += if mishap.may_fail_sync() { fired } else { 0 };
            }
        }
        self.count_refusals(disk, world, end);
        let is_read_only =
            |mishap: &Mishap| matches!(mishap, Mishap::ReadOnly { .. } | Mishap::FullAfter { .. });
        if outcome.noticed > 0 && self.mishaps.iter().all(is_read_only) && !disk.is_power_cut() {
            // A copy, of which the power is not cut while it is read.
            let (copy, before) = (disk.kill(), disk.fingerprint());
            let inner = Arc::new(copy.clone());
            let storage = FaultyStorage::with_faults(inner, self.faults().clone());
            check_reader(Arc::new(storage), world.model())?;
            if copy.fingerprint() != before {
                return Err(Violation::new(Invariant::I18, "reading changed what is on disk"));
            }
        }
        self.faults().clear();
        if disk.failed_sync_count(SyncFailure::DropCache) > 0 {
            // What the cache has dropped is lost to a killed process, too.
            world.power_was_cut();
        }
        Ok(outcome)
    }

    fn count_refusals(&self, disk: &SimStorage, world: &World, end: End) {
        let (before, after) = (self.refusals, world.refusals());
        let has_kept = disk.failed_sync_count(SyncFailure::KeepCache) > 0;
        if has_kept && after.fenced > before.fenced {
            tally::count(Group::Reached, "row 19: nothing is acknowledged behind a failed sync");
        }
        if has_kept && end.choice().is_none() {
            tally::count(Group::Reached, "row 20: goes on without a reboot after a failed sync");
        }
        if after.full > before.full {
            tally::count(Group::Reached, "row 22: an append that has no space");
        }
        if after.first > before.first {
            tally::count(Group::Reached, "row 56: the first entry fails");
        }
        if after.fenced > before.fenced {
            tally::checked(Invariant::I19);
        }
        if after.unwritten > before.unwritten {
            // What was refused is in the history, and whatever finds it there says so.
            tally::checked(Invariant::I20);
        }
    }
}
