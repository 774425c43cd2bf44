//! Group commit of one stream: one sync commits what many callers wrote.
//!
//! It knows numbers, not files. Each caller writes first, under the stream's write lock, and then
//! asks here that everything before its `end` become durable. The first who finds nobody leading
//! leads: it takes the sync side out, waits a moment for those who are on their way, syncs once
//! without any lock, publishes how far that reached, and wakes the others; the next leader takes
//! what came meanwhile. Invariants:
//!
//! - whoever holds the sync side leads, and there is one of it: no two syncs of a stream run side
//!   by side;
//! - `Ok` for an `end` means that a sync returned success and covered it, whatever happens before
//!   or afterwards;
//! - the durable end never goes back: where numbers are given out again (rollback, reset) the
//!   stream needs a new group;
//! - every lead ends, also by panic, and tells all who wait; once stopped, by a fence or by
//!   closing, a group never syncs again, and the first reason stays;
//! - nobody is answered with the stop while a leader is still out: its sync may yet cover what they
//!   wrote;
//! - how far all is durable, and that there is a reason to stop, is changed under the mutex and told
//!   without it: late to who has not learned of it otherwise, never to who has.
//!
//! Lock order: the group's mutex comes after the stream's write lock and after whatever `sync`
//! takes, and is held for a few instructions: never during `sync`, never while another lock is
//! taken, and no sync side is dropped under it.
//!
//! What it deliberately does not do: it writes nothing, retries nothing, and gives up waiting for
//! nothing. It does not know who may append: a fence only makes sure that nobody is told `Ok` for
//! what no sync covered.

mod gather;

use std::{mem, time::Duration};

use crate::sync::{
    Condvar, Instant, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    thread,
};

use gather::{Gather, Gathering, Seen};

/// The reason that a group has when its leader was gone without an answer: its sync panicked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LeaderGone;

/// The reason that a group has when it was closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GroupClosed;

/// The group commit of one stream. `S` is the sync side, `E` the reason why a group stopped.
///
/// `E` is cloned, and made from [`LeaderGone`], under the group's mutex: both must be cheap.
#[derive(Debug)]
pub(crate) struct GroupCommit<S, E> {
    state: Mutex<State<S, E>>,
    /// Told whenever a lead ends; nobody sleeps while there is none.
    moved: Condvar,
    /// How many have said that they will come. A hint: no answer depends on it.
    on_way: AtomicUsize,
    /// `State::durable`, for who has not got the lock: stored under it.
    durable: AtomicU64,
    /// Whether a fence was put up, or the group has stopped: set under the lock, for ever.
    has_reason: AtomicBool,
}

/// The announcement of a commit: taken before the write lock, so that a leader knows whom to wait
/// for.
///
/// Dropped, its holder is not coming: the write failed, or the mode asks for no sync.
#[must_use]
#[derive(Debug)]
pub(crate) struct OnWay<'a, S, E> {
    group: &'a GroupCommit<S, E>,
}

#[derive(Debug)]
struct State<S, E> {
    /// Everything before it is durable.
    durable: u64,
    phase: Phase<S, E>,
    /// The ends of all commits that have no answer yet, the leader's own among them.
    pending: Vec<u64>,
    gathering: Gathering,
}

#[derive(Debug)]
enum Phase<S, E> {
    /// Nobody leads: the next who needs a sync takes the sync side.
    Idle(S),
    /// A leader has the sync side. A fence that comes meanwhile takes effect when the lead ends.
    Led { fence: Option<E> },
    /// Fenced or closed: nothing becomes durable any more.
    Stopped(E),
}

/// The right to sync for all who wait. Dropped before it has done its work, a panic included: the
/// group is fenced, and all wake.
#[must_use]
struct Lead<'a, S, E> {
    group: &'a GroupCommit<S, E>,
    /// Everything before it is durable, as far as the leader knows.
    durable: u64,
    /// How long the leader waited for others.
    gathered: Duration,
    /// How long the sync took.
    synced: Duration,
    /// What the group does when the lead ends: `Stopped` until the sync side is given back.
    next: Phase<S, E>,
}

