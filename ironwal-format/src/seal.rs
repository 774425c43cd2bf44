//! The last frame of a sealed segment: totals, and where to find its entries.
//!
//! ```text
//!  payload:
//!   0          point 0         u32 number of the frame's first entry, from the segment's base
//!   4                          u32 offset of the frame in the file
//!   8          point 1 ...
//!  8n          u64 entries in the segment
//!  8n +  8     u32 frames in the segment, header and seal not counted
//!  8n + 12     u32 points, n
//!  8n + 16     u32 length of this whole frame
//!  8n + 20     u32 zero
//!  8n + 24     the end of the frame, and of the file
//! ```
//!
//! The base sequence in the frame header is that of the next segment. The payload needs no padding,
//! so the last 24 bytes of a sealed file are the totals, and the seal is found from the end. There
//! is a [`Point`] for about every [`POINT_INTERVAL`] bytes.

use alloc::vec::Vec;

use crate::cast;
use crate::frame::{
    FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameError, FrameKind, HEADER_LEN, PreparedFrame,
};

/// A frame gets a [`Point`] if it starts at least so many bytes behind the one that has the last.
pub const POINT_INTERVAL: u64 = 4096;

/// The totals at the end of a seal, and so of a sealed file, in bytes.
pub const SEAL_TOTALS_LEN: usize = 24;

const POINT_LEN: usize = 8;

/// Where one frame of a segment is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Point {
    /// The number of its first entry, counted from the base of the segment.
    pub entry: u32,
    /// Its offset in the file.
    pub offset: u32,
}

/// The sparse table of a segment: frames in order, one for about every [`POINT_INTERVAL`] bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SparseTable {
    points: Vec<Point>,
}

/// The frames from one point until the next: where the frame of an entry is looked for.
///
/// It is *even* if each of its frames holds one entry and all have one length. Points alone never prove
/// that: whoever walked from the first of them to the next has proven it, and as long as the bytes do
/// not change a frame of it is found without a walk. A header that merely lies where even frames would have
/// one proves nothing: it may be bytes of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stretch {
    /// Which it is, counted from the first of the segment.
    pub index: usize,
    /// Where it begins.
    pub from: Point,
    /// Where the next one begins; the last ends where the frames end.
    pub until: Option<Point>,
}

/// Where a frame is, and how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FramePlace {
    /// Its offset in the file.
    pub offset: u64,
    /// The length of the whole frame.
    pub len: u64,
}

impl Stretch {
    /// Where the frame of `entry`, counted from the base of the segment, is if the stretch is even;
    /// `None` if it cannot be, or does not hold the entry.
    pub fn even_frame(&self, entry: u64) -> Option<FramePlace> {
        let until = self.until?;
        let count = until.entry.checked_sub(self.from.entry).filter(|count| *count > 0)?;
        let stretch_len = until.offset.checked_sub(self.from.offset)?;
        let len = u64::from(stretch_len / count);
        let is_frame_len =
            stretch_len % count == 0 && len >= HEADER_LEN && len % FRAME_ALIGNMENT == 0;
        // A longer one was not made by taking note of each frame.
        let is_short = u64::from(stretch_len) < POINT_INTERVAL + len;
        let before = entry.checked_sub(u64::from(self.from.entry))?;
        let is_held = before < u64::from(count);
        (is_frame_len && is_short && is_held)
            .then(|| FramePlace { offset: u64::from(self.from.offset) + before * len, len })
    }
}

impl SparseTable {
    /// Takes note of a frame if it is far enough from the last that was noted; gives the point then.
    ///
    /// `entry` is the number of its first entry counted from the base of the segment. Frames come in
    /// the order in which they stand.
    #[inline]
    pub fn note(&mut self, entry: u64, offset: u64) -> Option<Point> {
        let point =
            Point { entry: u32::try_from(entry).ok()?, offset: u32::try_from(offset).ok()? };
        let far =
            self.points.last().is_none_or(|last| offset >= u64::from(last.offset) + POINT_INTERVAL);
        if !far {
            return None;
        }
        self.points.push(point);
        Some(point)
    }

    /// Adds points that [`note`](Self::note) gave to another table of the same segment.
    pub fn extend(&mut self, points: impl IntoIterator<Item = Point>) {
        self.points.extend(points);
    }

    /// The last point at or before `entry`, from where its frame is found by walking.
    pub fn before(&self, entry: u64) -> Option<Point> {
        Some(self.stretch(entry)?.from)
    }

    /// The stretch that begins with the last point at or before `entry`.
    pub fn stretch(&self, entry: u64) -> Option<Stretch> {
        let index = match self.even_guess(entry) {
            Some(index) if self.holds(index, entry) => index,
            Some(_) | None => {
                let behind = self.points.partition_point(|point| u64::from(point.entry) <= entry);
                behind.checked_sub(1)?
            }
        };
        let from = *self.points.get(index)?;
        Some(Stretch { index, from, until: self.points.get(index + 1).copied() })
    }

