//! `stat`: that the numbers are those of the files.

use std::fs;
use std::path::PathBuf;

use crate::support::{Log, find, lines, turn, write_at};

fn len(paths: &[PathBuf]) -> u64 {
    paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}

#[test]
fn a_log_is_measured_by_its_files() {
    let log = Log::new();
    fs::create_dir(log.root()).unwrap();
    let ran = log.run(&["stat"], b"").expect(0);
    assert_eq!(ran.text(), "0 streams with 0 entries in 0 segments of 0 bytes\n");
    log.append(&["user/1", "--segment-size", "200"], lines(0..10)).expect(0);
    log.append(&["a\nb"], "x").expect(0);
    let (one, other) = (log.segments("a%0Ab"), log.segments("user%2F1"));
    let ran = log.run(&["stat"], b"").expect(0);
    let rows: Vec<Vec<&str>> =
        ran.text().lines().map(|row| row.split_whitespace().collect()).collect();
    let (one_len, other_len) = (len(&one).to_string(), len(&other).to_string());
    let count = other.len().to_string();
    let expected: [Vec<&str>; 3] = [
        vec!["STREAM", "FIRST", "NEXT", "ENTRIES", "SEGMENTS", "BYTES", "STATE"],
        vec!["a\\nb", "0", "1", "1", "1", &one_len, "ok"],
        vec!["user/1", "0", "10", "10", &count, &other_len, "ok"],
    ];
    assert_eq!(rows[..3], expected);
    let (count, len) = (one.len() + other.len(), len(&one) + len(&other));
    let total = format!("2 streams with 11 entries in {count} segments of {len} bytes");
    assert_eq!(ran.text().lines().last(), Some(&*total));

    let objects = log.run(&["stat", "--json"], b"").expect(0).objects();
    let [first, second, summary] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!((&first["stream"], &second["stream"]), (&"a\nb".into(), &"user/1".into()));
    assert_eq!((&second["type"], &second["segments"]), (&"stream".into(), &other.len().into()));
    assert_eq!((&summary["type"], &summary["bytes"]), (&"summary".into(), &len.into()));
    assert_eq!((&summary["streams"], &summary["entries"]), (&2.into(), &11.into()));
}

#[test]
fn a_stream_is_measured_segment_by_segment() {
    let log = Log::new();
    log.append(&["s", "--segment-size", "200"], lines(0..9)).expect(0);
    log.append(&["other"], "x").expect(0);
    let paths = log.segments("s");
    let objects = log.run(&["stat", "s", "--json"], b"").expect(0).objects();
    let (stream, segments) = objects.split_last().unwrap();
    assert_eq!(segments.len(), paths.len());
    for (at, (segment, path)) in segments.iter().zip(&paths).enumerate() {
        let (base, ordinal) = path.file_stem().unwrap().to_str().unwrap().split_once('-').unwrap();
        let [base, ordinal] = [base, ordinal].map(|digits| digits.parse::<u64>().unwrap());
        assert_eq!((&segment["type"], &segment["stream"]), (&"segment".into(), &"s".into()));
        assert_eq!((&segment["base"], &segment["ordinal"]), (&base.into(), &ordinal.into()));
        assert_eq!(segment["bytes"], fs::metadata(path).unwrap().len());
        let state = if at + 1 < paths.len() { "sealed" } else { "active" };
        assert_eq!(segment["state"], state);
    }
    let entries = segments.iter().map(|segment| segment["entries"].as_u64().unwrap());
    assert_eq!((entries.sum::<u64>(), &stream["entries"]), (9, &9.into()));
    assert_eq!((&stream["type"], &stream["bytes"]), (&"stream".into(), &len(&paths).into()));

    let text = log.run(&["stat", "s"], b"").expect(0);
    assert!(text.text().starts_with("ORDINAL  BASE  ENTRIES  BYTES  STATE\n"));
    let last = text.text().lines().last().unwrap();
    assert!(last.starts_with("stream s with 9 entries, 0..9, in "), "{last}");
    assert_eq!(text.text().lines().count(), paths.len() + 2);
}

#[test]
fn a_segment_that_ended_at_a_tear_is_neither_sealed_nor_active() {
    let log = Log::new();
    log.append_and_kill(&["s"], &["a", "b"]);
    let [segment] = &log.segments("s")[..] else { panic!() };
    let end = log.verify(0).1["bytes"].as_u64().unwrap();
    write_at(segment, usize::try_from(end).unwrap(), b"no frame at all");
    let ran = log.run(&["stat", "s"], b"").expect(0);
    assert!(ran.text().ends_with(": torn\n"), "{}", ran.text());
    log.append(&["s"], "c").expect(0);
    let objects = log.run(&["stat", "s", "--json"], b"").expect(0).objects();
    let states: Vec<_> = objects.iter().map(|object| object["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ended", "active", "ok"]);
    let counts: Vec<_> = objects.iter().map(|object| object["entries"].as_u64().unwrap()).collect();
    assert_eq!(counts, [2, 1, 3]);
}

/// Else it would come upon the bit that is turned.
#[test]
fn sealed_segments_are_not_read() {
    let log = Log::new();
    log.append(&["s", "--segment-size", "200"], lines(0..10)).expect(0);
    let segment = &log.segments("s")[0];
    turn(segment, find(segment, "entry-0."));
    log.verify(3);
    for args in [&["stat"][..], &["stat", "s"]] {
        let ran = log.run(args, b"").expect(0);
        assert!(ran.text().contains("ok") && ran.stderr.is_empty());
    }
}

#[test]
fn what_is_damaged_is_told_and_measured_nevertheless() {
    let log = Log::new();
    log.append(&["s", "--segment-size", "200"], lines(0..10)).expect(0);
    log.append(&["t"], "x").expect(0);
    let paths = log.segments("s");
    fs::remove_file(&paths[1]).unwrap();
    fs::create_dir(&paths[1]).unwrap();
    for args in [&["stat", "--json"][..], &["stat", "s", "--json"]] {
        let ran = log.run(args, b"").expect(3);
        assert!(ran.stderr.contains("ironwal verify"), "{}", ran.stderr);
        let stream = ran.objects().into_iter().find(|object| object["type"] == "stream").unwrap();
        assert_eq!((&stream["state"], &stream["entries"]), (&"damaged".into(), &10.into()));
        assert_eq!(stream["segments"], paths.len() - 1);
    }
    let ran = log.run(&["stat", "s", "--json"], b"").expect(3);
    let segment = &ran.objects()[1];
    assert_eq!((&segment["state"], &segment["bytes"]), (&"no file".into(), &().into()));
    log.run(&["stat", "t"], b"").expect(0);
}
