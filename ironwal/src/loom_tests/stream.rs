//! The stream of the models: the steps of `state`, on the real group commit, locks and atomics.
//!
//! Each function is named after the one that it mirrors, and so are the types below `state`,
//! [`WriteSide`], [`SyncSide`] and [`View`], of which there is what those steps depend on. Every
//! entry is a frame; a segment has room for a few, which the model says.
//!
//! What is left out: opening and making the stream; what no other step waits for (counters, floors,
//! whether a stream was used lately).

use std::rc::Rc;

use super::Stop;
use super::disk::{Disk, Fails, File, Handle, IndexHandle, Refused};
use crate::commit::{GroupCommit, OnWay};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, RwLock};

/// `state::StreamState`.
pub(super) struct Stream {
    pub(super) disk: Rc<Disk>,
    write: Mutex<WriteSlot>,
    view: RwLock<ViewSlot>,
    pub(super) group: GroupCommit<SyncSide, Stop>,
    /// `state::Live::mark`.
    mark: AtomicU64,
    budget: Mutex<Held>,
}

/// `state::append::Commit`.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Commit {
    Durable,
    Written,
}

/// `state::append::Placed`.
enum Placed {
    Committed,
    CommittedInNext,
    AwaitsSync,
}

enum WriteSlot {
    Open(Box<WriteSide>),
    Closing(Box<WriteSide>),
    Closed,
    Dead(Death),
}

enum ViewSlot {
    Open(View),
    Closed,
    Dead(Death),
}

/// `state::Death`.
#[derive(Clone, Copy)]
pub(super) enum Death {
    Replaced,
    Deleted,
}

/// `budget::Held`, with one holder.
#[derive(Default)]
struct Held {
    count: u64,
    /// How often the stream is in the queue.
    queued: u64,
}

/// `budget::Released`.
pub(super) enum Released {
    Yes,
    No,
}

/// `ironwal_stream::SyncedMark`.
#[derive(Clone, Copy, Eq, PartialEq)]
struct SyncedMark {
    ordinal: u64,
    end: u64,
}

/// `ironwal_stream::Admission`.
enum Admission {
    Now,
    AfterSync,
}

#[derive(Clone, Copy)]
struct Name {
    ordinal: u64,
    base: u64,
}

/// `ironwal_stream::WriteSide`.
struct WriteSide {
    disk: Rc<Disk>,
    room: u64,
    next: u64,
    active: Name,
    file: Option<ActiveFile>,
    rotated: Option<Rotated>,
    closed: Option<Closed>,
    withheld: u64,
    rotations: Rotations,
}

/// `ironwal_stream::ActiveFile`.
struct ActiveFile {
    file: Rc<Handle>,
    shown: Shown,
}

#[derive(Eq, PartialEq)]
enum Shown {
    No,
    Yes,
}

#[derive(Eq, PartialEq)]
enum Rotations {
    Allowed,
    Held,
}

struct Rotated {
    file: Rc<Handle>,
    index: IndexHandle,
    ordinal: u64,
}

struct SyncWork {
    rotated: Option<Rotated>,
    file: Rc<Handle>,
    mark: SyncedMark,
}

/// `ironwal_stream::ViewChange`.
struct ViewChange {
    next: u64,
    closed: Option<Closed>,
    active: Name,
    file: Option<Rc<Handle>>,
}

/// `ironwal_stream::SyncSide`.
pub(super) struct SyncSide {
    disk: Rc<Disk>,
    /// The first segment that the index names.
    start: u64,
}

/// `view::View`.
struct View {
    first: u64,
    next: u64,
    closed: Vec<Closed>,
    active: Active,
}

/// `view::Closed`.
struct Closed {
    name: Name,
    until: u64,
    cache: Rc<SegmentCache>,
}

/// `view::Active`.
struct Active {
    name: Name,
    file: Option<Rc<Handle>>,
    cache: Rc<SegmentCache>,
}

/// `segment_cache::SegmentCache`.
struct SegmentCache(Mutex<Option<Rc<File>>>);

/// `view::Located`.
enum Located {
    Beyond,
    Truncated,
    In(Name, Option<Rc<Handle>>, Rc<SegmentCache>),
}