    /// Which stretch would hold `entry` if all held equally many: a search through many points misses the
    /// cache at most of them.
    fn even_guess(&self, entry: u64) -> Option<usize> {
        let last = self.points.len().checked_sub(1)?;
        let last_entry = u64::from(self.points.last()?.entry);
        let guess = entry.checked_mul(cast::u64_from(last))?.checked_div(last_entry)?;
        Some(cast::usize_from(guess).min(last))
    }

    /// Whether a stretch holds `entry`.
    fn holds(&self, index: usize, entry: u64) -> bool {
        let starts_at_or_before = |index| {
            self.points.get(index).is_some_and(|point: &Point| u64::from(point.entry) <= entry)
        };
        starts_at_or_before(index) && !starts_at_or_before(index + 1)
    }

    /// All points, in order.
    pub fn points(&self) -> &[Point] {
        &self.points
    }
}

/// What a seal says of its segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Seal {
    /// How many entries the segment holds.
    pub entry_count: u64,
    /// How many frames hold them.
    pub frame_count: u32,
    /// Where to find them.
    pub table: SparseTable,
}

impl Seal {
    /// The length of the frame of a seal with so many points.
    pub const fn frame_len(point_count: usize) -> u64 {
        HEADER_LEN + cast::u64_from(point_count * POINT_LEN + SEAL_TOTALS_LEN)
    }

    /// Prepares the frame; where it is placed, the base sequence is that of the next segment.
    pub fn prepare(&self) -> PreparedFrame {
        let points = self.table.points();
        let frame_len = Self::frame_len(points.len());
        let point_count = u32::try_from(points.len()).expect("a point for each 4 KiB of 4 GiB");
        let frame_len_field = u32::try_from(frame_len).expect("8 bytes for each 4 KiB of 4 GiB");
        let mut bytes = Vec::with_capacity(cast::usize_from(frame_len));
        bytes.resize(FRAME_HEADER_LEN, 0);
        for point in points {
            bytes.extend_from_slice(&point.entry.to_le_bytes());
            bytes.extend_from_slice(&point.offset.to_le_bytes());
        }
        bytes.extend_from_slice(&self.entry_count.to_le_bytes());
        bytes.extend_from_slice(&self.frame_count.to_le_bytes());
        bytes.extend_from_slice(&point_count.to_le_bytes());
        bytes.extend_from_slice(&frame_len_field.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        PreparedFrame::new(FrameKind::Seal, 0, bytes)
    }

    /// Decodes a payload whose checksum matched.
    ///
    /// # Errors
    ///
    /// [`FrameError::EntryOffsets`] when its parts do not fit together. That points rise and lead to
    /// frames is for the reader to see: a frame says itself what it holds.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        let (points, totals) =
            payload.split_last_chunk::<SEAL_TOTALS_LEN>().ok_or(FrameError::EntryOffsets)?;
        #[rustfmt::skip]
        let [
            e0, e1, e2, e3, e4, e5, e6, e7, //  0: entries
            f0, f1, f2, f3,                 //  8: frames
            p0, p1, p2, p3,                 // 12: points
            _, _, _, _, _, _, _, _,         // 16: length of the frame, zero
        ] = *totals;
        let point_count = cast::usize_from_u32(u32::from_le_bytes([p0, p1, p2, p3]));
        if points.len() != point_count.saturating_mul(POINT_LEN) {
            return Err(FrameError::EntryOffsets);
        }
        let (points, _) = points.as_chunks::<POINT_LEN>();
        let points = points
            .iter()
            .map(|&[e0, e1, e2, e3, o0, o1, o2, o3]| Point {
                entry: u32::from_le_bytes([e0, e1, e2, e3]),
                offset: u32::from_le_bytes([o0, o1, o2, o3]),
            })
            .collect();
        Ok(Self {
            entry_count: u64::from_le_bytes([e0, e1, e2, e3, e4, e5, e6, e7]),
            frame_count: u32::from_le_bytes([f0, f1, f2, f3]),
            table: SparseTable { points },
        })
    }

