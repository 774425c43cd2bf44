//! The report, with as little work as shows that all of it is done.

use std::process::Command;

/// Every workload, of what is built without the other logs.
#[test]
fn a_report_has_every_workload_and_says_how_its_goals_were_met() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report");
    let status = Command::new(env!("CARGO_BIN_EXE_ironwal-bench"))
        .args(["report", "--rounds", "1", "--seconds", "0.01", "--divisor", "20000", "--dir"])
        .arg(dir.path())
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stderr);
    assert!(status.status.success(), "{said}");
    let markdown = std::fs::read_to_string(out.join("report.md")).unwrap();
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    let measured = json["workloads"].as_array().unwrap();
    assert_eq!(measured.len(), ironwal_bench::workload::ALL.len());
    for (workload, found) in ironwal_bench::workload::ALL.iter().zip(measured) {
        assert_eq!(found["id"], workload.id);
        assert!(markdown.contains(&format!("## {}: {}", workload.id, workload.title)));
        assert!(page.contains(&format!("{}.svg", workload.id)));
        let plot = std::fs::read_to_string(out.join(format!("{}.svg", workload.id))).unwrap();
        assert!(plot.starts_with("<svg") && plot.contains("IronWal"), "{}", workload.id);
        for row in found["rows"].as_array().unwrap() {
            // A few streams may take no memory that anybody sees.
            let least = if workload.id == "W12" { -1.0 } else { 0.0 };
            let is_measured = row["median"].as_f64().is_some_and(|median| median > least);
            // Where the device does not tell what it wrote, that is the answer.
            let is_told =
                row["error"].as_str().is_some_and(|error| error.contains("does not tell"));
            assert!(is_measured || is_told, "{}: {row}\n{said}", workload.id);
        }
    }
}

#[test]
fn what_there_is_not_is_an_error_and_no_report() {
    for wrong in
        [["report", "--only", "W99"], ["report", "--divisor", "0"], ["report", "--rounds", "0"]]
    {
        let told = Command::new(env!("CARGO_BIN_EXE_ironwal-bench")).args(wrong).output().unwrap();
        assert!(!told.status.success());
        assert!(String::from_utf8_lossy(&told.stderr).starts_with("error: "), "{told:?}");
    }
}
