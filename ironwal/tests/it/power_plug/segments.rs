//! Segments that are missing, short, doubled, another's, newer, or no segments at all.

use super::check::{
    Effort, Refusal, Why, assert_clean, assert_holds, assert_read_around, assert_refused,
    assert_refused_in, report,
};
use super::world::{ENDS, End, Home, INDEX, Image, STREAM, World};

/// A refusal of one segment as a whole. Of the last one nothing tells what it held, unless a floor.
fn unreadable(world: &World, end: End, path: &str, why: Why) -> Refusal {
    let lost = world.numbers_in(path);
    let path = path.to_owned();
    if path == world.last_frame().path && end == End::Killed {
        let lost = lost.start..lost.start + 1;
        Refusal { path, why, known: Some(lost.end), lost }
    } else {
        Refusal { path, why, known: None, lost }
    }
}

#[test]
fn a_missing_segment_is_named_and_everything_else_is_read() {
    let world = World::segments();
    for end in ENDS {
        for path in &world.killed.segments() {
            let before = world.image(end).without(path);
            let refusal = unreadable(&world, end, path, Why::Missing);
            let what = format!("{end:?}, without {path}");
            assert_refused(&before, &world, &refusal, Effort::Lives, &what);
            if path == &world.killed.segments()[1] {
                assert_refused_in(&Home::disk(&before), &world, &refusal, Effort::Lives, &what);
            }
        }
        let world = World::one_segment();
        let path = &world.last_frame().path;
        let before = world.image(end).without(path);
        let refusal = unreadable(&world, end, path, Why::Missing);
        assert_refused(&before, &world, &refusal, Effort::Lives, &format!("{end:?}, the only one"));
    }
}

/// A gap is seen without the index too, but for the first and the last.
#[test]
fn a_missing_segment_in_the_middle_is_named_without_an_index() {
    let world = World::segments();
    let segments = world.killed.segments();
    for end in ENDS {
        for path in &segments[1..segments.len() - 1] {
            let before = world.image(end).without(path).without(INDEX);
            let refusal = unreadable(&world, end, path, Why::Missing);
            let what = format!("{end:?}, without {path}");
            assert_refused(&before, &world, &refusal, Effort::Lives, &what);
        }
    }
}

#[test]
fn a_short_sealed_segment_is_named_and_what_is_left_of_it_is_read() {
    let world = World::segments();
    let segments = world.killed.segments();
    for end in ENDS {
        for path in &segments[..segments.len() - 1] {
            for len in 0..world.killed.get(path).len() {
                let before = world.image(end).with(path, |bytes| bytes.truncate(len));
                let numbers = world.numbers_in(path);
                let cut = world.in_segment(path).into_iter().find(|frame| len < frame.end);
                let lost = cut.map_or(0..0, |frame| frame.entries.start..numbers.end);
                let refusal = Refusal { path: path.clone(), why: Why::Short, known: None, lost };
                let what = format!("{end:?}, {len} bytes of {path}");
                assert_refused(&before, &world, &refusal, Effort::Lives, &what);
            }
        }
    }
}

/// A record tells how long a sealed segment is.
#[test]
fn what_is_behind_a_seal_is_not_read() {
    let world = World::segments();
    let segments = world.killed.segments();
    for end in ENDS {
        for path in &segments[..segments.len() - 1] {
            for garbage in [vec![0; 4096], vec![0xA7; 999], world.killed.get(path).to_vec()] {
                let before = world.image(end).with(path, |bytes| bytes.extend(garbage));
                let what = format!("{end:?}, more behind {path}");
                assert_clean(&before, &world, world.next(), Effort::Verdict, &what);
            }
        }
    }
}

fn renamed(path: &str, base: u64, ordinal: u64) -> String {
    assert!(path.starts_with("s/"));
    format!("s/{base:020}-{ordinal:010}.wal")
}

#[test]
fn a_doubled_ordinal_is_named_and_everything_is_read() {
    let world = World::segments();
    let segments = world.killed.segments();
    for end in ENDS {
        for indexed in [true, false] {
            for (ordinal, path) in (0..).zip(&segments) {
                for base in [0, 1, 7, 1_000] {
                    let double = renamed(path, base, ordinal);
                    if world.killed.0.contains_key(&double) {
                        continue;
                    }
                    let mut before = world.image(end).clone();
                    before.set(&double, before.get(path).to_vec());
                    if !indexed {
                        before.0.remove(INDEX);
                    }
                    let refusal = Refusal {
                        path: double.clone(),
                        why: Why::Foreign,
                        known: None,
                        lost: 0..0,
                    };
                    let what = format!("{end:?}, index: {indexed}, {path} doubled as {double}");
                    assert_refused(&before, &world, &refusal, Effort::Lives, &what);
                }
            }
        }
    }
}

