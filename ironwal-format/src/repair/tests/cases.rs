//! Single cases, each with a name that says what must come of it.

use alloc::{vec, vec::Vec};

use super::*;
use crate::frame::MAX_SEGMENT_FILE_LEN;
use crate::seal::Seal;

/// A segment whose header is valid, scanned up to the next base that it is told.
fn scanned(number: u32, base: u64, frames: Frames, limit: u64) -> SegmentFacts {
    facts(number, base, FileFacts::Scanned(frames.scan(base, seq(limit))))
}

fn headless(number: u32, base: u64, frames: Frames) -> SegmentFacts {
    let error = SegmentHeaderError::Absent;
    facts(number, base, FileFacts::Headless(error, frames.scan(base, SequenceNumber::MAX)))
}

fn sealed(number: u32, base: u64, end: u64) -> SegmentFacts {
    let len = end_of(end - base) + SEAL_LEN;
    let record = Some(vouched(base, end, len));
    SegmentFacts { record, ..facts(number, base, FileFacts::Recorded { len }) }
}

fn missing(number: u32, base: u64) -> SegmentFacts {
    facts(number, base, FileFacts::Missing)
}

const NONE: u64 = u64::MAX;

/// The log of a plan without damage: its numbers and how it goes on.
fn log(plan: &Plan) -> (u64, u64, Continuation) {
    assert_eq!(plan.damage, []);
    (plan.first.get(), plan.end.get(), plan.continuation)
}

/// The one damage of a plan: where it is, what, and which numbers are lost.
fn damage(plan: &Plan) -> (u32, DamageKind, core::ops::Range<u64>) {
    let [Damage { ordinal, kind, lost_from, lost_until, .. }] = plan.damage[..] else {
        panic!("{:?}", plan.damage);
    };
    assert_ne!(plan.continuation, Continuation::Append);
    (ordinal.get(), kind, lost_from.get()..lost_until.get())
}

fn lost_at(count: u64) -> DamageKind {
    DamageKind::Frame { offset: end_of(count), error: FrameError::Marker(0x55) }
}

fn cut_at(count: u64, needed: u64) -> DamageKind {
    DamageKind::Frame { offset: end_of(count), error: FrameError::Cut { available: 0, needed } }
}

#[test]
fn what_was_scanned_of_a_file_is_the_same_lent_and_given() {
    let scan = Frames::open(3).scan(0, SequenceNumber::MAX);
    for (file, expected) in [
        (FileFacts::Missing, None),
        (FileFacts::Recorded { len: 400 }, None),
        (FileFacts::Scanned(scan.clone()), Some(scan.clone())),
        (FileFacts::Headless(SegmentHeaderError::Absent, scan.clone()), Some(scan)),
    ] {
        assert_eq!(file.scan(), expected.as_ref());
        assert_eq!(file.into_scan(), expected);
    }
}

#[test]
fn an_open_segment_that_is_clean_is_appended_to_and_written_again_from_what_was_synced() {
    for (synced_len, from) in [(0, 0), (100, 100), (end_of(3), 400)] {
        let plan = plan(&[scanned(0, 0, Frames::open(3).synced(synced_len), NONE)], None);
        assert_eq!(log(&plan), (0, 3, Continuation::Append));
        let rewrite = Rewrite { ordinal: ordinal(0), from, until: end_of(3) };
        let expected = if from < end_of(3) { vec![rewrite] } else { vec![] };
        assert_eq!(plan.rewrite, expected);
    }
}

/// Else the first append to it would have to seal it where no offset is left.
#[test]
fn an_open_segment_in_which_no_seal_fits_any_more_is_ended_by_a_new_one() {
    let mut scan = Frames::open(3).scan(0, SequenceNumber::MAX);
    let seal_len = Seal::frame_len(scan.table.points().len() + 1);
    for (room, continuation) in [
        (seal_len, Continuation::Append),
        (seal_len - 8, Continuation::NewSegment(ordinal(1))),
        (0, Continuation::NewSegment(ordinal(1))),
    ] {
        scan.valid_end = MAX_SEGMENT_FILE_LEN - room;
        let world = [facts(0, 0, FileFacts::Scanned(scan.clone()))];
        assert_eq!(log(&plan(&world, None)), (0, 3, continuation), "room for {room} bytes");
    }
}

