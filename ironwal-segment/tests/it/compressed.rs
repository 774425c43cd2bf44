//! Frames whose payload is LZ4, in builds with and without the feature.

use std::sync::Arc;

use ironwal_format::checksum::crc32;
use ironwal_format::frame::{FrameError, HEADER_LEN};
use ironwal_format::names::StreamKey;
use ironwal_format::scan::ScanEnd;
use ironwal_format::verdict::{Evidence, Verdict, judge};
use ironwal_format::walk::Bounds;
use ironwal_format::{Ordinal, SequenceNumber, StreamId};
use ironwal_segment::recover::{rewrite, scan_segment};
use ironwal_segment::storage::{MemStorage, Storage, StorageFile};
use ironwal_segment::{ErrorKind, Read, SegmentBytes, SegmentName, SegmentReader, StreamDir};

const NAME: SegmentName = SegmentName { base: SequenceNumber::new(7), ordinal: Ordinal::new(1) };

/// One literal, a match of 273 bytes, and the last token: 274 times `a`.
const BLOCK: [u8; 6] = [0x1F, b'a', 1, 0, 0xFE, 0];

/// Frames as FORMAT.md has them: kind and flags, entries, payload.
const FRAMES: [(u8, u32, &[u8]); 5] = [
    (0x01, 1, b"raw"),
    (0x11, 1, &[0x12, 1, 0, 0, 0x1F, b'a', 1, 0, 0xFE, 0]),
    // A size that the block does not give, one that it cannot, and end offsets that do not fit.
    (0x11, 1, &[0x11, 1, 0, 0, 0x1F, b'a', 1, 0, 0xFE, 0]),
    (0x11, 1, &[0x13, 1, 0, 0, 0x1F, b'a', 1, 0, 0xFE, 0]),
    (0x01, 1, b"behind"),
];

fn segment() -> (Arc<StreamDir>, Arc<dyn StorageFile>) {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let key = StreamKey::new("s").unwrap();
    let dir = Arc::new(StreamDir::new(storage, "s", key, StreamId::new([3; 16])));
    dir.storage().create_dir(dir.path()).unwrap();
    let file = dir.create_segment(NAME, 0).unwrap();
    let mut offset = dir.header_len();
    let mut base = NAME.base.get();
    for (kind, count, payload) in FRAMES {
        let mut padded = payload.to_vec();
        padded.resize(payload.len().next_multiple_of(8), 0);
        let mut frame = vec![0xA7, kind, 0, 0, 0, 0, 0, 0];
        frame.extend(base.to_le_bytes());
        frame.extend(count.to_le_bytes());
        frame.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
        frame.extend(crc32(&[&padded]).to_le_bytes());
        frame.extend([0; 4]);
        let salt = dir.salt(NAME.ordinal).get().to_le_bytes();
        let crc = crc32(&[&salt, &offset.to_le_bytes(), &frame[..4], &frame[8..]]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        frame.extend(padded);
        assert_eq!(file.write_at(&frame, offset).unwrap(), frame.len());
        offset += frame.len() as u64;
        base += u64::from(count);
    }
    (dir, file)
}

fn end() -> SequenceNumber {
    SequenceNumber::new(NAME.base.get() + FRAMES.len() as u64)
}

/// What reading an LZ4 frame gives in this build.
fn unpacked(plain: Result<Vec<u8>, FrameError>) -> Result<Vec<u8>, FrameError> {
    if cfg!(feature = "lz4") { plain } else { Err(FrameError::Lz4Missing) }
}

#[test]
fn a_reader_gives_plain_payloads_and_goes_on_behind_what_it_cannot_read() {
    assert_eq!(FRAMES[1].2[4..], BLOCK);
    let expected = [
        Ok(b"raw".to_vec()),
        unpacked(Ok(vec![b'a'; 274])),
        unpacked(Err(FrameError::Lz4Block)),
        unpacked(Err(FrameError::Lz4Size(275))),
        Ok(b"behind".to_vec()),
    ];
    let (dir, file) = segment();
    let bounds = Bounds { len: u64::MAX, until: end() };
    // A window for all of it, and one for a header.
    let len = file.file_len().unwrap();
    let sources = [
        (SegmentBytes::File(Arc::clone(&file)), 1 << 16),
        (SegmentBytes::File(Arc::clone(&file)), 32),
        (SegmentBytes::Mapped(file.map(len).unwrap()), 0),
    ];
    for (bytes, window_len) in sources {
        let reader =
            || SegmentReader::new(Arc::clone(&dir), NAME, bytes.clone(), bounds, window_len);
        let (mut walk, mut found) = (reader().unwrap(), Vec::new());
        let mut at = walk.start();
        loop {
            let by_number = if at.seq < end() {
                let frame = reader().unwrap().find(walk.start(), at.seq);
                Some(frame.map(|frame| frame.into_entry(at.seq).unwrap()))
            } else {
                None
            };
            let (entry, next) = match walk.read(at).unwrap() {
                Read::Frame(frame, next) => (Ok(frame.entry(at.seq).unwrap()), next),
                Read::Lost(error, next) => (Err(error), next),
                Read::End => break,
            };
            let source = |error: &ironwal_segment::Error| {
                let ErrorKind::Frame { offset, source } = error.kind() else { panic!("{error}") };
                assert_eq!(*offset, at.offset);
                *source
            };
            let entry = entry.map(|data| data.to_vec()).map_err(|error| source(&error));
            let by_number = by_number.unwrap().map(|data| data.to_vec());
            assert_eq!(by_number.map_err(|error| source(&error)), entry);
            found.push(entry);
            at = next;
        }
        assert_eq!(found, expected, "window {window_len}");
    }
}

/// Payload checksums are all that recovery looks at: it is the same in every build.
#[test]
fn recovery_needs_no_lz4() {
    let (dir, file) = segment();
    let scan = scan_segment(&dir, NAME, &file, SequenceNumber::MAX).unwrap();
    let len = file.file_len().unwrap();
    assert_eq!((scan.next, scan.valid_end, scan.end), (end(), len, ScanEnd::Clean));
    assert_eq!(judge(&scan, Evidence { len, until: end() }), Verdict::Clean);

    let read = || {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    };
    let before = read();
    for from in [0, dir.header_len(), len - 1] {
        rewrite(&dir, NAME, &file, &scan, from).unwrap();
        assert_eq!(read(), before);
    }

    // The first byte of the first block: torn, and damage for rewriting.
    let place = dir.header_len() + 40 + HEADER_LEN + 4;
    assert_eq!(file.write_at(&[0], place).unwrap(), 1);
    let torn = scan_segment(&dir, NAME, &file, SequenceNumber::MAX).unwrap();
    assert_eq!(torn.valid_end, dir.header_len() + 40);
    assert!(matches!(judge(&torn, Evidence::default()), Verdict::Torn(_)));
    let error = rewrite(&dir, NAME, &file, &scan, dir.header_len()).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Frame { source: FrameError::PayloadChecksum { .. }, .. }
    ));
}