/// The bytes that take the place of a segment, and what they are found to be.
fn strangers(world: &World, path: &str) -> Vec<(&'static str, Vec<u8>, Why)> {
    let another = World::with_ids_from(77, &world.options, &[&[b"another"]]);
    let len = world.killed.get(path).len();
    // As long as the segment was, so that its length does not give it away.
    let sized = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().max(len), 0);
        bytes
    };
    let segments = world.killed.segments();
    let elsewhere = segments.iter().find(|other| *other != path).unwrap();
    let other = world.killed.0.keys().find(|name| name.starts_with("other/0")).unwrap();
    let mut newer = world.killed.get(path).to_vec();
    newer[40] = 2;
    vec![
        ("another stream's", sized(world.killed.get(other)), Why::Foreign),
        ("another incarnation's", sized(another.killed.get(&segments[0])), Why::Foreign),
        ("another place's", sized(world.killed.get(elsewhere)), Why::Foreign),
        ("newer", newer, Why::Newer),
        ("text", sized(&b"To be, or not to be, that is the question".repeat(40)), Why::NotOurs),
    ]
}

#[test]
fn a_stranger_in_the_place_of_the_last_segment_is_refused_and_the_rest_is_read() {
    let world = World::segments();
    let path = world.last_frame().path.clone();
    for end in ENDS {
        for (name, bytes, why) in strangers(&world, &path) {
            for indexed in [true, false] {
                let mut before = world.image(end).clone();
                before.set(&path, bytes.clone());
                let mut refusal = unreadable(&world, end, &path, why);
                if !indexed {
                    before.0.remove(INDEX);
                    refusal = unreadable(&world, End::Killed, &path, why);
                }
                let what = format!("{end:?}, index: {indexed}, {name}");
                assert_refused(&before, &world, &refusal, Effort::Lives, &what);
            }
        }
    }
}

#[test]
fn a_stranger_in_the_place_of_the_only_segment_is_refused() {
    let world = World::one_segment();
    let path = world.last_frame().path.clone();
    let another = World::with_ids_from(77, &world.options, &[&[b"another"]]);
    let mut newer = world.killed.get(&path).to_vec();
    newer[40] = 2;
    let strangers = [
        ("newer", newer, Why::Newer),
        ("text", b"To be, or not to be, that is the question".repeat(40), Why::NotOurs),
        ("another incarnation's", another.killed.get(&path).to_vec(), Why::Foreign),
        (
            "another stream's",
            another.killed.get("other/00000000000000000000-0000000000.wal").to_vec(),
            Why::Foreign,
        ),
    ];
    for end in ENDS {
        for (name, bytes, why) in &strangers {
            let mut before = world.image(end).clone();
            before.set(&path, bytes.clone());
            let refusal = unreadable(&world, end, &path, *why);
            assert_refused(&before, &world, &refusal, Effort::Lives, &format!("{end:?}, {name}"));
        }
    }
}

/// Without records every segment is looked at.
#[test]
fn a_stranger_in_the_place_of_any_segment_is_refused_at_opening_without_records() {
    let world = World::segments();
    let segments = world.killed.segments();
    for path in &segments[..segments.len() - 1] {
        for (name, bytes, why) in strangers(&world, path) {
            let mut before = world.killed.without(INDEX);
            before.set(path, bytes);
            let refusal = unreadable(&world, End::Killed, path, why);
            let what = format!("{name} as {path}");
            assert_refused(&before, &world, &refusal, Effort::Lives, &what);
        }
    }
}

/// Where a record vouches for a segment, readers are told what it is.
#[test]
fn a_stranger_in_the_place_of_a_sealed_segment_is_told_to_readers_of_it_only() {
    let world = World::segments();
    let segments = world.killed.segments();
    for end in ENDS {
        for path in &segments[..segments.len() - 1] {
            for (name, bytes, why) in strangers(&world, path) {
                let mut before = world.image(end).clone();
                before.set(path, bytes);
                let what = format!("{end:?}, {name} as {path}");
                let home = Home::memory(&before);
                let wal = home.open(&world.options);
                let lost = world.numbers_in(path);
                assert_read_around(&wal, &world.entries, &lost, Effort::Lives, &what);
                for seq in lost {
                    let error = wal.get(STREAM, seq).unwrap_err();
                    assert_eq!(Why::of(&error), why, "{what}: {error}");
                    assert!(error.path().unwrap().ends_with(path), "{what}: {error}");
                }
                assert_eq!(wal.append(STREAM, "goes on").unwrap(), world.next(), "{what}");
                assert_eq!(home.image().get(path), before.get(path), "{what}");
            }
        }
    }
}

