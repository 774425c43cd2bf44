//! Turned bits.

use super::check::{
    Effort, Refusal, Tear, Why, assert_holds, assert_read_around, assert_refused,
    assert_refused_in, assert_torn, report,
};
use super::world::{ENDS, End, Frame, Home, INDEX, Image, STREAM, World, rest_len};

/// Where the format version of a segment stands: bits that may look like a newer one.
const VERSION: std::ops::Range<usize> = 40..42;

fn refused_at(frame: &Frame) -> Refusal {
    let (path, why) = (frame.path.clone(), Why::Damaged(frame.start));
    Refusal { path, why, known: None, lost: frame.entries.clone() }
}

/// What a bit turned in the active segment is found to be.
fn assert_turned(world: &World, end: End, bit: usize, effort: Effort) {
    let last = world.last_frame();
    let path = &last.path;
    let before = world.image(end).turned(path, bit);
    let what = format!("{end:?}, bit {} of byte {}", bit % 8, bit / 8);
    let in_segment = world.in_last_segment();
    let at = bit / 8;
    if at < in_segment[0].start {
        let newer = VERSION.contains(&at) && bit != VERSION.start * 8;
        let refusal = if newer {
            let base = in_segment[0].entries.start;
            // Nothing but a floor tells what is in it.
            let until = if end == End::Closed { world.next() } else { base + 1 };
            let (path, known, lost) = (path.clone(), Some(until), base..until);
            Refusal { path, why: Why::Newer, known, lost }
        } else {
            Refusal { path: path.clone(), why: Why::Header, known: None, lost: 0..0 }
        };
        assert_refused(&before, world, &refusal, effort, &what);
        return;
    }
    let tear = |frame_start: usize, next, turned_bit| Tear {
        next,
        path: path.clone(),
        offset: frame_start,
        rest_len: rest_len(before.get(path), frame_start),
        turned_bit,
    };
    match in_segment.iter().find(|frame| at < frame.end) {
        Some(frame) if end == End::Closed || frame.start != last.start => {
            assert_refused(&before, world, &refused_at(frame), effort, &what);
        }
        Some(frame) => {
            let turned = u64::try_from(bit - frame.start * 8).unwrap();
            let tear = tear(frame.start, frame.entries.start, Some(turned));
            assert_torn(&before, world, &tear, effort, &what);
        }
        // In the zeros behind, which no evidence covers.
        None => {
            assert_torn(&before, world, &tear(last.end, world.next(), None), effort, &what);
        }
    }
}

#[test]
fn a_bit_turned_in_any_frame_of_the_active_segment_is_damage_unless_it_is_the_last() {
    for world in [World::one_segment(), World::segments()] {
        for end in ENDS {
            for bit in 0..(world.last_frame().end + 40) * 8 {
                assert_turned(&world, end, bit, Effort::Lives);
            }
        }
    }
}

#[test]
fn a_bit_turned_in_the_reserved_zeros_is_torn_off_and_costs_nothing() {
    let world = World::one_segment();
    let last = world.last_frame();
    for end in ENDS {
        for bit in (last.end + 40) * 8..world.image(end).get(&last.path).len() * 8 {
            assert_turned(&world, end, bit, Effort::Verdict);
        }
    }
}

/// Every bit of the header of a frame, and of one of a batch, in the middle; iterated from everywhere.
#[test]
fn on_a_disk_a_bit_turned_in_a_header_in_the_middle_is_named_and_hides_nothing() {
    let world = World::one_segment();
    for frame in [&world.frames[1], &world.frames[3]] {
        for bit in (frame.start * 8..(frame.start + 32) * 8).step_by(5) {
            let before = world.killed.turned(&frame.path, bit);
            let what = format!("on a disk, bit {bit}");
            let home = Home::disk(&before);
            assert_refused_in(&home, &world, &refused_at(frame), Effort::Lives, &what);
        }
    }
}

/// Each frame that is lost is an error of its own, also one that would be torn off if it were alone.
#[test]
fn several_damaged_frames_before_a_torn_one_are_one_error_each() {
    let world = World::one_segment();
    let last = world.last_frame();
    let damaged = [&world.frames[1], &world.frames[3]];
    let before = world.killed.with(&last.path, |bytes| {
        bytes[damaged[0].start + 9] ^= 1;
        bytes[damaged[1].start + 33] ^= 1;
        bytes[last.end - 9] ^= 1;
    });
    let home = Home::memory(&before);
    let wal = home.open(&world.options);
    let error = wal.append(STREAM, "refused").unwrap_err();
    assert_eq!(Why::of(&error), Why::Damaged(damaged[0].start), "{error}");
    let mut seqs = Vec::new();
    let mut errors = Vec::new();
    for item in wal.iter(STREAM, ..).unwrap() {
        match item {
            Ok(entry) => {
                assert_eq!(entry.data, world.entries[usize::try_from(entry.seq).unwrap()]);
                seqs.push(entry.seq);
            }
            Err(error) => errors.push(Why::of(&error)),
        }
    }
    let lost = |seq: &u64| damaged.iter().any(|frame| frame.entries.contains(seq));
    let readable = 0..last.entries.start;
    assert_eq!(seqs, readable.filter(|seq| !lost(seq)).collect::<Vec<_>>());
    // The header of the last is valid: that its payload is not is told like any other.
    let starts = [damaged[0].start, damaged[1].start, last.start];
    assert_eq!(errors, starts.map(Why::Damaged));
    wal.close().unwrap();
    assert_eq!(home.image().dir(STREAM), before.dir(STREAM));
}

