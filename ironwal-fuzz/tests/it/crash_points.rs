//! Every crash point of small scripts, and crash points of the recoveries from them.

use ironwal::SyncMode::Strict;
use ironwal_fuzz::world::{Call, Setup};

use crate::walk::{BROAD, walk};

const PLAIN: Setup = Setup::DEFAULT;
const TINY: Setup = Setup { max_segment_size: 400, ..PLAIN };
const TINY_TWO: Setup = Setup { max_segment_entries: 2, ..TINY };

fn append(stream: usize) -> Call {
    Call::Append { stream, len: 20 }
}

fn batch(stream: usize, lens: &[usize]) -> Call {
    Call::Batch { stream, lens: lens.to_vec() }
}

#[test]
fn a_crash_in_the_making_of_a_stream_leaves_it_whole_or_absent() {
    walk("creation", &TINY, Strict, BROAD, &[append(0)]);
}

#[test]
fn a_crash_among_appends_keeps_what_was_acknowledged() {
    walk("appends", &PLAIN, Strict, BROAD, &[append(0), append(0), append(0)]);
}

#[test]
fn a_crash_in_a_batch_that_rotates_leaves_all_of_it_or_nothing() {
    walk(
        "batch that rotates",
        &TINY,
        Strict,
        BROAD,
        &[append(0), append(0), batch(0, &[60, 0, 60, 60])],
    );
}

#[test]
fn a_crash_in_a_batch_larger_than_a_segment_leaves_all_of_it_or_nothing() {
    walk("large batch", &TINY, Strict, BROAD, &[append(0), batch(0, &[300, 300, 700]), append(0)]);
}

#[test]
fn a_crash_among_rotations_keeps_what_was_acknowledged() {
    let calls: Vec<_> = (0..9).map(|_| append(0)).collect();
    walk("rotations", &TINY_TWO, Strict, BROAD, &calls);
}

#[test]
fn a_crash_around_a_clean_close_keeps_what_was_acknowledged() {
    let calls = [append(0), append(0), Call::Close, append(0), Call::Close, Call::Drop, append(0)];
    walk("close and reopen", &TINY_TWO, Strict, BROAD, &calls);
}

#[test]
fn a_crash_keeps_what_was_acknowledged_of_each_of_two_streams() {
    let calls = [append(0), append(1), append(0), batch(1, &[90, 90]), append(0), append(1)];
    walk("two streams", &TINY_TWO, Strict, BROAD, &calls);
}
