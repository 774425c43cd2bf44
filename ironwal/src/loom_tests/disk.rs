//! The directory of the [`stream`](super::stream) of the models: files that know which entries were
//! written and which of them a power cut would leave.
//!
//! All of it is in cells: it is no part of the protocol, and must not order its steps. Loom tries the
//! orders of those steps only that it knows to be in conflict, so each call on the disk tells it
//! with [`Disk::step`], and one that takes its time does so at its begin and at its end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::sync::atomic::{AtomicU64, Ordering};

/// A set of entries, or of segments, by number.
type Set = u64;

const fn only(number: u64) -> Set {
    1 << number
}

/// The directory of one stream.
pub(super) struct Disk {
    /// By ordinal.
    files: RefCell<BTreeMap<u64, Rc<File>>>,
    /// How many were made.
    segment_count: Cell<u64>,
    /// Which segments have their sealed record: all in front of this one.
    sealed: Cell<u64>,
    /// How often the index was replaced.
    index_generation: Cell<u64>,
    /// One past the last entry that a power cut leaves, everything in front of it being left too.
    durable: Cell<u64>,
    /// The entries that readers must not see before they are durable.
    durable_first: Cell<Set>,
    is_deleted: Cell<bool>,
    /// Whether this state has nothing to do with the files any more.
    is_over: Cell<bool>,
    fails: Cell<Fails>,
    tally: Rc<Tally>,
    steps: AtomicU64,
}

/// What the disk refuses.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Fails {
    Nothing,
    /// The next frame: for want of space, and cut back.
    NextFrame,
    /// Every frame: there is half a frame in front of it, which the stream knows.
    Broken,
}

/// What became of what nobody holds any more.
#[derive(Default)]
struct Tally {
    /// Segments that were unlinked and that nobody holds.
    freed: Cell<Set>,
    /// Entries whose handle was closed before they were synced.
    lost: Cell<Set>,
}

/// A segment file.
pub(super) struct File {
    ordinal: u64,
    base: u64,
    written: Cell<Set>,
    synced: Cell<Set>,
    is_sealed: Cell<bool>,
    tally: Rc<Tally>,
}

/// An open file to write to. A sync covers what was written through the same handle.
pub(super) struct Handle {
    file: Rc<File>,
    unsynced: Cell<Set>,
}

/// An open index.
#[derive(Clone, Copy)]
pub(super) struct IndexHandle {
    generation: u64,
}

