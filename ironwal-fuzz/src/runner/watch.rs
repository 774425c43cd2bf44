//! Which case each thread runs, and since when: one that hangs is told.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::campaign::Failure;
use crate::invariant::Invariant;
use crate::model::Violation;

/// The place of a campaign, and the number of a case.
type Case = (usize, u64);

/// What is being run.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Duration,
    running: Mutex<HashMap<ThreadId, (Case, Instant)>>,
}

impl Watch {
    pub(super) fn new(patience: Duration) -> Self {
        Watch { patience, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<ThreadId, (Case, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches over a case while this thread runs it.
    pub(super) fn over<T>(&self, case: Case, run: impl FnOnce() -> T) -> T {
        self.running().insert(thread::current().id(), (case, Instant::now()));
        let done = run();
        self.running().remove(&thread::current().id());
        done
    }

    /// The cases that take too long.
    pub(super) fn hung(&self) -> Vec<Case> {
        let running = self.running();
        let late = running.values().filter(|(_, begun)| begun.elapsed() >= self.patience);
        late.map(|(case, _)| *case).collect()
    }

    /// What such a case has broken.
    pub(super) fn failure(&self) -> Failure {
        let what = format!("not done after {} s", self.patience.as_secs());
        Violation::new(Invariant::I21, what).into()
    }
}
