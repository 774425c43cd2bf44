//! Files that nobody but a bad disk or a bad person makes.

use std::path::Path;

use ironwal::{CorruptionPolicy, ErrorKind, Outcome, Wal, WalOptions, WalReader};
use ironwal_format::checksum::Salt;
use ironwal_format::frame::Placement;
use ironwal_format::index::read_index;
use ironwal_format::names::segment_file_name;
use ironwal_format::payload::{Compression, EntryLimits, prepare_batch};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber, StreamKey};
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::files;

/// Three entries, two to a segment, closed; the first and the second segment of the stream.
fn two_segments(root: &Path) -> [std::path::PathBuf; 2] {
    let wal = Wal::open(root, WalOptions::new().max_segment_entries(2)).unwrap();
    for n in 0..3 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    wal.close().unwrap();
    files::segments(&root.join("s")).try_into().unwrap()
}

/// What vouches for a segment names its base: a file of another base is not what it vouches for, and
/// must not be taken for what a crash left of it.
#[test]
fn a_segment_under_a_wrong_base_hides_nothing_that_is_vouched_for() {
    let root = tempfile::tempdir().unwrap();
    let [_, second] = two_segments(root.path());
    let moved = second.with_file_name(segment_file_name(SequenceNumber::new(3), Ordinal::new(1)));
    let mut bytes = files::read(&second);
    files::remove(&second);
    bytes[..40].fill(0);
    files::write(&moved, &bytes);
    let before = files::contents(&root.path().join("s"));

    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let error = wal.append("s", "number 2 again").unwrap_err();
    assert!(error.is_foreign(), "{error}");
    assert_eq!(error.path().unwrap(), moved);
    assert_eq!(wal.get("s", 1).unwrap().unwrap(), "entry 1");
    assert!(wal.get("s", 2).unwrap_err().is_damage());
    drop(wal);
    assert_eq!(files::contents(&root.path().join("s")), before);
}

/// An index that was put back from a time before the stream was deleted and made again: what its start
/// record calls gone is of the present life, and is not for it to remove.
#[test]
fn an_index_of_an_earlier_life_has_no_segment_of_this_one_removed() {
    for policy in [CorruptionPolicy::Error, CorruptionPolicy::Truncate] {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("s");
        drop(two_segments(root.path()));
        let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
        assert_eq!(wal.stream("s").unwrap().truncate_before(2).unwrap(), 2);
        wal.close().unwrap();
        let index = files::read(&dir.join("segments.idx"));
        let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
        assert!(wal.delete_stream("s").unwrap());
        wal.append("s", "of this life").unwrap();
        wal.close().unwrap();
        files::write(&dir.join("segments.idx"), &index);
        let [segment] = files::segments(&dir).try_into().unwrap();
        let before = files::read(&segment);

        let wal = Wal::open(root.path(), WalOptions::new().corruption_policy(policy)).unwrap();
        let reports = wal.recover_all().unwrap();
        let foreign: Vec<_> = reports[0].damage.iter().map(|damage| &damage.error).collect();
        let is_named = |error: &&ironwal::Error| error.path() == Some(&segment);
        assert!(foreign.iter().any(|error| error.is_foreign() && is_named(error)), "{foreign:?}");
        assert!(wal.append("s", "no").is_err());
        drop(wal);
        assert_eq!(files::read(&segment), before, "{policy:?}");
    }
}

#[test]
fn a_segment_that_is_too_long_is_named_and_the_others_are_read() {
    let root = tempfile::tempdir().unwrap();
    let [_, second] = two_segments(root.path());
    files::set_len(&second, 5 << 30);
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    assert_eq!(wal.get("s", 0).unwrap().unwrap(), "entry 0");
    let error = wal.append("s", "no").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Damaged { .. }), "{error}");
    assert_eq!(error.path().unwrap(), second);
    let report = &wal.recover_all().unwrap()[0];
    assert_eq!(report.damage.len(), 1, "{report:?}");
    let reader = WalReader::open(root.path()).unwrap();
    assert_eq!(reader.get("s", 1).unwrap().unwrap(), "entry 1");
}

/// A later segment cuts the batch of an earlier one in the middle: what lies behind is dead for every
/// way of reading.
#[test]
fn a_dead_part_of_a_batch_is_read_by_nobody() {
    let root = tempfile::tempdir().unwrap();
    let limits = EntryLimits::new(100, 100);
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    wal.append_batch("s", ["a0", "a1", "a2", "a3"]).unwrap();
    wal.close().unwrap();
    let dir = root.path().join("s");
    let id = read_index(&files::read(&dir.join("segments.idx"))).unwrap().header.id();
    files::remove(&dir.join("segments.idx"));
    let (base, ordinal) = (SequenceNumber::new(2), Ordinal::new(1));
    let key = StreamKey::new("s").unwrap();
    let mut bytes = SegmentHeader { base, ordinal, id, key, created_unix_nanos: 0 }.encode();
    let at =
        Placement { salt: Salt::of(id, ordinal), offset: bytes.len() as u64, base, synced_len: 0 };
    let mut frame = prepare_batch(["b2", "b3", "b4"], limits, Compression::None).unwrap().unwrap();
    bytes.extend_from_slice(frame.place(at));
    files::write(&dir.join(segment_file_name(base, ordinal)), &bytes);

    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let expected = ["a0", "a1", "b2", "b3", "b4"];
    let read = |start: u64| -> Vec<_> {
        wal.iter("s", start..).unwrap().map(|entry| entry.unwrap().data).collect()
    };
    for (seq, entry) in (0..).zip(expected) {
        assert_eq!(wal.get("s", seq).unwrap().unwrap(), entry);
        assert_eq!(read(seq), expected[usize::try_from(seq).unwrap()..]);
    }
    assert_eq!(wal.append("s", "next").unwrap(), 5);
}