#[test]
fn a_torn_tail_is_ended_by_a_new_segment_and_with_that_the_log_is_clean() {
    let torn = plan(&[scanned(0, 0, Frames::torn(3).synced(end_of(2)), NONE)], None);
    assert_eq!(log(&torn), (0, 3, Continuation::NewSegment(ordinal(1))));
    let tear = Tear { offset: end_of(3), rest_len: 7, turned_bit: None };
    assert_eq!(torn.torn, Some((ordinal(0), tear)));
    let again = plan(
        &[
            scanned(0, 0, Frames::torn(3).synced(end_of(2)), 3),
            scanned(1, 3, Frames::open(0), NONE),
        ],
        None,
    );
    assert_eq!(log(&again), (0, 3, Continuation::Append));
    assert_eq!((again.torn, again.set_aside), (None, None));
    let rewrite = |number, from, until| Rewrite { ordinal: ordinal(number), from, until };
    assert_eq!(again.rewrite, [rewrite(0, end_of(2), end_of(3)), rewrite(1, 0, end_of(0))]);
}

#[test]
fn after_a_rotation_of_which_only_the_new_header_survived_the_log_ends_at_the_tear() {
    for (first, is_torn) in [(Frames::torn(2), true), (Frames::open(2), false)] {
        let world = [scanned(4, 10, first, 15), scanned(5, 15, Frames::open(1), NONE)];
        let plan = plan(&world, None);
        assert_eq!(log(&plan), (10, 12, Continuation::NewSegment(ordinal(6))));
        assert_eq!(plan.torn.is_some(), is_torn);
        assert_eq!(plan.set_aside, None);
        assert_eq!(plan.live.len(), 1);
    }
}

#[test]
fn a_last_segment_without_header_that_nothing_vouches_for_is_set_aside_and_its_ordinal_used_again()
{
    for first in [Frames::sealed(2, 12), Frames::open(2), Frames::torn(1)] {
        for last in [Frames::open(0), Frames::open(2), Frames::torn(0)] {
            let plan = plan(&[scanned(4, 10, first, NONE), headless(5, 12, last)], None);
            let end = 10 + first.valid_count;
            assert_eq!(log(&plan), (10, end, Continuation::NewSegment(ordinal(5))));
            assert_eq!(plan.set_aside, Some(ordinal(5)));
            assert_eq!(plan.records.len(), 1);
        }
    }
}

/// No segment is made before the one in front of it is there, so any that is there proves the others.
#[test]
fn a_segment_without_header_in_front_of_another_is_damage_unless_it_is_dead() {
    let front = scanned(0, 0, Frames::sealed(2, 2), 4);
    for last in [Frames::open(0), Frames::open(1), Frames::torn(0)] {
        let world = [front.clone(), headless(1, 2, Frames::open(2)), scanned(2, 4, last, NONE)];
        let kind = DamageKind::Header(SegmentHeaderError::Absent);
        assert_eq!(damage(&plan(&world, None)), (1, kind, 2..2));
        let world = [&world[..], &[scanned(3, 2, Frames::open(1), NONE)]].concat();
        assert_eq!(log(&plan(&world, None)), (0, 3, Continuation::Append));
    }
}

