//! A wrapper of any storage that fails, shortens, forgets or holds calls.
//!
//! What is to go wrong is said through a [`Faults`] handle, before or while the storage is used. Each
//! call is counted once, whether it fails here or is passed on. The calls themselves run without the
//! lock in here: only their counting is ordered.

mod fault;
mod storage;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use self::fault::{Effect, refuse};
pub use self::fault::{Fault, Op, Repeat};
pub use self::storage::FaultyStorage;

/// What goes wrong in a [`FaultyStorage`], and what has been asked of it. Clones share it.
#[derive(Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Someone came to the gate, or it was opened.
    gate_moved: Condvar,
}

#[derive(Default)]
struct State {
    counts: [u64; Op::ALL.len()],
    journal: Vec<(Op, String)>,
    journaling: Journaling,
    faults: Vec<Fault>,
    fired_count: u64,
    fired: BTreeMap<&'static str, u64>,
    roomless_count: u64,
    free_len: Option<u64>,
    gate: Gate,
    held_sync_count: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Journaling {
    #[default]
    Off,
    On,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Gate {
    #[default]
    Open,
    Closed,
}

impl Faults {
    /// Nothing goes wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked in here has failed already.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault. It counts calls from here on; of several that meet in one call the one that
    /// was added first is taken, the others count it as well.
    pub fn add(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Takes all faults away, and the limit of space. Calls stay counted and syncs held.
    pub fn clear(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.free_len = None;
    }

    /// How many calls of this kind there were.
    pub fn count(&self, op: Op) -> u64 {
        let place = Op::ALL.iter().position(|&other| other == op);
        let state = self.state();
        place.and_then(|place| state.counts.get(place)).copied().unwrap_or_default()
    }

    /// How many calls there were.
    pub fn total_count(&self) -> u64 {
        self.state().counts.iter().sum()
    }

    /// Writes down, from here on, each call that changes anything or makes a change durable.
    pub fn keep_journal(&self) {
        self.state().journaling = Journaling::On;
    }

    /// Writes down no more calls.
    pub fn end_journal(&self) {
        self.state().journaling = Journaling::Off;
    }

    /// The calls that were written down: what, and on which path; for a rename the new one.
    pub fn journal(&self) -> Vec<(Op, String)> {
        self.state().journal.clone()
    }

    /// How many calls went wrong because of a fault; not for want of space.
    pub fn fired_count(&self) -> u64 {
        self.state().fired_count
    }

    /// How many calls went wrong because of faults of this name.
    pub fn fired(&self, name: &str) -> u64 {
        self.state().fired.get(name).copied().unwrap_or_default()
    }

    /// How many calls found less room than they needed.
    pub fn roomless_count(&self) -> u64 {
        self.state().roomless_count
    }

    /// Leaves room for files to grow by so many bytes, or without a limit. A write that has room for its
    /// first part writes that; one without, or an `allocate`, fails with `StorageFull`. Bytes inside
    /// the length of a file need no room, and `set_len` takes none. Nothing gives room back but
    /// another call of this.
    pub fn set_free_bytes(&self, free_len: Option<u64>) {
        self.state().free_len = free_len;
    }

    /// Holds every sync of a file or directory that is called from here on, before it is passed on,
    /// until [`release_syncs`](Self::release_syncs) is called or the returned value is dropped: a
    /// test that panics leaves no thread waiting.
    pub fn hold_syncs(&self) -> HeldSyncs {
        self.state().gate = Gate::Closed;
        HeldSyncs { faults: self.clone() }
    }

    /// Lets the held syncs go on, and all later ones.
    pub fn release_syncs(&self) {
        self.state().gate = Gate::Open;
        self.shared.gate_moved.notify_all();
    }

    /// Returns once a sync is held. If none is ever called this does not return.
    pub fn wait_for_held_sync(&self) {
        self.wait_for_held_syncs(1);
    }

    /// Returns once so many syncs are held at the same time.
    pub fn wait_for_held_syncs(&self, count: usize) {
        let state = self.state();
        let too_few = |state: &mut State| state.held_sync_count < count;
        drop(self.shared.gate_moved.wait_while(state, too_few));
    }

    /// How many syncs are held.
    pub fn held_sync_count(&self) -> usize {
        self.state().held_sync_count
    }

    /// Counts a call; says what goes wrong.
    fn begin(&self, op: Op, paths: &[&str]) -> Option<Effect> {
        let mut state = self.state();
        if let Some(place) = Op::ALL.iter().position(|&other| other == op)
            && let Some(count) = state.counts.get_mut(place)
        {
            *count += 1;
        }
        if let (Journaling::On, Some(path)) = (state.journaling, paths.last())
            && Op::CHANGING.contains(&op)
        {
            state.journal.push((op, (*path).to_owned()));
        }
        let mut met = None;
        for fault in &mut state.faults {
            if fault.meets(op, paths) && met.is_none() {
                met = Some((fault.effect, fault.name_part.clone(), fault.name));
            }
        }
        let (effect, name_part, name) = met?;
        state.fired_count += 1;
        *state.fired.entry(name).or_default() += 1;
        if let Effect::ShortThen(kind) | Effect::NearlyThen(kind) = effect {
            state.faults.insert(0, Fault::error(kind).on(Op::Write).at_path_with(&name_part));
        }
        Some(effect)
    }

    /// As [`begin`](Self::begin), for calls that move no bytes.
    fn begin_whole(&self, op: Op, paths: &[&str]) -> io::Result<()> {
        match self.begin(op, paths) {
            None => Ok(()),
            Some(effect) => refuse(effect),
        }
    }

    /// Counts a sync, holds it at the gate, and says whether it is passed on.
    fn begin_sync(&self, op: Op, path: &str) -> io::Result<Passing> {
        let effect = self.begin(op, &[path]);
        self.wait_at_gate();
        match effect {
            None => Ok(Passing::On),
            Some(Effect::Forget) => Ok(Passing::Forgotten),
            Some(effect) => refuse(effect).map(|()| Passing::On),
        }
    }

    fn wait_at_gate(&self) {
        let mut state = self.state();
        if state.gate == Gate::Open {
            return;
        }
        state.held_sync_count += 1;
        self.shared.gate_moved.notify_all();
        let is_closed = |state: &mut State| state.gate == Gate::Closed;
        let waited = self.shared.gate_moved.wait_while(state, is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).held_sync_count -= 1;
    }

    /// Takes room for a file of `len` bytes to grow to `end`: the end up to which there was room.
    fn take_room(&self, len: u64, end: u64) -> u64 {
        let mut state = self.state();
        let Some(free_len) = state.free_len else { return end };
        let growth = end.saturating_sub(len);
        let granted = growth.min(free_len);
        state.free_len = Some(free_len - granted);
        state.roomless_count += u64::from(granted < growth);
        end - (growth - granted)
    }

    /// Gives room back that was taken for `len` bytes and not used.
    fn give_back(&self, len: u64) {
        let mut state = self.state();
        state.free_len = state.free_len.map(|free_len| free_len.saturating_add(len));
    }

    fn is_limited(&self) -> bool {
        self.state().free_len.is_some()
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Faults").field("faults", &state.faults).finish_non_exhaustive()
    }
}

/// The gate that syncs are held at; dropping it opens it.
#[derive(Debug)]
#[must_use = "the syncs are released when this is dropped"]
pub struct HeldSyncs {
    faults: Faults,
}

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.faults.release_syncs();
    }
}

/// What becomes of a sync that does not fail.
#[derive(Clone, Copy, Debug)]
enum Passing {
    On,
    Forgotten,
}
