//! One sync for all threads that wait for one: group commit and nothing else.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::contender::Result;

/// A sync that threads share. The one that finds nobody syncing does it for all that asked before it began.
#[derive(Debug, Default)]
pub(super) struct SharedSync {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many have asked.
    asked: u64,
    /// As many of them as have what they asked for.
    synced: u64,
    leader: Leader,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Leader {
    #[default]
    Absent,
    Syncing,
    /// Nobody may say again that anything is durable.
    Failed,
}

impl SharedSync {
    /// Returns when a sync has that began after this call did.
    pub(super) fn wait(&self, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        let own = state.asked;
        loop {
            if state.synced >= own {
                return Ok(());
            }
            match state.leader {
                Leader::Absent => break,
                Leader::Syncing => {
                    state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Leader::Failed => return Err("the sync of another thread failed".into()),
            }
        }
        // What is asked for later may have been written later.
        let until = state.asked;
        state.leader = Leader::Syncing;
        drop(state);
        let done = sync();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(()) => (state.synced, state.leader) = (until, Leader::Absent),
            Err(_) => state.leader = Leader::Failed,
        }
        drop(state);
        self.moved.notify_all();
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn who_asks_while_one_syncs_waits_for_the_next_sync() {
        let (shared, count) = (SharedSync::default(), AtomicU64::new(0));
        let begun = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let sync = || {
                    begun.wait();
                    while shared.state.lock().unwrap().asked < 3 {
                        std::thread::yield_now();
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                };
                shared.wait(sync).unwrap();
            });
            begun.wait();
            for _ in 0..2 {
                scope.spawn(|| {
                    let sync = || {
                        count.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    };
                    shared.wait(sync).unwrap();
                });
            }
        });
        // The two of them share the second one.
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn after_a_failed_sync_nothing_is_durable() {
        let shared = SharedSync::default();
        assert!(shared.wait(|| Err("no".into())).is_err());
        assert!(shared.wait(|| Ok(())).is_err());
    }
}
