//! A budget of what is kept open, or mapped, while no call is using it.
//!
//! A holder is counted from when it takes something until it was asked to release it and did. When
//! more is held than the budget allows, the coldest holders are asked: those that were not used since
//! they were last asked, in the order in which they came.
//!
//! Lock order: whoever counts a holder may hold locks, and the lock of the queue comes after them.
//! Whoever asks holders to release must hold none: a release takes the holder's locks, by trying only,
//! may sync a file, and runs without the queue's lock. So holders that are busy keep what they hold, on top
//! of the budget, and each call that made it so, or that was in the way, looks again when it is done:
//! at rest the budget holds.

use std::collections::VecDeque;
use std::fmt;

use crate::error::{Error, Outcome, Result};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, Weak};

/// How often a call is tried that finds no file to be had: others may be faster to take what was made
/// free.
pub(crate) const MAX_TRIES: usize = 32;

/// What can be let go of.
pub(crate) trait Release: fmt::Debug + Send + Sync {
    /// Lets go, unless it is in use, or was since this was last asked. The caller holds no lock.
    fn try_release(&self) -> Released;
}

/// What became of an attempt to let a holder release what it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Released {
    /// It holds nothing any more.
    Yes,
    /// It is in use, or was lately.
    No,
}

/// The holders, the one that came first in front.
#[derive(Debug)]
pub(crate) struct Budget {
    max: usize,
    held: Mutex<Held>,
    /// Whether more is held than the budget allows.
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    /// How many hold something: those in the queue, and those that are being asked.
    count: usize,
    queue: VecDeque<Weak<dyn Release>>,
    /// When the queue is as long as this, those that are gone are looked for.
    sweep_len: usize,
}

/// Fewer holders are not worth looking for those that are gone.
const MIN_SWEEP_LEN: usize = 64;

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, held: Mutex::new(Held::default()), over: AtomicBool::new(false) }
    }

    /// How many hold something.
    pub(crate) fn count(&self) -> usize {
        let mut held = self.held.lock();
        held.sweep();
        held.count
    }

    /// Counts a holder that held nothing before. Whoever calls this calls [`settle`](Self::settle) when
    /// it holds no lock any more.
    pub(crate) fn taken(&self, holder: Weak<dyn Release>) {
        let mut held = self.held.lock();
        held.count += 1;
        held.queue.push_back(holder);
        // Nobody tells of holders that went with what they held, as with a truncated segment.
        if held.queue.len() >= held.sweep_len.max(MIN_SWEEP_LEN) {
            held.sweep();
            held.sweep_len = 2 * held.queue.len();
        }
        if held.count > self.max {
            self.over.store(true, Ordering::Relaxed);
        }
    }

    /// Lets the coldest holders release what they hold, where that is more than the budget allows. The
    /// caller holds no lock.
    #[inline]
    pub(crate) fn settle(&self) {
        if self.over.load(Ordering::Relaxed) {
            self.release_excess();
        }
    }

    #[cold]
    fn release_excess(&self) {
        self.release(|held, _| held.count > self.max);
        let held = self.held.lock();
        self.over.store(held.count > self.max, Ordering::Relaxed);
    }

    /// Lets a quarter of the holders release what they hold; returns how many did. The caller holds no
    /// lock.
    pub(crate) fn make_room(&self) -> usize {
        let wanted = self.held.lock().count.div_ceil(4);
        self.release(|_, released| released < wanted)
    }

    /// Lets all holders release what they hold that are not using it: nobody will need it any more. The
    /// caller holds no lock.
    pub(crate) fn clear(&self) {
        self.release(|held, _| held.count > 0);
    }

    /// Runs what opens files; again, with fewer held open, while the operating system has no more and
    /// any holder can release its own. The caller holds no lock.
    #[inline]
    pub(crate) fn with_room<R>(&self, mut run: impl FnMut() -> Result<R>) -> Result<R> {
        let may_try_again =
            |error: &Error| error.is_out_of_files() && error.outcome() == Outcome::NotWritten;
        for _ in 0..MAX_TRIES {
            match run() {
                Err(error) if may_try_again(&error) && self.make_room() > 0 => {}
                result => return result,
            }
        }
        run()
    }

    /// Asks holders, as long as there are too many by what is held and how many were released already;
    /// returns how many did. Each is asked twice at the most, once to find that it was used, once more to find that it was
    /// not used again.
    fn release(&self, are_too_many: impl Fn(&Held, usize) -> bool) -> usize {
        let mut released = 0;
        let mut held = self.held.lock();
        let mut tries = 2 * held.queue.len();
        while tries > 0 && are_too_many(&held, released) {
            let Some(candidate) = held.queue.pop_front() else { break };
            drop(held);
            tries -= 1;
            // A holder that is gone holds nothing; the last reference to one is dropped without locks.
            let answer = candidate.upgrade().map_or(Released::Yes, |holder| holder.try_release());
            held = self.held.lock();
            match answer {
                Released::Yes => {
                    held.count -= 1;
                    released += 1;
                }
                Released::No => held.queue.push_back(candidate),
            }
        }
        released
    }
}

