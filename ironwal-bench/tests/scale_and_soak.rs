//! What it costs as it gets larger and as time goes by, with as little work as shows that all of it is told.

use std::path::Path;
use std::process::Command;

use ironwal_bench::scale::Dimension;
use serde_json::Value;

/// Every operation at a few small sizes.
#[test]
fn what_grows_has_a_cost_at_every_size_and_an_exponent() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report");
    let args = ["--rounds", "1", "--seconds", "0.01", "--divisor", "100"];
    let (markdown, page, json) = told("scale", &args, dir.path());
    let curves = json["curves"].as_array().unwrap();
    for dimension in Dimension::ALL {
        let plot = std::fs::read_to_string(out.join(format!("scale-{}.svg", dimension.name())));
        let plot = plot.unwrap();
        assert!(markdown.contains(&format!("## {}", dimension.title())));
        assert!(page.contains(&format!("scale-{}.svg", dimension.name())));
        for operation in dimension.operations() {
            let is_meant = |curve: &&Value| {
                curve["dimension"] == dimension.name() && curve["operation"] == operation.name()
            };
            let curve = curves.iter().find(is_meant).unwrap();
            let points = curve["points"].as_array().unwrap();
            let is_measured = |point: &Value| point["median"].as_f64().is_some_and(|ns| ns > 0.0);
            assert!(!points.is_empty() && points.iter().all(is_measured), "{curve}");
            assert_eq!(points.len() > 1, curve["exponent"].is_f64(), "{curve}");
            assert!(markdown.contains(&format!("| {} |", operation.name())));
            assert!(plot.contains(operation.name()));
        }
    }
    assert_nothing_is_left(dir.path());
}

/// Some seconds of it, in which it rotates and removes.
#[test]
fn a_soak_is_looked_at_each_second_and_its_readers_check_what_they_read() {
    let dir = tempfile::tempdir().unwrap();
    let (markdown, page, json) = told("soak", &["--minutes", "0.05"], dir.path());
    assert!(markdown.contains("No operation failed, and readers saw what was written."));
    assert_eq!(json["failure"], Value::Null);
    let seconds = json["seconds"].as_array().unwrap();
    assert_eq!(seconds.len(), 3);
    let last = seconds.last().unwrap();
    for counted in ["entries", "gets", "iterated", "resident_len", "handles", "disk_len", "p99"] {
        assert!(last[counted].as_f64().unwrap() > 0.0, "{counted}: {last}");
    }
    assert!(json["courses"].as_array().unwrap().iter().all(|course| course["drift"].is_f64()));
    for plot in ["memory", "files", "latency", "rate"] {
        let name = format!("soak-{plot}.svg");
        let plot = std::fs::read_to_string(dir.path().join("report").join(&name)).unwrap();
        assert!(plot.starts_with("<svg") && page.contains(&name), "{name}");
    }
    assert_nothing_is_left(dir.path());
}

/// Runs it; gives its Markdown, its page and its JSON.
fn told(name: &str, args: &[&str], dir: &Path) -> (String, String, Value) {
    let out = dir.join("report");
    let done = Command::new(env!("CARGO_BIN_EXE_ironwal-bench"))
        .arg(name)
        .args(args)
        .arg("--dir")
        .arg(dir)
        .arg("--out")
        .arg(&out)
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let read = |end: &str| {
        std::fs::read_to_string(out.join(format!("{name}.{end}"))).expect("it is there")
    };
    (read("md"), read("html"), serde_json::from_str(&read("json")).expect("it is JSON"))
}

#[expect(clippy::disallowed_methods, reason = "looks at what a benchmark left")]
fn assert_nothing_is_left(dir: &Path) {
    let left = std::fs::read_dir(dir).expect("it is there");
    let left = left.map(|entry| entry.expect("it is there").file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["report"]);
}

#[test]
fn what_makes_no_sense_is_an_error() {
    for wrong in
        [["scale", "--divisor", "0"], ["scale", "--rounds", "0"], ["soak", "--minutes", "0"]]
    {
        let told = Command::new(env!("CARGO_BIN_EXE_ironwal-bench")).args(wrong).output().unwrap();
        assert!(!told.status.success());
        assert!(String::from_utf8_lossy(&told.stderr).starts_with("error: "), "{told:?}");
    }
}
