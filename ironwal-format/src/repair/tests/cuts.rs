//! Damage of all kinds to what was durable, given up, with all crashes of that repair, and more damage
//! after it.
//!
//! What must come of it is known from what was called and what was harmed: the log ends before the
//! first entry that is not there any more, whatever the plan calls damaged or torn.

use alloc::{vec, vec::Vec};

use super::crashes::{Call, Disk, Frame, Piece, Promise, Segment, Writer, all_histories};
use super::*;

/// What recovery is told to do with damage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Policy {
    Error,
    Truncate,
}

/// Recovers a disk as the stream layer does: a file that is too short is scanned where it has to be.
fn plan_of(disk: &Disk, policy: Policy) -> Plan {
    match policy {
        Policy::Error => plan(&disk.gather_scanning_short(ShortFiles::WhereCutOff), None),
        Policy::Truncate => plan_cut(&disk.gather_scanning_short(ShortFiles::All), None),
    }
}

/// Which files that are shorter than their record are scanned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ShortFiles {
    None,
    /// Those that a later segment cuts off before the end in the record.
    WhereCutOff,
    All,
}

/// The number of each piece that counts: of a frame its own, of a name or a header that of the first
/// entry behind it. What is dead has none, and a seal neither.
fn numbers(disk: &Disk) -> Vec<Option<u64>> {
    let mut numbers = Vec::new();
    for (at, segment) in disk.segments.iter().enumerate() {
        let later = disk.segments[at + 1..].iter().map(|later| later.base);
        let limit = later.min().unwrap_or(u64::MAX);
        let live = |number: u64| (number < limit).then_some(number);
        numbers.extend([live(segment.base); 2]);
        numbers.extend((0..segment.frames.len() as u64).map(|nth| live(segment.base + nth)));
        numbers.extend(segment.seal.iter().map(|_| None));
    }
    numbers
}

/// Whether nobody looks at this piece: a frame of a segment with a record, as long as no later one is
/// lost with the length of the file.
fn is_unseen(disk: &Disk, at: usize) -> bool {
    let mut pieces = disk.segments.iter().enumerate().flat_map(|(nth, segment)| {
        let count = 2 + segment.frames.len() + segment.seal.iter().count();
        (0..count).map(move |piece| (nth, piece))
    });
    let (nth, piece) = pieces.nth(at).unwrap();
    let segment = &disk.segments[nth];
    let known = crate::index::IndexKnowledge::of(&disk.index);
    let record = known.sealed.get(&ordinal(segment.ordinal));
    let is_last = disk.segments[nth + 1..].iter().all(|later| later.name == Piece::Lost);
    piece > 0
        && !is_last
        && segment.name != Piece::Lost
        && record.is_some_and(|record| segment.file_len() >= u64::from(record.len))
}

/// Each disk that is this one with one piece of it gone, and how long its log is then.
fn harmed(disk: &Disk, promise: &Promise) -> Vec<(Disk, Promise)> {
    let numbers = numbers(disk);
    let mut all = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        for outcome in [Piece::Lost, Piece::Header] {
            let mut harmed = disk.clone();
            let mut pieces =
                harmed.segments.iter_mut().flat_map(|segment| segment.pieces_mut().enumerate());
            let (in_segment, piece) = pieces.nth(at).unwrap();
            // Names and segment headers are not read in parts.
            if *piece == Piece::Lost || (in_segment < 2 && outcome == Piece::Header) {
                continue;
            }
            *piece = outcome;
            drop(pieces);
            // Without an index nothing tells that there was a first segment, or one that cut off more
            // than the one in front of it.
            let is_rollback = matches!(&disk.segments[..], [.., before, last]
                if last.base < before.base && at + 2 + last.frames.len() >= numbers.len()
                    && in_segment < 2);
            if disk.index.is_empty() && (at == 0 || is_rollback) {
                continue;
            }
            let number = number.filter(|_| !is_unseen(&harmed, at));
            let end = number.map_or(promise.log.len(), |number| usize::try_from(number).unwrap());
            let mut promise = promise.clone();
            promise.log.truncate(end);
            promise.durable_count = promise.log.len();
            all.push((harmed, promise));
        }
    }
    all
}