/// The first was left behind a gap by one crash, the second was to end the log in the next.
#[test]
fn of_two_segments_without_header_that_nothing_vouches_for_the_log_ends_before_both() {
    for base in [2, 4] {
        let world = [
            scanned(0, 0, Frames::torn(2), NONE),
            headless(1, base, Frames::open(0)),
            headless(2, 2, Frames::open(0)),
        ];
        let ended = plan(&world, None);
        assert_eq!(log(&ended), (0, 2, Continuation::NewSegment(ordinal(2))));
        assert_eq!(ended.set_aside, Some(ordinal(2)));
        let again = [&world[..2], &[scanned(2, 2, Frames::open(0), NONE)]].concat();
        assert_eq!(log(&plan(&again, None)), (0, 2, Continuation::Append));
    }
}

/// Not ours, newer, impossible: no crash leaves such a header, so it is never renamed or ignored.
#[test]
fn a_header_that_no_crash_can_leave_is_never_set_aside() {
    for error in [
        SegmentHeaderError::NotOurs,
        SegmentHeaderError::Newer { version: 2 },
        SegmentHeaderError::ChecksumKind { kind: 2 },
        SegmentHeaderError::Reserved,
        SegmentHeaderError::Fields,
        SegmentHeaderError::Frame(FrameError::Unsupported { kind: 9, reserved: 0 }),
    ] {
        for base in [2, 5] {
            let scan = Frames::open(0).scan(base, SequenceNumber::MAX);
            let last = facts(1, base, FileFacts::Headless(error, scan));
            let plan = plan(&[scanned(0, 0, Frames::open(2), base), last], None);
            assert_eq!(plan.set_aside, None);
            let kinds: Vec<_> = plan.damage.iter().map(|damage| damage.kind).collect();
            assert!(kinds.contains(&DamageKind::Header(error)), "{kinds:?}");
        }
    }
}

#[test]
fn an_active_segment_that_is_missing_though_a_record_names_its_base_is_missing() {
    let missed = plan(&[sealed(0, 0, 5), missing(1, 5)], None);
    assert_eq!(damage(&missed), (1, DamageKind::Missing, 5..5));
    let floor = Some(vouched(5, 8, end_of(3)));
    let missed = plan(&[sealed(0, 0, 5), SegmentFacts { floor, ..missing(1, 5) }], None);
    assert_eq!(damage(&missed), (1, DamageKind::Missing, 5..8));
}

/// Also without a record: a later ordinal proves that the ones before it were there.
#[test]
fn a_segment_that_is_missing_between_others_is_damage() {
    let last = |frames: Frames| scanned(2, 5, frames, NONE);
    for last in [last(Frames::open(1)), last(Frames::torn(0)), headless(2, 5, Frames::open(0))] {
        let unproven = plan(&[scanned(0, 0, Frames::sealed(2, 2), 5), last], None);
        assert_eq!(unproven.damage[0].kind, DamageKind::Missing);
        assert_eq!((unproven.damage[0].lost_from, unproven.damage[0].lost_until), (seq(2), seq(5)));
    }
    let synced = last(Frames::open(1).synced(end_of(0)));
    let proven = plan(&[sealed(0, 0, 2), synced.clone()], None);
    assert_eq!(damage(&proven), (1, DamageKind::Missing, 2..5));
    assert_eq!(proven.end, seq(6));
    // Without a record of the first, its own end is not known to be the end of what is missing.
    let proven = plan(&[scanned(0, 0, Frames::sealed(2, 2), 5), synced], None);
    assert_eq!(damage(&proven).2, 2..5);
    let record = Some(vouched(2, 5, 450));
    let world = [sealed(0, 0, 2), SegmentFacts { record, ..missing(1, 2) }, last(Frames::open(1))];
    let plan = plan(&world, None);
    assert_eq!(damage(&plan), (1, DamageKind::Missing, 2..5));
    assert_eq!((plan.first, plan.end), (seq(0), seq(6)));
}