impl Held {
    /// Forgets holders that are gone: they hold nothing.
    fn sweep(&mut self) {
        let before = self.queue.len();
        self.queue.retain(|holder| holder.strong_count() > 0);
        self.count -= before - self.queue.len();
    }
}

/// A holder as the budget knows it.
pub(crate) fn weak<T: Release + 'static>(holder: &Arc<T>) -> Weak<dyn Release> {
    let holder: Weak<T> = Arc::downgrade(holder);
    holder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::atomic::AtomicUsize;
    use crate::sync::thread;

    /// Holds one thing, when asked to, and lets go of it unless it is in use.
    #[derive(Debug, Default)]
    struct Holder {
        holds: AtomicBool,
        used: AtomicBool,
        busy: Mutex<()>,
    }

    impl Holder {
        fn take(self: &Arc<Self>, budget: &Budget, held: &AtomicUsize) {
            {
                let _busy = self.busy.lock();
                self.used.store(true, Ordering::Relaxed);
                if !self.holds.swap(true, Ordering::Relaxed) {
                    held.fetch_add(1, Ordering::Relaxed);
                    budget.taken(weak(self));
                }
            }
            budget.settle();
        }
    }

    impl Release for Holder {
        fn try_release(&self) -> Released {
            if self.used.swap(false, Ordering::Relaxed) {
                return Released::No;
            }
            let Some(_busy) = self.busy.try_lock() else { return Released::No };
            self.holds.store(false, Ordering::Relaxed);
            Released::Yes
        }
    }

    fn holders(count: usize) -> Vec<Arc<Holder>> {
        (0..count).map(|_| Arc::default()).collect()
    }

    fn holding(holders: &[Arc<Holder>]) -> usize {
        holders.iter().filter(|holder| holder.holds.load(Ordering::Relaxed)).count()
    }

    #[test]
    fn the_coldest_let_go_and_the_busy_keep_what_they_hold() {
        let (budget, taken) = (Budget::new(2), AtomicUsize::new(0));
        let holders = holders(4);
        for holder in &holders[..2] {
            holder.take(&budget, &taken);
        }
        // All were used; after one round the first is as cold as the second, and came before it.
        holders[2].take(&budget, &taken);
        assert_eq!(budget.count(), 2);
        assert!(!holders[0].holds.load(Ordering::Relaxed));
        // The second is busy: the third has to go.
        let busy = holders[1].busy.lock();
        holders[3].take(&budget, &taken);
        assert!(!holders[2].holds.load(Ordering::Relaxed));
        drop(busy);
        assert_eq!((budget.count(), holding(&holders)), (2, 2));
        assert_eq!(budget.make_room(), 1);
        assert_eq!((budget.count(), holding(&holders)), (1, 1));
    }

    #[test]
    fn what_was_kept_on_top_by_the_busy_is_let_go_of_when_they_are_done() {
        let (budget, taken) = (Budget::new(1), AtomicUsize::new(0));
        let holders = holders(2);
        holders[0].take(&budget, &taken);
        let busy = holders[0].busy.lock();
        let also_busy = holders[1].busy.lock();
        holders[1].holds.store(true, Ordering::Relaxed);
        budget.taken(weak(&holders[1]));
        budget.settle();
        assert_eq!(budget.count(), 2, "both are in use");
        drop((busy, also_busy));
        budget.settle();
        assert_eq!((budget.count(), holding(&holders)), (1, 1));
    }

    #[test]
    fn holders_that_are_gone_count_for_nothing() {
        let (budget, taken) = (Budget::new(1), AtomicUsize::new(0));
        for holder in holders(3) {
            holder.take(&budget, &taken);
        }
        let last = holders(1);
        last[0].take(&budget, &taken);
        assert_eq!((budget.count(), holding(&last)), (1, 1));
    }

    #[test]
    fn holders_that_are_gone_are_forgotten_long_before_the_budget_is_full() {
        let (budget, taken) = (Budget::new(1_000_000), AtomicUsize::new(0));
        let kept = holders(100);
        for holder in &kept {
            holder.take(&budget, &taken);
        }
        for _ in 0..10_000 {
            holders(1)[0].take(&budget, &taken);
            let len = budget.held.lock().queue.len();
            assert!(len <= 2 * (kept.len() + 1), "{len} are remembered");
        }
        assert_eq!(budget.count(), kept.len());
        drop(kept);
        assert_eq!(budget.count(), 0);
    }

    #[test]
    fn at_rest_the_budget_holds_whatever_the_threads_did() {
        let (budget, taken) = (Budget::new(3), AtomicUsize::new(0));
        let holders = holders(40);
        thread::scope(|scope| {
            for first in 0..8 {
                let (budget, taken, holders) = (&budget, &taken, &holders);
                scope.spawn(move || {
                    for round in 0..2_000 {
                        holders[(first * 7 + round * 13) % holders.len()].take(budget, taken);
                    }
                });
            }
        });
        budget.settle();
        assert!(budget.count() <= 3, "{}", budget.count());
        assert_eq!(holding(&holders), budget.count());
    }
}
