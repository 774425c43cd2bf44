//! The command, as a person or a nightly job uses it.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ironwal-fuzz")).args(args).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_run_says_what_it_did_and_writes_it_down() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("told.json");
    let json = json.to_str().unwrap();
    let only = ["--only", "codec,crash-short", "--json", json];
    let output = run(&[&["nightly", "--cases", "20"], &only[..]].concat());
    let text = told(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("| crash-short | facade | 20 |"), "{text}");
    assert!(text.contains("not built yet, so not counted: row 38"), "{text}");
    let written: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!(written["good"], true);
    assert_eq!(written["campaigns"][1]["cases"], 20);
}

#[test]
fn a_case_and_a_script_are_run_again_alone() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions/cut-not-synced.txt");
    for what in ["crash-short:7", script] {
        let output = run(&["nightly", "--replay", what]);
        assert!(output.status.success(), "{what}: {}", told(&output));
        assert_eq!(told(&output).trim(), "every promise was kept");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_a_line() {
    let cases = [
        (&["nightly", "--only", "fly"][..], "there is no campaign \"fly\""),
        (&["nightly", "--layer", "roof"], "there is no layer \"roof\""),
        (&["nightly", "--layer", "codec", "--only", "rot"], "no campaign is left"),
        (&["nightly", "--replay", "crash-short:x"], "\"x\""),
        (&["nightly", "--replay", "/nowhere"], "/nowhere"),
        (&["nightly", "--minutes=-1"], "-1 minutes"),
    ];
    for (args, what) in cases {
        let output = run(args);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        let told = text + &String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(what), "{args:?}: {told}");
    }
}