    /// Where the seal of a sealed file of `file_len` bytes starts, by the last bytes of the file: a
    /// hint, which the checksum of the frame there has to confirm.
    pub fn offset_from_totals(totals: &[u8; SEAL_TOTALS_LEN], file_len: u64) -> Option<u64> {
        let [.., l0, l1, l2, l3, _, _, _, _] = *totals;
        file_len.checked_sub(u64::from(u32::from_le_bytes([l0, l1, l2, l3])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Salt;
    use crate::frame::{FrameHeader, Placement};
    use crate::ids::SequenceNumber;

    fn table(count: u64) -> SparseTable {
        let mut table = SparseTable::default();
        (0..count).for_each(|n| assert!(table.note(n * 10, 96 + n * 4096).is_some()));
        table
    }

    #[test]
    fn a_seal_is_found_from_the_end_of_the_file_and_reads_back() {
        for points in [0, 1, 2, 100] {
            let seal = Seal { entry_count: 1234, frame_count: 99, table: table(points) };
            let points = seal.table.points().len();
            let next_base = SequenceNumber::new(5000);
            let at = Placement { salt: Salt::NONE, offset: 800, base: next_base, synced_len: 96 };
            let mut frame = seal.prepare();
            let bytes = frame.place(at);
            assert_eq!(bytes.len() as u64, Seal::frame_len(points));
            let file_len = 800 + bytes.len() as u64;
            let totals = bytes.last_chunk().unwrap();
            assert_eq!(Seal::offset_from_totals(totals, file_len), Some(800));
            let header =
                FrameHeader::decode(bytes.first_chunk().unwrap(), Salt::NONE, 800).unwrap();
            assert_eq!((header.kind(), header.base()), (FrameKind::Seal, next_base));
            assert_eq!(u64::from(header.payload_len()), header.padded_len());
            assert_eq!(Seal::decode(&bytes[FRAME_HEADER_LEN..]), Ok(seal));
        }
    }

    #[test]
    fn a_table_has_a_point_for_each_interval_and_finds_the_one_before() {
        let mut table = SparseTable::default();
        assert_eq!(table.before(0), None);
        for n in 0..1000 {
            table.note(n, 96 + n * 100);
        }
        assert_eq!(table.points().len(), 25);
        for n in 0..1000 {
            let point = table.before(n).unwrap();
            assert!(u64::from(point.entry) <= n);
            assert!((n - u64::from(point.entry)) * 100 < POINT_INTERVAL + 100);
        }
    }

    /// Few frames to a point, and many, and all of one length: whatever is guessed, the answer is that of
    /// looking at each.
    #[test]
    fn the_stretch_of_each_entry_is_found_whatever_the_sizes() {
        let sizes: [fn(u64) -> u64; 5] =
            [|_| 160, |n| n + 8, |n| 40_000 / (n + 1) + 8, |n| n % 700 + 8, |_| 5000];
        for size in sizes {
            let (mut table, mut offset) = (SparseTable::default(), 96);
            for n in 0..300 {
                table.note(n * 3, offset);
                offset += size(n);
            }
            for entry in 0..1000 {
                let from = table.points().iter().rposition(|p| u64::from(p.entry) <= entry);
                let index = from.unwrap();
                let points = table.points();
                let (from, until) = (points[index], points.get(index + 1).copied());
                assert_eq!(table.stretch(entry), Some(Stretch { index, from, until }));
                assert_eq!(table.before(entry), Some(from));
            }
        }
        let mut table = SparseTable::default();
        assert_eq!(table.stretch(0), None);
        table.note(10, 96);
        assert_eq!(table.stretch(9), None);
        assert_eq!(table.stretch(u64::MAX).map(|stretch| stretch.index), Some(0));
    }

    #[test]
    fn even_frames_are_where_they_would_be_and_only_where_they_can_be() {
        let stretch = |entries: u32, len: u32| Stretch {
            index: 0,
            from: Point { entry: 10, offset: 96 },
            until: Some(Point { entry: 10 + entries, offset: 96 + len }),
        };
        let even = stretch(26, 26 * 160);
        for n in 0..26 {
            let place = FramePlace { offset: 96 + n * 160, len: 160 };
            assert_eq!(even.even_frame(10 + n), Some(place));
        }
        for outside in [0, 9, 36, u64::MAX] {
            assert_eq!(even.even_frame(outside), None);
        }
        assert_eq!(Stretch { until: None, ..even }.even_frame(10), None);
        for (entries, len) in [(26, 26 * 160 + 8), (26, 26 * 164), (26, 26 * 24), (0, 160), (1, 0)]
        {
            assert_eq!(stretch(entries, len).even_frame(10), None, "{entries} in {len}");
        }
        assert_eq!(stretch(100, 100 * 160).even_frame(10), None, "a point was left out");
        let backwards = Stretch { until: Some(Point { entry: 9, offset: 8 }), ..even };
        assert_eq!(backwards.even_frame(10), None);
    }

    #[test]
    fn a_table_that_is_given_the_points_of_another_finds_the_same() {
        let whole = table(5);
        let mut other = table(2);
        other.extend(whole.points().iter().skip(2).copied());
        assert_eq!(other, whole);
    }

    #[test]
    fn crafted_seals_are_refused() {
        let seal = Seal { entry_count: 1, frame_count: 1, table: table(2) };
        let mut frame = seal.prepare();
        let at =
            Placement { salt: Salt::NONE, offset: 0, base: SequenceNumber::ZERO, synced_len: 0 };
        let payload = frame.place(at)[FRAME_HEADER_LEN..].to_vec();
        for len in 0..payload.len() {
            assert!(Seal::decode(&payload[..len]).is_err() || len % 8 == 0);
            assert_ne!(Seal::decode(&payload[..len]), Ok(seal.clone()));
        }
        let mut bomb = payload;
        bomb[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Seal::decode(&bomb), Err(FrameError::EntryOffsets));
    }
}