/// What a reader is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Read {
    Entry,
    Beyond,
    Truncated,
    Closed,
    Deleted,
    Replaced,
}

impl Stream {
    /// A stream without entries whose segments have room for so many.
    pub(super) fn new(room: u64) -> Arc<Self> {
        let disk = Rc::new(Disk::new());
        let active = Name { ordinal: 0, base: 0 };
        let file = disk.create(0, 0);
        let view = View { first: 0, next: 0, closed: Vec::new(), active: Active::new(active) };
        let write = WriteSide {
            disk: Rc::clone(&disk),
            room,
            next: 0,
            active,
            file: Some(ActiveFile::new(file)),
            rotated: None,
            closed: None,
            withheld: 0,
            rotations: Rotations::Allowed,
        };
        Arc::new(Self {
            write: Mutex::new(WriteSlot::Open(Box::new(write))),
            view: RwLock::new(ViewSlot::Open(view)),
            group: GroupCommit::new(0, SyncSide { disk: Rc::clone(&disk), start: 0 }),
            mark: AtomicU64::new(0),
            budget: Mutex::new(Held { count: 1, queued: 1 }),
            disk,
        })
    }

    /// `append_and_commit`. Gives one past the entry.
    pub(super) fn append(&self, commit: Commit) -> Result<u64, Stop> {
        let mut on_way = (commit == Commit::Durable).then(|| self.group.approach());
        let end = loop {
            let mut slot = self.write.lock();
            let write = writable(&mut slot)?;
            if let Some(stop) = self.group.fenced() {
                return Err(stop);
            }
            match write.admission(self.mark()) {
                Admission::Now => {
                    let end = self.place(write)?;
                    if commit == Commit::Durable {
                        self.disk.show_when_durable(end - 1);
                    }
                    match self.publish_written(write, commit) {
                        Placed::Committed => return Ok(end),
                        Placed::CommittedInNext => {
                            drop(slot);
                            drop(self.commit(self.group.approach(), end));
                            return Ok(end);
                        }
                        Placed::AwaitsSync => {
                            on_way = on_way.or_else(|| Some(self.group.approach()));
                            break end;
                        }
                    }
                }
                Admission::AfterSync => {
                    let written = write.next;
                    drop(slot);
                    drop(on_way.take());
                    self.await_rotation(written)?;
                }
            }
        };
        let on_way = on_way.unwrap_or_else(|| self.group.approach());
        self.commit(on_way, end)?;
        Ok(end)
    }

    /// `await_rotation`.
    fn await_rotation(&self, written: u64) -> Result<(), Stop> {
        if self.group.durable() < written {
            self.commit(self.group.approach(), written)
        } else {
            self.group.exclusive(|sync| self.lead(sync))
        }
    }

    /// `place`, and `noting_use`.
    fn place(&self, write: &mut WriteSide) -> Result<u64, Stop> {
        let held_before = write.holds_file();
        let placed = write.append(self.mark());
        if !held_before && write.holds_file() {
            let mut held = self.budget.lock();
            held.count += 1;
            held.queued += 1;
        }
        placed.map_err(|Refused| Stop::Write)
    }

    /// `publish_written`.
    fn publish_written(&self, write: &mut WriteSide, commit: Commit) -> Placed {
        if commit == Commit::Durable || !write.may_show(self.group.durable()) {
            write.withhold();
            return Placed::AwaitsSync;
        }
        let change = write.take_change();
        self.publish(change);
        if write.rotated.is_some() { Placed::CommittedInNext } else { Placed::Committed }
    }

