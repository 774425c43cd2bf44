//! Runs that broke a promise once, each as the shortest script that showed it.

use std::fs;
use std::path::Path;

use ironwal_fuzz::script::{Effort, Script};

#[expect(clippy::disallowed_methods, reason = "files of this repository, not of a log")]
#[test]
fn no_script_that_failed_once_fails_again() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let script: Script = text.parse().unwrap_or_else(|error| panic!("{path:?}: {error}"));
        if let Err(failure) = script.run(Effort::NONE) {
            panic!("{path:?}: {failure}");
        }
        count += 1;
    }
    assert!(count > 0, "no script in {dir:?}");
}
