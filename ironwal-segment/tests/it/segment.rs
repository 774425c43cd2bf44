//! One segment that is written, read, and written again.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ironwal_format::checksum::crc32;
use ironwal_format::frame::{FrameError, HEADER_LEN, Placement};
use ironwal_format::names::StreamKey;
use ironwal_format::payload::{Compression, EntryLimits, prepare_entry};
use ironwal_format::scan::Scan;
use ironwal_format::seal::{SEAL_TOTALS_LEN, Seal, SparseTable};
use ironwal_format::walk::{Bounds, Place};
use ironwal_format::{Ordinal, SequenceNumber, StreamId};
use ironwal_segment::recover::{rewrite, scan_segment};
use ironwal_segment::storage::{MapKind, MemStorage, Storage, StorageFile};
use ironwal_segment::{
    ErrorKind, FrameAt, Preallocation, SegmentBytes, SegmentName, SegmentReader, SegmentWriter,
    StreamDir,
};

const NAME: SegmentName = SegmentName { base: SequenceNumber::new(7), ordinal: Ordinal::new(1) };
const MAX_LEN: u64 = 1 << 20;
/// The length of each frame here.
const FRAME_LEN: u64 = HEADER_LEN + 8;

/// A file that is asked for something, and does otherwise.
#[derive(Debug)]
struct Odd {
    below: Arc<dyn StorageFile>,
    /// Whether blocks can be reserved.
    reserves: bool,
    /// Reads that are right before all others are of zeros.
    right_reads: AtomicUsize,
    allocations: AtomicUsize,
    /// How many bytes were read.
    read_len: AtomicUsize,
    /// Where was written, and how much.
    writes: Mutex<Vec<(u64, usize)>>,
}

impl Odd {
    fn new(below: Arc<dyn StorageFile>) -> Self {
        let right_reads = AtomicUsize::new(usize::MAX);
        let [allocations, read_len] = [(); 2].map(|()| AtomicUsize::new(0));
        let writes = Mutex::default();
        Self { below, reserves: true, right_reads, allocations, read_len, writes }
    }
}

impl StorageFile for Odd {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = self.below.read_at(buf, offset)?;
        self.read_len.fetch_add(read, Ordering::Relaxed);
        if self.right_reads.load(Ordering::Relaxed) == 0 {
            buf.fill(0);
        } else {
            self.right_reads.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.writes.lock().unwrap().push((offset, bytes.len()));
        self.below.write_at(bytes, offset)
    }

    fn file_len(&self) -> io::Result<u64> {
        self.below.file_len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.below.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        if self.reserves {
            self.below.allocate(len)
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.below.sync_data()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.below.map(len)
    }

    fn map_kind(&self) -> MapKind {
        self.below.map_kind()
    }
}

fn empty() -> (Arc<StreamDir>, Arc<dyn StorageFile>) {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let key = StreamKey::new("s").unwrap();
    let dir = Arc::new(StreamDir::new(storage, "s", key, StreamId::new([3; 16])));
    dir.storage().create_dir(dir.path()).unwrap();
    let file = dir.create_segment(NAME, 0).unwrap();
    (dir, file)
}

/// Appends entries of these lengths, and gives the offset behind each frame.
fn append_lens(dir: &StreamDir, file: &dyn StorageFile, lens: &[usize]) -> Vec<u64> {
    let mut writer = SegmentWriter::new(dir, NAME, 16 << 20, Preallocation::Off);
    let limits = EntryLimits::new(1 << 20, 1 << 20);
    let append = |&len: &usize| {
        let base = SequenceNumber::new(NAME.base.get() + writer.entry_count());
        let mut frame = prepare_entry(&vec![b'x'; len], limits, Compression::None).unwrap();
        writer.append(dir, file, &mut frame, FrameAt { base, synced_len: 0 }).unwrap();
        writer.position()
    };
    lens.iter().map(append).collect()
}

/// Appends entries that are their numbers.
fn append(dir: &StreamDir, file: &dyn StorageFile, writer: &mut SegmentWriter, count: u64) {
    for _ in 0..count {
        let next = NAME.base.get() + writer.entry_count();
        append_entry(dir, file, writer, next);
    }
}

fn append_entry(dir: &StreamDir, file: &dyn StorageFile, writer: &mut SegmentWriter, entry: u64) {
    let limits = EntryLimits::new(100, 100);
    let base = SequenceNumber::new(NAME.base.get() + writer.entry_count());
    let at = FrameAt { base, synced_len: 0 };
    let mut frame = prepare_entry(&entry.to_le_bytes(), limits, Compression::None).unwrap();
    writer.append(dir, file, &mut frame, at).unwrap();
}

/// A segment of three entries, and what a scan finds of it.
fn filled() -> (Arc<StreamDir>, Arc<dyn StorageFile>, Scan) {
    let (dir, file) = empty();
    let mut writer = SegmentWriter::new(&dir, NAME, MAX_LEN, Preallocation::Off);
    append(&dir, &*file, &mut writer, 3);
    let scan = scan_segment(&dir, NAME, &file, SequenceNumber::MAX).unwrap();
    assert_eq!(scan.frame_count, 3);
    assert_eq!(scan.valid_end, dir.header_len() + 3 * FRAME_LEN);
    (dir, file, scan)
}

fn contents(file: &dyn StorageFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.file_len().unwrap()).unwrap()];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    bytes
}

