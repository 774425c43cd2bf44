//! `dump`: that every frame is printed, and every fault told.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Log, dump, find, lines, run, turn};

/// A sealed segment file with three frames, alone in a directory.
fn sealed() -> (Log, PathBuf) {
    let log = Log::new();
    log.append(&["s", "--segment-size", "280"], "one\ntwo\nthree\nfour\nfive\nsix\n").expect(0);
    let path = log.beside("alone");
    fs::copy(&log.segments("s")[0], &path).unwrap();
    fs::remove_dir_all(log.root()).unwrap();
    (log, path)
}

fn found(path: &Path, code: i32) -> (Vec<Value>, Value) {
    let mut objects = dump(path, &["--json"]).expect(code).objects();
    let end = objects.pop().unwrap();
    assert_eq!(end["type"], "end");
    (objects, end)
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|object| object["kind"].as_str()).collect()
}

#[test]
fn every_frame_of_a_file_is_printed_without_anything_around_it() {
    let (_log, path) = sealed();
    let (objects, end) = found(&path, 0);
    let len = fs::metadata(&path).unwrap().len();
    let segment = &objects[0];
    assert_eq!((&segment["type"], &segment["stream"]), (&"segment".into(), &"s".into()));
    assert_eq!((&segment["base"], &segment["bytes"]), (&0.into(), &len.into()));
    assert!(segment["id"].as_str().unwrap().len() == 32 && segment["created_unix_nanos"].is_u64());
    assert_eq!(kinds(&objects), ["header", "entries", "entries", "entries", "seal"]);
    let frame = &objects[3];
    assert_eq!(frame["offset"], find(&path, "two") - 32);
    assert_eq!((&frame["base"], &frame["entries"]), (&1.into(), &1.into()));
    assert_eq!((&frame["payload"], &frame["plain"]), (&3.into(), &3.into()));
    assert_eq!((&frame["encoding"], &frame["verdict"]), (&"raw".into(), &"whole".into()));
    assert_eq!(frame["synced"], frame["offset"]);
    let seal = objects.last().unwrap();
    assert_eq!((&seal["type"], &seal["entries"]), (&"seal".into(), &3.into()));
    assert_eq!((&seal["frames"], &seal["next"]), (&3.into(), &3.into()));
    assert_eq!((&end["verdict"], &end["offset"]), (&"sealed".into(), &len.into()));

    let text = dump(&path, &[]).expect(0);
    let (mut lines, path) = (text.text().lines(), path.to_str().unwrap());
    assert_eq!(lines.next(), Some(&*format!("{path}: {len} bytes")));
    assert!(lines.next().unwrap().starts_with("segment 0 of stream s, from entry 0 on, made 20"));
    let head = "OFFSET  KIND     ENCODING  BASE  ENTRIES  PAYLOAD  PLAIN  SYNCED  VERDICT";
    assert_eq!(lines.nth(2), Some(head));
    assert_eq!(lines.clone().filter(|line| line.ends_with("  whole")).count(), 5);
    assert!(lines.any(|line| line.starts_with("the seal counts 3 entries in 3 frames")));
    let end = format!("sealed, valid up to byte {len}: the file ends there");
    assert_eq!(lines.last(), Some(&*end));
}

#[test]
fn no_turned_bit_is_passed_over_and_what_is_damaged_ends_with_3() {
    let (_log, path) = sealed();
    let sound = fs::read(&path).unwrap();
    let seal = found(&path, 0).0[5]["offset"].as_u64().unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        // Of the seal nothing in the file says that it was durable.
        let (verdict, code) = if (at as u64) < seal { ("damaged", 3) } else { ("torn", 0) };
        let (_, end) = found(&path, code);
        let is_newer = end["verdict"] == "newer" && at < find(&path, "s\0\0");
        assert!(end["verdict"] == verdict || is_newer, "byte {at}: {end}");
    }
}

#[test]
fn wherever_a_file_is_cut_the_frames_before_are_printed_and_nothing_is_damaged() {
    let (_log, path) = sealed();
    let sound = fs::read(&path).unwrap();
    let (objects, _) = found(&path, 0);
    let ends: Vec<_> =
        objects.iter().filter_map(|object| object["offset"].as_u64()).skip(1).collect();
    for len in 0..sound.len() {
        fs::write(&path, &sound[..len]).unwrap();
        let (objects, end) = found(&path, 0);
        let whole = objects.iter().filter(|object| object["verdict"] == "whole").count();
        let expected = ends.iter().filter(|end| **end <= len as u64).count();
        assert_eq!(whole, expected, "{len}");
        let at_frame = ends.contains(&(len as u64));
        let verdict = match whole {
            0 => "unfinished",
            _ if at_frame => "clean",
            _ => "torn",
        };
        // Less than a byte that is not zero is no tear.
        let verdicts = [Value::from(verdict), Value::from("clean")];
        assert!(verdicts.contains(&end["verdict"]), "{len}: {end}");
    }
}