    /// `publish`.
    fn publish(&self, change: ViewChange) {
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.apply(change);
        }
    }

    /// `commit`.
    fn commit(&self, on_way: OnWay<'_, SyncSide, Stop>, end: u64) -> Result<(), Stop> {
        on_way.commit(end, |sync| self.lead(sync))
    }

    /// `lead`.
    fn lead(&self, sync: &mut SyncSide) -> Result<u64, Stop> {
        let (work, change) = {
            let mut slot = self.write.lock();
            if let Some(stop) = self.group.fenced() {
                return Err(stop);
            }
            match &mut *slot {
                WriteSlot::Open(write) | WriteSlot::Closing(write) => {
                    if write.is_synced(self.mark()) {
                        return Ok(self.group.durable());
                    }
                    let change = write.take_change();
                    let change = if write.may_show(self.group.durable()) {
                        self.publish(change);
                        None
                    } else {
                        Some(change)
                    };
                    (write.take_work(), change)
                }
                WriteSlot::Dead(Death::Deleted) => return Err(Stop::Deleted),
                WriteSlot::Dead(Death::Replaced) | WriteSlot::Closed => return Err(Stop::Closed),
            }
        };
        let SyncedMark { ordinal, end } = sync.sync(work);
        let slot = self.write.lock();
        if let Some(stop) = self.group.fenced() {
            return Err(stop);
        }
        self.mark.store(ordinal << 32 | end, Ordering::Release);
        if let Some(change) = change {
            self.publish(change);
        }
        drop(slot);
        Ok(end)
    }

    /// `place` where the write fails and cannot be undone.
    pub(super) fn break_off(&self) {
        let slot = self.write.lock();
        self.disk.fail(Fails::Broken);
        self.group.fence(Stop::Write);
        drop(slot);
    }

    /// `sync`.
    pub(super) fn sync(&self) -> Result<(), Stop> {
        let written = writable(&mut self.write.lock())?.next;
        if let Some(stop) = self.group.fenced() {
            return Err(stop);
        }
        self.commit(self.group.approach(), written)
    }

    /// `rotate_and_sync`.
    pub(super) fn rotate(&self) -> Result<(), Stop> {
        loop {
            let mut slot = self.write.lock();
            let write = writable(&mut slot)?;
            if let Some(stop) = self.group.fenced() {
                return Err(stop);
            }
            let next = write.next;
            if let Admission::AfterSync = write.rotation_admission(self.mark()) {
                drop(slot);
                self.await_rotation(next)?;
                continue;
            }
            write.rotate();
            if write.may_show(self.group.durable()) {
                let change = write.take_change();
                self.publish(change);
            }
            drop(slot);
            return self.group.exclusive(|sync| self.lead(sync));
        }
    }

    /// `truncate`. Gives the first entry that is left.
    pub(super) fn truncate(&self, seq: u64) -> Result<u64, Stop> {
        writable(&mut self.write.lock()).map(|_| ())?;
        self.group.exclusive(|sync| {
            let Some(held) = self.hold_rotations() else { return Ok(self.group.durable()) };
            let durable = self.lead(sync)?;
            let first = self.peek(|view| view.first_kept(seq)).flatten();
            if let Some(first) = first.filter(|first| first.ordinal > sync.start) {
                sync.truncate(first, || self.truncate_view(first));
            }
            drop(held);
            Ok(durable)
        })?;
        self.peek(|view| view.first).ok_or(Stop::Closed)
    }

    fn truncate_view(&self, first: Name) {
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.truncate(first);
        }
    }

    fn hold_rotations(&self) -> Option<HeldRotations<'_>> {
        let mut slot = self.write.lock();
        writable(&mut slot).ok()?.rotations = Rotations::Held;
        Some(HeldRotations(self))
    }

    /// `close`, and `close_group`.
    pub(super) fn close(&self) -> Result<(), Stop> {
        let is_open = {
            let mut slot = self.write.lock();
            match std::mem::replace(&mut *slot, WriteSlot::Closed) {
                WriteSlot::Open(write) => {
                    *slot = WriteSlot::Closing(write);
                    true
                }
                dead @ WriteSlot::Dead(_) => {
                    *slot = dead;
                    return Ok(());
                }
                WriteSlot::Closing(_) | WriteSlot::Closed => false,
            }
        };
        let mut was_stopped = true;
        let closed = if is_open {
            self.group.close(|sync| {
                was_stopped = false;
                self.lead(sync)
            })
        } else {
            Ok(())
        };
        let ended = std::mem::replace(&mut *self.write.lock(), WriteSlot::Closed);
        drop(ended);
        *self.view.write() = ViewSlot::Closed;
        if was_stopped { Ok(()) } else { closed }
    }

    /// `retire`.
    pub(super) fn retire(&self, death: Death) {
        let ended = std::mem::replace(&mut *self.write.lock(), WriteSlot::Dead(death));
        drop(ended);
        let stop = match death {
            Death::Replaced => Stop::Closed,
            Death::Deleted => Stop::Deleted,
        };
        // The group is stopped or will never be used again: nobody waits for its answer.
        match self.group.close(|_| Err(stop)) {
            Ok(()) | Err(_) => {}
        }
        *self.view.write() = ViewSlot::Dead(death);
    }

    /// `delete_stream` of a log.
    pub(super) fn delete(&self) {
        self.retire(Death::Deleted);
        self.disk.delete();
    }

    /// `Budget::release`, as long as the stream is in the queue, once.
    pub(super) fn release(&self) {
        {
            let mut held = self.budget.lock();
            if held.queued == 0 {
                return;
            }
            held.queued -= 1;
        }
        let answer = self.try_release();
        let mut held = self.budget.lock();
        match answer {
            Released::Yes => held.count -= 1,
            Released::No => held.queued += 1,
        }
    }

    /// `try_release`.
    fn try_release(&self) -> Released {
        if let Some(released) = self.try_park_at_once() {
            return released;
        }
        let mut released = Released::No;
        let done = self.group.try_exclusive(|sync| {
            let durable = self.lead(sync)?;
            let Some(mut slot) = self.write.try_lock() else { return Ok(durable) };
            let WriteSlot::Open(write) = &mut *slot else { return Ok(durable) };
            write.park(self.mark());
            if write.holds_file() {
                return Ok(durable);
            }
            released = Released::Yes;
            self.park_view();
            Ok(durable)
        });
        match done {
            Some(Ok(())) | None => released,
            Some(Err(_)) => self.try_park_at_once().unwrap_or(Released::No),
        }
    }

    /// `try_park_at_once`.
    fn try_park_at_once(&self) -> Option<Released> {
        let Some(mut slot) = self.write.try_lock() else { return Some(Released::No) };
        let WriteSlot::Open(write) = &mut *slot else { return Some(Released::Yes) };
        if self.group.fenced().is_some() {
            write.abandon();
            self.park_view();
            return Some(Released::Yes);
        }
        if write.holds_file() { None } else { Some(Released::Yes) }
    }

    fn park_view(&self) {
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.active.file = None;
        }
    }

    /// `Stream::get`: what is read is asserted to be that entry.
    pub(super) fn get(&self, seq: u64) -> Read {
        let located = match &*self.view.read() {
            ViewSlot::Open(view) => view.locate(seq),
            ViewSlot::Closed => return Read::Closed,
            ViewSlot::Dead(death) => return Read::of(*death),
        };
        match located {
            Located::Beyond => Read::Beyond,
            Located::Truncated => Read::Truncated,
            Located::In(name, held, cache) => {
                let Some(file) = cache.ready(&self.disk, name, held) else {
                    return self.explain(seq);
                };
                file.assert_holds(name.ordinal, seq);
                self.disk.assert_may_be_seen(seq);
                Read::Entry
            }
        }
    }

    /// `explain`: why a file is not there.
    fn explain(&self, seq: u64) -> Read {
        let first = match &*self.view.read() {
            ViewSlot::Open(view) => view.first,
            ViewSlot::Closed => return Read::Closed,
            ViewSlot::Dead(death) => return Read::of(*death),
        };
        assert!(!self.disk.is_deleted(), "files are removed while readers are led to them");
        assert!(seq < first, "the file of entry {seq} is gone, the first is {first}");
        Read::Truncated
    }

    /// One past the last entry that readers see.
    pub(super) fn next(&self) -> u64 {
        self.peek(|view| view.next).expect("readers see a stream that is open")
    }

    /// How many segments readers see.
    pub(super) fn segment_count(&self) -> u64 {
        self.peek(|view| view.closed.len() as u64 + 1).expect("readers see a stream that is open")
    }

    fn peek<R>(&self, read: impl FnOnce(&View) -> R) -> Option<R> {
        match &*self.view.read() {
            ViewSlot::Open(view) => Some(read(view)),
            ViewSlot::Closed | ViewSlot::Dead(_) => None,
        }
    }

    /// `Live::mark`.
    fn mark(&self) -> SyncedMark {
        let packed = self.mark.load(Ordering::Acquire);
        SyncedMark { ordinal: packed >> 32, end: packed & u64::from(u32::MAX) }
    }

    /// At rest the budget counts the stream if that holds its file.
    pub(super) fn assert_counted_right(&self) {
        let holds_file = match &*self.write.lock() {
            WriteSlot::Open(write) | WriteSlot::Closing(write) => write.holds_file(),
            WriteSlot::Closed | WriteSlot::Dead(_) => false,
        };
        let held = self.budget.lock();
        assert_eq!((held.count, held.queued), (u64::from(holds_file), u64::from(holds_file)));
    }

    /// What holds of a stream that is open and at rest: every entry is seen, every segment too, and
    /// what was acknowledged is durable.
    pub(super) fn assert_whole(&self, end: u64) {
        assert_eq!(self.next(), end);
        let first = self.peek(|view| view.first).expect("readers see a stream that is open");
        for seq in first..end {
            assert_eq!(self.get(seq), Read::Entry, "entry {seq}");
        }
        self.disk.assert_durable(self.group.durable());
        self.disk.assert_nothing_lost();
    }
}

