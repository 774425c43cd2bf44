//! `verify`: what is found, and that it is found once.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Log, find, lines, turn};

/// A log whose stream `s` has several sealed segments with two entries each, closed cleanly.
fn log() -> (Log, Vec<PathBuf>) {
    let log = Log::new();
    log.append(&["s", "--segment-size", "200"], lines(0..10)).expect(0);
    let segments = log.segments("s");
    assert!(segments.len() > 3);
    let (findings, summary) = log.verify(0);
    assert_eq!((findings.len(), &summary["entries"]), (0, &10.into()));
    assert_eq!(summary["segments"], segments.len());
    (log, segments)
}

/// Checks that this is the one finding; gives it.
#[track_caller]
fn only(log: &Log, verdict: &str, path: &Path, code: i32) -> Value {
    let (mut findings, _) = log.verify(code);
    let finding = findings.pop().expect("there is a finding");
    assert!(findings.is_empty(), "{findings:?}, {finding}");
    assert_eq!(
        (finding["verdict"].as_str(), finding["segment"].as_str(), finding["stream"].as_str()),
        (Some(verdict), path.to_str(), Some("s")),
        "{finding}"
    );
    assert!(!finding["reason"].as_str().unwrap().is_empty());
    finding
}

/// The number of the first entry of a segment, and of the first behind it.
fn range(segments: &[PathBuf], n: usize) -> (u64, u64) {
    let base = |n: usize| {
        let name = segments[n].file_name().unwrap().to_str().unwrap();
        name.get(..20).unwrap().parse().unwrap()
    };
    (base(n), base(n + 1))
}

fn lost(finding: &Value) -> (u64, u64) {
    (finding["lost_from"].as_u64().unwrap(), finding["lost_until"].as_u64().unwrap())
}

#[test]
fn a_turned_bit_is_found_in_a_sealed_segment_that_opening_does_not_read() {
    let (log, segments) = log();
    let (first, _) = range(&segments, 1);
    let at = find(&segments[1], &format!("entry-{first}."));
    turn(&segments[1], at);
    let finding = only(&log, "damaged", &segments[1], 3);
    assert_eq!((&finding["offset"], lost(&finding)), (&(at - 32).into(), (first, first + 1)));
    let text = log.run(&["verify", "s"], b"").expect(3);
    let [line, summary] = text.text().lines().collect::<Vec<_>>()[..] else { panic!() };
    assert!(line.starts_with(&format!(
        "stream s: {}: damaged at byte {}: no valid frame: payload checksum ",
        segments[1].display(),
        at - 32
    )));
    assert!(line.ends_with(&format!("; entry {first} is lost")), "{line}");
    assert!(summary.starts_with("checked 1 stream in ") && summary.ends_with("1 of them damage"));
}

#[test]
fn each_turned_bit_of_a_sealed_segment_is_one_finding() {
    let (log, segments) = log();
    let (first, end) = range(&segments, 1);
    let sound = fs::read(&segments[1]).unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        fs::write(&segments[1], bytes).unwrap();
        let (findings, _) = log.verify(3);
        let [finding] = &findings[..] else { panic!("byte {at}: {findings:?}") };
        assert_eq!(finding["segment"], segments[1].to_str().unwrap());
        let (from, until) = lost(finding);
        assert!(first <= from && from <= until && until <= end, "byte {at}: {finding}");
    }
}

#[test]
fn each_segment_that_is_missing_is_one_finding_that_names_what_is_lost() {
    let (_, segments) = log();
    for n in 0..segments.len() {
        let (log, segments) = log();
        fs::remove_file(&segments[n]).unwrap();
        let finding = only(&log, "missing", &segments[n], 3);
        let expected = if n + 1 == segments.len() { None } else { Some(range(&segments, n)) };
        if let Some(expected) = expected {
            assert_eq!(lost(&finding), expected, "{n}");
        }
        let ran = log.cat(&["s"]).expect(3);
        let (from, until) = lost(&finding);
        let left = (0..10).filter(|seq| !(from..until).contains(seq));
        assert_eq!(ran.text(), lines(left), "{n}");
        assert!(ran.stderr.contains(segments[n].to_str().unwrap()));
    }
}