#[test]
fn what_lies_at_or_past_the_end_that_counts_is_not_found() {
    let (dir, file, scan) = filled();
    let base = NAME.base.get();
    for until in base..=scan.next.get() {
        let bounds = Bounds { len: scan.valid_end, until: SequenceNumber::new(until) };
        let bytes = SegmentBytes::File(Arc::clone(&file));
        let mut reader = SegmentReader::new(Arc::clone(&dir), NAME, bytes, bounds, 64).unwrap();
        for seq in base..scan.next.get() + 2 {
            let start = reader.start();
            let seq = SequenceNumber::new(seq);
            match reader.find(start, seq) {
                Ok(frame) => {
                    assert!(seq < bounds.until);
                    assert_eq!(frame.into_entry(seq).unwrap(), seq.get().to_le_bytes().as_slice());
                }
                Err(error) => {
                    assert!(seq >= bounds.until, "{error}");
                    let end = dir.header_len() + (until - base) * FRAME_LEN;
                    let cut = FrameError::Cut { available: 0, needed: HEADER_LEN };
                    let ErrorKind::Frame { offset, source } = error.kind() else {
                        panic!("{error}")
                    };
                    assert_eq!((*offset, *source), (end, cut));
                }
            }
        }
    }
}

/// Whatever place for a seal the last bytes of an entry may name: none, one in the frames, in the file
/// header or in front of it, and one too near to the end.
#[test]
fn without_a_seal_the_table_comes_from_the_headers() {
    for named in (0..300).chain([u64::from(u32::MAX)]) {
        let (dir, file) = empty();
        let mut writer = SegmentWriter::new(&dir, NAME, MAX_LEN, Preallocation::Off);
        append(&dir, &*file, &mut writer, 2);
        append_entry(&dir, &*file, &mut writer, named);
        let bounds = Bounds { len: writer.position(), until: SequenceNumber::new(10) };
        let bytes = SegmentBytes::File(file);
        let mut reader = SegmentReader::new(Arc::clone(&dir), NAME, bytes, bounds, 64).unwrap();
        assert_eq!(reader.table().unwrap(), *writer.table(), "{named}");
    }
}

/// Valid as it is, but with other bytes behind it.
#[test]
fn a_seal_that_does_not_end_the_file_is_none() {
    let (dir, file) = empty();
    let mut writer = SegmentWriter::new(&dir, NAME, MAX_LEN, Preallocation::Off);
    append(&dir, &*file, &mut writer, 3);
    let (offset, base) = (writer.position(), SequenceNumber::new(10));
    let seal = Seal { entry_count: 3, frame_count: 3, table: SparseTable::default() };
    let salt = dir.salt(NAME.ordinal);
    let mut seal = seal.prepare();
    let seal = seal.place(Placement { salt, offset, base, synced_len: 0 });
    assert_eq!(file.write_at(seal, offset).unwrap(), seal.len());
    let table = || {
        let bounds = Bounds { len: file.file_len().unwrap(), until: base };
        let bytes = SegmentBytes::File(Arc::clone(&file));
        let mut reader = SegmentReader::new(Arc::clone(&dir), NAME, bytes, bounds, 64).unwrap();
        reader.table().unwrap()
    };
    assert_eq!(table(), SparseTable::default(), "what the seal says");
    // What stands there names the seal, as its own end would.
    let mut behind = [0; SEAL_TOTALS_LEN];
    let len = u32::try_from(seal.len() + behind.len()).unwrap();
    behind[16..20].copy_from_slice(&len.to_le_bytes());
    let end = offset + seal.len() as u64;
    assert_eq!(file.write_at(&behind, end).unwrap(), behind.len());
    assert_eq!(table(), *writer.table(), "what the headers say");
    assert_ne!(table(), SparseTable::default());
}

