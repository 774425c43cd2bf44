//! The index missing, torn, stale, garbage, another's or newer: it is never the only copy of an entry.

use ironwal::IndexFinding;

use super::check::{
    Effort, Refusal, Why, assert_holds, assert_recovering_again_changes_nothing, assert_refused,
    report,
};
use super::world::{ENDS, Home, INDEX, Image, STREAM, TINY, World};

/// That every entry is there, the index is as it should be afterwards, and appends go on.
fn assert_rebuilt(before: &Image, world: &World, finding: IndexFinding, what: &str) {
    let home = Home::memory(before);
    let wal = home.open(&world.options);
    assert_holds(&wal, &world.entries, what);
    let found = report(&wal);
    assert_eq!(found.index, finding, "{what}");
    assert!(found.torn.is_none() && found.damage.is_empty(), "{what}: {found:?}");
    assert_eq!(wal.append(STREAM, "goes on").unwrap(), world.next(), "{what}");
    let entries = [&world.entries[..], &[b"goes on".to_vec()]].concat();
    for ended in ["killed", "closed"] {
        let image = home.image();
        let again = Home::memory(&image);
        let wal = again.open(&world.options);
        assert_holds(&wal, &entries, what);
        assert!(report(&wal).is_clean(), "{what}, {ended}: {:?}", report(&wal));
        wal.close().unwrap();
        home.put(&again.image());
    }
    assert_recovering_again_changes_nothing(before, world, Effort::Lives, what);
}

#[test]
fn a_missing_index_is_made_again_and_told_of() {
    for world in [World::one_segment(), World::segments()] {
        for end in ENDS {
            let before = world.image(end).without(INDEX);
            assert_rebuilt(&before, &world, IndexFinding::Missing, &format!("{end:?}"));
        }
    }
}

#[test]
fn an_index_cut_at_any_byte_costs_no_entry_and_a_torn_end_is_not_even_told_of() {
    for world in [World::one_segment(), World::segments()] {
        for end in ENDS {
            for len in 0..world.image(end).get(INDEX).len() {
                for rest in [0, 31, 32, 500] {
                    let before = world.image(end).with(INDEX, |bytes| {
                        bytes.truncate(len);
                        bytes.resize(len + rest, 0);
                    });
                    // The header has 96 bytes; the end of it is padding.
                    let has_header = before.get(INDEX).len() >= 96 && len >= 65;
                    let finding =
                        if has_header { IndexFinding::Sound } else { IndexFinding::Wrong };
                    let what = format!("{end:?}, {len} bytes and {rest} zeros");
                    assert_rebuilt(&before, &world, finding, &what);
                }
            }
        }
    }
}

#[test]
fn garbage_and_the_index_of_another_stream_are_replaced_and_told_of() {
    for world in [World::one_segment(), World::segments()] {
        // The same keys and entries, other ids: another incarnation.
        let another = World::with_ids_from(77, &world.options, &[&[b"another"]]);
        let garbage: [(&str, Vec<u8>); 5] = [
            ("text", b"To be, or not to be, that is the question".repeat(9)),
            ("one kind of byte", vec![0xA7; 4096]),
            ("a segment", world.killed.get(&world.last_frame().path).to_vec()),
            ("the index of another stream", world.closed.get("other/segments.idx").to_vec()),
            ("a header and garbage", {
                let header = &another.closed.get(INDEX)[..64];
                [header, &[0x55; 640]].concat()
            }),
        ];
        for end in ENDS {
            for (name, bytes) in &garbage {
                let mut before = world.image(end).clone();
                before.set(INDEX, bytes.clone());
                assert_rebuilt(&before, &world, IndexFinding::Wrong, &format!("{end:?}, {name}"));
            }
        }
    }
}

/// Where the segments agree, the index is the stranger. Where there is but one, nothing tells: the
/// stream is refused, and an operator who removes the index has it made again.
#[test]
fn the_index_of_another_incarnation_is_replaced_if_the_segments_agree() {
    let world = World::segments();
    let another = World::with_ids_from(77, &world.options, &[&[b"another"]]);
    for end in ENDS {
        let mut before = world.image(end).clone();
        before.set(INDEX, another.closed.get(INDEX).to_vec());
        assert_rebuilt(&before, &world, IndexFinding::Wrong, &format!("{end:?}"));
    }
    let world = World::one_segment();
    let path = &world.last_frame().path;
    for end in ENDS {
        let mut before = world.image(end).clone();
        before.set(INDEX, another.image(end).get(INDEX).to_vec());
        let known = Some(1);
        let refusal = Refusal { path: path.clone(), why: Why::Foreign, known, lost: 0..1 };
        assert_refused(&before, &world, &refusal, Effort::Lives, &format!("{end:?}"));
        before.0.remove(INDEX);
        assert_rebuilt(&before, &world, IndexFinding::Missing, &format!("{end:?}, removed"));
    }
}

