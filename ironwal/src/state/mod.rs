//! The state of one stream, shared by all its handles.
//!
//! Its locks, in the order in which they may be taken:
//!
//! 1. the *write slot*, a mutex: what places frames. It is held to place and write a frame, and to open
//!    or make the stream, never while a commit syncs;
//! 2. the *view*, a reader-writer lock: what readers see. It is held for no I/O;
//! 3. the lock inside the *group commit*, and those of a [`SegmentCache`](crate::segment_cache) and of the
//!    queue of a [`Budget`](crate::budget), held for a few instructions.
//!
//! The *sync side* is a right, not a lock: whoever has it leads. It is waited for without any lock, and
//! whoever has it may take the write slot.
//!
//! Whoever leads a commit takes the write slot, to learn what was written, and lets go of it for the
//! sync. Then the slot is taken once more: if the stream was fenced meanwhile the commit has failed, since
//! the sync that undoes a write may have been told of its failure; else synced mark and view are
//! published, and without the slot the durable end. So a frame never claims more than returned syncs
//! cover, and nobody is told of a commit that readers do not see.
//!
//! What is committed when it is written is published in the slot, by whoever wrote it; unless something
//! is in front of it that is committed when it is durable: then it waits for that, and is published by
//! whoever makes that durable. So readers see entries in order.
//!
//! A state lives through one opening of its stream. Reopening puts another in its place, and this one
//! stays dead.

mod append;
mod close;
mod maintain;
mod open;
mod park;

use std::io;

use ironwal_format::names::StreamKey;
use ironwal_format::{Ordinal, SequenceNumber, StreamId};
use ironwal_segment::storage::StoragePath;
use ironwal_stream::{Error as StreamError, SyncSide, SyncedMark, WriteSide};

pub(crate) use self::append::Commit;
use crate::commit::GroupCommit;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, FenceCause, Result, Stop};
use crate::iter::Origin;
use crate::options::Checked;
use crate::report::RecoveryReport;
use crate::segment_cache::Reading;
use crate::stats::Counters;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, OnceLock, RwLock};
use crate::view::View;

/// What all streams of a log have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) environment: Environment,
    pub(crate) options: Checked,
    pub(crate) reading: Reading,
    /// Set once, before any stream is closed.
    pub(crate) closed: AtomicBool,
    /// What was counted in states that are gone.
    pub(crate) retired: Counters,
}

/// One stream of an open log.
#[derive(Debug)]
pub(crate) struct StreamState {
    key: StreamKey,
    shared: Arc<Shared>,
    write: Mutex<WriteSlot>,
    view: RwLock<ViewSlot>,
    /// From when the stream could first be appended to.
    live: OnceLock<Live>,
    /// Why entries that were acknowledged may not be durable until this state is opened: a state before
    /// this one was stopped before it had synced them.
    debt: Option<Stop>,
    /// Whether the stream was appended to since the budget of open files last asked.
    used: AtomicBool,
    report: OnceLock<Box<RecoveryReport>>,
    counters: Counters,
}

/// What commits of an open stream share.
#[derive(Debug)]
struct Live {
    group: GroupCommit<SyncSide, Stop>,
    /// What is durable: ordinal and length of a [`SyncedMark`] in one word.
    mark: AtomicU64,
}

/// What may place frames.
#[derive(Debug)]
enum WriteSlot {
    /// The stream was not looked at yet.
    Unopened,
    /// There is no such stream yet.
    Absent,
    Open(Box<WriteSide>),
    /// As open, but only for the last sync.
    Closing(Box<WriteSide>),
    /// The stream cannot be appended to, for what was found when it was opened.
    Refused(Error),
    Closed,
    /// This state is dead.
    Dead(Death),
}

/// What readers may see.
#[derive(Debug)]
enum ViewSlot {
    Unopened,
    Absent,
    Open(Box<View>),
    /// Not even reading is possible, for what was found when the stream was opened.
    Unreadable(Error),
    Closed,
    Dead(Death),
}

/// Why a state is dead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Death {
    /// The stream was reopened: another state has taken the place of this one.
    Replaced,
    /// The stream was deleted.
    Deleted,
}

impl StreamState {
    pub(crate) fn new(key: StreamKey, shared: Arc<Shared>) -> Self {
        Self {
            key,
            shared,
            write: Mutex::new(WriteSlot::Unopened),
            view: RwLock::new(ViewSlot::Unopened),
            live: OnceLock::new(),
            debt: None,
            used: AtomicBool::new(false),
            report: OnceLock::new(),
            counters: Counters::default(),
        }
    }

    /// The state that takes the place of this one, which was stopped owing this.
    pub(crate) fn successor(&self, debt: Option<Stop>) -> Self {
        Self { debt, ..Self::new(self.key.clone(), Arc::clone(&self.shared)) }
    }

    pub(crate) const fn key(&self) -> &StreamKey {
        &self.key
    }

    /// What was found when the stream was opened, if it was.
    pub(crate) fn report(&self) -> Option<&RecoveryReport> {
        self.report.get().map(|report| &**report)
    }