/// What proves it is dead itself, and nobody comes to what cut that off.
#[test]
fn what_a_dead_segment_proves_is_missed_also_where_the_log_ends_before_the_next() {
    let dead = scanned(2, 5, Frames::open(1).synced(end_of(0)), 4);
    let world = [sealed(0, 0, 2), dead, scanned(3, 4, Frames::open(0), NONE)];
    let plan = plan(&world, None);
    assert_eq!(damage(&plan), (1, DamageKind::Missing, 2..4));
}

/// A header that no crash can leave proves that the segment in front of it was there, header and all; and
/// that, what lies before it.
#[test]
fn a_segment_without_header_proves_what_lies_before_it_if_a_later_one_proves_it() {
    let last = Frames::open(0).scan(5, SequenceNumber::MAX);
    let last = facts(2, 5, FileFacts::Headless(SegmentHeaderError::Fields, last));
    let world = [scanned(0, 0, Frames::torn(2), 3), headless(1, 3, Frames::open(0)), last];
    let plan = plan(&world, None);
    assert_eq!((plan.damage[0].kind, plan.torn), (lost_at(2), None));
    assert!(matches!(plan.damage[1].kind, DamageKind::Header(SegmentHeaderError::Absent)));
}

/// Whatever the segments in between hold, and whether the index knows of it.
#[test]
fn a_segment_whose_base_lies_in_the_old_range_makes_all_past_it_dead() {
    let old = |number, base, frames: Frames| scanned(number, base, frames, 3);
    for new in [Frames::open(0), Frames::open(2), Frames::open(2).synced(end_of(1))] {
        for dead in [Frames::sealed(2, 6), Frames::torn(1), Frames::newer(0), Frames::open(1)] {
            let world =
                [old(0, 0, Frames::sealed(4, 4)), old(1, 4, dead), scanned(2, 3, new, NONE)];
            let plan = plan(&world, None);
            assert_eq!(log(&plan), (0, 3 + new.valid_count, Continuation::Append));
            let live: Vec<_> = plan.live.iter().map(|live| live.ordinal.get()).collect();
            assert_eq!(live, [0, 2]);
            assert_eq!(plan.live[0].until, seq(3));
        }
    }
    let record = Some(vouched(0, 3, 550));
    let first = SegmentFacts { record, ..facts(0, 0, FileFacts::Recorded { len: 550 }) };
    let plan = plan(&[first, scanned(1, 3, Frames::open(1), NONE)], None);
    assert_eq!(log(&plan), (0, 4, Continuation::Append));
    assert_eq!((plan.live[0].until, plan.live[0].len), (seq(3), 550));
}

/// What is lost with a segment is what no later one holds, whatever dead ones in between began with.
#[test]
fn a_missing_segment_is_lost_up_to_the_base_that_cuts_it_off() {
    let world = [
        sealed(0, 0, 5),
        missing(1, 5),
        scanned(2, 9, Frames::sealed(1, 10), 7),
        scanned(3, 7, Frames::open(1), NONE),
    ];
    let lost = plan(&world, None);
    assert_eq!(damage(&lost), (1, DamageKind::Missing, 5..7));
    assert_eq!(lost.end, seq(8));
}

#[test]
fn of_a_recorded_file_no_more_is_looked_at_than_the_record_says() {
    let record = Some(vouched(0, 5, 650));
    let longer = SegmentFacts { record, ..facts(0, 0, FileFacts::Recorded { len: 4096 }) };
    let plan = plan(&[longer, scanned(1, 5, Frames::open(0), NONE)], None);
    assert_eq!(log(&plan), (0, 5, Continuation::Append));
    assert_eq!((plan.live[0].len, plan.records[0].len), (650, 650));
}

/// The seal alone: the rollback had not returned, and the segment that it announces is made.
#[test]
fn a_rollback_that_came_no_further_than_its_seal_is_finished() {
    let plan = plan(&[scanned(0, 0, Frames::sealed(4, 3), NONE)], None);
    assert_eq!(log(&plan), (0, 3, Continuation::NewSegment(ordinal(1))));
}

