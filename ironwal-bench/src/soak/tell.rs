//! What came of it, as tables, plots and JSON.

use serde_json::json;

use super::{Second, Settings, load};
use crate::contender::Result;
use crate::line;
use crate::report::machine::Machine;
use crate::report::number_of;
use crate::report::plot::{self, Axis, AxisScale, Line, Lines};
use crate::report::sheet::Sheet;
use crate::sample::median;

/// This part of the time counts as warming up.
const WARM_UP: f64 = 0.1;

/// Something that is looked at each second.
struct Gauge {
    name: &'static str,
    of: fn(&Second) -> f64,
}

/// What should stay as it is.
const GAUGES: &[Gauge] = &[
    Gauge { name: "resident memory, MB", of: |second| second.resident_len / 1e6 },
    Gauge { name: "memory without pages of files, MB", of: |second| second.anonymous_len / 1e6 },
    Gauge { name: "open files", of: |second| second.handles },
    Gauge { name: "segments kept mapped", of: |second| second.mapped },
    Gauge { name: "bytes on disk, MB", of: |second| second.disk_len / 1e6 },
    Gauge { name: "append p50, us", of: |second| second.p50 },
    Gauge { name: "append p99, us", of: |second| second.p99 },
    Gauge { name: "longest append of a second, us", of: |second| second.max },
    Gauge { name: "appends per second", of: |second| second.appends },
];

/// What became of a gauge after warming up.
#[derive(Debug, serde::Serialize)]
struct Course {
    gauge: &'static str,
    median: Option<f64>,
    lowest: f64,
    highest: f64,
    /// How much the closest line rises over the whole run, in percent of the median.
    drift: Option<f64>,
}

impl Gauge {
    fn course(&self, seconds: &[Second]) -> Course {
        let time = seconds.last().map_or(0.0, |second| second.at);
        let warm = seconds.iter().filter(|second| second.at > WARM_UP * time);
        let points: Vec<_> = warm.map(|second| (second.at, (self.of)(second))).collect();
        let values = || points.iter().map(|point| point.1);
        let median = median(values());
        let rise = line::slope(&points).map(|slope| slope * time);
        Course {
            gauge: self.name,
            median,
            lowest: values().fold(f64::INFINITY, f64::min),
            highest: values().fold(0.0, f64::max),
            drift: rise.zip(median).map(|(rise, median)| 100.0 * rise / median),
        }
    }
}

pub(super) fn write(
    settings: &Settings,
    machine: &Machine,
    seconds: &[Second],
    outcome: &Result<()>,
) -> Result<()> {
    let out = &settings.out;
    let courses: Vec<_> = GAUGES.iter().map(|gauge| gauge.course(seconds)).collect();
    let failure = outcome.as_ref().err().map(ToString::to_string);
    let last = seconds.last().cloned().unwrap_or_default();
    let mut sheet = Sheet::new("IronWal at full speed");
    sheet.text(format!("{}.", machine.describe()));
    sheet.text(load::describe());
    sheet.heading("Verdict");
    sheet.text(match &failure {
        None => "No operation failed, and readers saw what was written.".to_owned(),
        Some(failure) => format!("Failed: {failure}."),
    });
    sheet.text(format!(
        "In {:.0} s {} entries were appended and {} removed; {} were read by number and {} by iterators; {:.0} \
         times a reader came just after what it looked for was removed.",
        last.at,
        number_of(last.entries),
        number_of(last.removed),
        number_of(last.gets),
        number_of(last.iterated),
        last.overtaken
    ));
    sheet.text(
        "Drift is how much the line of least squares through all seconds but the first tenth rises over the \
         whole run, in percent of the median.",
    );
    let head = ["", "median", "lowest", "highest", "drift, %"].map(str::to_owned).to_vec();
    sheet.table(head, courses.iter().map(row).collect());
    for (file, lines) in pictures(seconds) {
        // A run that ended at once has nothing to show.
        if !seconds.is_empty() {
            plot::lines(&out.join(file), &lines)?;
            sheet.plot(file, lines.title);
        }
    }
    sheet.write(out, "soak")?;
    let json = json!({
        "machine": machine,
        "failure": failure,
        "courses": courses,
        "seconds": seconds,
    });
    Ok(std::fs::write(out.join("soak.json"), serde_json::to_string_pretty(&json)?)?)
}

fn row(course: &Course) -> Vec<String> {
    let or_nothing = |value: Option<f64>| value.map_or_else(String::new, number_of);
    vec![
        course.gauge.to_owned(),
        or_nothing(course.median),
        number_of(course.lowest),
        number_of(course.highest),
        course.drift.map_or_else(String::new, |drift| format!("{drift:+.1}")),
    ]
}

fn pictures(seconds: &[Second]) -> [(&'static str, Lines<'static>); 4] {
    let line = |name: &str, of: fn(&Second) -> f64| Line {
        name: name.to_owned(),
        points: seconds.iter().map(|second| (second.at, of(second))).collect(),
    };
    let lines = |title, y, scale, lines| Lines {
        title,
        x: Axis { title: "seconds", scale: AxisScale::Linear, write: |at| format!("{at:.0}") },
        y: Axis { title: y, scale, write: number_of },
        lines,
    };
    let memory = vec![
        line("resident", |second| second.resident_len / 1e6),
        line("of it no pages of files", |second| second.anonymous_len / 1e6),
        line("on disk", |second| second.disk_len / 1e6),
    ];
    let latency = vec![
        line("p50 of an append", |second| second.p50),
        line("p99", |second| second.p99),
        line("longest", |second| second.max),
    ];
    let files = vec![line("open files", |second| second.handles)];
    let rate = vec![line("appends", |second| second.appends)];
    [
        ("soak-memory.svg", lines("memory and disk", "MB", AxisScale::Linear, memory)),
        ("soak-files.svg", lines("open files", "files", AxisScale::Linear, files)),
        ("soak-latency.svg", lines("latency", "microseconds", AxisScale::Log, latency)),
        ("soak-rate.svg", lines("appends per second", "appends", AxisScale::Linear, rate)),
    ]
}