#[test]
fn a_segment_that_was_cut_short_is_one_finding() {
    let (log, segments) = log();
    let (first, end) = range(&segments, 1);
    let sound = fs::read(&segments[1]).unwrap();
    for len in 0..sound.len() {
        fs::write(&segments[1], &sound[..len]).unwrap();
        let (findings, _) = log.verify(3);
        let in_segment = findings.iter().filter(|finding| finding["verdict"] != "missing");
        assert_eq!(in_segment.clone().count(), findings.len(), "{len}: {findings:?}");
        let lost: Vec<_> = in_segment.map(lost).collect();
        assert!(
            lost.iter().all(|(from, until)| first <= *from && *until <= end),
            "{len}: {lost:?}"
        );
        // Without its header two things are wrong with it.
        assert!(findings.len() <= 2, "{len}: {findings:?}");
    }
}

#[test]
fn a_file_of_another_stream_is_foreign_wherever_it_stands() {
    for n in 0..log().1.len() {
        let (log, segments) = log();
        log.append(&["other"], "x").expect(0);
        fs::copy(&log.segments("other")[0], &segments[n]).unwrap();
        let (findings, _) = log.verify(3);
        assert_eq!(findings.len(), 1, "{n}: {findings:?}");
        only(&log, "foreign", &segments[n], 3);
    }
}

#[test]
fn a_strange_file_with_the_name_of_a_segment_is_foreign_and_left_alone() {
    let (log, segments) = log();
    let strange = log.root().join("s/00000000000000000010-0000000077.wal");
    fs::write(&strange, "this is a text that someone has put here, for whatever reason").unwrap();
    only(&log, "foreign", &strange, 3);
    log.append(&["s"], "x").expect(3);
    let ran = log.cat(&["s"]).expect(3);
    assert_eq!(ran.text().lines().count(), 10);
    assert!(ran.stderr.contains(strange.to_str().unwrap()), "{}", ran.stderr);
    fs::rename(&strange, log.root().join("s/notes.txt")).unwrap();
    only(&log, "stray", &log.root().join("s/notes.txt"), 0);
    log.append(&["s"], "x").expect(0);
    assert_eq!(log.segments("s"), segments);
}

#[test]
fn an_index_that_is_missing_or_wrong_is_a_finding_that_harms_nothing() {
    let (log, _) = log();
    let index = log.root().join("s/segments.idx");
    fs::remove_file(&index).unwrap();
    only(&log, "index missing", &index, 0);
    let ran = log.append(&["s"], "").expect(0);
    assert!(ran.stderr.contains("the index of stream s was missing"), "{}", ran.stderr);
    fs::write(&index, "x".repeat(200)).unwrap();
    only(&log, "index wrong", &index, 0);
    assert_eq!(log.cat(&["s"]).expect(0).text().lines().count(), 10);
    let ran = log.append(&["s"], "").expect(0);
    assert!(ran.stderr.contains("the index of stream s was wrong"), "{}", ran.stderr);
    assert_eq!(log.verify(0).0.len(), 0);
}

#[test]
fn a_last_segment_without_a_header_that_nothing_vouches_for_is_unfinished() {
    let log = Log::new();
    log.append_and_kill(&["s"], &["a"]);
    let made = log.root().join("s/00000000000000000001-0000000001.wal");
    fs::write(&made, "").unwrap();
    let finding = only(&log, "unfinished", &made, 0);
    assert_eq!(finding["offset"], 0);
    let ran = log.append(&["s"], "b").expect(0);
    assert!(ran.stderr.contains(".torn"), "{}", ran.stderr);
    assert_eq!(log.cat(&["s"]).expect(0).text(), "a\nb\n");
}

#[test]
fn damage_in_one_stream_does_not_keep_the_others_from_being_checked() {
    let (log, segments) = log();
    log.append(&["t"], "one\ntwo\n").expect(0);
    turn(&segments[0], find(&segments[0], "entry-0."));
    let (findings, summary) = log.verify(3);
    assert_eq!((findings.len(), &summary["streams"]), (1, &2.into()));
    assert_eq!((&summary["entries"], &summary["damaged"]), (&11.into(), &1.into()));
    log.run(&["verify", "t"], b"").expect(0);
}
