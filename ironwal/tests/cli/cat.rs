//! `cat` and `ls`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Log, find, lines, run, turn};

#[test]
fn entries_are_bytes_and_those_that_are_not_utf_8_are_base64_in_json() {
    let log = Log::new();
    log.append(&["s"], b"\xff\x00\xfe\nplain\n\"\\\t\n").expect(0);
    assert_eq!(log.cat(&["s"]).expect(0).stdout, b"\xff\x00\xfe\nplain\n\"\\\t\n");
    let objects = log.cat(&["s", "--json"]).expect(0).objects();
    let bytes = STANDARD.decode(objects[0]["base64"].as_str().unwrap()).unwrap();
    assert_eq!((bytes.as_slice(), &objects[0]["seq"]), (&b"\xff\x00\xfe"[..], &0.into()));
    assert!(objects[0].get("utf8").is_none());
    assert_eq!((&objects[1]["utf8"], &objects[2]["utf8"]), (&"plain".into(), &"\"\\\t".into()));
}

#[test]
fn a_range_is_half_open_and_may_reach_past_the_end() {
    let log = Log::new();
    log.append(&["s"], "0\n1\n2\n3\n").expect(0);
    for (args, expected) in [
        (&["--from", "1", "--until", "3"][..], "1\n2\n"),
        (&["--from", "3"], "3\n"),
        (&["--until", "1"], "0\n"),
        (&["--from", "4"], ""),
        (&["--from", "9", "--until", "20"], ""),
        (&["--from", "3", "--until", "1"], ""),
        (&["--until", "18446744073709551615"], "0\n1\n2\n3\n"),
    ] {
        assert_eq!(log.cat(&[&["s"], args].concat()).expect(0).text(), expected, "{args:?}");
    }
}

#[test]
fn json_may_stand_before_and_behind_the_command() {
    let log = Log::new();
    log.append(&["s"], "x").expect(0);
    let behind = log.cat(&["s", "--json"]).expect(0).stdout;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ironwal"));
    let before =
        run(command.args(["--json", "cat"]).arg(log.root()).arg("s"), b"").expect(0).stdout;
    assert_eq!(before, behind);
    assert_eq!(before, b"{\"seq\":0,\"utf8\":\"x\"}\n");
}

#[test]
fn raw_entries_have_nothing_between_them() {
    let log = Log::new();
    log.append(&["s"], b"one\n\xff\x00\n\ntwo").expect(0);
    assert_eq!(log.cat(&["s", "--format", "raw"]).expect(0).stdout, b"one\xff\x00two");
    assert_eq!(log.cat(&["s", "--format", "lines"]).expect(0).stdout, b"one\n\xff\x00\n\ntwo\n");
}

#[test]
fn a_hex_dump_has_number_and_length_and_every_byte_of_an_entry() {
    let log = Log::new();
    log.append(&["s"], b"first line, and more\n\n\xff\x00~\x7f\n").expect(0);
    let expected = "\
0: 20 bytes
  00000000  66 69 72 73 74 20 6c 69  6e 65 2c 20 61 6e 64 20  |first line, and |
  00000010  6d 6f 72 65                                       |more|
1: 0 bytes
2: 4 bytes
  00000000  ff 00 7e 7f                                       |..~.|
";
    assert_eq!(log.cat(&["s", "--format", "hex"]).expect(0).text(), expected);
}

#[test]
fn json_is_short_for_a_format_and_goes_with_no_other() {
    let log = Log::new();
    log.append(&["s"], "x").expect(0);
    let short = log.cat(&["s", "--json"]).expect(0).stdout;
    assert_eq!(log.cat(&["s", "--format", "json"]).expect(0).stdout, short);
    assert_eq!(log.cat(&["s", "--format", "json", "--json"]).expect(0).stdout, short);
    for format in ["lines", "hex", "raw"] {
        let ran = log.cat(&["s", "--json", "--format", format]).expect(2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("--json"), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1);
    }
}

#[test]
fn an_absent_stream_and_an_absent_log_are_errors_that_say_so() {
    let log = Log::new();
    let ran = log.cat(&["s"]).expect(1);
    assert!(ran.stderr.contains("No such file"), "{}", ran.stderr);
    assert!(!log.root().exists());
    log.append(&["other"], "x").expect(0);
    for command in ["cat", "verify"] {
        let ran = log.run(&[command, "s"], b"").expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("there is no stream s in "));
        assert_eq!(ran.stderr.lines().count(), 1);
    }
    fs::write(log.beside("file"), "x").unwrap();
    let ran = run(
        std::process::Command::new(env!("CARGO_BIN_EXE_ironwal")).arg("ls").arg(log.beside("file")),
        b"",
    );
    ran.expect(1);
}

