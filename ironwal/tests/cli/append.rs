//! `append`, and what it says.

use std::fs::{self, File};
use std::process::Command;

use crate::support::{Log, feed, find, lines, run, turn, write_at};

#[test]
fn each_line_is_an_entry_and_so_is_a_last_one_without_its_end_and_an_empty_one() {
    let log = Log::new();
    let ran = log.append(&["s"], "one\n\ntwo\r\nlast").expect(0);
    assert_eq!(ran.text(), "appended 4 entries, 0..4, 11 bytes, to s\n");
    assert_eq!(ran.stderr, "");
    let cat = log.cat(&["s", "--json"]).expect(0);
    assert_eq!(
        cat.text(),
        "{\"seq\":0,\"utf8\":\"one\"}\n{\"seq\":1,\"utf8\":\"\"}\n\
         {\"seq\":2,\"utf8\":\"two\\r\"}\n{\"seq\":3,\"utf8\":\"last\"}\n"
    );
    assert_eq!(log.cat(&["s"]).expect(0).text(), "one\n\ntwo\r\nlast\n");
    log.append(&["s"], "\n").expect(0);
    assert_eq!(log.cat(&["s", "--from", "4"]).expect(0).text(), "\n");
}

#[test]
fn lines_come_from_a_file_or_from_standard_input() {
    let log = Log::new();
    let path = log.beside("lines");
    fs::write(&path, "a\nb").unwrap();
    log.append(&["s", "--file", path.to_str().unwrap()], "not read").expect(0);
    log.append(&["s", "--file", "-"], "c").expect(0);
    assert_eq!(log.cat(&["s"]).expect(0).text(), "a\nb\nc\n");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_before_anything_is_made() {
    let log = Log::new();
    let ran = log.append(&["s", "--file", "/nonexistent/lines"], "").expect(1);
    assert!(ran.stderr.contains("/nonexistent/lines"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1);
    assert!(!log.root().exists());
}

#[test]
fn each_line_is_durable_and_acknowledged_before_the_next_is_read() {
    let log = Log::new();
    let mut writer = log.writer(&["s"]);
    for seq in 0..5 {
        writer.send("entry");
        // Would wait forever if the number came only with the next line.
        assert_eq!(writer.ack(), Some(seq));
        assert_eq!(log.cat(&["s"]).expect(0).text().lines().count() as u64, seq + 1);
    }
    let ran = writer.finish().expect(0);
    assert_eq!(ran.text(), "", "nothing but numbers goes to standard output");
    assert!(ran.stderr.contains("appended 5 entries, 0..5"), "{}", ran.stderr);
}

#[test]
fn when_nobody_reads_the_acknowledgements_appending_stops_and_says_so() {
    let log = Log::new();
    let mut writer = log.writer(&["s"]);
    let feeder = feed(writer.take_input(), 0);
    assert_eq!(writer.ack(), Some(0));
    let ran = writer.hang_up().expect(1);
    assert!(ran.stderr.contains("nobody reads the acknowledgements"), "{}", ran.stderr);
    feeder.join().unwrap();
    let found = log.cat(&["s"]).expect(0).text().lines().count();
    assert!(ran.stderr.contains(&format!("{found} entries, 0..{found}, were appended")));
}

#[test]
fn a_batch_is_acknowledged_by_its_last_number_and_is_one_frame() {
    let log = Log::new();
    let ran = log.append(&["s", "--batch", "3", "--ack"], "a\nb\nc\nd\ne\nf\ng").expect(0);
    assert_eq!(ran.text(), "2\n5\n6\n");
    let ran = log.append(&["s", "--batch", "2", "--ack", "--json"], "h\ni\n").expect(0);
    assert_eq!(ran.text(), "{\"seq\":8,\"durable\":true}\n");
    let (_, summary) = log.verify(0);
    assert_eq!((&summary["entries"], &summary["frames"]), (&9.into(), &4.into()));
}

#[test]
fn without_a_line_nothing_is_made() {
    let log = Log::new();
    let ran = log.append(&["s"], "").expect(0);
    assert_eq!(ran.text(), "appended no entry to s; the next will be 0\n");
    assert!(!log.root().exists());
    log.append(&["other"], "x").expect(0);
    log.append(&["s"], "").expect(0);
    assert!(!log.root().join("s").exists());
}

#[test]
fn without_a_line_a_torn_stream_is_repaired_and_told_of() {
    let log = Log::new();
    log.append_and_kill(&["s"], &["a", "b"]);
    let [segment] = &log.segments("s")[..] else { panic!() };
    let (_, summary) = log.verify(0);
    let end = usize::try_from(summary["bytes"].as_u64().unwrap()).unwrap();
    write_at(segment, end, b"no frame at all");
    let (findings, _) = log.verify(0);
    let [torn] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((&torn["verdict"], &torn["offset"]), (&"torn".into(), &end.into()));
    assert_eq!(torn["segment"], segment.to_str().unwrap());

    let ran = log.append(&["s"], "").expect(0);
    assert!(ran.stderr.contains(&format!("was torn at byte {end} of {}", segment.display())));
    assert_eq!(ran.text(), "appended no entry to s; the next will be 2\n");
    assert_eq!(log.verify(0).0.len(), 0);
    assert_eq!(log.append(&["s"], "").expect(0).stderr, "", "there is nothing left to tell");
    log.append(&["s"], "c").expect(0);
    assert_eq!(log.cat(&["s"]).expect(0).text(), "a\nb\nc\n");
    assert!(find(segment, "no frame at all") == end, "no byte is destroyed");
}

#[test]
fn what_cannot_be_meant_is_a_matter_of_usage_and_makes_nothing() {
    let log = Log::new();
    let long = "A".repeat(400);
    let wrong: &[&[&str]] = &[
        &["append", ""],
        &["append", &long],
        &["append", "s", "--segment-size", "0"],
        &["append", "s", "--segment-size", "2147483649"],
        &["append", "s", "--batch", "0"],
        &["append", "s", "--file"],
        &["append", "s", "--sync", "never"],
        &["append", "s", "--compression", "zip"],
        &["cat", "s", "--format", "text"],
        &["stat", ""],
        &["dump", "surplus"],
        &["append"],
        &["cat"],
        &["cat", "s", "--from", "-1"],
        &["verify", ""],
        &["ls", "surplus"],
        &["destroy"],
    ];
    for args in wrong {
        let ran = log.run(args, b"line").expect(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("error"), "{args:?}");
        assert!(!log.root().exists(), "{args:?}");
    }
    run(&mut Command::new(env!("CARGO_BIN_EXE_ironwal")), b"").expect(2);
}

#[test]
fn the_help_names_the_exit_codes() {
    for args in [&["--help"][..], &["append", "--help"], &["stat", "--help"], &["dump", "-h"]] {
        let ran = run(Command::new(env!("CARGO_BIN_EXE_ironwal")).args(args), b"").expect(0);
        assert!(ran.text().contains("Exit codes:") && ran.text().contains("4  another process"));
    }
    let mut append = Command::new(env!("CARGO_BIN_EXE_ironwal"));
    let ran = run(append.args(["append", "--help"]), b"").expect(0);
    assert!(ran.text().contains("with --ack to standard error"), "{}", ran.text());
}

#[test]
fn a_line_that_is_too_long_is_refused_by_its_number_and_those_before_it_stay() {
    let log = Log::new();
    let path = log.beside("lines");
    fs::write(&path, "short\n").unwrap();
    File::options().write(true).open(&path).unwrap().set_len((64 << 20) + 8).unwrap();
    let ran = log.append(&["s", "--file", path.to_str().unwrap()], "").expect(1);
    assert!(ran.stderr.contains("line 2 of"), "{}", ran.stderr);
    assert!(ran.stderr.contains("entry 0 was appended before that"), "{}", ran.stderr);
    assert_eq!(log.cat(&["s"]).expect(0).text(), "short\n");
}

#[test]
fn nothing_is_appended_to_a_damaged_stream_and_others_go_on() {
    let log = Log::new();
    log.append(&["bad"], "first\nsecond\nthird\n").expect(0);
    let [segment] = &log.segments("bad")[..] else { panic!() };
    let at = find(segment, "second");
    turn(segment, at);
    for input in ["", "more\n"] {
        let before = fs::read(segment).unwrap();
        let ran = log.append(&["bad"], input).expect(3);
        let path = segment.display().to_string();
        assert!(ran.stderr.contains(&path), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("byte {}", at - 32)), "{}", ran.stderr);
        assert_eq!(fs::read(segment).unwrap(), before);
    }
    log.append(&["good"], "x").expect(0);
}

#[test]
fn every_acknowledged_entry_is_there_after_sigkill() {
    let log = Log::new();
    let mut next = 0;
    for round in 0..20_u64 {
        let mut writer = log.writer(&["s", "--segment-size", "2000", "--batch", "2"]);
        let feeder = feed(writer.take_input(), next);
        let mut acknowledged = next;
        for _ in 0..=round * 7 % 31 {
            acknowledged = writer.ack().unwrap() + 1;
        }
        let unread = writer.kill();
        feeder.join().unwrap();
        let acknowledged = unread.last().map_or(acknowledged, |last| last + 1);
        let cat = log.cat(&["s"]).expect(0);
        let found = cat.text().lines().count() as u64;
        assert!(found >= acknowledged, "round {round}: {found} of {acknowledged}");
        assert_eq!(cat.text(), lines(0..found), "round {round}");
        assert_eq!(found % 2, 0, "a batch is there whole or not at all");
        next = found;
    }
    log.append(&["s"], "").expect(0);
    let (findings, summary) = log.verify(0);
    assert_eq!((findings.len(), &summary["entries"]), (0, &next.into()));
}