/// Garbage behind the last record is a torn end, and so is a record without its checksum.
#[test]
fn garbage_behind_the_records_is_a_torn_end() {
    let world = World::segments();
    for end in ENDS {
        for len in [1, 31, 32, 33, 64, 500] {
            let before = world.image(end).with(INDEX, |bytes| bytes.extend(vec![0x5A; len]));
            let what = format!("{end:?}, {len} bytes");
            assert_rebuilt(&before, &world, IndexFinding::Sound, &what);
        }
    }
}

/// Segments that it does not know are found by looking on.
#[test]
fn an_older_copy_of_the_index_costs_no_entry() {
    let world = World::segments();
    let whole = world.closed.get(INDEX);
    let records = (whole.len() - 96) / 32;
    assert!(records >= 4, "{records}");
    for end in ENDS {
        for record_count in 0..records {
            let before = world
                .image(end)
                .with(INDEX, |bytes| *bytes = whole[..96 + record_count * 32].into());
            let what = format!("{end:?}, {record_count} of {records} records");
            assert_rebuilt(&before, &world, IndexFinding::Sound, &what);
        }
    }
}

/// Several lives, one of which ends in a tear, and the index of each moment of them.
#[test]
fn the_index_of_any_earlier_moment_costs_no_entry() {
    let mut world = World::one_segment();
    world.options = TINY;
    let torn = world.last_frame().clone();
    let mut image = world.killed.with(&torn.path, |bytes| bytes.truncate(torn.end - 1));
    world.entries.truncate(usize::try_from(torn.entries.start).unwrap());
    let mut indexes = vec![image.get(INDEX).to_vec()];
    for life in 0..4 {
        let home = Home::memory(&image);
        let wal = home.open(&world.options);
        for n in 0..5 {
            let entry = format!("life {life}, entry {n}").into_bytes();
            assert_eq!(wal.append(STREAM, &entry).unwrap(), world.next());
            world.entries.push(entry);
            indexes.push(home.image().get(INDEX).to_vec());
        }
        world.killed = home.image();
        wal.close().unwrap();
        world.closed = home.image();
        image = world.image(ENDS[life % 2]).clone();
        indexes.push(world.closed.get(INDEX).to_vec());
    }
    assert!(world.killed.segments().len() > 3, "{:?}", world.killed.segments());
    indexes.dedup();
    assert!(indexes.len() > 6, "{}", indexes.len());
    for end in ENDS {
        for (n, index) in indexes.iter().enumerate() {
            let mut before = world.image(end).clone();
            before.set(INDEX, index.clone());
            let what = format!("{end:?}, index {n} of {}", indexes.len());
            assert_rebuilt(&before, &world, IndexFinding::Sound, &what);
        }
    }
}

/// A record that is bad in the middle hides none behind it.
#[test]
fn a_bad_record_in_the_middle_is_told_of_and_costs_nothing() {
    let world = World::segments();
    for end in ENDS {
        let len = world.image(end).get(INDEX).len();
        for at in (96..len - 32).step_by(32) {
            let before = world.image(end).with(INDEX, |bytes| bytes[at..at + 32].fill(0x77));
            let what = format!("{end:?}, the record at {at}");
            assert_rebuilt(&before, &world, IndexFinding::Wrong, &what);
        }
    }
}

#[test]
fn an_index_of_a_newer_version_is_left_alone_and_everything_is_read() {
    let world = World::segments();
    for end in ENDS {
        let before = world.image(end).with(INDEX, |bytes| bytes[8] = 2);
        let refusal = Refusal { path: INDEX.to_owned(), why: Why::Newer, known: None, lost: 0..0 };
        assert_refused(&before, &world, &refusal, Effort::Lives, &format!("{end:?}"));
    }
}

/// What a crash in the replacing of an index leaves beside it.
#[test]
fn what_is_left_of_an_index_that_was_to_take_its_place_is_removed() {
    let world = World::segments();
    let temp = format!("{INDEX}.new");
    for end in ENDS {
        for len in [0, 40, 96, world.image(end).get(INDEX).len()] {
            let mut before = world.image(end).clone();
            before.set(&temp, before.get(INDEX)[..len].to_vec());
            let what = format!("{end:?}, {len} bytes of it");
            assert_rebuilt(&before, &world, IndexFinding::Sound, &what);
            let home = Home::memory(&before);
            let wal = home.open(&world.options);
            assert_holds(&wal, &world.entries, &what);
            assert!(!home.image().0.contains_key(&temp), "{what}");
        }
    }
}
