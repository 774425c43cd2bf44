//! The write side and the sync side, by turns.

use ironwal_format::frame::FrameKind;
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_stream::Admission;

use crate::support::{World, batch, entry, sync};

fn now() -> u64 {
    0
}

/// The history of returned syncs is kept here, and the files must tell the same: also where several
/// frames wait for one sync, and across rotations, whose first frames may claim nothing.
#[test]
fn every_frame_claims_exactly_what_returned_syncs_cover() {
    for sync_every in 1..7_usize {
        let world = World::new(400);
        let mut stream = world.create();
        let mut mark = stream.write.written_mark();
        let mut expected = Vec::new();
        for n in 0..40 {
            let mut frame = if n % 3 == 0 { batch(&[5, 0, 9]) } else { entry(n % 30) };
            if stream.write.admission(&frame, mark) == Admission::AfterSync {
                mark = sync(&mut stream);
            }
            let before = stream.write.written_mark();
            stream.write.append(&mut frame, mark, now).unwrap();
            let after = stream.write.written_mark();
            let claim = |ordinal| if mark.ordinal == ordinal { mark.len } else { 0 };
            if before.ordinal != after.ordinal {
                expected.push((before.ordinal, FrameKind::Seal, claim(before.ordinal)));
            }
            expected.push((after.ordinal, FrameKind::Entries, claim(after.ordinal)));
            if n.is_multiple_of(sync_every) {
                mark = sync(&mut stream);
                assert_eq!(mark, stream.write.written_mark());
            }
        }
        let found = world.frames().into_iter();
        let found: Vec<_> =
            found.map(|(ordinal, _, kind, synced)| (ordinal, kind, synced)).collect();
        assert_eq!(found, expected, "a sync every {sync_every}");
        assert!(found.iter().any(|(_, kind, _)| *kind == FrameKind::Seal));
    }
}

#[test]
fn at_most_one_sealed_segment_awaits_its_sync() {
    let world = World::new(300);
    let mut stream = world.create();
    let mut mark = stream.write.written_mark();
    let mut waited = 0;
    for n in 0..30 {
        let mut frame = entry(100);
        if stream.write.admission(&frame, mark) == Admission::AfterSync {
            let before = mark.ordinal;
            mark = sync(&mut stream);
            assert_eq!(Some(mark.ordinal), before.next(), "one segment and not more was sealed");
            waited += 1;
        }
        assert_eq!(stream.write.admission(&frame, mark), Admission::Now);
        let end = stream.write.append(&mut frame, mark, now).unwrap();
        assert_eq!(end, SequenceNumber::new(n + 1));
    }
    assert!(waited > 5, "{waited} waits");
}

#[test]
fn a_stream_lets_go_of_its_file_only_when_all_is_durable_and_goes_on_where_it_was() {
    let world = World::new(100_000);
    let mut stream = world.create();
    let created = stream.write.written_mark();
    stream.write.append(&mut entry(10), created, now).unwrap();
    stream.write.park(created);
    assert!(stream.write.holds_file(), "an entry is not durable");
    let mark = sync(&mut stream);
    stream.write.park(mark);
    assert!(!stream.write.holds_file());
    let end = stream.write.append(&mut entry(10), mark, now).unwrap();
    assert!(stream.write.holds_file());
    assert_eq!(end, SequenceNumber::new(2));
    sync(&mut stream);
    let (reopened, report) = world.open();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(reopened.write.next(), end);
}

/// What would be numbered past the end of the numbering is not written.
#[test]
fn the_numbering_ends_with_an_error_of_its_own_and_never_wraps() {
    use ironwal_format::segment_header::SegmentHeader;
    use ironwal_segment::storage::{OpenMode, StoragePath};
    let world = World::new(100_000);
    drop(world.create());
    let base = SequenceNumber::new(u64::MAX - 3);
    let header = SegmentHeader {
        base,
        ordinal: Ordinal::ZERO,
        id: world.index().header.id(),
        key: world.key.clone(),
        created_unix_nanos: 0,
    };
    let names = world.storage.list(StoragePath::new("s")).unwrap();
    for entry in names {
        world.remove(&entry.name);
    }
    let name = ironwal_format::names::segment_file_name(base, Ordinal::ZERO);
    let path = StoragePath::new("s").join(&name);
    let file = world.storage.open(path, OpenMode::CreateNew).unwrap();
    ironwal_segment::io::write_all(&*file, &header.encode(), 0).unwrap();

    let (mut stream, report) = world.open();
    assert_eq!((report.first, report.next), (base, base));
    let mark = stream.write.written_mark();
    assert!(stream.write.append(&mut batch(&[1, 1, 1, 1]), mark, now).is_err());
    assert_eq!(stream.write.append(&mut batch(&[1, 1]), mark, now).unwrap().get(), u64::MAX - 1);
    assert_eq!(stream.write.append(&mut entry(1), mark, now).unwrap(), SequenceNumber::MAX);
    let error = stream.write.append(&mut entry(1), mark, now).unwrap_err();
    assert!(format!("{error:?}").contains("Exhausted"), "{error:?}");
    sync(&mut stream);
    drop(stream);
    for _ in 0..2 {
        let (stream, report) = world.open();
        assert_eq!((report.first, report.next), (base, SequenceNumber::MAX));
        assert!(report.damage.is_empty(), "{report:?}");
        drop(stream);
    }
}