#[test]
fn a_file_cut_on_a_frame_boundary_is_damage_by_each_kind_of_evidence_and_unseen_without() {
    let unseen = plan(&[scanned(0, 0, Frames::open(2).synced(end_of(1)), NONE)], None);
    assert_eq!(log(&unseen), (0, 2, Continuation::Append));
    let cut = scanned(0, 0, Frames::open(2).synced(end_of(1)), 4);
    let later = scanned(1, 4, Frames::open(1).synced(end_of(0)), NONE);
    let by_later = plan(&[cut.clone(), later], None);
    assert_eq!(damage(&by_later), (0, cut_at(2, 32), 2..4));
    assert_eq!(by_later.end, seq(5));
    let floor = Some(vouched(0, 4, end_of(4)));
    let by_floor = plan(&[SegmentFacts { floor, ..scanned(0, 0, Frames::open(2), NONE) }], None);
    assert_eq!(damage(&by_floor), (0, cut_at(2, 200), 2..4));
    let record = Some(vouched(0, 4, end_of(4) + SEAL_LEN));
    let world = [SegmentFacts { record, ..cut }, scanned(1, 4, Frames::open(0), NONE)];
    assert_eq!(damage(&plan(&world, None)), (0, cut_at(2, 250), 2..4));
    let short = SegmentFacts { record, ..facts(0, 0, FileFacts::Recorded { len: 300 }) };
    let by_len = plan(&[short, scanned(1, 4, Frames::open(0), NONE)], None);
    assert_eq!(damage(&by_len), (0, DamageKind::Short { len: 300, expected: 550 }, 0..4));
}

#[test]
fn damage_in_the_last_segment_reaches_as_far_as_anything_is_known_of_its_entries() {
    let mut scan = Frames::torn(2).synced(end_of(3)).scan(0, SequenceNumber::MAX);
    let ScanEnd::Broken(found) = &mut scan.end else { panic!() };
    found.end_behind = Some(seq(6));
    let alone = facts(0, 0, FileFacts::Scanned(scan));
    assert_eq!(damage(&plan(core::slice::from_ref(&alone), None)), (0, lost_at(2), 2..6));
    let floor = Some(vouched(0, 8, end_of(8)));
    let floored = plan(&[SegmentFacts { floor, ..alone }], None);
    assert_eq!(damage(&floored), (0, lost_at(2), 2..8));
    assert_eq!(floored.end, seq(8));
}

#[test]
fn a_start_record_names_the_first_number_and_what_is_left_of_lower_ordinals_is_gone() {
    let start = |base, number| Some(StartRecord { base: seq(base), ordinal: ordinal(number) });
    let last = scanned(3, 6, Frames::open(3), NONE);
    // Some of the files with lower ordinals are still there.
    let left = [sealed(0, 0, 2), headless(2, 4, Frames::open(0)), last.clone()];
    let cleaned = plan(&left, start(6, 3));
    assert_eq!(log(&cleaned), (6, 9, Continuation::Append));
    assert_eq!((cleaned.live.len(), cleaned.records.len()), (1, 0), "each segment once");
    // The first number lies within the first segment; what is below it cannot be lost any more.
    for (frames, end) in [(Frames::open(3), 9), (Frames::torn(1), 8), (Frames::open(0), 8)] {
        let within = plan(&[scanned(3, 6, frames, NONE)], start(8, 3));
        let goes_on = frames == Frames::open(3);
        let continuation =
            if goes_on { Continuation::Append } else { Continuation::NewSegment(ordinal(4)) };
        assert_eq!(log(&within), (8, end, continuation));
    }
    // The record vouches for the segment that it names, header and all.
    assert_eq!(damage(&plan(&left[..2], start(6, 3))), (3, DamageKind::Missing, 6..6));
    assert_eq!(damage(&plan(&[], start(6, 3))), (3, DamageKind::Missing, 6..6));
    let beheaded = plan(&[headless(3, 6, Frames::open(3))], start(6, 3));
    assert!(matches!(damage(&beheaded), (3, DamageKind::Header(_), _)));
}

