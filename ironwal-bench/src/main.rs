//! Measures IronWal beside other logs and beside what the machine can do.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ironwal_bench::contender::{Contender, Result};
use ironwal_bench::process;
use ironwal_bench::report::{self, Settings};
use ironwal_bench::scale::{self, Dimension, Operation};
use ironwal_bench::soak;
use ironwal_bench::workload::{Effort, Workload};

#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the workloads with all contenders in turn, and writes a report.
    Report(ReportArguments),
    /// Runs one workload with one contender, and prints what it gave as JSON.
    Measure(MeasureArguments),
    /// Lists the workloads.
    List,
    /// Measures what operations cost as a log gets larger, and writes a report.
    Scale(ScaleArguments),
    /// Runs one operation at one size, and prints what it gave as JSON.
    MeasureScale(MeasureScaleArguments),
    /// Lets a log run at full speed, with readers that check it, and writes a report.
    Soak(SoakArguments),
}

#[derive(Debug, Args)]
struct ReportArguments {
    /// Only these workloads.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Where the logs are written: the file system that is measured.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the report is written.
    #[arg(long, default_value = "target/bench-report")]
    out: PathBuf,
    #[command(flatten)]
    effort: EffortArguments,
}

#[derive(Debug, Args)]
struct MeasureArguments {
    /// The workload.
    workload: String,
    /// The contender, as `list` calls it.
    contender: String,
    /// Where the log is written.
    dir: PathBuf,
    /// Make ready what the workload reads, and end as if killed.
    #[arg(long)]
    prepare: bool,
    /// How many appends each thread does, in the place of what the workload says.
    #[arg(long)]
    count: Option<u64>,
    #[command(flatten)]
    effort: EffortArguments,
}

#[derive(Debug, Args)]
struct ScaleArguments {
    /// Where the logs are written: the file system that is measured.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the report is written.
    #[arg(long, default_value = "target/bench-report")]
    out: PathBuf,
    /// How often each point has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long reads of one stream go on, in seconds.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Sizes are divided by this.
    #[arg(long, default_value_t = 1)]
    divisor: u64,
}

#[derive(Debug, Args)]
struct MeasureScaleArguments {
    /// What there is more and more of.
    dimension: String,
    /// What is done.
    operation: String,
    /// How many there are.
    size: u64,
    /// Where the log is.
    dir: PathBuf,
    /// Make the log, and no more.
    #[arg(long)]
    prepare: bool,
    /// How long reads of one stream go on, in seconds.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
}

#[derive(Debug, Args)]
struct SoakArguments {
    /// Where the log is written: the file system that is used.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the report is written.
    #[arg(long, default_value = "target/bench-report")]
    out: PathBuf,
    /// How long it goes on.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
}

#[derive(Clone, Copy, Debug, Args)]
struct EffortArguments {
    /// How long what is measured by time goes on, in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// What is measured by number is divided by this.
    #[arg(long, default_value_t = 1)]
    divisor: u64,
}

impl EffortArguments {
    fn effort(self) -> Result<Effort> {
        effort(self.seconds, self.divisor)
    }
}

fn effort(seconds: f64, divisor: u64) -> Result<Effort> {
    let time = Duration::try_from_secs_f64(seconds)?;
    if divisor == 0 || time.is_zero() {
        return Err("nothing is measured with 0 seconds or a divisor of 0".into());
    }
    Ok(Effort { time, divisor })
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a program says what went wrong")]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::List => {
            for workload in ironwal_bench::workload::ALL {
                println!("{:10} {}", workload.id, workload.title);
                let names = workload.contenders.iter().filter(|contender| contender.is_built());
                let names: Vec<_> = names.map(|contender| contender.name()).collect();
                println!("{:10} {}", "", names.join("; "));
            }
            Ok(())
        }
        Command::Measure(MeasureArguments { workload, contender, dir, prepare, count, effort }) => {
            let workload = find(&workload)?;
            let contender = Contender::ALL.into_iter().find(|one| one.name() == contender);
            let contender = contender.ok_or("there is no such contender")?;
            process::raise_handle_limit()?;
            if prepare {
                workload.prepare(contender, &dir, effort.effort()?)?;
            } else {
                let sample = workload.run(contender, &dir, effort.effort()?, count)?;
                println!("{}", serde_json::to_string(&sample)?);
            }
            Ok(())
        }
        Command::Scale(arguments) => scale(arguments),
        Command::MeasureScale(arguments) => measure_scale(&arguments),
        Command::Soak(arguments) => soak(arguments),
        Command::Report(ReportArguments { only, rounds, dir, out, effort }) => {
            let workloads = match only.as_slice() {
                [] => ironwal_bench::workload::ALL.iter().collect(),
                only => only.iter().map(|id| find(id)).collect::<Result<Vec<_>>>()?,
            };
            let dir = dir.unwrap_or_else(std::env::temp_dir);
            report::run(&Settings { workloads, rounds, dir, out, effort: effort.effort()? })
        }
    }
}

fn scale(arguments: ScaleArguments) -> Result<()> {
    let ScaleArguments { dir, out, rounds, seconds, divisor } = arguments;
    let dir = dir.unwrap_or_else(std::env::temp_dir);
    scale::run(&scale::Settings { rounds, dir, out, effort: effort(seconds, divisor)? })
}

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn measure_scale(arguments: &MeasureScaleArguments) -> Result<()> {
    let MeasureScaleArguments { dimension, operation, size, dir, prepare, seconds } = arguments;
    let dimension = Dimension::ALL.into_iter().find(|one| one.name() == dimension);
    let dimension = dimension.ok_or("there is no such dimension")?;
    let operation = Operation::ALL.into_iter().find(|one| one.name() == operation);
    let operation = operation.ok_or("there is no such operation")?;
    process::raise_handle_limit()?;
    if *prepare {
        return scale::prepare(dimension, *size, dir);
    }
    let sample = scale::measure((dimension, operation), *size, dir, effort(*seconds, 1)?)?;
    println!("{}", serde_json::to_string(&sample)?);
    Ok(())
}

fn soak(arguments: SoakArguments) -> Result<()> {
    let SoakArguments { dir, out, minutes } = arguments;
    let dir = dir.unwrap_or_else(std::env::temp_dir);
    let time = Duration::try_from_secs_f64(60.0 * minutes)?;
    if time < Duration::from_secs(1) {
        return Err("nothing is seen in less than a second".into());
    }
    soak::run(&soak::Settings { time, dir, out })
}

fn find(id: &str) -> Result<&'static Workload> {
    Workload::find(id).ok_or_else(|| format!("there is no workload {id}: see list").into())
}