/// Sees to it that a plan without damage has this log.
fn assert_log(disk: &Disk, plan: &Plan, promise: &Promise) {
    assert_eq!(plan.damage, [], "{disk:#?}");
    assert_eq!(plan.end.get(), promise.log.len() as u64, "{disk:#?}\n{plan:#?}\n{promise:?}");
    assert_eq!(disk.read(plan), promise.log, "{disk:#?}");
}

/// Gives up what is damaged, with a crash behind each step. Gives what that leaves.
fn check(harmed: &Disk, promise: &Promise) -> Disk {
    let found = plan_of(harmed, Policy::Error);
    let ended = plan_of(harmed, Policy::Truncate);
    // A short file may lack its seal alone: once it is scanned, nothing is lost.
    let is_short = |damage: &Damage| matches!(damage.kind, DamageKind::Short { .. });
    if ended.cut.is_none() {
        assert!(found.damage.iter().all(is_short), "{harmed:#?}\n{found:#?}");
    }
    assert!(ended.cut.is_none() || !found.damage.is_empty(), "{harmed:#?}\n{found:#?}");
    assert_log(harmed, &ended, promise);
    let steps = harmed.repair(&ended);
    for step in &steps {
        for crashed in step.crashes(&[Piece::Lost, Piece::Durable]).iter().chain([step]) {
            let error = plan_of(crashed, Policy::Error);
            if error.damage.is_empty() {
                assert_log(crashed, &error, promise);
            } else {
                assert_eq!(error.damage, found.damage, "{crashed:#?}");
            }
            let again = plan_of(crashed, Policy::Truncate);
            assert_log(crashed, &again, promise);
            let repaired = crashed.repair(&again).pop().unwrap().without_power();
            assert_sound(&repaired, promise);
        }
    }
    let repaired = steps.last().unwrap().without_power();
    assert_sound(&repaired, promise);
    repaired
}

/// Sees to it that nothing is left to do, with the index, without it and with one that says nothing.
fn assert_sound(disk: &Disk, promise: &Promise) {
    for policy in [Policy::Error, Policy::Truncate] {
        let after = plan_of(disk, policy);
        assert_log(disk, &after, promise);
        assert_eq!((&after.cut, after.torn, after.set_aside), (&None, None, None), "{disk:#?}");
        assert_eq!(after.continuation, Continuation::Append, "{disk:#?}");
        assert_eq!(after.rewrite, [], "{disk:#?}");
        if hides_damage(disk, promise) {
            continue;
        }
        let mut lost = Disk { index: Vec::new(), ..disk.clone() };
        let without = plan_of(&lost, policy);
        assert_log(&lost, &without, promise);
        assert_eq!(without.continuation, Continuation::Append, "{disk:#?}");
        // An index that is right, and names no start, tells that the first segment was there.
        let is_first_lost = lost.segments.first().is_none_or(|segment| segment.ordinal > 0);
        if is_first_lost {
            lost.segments.insert(0, Segment::new(0, 0, Piece::Lost));
            let mut facts = lost.gather_scanning_short(ShortFiles::All);
            facts.insert(0, facts_of_missing_first());
            let empty = plan(&facts, None);
            assert_log(&lost, &empty, promise);
        }
    }
}

/// Whether something is lost where nobody looks as long as there is a record.
fn hides_damage(disk: &Disk, promise: &Promise) -> bool {
    let mut disk = disk.clone();
    let numbers = numbers(&disk).into_iter();
    let pieces = disk.segments.iter_mut().flat_map(Segment::pieces_mut);
    let is_lost = |piece: &Piece| matches!(piece, Piece::Lost | Piece::Header);
    let end = promise.log.len() as u64;
    numbers.zip(pieces).any(|(number, piece)| number.is_some_and(|n| n < end) && is_lost(piece))
}

fn facts_of_missing_first() -> SegmentFacts {
    facts(0, 0, FileFacts::Missing)
}