#[test]
fn what_is_lost_is_named_and_what_is_behind_it_printed() {
    let (_log, path) = sealed();
    turn(&path, find(&path, "two") - 20);
    let (objects, end) = found(&path, 3);
    let hole = objects.iter().find(|object| object["type"] == "hole").unwrap();
    assert_eq!((&hole["lost_from"], &hole["lost_until"]), (&1.into(), &2.into()));
    assert_eq!((&hole["offset"], &hole["bytes"]), (&(find(&path, "two") - 32).into(), &40.into()));
    assert_eq!(kinds(&objects), ["header", "entries", "entries", "seal"]);
    assert_eq!((&end["verdict"], &end["offset"]), (&"damaged".into(), &hole["offset"]));
    let text = dump(&path, &[]).expect(3);
    assert!(text.text().contains("; entries 1..2 are lost\n"), "{}", text.text());
}

#[test]
fn frames_behind_a_torn_end_are_dead() {
    let log = Log::new();
    log.append(&["s", "--sync", "async"], "one\ntwo\nthree\n").expect(0);
    let [path] = &log.segments("s")[..] else { panic!() };
    turn(path, find(path, "two"));
    let (objects, end) = found(path, 0);
    let verdicts: Vec<_> = objects.iter().filter_map(|object| object["verdict"].as_str()).collect();
    assert_eq!(verdicts, ["whole", "whole", "broken", "dead"]);
    assert_eq!(end["verdict"], "torn");
    assert!(end["reason"].as_str().unwrap().contains("turning bit "));
}

#[test]
fn what_is_no_segment_is_told_apart() {
    let (_log, path) = sealed();
    let sound = fs::read(&path).unwrap();
    let zeros = [&[0; 400][..], &sound[..]].concat();
    let cases: [(&[u8], &str, i32); 6] = [
        (b"", "unfinished", 0),
        (&[0; 5000], "unfinished", 0),
        (b"a text of someone else, long enough to be taken for what it is", "foreign", 3),
        (&zeros, "damaged", 3),
        (&[&sound[..60], b"xx", &sound[62..]].concat(), "damaged", 3),
        (&[&sound[..40], b"\xff\x01", &sound[42..]].concat(), "newer", 3),
    ];
    for (bytes, verdict, code) in cases {
        fs::write(&path, bytes).unwrap();
        let (objects, end) = found(&path, code);
        assert_eq!((objects.len(), &end["verdict"]), (0, &verdict.into()), "{end}");
        assert!(!end["reason"].as_str().unwrap().is_empty());
        let text = dump(&path, &[]).expect(code);
        assert!(text.text().starts_with(&format!("{}: {verdict}: ", path.display())));
    }
}

#[test]
fn any_path_will_do_that_leads_to_a_file() {
    let (log, path) = sealed();
    let link = log.beside("link.wal");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    found(&link, 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ironwal"));
    let dir = path.parent().unwrap();
    run(command.current_dir(dir).args(["dump", "alone"]), b"").expect(0);

    let strange = log.beside("x").with_file_name(OsStr::from_bytes(b"\xff.wal"));
    fs::copy(&path, &strange).unwrap();
    let ran = dump(&strange, &[]).expect(1);
    assert!(ran.stderr.contains("not UTF-8"), "{}", ran.stderr);
    for (path, why) in [
        (Path::new("/"), "not a regular file"),
        (dir, "not a regular file"),
        (Path::new("/dev/null"), "not a regular file"),
        (Path::new("/nonexistent/file"), "check the path"),
    ] {
        let ran = dump(path, &[]).expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(why), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1);
    }
}

#[test]
fn what_is_lost_at_the_end_is_named_by_the_seal() {
    let (_log, path) = sealed();
    turn(&path, find(&path, "three") - 20);
    let (objects, _) = found(&path, 3);
    let hole = objects.iter().find(|object| object["type"] == "hole").unwrap();
    assert_eq!((&hole["lost_from"], &hole["lost_until"]), (&2.into(), &3.into()));
}

/// The shell lets it have less than the frame is long.
#[test]
fn a_long_frame_does_not_need_as_much_memory() {
    let log = Log::new();
    let line = "0123456789abcdef".repeat(1 << 20);
    let input = format!("{line}\n{line}\n{line}\n{}\n", line.get(..line.len() - 8).unwrap());
    let args = ["s", "--batch", "4", "--compression", "none"];
    log.append(&args, input).expect(0);
    let [path] = &log.segments("s")[..] else { panic!() };
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 50000 && exec \"$0\" dump --json \"$1\""]);
    let ran = run(shell.arg(env!("CARGO_BIN_EXE_ironwal")).arg(path), b"").expect(0);
    let frame = &ran.objects()[2];
    assert_eq!((&frame["entries"], &frame["verdict"]), (&4.into(), &"whole".into()));
    assert!(frame["reason"].as_str().unwrap().starts_with("not looked into"), "{frame}");
    turn(path, 40 << 20);
    let (objects, _) = found(path, 0);
    assert_eq!(objects[2]["verdict"], "broken");
}

#[test]
fn the_file_that_a_living_process_writes_is_printed_as_far_as_it_is() {
    let log = Log::new();
    let mut writer = log.writer(&["s"]);
    for seq in 0..5 {
        writer.send("entry");
        assert_eq!(writer.ack(), Some(seq));
        let [path] = &log.segments("s")[..] else { panic!() };
        let (objects, end) = found(path, 0);
        let frames = kinds(&objects).iter().filter(|kind| **kind == "entries").count();
        assert_eq!((frames as u64, &end["verdict"]), (seq + 1, &"clean".into()));
    }
    writer.finish().expect(0);
    log.append(&["s"], lines(0..3)).expect(0);
}
