//! What is kept of a segment between one read and the next: its mapping or its open file, its sparse
//! table, and which stretches of it are even, so that the next entry in one is found without a walk.
//!
//! Each is made when it is first needed, and let go of when its budget asks. Who reads holds a copy, so
//! nothing is taken away from under a read, and a mapping lives as long as the last bytes of it.
//!
//! Lock order: the lock of a cache is held for no I/O and no other lock is taken under it, except that
//! of the budget's queue.

use ironwal_format::SequenceNumber;
use ironwal_format::seal::{SparseTable, Stretch};
use ironwal_stream::{
    Error as StreamError, Evenness, Frame, ReadSegment, SegmentBytes, SegmentMap,
};

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
    table: Option<SparseTable>,
    /// Which stretches were found to be even. Their bytes never change: what is committed stays. Kept as
    /// long as the bytes are, or the segment is appended to.
    even: StretchSet,
    /// Whether the segment was ended that was appended to when it was first read.
    end: End,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum End {
    #[default]
    Open,
    Sealed,
}

/// Where in a segment an entry is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Within {
    /// In this stretch; without one, in front of the first. The segment is appended to.
    Stretch(Option<Stretch>),
    /// Where the table says that is kept of the segment, or is read.
    Table,
}

/// A set of stretches of one segment, by a bit for each.
#[derive(Debug, Default)]
struct StretchSet {
    words: Vec<u64>,
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

    /// Finds the frame that holds an entry: without a walk, where all is kept that this takes and the frame
    /// lies whole where it should.
    pub(crate) fn find(
        &self,
        segment: ReadSegment,
        within: Within,
        cache: &Arc<SegmentCache>,
        seq: SequenceNumber,
    ) -> Result<(ReadSegment, Frame), StreamError> {
        // What is to be mapped is not read by the file meanwhile: it would never be mapped.
        let held = match self.strategy {
            ReadStrategy::Mmap => None,
            ReadStrategy::StandardIo => segment.bytes.as_ref(),
        };
        if let Some((bytes, stretch)) = cache.even(&segment, held, within, seq)
            && let Some(frame) = segment.find_even(bytes, stretch, seq)?
        {
            return Ok((segment, frame));
        }
        let segment = self.ready(segment, cache)?;
        let stretch = match within {
            Within::Stretch(stretch) => stretch,
            Within::Table => cache.stretch(&segment, seq)?,
        };
        let frame = cache.walk(&segment, (within, stretch), seq)?;
        Ok((segment, frame))
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

impl StretchSet {
    fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word & 1 << (index % 64) != 0)
    }

    fn insert(&mut self, index: usize) {
        if self.words.len() <= index / 64 {
            self.words.resize(index / 64 + 1, 0);
        }
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }
}

impl SegmentCache {
    /// The stretch that holds an entry of a segment that is not appended to any more. The table is read
    /// when it is first needed, and kept as long as the bytes are.
    pub(crate) fn stretch(
        &self,
        segment: &ReadSegment,
        seq: SequenceNumber,
    ) -> Result<Option<Stretch>, StreamError> {
        let entry = seq.since(segment.name.base);
        if let Some(table) = &self.kept.lock().table {
            return Ok(table.stretch(entry));
        }
        let table = segment.table()?;
        let stretch = table.stretch(entry);
        let mut kept = self.kept.lock();
        if kept.bytes.is_some() {
            kept.table = Some(table);
        }
        Ok(stretch)
    }

    /// What it takes to find the frame of an entry without a walk: a stretch that was proven to be even,
    /// and bytes that reach as far as the segment counts, kept here or `held` by the write side.
    fn even(
        &self,
        segment: &ReadSegment,
        held: Option<&SegmentBytes>,
        within: Within,
        seq: SequenceNumber,
    ) -> Option<(SegmentBytes, Stretch)> {
        let entry = seq.since(segment.name.base);
        let kept = self.kept.lock();
        let bytes = match &kept.bytes {
            Some(kept) if kept.covers >= segment.bounds.len => &kept.bytes,
            Some(_) => return None,
            None => held?,
        };
        let stretch = match within {
            Within::Stretch(stretch) => stretch?,
            Within::Table => kept.table.as_ref()?.stretch(entry)?,
        };
        let found = kept.even.contains(stretch.index).then(|| (bytes.clone(), stretch));
        drop(kept);
        self.note_use();
        found
    }

    /// Finds the frame that holds an entry by a walk, and keeps in mind if the next in its stretch can be
    /// found without one.
    fn walk(
        &self,
        segment: &ReadSegment,
        (within, stretch): (Within, Option<Stretch>),
        seq: SequenceNumber,
    ) -> Result<Frame, StreamError> {
        let (frame, evenness) = segment.find(stretch, seq)?;
        if let (Some(stretch), Evenness::Proven) = (stretch, evenness) {
            let mut kept = self.kept.lock();
            let is_active = matches!(within, Within::Stretch(_)) && kept.end == End::Open;
            // Otherwise nobody would ask to let go of it.
            if is_active || kept.bytes.is_some() {
                kept.even.insert(stretch.index);
            }
        }
        Ok(frame)
    }

    /// Takes over the table of a segment that was appended to until now, if its bytes are kept: without
    /// them nobody would ask to let go of it.
    pub(crate) fn seal(&self, table: SparseTable) {
        let mut kept = self.kept.lock();
        kept.end = End::Sealed;
        if kept.bytes.is_some() {
            kept.table = Some(table);
        } else {
            kept.even = StretchSet::default();
        }
    }

    /// The bytes that are kept, if they reach as far as `len`.
    fn bytes(&self, len: u64) -> Option<SegmentBytes> {
        let kept = self.kept.lock();
        let found = kept.bytes.as_ref().filter(|kept| kept.covers >= len)?;
        let bytes = found.bytes.clone();
        drop(kept);
        self.note_use();
        Some(bytes)
    }

    /// Is read each time, and written once each time that it was asked to release.
    fn note_use(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
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
        let released = self.kept.try_lock().map(|mut kept| {
            let end = kept.end;
            std::mem::replace(&mut *kept, Kept { end, ..Kept::default() })
        });
        if released.is_some() { Released::Yes } else { Released::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_proven_of_a_segment_goes_with_its_bytes() {
        let cache = SegmentCache::default();
        cache.kept.lock().even.insert(70);
        assert!(cache.kept.lock().even.contains(70) && !cache.kept.lock().even.contains(6));
        cache.seal(SparseTable::default());
        assert!(!cache.kept.lock().even.contains(70), "no budget knows of it");
        cache.kept.lock().even.insert(70);
        assert_eq!(cache.try_release(), Released::Yes);
        let kept = cache.kept.lock();
        assert!(!kept.even.contains(70) && kept.end == End::Sealed);
    }
}
