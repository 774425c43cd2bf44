//! What tests of several modules need: segments in memory, and sources that watch what is asked.

use alloc::{vec, vec::Vec};
use core::convert::Infallible;

use crate::checksum::{Salt, crc32};
use crate::frame::{Encoding, FRAME_HEADER_LEN, FrameKind, Placement, PreparedFrame};
use crate::ids::{Ordinal, SequenceNumber, StreamId};
use crate::names::StreamKey;
use crate::payload::{BatchBuilder, Compression, EntryLimits, prepare_batch, prepare_entry};
use crate::scan::{Scan, ScanFrom, scan};
use crate::seal::{Seal, SparseTable};
use crate::segment_header::SegmentHeader;
use crate::walk::{MAX_WANT, Source};

/// The stream that all segments here are of.
pub(crate) const ID: StreamId = StreamId::new(*b"0123456789abcdef");

const LIMITS: EntryLimits = EntryLimits::new(1 << 20, 1 << 20);

/// What the writer knows to be synced when it makes a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Syncs {
    /// Nothing.
    Never,
    /// All before the frame: each append was waited for.
    Each,
    /// All before the frame in front of it.
    EachSecond,
}

/// Where a frame of a [`Segment`] is, and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) base: u64,
    /// One past its last entry; in a seal, the base of the next segment.
    pub(crate) until: u64,
    pub(crate) synced_len: u64,
    pub(crate) entries: Vec<Vec<u8>>,
}

/// A segment in memory, and the truth about it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) base: u64,
    pub(crate) ordinal: u32,
    pub(crate) syncs: Syncs,
    pub(crate) bytes: Vec<u8>,
    /// All but the segment header; a seal comes last.
    pub(crate) frames: Vec<Frame>,
    pub(crate) next: u64,
}

impl Segment {
    pub(crate) fn new(base: u64, ordinal: u32, syncs: Syncs) -> Self {
        let header = SegmentHeader {
            base: seq(base),
            ordinal: Ordinal::new(ordinal),
            id: ID,
            key: StreamKey::new("orders").unwrap(),
            created_unix_nanos: 1_790_000_000_000_000_000,
        };
        Self { base, ordinal, syncs, bytes: header.encode(), frames: Vec::new(), next: base }
    }

    pub(crate) fn entry(mut self, entry: &[u8]) -> Self {
        let mut frame = prepare_entry(entry, LIMITS, Compression::None).unwrap();
        let until = self.next + 1;
        self.place(&mut frame, self.next, until, vec![entry.to_vec()]);
        self.next = until;
        self
    }

    pub(crate) fn batch(mut self, entries: &[&[u8]]) -> Self {
        let mut frame = prepare_batch(entries, LIMITS, Compression::None).unwrap().unwrap();
        let until = self.next + entries.len() as u64;
        self.place(&mut frame, self.next, until, entries.iter().map(|e| e.to_vec()).collect());
        self.next = until;
        self
    }

    /// A batch whose payload is LZ4: one sequence of literals, so that no build needs more than this.
    pub(crate) fn lz4_batch(mut self, entries: &[&[u8]]) -> Self {
        let mut raw = BatchBuilder::new(LIMITS);
        for entry in entries {
            raw.push(entry).unwrap();
        }
        let mut plain = raw.prepare(Compression::None).unwrap();
        let at = Placement { salt: Salt::NONE, offset: 0, base: seq(0), synced_len: 0 };
        let table_len = if entries.len() > 1 { 4 * entries.len() } else { 0 };
        let len = table_len + entries.concat().len();
        let plain = &plain.place(at)[FRAME_HEADER_LEN..][..len];
        let mut bytes = vec![0; FRAME_HEADER_LEN];
        bytes.extend(u32::try_from(len).unwrap().to_le_bytes());
        bytes.extend([0xF0, u8::try_from(len - 15).unwrap()]);
        bytes.extend(plain);
        let count = u32::try_from(entries.len()).unwrap();
        let mut frame = PreparedFrame::encoded(FrameKind::Entries, Encoding::Lz4, count, bytes);
        let until = self.next + entries.len() as u64;
        self.place(&mut frame, self.next, until, entries.iter().map(|e| e.to_vec()).collect());
        self.next = until;
        self
    }