/// The writer that goes on behind a repair.
fn writer(disk: Disk, promise: Promise, entry_count: u32) -> Writer {
    let last = disk.segments.last().unwrap();
    let mark = (last.ordinal, end_of(last.found().valid_count));
    let mut writer = Writer { disk, promise, entry_count, mark };
    let count_there = usize::try_from(writer.active().found().valid_count).unwrap();
    writer.active().frames.truncate(count_there);
    writer.active().seal = None;
    writer
}

/// All disks of a writer that made so many calls, then synced, and appended and synced once more, so
/// that evidence covers all but the last frame.
fn durable_histories(writer: &Writer, count: usize, check: &mut dyn FnMut(&Writer)) {
    all_histories(writer, count, &mut |writer| {
        // In the middle of a call it is open what was promised.
        let found = plan(&writer.disk.gather(), None);
        if found.end.get() != writer.promise.log.len() as u64
            || found.continuation != Continuation::Append
        {
            return;
        }
        for calls in [&[Call::Sync][..], &[Call::Sync, Call::Append, Call::Sync]] {
            let mut writer = writer.clone();
            for call in calls {
                writer.call(*call);
            }
            check(&writer);
        }
    });
}

#[test]
fn damage_given_up_ends_the_log_at_the_first_lost_number_through_all_crashes() {
    let (mut cut, mut whole) = (0, 0);
    durable_histories(&Writer::new(), 4, &mut |writer| {
        let lost_index = Disk { index: Vec::new(), ..writer.disk.clone() };
        for disk in [&writer.disk, &lost_index] {
            for (harmed, promise) in harmed(disk, &writer.promise) {
                let is_cut = plan_of(&harmed, Policy::Truncate).cut.is_some();
                check(&harmed, &promise);
                *(if is_cut { &mut cut } else { &mut whole }) += 1;
            }
        }
    });
    assert!(cut > 1_000 && whole > 1_000, "{cut} cut, {whole} not");
}

/// In front of the first, at it and behind it, with what was appended in between.
#[test]
fn a_log_that_was_given_up_from_some_number_on_is_so_again() {
    let mut twice = 0;
    durable_histories(&Writer::new(), 2, &mut |first| {
        for (harmed_once, promise) in harmed(&first.disk, &first.promise) {
            if plan_of(&harmed_once, Policy::Truncate).cut.is_none() {
                continue;
            }
            let disk = check(&harmed_once, &promise);
            let second = writer(disk, promise, first.entry_count);
            durable_histories(&second, 1, &mut |second| {
                assert_synced_is_found(second);
                for (harmed_twice, promise) in harmed(&second.disk, &second.promise) {
                    let cut = plan_of(&harmed_twice, Policy::Truncate).cut;
                    twice += u32::from(cut.is_some());
                    let disk = check(&harmed_twice, &promise);
                    let mut third = writer(disk, promise, second.entry_count);
                    third.call(Call::Append);
                    third.call(Call::Sync);
                    assert_synced_is_found(&third);
                }
            });
        }
    });
    assert!(twice > 1_000, "{twice} cut twice");
}

/// Whether or not the index is there: what was given up does not come back.
fn assert_synced_is_found(writer: &Writer) {
    let disk = writer.disk.without_power();
    if hides_damage(&disk, &writer.promise) {
        return;
    }
    for disk in [&disk, &Disk { index: Vec::new(), ..disk.clone() }] {
        for policy in [Policy::Error, Policy::Truncate] {
            assert_log(disk, &plan_of(disk, policy), &writer.promise);
        }
    }
}