/// Nor is it missed: all that it could hold is dead, or lies before the first number.
#[test]
fn a_segment_of_which_nothing_counts_is_not_judged() {
    let start = |base, number| Some(StartRecord { base: seq(base), ordinal: ordinal(number) });
    let last = |base| scanned(4, base, Frames::open(2), NONE);
    assert_eq!(log(&plan(&[last(6)], start(6, 3))), (6, 8, Continuation::Append));
    for first in [
        missing(3, 6),
        SegmentFacts { record: Some(vouched(6, 8, end_of(2))), ..missing(3, 6) },
        headless(3, 6, Frames::open(0)),
        SegmentFacts {
            record: Some(vouched(6, 8, end_of(2))),
            ..facts(3, 6, FileFacts::Recorded { len: 20 })
        },
        scanned(3, 6, Frames::torn(0).synced(end_of(2)), 8),
    ] {
        let world = [first, last(8)];
        assert_eq!(log(&plan(&world, start(8, 3))), (8, 10, Continuation::Append));
        assert!(!plan(&world, start(7, 3)).damage.is_empty());
    }
}

/// The one behind it was being made when the log was given up from the start on.
#[test]
fn behind_the_segment_that_the_start_names_and_that_is_missing_a_torn_header_is_set_aside() {
    let start = Some(StartRecord { base: seq(6), ordinal: ordinal(3) });
    for world in [&[][..], &[headless(4, 6, Frames::open(0))]] {
        assert_eq!(damage(&plan(world, start)), (3, DamageKind::Missing, 6..6));
        let ended = plan_cut(world, start);
        assert_eq!(log(&ended), (6, 6, Continuation::NewSegment(ordinal(4))));
        assert_eq!(ended.set_aside.is_some(), !world.is_empty());
        assert_eq!(ended.records.len(), 1);
    }
}

/// Though what is damaged holds none but numbers in front of it.
#[test]
fn nothing_is_given_up_in_front_of_the_first_number() {
    let record = Some(vouched(6, 7, end_of(1)));
    let short = SegmentFacts { record, ..facts(3, 6, FileFacts::Recorded { len: 20 }) };
    let start = Some(StartRecord { base: seq(8), ordinal: ordinal(3) });
    let ended = plan_cut(&[short], start);
    assert_eq!(log(&ended), (8, 8, Continuation::NewSegment(ordinal(4))));
    assert_eq!(ended.cut.map(|cut| (cut.from, cut.until)), Some((seq(8), seq(8))));
}

#[test]
fn without_a_number_or_an_ordinal_left_nothing_is_given_up() {
    let last = |number, base| {
        let record = Some(vouched(base - 1, base, end_of(1) + SEAL_LEN));
        let file = FileFacts::Recorded { len: end_of(1) + SEAL_LEN };
        [
            SegmentFacts { record, ..facts(number - 1, base - 1, file) },
            headless(number, base, Frames::open(0)),
        ]
    };
    for (number, base) in [(1, u64::MAX), (u32::MAX, 5)] {
        let world = last(number, base);
        let refused = plan_cut(&world, None);
        assert_eq!((refused.damage.len(), refused.cut), (1, None));
        let world = last(number.min(9), base - 1);
        assert!(plan_cut(&world, None).cut.is_some());
    }
}

/// A newer version may know evidence that this one does not, so nothing before it is called torn.
#[test]
fn what_a_newer_version_wrote_is_damage_and_so_is_what_it_may_vouch_for() {
    let newer = scanned(1, 4, Frames::newer(1), NONE);
    let unsupported = |plan: &Plan| {
        plan.damage.iter().any(|damage| matches!(damage.kind, DamageKind::Unsupported { .. }))
    };
    for first in [Frames::torn(2), Frames::open(2), Frames::open(4), Frames::sealed(4, 4)] {
        let plan = plan(&[scanned(0, 0, first, 4), newer.clone()], None);
        assert!(unsupported(&plan), "{:?}", plan.damage);
        assert_eq!(plan.torn, None);
        assert_eq!(plan.end, seq(5));
    }
}