    pub(crate) fn seal(mut self, next_base: u64) -> Self {
        let mut table = SparseTable::default();
        for frame in &self.frames {
            table.note(frame.base - self.base, frame.start as u64);
        }
        let frame_count = u32::try_from(self.frames.len()).unwrap();
        let seal = Seal { entry_count: self.next - self.base, frame_count, table };
        self.place(&mut seal.prepare(), next_base, next_base, Vec::new());
        self
    }

    pub(crate) fn header_len(&self) -> usize {
        self.frames.first().map_or(self.bytes.len(), |frame| frame.start)
    }

    pub(crate) fn salt(&self) -> Salt {
        Salt::of(ID, Ordinal::new(self.ordinal))
    }

    pub(crate) fn scan_from(&self) -> ScanFrom {
        let offset = self.header_len() as u64;
        ScanFrom { salt: self.salt(), base: seq(self.base), offset, limit: SequenceNumber::MAX }
    }

    /// Scans other bytes as if they were this segment's.
    pub(crate) fn scan(&self, mut bytes: &[u8]) -> Scan {
        let Ok(scan) = scan(&mut bytes, self.scan_from());
        scan
    }

    fn place(&mut self, frame: &mut PreparedFrame, base: u64, until: u64, entries: Vec<Vec<u8>>) {
        let start = self.bytes.len();
        let synced_len = match (self.syncs, self.frames.last()) {
            (Syncs::Never, _) | (Syncs::EachSecond, None) => 0,
            (Syncs::Each, _) => start as u64,
            (Syncs::EachSecond, Some(before)) => before.start as u64,
        };
        let at = Placement { salt: self.salt(), offset: start as u64, base: seq(base), synced_len };
        self.bytes.extend_from_slice(frame.place(at));
        let end = self.bytes.len();
        self.frames.push(Frame { start, end, base, until, synced_len, entries });
    }
}

/// The fields of a frame header, written down as FORMAT.md has them and not by the encoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forged {
    pub(crate) kind: u8,
    pub(crate) reserved: u16,
    pub(crate) base: u64,
    pub(crate) entry_count: u32,
    pub(crate) payload_len: u32,
    pub(crate) payload_crc: u32,
    pub(crate) synced_len: u32,
}

impl Forged {
    /// The header of an entries frame without payload.
    pub(crate) const ENTRY: Self = Self {
        kind: 1,
        reserved: 0,
        base: 0,
        entry_count: 1,
        payload_len: 0,
        payload_crc: 0,
        synced_len: 0,
    };

    pub(crate) fn bytes(self, salt: Salt, offset: usize) -> [u8; FRAME_HEADER_LEN] {
        let mut bytes = [0; FRAME_HEADER_LEN];
        bytes[0] = 0xA7;
        bytes[1] = self.kind;
        bytes[2..4].copy_from_slice(&self.reserved.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.base.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.entry_count.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.synced_len.to_le_bytes());
        let place = (offset as u64).to_le_bytes();
        let crc = crc32(&[&salt.get().to_le_bytes(), &place, &bytes[..4], &bytes[8..]]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// A source that hands out what is wanted and `more` bytes behind it, and counts what it hands out.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    more: usize,
    pub(crate) handed_out: usize,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(bytes: &'a [u8], more: usize) -> Self {
        Self { bytes, more, handed_out: 0 }
    }
}

impl Source for Pieces<'_> {
    type Error = Infallible;

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn bytes_at(&mut self, offset: u64, want: usize) -> Result<&[u8], Infallible> {
        assert!((1..=MAX_WANT).contains(&want), "{want} bytes wanted");
        let rest = self.bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let piece = &rest[..rest.len().min(want + self.more)];
        self.handed_out += piece.len();
        Ok(piece)
    }
}

pub(crate) const fn seq(number: u64) -> SequenceNumber {
    SequenceNumber::new(number)
}
