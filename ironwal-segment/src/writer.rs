//! The writer of the active segment: places frames, reserves space ahead of them, seals.
//!
//! It keeps positions, not the file: the file is handed in, so that an idle stream need not hold it
//! open. A frame is written by one call where the system takes it whole. A write that fails is cut
//! back and the cut made durable, so that what was reported as not written never appears.

use std::io;

use ironwal_format::cast;
use ironwal_format::checksum::Salt;
use ironwal_format::frame::{MAX_SEGMENT_FILE_LEN, Placement, PreparedFrame};
use ironwal_format::scan::Scan;
use ironwal_format::seal::{Point, Seal, SparseTable};
use ironwal_format::{Ordinal, SequenceNumber};

use crate::dir::{SegmentName, StreamDir};
use crate::error::{Error, IoOp};
use crate::io::{allocate, set_len, write_all};
use crate::storage::StorageFile;

/// The first step in which space is reserved.
const MIN_RESERVE_LEN: u64 = 4 << 10;

/// The largest step in which space is reserved.
const MAX_RESERVE_LEN: u64 = 1 << 20;

/// How many zeros are written at once.
const ZEROS_LEN: usize = 64 << 10;

/// How a segment file is made ready for what will be written to it.
///
/// A sync that follows a write into space that is ready is cheaper than one for which the file has
/// to grow.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Preallocation {
    /// Blocks are reserved ahead, in steps that double from 4 KiB to 1 MiB, where the file system can
    /// do that; nothing is written twice.
    #[default]
    Reserve,
    /// Zeros are written ahead, in the same steps: each byte is written twice, for syncs that cost
    /// the file system nothing but data.
    Zeros,
    /// The file grows with each write.
    Off,
}

/// Where appends to a segment go on.
#[derive(Debug)]
pub struct SegmentWriter {
    name: SegmentName,
    salt: Salt,
    max_len: u64,
    position: u64,
    /// At most the length of the file: up to there, writes do not make it grow.
    reserved: u64,
    preallocation: Preallocation,
    entry_count: u64,
    frame_count: u32,
    table: SparseTable,
    sealed: Sealed,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sealed {
    No,
    Yes,
}

/// Where a frame was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Written {
    /// The offset behind it.
    pub end: u64,
    /// The point to look it up by, if it got one.
    pub point: Option<Point>,
}

/// Why a frame was not written.
#[derive(Debug)]
pub enum WriteError {
    /// The file is as it was before: nothing of the frame will ever appear.
    CutBack(Error),
    /// The write failed, and so did undoing it: what the file holds is not known.
    Broken(Error),
}

impl SegmentWriter {
    /// The writer of a segment that has nothing but its header. Space is made ready up to `max_len` at
    /// the most, unless a frame needs more.
    pub fn new(
        dir: &StreamDir,
        name: SegmentName,
        max_len: u64,
        preallocation: Preallocation,
    ) -> Self {
        Self {
            name,
            max_len,
            salt: dir.salt(name.ordinal),
            position: dir.header_len(),
            reserved: dir.header_len(),
            preallocation,
            entry_count: 0,
            frame_count: 0,
            table: SparseTable::default(),
            sealed: Sealed::No,
        }
    }

    /// Goes on behind what a scan found, in a file of `file_len` bytes.
    #[must_use]
    pub fn resume(self, scan: Scan, file_len: u64) -> Self {
        Self {
            position: scan.valid_end,
            reserved: file_len,
            entry_count: scan.next.since(self.name.base),
            frame_count: scan.frame_count,
            table: scan.table,
            ..self
        }
    }

    /// Which segment this is.
    pub const fn name(&self) -> SegmentName {
        self.name
    }

    /// The place of this segment in the order of creation.
    pub const fn ordinal(&self) -> Ordinal {
        self.name.ordinal
    }

    /// The offset behind the last frame.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// How many entries the segment holds.
    pub const fn entry_count(&self) -> u64 {
        self.entry_count
    }

    /// Whether no frame follows the segment header.
    pub const fn is_empty(&self) -> bool {
        self.frame_count == 0
    }

    /// Where the frames are.
    pub const fn table(&self) -> &SparseTable {
        &self.table
    }

    /// Whether the last frame is a seal.
    pub const fn is_sealed(&self) -> bool {
        matches!(self.sealed, Sealed::Yes)
    }

    /// How long the file would be, sealed, if this frame were written to it.
    #[inline]
    pub fn sealed_len_with(&self, frame: &PreparedFrame) -> u64 {
        self.position + frame.frame_len() + Seal::frame_len(self.table.points().len() + 1)
    }

    /// Writes a frame of entries behind the last frame. Readers of the file may see it at once; it is
    /// durable after a sync.
    ///
    /// # Errors
    ///
    /// [`WriteError`], which tells whether the file is as before.
    ///
    /// # Panics
    ///
    /// If the segment is sealed, or the frame does not fit below the largest offset there is.
    #[inline]
    pub fn append(
        &mut self,
        dir: &StreamDir,
        file: &dyn StorageFile,
        frame: &mut PreparedFrame,
        at: FrameAt,
    ) -> Result<Written, WriteError> {
        let offset = self.position;
        let end = self.write(dir, file, frame, at)?;
        let point = self.table.note(at.base.since(self.name.base), offset);
        self.entry_count += u64::from(frame.entry_count());
        self.frame_count = self.frame_count.saturating_add(1);
        Ok(Written { end, point })
    }