/// `writable`.
fn writable(slot: &mut WriteSlot) -> Result<&mut WriteSide, Stop> {
    match slot {
        WriteSlot::Open(write) => Ok(write),
        WriteSlot::Dead(Death::Deleted) => Err(Stop::Deleted),
        WriteSlot::Dead(Death::Replaced) => Err(Stop::Replaced),
        WriteSlot::Closing(_) | WriteSlot::Closed => Err(Stop::Closed),
    }
}

/// `state::maintain::HeldRotations`.
struct HeldRotations<'a>(&'a Stream);

impl Drop for HeldRotations<'_> {
    fn drop(&mut self) {
        match &mut *self.0.write.lock() {
            WriteSlot::Open(write) | WriteSlot::Closing(write) => {
                write.rotations = Rotations::Allowed;
            }
            WriteSlot::Closed | WriteSlot::Dead(_) => {}
        }
    }
}

impl WriteSide {
    fn written_mark(&self) -> SyncedMark {
        SyncedMark { ordinal: self.active.ordinal, end: self.next }
    }

    fn needs_rotation(&self) -> bool {
        self.next - self.active.base == self.room
    }

    fn admission(&self, mark: SyncedMark) -> Admission {
        if self.needs_rotation() { self.rotation_admission(mark) } else { Admission::Now }
    }