    /// What was counted since the state was made.
    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Runs `read` on what readers may see, `None` where there is no such stream. The stream is opened
    /// if it was not.
    pub(crate) fn read<R>(self: &Arc<Self>, read: impl Fn(Option<&View>) -> R) -> Result<R> {
        loop {
            match &*self.view.read() {
                ViewSlot::Open(view) => return Ok(read(Some(view))),
                ViewSlot::Absent => return Ok(read(None)),
                ViewSlot::Unreadable(error) => return Err(error.clone()),
                ViewSlot::Closed => return Err(self.closed()),
                ViewSlot::Dead(death) => return Err(self.dead(*death)),
                ViewSlot::Unopened => {}
            }
            let opened = self
                .shared
                .reading
                .files
                .with_room(|| self.open_if_unopened(&mut self.write.lock()));
            self.shared.reading.settle();
            opened?;
        }
    }

    /// Runs `read` on what readers may see, if the stream is open; opens nothing.
    pub(crate) fn peek<R>(&self, read: impl FnOnce(&View) -> R) -> Option<R> {
        match &*self.view.read() {
            ViewSlot::Open(view) => Some(read(view)),
            ViewSlot::Absent
            | ViewSlot::Unreadable(_)
            | ViewSlot::Closed
            | ViewSlot::Dead(_)
            | ViewSlot::Unopened => None,
        }
    }

    /// Opens the stream, and so recovers it, if it was not.
    pub(crate) fn open(self: &Arc<Self>) -> Result<()> {
        self.read(|_| ())
    }

    /// One past the last entry that is known to be durable.
    ///
    /// Of a stream that was refused nothing is known; then it is the first entry.
    pub(crate) fn durable(self: &Arc<Self>) -> Result<SequenceNumber> {
        let first = self.read(|view| view.map_or(SequenceNumber::ZERO, View::first))?;
        let live = self.live.get();
        Ok(live.map_or(first, |live| SequenceNumber::new(live.group.durable())))
    }

    /// The error itself, or where it tells that a file is not there, or not what it was, what became of the
    /// entry `seq` or of the whole stream.
    pub(crate) fn explain(self: &Arc<Self>, error: Error, seq: Option<SequenceNumber>) -> Error {
        if !error.is_absence() && !error.is_damage() && !error.is_foreign() {
            return error;
        }
        let Some(life) = self.peek(|view| view.dir().id()) else {
            // Nothing of it is open: it was deleted, or there is nothing to explain.
            return match &*self.write.lock() {
                WriteSlot::Dead(death @ Death::Deleted) => self.dead(*death),
                WriteSlot::Dead(Death::Replaced)
                | WriteSlot::Unopened
                | WriteSlot::Absent
                | WriteSlot::Open(_)
                | WriteSlot::Closing(_)
                | WriteSlot::Refused(_)
                | WriteSlot::Closed => error,
            };
        };
        match (self.first_now(life), seq) {
            (Ok(first), Some(seq)) if seq < first => {
                Error::of(self.name(), ErrorKind::Truncated { first_seq: first.get() })
            }
            (Err(death), _) if death.is_deleted() => death,
            (Ok(_) | Err(_), _) => error,
        }
    }

    fn name(&self) -> &str {
        self.key.as_str()
    }

    fn closed(&self) -> Error {
        Error::of(self.name(), ErrorKind::Closed)
    }

    fn dead(&self, death: Death) -> Error {
        let kind = match death {
            Death::Replaced => ErrorKind::Fenced(FenceCause::Reopened),
            Death::Deleted => ErrorKind::Deleted,
        };
        Error::of(self.name(), kind)
    }

    fn below(&self, error: &StreamError) -> Error {
        Error::below(self.name(), error)
    }

    /// Whether somebody has removed the directory of the stream.
    fn is_gone(&self) -> bool {
        let dir_name = self.key.dir_name();
        let listed = self.shared.environment.storage.list(StoragePath::new(&dir_name));
        listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The write side, if the stream can be appended to.
    fn writable<'a>(&self, slot: &'a mut WriteSlot) -> Result<&'a mut WriteSide> {
        match slot {
            WriteSlot::Open(write) => Ok(write),
            WriteSlot::Refused(error) => Err(error.clone()),
            WriteSlot::Dead(death) => Err(self.dead(*death)),
            WriteSlot::Unopened | WriteSlot::Absent | WriteSlot::Closing(_) | WriteSlot::Closed => {
                Err(self.closed())
            }
        }
    }
}

impl Origin for Arc<StreamState> {
    fn first_now(&self, life: StreamId) -> Result<SequenceNumber> {
        let (first, id) = self.read(|view| {
            view.map_or((SequenceNumber::ZERO, life), |view| (view.first(), view.dir().id()))
        })?;
        if id != life || self.is_gone() {
            return Err(Error::of(self.name(), ErrorKind::Deleted));
        }
        Ok(first)
    }
}

impl Live {
    fn mark(&self) -> SyncedMark {
        let packed = self.mark.load(Ordering::Acquire);
        let [l0, l1, l2, l3, o0, o1, o2, o3] = packed.to_le_bytes();
        SyncedMark {
            ordinal: Ordinal::new(u32::from_le_bytes([o0, o1, o2, o3])),
            len: u64::from(u32::from_le_bytes([l0, l1, l2, l3])),
        }
    }

    fn durable(&self) -> SequenceNumber {
        SequenceNumber::new(self.group.durable())
    }
}

/// A mark in one word, so that it is read and written at once.
fn pack(mark: SyncedMark) -> u64 {
    u64::from(mark.ordinal.get()) << 32 | mark.len
}
