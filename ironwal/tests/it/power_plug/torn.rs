//! Ends that did not arrive, or not as they were written.

use super::check::{
    Effort, Refusal, Tear, Why, assert_clean, assert_holds, assert_kept, assert_refused,
    assert_refused_in, assert_torn, assert_torn_in, report,
};
use super::world::{ENDS, End, Frame, Home, INDEX, Image, STREAM, WIDE, World, frames, rest_len};

/// The verdict on a frame that is not whole, and behind which nothing is.
fn assert_ends_at(before: &Image, world: &World, end: End, frame: &Frame, what: &str) {
    let bytes = before.get(&frame.path);
    match end {
        End::Killed if rest_len(bytes, frame.start) == 0 => {
            assert_clean(before, world, frame.entries.start, Effort::Lives, what);
        }
        End::Killed => {
            let tear = Tear {
                next: frame.entries.start,
                path: frame.path.clone(),
                offset: frame.start,
                rest_len: rest_len(bytes, frame.start),
                turned_bit: None,
            };
            assert_torn(before, world, &tear, Effort::Lives, what);
        }
        End::Closed => {
            let refusal = Refusal {
                path: frame.path.clone(),
                why: Why::Damaged(frame.start),
                known: None,
                lost: frame.entries.start..world.next(),
            };
            assert_refused(before, world, &refusal, Effort::Lives, what);
        }
    }
}

#[test]
fn a_log_cut_at_any_byte_ends_there_or_is_damaged_there() {
    for world in [World::one_segment(), World::segments()] {
        for end in ENDS {
            let image = world.image(end);
            let path = &world.last_frame().path;
            let in_segment = world.in_last_segment();
            for cut in in_segment[0].start..image.get(path).len() {
                let before = image.with(path, |bytes| bytes.truncate(cut));
                let what = format!("{end:?}, cut at {cut} of {path}");
                match in_segment.iter().find(|frame| cut < frame.end) {
                    Some(frame) => assert_ends_at(&before, &world, end, frame, &what),
                    None if cut % 509 == 0 => {
                        assert_clean(&before, &world, world.next(), Effort::Lives, &what);
                    }
                    None => {}
                }
            }
        }
    }
}

#[test]
fn a_last_frame_of_which_only_a_part_arrived_before_zeros_is_torn_or_damaged() {
    let world = World::one_segment();
    let frame = world.last_frame();
    for end in ENDS {
        for arrived in 0..frame.end - frame.start {
            for from_the_front in [true, false] {
                let before = world.image(end).with(&frame.path, |bytes| {
                    let lost = if from_the_front {
                        frame.start + arrived..frame.end
                    } else {
                        frame.start..frame.end - arrived
                    };
                    bytes[lost].fill(0);
                });
                if before == *world.image(end) {
                    continue;
                }
                let what = format!("{end:?}, {arrived} bytes, of the front: {from_the_front}");
                assert_ends_at(&before, &world, end, frame, &what);
            }
        }
    }
}

/// A floor of an earlier life proves what it covers, whatever becomes of the frames behind it.
#[test]
fn a_cut_below_an_earlier_floor_is_damage_and_one_behind_it_is_torn() {
    let mut world = World::one_segment();
    let floor = world.last_frame().end;
    let home = Home::memory(&world.closed);
    let wal = home.open(&WIDE);
    for entry in ["behind the floor", "and one more"] {
        assert_eq!(wal.append(STREAM, entry).unwrap(), world.next());
        world.entries.push(entry.as_bytes().to_vec());
    }
    world.killed = home.image();
    let path = world.last_frame().path.clone();
    let covered = world.entries.len() as u64 - 2;
    world.frames = frames(&path, world.killed.get(&path));
    assert_eq!(world.frames.len(), 8);
    for cut in world.frames[0].start..world.last_frame().end {
        let before = world.killed.with(&path, |bytes| bytes.truncate(cut));
        let frame = world.frames.iter().find(|frame| cut < frame.end).unwrap();
        let what = format!("cut at {cut}");
        let home = Home::memory(&before);
        let wal = home.open(&WIDE);
        let appended = wal.append(STREAM, "goes on");
        let found = report(&wal);
        if cut >= floor {
            assert_eq!(appended.unwrap(), frame.entries.start, "{what}");
            assert_eq!(found.torn.is_some(), cut > frame.start, "{what}: {found:?}");
            assert!(found.damage.is_empty(), "{what}: {found:?}");
        } else {
            let refusal = Refusal {
                path: path.clone(),
                why: Why::Damaged(frame.start),
                known: Some(covered),
                lost: frame.entries.start..covered,
            };
            assert_eq!(Why::of(&appended.unwrap_err()), refusal.why, "{what}");
            assert_refused(&before, &world, &refusal, Effort::Verdict, &what);
        }
    }
}

