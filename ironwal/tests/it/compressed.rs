//! Entries whose frame is LZ4, in builds with and without the feature.

use std::path::Path;

use ironwal::{ErrorKind, Wal, WalOptions, WalReader};
use ironwal_format::checksum::{Salt, crc32};
use ironwal_format::index::read_index;
use ironwal_format::names::segment_file_name;
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber, StreamKey};

use crate::files;

/// Two entries of 10 bytes: their end offsets and an `x`, which is repeated 14 times, and 5 times `y`.
#[rustfmt::skip]
const PAYLOAD: [u8; 22] = [
    28, 0, 0, 0,
    0x9A, 10, 0, 0, 0, 20, 0, 0, 0, b'x', 1, 0,
    0x50, b'y', b'y', b'y', b'y', b'y',
];

fn frame(salt: Salt, offset: u64, base: u64) -> Vec<u8> {
    let mut padded = PAYLOAD.to_vec();
    padded.resize(PAYLOAD.len().next_multiple_of(8), 0);
    let mut frame = vec![0xA7, 0x11, 0, 0, 0, 0, 0, 0];
    frame.extend(base.to_le_bytes());
    frame.extend(2_u32.to_le_bytes());
    frame.extend(u32::try_from(PAYLOAD.len()).unwrap().to_le_bytes());
    frame.extend(crc32(&[&padded]).to_le_bytes());
    frame.extend([0; 4]);
    let salt = salt.get().to_le_bytes();
    let crc = crc32(&[&salt, &offset.to_le_bytes(), &frame[..4], &frame[8..]]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    [frame, padded].concat()
}

/// A raw entry in one segment, and a frame of two that is LZ4 in the next.
fn make_log(root: &Path) {
    let wal = Wal::open(root, WalOptions::new()).unwrap();
    wal.append("s", "raw").unwrap();
    wal.close().unwrap();
    let dir = root.join("s");
    let id = read_index(&files::read(&dir.join("segments.idx"))).unwrap().header.id();
    files::remove(&dir.join("segments.idx"));
    let (base, ordinal) = (SequenceNumber::new(1), Ordinal::new(1));
    let key = StreamKey::new("s").unwrap();
    let mut bytes = SegmentHeader { base, ordinal, id, key, created_unix_nanos: 0 }.encode();
    bytes.extend(frame(Salt::of(id, ordinal), bytes.len() as u64, base.get()));
    files::write(&dir.join(segment_file_name(base, ordinal)), &bytes);
}

/// The log opens and takes appends in every build, and loses nothing.
#[test]
fn what_is_lz4_is_read_or_named_and_all_else_works() {
    let root = tempfile::tempdir().unwrap();
    make_log(root.path());
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    assert_eq!(wal.append("s", "behind").unwrap(), 3);
    let reports = wal.recovery_reports();
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
    let reader = WalReader::open(root.path()).unwrap();
    let verification = reader.verify("s").unwrap().unwrap();
    assert!(!verification.is_damaged(), "{verification:?}");

    let items: Vec<_> = wal.iter("s", ..).unwrap().collect();
    let [first, middle @ .., last] = &items[..] else { panic!("{items:?}") };
    assert_eq!(first.as_ref().unwrap().data, "raw");
    assert_eq!(last.as_ref().unwrap().data, "behind");
    if cfg!(feature = "lz4") {
        let middle: Vec<_> = middle.iter().map(|entry| &entry.as_ref().unwrap().data).collect();
        assert_eq!(middle, ["xxxxxxxxxx", "xxxxxyyyyy"]);
        assert_eq!(wal.get("s", 2).unwrap().unwrap(), "xxxxxyyyyy");
        assert_eq!(verification.entry_count, 4);
        assert_eq!(verification.findings.len(), 0);
    } else {
        let [Err(error)] = middle else { panic!("{middle:?}") };
        for error in [error, &wal.get("s", 2).unwrap_err(), &reader.get("s", 1).unwrap_err()] {
            assert!(
                matches!(error.kind(), ErrorKind::MissingFeature { feature: "lz4", .. }),
                "{error}"
            );
            assert!(!error.is_damage() && !error.is_foreign());
            assert!(error.path().unwrap().ends_with("00000000000000000001-0000000001.wal"));
        }
        let [finding] = &verification.findings[..] else { panic!("{verification:?}") };
        assert_eq!((finding.verdict(), finding.lost.clone()), ("unreadable", 1..3));
        assert_eq!(verification.entry_count, 2);
    }
}