/// A file behind the last segment that is not one: nobody knows what it held.
#[test]
fn a_stranger_behind_the_last_segment_is_refused_and_everything_is_read() {
    let world = World::segments();
    let segments = world.killed.segments();
    let next = world.next();
    for end in ENDS {
        let extra = renamed(&segments[0], next, segments.len() as u64);
        for (name, bytes, why) in strangers(&world, &segments[0]) {
            let mut before = world.image(end).clone();
            before.set(&extra, bytes);
            let home = Home::memory(&before);
            let wal = home.open(&world.options);
            let what = format!("{end:?}, {name} as {extra}");
            let error = wal.append(STREAM, "refused").unwrap_err();
            assert_eq!(Why::of(&error), why, "{what}: {error}");
            assert_read_around(&wal, &world.entries, &(0..0), Effort::Lives, &what);
            assert!(wal.get(STREAM, next).unwrap_err().is_foreign(), "{what}");
            let errors = wal.iter(STREAM, ..).unwrap().filter(Result::is_err).count();
            assert_eq!(errors, 1, "{what}");
            wal.close().unwrap();
            assert_eq!(home.image().dir(STREAM), before.dir(STREAM), "{what}");
        }
    }
}

/// That bringing the old bytes back and reopening is all it takes, while the log is open.
fn assert_mended(broken: &Image, whole: &Image, world: &World, what: &str) {
    let home = Home::memory(broken);
    let wal = home.open(&world.options);
    let old = wal.stream(STREAM).unwrap();
    old.append("refused").unwrap_err();
    let found = wal.reopen(STREAM).unwrap();
    assert!(!found.damage.is_empty(), "{what}: still broken: {found:?}");
    let old_again = wal.stream(STREAM).unwrap();
    old_again.append("refused").unwrap_err();
    wal.append("other", "goes on").unwrap();

    let mut mended = home.image();
    mended.0.retain(|path, _| !path.starts_with("s/"));
    mended.0.extend(
        whole
            .0
            .iter()
            .filter(|(path, _)| path.starts_with("s/"))
            .map(|(path, bytes)| (path.clone(), bytes.clone())),
    );
    home.put(&mended);
    let found = wal.reopen(STREAM).unwrap();
    assert!(found.is_clean(), "{what}: {found:?}");
    assert_eq!((found.first_seq, found.next_seq), (0, world.next()), "{what}");
    for dead in [&old, &old_again] {
        assert!(dead.append("dead").unwrap_err().is_fenced(), "{what}");
        assert!(dead.get(0).unwrap_err().is_fenced(), "{what}");
        assert!(dead.iter(..).unwrap_err().is_fenced(), "{what}");
    }
    assert_holds(&wal, &world.entries, what);
    assert_eq!(wal.append(STREAM, "goes on").unwrap(), world.next(), "{what}");
    // A stream that works is left as it is.
    let handle = wal.stream(STREAM).unwrap();
    wal.reopen(STREAM).unwrap();
    assert_eq!(handle.append("and on").unwrap(), world.next() + 1, "{what}");
    wal.close().unwrap();
    let wal = home.open(&world.options);
    let entries = [&world.entries[..], &[b"goes on".to_vec(), b"and on".to_vec()]].concat();
    assert_holds(&wal, &entries, what);
    assert!(report(&wal).is_clean(), "{what}");
}

#[test]
fn restoring_the_bytes_and_reopening_brings_a_refused_stream_back() {
    let world = World::segments();
    let segments = world.killed.segments();
    let last = &world.last_frame().path;
    let at = world.in_last_segment()[0].start;
    for end in ENDS {
        let whole = world.image(end);
        for path in &segments {
            assert_mended(&whole.without(path), whole, &world, &format!("{end:?}, no {path}"));
        }
        let broken = whole.with(last, |bytes| bytes[at + 9] ^= 1);
        assert_mended(&broken, whole, &world, &format!("{end:?}, a turned bit"));
        let broken = whole.with(last, |bytes| bytes[3] ^= 1);
        assert_mended(&broken, whole, &world, &format!("{end:?}, a turned bit in the header"));
        let broken = whole.with(&segments[0], |bytes| bytes.truncate(100));
        assert_mended(&broken, whole, &world, &format!("{end:?}, a short segment"));
        for (name, bytes, _) in strangers(&world, last) {
            let mut broken = whole.clone();
            broken.set(last, bytes);
            assert_mended(&broken, whole, &world, &format!("{end:?}, {name}"));
        }
        let mut broken = whole.clone();
        broken.set("s/00000000000000000999-0000000001.wal", b"double".to_vec());
        assert_mended(&broken, whole, &world, &format!("{end:?}, doubled"));
        let broken = whole.with(INDEX, |bytes| bytes[8] = 9);
        assert_mended(&broken, whole, &world, &format!("{end:?}, a newer index"));
        // Unreadable altogether: nothing tells the incarnation.
        let mut broken = whole.clone();
        broken.0.retain(|path, _| !path.starts_with("s/"));
        broken.set(&segments[0], b"To be, or not to be, that is the question".repeat(9));
        assert_mended(&broken, whole, &world, &format!("{end:?}, text alone"));
    }
}