/// One entry behind those of [`World::one_segment`], in a stream with an id of its own.
fn one_longer(first_id: u64) -> World {
    let batches: [&[&[u8]]; 7] = [
        &[b"first entry"],
        &[b"a", b"", b"three"],
        &[b""],
        &[b"an entry that ends at a multiple of eight bytes.."],
        &[b"batch", &[0; 9]],
        &[b"the last one of all"],
        &[b"one more"],
    ];
    World::with_ids_from(first_id, &WIDE, &batches)
}

/// What a frame that was being written leaves behind those that are whole.
#[test]
fn a_partial_header_behind_the_last_frame_is_torn_however_the_writer_ended() {
    let world = World::one_segment();
    let longer = one_longer(1);
    let (last, next) = (world.last_frame(), longer.last_frame());
    assert_eq!((last.end, &last.path), (next.start, &next.path));
    let header = &longer.killed.get(&next.path)[next.start..next.start + 32];
    for end in ENDS {
        for len in 1..=31 {
            for rest in ["missing", "zeros"] {
                let before = world.image(end).with(&last.path, |bytes| {
                    bytes[last.end..last.end + len].copy_from_slice(&header[..len]);
                    if rest == "missing" {
                        bytes.truncate(last.end + len);
                    }
                });
                let what = format!("{end:?}, {len} bytes of a header, the rest {rest}");
                assert_rest_is_torn_off(&before, &world, &what);
            }
        }
    }
}

/// That nothing is lost of the log, and what is behind its last frame is no part of it.
fn assert_rest_is_torn_off(before: &Image, world: &World, what: &str) {
    let last = world.last_frame();
    let tear = Tear {
        next: world.next(),
        path: last.path.clone(),
        offset: last.end,
        rest_len: rest_len(before.get(&last.path), last.end),
        turned_bit: None,
    };
    assert_torn(before, world, &tear, Effort::Lives, what);
}

/// Stale blocks: a whole frame at the very place, with the very number, of another incarnation.
#[test]
fn a_frame_of_another_incarnation_at_the_very_place_is_never_accepted() {
    let world = World::one_segment();
    let last = world.last_frame();
    for (first_id, is_ours) in [(1, true), (77, false)] {
        let longer = one_longer(first_id);
        let next = longer.last_frame();
        assert_eq!((last.end, &last.path), (next.start, &next.path));
        let bytes = &longer.killed.get(&next.path)[next.start..next.end];
        for end in ENDS {
            let before = world.image(end).with(&last.path, |file| {
                file[next.start..next.end].copy_from_slice(bytes);
            });
            let what = format!("{end:?}, ours: {is_ours}");
            if is_ours {
                assert_clean(&before, &longer, longer.next(), Effort::Verdict, &what);
            } else {
                assert_rest_is_torn_off(&before, &world, &what);
            }
        }
    }
}

#[test]
fn zeros_behind_the_last_frame_are_its_normal_end() {
    let world = World::one_segment();
    let path = &world.last_frame().path;
    for end in ENDS {
        for len in [0, 1, 7, 8, 31, 1024, 1025, 4096, 70_000, 1 << 20] {
            for cut in [true, false] {
                let before = world.image(end).with(path, |bytes| {
                    if cut {
                        bytes.truncate(world.last_frame().end);
                    }
                    bytes.extend(vec![0; len]);
                });
                let what = format!("{end:?}, {len} zeros");
                assert_clean(&before, &world, world.next(), Effort::Lives, &what);
            }
        }
    }
}