    /// Writes the seal, unless it is there already. `at.base` is the base of the next segment.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn seal(
        &mut self,
        dir: &StreamDir,
        file: &dyn StorageFile,
        at: FrameAt,
    ) -> Result<(), WriteError> {
        if self.is_sealed() {
            return Ok(());
        }
        let table = std::mem::take(&mut self.table);
        let seal = Seal { entry_count: self.entry_count, frame_count: self.frame_count, table };
        let written = self.write(dir, file, &mut seal.prepare(), at);
        self.table = seal.table;
        written?;
        self.sealed = Sealed::Yes;
        Ok(())
    }

    /// Cuts off the space that was reserved behind a seal.
    ///
    /// # Errors
    ///
    /// Those of the operating system; it may be tried again.
    pub fn trim(&mut self, dir: &StreamDir, file: &dyn StorageFile) -> Result<(), Error> {
        if self.reserved > self.position {
            set_len(file, self.position).map_err(|source| {
                Error::io(dir.display(&self.name.file_name()), IoOp::SetLen, source)
            })?;
            self.reserved = self.position;
        }
        Ok(())
    }

    /// Makes space ready up to `end` or, in steps, further.
    fn make_ready(&mut self, file: &dyn StorageFile, end: u64) -> io::Result<()> {
        let ahead = reservation(self.reserved, end, self.max_len);
        match self.preallocation {
            Preallocation::Off => {}
            Preallocation::Reserve => match reserve(file, ahead, end) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.preallocation = Preallocation::Off;
                }
                reserved => self.reserved = reserved?,
            },
            // There may be room for the frame itself: its write tells.
            Preallocation::Zeros => {
                if write_zeros(file, self.reserved, ahead).is_ok() {
                    self.reserved = ahead;
                }
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        dir: &StreamDir,
        file: &dyn StorageFile,
        frame: &mut PreparedFrame,
        at: FrameAt,
    ) -> Result<u64, WriteError> {
        assert!(!self.is_sealed(), "a sealed segment never changes");
        let offset = self.position;
        let end = offset + frame.frame_len();
        assert!(end <= MAX_SEGMENT_FILE_LEN, "the caller checks that a frame fits");
        let name = self.name;
        let failed = |op, source| Error::io(dir.display(&name.file_name()), op, source);
        if end > self.reserved {
            // Nothing was written if this fails: zeros at the end are no frame.
            self.make_ready(file, end)
                .map_err(|source| WriteError::CutBack(failed(IoOp::Allocate, source)))?;
        }
        let FrameAt { base, synced_len } = at;
        let bytes = frame.place(Placement { salt: self.salt, offset, base, synced_len });
        if let Err(source) = write_all(file, bytes, offset) {
            let error = failed(IoOp::Write, source);
            let cut = set_len(file, offset)
                .map_err(|source| failed(IoOp::SetLen, source))
                .and_then(|()| file.sync_data().map_err(|source| failed(IoOp::Sync, source)));
            self.reserved = offset;
            return Err(match cut {
                Ok(()) => WriteError::CutBack(error),
                Err(broken) => WriteError::Broken(broken),
            });
        }
        self.position = end;
        self.reserved = self.reserved.max(end);
        Ok(end)
    }
}

/// What a frame says of its place in the stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameAt {
    /// The number of the first entry; in a seal, the base of the next segment.
    pub base: SequenceNumber,
    /// How many bytes of the segment a returned sync has covered.
    pub synced_len: u64,
}

/// Reserves space up to `ahead`, or if that fails up to `end`; returns up to where.
fn reserve(file: &dyn StorageFile, ahead: u64, end: u64) -> io::Result<u64> {
    match allocate(file, ahead) {
        Ok(()) => Ok(ahead),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(error),
        // There may be room for the frame itself.
        Err(_) => allocate(file, end).map(|()| end),
    }
}

/// Lets a file that ends at `from`, or has nothing but zeros from there on, have zeros up to `until`.
fn write_zeros(file: &dyn StorageFile, from: u64, until: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS_LEN.min(cast::usize_from(until.saturating_sub(from)))];
    let mut at = from;
    while at < until {
        let len = zeros.len().min(cast::usize_from(until - at));
        write_all(file, zeros.get(..len).unwrap_or_default(), at)?;
        at += cast::u64_from(len);
    }
    Ok(())
}

/// Up to where to reserve, when `reserved` bytes are and `end` are needed: steps double from 4 KiB
/// to 1 MiB, so that small streams stay small and large ones rarely ask, and end at `max_len`.
fn reservation(reserved: u64, end: u64, max_len: u64) -> u64 {
    let step = reserved.next_power_of_two().clamp(MIN_RESERVE_LEN, MAX_RESERVE_LEN);
    (reserved - reserved % MIN_RESERVE_LEN + step)
        .max(end)
        .checked_next_multiple_of(MIN_RESERVE_LEN)
        .unwrap_or(end)
        .min(max_len.min(MAX_SEGMENT_FILE_LEN))
        .max(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_cover_what_is_needed_and_steps_double_up_to_a_mebibyte() {
        let mut reserved = 100;
        let mut steps = Vec::new();
        while reserved < 8 << 20 {
            let next = reservation(reserved, reserved + 1, u64::MAX);
            steps.push(next - reserved);
            reserved = next;
        }
        assert!(steps.iter().skip(1).all(|step| (4 << 10..=1 << 20).contains(step)), "{steps:?}");
        assert_eq!(steps.last(), Some(&(1 << 20)));
        assert_eq!(reservation(100, 200, u64::MAX), 4096, "a small stream takes one block");
        for end in [1, 4096, 5 << 20, MAX_SEGMENT_FILE_LEN - 1, MAX_SEGMENT_FILE_LEN] {
            let reserved = reservation(0, end, u64::MAX);
            assert!(reserved >= end && reserved <= MAX_SEGMENT_FILE_LEN);
            assert_eq!(reservation(0, end, 2000), end.max(2000).min(reserved));
        }
    }
}
