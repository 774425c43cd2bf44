//! Models of the protocols of this crate, on their real types: loom tries every schedule with few
//! preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg ironwal_loom -C debug-assertions" LOOM_MAX_PREEMPTIONS=2 \
//!     cargo test --release --lib -p ironwal loom
//! ```
//!
//! The module `state` is not compiled for loom, so [`stream`] mirrors it, function by function, on the
//! real group commit and locks: who changes the order of steps in the one changes it in the other.
//!
//! A file is a stub that knows how much was written and how much of it was synced, and a model
//! asserts what was acknowledged against it. Each model names, under "catches", the mistakes that
//! were made in the real code or in the model's protocol to see it fail.
//!
//! What is deliberately not here: more than five threads (loom's limit), time, and the weakest
//! memory orders (loom takes `SeqCst` for `AcqRel`).

mod closing;
mod commit;
mod disk;
mod parking;
mod progress;
mod rotation;
mod stream;
mod stream_map;
mod truncation;

use stream::Stream;

use crate::{
    commit::{GroupClosed, LeaderGone},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        thread,
    },
};

/// Tries every schedule of `run`, with three preemptions: what goes wrong in a stream may need so many.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

/// Runs `run` on a stream, in a thread of its own.
fn beside<T: 'static>(
    stream: &Arc<Stream>,
    run: impl FnOnce(&Stream) -> T + 'static,
) -> thread::JoinHandle<T> {
    let stream = Arc::clone(stream);
    thread::spawn(move || run(&stream))
}

/// A stream's write side and its disk.
struct Disk {
    /// How many entries were written: under the write lock, as in the real stream.
    written: Mutex<u64>,
    /// How many of them a power cut would leave.
    synced: AtomicU64,
    /// How many the last leader said that it made durable.
    covered: AtomicU64,
}

/// Why a group stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    Sync,
    Write,
    Gone,
    Closed,
    Deleted,
    Replaced,
}

impl Disk {
    fn new() -> Self {
        Self { written: Mutex::new(0), synced: AtomicU64::new(0), covered: AtomicU64::new(0) }
    }

    /// Writes an entry, and returns the end that it makes.
    fn write(&self) -> u64 {
        let mut written = self.written.lock();
        *written += 1;
        *written
    }

    /// The end of what is written.
    fn end(&self) -> u64 {
        *self.written.lock()
    }

    /// Makes durable what was written when it began, and nothing that came later.
    fn sync(&self) {
        let reaches = self.end();
        self.synced.store(reaches, Ordering::Release);
    }

    /// What a leader does: looks how far the stream is written, syncs, and says how far it looked.
    fn lead(&self) -> u64 {
        let covered = self.end();
        self.sync();
        self.covered.store(covered, Ordering::Release);
        covered
    }

    fn assert_synced(&self, end: u64) {
        let synced = self.synced.load(Ordering::Acquire);
        assert!(end <= synced, "{end} was acknowledged and {synced} synced");
    }

    fn assert_not_covered(&self, end: u64) {
        let covered = self.covered.load(Ordering::Acquire);
        assert!(covered < end, "{end} was refused and {covered} covered");
    }
}

impl From<LeaderGone> for Stop {
    fn from(LeaderGone: LeaderGone) -> Self {
        Self::Gone
    }
}

impl From<GroupClosed> for Stop {
    fn from(GroupClosed: GroupClosed) -> Self {
        Self::Closed
    }
}
