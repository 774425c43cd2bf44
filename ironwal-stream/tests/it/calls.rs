//! What the two halves of a stream ask of the disk, call by call, and what they make of a refusal.

use ironwal_format::index::IndexRecord;
use ironwal_format::names::INDEX_FILE;
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_stream::{Admission, AppendError, ErrorKind, IoOp, OpenStream, SyncedMark};

use crate::support::{World, entry, sync};
use crate::traced::Traced;

pub(crate) const EIO: i32 = 5;
pub(crate) const EACCES: i32 = 13;
pub(crate) const EMFILE: i32 = 24;
pub(crate) const ENOSPC: i32 = 28;
const EOPNOTSUPP: i32 = 95;

/// A segment has room for an entry of 100 bytes, and one of none.
const MAX_SEGMENT_LEN: u64 = 370;

fn try_append(stream: &mut OpenStream, mark: SyncedMark) -> Result<SequenceNumber, AppendError> {
    let mut frame = entry(100);
    assert_eq!(stream.write.admission(&frame, mark), Admission::Now);
    stream.write.append(&mut frame, mark, || 0)
}

pub(crate) fn append(stream: &mut OpenStream, mark: SyncedMark) {
    try_append(stream, mark).unwrap();
}

/// A stream with so many entries in as many segments, synced.
pub(crate) fn filled(count: u64) -> (Traced, World, OpenStream, SyncedMark) {
    let traced = Traced::new();
    let world = World::on(traced.storage(), MAX_SEGMENT_LEN);
    let mut stream = world.create();
    let mut mark = stream.write.written_mark();
    // The file is opened again by the name that it has now.
    stream.write.park(mark);
    for _ in 0..count {
        append(&mut stream, mark);
        mark = sync(&mut stream);
    }
    assert_eq!(u64::from(mark.ordinal.get()) + 1, count);
    traced.changes();
    (traced, world, stream, mark)
}

fn expect_not_written(result: Result<SequenceNumber, AppendError>, op: IoOp) {
    match result {
        Err(AppendError::NotWritten(error)) => assert_op(&error, op),
        other @ (Ok(_) | Err(AppendError::Broken(_))) => panic!("{other:?}"),
    }
}