/// What the operating system answers.
pub(super) struct Refused;

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            files: RefCell::default(),
            segment_count: Cell::new(0),
            sealed: Cell::new(0),
            index_generation: Cell::new(0),
            durable: Cell::new(0),
            durable_first: Cell::new(0),
            is_deleted: Cell::new(false),
            is_over: Cell::new(false),
            fails: Cell::new(Fails::Nothing),
            tally: Rc::default(),
            steps: AtomicU64::new(0),
        }
    }

    pub(super) fn fail(&self, fails: Fails) {
        self.fails.set(fails);
    }

    /// What is done from here to the next step is in conflict with all that others do to the disk.
    fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn create(&self, ordinal: u64, base: u64) -> Rc<Handle> {
        self.step();
        let none = Cell::new(0);
        let (written, synced) = (none.clone(), none.clone());
        let tally = Rc::clone(&self.tally);
        let is_sealed = Cell::new(false);
        let file = Rc::new(File { ordinal, base, written, synced, is_sealed, tally });
        assert_eq!(self.segment_count.replace(ordinal + 1), ordinal, "made in order, once");
        self.files.borrow_mut().insert(ordinal, Rc::clone(&file));
        Rc::new(Handle { file, unsynced: none })
    }

    /// Opens a segment to read it, if it is there.
    pub(super) fn open(&self, ordinal: u64) -> Option<Rc<File>> {
        self.step();
        self.files.borrow().get(&ordinal).cloned()
    }

    /// Opens a segment to write to it.
    pub(super) fn open_to_write(&self, ordinal: u64) -> Rc<Handle> {
        let file = self.open(ordinal).expect("what is written to is there");
        Rc::new(Handle { file, unsynced: Cell::new(0) })
    }

    pub(super) fn write(&self, handle: &Handle, entry: u64) -> Result<(), Refused> {
        self.step();
        let Handle { file, unsynced } = handle;
        self.assert_not_over();
        assert!(!file.is_sealed.get(), "{entry} is appended to a sealed segment");
        assert!(self.fails.get() != Fails::Broken, "{entry} is appended behind half a frame");
        if self.fails.get() == Fails::NextFrame {
            self.fails.set(Fails::Nothing);
            return Err(Refused);
        }
        assert_eq!(file.base + u64::from(file.written.get().count_ones()), entry, "out of order");
        file.written.set(file.written.get() | only(entry));
        unsynced.set(unsynced.get() | only(entry));
        Ok(())
    }

    pub(super) fn seal(&self, handle: &Handle) {
        self.step();
        handle.file.is_sealed.set(true);
    }

    /// Makes durable what was written through this handle before it began.
    pub(super) fn sync(&self, handle: &Handle) {
        self.step();
        let Handle { file, unsynced } = handle;
        let reaches = unsynced.get();
        self.step();
        self.assert_not_over();
        unsynced.set(unsynced.get() & !reaches);
        file.synced.set(file.synced.get() | reaches);
        self.note_durable();
    }

    pub(super) fn open_index(&self) -> IndexHandle {
        self.step();
        IndexHandle { generation: self.index_generation.get() }
    }

    /// Lets the index say that a segment is whole.
    pub(super) fn name_sealed(&self, index: IndexHandle, ordinal: u64) {
        self.step();
        self.assert_not_over();
        let IndexHandle { generation } = index;
        assert_eq!(generation, self.index_generation.get(), "a record for an index that is gone");
        assert_eq!(self.sealed.get(), ordinal, "segments are named in order, once");
        if let Some(file) = self.files.borrow().get(&ordinal) {
            assert!(file.is_sealed.get(), "named before it is sealed");
            assert_eq!(file.synced.get(), file.written.get(), "named before it is synced");
        }
        self.sealed.set(ordinal + 1);
        self.note_durable();
    }

    /// Replaces the index, by one that has the same to say of what is kept.
    pub(super) fn replace_index(&self, first: u64) {
        self.step();
        assert!(first <= self.sealed.get(), "a segment is let go of that the index does not name");
        self.index_generation.set(self.index_generation.get() + 1);
    }

    /// Unlinks the segments in front of one.
    pub(super) fn unlink_before(&self, ordinal: u64) {
        self.step();
        self.files.borrow_mut().retain(|&made, _| made >= ordinal);
    }

    /// Removes everything.
    pub(super) fn delete(&self) {
        self.step();
        self.is_deleted.set(true);
        self.is_over.set(true);
        self.unlink_before(u64::MAX);
    }

    /// Gives the files to another state: from here on nobody else writes or syncs.
    pub(super) fn hand_over(&self) {
        self.step();
        self.is_over.set(true);
    }

    fn assert_not_over(&self) {
        assert!(!self.is_over.get(), "a state that is dead is at the files");
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.step();
        self.is_deleted.get()
    }

    /// How many segments were made.
    pub(super) fn segment_count(&self) -> u64 {
        self.segment_count.get()
    }

    /// Looks how far a power cut would leave the entries, now that more of them are synced or named.
    fn note_durable(&self) {
        let files = self.files.borrow();
        if let Some(active) = files.get(&self.sealed.get()) {
            let synced = active.synced.get() >> active.base;
            self.durable.set(active.base + u64::from(synced.trailing_ones()));
        }
    }

    pub(super) fn assert_durable(&self, end: u64) {
        self.step();
        let durable = self.durable.get();
        assert!(end <= durable, "{end} was acknowledged and {durable} is durable");
    }

    /// Lets an entry be seen only when it is durable.
    pub(super) fn show_when_durable(&self, entry: u64) {
        self.durable_first.set(self.durable_first.get() | only(entry));
    }

    pub(super) fn assert_may_be_seen(&self, entry: u64) {
        if self.durable_first.get() & only(entry) != 0 {
            self.assert_durable(entry + 1);
        }
    }

    pub(super) fn assert_nothing_lost(&self) {
        assert_eq!(self.tally.lost.get(), 0, "a handle with unsynced bytes was closed");
    }

    pub(super) fn is_freed(&self, ordinal: u64) -> bool {
        self.tally.freed.get() & only(ordinal) != 0
    }
}

impl File {
    /// Reads an entry of the segment `ordinal`.
    pub(super) fn assert_holds(&self, ordinal: u64, entry: u64) {
        assert_eq!(self.ordinal, ordinal, "{entry} is looked for in another segment's file");
        assert!(self.written.get() & only(entry) != 0, "{entry} is not where it should be");
    }
}

impl Handle {
    pub(super) fn file(&self) -> Rc<File> {
        Rc::clone(&self.file)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.tally.freed.set(self.tally.freed.get() | only(self.ordinal));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let tally = &self.file.tally;
        tally.lost.set(tally.lost.get() | self.unsynced.get());
    }
}