    fn rotation_admission(&self, mark: SyncedMark) -> Admission {
        let is_allowed = self.rotations == Rotations::Allowed;
        if is_allowed && mark.ordinal == self.active.ordinal {
            Admission::Now
        } else {
            Admission::AfterSync
        }
    }

    fn is_synced(&self, mark: SyncedMark) -> bool {
        mark == self.written_mark() && self.rotated.is_none()
    }

    fn may_show(&self, durable: u64) -> bool {
        self.withheld <= durable
    }

    fn withhold(&mut self) {
        self.withheld = self.next;
    }

    fn append(&mut self, mark: SyncedMark) -> Result<u64, Refused> {
        if self.needs_rotation() {
            assert!(matches!(self.admission(mark), Admission::Now), "one rotation at a time");
            self.start_next();
        }
        let file = Rc::clone(&self.open().file);
        self.disk.write(&file, self.next)?;
        self.next += 1;
        Ok(self.next)
    }

    fn rotate(&mut self) {
        if self.next > self.active.base {
            self.start_next();
        }
    }

    fn start_next(&mut self) {
        let file = Rc::clone(&self.open().file);
        let index = self.disk.open_index();
        self.disk.seal(&file);
        let name = self.active;
        self.active = Name { ordinal: name.ordinal + 1, base: self.next };
        let created = self.disk.create(self.active.ordinal, self.active.base);
        self.rotated = Some(Rotated { file, index, ordinal: name.ordinal });
        self.closed = Some(Closed { name, until: self.next, cache: SegmentCache::new() });
        self.file = Some(ActiveFile::new(created));
    }

    fn take_change(&mut self) -> ViewChange {
        let file = self.open().show();
        let Self { next, active, .. } = *self;
        ViewChange { next, closed: self.closed.take(), active, file }
    }

    fn take_work(&mut self) -> SyncWork {
        let file = Rc::clone(&self.open().file);
        SyncWork { rotated: self.rotated.take(), file, mark: self.written_mark() }
    }

