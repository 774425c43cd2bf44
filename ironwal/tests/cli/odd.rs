//! What is asked for is not there, or is not what it should be.

use std::fs;
use std::process::Command;

use ironwal::{Wal, WalOptions};

use crate::support::{Log, dump, lines, run};

#[test]
fn without_a_log_every_look_is_an_error_that_names_the_path_and_makes_nothing() {
    let log = Log::new();
    let looks: [&[&str]; 6] =
        [&["cat", "s"], &["ls"], &["stat"], &["stat", "s"], &["verify"], &["verify", "s"]];
    for args in looks {
        let ran = log.run(args, b"").expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains(log.root().to_str().unwrap()));
        assert!(ran.stderr.ends_with("check the path\n") && ran.stderr.lines().count() == 1);
        assert!(!log.root().exists());
    }
    fs::write(log.root(), "a file").unwrap();
    for args in looks {
        let ran = log.run(args, b"").expect(1);
        assert!(ran.stderr.ends_with("give the directory of a log\n"), "{}", ran.stderr);
    }
    log.append(&["s"], "x").expect(1);
}

#[test]
fn of_an_unknown_stream_every_look_says_so() {
    let log = Log::new();
    log.append(&["other"], "x").expect(0);
    for command in ["cat", "stat", "verify"] {
        let ran = log.run(&[command, "a\nb"], b"").expect(1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("there is no stream a\\nb in "));
        assert_eq!(ran.stderr.lines().count(), 1);
    }
}

#[test]
fn a_key_of_any_characters_works_with_every_verb() {
    let keys = [
        "a b",
        "a\nb\tc",
        "..",
        ".",
        "a/../b",
        "%2F",
        "-x",
        "--json",
        "\u{1f980} \u{202e}rtl",
        "\"'`$\\",
        ".lock",
        "CON",
        "a.wal",
        "\u{7f}\u{1b}[31m",
    ];
    let log = Log::new();
    for key in keys {
        log.append(&["--", key], "entry\n").expect(0);
        assert_eq!(log.cat(&["--", key]).expect(0).text(), "entry\n", "{key:?}");
        for command in ["stat", "verify"] {
            let ran = log.run(&[command, "--", key], b"").expect(0);
            assert!(!ran.text().contains(['\u{1b}', '\t']), "{key:?}: {}", ran.text());
        }
        let object = &log.run(&["stat", "--json", "--", key], b"").expect(0).objects()[0];
        assert_eq!(object["stream"], key);
    }
    for command in ["ls", "stat"] {
        let objects = log.run(&[command, "--json"], b"").expect(0).objects();
        let mut found: Vec<_> =
            objects.iter().filter_map(|object| object["stream"].as_str()).collect();
        let mut expected = keys;
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert!(!log.run(&[command], b"").expect(0).text().contains(['\u{1b}', '\t']));
    }
}

#[test]
fn a_directory_in_the_place_of_a_segment_is_foreign_to_every_verb() {
    let log = Log::new();
    log.append(&["s", "--segment-size", "200"], lines(0..10)).expect(0);
    let dir = log.root().join("s/00000000000000000010-0000000077.wal");
    fs::create_dir(&dir).unwrap();
    let named = dir.to_str().unwrap();
    assert_eq!(log.cat(&["s"]).expect(3).text(), lines(0..10));
    assert!(log.run(&["ls"], b"").expect(3).text().contains("damaged"));
    assert!(log.run(&["stat"], b"").expect(3).text().contains("damaged"));
    assert!(log.run(&["stat", "s"], b"").expect(3).text().contains("no file"));
    assert_eq!(log.verify(3).0[0]["verdict"], "foreign");
    let ran = dump(&dir, &[]).expect(1);
    assert!(ran.stderr.contains(named) && ran.stderr.contains("not a regular file"));
    assert!(log.append(&["s"], "x").expect(3).stderr.contains(named));
}

#[test]
fn input_of_any_bytes_comes_back_as_it_was() {
    let log = Log::new();
    let mut bytes: Vec<u8> = (0..=255).rev().collect();
    bytes.extend((0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]));
    bytes.push(b'\n');
    for mode in ["strict", "async"] {
        log.append(&[mode, "--sync", mode, "--batch", "7"], &bytes).expect(0);
        assert_eq!(log.cat(&[mode]).expect(0).stdout, bytes);
        let raw: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'\n').collect();
        assert_eq!(log.cat(&[mode, "--format", "raw"]).expect(0).stdout, raw);
    }
}

/// One that was truncated to its end.
#[test]
fn an_empty_stream_is_fine_with_every_verb() {
    let log = Log::new();
    log.append(&["s"], lines(0..5)).expect(0);
    let wal = Wal::open(log.root(), WalOptions::new()).unwrap();
    let stream = wal.stream("s").unwrap();
    let next = stream.rotate().unwrap();
    assert_eq!((next, stream.truncate_before(next).unwrap()), (5, 5));
    wal.close().unwrap();
    for format in ["lines", "json", "hex", "raw"] {
        let ran = log.cat(&["s", "--from", "5", "--format", format]).expect(0);
        assert_eq!((ran.stdout.len(), ran.stderr.as_str()), (0, ""));
    }
    let gone = log.cat(&["s", "--from", "4"]).expect(1);
    assert!(gone.stderr.contains("the first entry is number 5"), "{}", gone.stderr);
    let object = &log.run(&["ls", "--json"], b"").expect(0).objects()[0];
    assert_eq!((&object["first"], &object["next"]), (&5.into(), &5.into()));
    let objects = log.run(&["stat", "s", "--json"], b"").expect(0).objects();
    assert_eq!((&objects[0]["state"], &objects[0]["entries"]), (&"active".into(), &0.into()));
    assert_eq!((&objects[1]["entries"], &objects[1]["first"]), (&0.into(), &5.into()));
    let (findings, summary) = log.verify(0);
    assert_eq!((findings.len(), &summary["entries"]), (0, &0.into()));
    let dump = dump(&log.segments("s")[0], &["--json"]).expect(0).objects();
    assert_eq!(dump.last().unwrap()["verdict"], "clean");
    let ran = log.append(&["s"], "x").expect(0);
    assert_eq!(ran.text(), "appended entry 5 of 1 bytes to s\n");
    assert_eq!(log.cat(&["s"]).expect(0).text(), "x\n", "from the first that there is");
}

#[test]
fn json_goes_with_every_verb() {
    let log = Log::new();
    log.append(&["s", "--json"], "x").expect(0).objects();
    for args in [&["cat", "s"][..], &["ls"], &["stat"], &["stat", "s"], &["verify"]] {
        let objects = log.run(&[args, &["--json"]].concat(), b"").expect(0).objects();
        assert!(!objects.is_empty() && objects.iter().all(serde_json::Value::is_object));
    }
    let mut dump = Command::new(env!("CARGO_BIN_EXE_ironwal"));
    run(dump.args(["--json", "dump"]).arg(&log.segments("s")[0]), b"").expect(0).objects();
}