/// That a log whose sealed segment is wrong somewhere opens, appends, and tells readers of it.
fn assert_seen_by_readers(before: &Image, world: &World, frame: Option<&Frame>, what: &str) {
    let home = Home::memory(before);
    let wal = home.open(&world.options);
    let lost = frame.map_or(0..0, |frame| frame.entries.clone());
    assert_read_around(&wal, &world.entries, &lost, Effort::Lives, what);
    if let Some(frame) = frame {
        for seq in lost.clone() {
            let error = wal.get(STREAM, seq).unwrap_err();
            assert_eq!(Why::of(&error), Why::Damaged(frame.start), "{what}: {error:?}");
            assert!(error.path().unwrap().ends_with(&frame.path), "{what}: {error:?}");
        }
    }
    assert!(report(&wal).is_clean(), "{what}: {:?}", report(&wal));
    assert_eq!(wal.append(STREAM, "goes on").unwrap(), world.next(), "{what}");
    let entries = [&world.entries[..], &[b"goes on".to_vec()]].concat();
    assert_read_around(&wal, &entries, &lost, Effort::Verdict, what);
    for path in before.segments().iter().filter(|path| **path != world.last_frame().path) {
        assert_eq!(home.image().get(path), before.get(path), "{what}");
    }
}

/// A record vouches for it, so that opening does not read it: readers do.
#[test]
fn a_bit_turned_in_a_sealed_segment_is_told_to_readers_of_that_frame_only() {
    let world = World::segments();
    let segments = world.killed.segments();
    for path in &segments[..segments.len() - 1] {
        let in_segment = world.in_segment(path);
        for end in ENDS {
            for bit in 0..world.image(end).get(path).len() * 8 {
                let at = bit / 8;
                let what = format!("{end:?}, bit {} of byte {at} of {path}", bit % 8);
                let before = world.image(end).turned(path, bit);
                if VERSION.contains(&at) && bit != VERSION.start * 8 {
                    let home = Home::memory(&before);
                    let wal = home.open(&world.options);
                    let lost = world.numbers_in(path);
                    let error = wal.get(STREAM, lost.start).unwrap_err();
                    assert_eq!(Why::of(&error), Why::Newer, "{what}");
                    assert_read_around(&wal, &world.entries, &lost, Effort::Verdict, &what);
                    continue;
                }
                let in_frame = |frame: &&&Frame| (frame.start..frame.end).contains(&at);
                let frame = in_segment.iter().find(in_frame).copied();
                assert_seen_by_readers(&before, &world, frame, &what);
            }
        }
    }
}

/// Without its record a sealed segment is read when the stream is opened.
#[test]
fn a_bit_turned_in_a_sealed_segment_is_found_at_opening_if_no_record_vouches_for_it() {
    let world = World::segments();
    let path = &world.killed.segments()[1];
    let in_segment = world.in_segment(path);
    let seal = in_segment.last().unwrap().end;
    for bit in 0..seal * 8 {
        let at = bit / 8;
        let before = world.killed.turned(path, bit).without(INDEX);
        let what = format!("bit {} of byte {at} of {path}", bit % 8);
        let refusal = match in_segment.iter().find(|frame| at < frame.end) {
            Some(frame) if at >= frame.start => refused_at(frame),
            Some(_) | None if VERSION.contains(&at) && bit != VERSION.start * 8 => {
                let lost = world.numbers_in(path);
                Refusal { path: path.clone(), why: Why::Newer, known: None, lost }
            }
            Some(_) | None => {
                Refusal { path: path.clone(), why: Why::Header, known: None, lost: 0..0 }
            }
        };
        assert_refused(&before, &world, &refusal, Effort::Verdict, &what);
    }
}

/// Whatever becomes of the index, no entry does.
#[test]
fn a_bit_turned_anywhere_in_the_index_costs_no_entry() {
    for world in [World::one_segment(), World::segments()] {
        for end in ENDS {
            for bit in 0..world.image(end).get(INDEX).len() * 8 {
                let before = world.image(end).turned(INDEX, bit);
                let what = format!("{end:?}, bit {} of byte {}", bit % 8, bit / 8);
                // The version: two bytes behind the magic.
                if (65..80).contains(&bit) {
                    let (path, lost) = (INDEX.to_owned(), 0..0);
                    let refusal = Refusal { path, why: Why::Newer, known: None, lost };
                    assert_refused(&before, &world, &refusal, Effort::Lives, &what);
                    continue;
                }
                let home = Home::memory(&before);
                let wal = home.open(&world.options);
                assert_holds(&wal, &world.entries, &what);
                let found = report(&wal);
                assert!(found.torn.is_none() && found.damage.is_empty(), "{what}: {found:?}");
                assert_eq!(wal.append(STREAM, "goes on").unwrap(), world.next(), "{what}");
                let killed = Home::memory(&home.image());
                let wal = killed.open(&world.options);
                let entries = [&world.entries[..], &[b"goes on".to_vec()]].concat();
                assert_holds(&wal, &entries, &what);
                assert!(report(&wal).is_clean(), "{what}: {:?}", report(&wal));
            }
        }
    }
}