    fn holds_file(&self) -> bool {
        self.file.is_some()
    }

    fn park(&mut self, mark: SyncedMark) {
        if self.is_synced(mark) {
            self.file = None;
        }
    }

    fn abandon(&mut self) {
        self.file = None;
        self.rotated = None;
    }

    fn open(&mut self) -> &mut ActiveFile {
        let ordinal = self.active.ordinal;
        self.file.get_or_insert_with(|| ActiveFile::new(self.disk.open_to_write(ordinal)))
    }
}

impl ActiveFile {
    const fn new(file: Rc<Handle>) -> Self {
        Self { file, shown: Shown::No }
    }

    fn show(&mut self) -> Option<Rc<Handle>> {
        match std::mem::replace(&mut self.shown, Shown::Yes) {
            Shown::No => Some(Rc::clone(&self.file)),
            Shown::Yes => None,
        }
    }
}

impl SyncSide {
    fn sync(&mut self, work: SyncWork) -> SyncedMark {
        let SyncWork { rotated, file, mark } = work;
        let disk = &self.disk;
        if let Some(Rotated { file, .. }) = &rotated {
            disk.sync(file);
        }
        disk.sync(&file);
        if let Some(Rotated { index, ordinal, .. }) = rotated {
            disk.name_sealed(index, ordinal);
        }
        mark
    }

    fn truncate(&mut self, first: Name, published: impl FnOnce()) {
        self.disk.replace_index(first.ordinal);
        self.start = first.ordinal;
        published();
        self.disk.unlink_before(first.ordinal);
    }
}

impl View {
    fn apply(&mut self, change: ViewChange) {
        let ViewChange { next, closed, active, file } = change;
        assert!(self.next <= next, "readers saw {} and now {next}", self.next);
        if let Some(mut ended) = closed {
            // As the real one does: whatever was active is what has ended.
            let was_active = std::mem::replace(&mut self.active, Active::new(active));
            ended.cache = was_active.cache;
            self.closed.push(ended);
        }
        if let Some(file) = file {
            self.active.file = Some(file);
        }
        self.next = next;
    }

    fn first_kept(&self, seq: u64) -> Option<Name> {
        let gone_count = self.closed.partition_point(|closed| closed.until <= seq);
        let kept = self.closed.get(gone_count).map_or(self.active.name, |closed| closed.name);
        (gone_count > 0).then_some(kept)
    }

    fn truncate(&mut self, first: Name) {
        self.closed.retain(|closed| closed.name.ordinal >= first.ordinal);
        self.first = first.base;
    }

    fn locate(&self, seq: u64) -> Located {
        if seq >= self.next {
            return Located::Beyond;
        }
        if seq < self.first {
            return Located::Truncated;
        }
        let Active { name, file, cache } = &self.active;
        if seq >= name.base {
            return Located::In(*name, file.clone(), Rc::clone(cache));
        }
        let mut holding =
            self.closed.iter().filter(|closed| closed.name.base <= seq && seq < closed.until);
        let closed = holding.next().expect("a committed entry is in a segment");
        assert!(holding.next().is_none(), "{seq} is there twice");
        Located::In(closed.name, None, Rc::clone(&closed.cache))
    }
}

impl Active {
    fn new(name: Name) -> Self {
        Self { name, file: None, cache: SegmentCache::new() }
    }
}

impl SegmentCache {
    fn new() -> Rc<Self> {
        Rc::new(Self(Mutex::new(None)))
    }

    /// `Reading::ready`, where files are mapped.
    fn ready(&self, disk: &Disk, name: Name, held: Option<Rc<Handle>>) -> Option<Rc<File>> {
        let kept = self.0.lock().clone();
        let file = match (kept, held) {
            (Some(file), _) => return Some(file),
            (None, Some(handle)) => handle.file(),
            (None, None) => disk.open(name.ordinal)?,
        };
        self.0.lock().get_or_insert_with(|| Rc::clone(&file));
        Some(file)
    }
}

impl Read {
    fn of(death: Death) -> Self {
        match death {
            Death::Replaced => Self::Replaced,
            Death::Deleted => Self::Deleted,
        }
    }
}
