//! What an operation costs as a log gets larger: with more entries, more segments, more streams.
//!
//! Each point is measured in processes of its own, the points of a dimension in turn, so that what the
//! machine does beside them meets all of them alike.

mod kind;
mod point;
mod tell;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use self::kind::{Dimension, Operation};
pub use self::point::{measure, prepare};
use crate::contender::Result;
use crate::report::machine::Machine;
use crate::report::say;
use crate::sample::{Sample, median};
use crate::workload::Effort;
use crate::{child, copy_all, line, process};

/// What is to be measured.
#[derive(Debug)]
pub struct Settings {
    /// How often each point has its turn.
    pub rounds: u32,
    /// Where logs are written.
    pub dir: PathBuf,
    /// Where what came of it is written.
    pub out: PathBuf,
    /// How long reads go on, and by what the sizes are divided.
    pub effort: Effort,
}

/// What came of an operation in a dimension.
#[derive(Debug)]
struct Curve {
    dimension: Dimension,
    operation: Operation,
    points: Vec<Point>,
}

/// What came of it at one size.
#[derive(Debug)]
struct Point {
    size: u64,
    samples: Vec<Sample>,
}

impl Point {
    /// In nanoseconds, the mean of all calls of a round.
    fn cost(&self) -> Option<f64> {
        median(self.samples.iter().map(|sample| sample.value))
    }

    /// In nanoseconds, where single calls were timed: half of them took no longer.
    fn usual_cost(&self) -> Option<f64> {
        let latencies = self.samples.iter().filter_map(|sample| sample.latency);
        median(latencies.map(|latency| latency.p50 * 1e3))
    }
}

impl Curve {
    /// Size and cost of each point.
    fn costs(&self, cost: fn(&Point) -> Option<f64>) -> Vec<(f64, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        let costs = self.points.iter().filter_map(|point| Some((point.size as f64, cost(point)?)));
        costs.collect()
    }

    /// The power of the size that a cost grows with.
    fn exponent(&self, cost: fn(&Point) -> Option<f64>) -> Option<f64> {
        line::exponent(&self.costs(cost))
    }

    /// The same from the largest size but one to the largest: what begins to grow late shows here.
    fn last_exponent(&self) -> Option<f64> {
        line::exponent(self.costs(Point::cost).last_chunk::<2>()?)
    }
}

/// Measures, and writes `scale.md`, `scale.json`, `scale.html`, and a plot for each dimension.
///
/// # Errors
///
/// The first of the log, and those of writing.
pub fn run(settings: &Settings) -> Result<()> {
    std::fs::create_dir_all(&settings.out)?;
    let machine = Machine::look(&settings.dir)?;
    let mut curves = Vec::new();
    for dimension in Dimension::ALL {
        say(dimension.title());
        let root = tempfile::tempdir_in(&settings.dir)?;
        curves.extend(measure_dimension(settings, dimension, root.path())?);
        // What was measured so far is there, whatever comes.
        tell::write(settings, &machine, &curves)?;
    }
    say(&format!("{}", settings.out.join("scale.md").display()));
    Ok(())
}

fn measure_dimension(settings: &Settings, dimension: Dimension, root: &Path) -> Result<Vec<Curve>> {
    let dir = |size: u64| root.join(size.to_string());
    let sizes = dimension.sizes(settings.effort);
    for &size in &sizes {
        say(&format!("  making {size} {}", dimension.name()));
        let mut command = command(settings, (dimension, Operation::Open, size), &dir(size))?;
        command.arg("--prepare");
        child::output(command, dimension.name())?;
    }
    let curve = |operation: &Operation| {
        let sizes = sizes.iter().filter(|size| **size >= operation.least());
        let points = sizes.map(|size| Point { size: *size, samples: Vec::new() }).collect();
        Curve { dimension, operation: *operation, points }
    };
    let mut curves: Vec<_> = dimension.operations().iter().map(curve).collect();
    // What only looks comes first: later the logs are not what they were.
    for curve in &mut curves {
        for round in 0..settings.rounds {
            let operation = curve.operation;
            // Who comes behind whom is not the same in each round.
            let mut points: Vec<_> = curve.points.iter_mut().collect();
            if round % 2 == 1 {
                points.reverse();
            }
            for point in points {
                let sample = one(settings, (dimension, operation, point.size), &dir(point.size))?;
                point.samples.push(sample);
            }
        }
        let costs = curve.costs(Point::cost);
        let costs: Vec<_> = costs.iter().map(|(_, cost)| tell::time(*cost)).collect();
        say(&format!("  {:26} {}", curve.operation.name(), costs.join("  ")));
    }
    Ok(curves)
}

/// What is measured of one point.
type What = (Dimension, Operation, u64);

fn one(settings: &Settings, what: What, dir: &Path) -> Result<Sample> {
    let (dimension, operation, _) = what;
    let copy = tempfile::tempdir_in(&settings.dir)?;
    let dir = if operation.is_measured_on_a_copy(dimension) {
        copy_all(&dir.join(point::LOG), &copy.path().join(point::LOG))?;
        copy.path()
    } else {
        dir
    };
    process::settle(dir)?;
    child::sample(command(settings, what, dir)?, operation.name())
}

fn command(settings: &Settings, (dimension, operation, size): What, dir: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["measure-scale", dimension.name(), operation.name(), &size.to_string()])
        .arg(dir)
        .args(["--seconds", &settings.effort.time.as_secs_f64().to_string()]);
    Ok(command)
}
