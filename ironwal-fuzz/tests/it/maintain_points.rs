//! Every crash point of what is done with a stream beside appending to it, in each mode.

use ironwal::ReadStrategy;
use ironwal::SyncMode::{self, Async, BatchOnly, Strict};
use ironwal_fuzz::script::Effort;
use ironwal_fuzz::world::{Call, Setup};

use crate::walk::{NARROW, walk};

const PLAIN: Setup = Setup::DEFAULT;
const TWO: Setup = Setup { max_segment_entries: 2, ..PLAIN };

fn append(stream: usize) -> Call {
    Call::Append { stream, len: 20 }
}

fn appends(stream: usize, count: usize) -> Vec<Call> {
    vec![append(stream); count]
}

fn batch(stream: usize, lens: &[usize]) -> Call {
    Call::Batch { stream, lens: lens.to_vec() }
}

const SYNC: Call = Call::Sync { stream: 0 };
const ROTATE: Call = Call::Rotate { stream: 0 };
const DELETE: Call = Call::Delete { stream: 0 };

fn truncate(at: u64) -> Call {
    Call::Truncate { stream: 0, at }
}

const MODES: [SyncMode; 3] = [Strict, BatchOnly, Async];

#[test]
fn a_crash_among_written_appends_keeps_what_a_sync_or_a_batch_made_durable() {
    for mode in [BatchOnly, Async] {
        let calls =
            [append(0), append(0), SYNC, append(0), batch(0, &[30, 0]), append(0), append(0)];
        walk(&format!("{mode:?}"), &PLAIN, mode, NARROW, &calls);
        walk(&format!("{mode:?} with rotations"), &TWO, mode, NARROW, &calls);
    }
}

#[test]
fn a_crash_around_a_sync_of_all_and_a_close_keeps_what_they_made_durable() {
    let calls = [append(0), append(1), Call::SyncAll, append(0), append(1), Call::Close, append(0)];
    walk("sync of all", &TWO, Async, NARROW, &calls);
}

#[test]
fn a_crash_in_a_rotation_that_was_asked_for_loses_nothing_durable() {
    for mode in MODES {
        let calls = [ROTATE, append(0), ROTATE, ROTATE, append(0), append(0), ROTATE, append(0)];
        walk(&format!("rotate {mode:?}"), &PLAIN, mode, NARROW, &calls);
    }
}

#[test]
fn a_crash_in_a_truncation_leaves_before_or_after() {
    for mode in [Strict, Async] {
        let mut calls = appends(0, 5);
        calls.extend([truncate(3), append(0), truncate(4), append(0)]);
        walk(&format!("truncate {mode:?}"), &TWO, mode, NARROW, &calls);
    }
}

#[test]
fn a_crash_in_a_truncation_of_all_leaves_before_or_after() {
    let mut calls = appends(0, 3);
    calls.extend([ROTATE, truncate(3), append(0), Call::Close, truncate(4), append(0)]);
    walk("truncate all", &TWO, Async, NARROW, &calls);
}

#[test]
fn a_crash_in_a_deletion_leaves_the_stream_or_none() {
    for mode in [Strict, Async] {
        let mut calls = appends(0, 3);
        calls.extend([DELETE, append(1)]);
        walk(&format!("delete {mode:?}"), &TWO, mode, NARROW, &calls);
    }
}

#[test]
fn a_crash_among_lives_of_a_stream_mixes_none() {
    let mut calls = appends(0, 3);
    calls.extend([DELETE, append(0), DELETE, DELETE, append(0), append(0)]);
    walk("recreate", &TWO, Strict, Effort { depth: 1, ..NARROW }, &calls);
}

/// So long that its sync makes a floor due.
const LONG: usize = 66_000;

const PARKING: Setup = Setup { max_open_segments: 1, reads: ReadStrategy::StandardIo, ..PLAIN };

#[test]
fn a_crash_around_a_file_that_is_closed_as_idle_loses_nothing_durable() {
    for mode in [Strict, Async] {
        let calls = [
            Call::Append { stream: 0, len: LONG },
            append(1),
            append(0),
            append(1),
            ROTATE,
            append(1),
            append(0),
        ];
        let effort = Effort { max_subset_count: 1 << 4, seed_count: 4, depth: 1, ..NARROW };
        walk(&format!("parking {mode:?}"), &PARKING, mode, effort, &calls);
    }
}