#[test]
fn garbage_behind_the_last_frame_is_torn_off_and_kept_however_the_writer_ended() {
    let world = World::one_segment();
    let last = world.last_frame();
    let whole = world.killed.get(&last.path);
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        state.to_le_bytes()[6]
    };
    let garbage: Vec<Vec<u8>> = vec![
        vec![1],
        vec![0xA7; 1000],
        b"To be, or not to be, that is the question".repeat(30),
        (0..5000).map(|_| noise()).collect(),
        // Frames of this segment, at another place.
        whole[world.frames[0].start..last.end].to_vec(),
        whole[last.start..last.end].to_vec(),
        whole[..last.end].to_vec(),
        [&[0; 600], &whole[world.frames[1].start..last.end]].concat(),
    ];
    for end in ENDS {
        for (n, garbage) in garbage.iter().enumerate() {
            for place in ["at the end", "over zeros", "behind zeros"] {
                let before = world.image(end).with(&last.path, |bytes| match place {
                    "at the end" => {
                        bytes.truncate(last.end);
                        bytes.extend(garbage);
                    }
                    "over zeros" => {
                        bytes.resize(bytes.len().max(last.end + garbage.len() + 100), 0);
                        bytes[last.end..last.end + garbage.len()].copy_from_slice(garbage);
                    }
                    _ => bytes.extend(garbage),
                });
                let what = format!("{end:?}, garbage {n} {place}");
                assert_rest_is_torn_off(&before, &world, &what);
            }
        }
    }
}

fn large_frame() -> World {
    let large: Vec<u8> = (0..12_u32 << 10).map(|n| (n % 251 + 1).to_le_bytes()[0]).collect();
    World::new(&WIDE, &[&[b"before"], &[b"two", b"more"], &[&large[32..]]])
}

#[test]
fn a_large_frame_of_which_only_some_sectors_arrived_is_torn_or_damaged() {
    let world = large_frame();
    let frame = world.last_frame();
    assert_eq!(frame.end - frame.start, 12 << 10);
    for end in ENDS {
        let image = world.image(end);
        let before = image.with(&frame.path, |bytes| bytes.truncate(frame.start + 4096));
        assert_ends_at(&before, &world, end, frame, &format!("{end:?}, 4 KiB"));
        let before = image.with(&frame.path, |bytes| bytes[frame.start + 4096..].fill(0));
        assert_ends_at(&before, &world, end, frame, &format!("{end:?}, 4 KiB, then zeros"));
        let sectors: Vec<_> = (frame.start.next_multiple_of(512)..frame.end).step_by(512).collect();
        for (at, stale) in sectors.iter().flat_map(|at| [(*at, 0), (*at, 0x55)]) {
            let before = image.with(&frame.path, |bytes| {
                let end = bytes.len().min(at + 512);
                bytes[at..end].fill(stale);
            });
            let what = format!("{end:?}, the sector at {at} is {stale}");
            assert_ends_at(&before, &world, end, frame, &what);
        }
    }
}

#[test]
fn on_a_disk_a_torn_frame_is_cut_off_or_damaged_as_in_memory() {
    let world = large_frame();
    let frame = world.last_frame();
    for arrived in [1, 31, 32, 40, 4096, 12_000] {
        let tear = |bytes: &mut Vec<u8>| bytes.truncate(frame.start + arrived);
        let before = world.killed.with(&frame.path, tear);
        let tear_found = Tear {
            next: frame.entries.start,
            path: frame.path.clone(),
            offset: frame.start,
            rest_len: rest_len(before.get(&frame.path), frame.start),
            turned_bit: None,
        };
        let what = format!("on a disk, {arrived} bytes arrived");
        assert_torn_in(&Home::disk(&before), &world, &tear_found, Effort::Lives, &what);
        let before = world.closed.with(&frame.path, tear);
        let refusal = Refusal {
            path: frame.path.clone(),
            why: Why::Damaged(frame.start),
            known: None,
            lost: frame.entries.clone(),
        };
        assert_refused_in(&Home::disk(&before), &world, &refusal, Effort::Lives, &what);
    }
}