impl<S, E> GroupCommit<S, E>
where
    E: Clone + From<LeaderGone> + From<GroupClosed>,
{
    /// A group where everything before `durable` is durable already and nobody leads.
    pub(crate) fn new(durable: u64, sync_side: S) -> Self {
        let phase = Phase::Idle(sync_side);
        Self {
            state: Mutex::new(State {
                durable,
                phase,
                pending: Vec::new(),
                gathering: Gathering::default(),
            }),
            moved: Condvar::new(),
            on_way: AtomicUsize::new(0),
            durable: AtomicU64::new(durable),
            has_reason: AtomicBool::new(false),
        }
    }

    /// Announces a commit, so that whoever leads may wait for it a moment. Call it before taking
    /// the write lock.
    pub(crate) fn approach(&self) -> OnWay<'_, S, E> {
        self.on_way.fetch_add(1, Ordering::Relaxed);
        OnWay { group: self }
    }

    /// Commits without having been announced: [`OnWay::commit`] of [`approach`](Self::approach).
    ///
    /// # Errors
    ///
    /// As [`OnWay::commit`].
    #[cfg(test)]
    pub(crate) fn commit(
        &self,
        end: u64,
        sync: impl FnOnce(&mut S) -> Result<u64, E>,
    ) -> Result<(), E> {
        self.approach().commit(end, sync)
    }

    /// Stops the group for `reason`: at once, or if somebody leads, when the lead ends, which all
    /// who wait are told then.
    ///
    /// The sync side is dropped. If the group has a reason already, that one stays. What a running
    /// sync turns out to cover is committed nevertheless.
    pub(crate) fn fence(&self, reason: E) {
        let mut state = self.state.lock();
        let dropped = match &mut state.phase {
            Phase::Idle(_) => Some(state.enter(Phase::Stopped(reason))),
            Phase::Led { fence } => {
                fence.get_or_insert(reason);
                None
            }
            Phase::Stopped(_) => None,
        };
        self.has_reason.store(true, Ordering::Release);
        // Nobody sleeps while nobody leads: there is nobody to wake.
        drop(state);
        drop(dropped);
    }

    /// Why nothing can be committed any more, if so. Asked for each append, and so without the lock
    /// as long as there is no reason: whoever has learned of one sees it here.
    #[inline]
    pub(crate) fn fenced(&self) -> Option<E> {
        if !self.has_reason.load(Ordering::Acquire) {
            return None;
        }
        match &self.state.lock().phase {
            Phase::Idle(_) => None,
            Phase::Led { fence } => fence.clone(),
            Phase::Stopped(reason) => Some(reason.clone()),
        }
    }

    /// The end before which everything is durable. Takes no lock: it is asked for each append.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Runs `run` with the sync side, after whoever leads: nobody else syncs meanwhile. It returns what
    /// is durable then, as `sync` of [`OnWay::commit`] does.
    ///
    /// # Errors
    ///
    /// The error of `run`, which fences the group, or why the group had stopped before.
    ///
    /// # Panics
    ///
    /// If `run` says that less is durable than was already.
    pub(crate) fn exclusive(&self, run: impl FnOnce(&mut S) -> Result<u64, E>) -> Result<(), E> {
        let mut state = self.state.lock();
        loop {
            if let Phase::Stopped(reason) = &state.phase {
                return Err(reason.clone());
            }
            state = match Lead::take(self, state) {
                Ok((lead, side)) => return lead.run(side, run),
                Err(led) => self.moved.wait(led),
            };
        }
    }

    /// As [`exclusive`](Self::exclusive); `None` at once if somebody leads.
    ///
    /// # Errors
    ///
    /// As [`exclusive`](Self::exclusive).
    pub(crate) fn try_exclusive(
        &self,
        run: impl FnOnce(&mut S) -> Result<u64, E>,
    ) -> Option<Result<(), E>> {
        let state = self.state.lock();
        if let Phase::Stopped(reason) = &state.phase {
            return Some(Err(reason.clone()));
        }
        match Lead::take(self, state) {
            Ok((lead, side)) => Some(lead.run(side, run)),
            Err(_) => None,
        }
    }

    /// Closes the group with a last sync: everything that `last` says it covered is durable when
    /// this returns `Ok`.
    ///
    /// It waits for the running leader, if any. All who wait are answered; of all later commits
    /// those succeed that need no sync, and the others fail with [`GroupClosed`]. The sync side is
    /// dropped. `last` returns what it covered, as `sync` of [`OnWay::commit`] does; what keeps
    /// more from being written meanwhile is the caller's.
    ///
    /// # Errors
    ///
    /// The error of `last`, which fences the group, or why the group had stopped before.
    ///
    /// # Panics
    ///
    /// If `last` says that less is durable than was already.
    pub(crate) fn close(&self, last: impl FnOnce(&mut S) -> Result<u64, E>) -> Result<(), E> {
        let mut state = self.state.lock();
        loop {
            if let Phase::Stopped(reason) = &state.phase {
                return Err(reason.clone());
            }
            state = match Lead::take(self, state) {
                Ok((mut lead, mut side)) => {
                    lead.sync(&mut side, last)?;
                    lead.next = Phase::Stopped(E::from(GroupClosed));
                    return Ok(());
                }
                Err(led) => self.moved.wait(led),
            };
        }
    }
}