#[test]
fn damage_is_reported_with_path_and_offset_and_what_is_around_it_is_printed() {
    for size in ["100000", "200"] {
        let log = Log::new();
        let lines = lines(0..20);
        log.append(&["s", "--segment-size", size], &lines).expect(0);
        let segments = log.segments("s");
        let holds = |path: &&std::path::PathBuf| {
            fs::read(path).unwrap().windows(9).any(|window| window == b"entry-10.")
        };
        let segment = segments.iter().find(holds).unwrap();
        let at = find(segment, "entry-10.");
        turn(segment, at);
        let ran = log.cat(&["s"]).expect(3);
        assert_eq!(ran.text(), lines.replace("entry-10.\n", ""), "segments of {size}");
        let [told] = ran.stderr.lines().collect::<Vec<_>>()[..] else { panic!("{}", ran.stderr) };
        assert!(told.contains(segment.to_str().unwrap()), "{told}");
        assert!(told.contains(&format!("byte {}", at - 32)), "{told}");
        assert!(told.contains("entries 10..11 are lost"), "{told}");
        assert_eq!(log.cat(&["s", "--until", "10"]).expect(0).text().lines().count(), 10);
        assert_eq!(log.cat(&["s", "--from", "11"]).expect(0).text().lines().count(), 9);
    }
}

#[test]
fn a_damaged_last_entry_is_reported_although_none_is_behind_it() {
    let log = Log::new();
    log.append(&["s"], "first\nsecond\n").expect(0);
    let [segment] = &log.segments("s")[..] else { panic!() };
    turn(segment, find(segment, "second"));
    let ran = log.cat(&["s"]).expect(3);
    assert_eq!(ran.text(), "first\n");
    assert!(ran.stderr.ends_with("; entries from 1 on are lost\n"), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}

#[test]
fn what_a_foreign_last_segment_cost_is_not_passed_over_in_silence() {
    let log = Log::new();
    log.append_and_kill(&["s", "--segment-size", "200"], &["one", "two", "three", "four", "five"]);
    let segments = log.segments("s");
    fs::write(segments.last().unwrap(), "this is something else, and long enough to be read")
        .unwrap();
    let ran = log.cat(&["s"]).expect(3);
    assert!(ran.text().starts_with("one\ntwo\n"));
    assert!(ran.stderr.contains(segments.last().unwrap().to_str().unwrap()), "{}", ran.stderr);
}

#[test]
fn a_torn_tail_is_nothing_to_speak_of() {
    let log = Log::new();
    log.append_and_kill(&["s"], &["one", "two", "three"]);
    let [segment] = &log.segments("s")[..] else { panic!() };
    turn(segment, find(segment, "three"));
    let ran = log.cat(&["s"]).expect(0);
    assert_eq!((ran.text(), ran.stderr.as_str()), ("one\ntwo\n", ""));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let log = Log::new();
    log.append(&["s", "--sync", "async"], "0123456789\n".repeat(50_000)).expect(0);
    let [segment] = &log.segments("s")[..] else { panic!() };
    let mut dump = std::process::Command::new(env!("CARGO_BIN_EXE_ironwal"));
    dump.arg("dump").arg(segment);
    let cats = [&["cat", "s"][..], &["cat", "s", "--json"], &["cat", "s", "--format", "hex"]];
    for mut command in cats.map(|args| log.command(args)).into_iter().chain([dump]) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        drop(stdout);
        let done = child.wait_with_output().unwrap();
        assert_eq!((done.status.code(), done.stderr.len()), (Some(0), 0));
    }
}

#[test]
fn a_list_shows_what_an_opening_would_find() {
    let log = Log::new();
    fs::create_dir(log.root()).unwrap();
    assert_eq!(log.run(&["ls"], b"").expect(0).text(), "");
    log.append(&["user/1", "--segment-size", "200"], "one\ntwo\nthree\nfour\n").expect(0);
    log.append(&["a\nb"], "x").expect(0);
    fs::create_dir(log.root().join("not-a-stream")).unwrap();
    let ran = log.run(&["ls"], b"").expect(0);
    let rows: Vec<Vec<&str>> =
        ran.text().lines().map(|row| row.split_whitespace().collect()).collect();
    let segment_count = log.segments("user%2F1").len().to_string();
    let expected: [Vec<&str>; 3] = [
        vec!["STREAM", "FIRST", "NEXT", "SEGMENTS", "STATE"],
        vec!["a\\nb", "0", "1", "1", "ok"],
        vec!["user/1", "0", "4", &segment_count, "ok"],
    ];
    assert_eq!(rows, expected);
    let [first, _] = &log.run(&["ls", "--json"], b"").expect(0).objects()[..] else { panic!() };
    assert_eq!((&first["stream"], &first["next"]), (&"a\nb".into(), &1.into()));
    assert_eq!((&first["first"], &first["state"]), (&0.into(), &"ok".into()));

    let last = log.segments("user%2F1").pop().unwrap();
    fs::remove_file(last).unwrap();
    let ran = log.run(&["ls"], b"").expect(3);
    assert!(ran.text().contains("damaged") && ran.stderr.contains("ironwal verify"));
}
