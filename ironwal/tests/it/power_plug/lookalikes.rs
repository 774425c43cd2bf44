//! Entries that hold the bytes of segments and frames.

use super::check::{Effort, Refusal, Tear, Why, assert_clean, assert_refused, assert_torn};
use super::world::{ENDS, End, WIDE, World, rest_len};

/// A whole segment of the same stream as an entry, at each alignment, and its frames alone: the same
/// ids, the same salt, only the place in the file is another.
fn world() -> World {
    // The same ids in each world, so that the salts are the same.
    let inner = World::one_segment();
    let segment = inner.killed.get(&inner.last_frame().path);
    let written = &segment[..inner.last_frame().end];
    let shifted: Vec<Vec<u8>> = (0..8).map(|n| [&vec![0; n], written].concat()).collect();
    let frames: Vec<u8> = segment[inner.frames[0].start..inner.last_frame().end].to_vec();
    let mut batches: Vec<Vec<&[u8]>> = vec![vec![b"before"], vec![segment], vec![&frames]];
    batches.extend(shifted.iter().map(|entry| vec![entry.as_slice()]));
    batches.push(shifted.iter().map(Vec::as_slice).collect());
    batches.push(vec![&frames, segment]);
    batches.push(vec![&frames]);
    let batches: Vec<&[&[u8]]> = batches.iter().map(Vec::as_slice).collect();
    World::new(&WIDE, &batches)
}

#[test]
fn entries_that_hold_segments_are_entries() {
    let world = world();
    for end in ENDS {
        let what = format!("{end:?}");
        assert_clean(world.image(end), &world, world.next(), Effort::Lives, &what);
    }
}

/// Its header gone, a frame is searched for headers through and through.
#[test]
fn nothing_in_an_entry_is_read_as_a_frame_when_the_frame_around_it_is_damaged() {
    let world = world();
    for end in ENDS {
        for (n, frame) in world.frames.iter().enumerate() {
            for damage in ["one bit of the header", "the header", "half of the frame"] {
                let before = world.image(end).with(&frame.path, |bytes| match damage {
                    "one bit of the header" => bytes[frame.start + 20] ^= 4,
                    "the header" => bytes[frame.start..frame.start + 32].fill(0),
                    _ => bytes[frame.start..frame.start.midpoint(frame.end)].fill(0),
                });
                let what = format!("{end:?}, {damage} of frame {n}");
                if end == End::Killed && n + 1 == world.frames.len() {
                    let turned_bit = (damage == "one bit of the header").then_some(20 * 8 + 2);
                    let tear = Tear {
                        next: frame.entries.start,
                        path: frame.path.clone(),
                        offset: frame.start,
                        rest_len: rest_len(before.get(&frame.path), frame.start),
                        turned_bit,
                    };
                    assert_torn(&before, &world, &tear, Effort::Lives, &what);
                } else {
                    let refusal = Refusal {
                        path: frame.path.clone(),
                        why: Why::Damaged(frame.start),
                        known: None,
                        lost: frame.entries.clone(),
                    };
                    assert_refused(&before, &world, &refusal, Effort::Lives, &what);
                }
            }
        }
    }
}

/// What is left of the file begins in the middle of an entry that holds a segment.
#[test]
fn nothing_in_an_entry_is_read_as_a_frame_when_it_is_all_that_arrived() {
    let world = world();
    let last = world.last_frame();
    for kept_from in (last.start + 8..last.end).step_by(56) {
        let before = world.killed.with(&last.path, |bytes| bytes[last.start..kept_from].fill(0));
        let tear = Tear {
            next: last.entries.start,
            path: last.path.clone(),
            offset: last.start,
            rest_len: rest_len(before.get(&last.path), last.start),
            turned_bit: None,
        };
        if tear.rest_len == 0 {
            continue;
        }
        let what = format!("kept from {kept_from}");
        assert_torn(&before, &world, &tear, Effort::Lives, &what);
    }
}
