//! The runner: everything that needs time, by one command.

#![forbid(unsafe_code)]

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use ironwal_fuzz::campaign::{self, Campaign, Layer};
use ironwal_fuzz::power;
use ironwal_fuzz::runner::{PATIENCE, Plan, Report, State, Volume, run_case};
use ironwal_fuzz::script::{Effort, Script};

/// Tests IronWal by volume: simulated crashes, faults and damage, judged by a model.
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run campaigns for a time, or the part of fixed size.
    Nightly(Nightly),
    /// Name the campaigns.
    List,
}

#[derive(Args, Debug)]
struct Nightly {
    /// For how long.
    #[arg(long, default_value_t = 60.0, value_name = "MINUTES")]
    minutes: f64,
    /// The part of fixed size, however long it takes; what must be reached has to be.
    #[arg(long, conflicts_with = "minutes")]
    fixed: bool,
    /// So many cases of each campaign, however long they take.
    #[arg(long, conflicts_with_all = ["minutes", "fixed"], value_name = "COUNT")]
    cases: Option<u64>,
    /// The number of the first case of each campaign that has no end.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Only campaigns of this layer: codec, segment, stream, facade, system.
    #[arg(long)]
    layer: Option<String>,
    /// Only these campaigns, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// On how many threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Write what came of it to this file, too; every minute what came of it so far.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run one case again: `<campaign>:<number>`, or a file with a script.
    #[arg(long, value_name = "CASE", conflicts_with_all = ["minutes", "fixed", "cases", "layer", "only", "json"])]
    replay: Option<String>,
}

fn main() -> ExitCode {
    // The program of a campaign, which starts itself as another process.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "writer") {
        let args: Vec<_> = args.collect();
        if let Err(error) = power::run_writer(&args) {
            drop(writeln!(std::io::stderr(), "{error}"));
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    let done = match Command::parse().task {
        Task::List => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        Task::Nightly(Nightly { replay: Some(what), .. }) => replay(&what),
        Task::Nightly(nightly) => run(&nightly),
    };
    done.unwrap_or_else(|error| {
        say(&format!("error: {error}"));
        ExitCode::from(2)
    })
}

type Done = Result<ExitCode, String>;

/// A reader that went away does not stop a run.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

fn list() {
    for campaign in campaign::ALL {
        let (name, layer) = (campaign.name(), campaign.layer().name());
        say(&format!("{name:14} {layer:8} {}", campaign.about()));
    }
}

fn named(name: &str) -> Result<&'static dyn Campaign, String> {
    let found = campaign::ALL.into_iter().find(|campaign| campaign.name() == name);
    found.ok_or_else(|| format!("there is no campaign {name:?}; `list` names them"))
}

fn chosen(nightly: &Nightly) -> Result<Vec<&'static dyn Campaign>, String> {
    let layer = match &nightly.layer {
        None => None,
        Some(name) => {
            let layer = Layer::ALL.into_iter().find(|layer| layer.name() == name);
            Some(layer.ok_or_else(|| format!("there is no layer {name:?}"))?)
        }
    };
    for name in &nightly.only {
        named(name)?;
    }
    let is_chosen = |campaign: &&dyn Campaign| {
        layer.is_none_or(|layer| campaign.layer() == layer)
            && (nightly.only.is_empty() || nightly.only.iter().any(|name| name == campaign.name()))
    };
    let chosen: Vec<_> = campaign::ALL.into_iter().filter(is_chosen).collect();
    if chosen.is_empty() { Err("no campaign is left".to_owned()) } else { Ok(chosen) }
}

fn run(nightly: &Nightly) -> Done {
    let volume = if nightly.fixed {
        Volume::Fixed
    } else if let Some(count) = nightly.cases {
        Volume::Cases(count)
    } else {
        let time = Duration::try_from_secs_f64(nightly.minutes * 60.0);
        Volume::For(time.map_err(|error| format!("{} minutes: {error}", nightly.minutes))?)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        campaigns: chosen(nightly)?,
        volume,
        seed: nightly.seed,
        threads: nightly.threads.unwrap_or(cores),
        patience: PATIENCE,
    };
    let progress = Progress::new(nightly.json.clone());
    // A run that cannot write what comes of it says so before it, not behind it.
    progress.write(&Report { state: State::Running, ..plan.begun() })?;
    let report = plan.run(&|report| {
        if report.state == State::Hung {
            drop(progress.end(report));
            give_up();
        }
        progress.show(report);
    });
    progress.end(&report)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::exit, reason = "a thread that runs a case which hangs cannot be ended")]
fn give_up() -> ! {
    std::process::exit(1)
}

/// Writes what came of a run, or of a part of it: whole, or what was written before stays.
#[expect(clippy::disallowed_methods, reason = "a report is no log, and is on no storage")]
fn write_json(path: &Path, report: &Report) -> Result<(), String> {
    let text = format!("{:#}\n", report.to_json());
    let new = path.with_added_extension("new");
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn replay(what: &str) -> Done {
    let failure = match what.split_once(':') {
        Some((name, case)) if named(name).is_ok() => {
            let case = case.parse().map_err(|error| format!("{case:?}: {error}"))?;
            run_case(named(name)?, case).err()
        }
        _ => {
            let text = std::fs::read_to_string(what).map_err(|error| format!("{what}: {error}"))?;
            let script: Script = text.parse().map_err(|error| format!("{what}: {error}"))?;
            script.run(Effort::NONE).err().map(Into::into)
        }
    };
    match failure {
        None => {
            say("every promise was kept");
            Ok(ExitCode::SUCCESS)
        }
        Some(failure) => {
            say(&failure.to_string());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Shows how far a run is: a line that changes on a terminal, else one a minute; and writes it down each
/// minute, so that something is left of a run that is ended.
struct Progress {
    bar: Option<ProgressBar>,
    json: Option<PathBuf>,
    last: Mutex<Instant>,
}

impl Progress {
    fn new(json: Option<PathBuf>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(ProgressStyle::default_spinner());
            bar
        });
        Progress { bar, json, last: Mutex::new(Instant::now()) }
    }

    fn show(&self, report: &Report) {
        if let Some(bar) = &self.bar {
            bar.set_message(report.line());
            bar.tick();
        }
        let Ok(mut last) = self.last.lock() else { return };
        if last.elapsed() >= Duration::from_mins(1) {
            *last = Instant::now();
            if self.bar.is_none() {
                say(&report.line());
            }
            // The disk may be full for a time; the last report has to be written.
            drop(self.write(report));
        }
    }

    fn write(&self, report: &Report) -> Result<(), String> {
        self.json.as_deref().map_or(Ok(()), |path| write_json(path, report))
    }

    fn end(&self, report: &Report) -> Result<(), String> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(&report.to_string());
        self.write(report)
    }
}