/// The header of the second frame, with other fields under a right checksum.
fn forged(dir: &StreamDir, kind: u8, base: u64) -> [u8; 32] {
    let mut header = [0; 32];
    (header[0], header[1]) = (0xA7, kind);
    header[8..16].copy_from_slice(&base.to_le_bytes());
    header[16] = u8::from(kind == 1);
    header[20] = 8;
    let offset = (dir.header_len() + FRAME_LEN).to_le_bytes();
    let salt = dir.salt(NAME.ordinal).get().to_le_bytes();
    let crc = crc32(&[&salt, &offset, &header[..4], &header[8..]]);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Whatever stands in the second frame since it was verified: it is told, and not one byte changes.
#[test]
fn what_is_not_what_was_verified_is_not_written_again() {
    let changed = |change: &dyn Fn(&StreamDir, &dyn StorageFile, u64)| {
        let (dir, file, scan) = filled();
        let second = dir.header_len() + FRAME_LEN;
        change(&dir, &*file, second);
        let before = contents(&*file);
        let error = rewrite(&dir, NAME, &file, &scan, 0).unwrap_err();
        let ErrorKind::Frame { offset, source } = error.kind() else { panic!("{error}") };
        assert_eq!(*offset, second, "{error}");
        assert_eq!(contents(&*file), before);
        *source
    };
    let write = |file: &dyn StorageFile, bytes: &[u8], at| {
        assert_eq!(file.write_at(bytes, at).unwrap(), bytes.len());
    };
    for left in 0..HEADER_LEN {
        let found = changed(&|_, file, at| file.set_len(at + left).unwrap());
        assert!(matches!(found, FrameError::Cut { .. }), "{found}");
    }
    for left in HEADER_LEN..FRAME_LEN {
        let found = changed(&|_, file, at| file.set_len(at + left).unwrap());
        assert_eq!(found, FrameError::Cut { available: left, needed: FRAME_LEN });
    }
    let found = changed(&|_, file, at| write(file, &[0xA6], at));
    assert_eq!(found, FrameError::Marker(0xA6));
    let found = changed(&|_, file, at| write(file, &[9], at + HEADER_LEN));
    assert!(matches!(found, FrameError::PayloadChecksum { .. }), "{found}");
    let found = changed(&|dir, file, at| write(file, &forged(dir, 0, 8), at));
    assert_eq!(found, FrameError::Kind);
    // An entry has the number that follows; a seal, that or a lower one.
    let expected = SequenceNumber::new(8);
    for (kind, wrong) in [(1, 7), (1, 9), (2, 9)] {
        let found = changed(&|dir, file, at| write(file, &forged(dir, kind, wrong), at));
        assert_eq!(found, FrameError::Sequence { expected, found: SequenceNumber::new(wrong) });
    }
    for (kind, right) in [(1, 8), (2, 8), (2, 7)] {
        let found = changed(&|dir, file, at| write(file, &forged(dir, kind, right), at));
        assert!(matches!(found, FrameError::PayloadChecksum { .. }), "{found}");
    }
}

/// A device that answers twice, and otherwise the second time.
#[test]
fn what_is_written_again_is_what_was_checked_and_not_what_was_read_before() {
    let (dir, file, scan) = filled();
    let before = contents(&*file);
    // Two reads for the header of the segment, one for all frames.
    for right in 0..3 {
        let odd = Odd { right_reads: AtomicUsize::new(right), ..Odd::new(Arc::clone(&file)) };
        let odd: Arc<dyn StorageFile> = Arc::new(odd);
        rewrite(&dir, NAME, &odd, &scan, 0).unwrap_err();
        assert_eq!(contents(&*file), before, "{right} right reads");
    }
    let odd: Arc<dyn StorageFile> = Arc::new(Odd::new(Arc::clone(&file)));
    rewrite(&dir, NAME, &odd, &scan, 0).unwrap();
    assert_eq!(contents(&*file), before);
}

/// Frames that a piece that is read holds many of, cuts in two, ends with, and is too short for.
#[test]
fn what_is_written_again_begins_with_the_frame_that_is_asked_for_and_leaves_nothing_out() {
    const PIECE: usize = 256 << 10;
    let frame = usize::try_from(HEADER_LEN).unwrap();
    for lens in [
        [1000; 600].as_slice(),
        &[8, PIECE - 2 * frame - 8, 8, PIECE, 8, PIECE - frame, 3 * PIECE, 0, 0],
        &[3 * PIECE],
    ] {
        let (dir, file) = empty();
        let ends = append_lens(&dir, &*file, lens);
        let scan = scan_segment(&dir, NAME, &file, SequenceNumber::MAX).unwrap();
        assert_eq!(Some(&scan.valid_end), ends.last());
        let before = contents(&*file);
        let first = dir.header_len();
        let starts: Vec<_> = [first].into_iter().chain(ends.iter().copied()).collect();
        let near = starts.iter().flat_map(|&at| [at - 1, at, at + 1]);
        for from in near.step_by(1 + starts.len() / 10) {
            let odd = Arc::new(Odd::new(Arc::clone(&file)));
            let shared: Arc<dyn StorageFile> = Arc::<Odd>::clone(&odd);
            rewrite(&dir, NAME, &shared, &scan, from).unwrap();
            assert_eq!(contents(&*file), before);
            let mut at = match from {
                from if from < first => 0,
                from => starts.iter().copied().rfind(|start| *start <= from).unwrap(),
            };
            for (offset, len) in odd.writes.lock().unwrap().iter().filter(|(_, len)| *len > 0) {
                assert_eq!(*offset, at, "from {from}");
                at += *len as u64;
            }
            assert_eq!(at, scan.valid_end, "from {from}");
        }
        // What is wrong with any frame is told of that frame.
        for &start in starts.iter().take(lens.len()).step_by(1 + starts.len() / 10) {
            assert_eq!(file.write_at(&[0xA6], start).unwrap(), 1);
            let error = rewrite(&dir, NAME, &file, &scan, 0).unwrap_err();
            let ErrorKind::Frame { offset, source } = error.kind() else { panic!("{error}") };
            assert_eq!((*offset, *source), (start, FrameError::Marker(0xA6)));
            assert_eq!(file.write_at(&[0xA7], start).unwrap(), 1);
        }
    }
}

/// Whatever is behind a stretch, damage for instance, is not looked through to tell whether it is even.
#[test]
fn a_stretch_is_proven_even_by_its_own_headers() {
    const COUNT: usize = 5000;
    let (dir, file) = empty();
    let ends = append_lens(&dir, &*file, &vec![8; COUNT]);
    let place = |n: u64| Place {
        offset: dir.header_len() + n * FRAME_LEN,
        seq: SequenceNumber::new(NAME.base.get() + n),
    };
    let is_even = |from, until, frame_len| {
        let odd = Arc::new(Odd::new(Arc::clone(&file)));
        let bytes = SegmentBytes::File(Arc::<Odd>::clone(&odd));
        let bounds = Bounds { len: *ends.last().unwrap(), until: place(COUNT as u64).seq };
        let mut reader = SegmentReader::new(Arc::clone(&dir), NAME, bytes, bounds, 64).unwrap();
        let is_even = reader.is_even(place(from), place(until), frame_len).unwrap();
        (is_even, odd.read_len.load(Ordering::Relaxed))
    };
    assert!(is_even(10, 20, FRAME_LEN).0);
    assert!(!is_even(10, 20, FRAME_LEN + 8).0);
    let zeros = vec![0; usize::try_from(ends[COUNT - 1] - ends[14]).unwrap()];
    assert_eq!(file.write_at(&zeros, ends[14]).unwrap(), zeros.len());
    let (is_even, read_len) = is_even(10, 20, FRAME_LEN);
    assert!(!is_even);
    assert!(read_len < 4096, "{read_len} bytes were read to tell of 400");
}

#[test]
fn where_no_blocks_can_be_reserved_the_file_grows_with_each_write_and_it_is_not_tried_again() {
    let (dir, file) = empty();
    let odd = Odd { reserves: false, ..Odd::new(Arc::clone(&file)) };
    let mut writer = SegmentWriter::new(&dir, NAME, MAX_LEN, Preallocation::Reserve);
    for count in 1..=3 {
        append(&dir, &odd, &mut writer, 1);
        assert_eq!(file.file_len().unwrap(), dir.header_len() + count * FRAME_LEN);
    }
    assert_eq!(odd.allocations.into_inner(), 1);
    let scan = scan_segment(&dir, NAME, &file, SequenceNumber::MAX).unwrap();
    assert_eq!(scan.frame_count, 3);
}