fn assert_op(error: &ironwal_stream::Error, expected: IoOp) {
    let ErrorKind::Io { op, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!(*op, expected);
}

/// An append that ends a segment reserves room in the index, seals, cuts off what was reserved, makes the
/// next segment, and writes to that; the sync that follows goes from the sealed segment to the index.
#[test]
fn a_rotation_is_written_and_synced_in_order() {
    let (traced, world, mut stream, mark) = filled(1);
    let index_len = world.read(INDEX_FILE).len();
    append(&mut stream, mark);
    let written = [
        "allocate s/segments.idx",
        "write s/0",
        "set_len s/0",
        "create s/1",
        "write s/1",
        "allocate s/1",
        "write s/1",
    ];
    assert_eq!(traced.changes(), written);
    assert_eq!(world.read(INDEX_FILE).len(), index_len + 32, "room for one record");
    assert!(stream.write.is_rotation_due());
    sync(&mut stream);
    let synced =
        ["sync s/0", "sync s/1", "sync_dir s", "write s/segments.idx", "sync s/segments.idx"];
    assert_eq!(traced.changes(), synced);
    assert_eq!(world.read(INDEX_FILE).len(), index_len + 32);
    let mark = stream.write.written_mark();
    assert!(!stream.write.is_rotation_due() && stream.write.is_synced(mark));
    append_here(&mut stream, mark);
    sync(&mut stream);
    assert_eq!(traced.changes(), ["write s/1", "sync s/1"]);
}

/// Writes an entry of no bytes behind the one of the active segment.
fn append_here(stream: &mut OpenStream, mark: SyncedMark) {
    let before = stream.write.written_mark();
    stream.write.append(&mut entry(0), mark, || 0).unwrap();
    assert_eq!(stream.write.written_mark().ordinal, before.ordinal);
}

#[test]
fn a_rotation_needs_no_room_reserved_in_the_index_where_the_file_system_cannot() {
    let (traced, world, mut stream, mark) = filled(1);
    traced.refuse("allocate s/segments.idx", ENOSPC);
    expect_not_written(try_append(&mut stream, mark), IoOp::Allocate);
    assert_eq!(traced.changes(), ["allocate s/segments.idx"], "nothing was sealed");
    traced.refuse("allocate s/segments.idx", EOPNOTSUPP);
    append(&mut stream, mark);
    sync(&mut stream);
    drop(stream);
    assert_eq!(world.open().0.write.next(), SequenceNumber::new(2));
}

/// It goes on where it was, and reserves room once.
#[test]
fn a_rotation_that_is_refused_is_tried_again_and_is_then_one() {
    let calls = ["open s/segments.idx", "write s/0", "set_len s/0", "create s/1"];
    let ops = [IoOp::Open, IoOp::Write, IoOp::SetLen, IoOp::Create];
    for (call, op) in calls.into_iter().zip(ops) {
        let (traced, world, mut stream, mark) = filled(1);
        traced.refuse(call, EACCES);
        expect_not_written(try_append(&mut stream, mark), op);
        assert!(
            !stream.write.is_rotation_due() && stream.write.is_synced(stream.write.written_mark())
        );
        traced.grant();
        append(&mut stream, mark);
        let reserved =
            traced.changes().iter().filter(|call| **call == "allocate s/segments.idx").count();
        assert_eq!(reserved, 1, "{call}");
        sync(&mut stream);
        let (again, report) = world.open();
        assert_eq!(again.write.next(), SequenceNumber::new(2), "{call}");
        assert!(report.damage.is_empty(), "{call}: {report:?}");
        let sealed = world.index().records;
        assert!(
            matches!(sealed[..], [IndexRecord::Sealed(_), IndexRecord::Floor(_)]),
            "{sealed:?}"
        );
    }
}

/// Each of them fails the sync, in front of the record that would vouch for it.
#[test]
fn no_failure_in_syncing_a_rotation_is_passed_over() {
    let calls =
        ["sync s/0", "sync s/1", "sync_dir s", "write s/segments.idx", "sync s/segments.idx"];
    for (at, call) in calls.into_iter().enumerate() {
        let (traced, _, mut stream, mark) = filled(1);
        append(&mut stream, mark);
        traced.changes();
        traced.refuse(call, EIO);
        let work = stream.write.take_work().unwrap();
        stream.sync.sync(work).expect_err(call);
        assert_eq!(traced.changes(), calls[..=at]);
    }
}

/// What a clean close wrote may not be durable if the process was killed in front of its sync.
#[test]
fn what_the_index_was_found_to_end_in_is_synced_before_anything_follows() {
    let (traced, world, mut stream, _) = filled(2);
    let floor = stream.write.floor();
    stream.sync.write_floor(floor).unwrap();
    assert_eq!(traced.changes(), ["write s/segments.idx", "sync s/segments.idx"]);
    stream.sync.write_floor(floor).unwrap();
    assert!(traced.changes().is_empty(), "it ends in that");
    drop(stream);
    let (mut stream, report) = world.open();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(traced.changes(), ["sync s/1"], "nothing is to be repaired");
    let (mut again, _) = world.open();
    again.sync.write_floor(floor).unwrap();
    assert_eq!(traced.changes(), ["sync s/1", "sync s/segments.idx"], "a close promises the floor");
    again.sync.write_floor(floor).unwrap();
    assert!(traced.changes().is_empty(), "it ends in that, and that is durable");
    drop(again);
    let mark = stream.write.written_mark();
    append(&mut stream, mark);
    traced.changes();
    sync(&mut stream);
    let index = ["sync s/segments.idx", "write s/segments.idx", "sync s/segments.idx"];
    let synced: Vec<_> = ["sync s/1", "sync s/2", "sync_dir s"].into_iter().chain(index).collect();
    assert_eq!(traced.changes(), synced);
}

/// Appends so that exactly `len` bytes of the active segment are written, and syncs them.
fn fill_to(stream: &mut OpenStream, len: u64) -> SyncedMark {
    let mark = stream.write.written_mark();
    let missing = len - mark.len;
    let fits = |at: &usize| entry(*at).frame_len() == missing;
    let at = (0..usize::try_from(missing).unwrap()).rev().find(fits).unwrap();
    stream.write.append(&mut entry(at), mark, || 0).unwrap();
    let mark = sync(stream);
    assert_eq!(mark.len, len);
    mark
}

/// Of an idle stream, whose file is closed: when 64 KiB of the active segment are durable that none tells.
#[test]
fn an_idle_stream_gets_a_floor_when_much_is_durable_that_none_tells() {
    const DUE: u64 = 64 << 10;
    let traced = Traced::new();
    let world = World::on(traced.storage(), 1 << 20);
    let mut stream = world.create();
    let mark = fill_to(&mut stream, DUE - 8);
    assert!(stream.sync.prepare_floor(mark).unwrap().is_none());
    let longer = SyncedMark { len: DUE, ..mark };
    assert!(stream.sync.prepare_floor(longer).unwrap().is_some(), "it is due then");
    let mark = fill_to(&mut stream, 2 * DUE);
    traced.refuse("open s/segments.idx", EMFILE);
    assert!(stream.sync.prepare_floor(mark).unwrap().is_none(), "nothing is lost by that");
    traced.grant();
    traced.changes();
    let room = stream.sync.prepare_floor(mark).unwrap().unwrap();
    assert!(traced.changes().is_empty());
    let floor = stream.write.floor();
    stream.sync.note_floor(&room, floor);
    assert_eq!(traced.changes(), ["write s/segments.idx"], "it is not synced");
    assert_eq!(world.index().records, [IndexRecord::Floor(floor)]);

    assert!(stream.sync.prepare_floor(mark).unwrap().is_none(), "it is told");
    let mark = fill_to(&mut stream, 3 * DUE - 8);
    assert!(stream.sync.prepare_floor(mark).unwrap().is_none());
    let mark = fill_to(&mut stream, 3 * DUE + 56);
    traced.changes();
    traced.refuse("sync s/segments.idx", EIO);
    stream.sync.prepare_floor(mark).expect_err("the floor in front may be lost");
    traced.grant();
    assert_eq!(traced.changes(), ["sync s/segments.idx"]);
    let other = SyncedMark { ordinal: Ordinal::new(1), len: DUE };
    assert!(stream.sync.prepare_floor(other).unwrap().is_some(), "it is of another segment");
    traced.changes();
}

#[test]
fn a_floor_that_was_only_written_is_synced_when_the_stream_is_closed() {
    let traced = Traced::new();
    let world = World::on(traced.storage(), 1 << 20);
    let mut stream = world.create();
    let mark = fill_to(&mut stream, 64 << 10);
    let room = stream.sync.prepare_floor(mark).unwrap().unwrap();
    let floor = stream.write.floor();
    stream.sync.note_floor(&room, floor);
    traced.changes();
    stream.sync.write_floor(floor).unwrap();
    assert_eq!(traced.changes(), ["sync s/segments.idx"]);
    stream.sync.write_floor(floor).unwrap();
    assert!(traced.changes().is_empty());
}

/// A handle of the index would be of the old one while it is replaced; one more segment than can be
/// synced at once would be forgotten.
#[test]
fn a_rotation_waits_for_the_one_before_and_for_whoever_replaces_the_index() {
    let (traced, _, mut stream, mark) = filled(1);
    assert_eq!(stream.write.rotation_admission(mark), Admission::Now);
    stream.write.hold_rotations();
    assert_eq!(stream.write.rotation_admission(mark), Admission::AfterSync);
    assert_eq!(stream.write.admission(&entry(100), mark), Admission::AfterSync);
    assert_eq!(stream.write.admission(&entry(0), mark), Admission::Now, "there is room for it");
    stream.write.allow_rotations();
    assert_eq!(stream.write.rotation_admission(mark), Admission::Now);
    stream.write.rotate(mark, || 0).unwrap();
    assert!(stream.write.is_rotation_due() && !stream.write.is_synced(stream.write.written_mark()));
    assert_eq!(stream.write.rotation_admission(mark), Admission::AfterSync);
    stream.write.rotate(mark, || 0).unwrap();
    assert_eq!(stream.write.written_mark().ordinal, Ordinal::new(1), "it holds nothing");
    let mark = sync(&mut stream);
    assert!(stream.write.is_synced(mark));
    traced.changes();
    stream.write.rotate(mark, || 0).unwrap();
    assert!(traced.changes().is_empty());
}

/// What the index was opened for is let go of when it is replaced, or the stream is idle.
#[test]
fn no_handle_of_the_index_outlives_its_replacement() {
    for is_replaced in [true, false] {
        let (traced, world, mut stream, mark) = filled(1);
        traced.refuse("create s/1", EACCES);
        expect_not_written(try_append(&mut stream, mark), IoOp::Create);
        traced.grant();
        let mark = sync(&mut stream);
        traced.changes();
        if is_replaced {
            stream.write.hold_rotations();
            stream.write.allow_rotations();
        } else {
            stream.write.park(mark);
            assert!(!stream.write.holds_file());
        }
        append(&mut stream, mark);
        let reserved = traced.changes().contains(&"allocate s/segments.idx".to_owned());
        assert!(reserved, "it is opened again");
        sync(&mut stream);
        assert_eq!(world.open().0.write.next(), SequenceNumber::new(2));
    }
}

/// Nobody is shown what comes behind entries that are not durable, which were to be that first.
#[test]
fn what_is_withheld_is_shown_when_everything_in_front_is_durable() {
    let (_, _, mut stream, mark) = filled(1);
    let number = SequenceNumber::new;
    assert!(stream.write.may_show(number(0)), "nothing is withheld");
    append(&mut stream, mark);
    stream.write.withhold();
    assert!(!stream.write.may_show(number(1)));
    assert!(stream.write.may_show(number(2)) && stream.write.may_show(number(3)));
}

/// When the stream was opened, after it was parked, and when a segment begins.
#[test]
fn readers_are_given_each_file_once() {
    let world = World::of_entries(3);
    let mut stream = world.create();
    let mut mark = stream.write.written_mark();
    let mut given = Vec::new();
    for n in 0..5 {
        append_here_or_next(&mut stream, mark);
        let change = stream.write.take_change().unwrap();
        assert_eq!(change.next, SequenceNumber::new(n + 1));
        given.push((change.file.is_some(), change.rotated.is_some()));
        mark = sync(&mut stream);
        if n == 1 {
            stream.write.park(mark);
        }
    }
    let (again, opened, rotated) = ((false, false), (true, false), (true, true));
    assert_eq!(given, [opened, again, opened, rotated, again]);
}

#[test]
fn a_stream_that_is_fenced_lets_go_of_all_its_files() {
    let (_, _, mut stream, mark) = filled(1);
    append(&mut stream, mark);
    assert!(stream.write.holds_file() && stream.write.is_rotation_due());
    stream.write.abandon();
    assert!(!stream.write.holds_file() && !stream.write.is_rotation_due());
}

/// How many entries a segment may hold, and how many bytes: both to the last.
#[test]
fn a_segment_is_ended_before_it_holds_more_than_it_may() {
    for count in 1..5 {
        let world = World::of_entries(count);
        let mut stream = world.create();
        let mut mark = stream.write.written_mark();
        for n in 0..20 {
            append_here_or_next(&mut stream, mark);
            mark = sync(&mut stream);
            assert_eq!(u64::from(mark.ordinal.get()), n / count, "entry {n} of {count}");
        }
    }
    let fit = |max_segment_len| {
        let world = World::new(max_segment_len);
        let mut stream = world.create();
        let mut mark = stream.write.written_mark();
        let mut count = 0;
        while mark.ordinal == Ordinal::ZERO {
            append_here_or_next(&mut stream, mark);
            mark = sync(&mut stream);
            count += 1;
        }
        (count - 1, world.read(&world.segment_names()[0]).len() as u64)
    };
    for count in 2..5 {
        let shortest = (0..1000).find(|len| fit(*len).0 >= count).unwrap();
        let (found, len) = fit(shortest);
        assert_eq!(found, count);
        // Room is counted for a point that the last frame may not get; all lengths are multiples of 8.
        assert!(
            shortest.is_multiple_of(8) && (len..=len + 16).contains(&shortest),
            "{shortest} {len}"
        );
    }
}

fn append_here_or_next(stream: &mut OpenStream, mark: SyncedMark) {
    stream.write.append(&mut entry(10), mark, || 0).unwrap();
}