/// The last frame of the newest segment.
fn newest_frame(image: &Image) -> Frame {
    let mut segments = image.segments();
    segments.sort_unstable_by_key(|path| path.split_once('-').unwrap().1.to_owned());
    let path = segments.pop().unwrap();
    frames(&path, image.get(&path)).pop().unwrap()
}

/// The same number is lost again and again, or some are appended in between.
#[test]
fn the_same_tear_again_and_again_loses_the_last_frame_each_time_and_nothing_else() {
    for between in [0, 1, 3] {
        let world = World::one_segment();
        let mut entries = world.entries.clone();
        let mut image = world.killed.clone();
        for round in 0..8 {
            let what = format!("{between} appended in between, round {round}");
            let frame = newest_frame(&image);
            let count = usize::try_from(frame.entries.end - frame.entries.start).unwrap();
            entries.truncate(entries.len() - count);
            let torn = image.with(&frame.path, |bytes| match round % 3 {
                0 => bytes[frame.start] = 0,
                1 => bytes[frame.start + 20..].fill(0),
                _ => bytes.truncate(frame.start + 1),
            });
            let home = Home::memory(&torn);
            let wal = home.open(&WIDE);
            assert_holds(&wal, &entries, &what);
            let report = report(&wal);
            let at = report.torn.as_ref().map(|torn| torn.offset);
            assert_eq!(at, Some(frame.start as u64), "{what}: {report:?}");
            assert!(report.damage.is_empty(), "{what}: {report:?}");
            for n in 0..=between {
                let entry = format!("round {round}, {n}").into_bytes();
                assert_eq!(wal.append(STREAM, &entry).unwrap(), entries.len() as u64);
                entries.push(entry);
            }
            assert_holds(&wal, &entries, &what);
            assert_kept(&torn, &home.image(), &what);
            image = home.image();
        }
        let home = Home::memory(&image);
        let wal = home.open(&WIDE);
        assert_holds(&wal, &entries, "at the end");
    }
}

#[test]
fn on_a_disk_the_same_header_is_set_aside_twice() {
    let world = World::segments();
    let [.., sealed, last] = &world.killed.segments()[..] else { panic!() };
    let kept = world.numbers_in(sealed).end;
    let index = world.killed.get(INDEX);
    let mut image = world.killed.clone();
    for round in 0..3_u8 {
        image.set(INDEX, index[..index.len() - 32].to_vec());
        image.set(last, vec![0; 100 + usize::from(round)]);
        let home = Home::disk(&image);
        let wal = home.open(&world.options);
        assert_holds(&wal, &world.entries[..usize::try_from(kept).unwrap()], "on a disk");
        assert!(report(&wal).set_aside.is_some(), "{:?}", report(&wal));
        assert_kept(&image, &home.image(), "on a disk");
        assert_eq!(wal.append(STREAM, "next").unwrap(), kept);
        image = home.image();
    }
    assert!(image.0.contains_key(&format!("{last}.torn.2")), "{:?}", image.0.keys());
}

/// Recovery itself is killed: its new segment is there, in each state, and the index is the old one.
#[test]
fn a_recovery_that_was_killed_is_done_again_with_the_same_log() {
    let world = World::one_segment();
    let frame = world.last_frame();
    let torn = world.killed.with(&frame.path, |bytes| bytes[frame.end - 10..].fill(0));
    let home = Home::memory(&torn);
    let wal = home.open(&WIDE);
    assert_eq!(wal.next_seq(STREAM).unwrap(), frame.entries.start);
    let recovered = home.image();
    let new = recovered.segments().pop().unwrap();
    assert_ne!(new, frame.path);
    let entries = &world.entries[..usize::try_from(frame.entries.start).unwrap()];
    for len in 0..=recovered.get(&new).len() {
        for rest in [0, 4096] {
            let mut before = torn.clone();
            let mut bytes = recovered.get(&new)[..len].to_vec();
            bytes.resize(len + rest, 0);
            before.set(&new, bytes);
            let what = format!("{len} bytes of the new segment, {rest} zeros");
            let home = Home::memory(&before);
            let wal = home.open(&WIDE);
            assert_holds(&wal, entries, &what);
            let found = report(&wal);
            // The header ends in zeros.
            let header = recovered.get(&new);
            let is_whole = before.get(&new).starts_with(header);
            assert_eq!(found.set_aside.is_some(), !is_whole, "{what}: {found:?}");
            assert!(found.damage.is_empty(), "{what}: {found:?}");
            assert_eq!(wal.append(STREAM, "again").unwrap(), frame.entries.start, "{what}");
            assert_kept(&torn, &home.image(), &what);
            let killed = Home::memory(&home.image());
            let wal = killed.open(&WIDE);
            let again = [entries, &[b"again".to_vec()]].concat();
            assert_holds(&wal, &again, &what);
            assert!(report(&wal).is_clean(), "{what}");
        }
    }
}

