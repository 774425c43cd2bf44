//! `append --sync` and `append --compression`: what is promised when, and that it is kept.

use std::fs;

use crate::support::{Log, dump, feed, lines};

const MODES: [&str; 3] = ["strict", "batch-only", "async"];

/// A killed process takes nothing with it that it has written.
#[test]
fn in_every_mode_acknowledged_entries_outlive_sigkill() {
    for mode in MODES {
        for batch in ["1", "3"] {
            let log = Log::new();
            let args = ["s", "--sync", mode, "--batch", batch, "--segment-size", "2000"];
            let mut writer = log.writer(&args);
            let feeder = feed(writer.take_input(), 0);
            let mut acknowledged = 0;
            for _ in 0..50 {
                acknowledged = writer.ack().unwrap() + 1;
            }
            let unread = writer.kill();
            feeder.join().unwrap();
            let acknowledged = unread.last().map_or(acknowledged, |last| last + 1);
            let cat = log.cat(&["s"]).expect(0);
            let found = cat.text().lines().count() as u64;
            assert!(found >= acknowledged, "{mode}, {batch}: {found} of {acknowledged}");
            assert_eq!(cat.text(), lines(0..found), "{mode}, {batch}");
        }
    }
}

/// What is recorded as durable is not looked at again by the next opening.
#[test]
fn in_every_mode_all_is_recorded_as_durable_when_the_command_has_ended() {
    for mode in MODES {
        for batch in ["1", "3"] {
            let log = Log::new();
            let args = ["s", "--sync", mode, "--batch", batch, "--segment-size", "300"];
            let ran = log.append(&args, lines(0..40)).expect(0);
            assert!(ran.text().starts_with("appended 40 entries, 0..40, "), "{}", ran.text());
            assert_eq!(ran.stderr, "", "{mode}");
            let (findings, summary) = log.verify(0);
            assert_eq!((findings.len(), &summary["entries"]), (0, &40.into()), "{mode}");
            assert_eq!(log.append(&["s"], "").expect(0).stderr, "", "{mode}");
        }
    }
}

#[test]
fn in_every_mode_what_was_appended_before_a_failure_is_durable() {
    for mode in MODES {
        let log = Log::new();
        let path = log.beside("lines");
        fs::write(&path, "one\ntwo\n").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len((64 << 20) + 16).unwrap();
        let file = path.to_str().unwrap();
        let ran = log.append(&["s", "--file", file, "--sync", mode], "").expect(1);
        assert!(ran.stderr.contains("2 entries, 0..2, were appended"), "{}", ran.stderr);
        assert_eq!(log.append(&["s"], "").expect(0).stderr, "", "{mode}");
        assert_eq!(log.cat(&["s"]).expect(0).text(), "one\ntwo\n");
    }
}

#[test]
fn an_acknowledgement_says_whether_it_is_one_of_durability() {
    for (mode, batch, is_durable) in [
        ("strict", "1", true),
        ("strict", "2", true),
        ("batch-only", "1", false),
        ("batch-only", "2", true),
        ("async", "1", false),
        ("async", "2", false),
    ] {
        let log = Log::new();
        let args = ["s", "--sync", mode, "--batch", batch, "--ack"];
        let ran = log.append(&args, "a\nb\n").expect(0);
        let told = ran.stderr.contains("not that it is durable");
        assert_eq!(told, !is_durable, "{mode}, {batch}: {}", ran.stderr);
        let ran = log.append(&[&args[..], &["--json"]].concat(), "a\nb\n").expect(0);
        assert!(ran.objects().iter().all(|ack| ack["durable"] == is_durable), "{mode}, {batch}");
        assert_eq!(ran.objects().last().unwrap()["seq"], 3);
    }
}

#[test]
fn lines_are_compressed_as_asked_and_read_the_same() {
    let long = format!("{}\n", "abcdefgh".repeat(4000));
    let encoding = |args: &[&str]| {
        let log = Log::new();
        log.append(&[&["s"], args].concat(), &long).expect(0);
        assert_eq!(log.cat(&["s"]).expect(0).text(), long);
        let objects = dump(&log.segments("s")[0], &["--json"]).expect(0).objects();
        let frame = objects.iter().find(|object| object["kind"] == "entries").unwrap();
        assert_eq!(frame["plain"], long.len() - 1);
        frame["encoding"].as_str().unwrap().to_owned()
    };
    assert_eq!(encoding(&["--compression", "none"]), "raw");
    if cfg!(feature = "lz4") {
        assert_eq!(
            (encoding(&["--compression", "lz4"]), encoding(&[])),
            ("lz4".into(), "lz4".into())
        );
        return;
    }
    assert_eq!(encoding(&[]), "raw");
    let log = Log::new();
    let ran = log.append(&["s", "--compression", "lz4"], &long).expect(2);
    assert!(ran.stderr.contains("without the feature lz4"), "{}", ran.stderr);
    assert!(!log.root().exists());
}
