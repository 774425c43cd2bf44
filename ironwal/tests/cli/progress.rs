//! The progress of `verify`: on a terminal, and nowhere else.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Log, Ran, lines};

/// Runs `verify` with a terminal as standard error; gives what that was told.
fn verify_on_a_terminal(log: &Log, env: &[(&str, &str)]) -> Ran {
    let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&main).unwrap();
    unlockpt(&main).unwrap();
    let name = ptsname(&main, Vec::new()).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(name).unwrap();
    let mut command = log.command(&["verify"]);
    command.env_remove("NO_COLOR").env("TERM", "xterm").envs(env.iter().copied());
    let child = command.stdout(Stdio::piped()).stderr(terminal).spawn().unwrap();
    // With this the last handle of ours on the terminal's own side is gone.
    drop(command);
    let mut told = Vec::new();
    // At the end a terminal fails where a pipe ends.
    drop(File::from(main).read_to_end(&mut told));
    let done = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(told).unwrap();
    Ran { code: done.status.code().unwrap(), stdout: done.stdout, stderr }
}

#[test]
fn a_terminal_sees_bytes_of_all_bytes_without_colours_and_standard_output_none_of_it() {
    let log = Log::new();
    for stream in ["s", "t"] {
        log.append(&[stream, "--sync", "async", "--segment-size", "3000"], lines(0..2000))
            .expect(0);
    }
    let plain = log.run(&["verify"], b"").expect(0);
    assert_eq!(plain.stderr, "", "this is no terminal");
    for env in [&[][..], &[("NO_COLOR", "1")]] {
        let ran = verify_on_a_terminal(&log, env).expect(0);
        assert_eq!(ran.stdout, plain.stdout);
        assert!(ran.stderr.contains(" KiB ["), "{:?}", ran.stderr);
        assert!(ran.stderr.contains("0%") && ran.stderr.contains("100%"), "{:?}", ran.stderr);
        let is_colour = |escape: &str| {
            escape.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
        };
        assert!(!ran.stderr.split("\u{1b}[").skip(1).any(is_colour), "{:?}", ran.stderr);
    }
    let dumb = verify_on_a_terminal(&log, &[("TERM", "dumb")]).expect(0);
    assert_eq!(dumb.stderr, "");
}

#[test]
fn findings_are_the_same_on_a_terminal() {
    let log = Log::new();
    log.append(&["s", "--segment-size", "200"], lines(0..10)).expect(0);
    log.append(&["t", "--segment-size", "200"], lines(0..10)).expect(0);
    std::fs::remove_file(&log.segments("s")[1]).unwrap();
    std::fs::write(log.root().join("t/notes"), "x").unwrap();
    let plain = log.run(&["verify"], b"").expect(3);
    let ran = verify_on_a_terminal(&log, &[]).expect(3);
    assert_eq!(ran.text(), plain.text());
    assert_eq!(plain.text().lines().count(), 3);
}
