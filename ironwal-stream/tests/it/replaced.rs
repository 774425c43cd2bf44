//! An index that is replaced by a truncation, or found not to be one.

use ironwal_format::index::{IndexRecord, MAX_INDEX_LEN, StartRecord};
use ironwal_format::names::INDEX_FILE;
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};
use ironwal_stream::{
    ErrorKind, IndexFinding, OpenStream, Opened, SegmentName, TruncateError, Truncation,
};

use crate::calls::{EACCES, EIO, EMFILE, ENOSPC, append, filled};
use crate::support::sync;

const ENOENT: i32 = 2;
const EINVAL: i32 = 22;

const REPLACED: [&str; 8] = [
    "create s/segments.idx.new",
    "write s/segments.idx.new",
    "sync s/segments.idx.new",
    "rename s/segments.idx",
    "sync_dir s",
    "unlink s/0",
    "unlink s/1",
    "sync_dir s",
];

/// Keeps the segments from 2 on.
fn truncate(stream: &mut OpenStream, published: impl FnOnce()) -> Result<(), TruncateError> {
    let mark = stream.write.written_mark();
    let floor = stream.write.floor_at(mark, stream.write.next());
    assert_eq!(floor, stream.write.floor());
    let first = stream_name(2);
    stream.sync.truncate(Truncation { first, floor }, published)
}

fn stream_name(at: u32) -> SegmentName {
    let base = SequenceNumber::new(u64::from(at));
    SegmentName { base, ordinal: Ordinal::new(at) }
}

#[test]
fn a_truncation_replaces_the_index_tells_readers_and_unlinks() {
    let (traced, world, mut stream, mark) = filled(4);
    let mut told_at = Vec::new();
    assert!(stream.sync.starts_at(Ordinal::ZERO) && !stream.sync.starts_at(Ordinal::new(2)));
    let before = world.index().records;
    truncate(&mut stream, || told_at = traced.changes()).unwrap();
    assert_eq!(told_at, REPLACED[..5]);
    assert_eq!(traced.changes(), REPLACED[5..]);
    assert_eq!(world.segment_names().len(), 2);
    assert!(stream.sync.starts_at(Ordinal::new(2)) && !stream.sync.starts_at(Ordinal::new(3)));
    let start = StartRecord { base: SequenceNumber::new(2), ordinal: Ordinal::new(2) };
    let floor = stream.write.floor();
    let expected = [IndexRecord::Start(start), before[2], IndexRecord::Floor(floor)];
    assert_eq!(world.index().records, expected);
    stream.sync.remove_gone().unwrap();
    stream.sync.write_floor(floor).unwrap();
    assert!(traced.changes().is_empty(), "all is done");

    append(&mut stream, mark);
    sync(&mut stream);
    let (again, report) = world.open();
    assert_eq!((report.first.get(), again.write.next().get()), (2, 5));
    assert!(report.damage.is_empty(), "{report:?}");
}

#[test]
fn a_truncation_that_fails_tells_how_far_it_came() {
    #[derive(Debug, Eq, PartialEq)]
    enum Came {
        NotBegun,
        Unknown,
        NotRemoved,
    }
    let cases = [
        (REPLACED[0], EACCES, Came::NotBegun),
        (REPLACED[1], ENOSPC, Came::NotBegun),
        (REPLACED[2], EIO, Came::NotBegun),
        (REPLACED[3], EMFILE, Came::NotBegun),
        (REPLACED[3], EIO, Came::Unknown),
        (REPLACED[4], EIO, Came::Unknown),
        ("list s", EMFILE, Came::NotRemoved),
        (REPLACED[5], EACCES, Came::NotRemoved),
        (REPLACED[6], EACCES, Came::NotRemoved),
    ];
    for (call, errno, came) in cases {
        let (traced, world, mut stream, _) = filled(4);
        traced.refuse(call, errno);
        let mut is_published = false;
        let failed = truncate(&mut stream, || is_published = true).expect_err(call);
        let found = match failed {
            TruncateError::NotBegun(_) => Came::NotBegun,
            TruncateError::Unknown(_) => Came::Unknown,
            TruncateError::NotRemoved(_) => Came::NotRemoved,
        };
        assert_eq!(found, came, "{call} {errno}");
        assert_eq!(is_published, came == Came::NotRemoved);
        assert!(!traced.changes().contains(&"unlink s/segments.idx.new".to_owned()), "{call}");
        traced.grant();
        match came {
            Came::NotBegun => {
                truncate(&mut stream, || {}).unwrap();
                assert_eq!(world.segment_names().len(), 2);
            }
            Came::Unknown => {
                assert_eq!(world.segment_names().len(), 4, "nothing was removed");
                let (_, report) = world.open();
                assert!(report.damage.is_empty(), "{report:?}");
            }
            Came::NotRemoved => {
                stream.sync.remove_gone().unwrap();
                assert_eq!(world.segment_names().len(), 2);
                assert_eq!(traced.changes().last().map(String::as_str), Some("sync_dir s"));
                stream.sync.remove_gone().unwrap();
                assert!(traced.changes().is_empty());
            }
        }
    }
}

#[test]
fn that_a_segment_is_gone_already_fails_no_truncation() {
    let (traced, world, mut stream, _) = filled(4);
    traced.refuse("unlink s/0", ENOENT);
    truncate(&mut stream, || {}).unwrap();
    assert_eq!(world.segment_names().len(), 3);
}

/// Left by a crash; it never took effect.
#[test]
fn an_index_that_was_to_take_the_place_of_the_other_is_written_anew() {
    let (traced, world, mut stream, _) = filled(4);
    let path = StoragePath::new("s").join("segments.idx.new");
    drop(traced.open(path, OpenMode::CreateNew).unwrap());
    traced.changes();
    truncate(&mut stream, || {}).unwrap();
    let first: Vec<_> = traced.changes().into_iter().take(3).collect();
    assert_eq!(first, [REPLACED[0], "unlink s/segments.idx.new", REPLACED[0]]);
    assert_eq!(world.segment_names().len(), 2);
}

/// What is not there is made again, what cannot be opened is an error, and what is no file is refused.
#[test]
fn an_index_that_cannot_be_opened_is_no_index_that_is_missing() {
    let (traced, world, stream, _) = filled(2);
    drop(stream);
    traced.refuse("open s/segments.idx", EACCES);
    world.try_open().expect_err("nobody knows what it says");
    assert!(traced.changes().is_empty());
    traced.refuse("open s/segments.idx", EINVAL);
    let Opened::Refused(_, report) = world.try_open().unwrap() else { panic!("it is no file") };
    assert_eq!(report.index, IndexFinding::Wrong);
    assert!(matches!(report.damage[0].error.kind(), ErrorKind::NotOurs), "{report:?}");
    assert!(traced.changes().is_empty());
    traced.refuse("open s/segments.idx", ENOENT);
    let Opened::Ready(_, report) = world.try_open().unwrap() else { panic!("it is missing") };
    assert_eq!(report.index, IndexFinding::Missing);
}

#[test]
fn an_index_may_be_as_long_as_it_may_be() {
    let (traced, world, stream, _) = filled(2);
    drop(stream);
    let path = StoragePath::new("s").join(INDEX_FILE);
    traced.open(path, OpenMode::ReadWrite).unwrap().set_len(MAX_INDEX_LEN).unwrap();
    assert_eq!(world.open().1.index, IndexFinding::Sound);
}
