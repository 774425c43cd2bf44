//! The budget of open segment files.
//!
//! A stream that is appended to keeps its active file open. When more do than the budget allows, the
//! coldest give theirs up: those that were not used since they were last looked at, in the order in
//! which they opened their files.
//!
//! Lock order: the queue's lock comes after the write lock of the stream that asks. The write locks of
//! other streams are only ever tried under it, so there is nothing to wait for, and a stream that is
//! busy keeps its file: files that calls are using come on top of the budget. Where that left more
//! open than the budget allows, each call that was using one gives it up when it is done, so that at
//! rest the budget holds.

use std::collections::VecDeque;

use crate::error::Result;
use crate::state::StreamState;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, Weak};

/// How often a call is tried that finds no file to be had: others may be faster to take what was made
/// free.
pub(crate) const MAX_TRIES: usize = 32;

/// The streams that hold a file, the one that opened it first in front.
#[derive(Debug)]
pub(crate) struct OpenFiles {
    budget: usize,
    queue: Mutex<VecDeque<Weak<StreamState>>>,
    /// Whether the queue is longer than the budget. Whoever makes it so looks again when he is done.
    over: AtomicBool,
}

/// What became of an attempt to let a stream give up its file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parked {
    /// It has none any more.
    Yes,
    /// It is in use, or was lately.
    No,
}

impl OpenFiles {
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, queue: Mutex::new(VecDeque::new()), over: AtomicBool::new(false) }
    }

    /// Takes note that a stream opened its file, and lets others give up theirs where there are more
    /// than the budget allows.
    pub(crate) fn opened(&self, state: &Arc<StreamState>) {
        let mut queue = self.queue.lock();
        let excess = (queue.len() + 1).saturating_sub(self.budget);
        park(&mut queue, excess);
        queue.push_back(Arc::downgrade(state));
        self.over.store(queue.len() > self.budget, Ordering::Relaxed);
    }

    /// Takes note that a call is done with the file of a stream: it is let go of at once where there
    /// are more than the budget allows. No lock is held by the caller.
    pub(crate) fn done(&self, state: &Arc<StreamState>) {
        if !self.over.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = self.queue.lock();
        let place = queue.iter().position(|held| std::ptr::eq(held.as_ptr(), Arc::as_ptr(state)));
        if queue.len() > self.budget
            && let Some(place) = place
            && state.try_park_now() == Parked::Yes
        {
            queue.remove(place);
        }
        self.over.store(queue.len() > self.budget, Ordering::Relaxed);
    }

    /// Runs what opens files; again, with fewer files held open, while the operating system has no
    /// more and any stream can give up its own.
    pub(crate) fn with_room<R>(&self, mut run: impl FnMut() -> Result<R>) -> Result<R> {
        for _ in 0..MAX_TRIES {
            match run() {
                Err(error) if error.is_out_of_files() && self.make_room() > 0 => {}
                result => return result,
            }
        }
        run()
    }

    /// Lets a quarter of the streams give up their files; returns how many did.
    pub(crate) fn make_room(&self) -> usize {
        let mut queue = self.queue.lock();
        let wanted = queue.len().div_ceil(4);
        park(&mut queue, wanted)
    }
}

/// Lets up to `wanted` streams give up their files; returns how many did. Each stream is looked at
/// twice at the most, once to find that it was used, once more to find that it was not used again.
fn park(queue: &mut VecDeque<Weak<StreamState>>, wanted: usize) -> usize {
    let mut parked = 0;
    for _ in 0..queue.len().saturating_mul(2) {
        if parked == wanted {
            break;
        }
        let Some(candidate) = queue.pop_front() else { break };
        let Some(state) = candidate.upgrade() else { continue };
        match state.try_park() {
            Parked::Yes => parked += 1,
            Parked::No => queue.push_back(candidate),
        }
    }
    parked
}