/// Whether in its header or in a frame behind one that is gone.
#[test]
fn a_last_segment_that_may_be_of_a_newer_version_proves_what_lies_before_it() {
    let newer = SegmentHeaderError::Newer { version: 2 };
    for (error, frames) in
        [(newer, Frames::open(0)), (SegmentHeaderError::Absent, Frames::newer(0))]
    {
        let last = FileFacts::Headless(error, frames.scan(3, SequenceNumber::MAX));
        let world = [scanned(0, 0, Frames::torn(2), NONE), facts(1, 3, last)];
        let plan = plan(&world, None);
        assert_eq!((plan.torn, plan.set_aside), (None, None), "{error}");
        assert_eq!(plan.damage[0].kind, lost_at(2), "{error}");
        let lost = (plan.damage[0].lost_from, plan.damage[0].lost_until);
        assert_eq!(lost, (seq(2), seq(3)), "{error}");
    }
}

#[test]
fn a_segment_of_a_newer_version_or_of_something_else_is_never_given_up() {
    use SegmentHeaderError::{Absent, ChecksumKind, Fields, Frame, Newer, NotOurs, Reserved};
    let unsupported = Frame(FrameError::Unsupported { kind: 3, reserved: 0 });
    let kept = [Newer { version: 2 }, ChecksumKind { kind: 2 }, Reserved, NotOurs, unsupported];
    let given_up = [Absent, Fields, Frame(FrameError::Kind)];
    for error in kept.into_iter().chain(given_up) {
        let file = FileFacts::Headless(error, Frames::open(1).scan(4, seq(5)));
        let world = [
            scanned(0, 0, Frames::sealed(4, 4), 4),
            facts(1, 4, file),
            scanned(2, 5, Frames::open(1), NONE),
        ];
        let plan = plan_cut(&world, None);
        let cut = plan.cut.map(|cut| cut.from..cut.until);
        let expected = given_up.contains(&error).then_some(seq(4)..seq(6));
        assert_eq!(
            (cut, plan.damage.is_empty()),
            (expected.clone(), expected.is_some()),
            "{error}"
        );
    }
}

#[test]
fn a_full_log_is_clean_and_stays_in_its_last_segment() {
    let last = u64::MAX - 2;
    for frames in [Frames::open(0), Frames::open(1), Frames::open(2)] {
        let full = plan(&[scanned(7, last, frames, NONE)], None);
        assert_eq!(log(&full), (last, last + frames.valid_count, Continuation::Append));
    }
    let torn = plan(&[scanned(7, last, Frames::torn(2), NONE)], None);
    assert_eq!(torn.continuation, Continuation::NewSegment(ordinal(8)));
    let ended = plan(
        &[scanned(7, last, Frames::torn(2), NONE), scanned(8, u64::MAX, Frames::open(0), NONE)],
        None,
    );
    assert_eq!(ended.continuation, Continuation::Append);
}

#[test]
fn without_an_ordinal_left_the_log_cannot_be_ended() {
    let highest = u32::MAX;
    let torn = plan(&[scanned(highest, 0, Frames::torn(1), NONE)], None);
    assert_eq!(torn.continuation, Continuation::OrdinalsExhausted);
    let world =
        [scanned(highest - 1, 0, Frames::torn(1), NONE), headless(highest, 2, Frames::open(0))];
    let aside = plan(&world, None);
    assert_eq!(aside.continuation, Continuation::NewSegment(ordinal(highest)));
    let empty = plan(&[], None);
    assert_eq!(log(&empty), (0, 0, Continuation::NewSegment(Ordinal::ZERO)));
}
