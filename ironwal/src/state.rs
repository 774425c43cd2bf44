//! The state of one stream, shared by all its handles.
//!
//! Its locks, in the order in which they may be taken:
//!
//! 1. the *write slot*, a mutex: what places frames. It is held to place and write a frame, and to open
//!    or make the stream, never while a commit syncs;
//! 2. the queue of [`OpenFiles`](crate::open_files::OpenFiles), where a file is opened;
//! 3. the *view*, a reader-writer lock: what readers see. It is held for no I/O;
//! 4. the lock inside the *group commit*, held for a few instructions.
//!
//! Whoever leads a commit takes the write slot, to learn what was written, and lets go of it for the
//! sync. Then the slot is taken once more: if the stream was fenced meanwhile the commit has failed, since
//! the sync that undoes a write may have been told of its failure; else synced mark and view are
//! published, and without the slot the durable end. So a frame never claims more than returned syncs
//! cover, and nobody is told of a commit that readers do not see.
//!
//! A state lives through one opening of its stream. Reopening puts another in its place, and this one
//! stays dead.

use std::io;

use ironwal_format::frame::PreparedFrame;
use ironwal_format::names::StreamKey;
use ironwal_format::{Ordinal, SequenceNumber, StreamId};
use ironwal_segment::storage::StoragePath;
use ironwal_stream::{
    Admission, AppendError, Error as StreamError, OpenStream, Opened, StreamReport, SyncSide,
    SyncedMark, WriteSide,
};

use crate::commit::{GroupCommit, OnWay};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, FenceCause, IoOp, Result, Stop};
use crate::open_files::{OpenFiles, Parked};
use crate::options::Checked;
use crate::report::RecoveryReport;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, OnceLock, RwLock};
use crate::view::View;

/// What all streams of a log have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) environment: Environment,
    pub(crate) options: Checked,
    pub(crate) open_files: OpenFiles,
    /// Set once, before any stream is closed.
    pub(crate) closed: AtomicBool,
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
    /// Whether the stream was appended to since the budget of open files last looked.
    used: AtomicBool,
    report: OnceLock<RecoveryReport>,
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
    Open(WriteSide),
    /// As open, but only for the last sync.
    Closing(WriteSide),
    /// The stream cannot be appended to, for what was found when it was opened.
    Refused(Error),
    Closed,
    /// The stream was reopened: another state has taken the place of this one.
    Replaced,
}

/// What readers may see.
#[derive(Debug)]
enum ViewSlot {
    Unopened,
    Absent,
    Open(View),
    /// Not even reading is possible, for what was found when the stream was opened.
    Unreadable(Error),
    Closed,
    Replaced,
}

impl StreamState {
    pub(crate) fn new(key: StreamKey, shared: Arc<Shared>) -> Self {
        Self {
            key,
            shared,
            write: Mutex::new(WriteSlot::Unopened),
            view: RwLock::new(ViewSlot::Unopened),
            live: OnceLock::new(),
            used: AtomicBool::new(false),
            report: OnceLock::new(),
        }
    }

    pub(crate) const fn key(&self) -> &StreamKey {
        &self.key
    }

    /// What was found when the stream was opened, if it was.
    pub(crate) fn report(&self) -> Option<&RecoveryReport> {
        self.report.get()
    }

    /// Appends the entries of a frame; they are committed when this returns. Gives one past the last.
    pub(crate) fn append(self: &Arc<Self>, frame: &mut PreparedFrame) -> Result<SequenceNumber> {
        let appended = self.append_and_commit(frame);
        self.shared.open_files.done(self);
        appended
    }