/// A crash in a rotation leaves a sealed segment and one without a header. Twice at the same place.
#[test]
fn a_new_segment_without_a_header_is_set_aside_and_its_ordinal_used_again() {
    let world = World::segments();
    let [.., sealed, last] = &world.killed.segments()[..] else { panic!() };
    let kept = world.numbers_in(sealed).end;
    let entries = &world.entries[..usize::try_from(kept).unwrap()];
    // Without the zeros that the header ends in.
    let header_len = world.in_segment(last)[0].start - 7;
    assert_eq!(world.killed.get(last)[header_len - 1..header_len + 7], *b"s\0\0\0\0\0\0\0");
    // The index as it was before the sealed record of the last rotation was appended.
    let index_len = world.killed.get(INDEX).len() - 32;
    for len in 0..header_len {
        for rest in [0, 4096] {
            let mut image = world.killed.with(INDEX, |bytes| bytes.truncate(index_len));
            let header = world.killed.get(last)[..len].to_vec();
            let mut expected = Vec::new();
            for round in 0..4_usize {
                let mut bytes = header.clone();
                bytes.resize(len + rest, 0);
                // What was set aside differs each time.
                bytes.extend(vec![0; round]);
                expected.push(bytes.clone());
                image.set(last, bytes);
                image.set(INDEX, world.killed.get(INDEX)[..index_len].to_vec());
                let what = format!("{len} bytes of a header, {rest} zeros, round {round}");
                let home = Home::memory(&image);
                let wal = home.open(&world.options);
                assert_holds(&wal, entries, &what);
                let found = report(&wal);
                assert!(found.damage.is_empty() && !found.is_clean(), "{what}: {found:?}");
                let suffix = if round == 0 { String::new() } else { format!(".{round}") };
                let aside = format!("{last}.torn{suffix}");
                assert!(found.set_aside.unwrap().ends_with(&aside), "{what}");
                let after = home.image();
                assert!(after.0.contains_key(last), "{what}: the ordinal is used again");
                for (n, bytes) in expected.iter().enumerate() {
                    let suffix = if n == 0 { String::new() } else { format!(".{n}") };
                    assert_eq!(after.get(&format!("{last}.torn{suffix}")), bytes, "{what}");
                }
                assert_eq!(wal.append(STREAM, "next").unwrap(), kept, "{what}");
                image = after;
            }
        }
    }
}

/// A floor or a sealed record vouches for the header of the segment that recovery makes.
#[test]
fn the_header_of_a_segment_that_anything_vouches_for_is_never_set_aside() {
    let world = World::segments();
    let last = world.killed.segments().pop().unwrap();
    let header_len = world.in_segment(&last)[0].start;
    for end in ENDS {
        for len in 0..header_len {
            let before = world.image(end).with(&last, |bytes| bytes[len..header_len].fill(0));
            if before == *world.image(end) {
                continue;
            }
            let refusal = Refusal { path: last.clone(), why: Why::Header, known: None, lost: 0..0 };
            let what = format!("{end:?}, {len} bytes of the header");
            assert_refused(&before, &world, &refusal, Effort::Lives, &what);
        }
    }
}