impl<S, E> OnWay<'_, S, E>
where
    E: Clone + From<LeaderGone> + From<GroupClosed>,
{
    /// Everything before `end` is durable when this returns `Ok`.
    ///
    /// Everything before `end` must have been written. The caller either waits for a leader or
    /// becomes one; if it does, `sync` runs, with no lock held. That first looks how far the stream
    /// is written *now*, then syncs, and returns that end: nothing that was written after the sync
    /// began counts.
    ///
    /// # Errors
    ///
    /// The error of the sync that was to cover `end`, of an earlier one, or of whatever else
    /// stopped the group. A group that failed once stays so.
    ///
    /// # Panics
    ///
    /// If `sync` says that it covered less than `end`, or less than was durable already: the group
    /// is fenced then.
    pub(crate) fn commit(
        self,
        end: u64,
        sync: impl FnOnce(&mut S) -> Result<u64, E>,
    ) -> Result<(), E> {
        let group = self.group;
        let mut state = group.state.lock();
        if let Some(answer) = state.answer(end) {
            return answer;
        }
        state.pending.push(end);
        // Arrived: from here on it counts as pending.
        drop(self);
        loop {
            state = match Lead::take(group, state) {
                Ok((mut lead, mut side)) => {
                    lead.gather();
                    lead.sync(&mut side, sync)?;
                    assert!(end <= lead.durable, "{end} is asked for, {} was synced", lead.durable);
                    lead.give_back(side);
                    return Ok(());
                }
                Err(led) => group.moved.wait(led),
            };
            if let Some(answer) = state.answer(end) {
                return answer;
            }
        }
    }
}