    fn append_and_commit(self: &Arc<Self>, frame: &mut PreparedFrame) -> Result<SequenceNumber> {
        // Before the lock, so that whoever leads knows of us.
        let mut on_way = self.live.get().map(|live| live.group.approach());
        let (end, live) = loop {
            let mut slot = self.write.lock();
            self.open_for_append(&mut slot)?;
            let write = self.writable(&mut slot)?;
            let live = self.live.get().expect("a stream that is open for appending has a group");
            if let Some(stop) = live.group.fenced() {
                return Err(Error::before_write(self.name(), stop));
            }
            let mark = live.mark();
            match write.admission(frame, mark) {
                Admission::Now => {
                    on_way = on_way.or_else(|| Some(live.group.approach()));
                    let end = self.place(write, live, frame)?;
                    break (end, live);
                }
                Admission::AfterSync => {
                    let written = write.next();
                    drop(slot);
                    drop(on_way.take());
                    self.commit(live, live.group.approach(), written)
                        .map_err(|stop| Error::before_write(self.name(), stop))?;
                }
            }
        };
        let on_way = on_way.unwrap_or_else(|| live.group.approach());
        self.commit(live, on_way, end).map_err(|stop| Error::after_write(self.name(), stop))?;
        Ok(end)
    }

    /// Runs `read` on what readers may see, `None` where there is no such stream.
    pub(crate) fn read<R>(self: &Arc<Self>, read: impl Fn(Option<&View>) -> R) -> Result<R> {
        loop {
            match &*self.view.read() {
                ViewSlot::Open(view) => return Ok(read(Some(view))),
                ViewSlot::Absent => return Ok(read(None)),
                ViewSlot::Unreadable(error) => return Err(error.clone()),
                ViewSlot::Closed => return Err(self.closed()),
                ViewSlot::Replaced => return Err(self.replaced()),
                ViewSlot::Unopened => {}
            }
            self.open_if_unopened(&mut self.write.lock())?;
            self.shared.open_files.done(self);
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

    /// Lets go of the file, if the stream is idle and was not used since this was last asked.
    pub(crate) fn try_park(&self) -> Parked {
        if self.used.swap(false, Ordering::Relaxed) {
            return Parked::No;
        }
        self.try_park_now()
    }

    /// Lets go of the file, if the stream is idle.
    pub(crate) fn try_park_now(&self) -> Parked {
        let Some(mut slot) = self.write.try_lock() else { return Parked::No };
        let (WriteSlot::Open(write), Some(live)) = (&mut *slot, self.live.get()) else {
            return Parked::Yes;
        };
        write.park(live.mark());
        if write.holds_file() {
            return Parked::No;
        }
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.park();
        }
        Parked::Yes
    }

    /// Makes everything durable, records how far that is, and lets go of everything. Later calls get
    /// the error that the log is closed.
    pub(crate) fn close(&self) -> Result<()> {
        let is_open = {
            let mut slot = self.write.lock();
            match std::mem::replace(&mut *slot, WriteSlot::Closed) {
                WriteSlot::Open(write) => {
                    *slot = WriteSlot::Closing(write);
                    true
                }
                WriteSlot::Replaced => {
                    *slot = WriteSlot::Replaced;
                    return Ok(());
                }
                WriteSlot::Unopened
                | WriteSlot::Absent
                | WriteSlot::Closing(_)
                | WriteSlot::Refused(_)
                | WriteSlot::Closed => false,
            }
        };
        let result = if is_open { self.close_group() } else { Ok(()) };
        *self.write.lock() = WriteSlot::Closed;
        *self.view.write() = ViewSlot::Closed;
        result
    }

    /// Whether reopening would change anything: the stream is fenced, or was refused, or this state is
    /// dead already.
    pub(crate) fn is_stopped(&self) -> bool {
        if self.live.get().is_some_and(|live| live.group.fenced().is_some()) {
            return true;
        }
        matches!(&*self.write.lock(), WriteSlot::Refused(_) | WriteSlot::Replaced)
    }

    /// Makes this state dead, so that another can take its place; waits for whoever leads.
    pub(crate) fn retire(&self) {
        *self.write.lock() = WriteSlot::Replaced;
        if let Some(live) = self.live.get() {
            // The group is stopped or will never be used again: nobody waits for its answer.
            drop(live.group.close(|_| Err(Stop::Closed)));
        }
        *self.view.write() = ViewSlot::Replaced;
    }

    fn name(&self) -> &str {
        self.key.as_str()
    }

    fn closed(&self) -> Error {
        Error::of(self.name(), ErrorKind::Closed)
    }

    fn replaced(&self) -> Error {
        Error::of(self.name(), ErrorKind::Fenced(FenceCause::Reopened))
    }

    fn below(&self, error: &StreamError) -> Error {
        Error::below(self.name(), error)
    }

    /// The write side, if the stream can be appended to.
    fn writable<'a>(&self, slot: &'a mut WriteSlot) -> Result<&'a mut WriteSide> {
        match slot {
            WriteSlot::Open(write) => Ok(write),
            WriteSlot::Refused(error) => Err(error.clone()),
            WriteSlot::Replaced => Err(self.replaced()),
            WriteSlot::Unopened | WriteSlot::Absent | WriteSlot::Closing(_) | WriteSlot::Closed => {
                Err(self.closed())
            }
        }
    }

    /// Writes a frame; makes room and tries once more where the system has no more files.
    fn place(
        self: &Arc<Self>,
        write: &mut WriteSide,
        live: &Live,
        frame: &mut PreparedFrame,
    ) -> Result<SequenceNumber> {
        let held = if write.holds_file() { Held::Yes } else { Held::No };
        let now = || self.shared.environment.host.unix_nanos();
        let mut broken = None;
        let placed = self.with_room(|| {
            write.append(frame, live.mark(), now).map_err(|error| match error {
                AppendError::NotWritten(error) => self.below(&error),
                AppendError::Broken(error) => {
                    let failed = Error::after_write(self.name(), Stop::Failed(error.clone()));
                    broken = Some(error);
                    failed
                }
            })
        });
        self.note_use(held, write);
        if let Some(error) = broken {
            live.group.fence(Stop::Failed(error));
        }
        placed.map_err(|error| self.explain(error))
    }

    /// The error itself, or where it tells of a file that is not there, that the whole stream is not.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let dir_name = self.key.dir_name();
        let is_gone = || {
            let listed = self.shared.environment.storage.list(StoragePath::new(&dir_name));
            listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        if error.is_absence() && is_gone() {
            return Error::of(self.name(), ErrorKind::Deleted);
        }
        error
    }

    /// Commits everything before `end`, leading if nobody else does.
    fn commit(
        &self,
        live: &Live,
        on_way: OnWay<'_, SyncSide, Stop>,
        end: SequenceNumber,
    ) -> Result<(), Stop> {
        on_way.commit(end.get(), |sync| self.lead(live, sync))
    }

    /// Makes durable, and publishes, everything that is written when this begins.
    fn lead(&self, live: &Live, sync: &mut SyncSide) -> Result<u64, Stop> {
        let work = {
            let mut slot = self.write.lock();
            match &mut *slot {
                WriteSlot::Open(write) | WriteSlot::Closing(write) => write.take_work()?,
                // A stream is replaced when it is fenced: that is what whoever leads is told.
                WriteSlot::Unopened
                | WriteSlot::Absent
                | WriteSlot::Refused(_)
                | WriteSlot::Closed
                | WriteSlot::Replaced => return Err(live.group.fenced().unwrap_or(Stop::Closed)),
            }
        };
        let synced = sync.sync(work)?;
        // Whoever undoes a failed write holds the slot, and syncs the same file: a failure is told once
        // for each open file, so theirs may be what this sync should have told. And nobody parks the
        // file between the mark and the view.
        let slot = self.write.lock();
        if let Some(stop) = live.group.fenced() {
            return Err(stop);
        }
        let end = synced.change.next;
        live.mark.store(pack(synced.mark), Ordering::Release);
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.apply(synced.change);
        }
        drop(slot);
        Ok(end.get())
    }

    /// The last sync of the stream, and its floor.
    fn close_group(&self) -> Result<()> {
        let Some(live) = self.live.get() else { return Ok(()) };
        let mut floor_written = Ok(());
        let mut was_stopped = true;
        let closed = live.group.close(|sync| {
            was_stopped = false;
            let (written, floor) = match &*self.write.lock() {
                WriteSlot::Closing(write) => (write.written_mark(), write.floor()),
                WriteSlot::Unopened
                | WriteSlot::Absent
                | WriteSlot::Open(_)
                | WriteSlot::Refused(_)
                | WriteSlot::Closed
                | WriteSlot::Replaced => return Err(Stop::Closed),
            };
            let durable =
                if written == live.mark() { live.group.durable() } else { self.lead(live, sync)? };
            floor_written = sync.write_floor(floor);
            Ok(durable)
        });
        match closed {
            Ok(()) => floor_written.map_err(|error| self.below(&error)),
            // It was fenced before: all who waited were told.
            Err(_) if was_stopped => Ok(()),
            Err(stop) => Err(Error::after_write(self.name(), stop)),
        }
    }

    /// Opens the stream if it was not, and makes it if there is none.
    fn open_for_append(self: &Arc<Self>, slot: &mut WriteSlot) -> Result<()> {
        self.open_if_unopened(slot)?;
        if !matches!(slot, WriteSlot::Absent) {
            return Ok(());
        }
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(self.closed());
        }
        let Environment { storage, host, .. } = &self.shared.environment;
        let created = self.with_room(|| {
            let id = host
                .random_id()
                .map_err(|source| Error::of_stream_io(self.name(), IoOp::Random, source))?;
            let options = self.shared.options.stream;
            ironwal_stream::create(
                storage,
                &self.key,
                StreamId::new(id),
                options,
                host.unix_nanos(),
            )
            .map_err(|error| self.below(&error))
        });
        match created {
            Ok(stream) => {
                self.install(stream, slot);
                Ok(())
            }
            Err(error) => {
                // An empty stream may be there: the next call looks again.
                *slot = WriteSlot::Unopened;
                *self.view.write() = ViewSlot::Unopened;
                Err(error)
            }
        }
    }

    /// Opens the stream, and so recovers it, if it was not.
    fn open_if_unopened(self: &Arc<Self>, slot: &mut WriteSlot) -> Result<()> {
        if !matches!(slot, WriteSlot::Unopened) {
            return Ok(());
        }
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(self.closed());
        }
        let Environment { storage, host, .. } = &self.shared.environment;
        let opened = self.with_room(|| {
            let options = self.shared.options.stream;
            ironwal_stream::open(storage, &self.key, options, host.unix_nanos())
                .map_err(|error| self.below(&error))
        })?;
        match opened {
            Opened::Absent => {
                *slot = WriteSlot::Absent;
                *self.view.write() = ViewSlot::Absent;
            }
            Opened::Ready(stream, report) => {
                self.keep(report);
                self.install(*stream, slot);
            }
            Opened::Refused(view, report) => {
                let report = self.keep(report);
                let found = report.damage.first().map(|damage| damage.error.clone());
                let error = found.expect("a stream is refused for damage");
                *self.view.write() = match view {
                    Some(view) => ViewSlot::Open(View::new(view)),
                    None => ViewSlot::Unreadable(error.clone()),
                };
                *slot = WriteSlot::Refused(error);
            }
        }
        Ok(())
    }

    fn install(self: &Arc<Self>, stream: OpenStream, slot: &mut WriteSlot) {
        let OpenStream { write, sync, view } = stream;
        let group = GroupCommit::new(view.next.get(), sync);
        let mark = AtomicU64::new(pack(write.written_mark()));
        let installed = self.live.set(Live { group, mark });
        assert!(installed.is_ok(), "a stream is opened once in the life of its state");
        *self.view.write() = ViewSlot::Open(View::new(view));
        self.note_use(Held::No, &write);
        *slot = WriteSlot::Open(write);
    }

    fn keep(&self, report: StreamReport) -> &RecoveryReport {
        self.report.get_or_init(|| RecoveryReport::new(report))
    }

    /// Tells the budget of open files, if the stream has opened its file meanwhile.
    fn note_use(self: &Arc<Self>, before: Held, write: &WriteSide) {
        self.used.store(true, Ordering::Relaxed);
        if before == Held::No && write.holds_file() {
            self.shared.open_files.opened(self);
        }
    }

    /// Runs what opens files, with fewer held open where the system has no more.
    pub(crate) fn with_room<R>(&self, run: impl FnMut() -> Result<R>) -> Result<R> {
        self.shared.open_files.with_room(run)
    }
}

/// Whether a stream held its file open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Held {
    Yes,
    No,
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
}

/// A mark in one word, so that it is read and written at once.
fn pack(mark: SyncedMark) -> u64 {
    u64::from(mark.ordinal.get()) << 32 | mark.len
}