/// First the power is cut, then something of what was durable is lost.
#[test]
fn damage_beside_what_a_crash_left_is_given_up_too() {
    let mut count = 0;
    all_histories(&Writer::new(), 3, &mut |writer| {
        for crashed in writer.disk.crashes(&[Piece::Lost, Piece::Header, Piece::Durable]) {
            let log = plan(&crashed.gather(), None);
            let log = crashed.read(&log);
            for (harmed, promise) in harmed(&crashed, &Promise { durable_count: 0, log }) {
                let ended = plan_of(&harmed, Policy::Truncate);
                if ended.cut.is_none() {
                    continue;
                }
                let log = harmed.read(&ended);
                assert!(promise.log.starts_with(&log), "{harmed:#?}");
                check(&harmed, &Promise { durable_count: log.len(), log });
                count += 1;
            }
        }
    });
    assert!(count > 1_000, "{count} cut");
}

/// The number up to which a stream is proven, with the frames that the headers cover.
pub(super) fn proven_number(facts: &[SegmentFacts]) -> u64 {
    let ProvenEnd { end, within } = proven_end(facts, None);
    let walked = within.map_or(0, |ProvenWithin { base, len, limit, .. }| {
        let count = len.saturating_sub(HEADER_LEN) / FRAME_LEN;
        (base.get() + count).min(limit.get())
    });
    end.get().max(walked)
}

/// By the pieces that are durable, and by the syncs that returned before the last append.
#[test]
fn what_is_proven_is_durable_and_all_that_was_synced_before_a_later_append_is_proven() {
    let mut count = 0;
    all_histories(&Writer::new(), 5, &mut |writer| {
        let facts = writer.disk.gather();
        let proven = proven_number(&facts);
        let is_durable = |segment: &Segment, frame: Option<&Frame>| {
            segment.name == Piece::Durable
                && segment.header == Piece::Durable
                && frame.is_none_or(|frame| frame.piece == Piece::Durable)
        };
        let found = plan(&facts, None);
        for live in &found.live {
            let segment = writer.disk.segments.iter();
            let mut segment = segment.filter(|segment| segment.ordinal == live.ordinal.get());
            let segment = segment.next().unwrap();
            for number in live.base.get()..live.until.get().min(proven) {
                let frame = &segment.frames[usize::try_from(number - live.base.get()).unwrap()];
                assert!(is_durable(segment, Some(frame)), "{number} {:#?}", writer.disk);
            }
        }
        assert!(proven <= found.end.get(), "{:#?}", writer.disk);
        let mut later = writer.clone();
        // In the middle of a rollback it is open what was promised.
        if later.active().seal.is_some() || found.end.get() != later.promise.log.len() as u64 {
            return;
        }
        later.call(Call::Sync);
        let durable_count = later.promise.durable_count as u64;
        later.call(Call::Append);
        assert_eq!(proven_number(&later.disk.gather()), durable_count, "{:#?}", later.disk);
        // What is damaged stays proven.
        for (harmed, _) in harmed(&later.disk, &later.promise) {
            assert!(proven_number(&harmed.gather()) <= durable_count, "{harmed:#?}");
            count += 1;
        }
    });
    assert!(count > 1_000, "{count} harmed");
}

/// The list of what one look at a damaged log comes to, side by side.
#[test]
fn what_is_given_up_is_named_with_what_could_be_read() {
    let lost = Frames::torn(1).synced(end_of(4));
    let world = [
        facts(0, 0, FileFacts::Scanned(lost.scan(0, seq(5)))),
        facts(1, 5, FileFacts::Scanned(Frames::torn(2).synced(end_of(1)).scan(5, seq(u64::MAX)))),
    ];
    let found = plan(&world, None);
    let ended = plan_cut(&world, None);
    let cut = Cut { from: seq(1), until: seq(7), damage: found.damage.clone() };
    assert_eq!(found.damage.len(), 1);
    assert_eq!((ended.cut, ended.torn), (Some(cut), found.torn));
    let live = LiveSegment { ordinal: ordinal(0), base: seq(0), until: seq(1), len: end_of(1) };
    assert_eq!((ended.live, ended.end), (vec![live], seq(1)));
    assert_eq!(ended.continuation, Continuation::NewSegment(ordinal(2)));
    let ends: Vec<_> = ended.records.iter().map(|record| (record.end, record.len)).collect();
    assert_eq!(ends, [(seq(1), 200), (seq(1), 0)]);
}
