//! Two processes on one log.

use crate::support::{Log, Writer, dump, feed, lines};

fn holder(log: &Log) -> Writer {
    let mut writer = log.writer(&["s"]);
    writer.send("held");
    assert_eq!(writer.ack(), Some(0));
    writer
}

#[test]
fn a_second_writer_is_told_what_to_do_and_readers_need_no_lock() {
    let log = Log::new();
    let mut writer = holder(&log);
    for stream in ["s", "another"] {
        let ran = log.append(&[stream], "x").expect(4);
        assert!(ran.stdout.is_empty());
        let root = log.root();
        let expected = format!(
            "ironwal: another process is writing to {}: stop it, or use one of the other commands, \
             which need no lock\n",
            root.display()
        );
        assert_eq!(ran.stderr, expected);
    }
    writer.send("more");
    assert_eq!(writer.ack(), Some(1));
    assert_eq!(log.cat(&["s"]).expect(0).text(), "held\nmore\n");
    assert_eq!(log.verify(0).1["entries"], 2);
    assert!(log.run(&["ls"], b"").expect(0).text().contains('s'));
    writer.finish().expect(0);
    log.append(&["s"], "x").expect(0);
}

#[test]
fn readers_change_nothing_beside_a_writer_behind_a_killed_one_and_after_damage() {
    let log = Log::new();
    let look = |code: i32| {
        let before = log.image();
        let looks: [&[&str]; 6] =
            [&["cat", "s"], &["verify"], &["verify", "s"], &["ls"], &["stat"], &["stat", "s"]];
        for args in looks {
            log.run(args, b"").expect(code);
        }
        dump(&log.segments("s")[0], &[]).expect(code);
        assert_eq!(before, log.image());
    };
    let writer = holder(&log);
    look(0);
    writer.kill();
    look(0);
    let [segment] = &log.segments("s")[..] else { panic!() };
    std::fs::remove_file(log.root().join("s/segments.idx")).unwrap();
    look(0);
    std::fs::write(segment, "not a segment of a log, but long enough for one").unwrap();
    look(3);
}

/// The writer rotates at every other entry, so that looks meet it in the middle all the time.
#[test]
fn a_live_writer_never_looks_damaged() {
    let log = Log::new();
    let mut writer = log.writer(&["s", "--segment-size", "200"]);
    let feeder = feed(writer.take_input(), 0);
    let mut acknowledged = writer.ack().unwrap() + 1;
    for _ in 0..25 {
        let ran = log.cat(&["s"]).expect(0);
        let found = ran.text().lines().count() as u64;
        assert!(found >= acknowledged, "{found} of {acknowledged}");
        assert_eq!((ran.text(), ran.stderr.as_str()), (lines(0..found).as_str(), ""));
        let (findings, summary) = log.verify(0);
        assert!(summary["entries"].as_u64().unwrap() >= found);
        assert!(findings.iter().all(|finding| finding["lost_until"] == 0), "{findings:?}");
        let stat = log.run(&["stat", "s", "--json"], b"").expect(0).objects();
        let (stream, segments) = stat.split_last().unwrap();
        assert_eq!((&stream["first"], &stream["entries"]), (&0.into(), &stream["next"]));
        assert!(stream["next"].as_u64().unwrap() >= found);
        let counts = segments.iter().map(|segment| segment["entries"].as_u64().unwrap());
        assert_eq!(Some(counts.sum()), stream["entries"].as_u64());
        let dump = dump(log.segments("s").last().unwrap(), &["--json"]).expect(0).objects();
        assert_ne!(dump.last().unwrap()["verdict"], "damaged");
        acknowledged = writer.ack().unwrap() + 1;
    }
    writer.kill();
    feeder.join().unwrap();
}