/// A directory in the place of a file of ours stops nobody else.
#[test]
fn directories_in_the_place_of_our_files_stop_no_other_stream() {
    let root = tempfile::tempdir().unwrap();
    files::make_dir(&root.path().join(".new-x"));
    files::make_dir(&root.path().join(".new-x/segments.idx"));
    two_segments(root.path());
    files::remove(&root.path().join("s/segments.idx"));
    files::make_dir(&root.path().join("s/segments.idx"));
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    assert_eq!(wal.append("other", "works").unwrap(), 0);
    let error = wal.append("s", "no").unwrap_err();
    assert!(error.is_foreign(), "{error}");
    assert_eq!(error.path().unwrap(), root.path().join("s/segments.idx"));
    assert_eq!(wal.get("s", 2).unwrap().unwrap(), "entry 2");
}

/// What a stranger may put in the place of a file of ours.
#[derive(Clone, Copy, Debug)]
enum Planted {
    /// To the file itself, elsewhere.
    Link,
    Fifo,
    Dir,
}

impl Planted {
    const ALL: [Self; 3] = [Self::Link, Self::Fifo, Self::Dir];

    fn plant(self, at: &Path, elsewhere: &Path) {
        files::copy(at, elsewhere);
        files::remove(at);
        match self {
            Self::Link => std::os::unix::fs::symlink(elsewhere, at).unwrap(),
            Self::Fifo => mkfifoat(CWD, at, Mode::RWXU).unwrap(),
            Self::Dir => files::make_dir(at),
        }
    }
}

fn small_log(root: &Path) {
    let wal = Wal::open(root, WalOptions::new().max_segment_entries(2)).unwrap();
    for n in 0..5 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    wal.append("other", "x").unwrap();
    wal.close().unwrap();
}

#[test]
fn nothing_but_a_regular_file_is_taken_for_the_lock() {
    for planted in Planted::ALL {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        small_log(&root);
        planted.plant(&root.join(".lock"), &dir.path().join("elsewhere"));
        let error = Wal::open(&root, WalOptions::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{planted:?}: {error}");
        assert_eq!(error.path(), Some(&*root.join(".lock")), "{planted:?}");
        assert_eq!(WalReader::open(&root).unwrap().next_seq("s").unwrap(), 5);
        assert_eq!(files::len(&dir.path().join("elsewhere")), 0, "{planted:?}");
    }
}

#[test]
fn nothing_but_a_regular_file_is_taken_for_a_segment_or_an_index() {
    for planted in Planted::ALL {
        for name in ["first", "last", "segments.idx"] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("root");
            small_log(&root);
            let segments = files::segments(&root.join("s"));
            let at = match name {
                "first" => segments[0].clone(),
                "last" => segments[2].clone(),
                _ => root.join("s").join(name),
            };
            planted.plant(&at, &dir.path().join("elsewhere"));
            let elsewhere = files::read(&dir.path().join("elsewhere"));
            let what = format!("{planted:?} for {name}");

            let wal = Wal::open(&root, WalOptions::new()).unwrap();
            assert_eq!(wal.append("other", "works").unwrap(), 1, "{what}");
            let readable = match name {
                "first" => 2..5,
                "last" => 0..4,
                _ => 0..5,
            };
            for seq in 0..5 {
                match wal.get("s", seq) {
                    Ok(entry) => assert_eq!(entry.unwrap(), format!("entry {seq}"), "{what}"),
                    Err(error) => assert!(!readable.contains(&seq), "{what}: {seq}: {error}"),
                }
            }
            match wal.append("s", "entry 5") {
                // Of a sealed segment that the index vouches for nothing is looked at.
                Ok(seq) => assert!(seq == 5 && name == "first", "{what}"),
                Err(error) => {
                    assert_eq!(error.outcome(), Outcome::NotWritten, "{what}");
                    assert_eq!(error.path(), Some(&*at), "{what}: {error}");
                }
            }
            drop(wal);
            assert!(files::read(&dir.path().join("elsewhere")) == elsewhere, "{what}");
            assert!(!std::fs::symlink_metadata(&at).unwrap().is_file(), "{what}: was replaced");
        }
    }
}