impl<S, E> Drop for OnWay<'_, S, E> {
    fn drop(&mut self) {
        self.group.on_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S, E: Clone> State<S, E> {
    /// What a commit of `end` is told, if it need not wait.
    fn answer(&self, end: u64) -> Option<Result<(), E>> {
        if end <= self.durable {
            return Some(Ok(()));
        }
        match &self.phase {
            Phase::Idle(_) | Phase::Led { .. } => None,
            Phase::Stopped(reason) => Some(Err(reason.clone())),
        }
    }
}

impl<S, E> State<S, E> {
    /// Goes over to `next`, and gives back what was before, for the caller to drop when the lock is
    /// free.
    fn enter(&mut self, next: Phase<S, E>) -> Phase<S, E> {
        if let Phase::Stopped(_) = next {
            self.pending.clear();
        }
        mem::replace(&mut self.phase, next)
    }
}

impl<'a, S, E> Lead<'a, S, E> {
    /// Takes the sync side, if nobody else has it; gives the lock back if so.
    fn take(
        group: &'a GroupCommit<S, E>,
        mut state: MutexGuard<'a, State<S, E>>,
    ) -> Result<(Self, S), MutexGuard<'a, State<S, E>>>
    where
        E: From<LeaderGone>,
    {
        // Made first: a panic here must not leave the group led by nobody.
        let next = Phase::Stopped(E::from(LeaderGone));
        match mem::replace(&mut state.phase, Phase::Led { fence: None }) {
            Phase::Idle(side) => {
                let [gathered, synced] = [Duration::ZERO; 2];
                Ok((Self { group, durable: state.durable, gathered, synced, next }, side))
            }
            busy @ (Phase::Led { .. } | Phase::Stopped(_)) => {
                state.phase = busy;
                Err(state)
            }
        }
    }

    /// Waits a moment for those who are likely to come, so that one sync does for them too.
    fn gather(&mut self) {
        let mut yields = 0;
        let begun = Instant::now();
        loop {
            let on_way = self.group.on_way.load(Ordering::Relaxed);
            let state = self.group.state.lock();
            let arrived = state.pending.len();
            let decision =
                state.gathering.decide(Seen { arrived, on_way, yields, spent: self.gathered });
            drop(state);
            match decision {
                Gather::Wait => thread::yield_now(),
                Gather::Go => return,
            }
            yields += 1;
            self.gathered = begun.elapsed();
        }
    }

    /// Syncs, and notes how far that reached or why it failed.
    fn sync(&mut self, side: &mut S, sync: impl FnOnce(&mut S) -> Result<u64, E>) -> Result<(), E>
    where
        E: Clone,
    {
        let begun = Instant::now();
        let synced = sync(side);
        self.synced = begun.elapsed();
        match synced {
            Ok(covered) => {
                assert!(self.durable <= covered, "{} was durable, now {covered}", self.durable);
                self.durable = covered;
                Ok(())
            }
            Err(reason) => {
                self.next = Phase::Stopped(reason.clone());
                Err(reason)
            }
        }
    }

    /// Does one thing with the sync side, and ends the lead.
    fn run(mut self, mut side: S, run: impl FnOnce(&mut S) -> Result<u64, E>) -> Result<(), E>
    where
        E: Clone,
    {
        self.sync(&mut side, run)?;
        self.give_back(side);
        Ok(())
    }

    /// Ends the lead: the next who needs a sync may take the sync side.
    fn give_back(mut self, side: S) {
        self.next = Phase::Idle(side);
    }
}

impl<S, E> Drop for Lead<'_, S, E> {
    fn drop(&mut self) {
        let mut next = mem::replace(&mut self.next, Phase::Led { fence: None });
        let mut dropped = None;
        let mut state = self.group.state.lock();
        if let Phase::Led { fence } = &mut state.phase
            && let Some(reason) = fence.take()
        {
            // What fenced the group during the lead came first: not even a success undoes it.
            dropped = Some(mem::replace(&mut next, Phase::Stopped(reason)));
        }
        if state.durable < self.durable {
            state.durable = self.durable;
            self.group.durable.store(self.durable, Ordering::Release);
            let before = state.pending.len();
            state.pending.retain(|&end| end > self.durable);
            let answered = before - state.pending.len();
            state.gathering.learn(answered, self.gathered, self.synced);
        }
        if let Phase::Stopped(_) = next {
            self.group.has_reason.store(true, Ordering::Release);
        }
        state.enter(next);
        drop(state);
        self.group.moved.notify_all();
        drop(dropped);
    }
}

#[cfg(all(test, not(ironwal_loom)))]
mod tests;
