//! What is kept of a segment between one read and the next: its mapping or its open file, and its
//! sparse table.
//!
//! Each is made when it is first needed, and let go of when its budget asks. Who reads holds a copy, so
//! nothing is taken away from under a read, and a mapping lives as long as the last bytes of it.
//!
//! Lock order: the lock of a cache is held for no I/O and no other lock is taken under it, except that
//! of the budget's queue.

use ironwal_format::SequenceNumber;
use ironwal_format::seal::{Point, SparseTable};
use ironwal_stream::{Error as StreamError, Frame, ReadSegment, SegmentBytes, SegmentMap};

use crate::budget::{Budget, Release, Released, weak};
use crate::options::ReadStrategy;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, FileArc, Mutex};

/// How many segments are kept mapped. A mapping costs no handle, but a process has 65,530 of them
/// by Linux's default (`vm.max_map_count`), and the program may want some.
pub(crate) const MAX_MAPPED_SEGMENTS: usize = 8192;

/// How the segments of a log are read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) strategy: ReadStrategy,
    /// Of open files.
    pub(crate) files: FileArc<Budget>,
    /// Of mapped segments.
    pub(crate) maps: FileArc<Budget>,
}

/// What is kept of one segment.
#[derive(Debug, Default)]
pub(crate) struct SegmentCache {
    used: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: Option<KeptBytes>,
    /// Of a segment that is not appended to any more.
    table: Option<Arc<SparseTable>>,
}

#[derive(Debug)]
struct KeptBytes {
    bytes: SegmentBytes,
    /// Up to where they can be used.
    covers: u64,
}

impl Reading {
    pub(crate) fn new(strategy: ReadStrategy, max_open_segments: usize) -> Self {
        Self {
            strategy,
            files: FileArc::new(Budget::new(max_open_segments)),
            maps: FileArc::new(Budget::new(MAX_MAPPED_SEGMENTS)),
        }
    }

    /// Lets go of what is kept in excess. The caller holds no lock.
    pub(crate) fn settle(&self) {
        self.files.settle();
        self.maps.settle();
    }

    /// Lets go of everything: the log is closed. The caller holds no lock.
    pub(crate) fn clear(&self) {
        self.files.clear();
        self.maps.clear();
    }

    /// The segment with its bytes at hand: as they are kept, or else mapped or opened now.
    ///
    /// A file that cannot be mapped is read by plain reads: they are told what is wrong with it, if
    /// anything is.
    pub(crate) fn ready(
        &self,
        segment: ReadSegment,
        cache: &Arc<SegmentCache>,
    ) -> Result<ReadSegment, StreamError> {
        if let Some(bytes) = cache.bytes(segment.bounds.len) {
            return Ok(segment.with_bytes(bytes));
        }
        let (file, is_held) = match &segment.bytes {
            Some(SegmentBytes::File(file)) => (FileArc::clone(file), true),
            Some(SegmentBytes::Mapped(_)) => return Ok(segment),
            None => (segment.open()?, false),
        };
        let mapped = match self.strategy {
            ReadStrategy::Mmap => segment.map(&*file).ok(),
            ReadStrategy::StandardIo => None,
        };
        if let Some(SegmentMap { bytes, covers }) = mapped {
            let bytes = SegmentBytes::Mapped(bytes);
            cache.keep(KeptBytes { bytes: bytes.clone(), covers }, &self.maps);
            return Ok(segment.with_bytes(bytes));
        }
        let bytes = SegmentBytes::File(file);
        // What the write side holds open is counted there.
        if !is_held {
            cache.keep(KeptBytes { bytes: bytes.clone(), covers: u64::MAX }, &self.files);
        }
        Ok(segment.with_bytes(bytes))
    }
}

impl KeptBytes {
    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.bytes) == std::mem::discriminant(&other.bytes)
    }
}

impl SegmentCache {
    /// The last point at or before an entry of a segment that is not appended to any more. The table is
    /// read when it is first needed, and kept as long as the bytes are.
    pub(crate) fn point(
        &self,
        segment: &ReadSegment,
        seq: SequenceNumber,
    ) -> Result<Option<Point>, StreamError> {
        let entry = seq.since(segment.name.base);
        let known = self.kept.lock().table.clone();
        if let Some(table) = known {
            return Ok(table.before(entry));
        }
        let table = Arc::new(segment.table()?);
        let point = table.before(entry);
        let mut kept = self.kept.lock();
        if kept.bytes.is_some() {
            kept.table = Some(table);
        }
        Ok(point)
    }

    /// Finds the frame that holds an entry of a segment that is not appended to any more.
    pub(crate) fn find(
        &self,
        segment: &ReadSegment,
        seq: SequenceNumber,
    ) -> Result<Frame, StreamError> {
        segment.find(segment.place(self.point(segment, seq)?), seq)
    }

    /// Takes over the table of a segment that was appended to until now, if its bytes are kept: without
    /// them nobody would ask to let go of it.
    pub(crate) fn seal(&self, table: SparseTable) {
        let mut kept = self.kept.lock();
        if kept.bytes.is_some() {
            kept.table = Some(Arc::new(table));
        }
    }

    /// The bytes that are kept, if they reach as far as `len`.
    fn bytes(&self, len: u64) -> Option<SegmentBytes> {
        let kept = self.kept.lock();
        let found = kept.bytes.as_ref().filter(|kept| kept.covers >= len)?;
        let bytes = found.bytes.clone();
        drop(kept);
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Some(bytes)
    }

    /// Keeps bytes, unless as many are kept already, or such as another budget counts.
    fn keep(self: &Arc<Self>, bytes: KeptBytes, budget: &Budget) {
        let replaced = {
            let mut kept = self.kept.lock();
            match &mut kept.bytes {
                Some(found) if found.covers >= bytes.covers || !found.is_like(&bytes) => {
                    Some(bytes)
                }
                Some(found) => Some(std::mem::replace(found, bytes)),
                empty @ None => {
                    *empty = Some(bytes);
                    self.used.store(true, Ordering::Relaxed);
                    budget.taken(weak(self));
                    None
                }
            }
        };
        // Unmapped, or closed, without the lock.
        drop(replaced);
    }
}

impl Release for SegmentCache {
    fn try_release(&self) -> Released {
        if self.used.swap(false, Ordering::Relaxed) {
            return Released::No;
        }
        let released = self.kept.try_lock().map(|mut kept| std::mem::take(&mut *kept));
        if released.is_some() { Released::Yes } else { Released::No }
    }
}
