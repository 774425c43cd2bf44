//! Locks, atomics, threads and the clock: the one module that says whose they are.
//!
//! In a build the reader-writer lock is `parking_lot`'s and the rest is std's; in the models of `loom_tests`
//! (`--cfg ironwal_loom`) everything is loom's. The shapes are the same in both: `lock()` gives the
//! guard itself, `wait` takes the guard and gives it back, so that no code above this module knows
//! which of the two it runs on.
//!
//! The mutex is std's for the sake of its condition variable: `parking_lot`'s hands all who are woken over to
//! the mutex, which wakes them one after the other, each when the one before lets go. Of 16 threads that share
//! a sync the last then returned later than another sync would have taken, and they did little more than half as much.
//!
//! Invariants: nobody else in this crate names `std::sync`, `std::thread`, `parking_lot` or `loom`;
//! no lock is ever poisoned: what must not be seen half done after a panic says so with a guard of
//! its own (`commit`'s lead).
//!
//! What it deliberately does not do: no waiting with a deadline, because loom's never passes and no
//! progress may hang on one; nothing for files under loom, whose `Arc` holds no trait object: what
//! names a `FileArc` is not compiled for the models.

use std::sync::{PoisonError, TryLockError};

#[cfg(not(all(test, ironwal_loom)))]
mod imp {
    pub(super) use std::sync as waiting;
    pub(crate) use std::{
        sync::{Arc, MutexGuard, OnceLock, Weak, atomic},
        thread,
        time::Instant,
    };

    pub(crate) use parking_lot::RwLock;

    /// For files and storages, whose type is not known.
    pub(crate) type FileArc<T> = Arc<T>;

    /// How often whoever leads a sync gives way to those who are on their way, at most.
    ///
    /// Small beside any sync, also where each time costs a switch to another thread and back.
    pub(crate) const MAX_YIELDS: u32 = 32;

    /// How many shards a map of streams has: a power of two.
    pub(crate) const SHARD_COUNT: usize = 64;
}

#[cfg(all(test, ironwal_loom))]
mod imp {
    use std::{sync::PoisonError, time::Duration};

    pub(super) use loom::sync as waiting;
    pub(crate) use loom::{
        sync::{Arc, MutexGuard, RwLockReadGuard, RwLockWriteGuard, atomic},
        thread,
    };

    /// One, because every yield multiplies what loom has to try.
    pub(crate) const MAX_YIELDS: u32 = 1;

    /// Two, because loom counts every lock.
    pub(crate) const SHARD_COUNT: usize = 2;

    /// A moment where no time passes: a model's schedules must not depend on a clock.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Instant;

    impl Instant {
        /// This moment.
        pub(crate) fn now() -> Self {
            Self
        }

        /// Nothing.
        #[expect(clippy::unused_self, reason = "std's shape")]
        pub(crate) fn elapsed(self) -> Duration {
            Duration::ZERO
        }
    }

    /// loom's reader-writer lock in `parking_lot`'s shape.
    #[derive(Debug)]
    pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        /// An unlocked lock.
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        /// Waits until nobody writes.
        pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap_or_else(PoisonError::into_inner)
        }

        /// Waits until nobody else reads or writes.
        pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

pub(crate) use imp::*;

/// A mutex that is never poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(waiting::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub(crate) fn new(value: T) -> Self {
        Self(waiting::Mutex::new(value))
    }

    /// Waits for the lock.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock, if nobody has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What it holds.
    #[cfg(not(all(test, ironwal_loom)))]
    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable for such a mutex.
#[derive(Debug)]
pub(crate) struct Condvar(waiting::Condvar);

impl Condvar {
    /// A condition that nobody waits for.
    pub(crate) fn new() -> Self {
        Self(waiting::Condvar::new())
    }

    /// Gives the lock back, sleeps until woken, and takes it again. May wake for no reason.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all who wait.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
