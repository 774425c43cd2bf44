//! Models L4, L9 and L10: appenders, whoever leads, and readers, among rotations.

use super::disk::Fails;
use super::stream::{Commit, Read, Stream};
use super::{Stop, beside, model};

fn append_durably(stream: &Stream) -> u64 {
    let end = stream.append(Commit::Durable).expect("nothing stops this stream");
    stream.disk.assert_durable(end);
    assert_eq!(stream.get(end - 1), Read::Entry);
    end
}

/// L4 and L9: where each entry needs a segment of its own, numbers are dense and in the order of the
/// files, nothing is appended to a sealed segment, a segment is synced before the index names it,
/// and each appender is answered once, with what is durable and can be seen.
///
/// Catches: a second rotation before the first is synced; naming the old segment in the index without
/// its sync; a rotation that goes on writing to the old file; saying after the sync how far it
/// reached; a lead that ends without waking those who wait.
#[test]
fn every_append_rotates_and_is_answered_with_what_is_durable() {
    model(|| {
        let stream = Stream::new(1);
        let other = beside(&stream, |stream| [append_durably(stream), append_durably(stream)]);
        let mine = append_durably(&stream);
        let [second, third] = other.join().unwrap();
        let mut ends = [mine, second, third];
        ends.sort_unstable();
        assert_eq!(ends, [1, 2, 3]);
        stream.assert_whole(3);
        assert_eq!(stream.segment_count(), stream.disk.segment_count());
    });
}

/// L9 with whoever rotates because they were asked to, and has nothing to append.
///
/// Catches: a leader who tells readers of a rotation only where entries are withheld from them. The
/// next rotation would take its place, and a segment would be gone from the view.
#[test]
fn a_rotation_that_meets_a_commit_is_told_to_readers() {
    model(|| {
        let stream = Stream::new(1);
        let other = beside(&stream, append_durably);
        let rotation = beside(&stream, |stream| assert_eq!(stream.rotate(), Ok(())));
        other.join().unwrap();
        rotation.join().unwrap();
        stream.assert_whole(1);
        assert_eq!(stream.segment_count(), stream.disk.segment_count());
        let other = beside(&stream, append_durably);
        append_durably(&stream);
        other.join().unwrap();
        stream.assert_whole(3);
    });
}

/// L9 where the segment was ended for an entry that was not written then, and whoever leads has no
/// entry to show.
///
/// Catches: the same.
#[test]
fn a_rotation_for_nothing_is_told_to_readers() {
    model(|| {
        let stream = Stream::new(1);
        append_durably(&stream);
        stream.disk.fail(Fails::NextFrame);
        assert_eq!(stream.append(Commit::Durable), Err(Stop::Write));
        stream.release();
        assert_eq!(stream.segment_count(), stream.disk.segment_count());
        let other = beside(&stream, append_durably);
        append_durably(&stream);
        other.join().unwrap();
        stream.assert_whole(3);
    });
}

/// L9 with the index held: no rotation begins while it is replaced, and those who wait for that go on.
///
/// Catches: holding nothing; syncing before rotations are held, so that one with a handle of the old
/// index is left; never letting them begin again.
#[test]
fn no_rotation_begins_while_the_index_is_replaced() {
    model(|| {
        let stream = Stream::new(1);
        append_durably(&stream);
        append_durably(&stream);
        let other = beside(&stream, append_durably);
        assert_eq!(stream.truncate(1), Ok(1));
        other.join().unwrap();
        stream.assert_whole(3);
        assert_eq!(stream.get(0), Read::Truncated);
    });
}

/// L10: a reader sees entries in order, each in its place, and never fewer than before; what is
/// committed when it is written waits for what is in front of it.
///
/// Catches: showing what is written though something in front of it is withheld; not withholding
/// what is to become durable first; taking what is published after the sync; a leader who publishes
/// nothing; a rotation that leaves the old segment out of the view.
#[test]
fn readers_see_entries_in_order_whoever_commits_them() {
    model(|| {
        let stream = Stream::new(1);
        let durable = beside(&stream, append_durably);
        let written = beside(&stream, |stream| {
            let end = stream.append(Commit::Written).unwrap();
            assert_eq!(stream.get(end - 1), Read::Entry);
        });
        let mut seen = 0;
        for _ in 0..2 {
            let next = stream.next();
            assert!(seen <= next, "the end went from {seen} back to {next}");
            (seen..next).for_each(|seq| assert_eq!(stream.get(seq), Read::Entry));
            seen = next;
        }
        durable.join().unwrap();
        written.join().unwrap();
        stream.assert_whole(2);
    });
}
