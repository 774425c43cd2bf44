//! Runs workloads with all contenders in turn, each in a process of its own, and says what came of it.

pub(crate) mod machine;
mod markdown;
mod overview;
pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod sheet;
mod strace;
mod trace;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use self::machine::Machine;
use self::trace::Calls;
use crate::child;
use crate::contender::{Contender, Kind, Result};
use crate::process;
use crate::sample::{Latency, Sample, median};
use crate::workload::{Effort, Goal, Than, Unit, Workload};

/// What is to be reported.
#[derive(Debug)]
pub struct Settings {
    /// These workloads.
    pub workloads: Vec<&'static Workload>,
    /// How often each contender has its turn.
    pub rounds: u32,
    /// Where logs are written.
    pub dir: PathBuf,
    /// Where the report is written.
    pub out: PathBuf,
    /// How much is done.
    pub effort: Effort,
}

/// What came of a workload.
#[derive(Debug)]
struct Outcome {
    workload: &'static Workload,
    rows: Vec<Row>,
}

/// What came of a contender in a workload.
#[derive(Debug)]
struct Row {
    contender: Contender,
    samples: Vec<Sample>,
    /// Why there is no sample, or one fewer.
    error: Option<String>,
}

impl Row {
    fn values(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().map(|sample| sample.value)
    }

    fn median(&self) -> Option<f64> {
        median(self.values())
    }

    fn latency(&self) -> Option<Latency> {
        let all = || self.samples.iter().filter_map(|sample| sample.latency);
        Some(Latency {
            p50: median(all().map(|latency| latency.p50))?,
            p99: median(all().map(|latency| latency.p99))?,
            p99_9: median(all().map(|latency| latency.p99_9))?,
            max: all().map(|latency| latency.max).fold(0.0, f64::max),
        })
    }

    fn fact(&self, name: &str) -> Option<f64> {
        median(self.samples.iter().filter_map(|sample| sample.facts.get(name).copied()))
    }
}

/// How a goal was met.
#[derive(Debug)]
struct Verdict {
    goal: Goal,
    /// Whose value it was held against.
    than: String,
    /// How many times as good this log was, if both were measured.
    reached: Option<f64>,
}

impl Verdict {
    /// In a word.
    fn word(&self) -> &'static str {
        match self.reached {
            None => "not measured",
            Some(reached) if reached >= self.goal.factor => "met",
            Some(_) => "missed",
        }
    }
}

impl Outcome {
    fn median_of(&self, contender: Contender) -> Option<f64> {
        self.rows.iter().find(|row| row.contender == contender)?.median()
    }

    /// How many times as good a value is as another.
    fn times(&self, value: f64, other: f64) -> f64 {
        if self.workload.unit.is_speed() { value / other } else { other / value }
    }

    fn best(&self, is_meant: impl Fn(Contender) -> bool) -> Option<(Contender, f64)> {
        let meant = self.rows.iter().filter(|row| is_meant(row.contender));
        let measured = meant.filter_map(|row| Some((row.contender, row.median()?)));
        measured.max_by(|one, other| self.times(one.1, other.1).total_cmp(&1.0))
    }

    /// How the goals were met.
    fn verdicts(&self) -> Vec<Verdict> {
        let is_peer = |contender: Contender| contender.kind() == Kind::Peer;
        let verdict = |goal: &Goal| {
            let of_contender = |best: Option<(Contender, f64)>| {
                best.map(|(contender, value)| (contender.name().to_owned(), value))
            };
            let than = match goal.than {
                Than::BestPeer => of_contender(self.best(is_peer)),
                Than::BestOfOwnFiles => {
                    of_contender(self.best(|one| is_peer(one) && !one.has_shared_log()))
                }
                Than::BestOfSharedLogs => {
                    of_contender(self.best(|one| is_peer(one) && one.has_shared_log()))
                }
                Than::BestLimit => of_contender(self.best(|one| one.kind() == Kind::Limit)),
                Than::One(one) => of_contender(self.best(|other| other == one)),
                Than::Value(value) => {
                    Some((format!("{value} {}", self.workload.unit.symbol()), value))
                }
            };
            let own = self.median_of(goal.who);
            Verdict {
                goal: *goal,
                reached: own.zip(than.as_ref()).map(|(own, than)| self.times(own, than.1)),
                than: than.map_or_else(|| "not measured".to_owned(), |than| than.0),
            }
        };
        self.workload.goals.iter().map(verdict).collect()
    }
}

/// Measures, and writes the report: `report.md`, `report.json`, `index.html` with plots.
///
/// # Errors
///
/// Where nothing can be written, and the first of this log; what goes wrong in another contender is part of
/// the report.
pub fn run(settings: &Settings) -> Result<()> {
    std::fs::create_dir_all(&settings.out)?;
    let machine = Machine::look(&settings.dir)?;
    let mut outcomes = Vec::new();
    for workload in &settings.workloads {
        say(&format!("{}: {}", workload.id, workload.title));
        outcomes.push(measure(settings, workload)?);
        // What was measured so far is there, whatever comes.
        write(settings, &machine, &outcomes, &[])?;
    }
    say("system calls");
    let calls = trace::count(settings);
    write(settings, &machine, &outcomes, &calls)?;
    say(&format!("{}", settings.out.join("report.md").display()));
    let rows = outcomes.iter().flat_map(|outcome| &outcome.rows);
    let mut failed = rows.filter(|row| row.contender.kind() == Kind::Ours && row.error.is_some());
    failed.next().map_or(Ok(()), |row| Err(row.error.clone().unwrap_or_default().into()))
}

fn write(
    settings: &Settings,
    machine: &Machine,
    outcomes: &[Outcome],
    calls: &[Calls],
) -> Result<()> {
    let out = &settings.out;
    std::fs::write(out.join("report.md"), markdown::report(settings, machine, outcomes, calls)?)?;
    std::fs::write(out.join("report.json"), json(settings, machine, outcomes, calls)?)?;
    overview::picture(&out.join(page::OVERVIEW), outcomes)?;
    let mut plots = Vec::new();
    for outcome in outcomes {
        let name = format!("{}.svg", outcome.workload.id);
        plot::bars(&out.join(&name), outcome)?;
        plots.push(name);
    }
    Ok(std::fs::write(
        out.join("index.html"),
        page::page(settings, machine, (outcomes, &plots), calls)?,
    )?)
}

fn measure(settings: &Settings, workload: &'static Workload) -> Result<Outcome> {
    let built = workload.contenders.iter().filter(|contender| contender.is_built());
    let row =
        |contender: &Contender| Row { contender: *contender, samples: Vec::new(), error: None };
    let mut outcome = Outcome { workload, rows: built.map(row).collect() };
    let kept = tempfile::tempdir_in(&settings.dir)?;
    for round in 0..settings.rounds {
        // Who comes behind whom is not the same in each round.
        let mut rows: Vec<_> = outcome.rows.iter_mut().enumerate().collect();
        if round % 2 == 1 {
            rows.reverse();
        }
        for (number, row) in rows {
            if row.error.is_some() {
                continue;
            }
            match one(settings, (workload, row.contender), &kept.path().join(number.to_string())) {
                Ok(sample) => {
                    say(&format!(
                        "  {} of {}: {:24} {:14} {}",
                        round + 1,
                        settings.rounds,
                        row.contender.name(),
                        number_of(sample.value),
                        workload.unit.symbol()
                    ));
                    row.samples.push(sample);
                }
                Err(error) => {
                    say(&format!("  {}: {error}", row.contender.name()));
                    row.error = Some(error.to_string());
                }
            }
        }
    }
    Ok(outcome)
}

fn one(settings: &Settings, what: (&Workload, Contender), dir: &Path) -> Result<Sample> {
    let (workload, contender) = what;
    std::fs::create_dir_all(dir)?;
    if workload.is_prepared() && !Workload::is_ready(dir) {
        let prepared = command(settings, what, dir, &["--prepare"])?;
        let prepared = child::output(prepared, contender.name());
        if !Workload::is_ready(dir) {
            prepared?;
        }
    }
    process::settle(dir)?;
    let sample = child::sample(command(settings, what, dir, &[])?, contender.name())?;
    if !workload.is_prepared() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(sample)
}

/// A process that measures.
fn command(
    settings: &Settings,
    (workload, contender): (&Workload, Contender),
    dir: &Path,
    more: &[&str],
) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["measure", workload.id, contender.name()])
        .arg(dir)
        .args(["--seconds", &settings.effort.time.as_secs_f64().to_string()])
        .args(["--divisor", &settings.effort.divisor.to_string()])
        .args(more)
        .env("WALRUS_QUIET", "1")
        // What else is in the directory it takes for its own.
        .env("WALRUS_DATA_DIR", dir.join("log"));
    Ok(command)
}

#[derive(Serialize)]
struct JsonOutcome<'a> {
    id: &'a str,
    title: &'a str,
    unit: &'a str,
    rows: Vec<JsonRow<'a>>,
    goals: Vec<JsonGoal>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    contender: &'a str,
    median: Option<f64>,
    samples: &'a [Sample],
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonGoal {
    who: &'static str,
    than: String,
    factor: f64,
    reached: Option<f64>,
}

fn json(
    settings: &Settings,
    machine: &Machine,
    outcomes: &[Outcome],
    calls: &[Calls],
) -> Result<String> {
    let workloads: Vec<_> = outcomes
        .iter()
        .map(|outcome| JsonOutcome {
            id: outcome.workload.id,
            title: outcome.workload.title,
            unit: outcome.workload.unit.symbol(),
            rows: outcome
                .rows
                .iter()
                .map(|one| JsonRow {
                    contender: one.contender.name(),
                    median: one.median(),
                    samples: &one.samples,
                    error: one.error.as_deref(),
                })
                .collect(),
            goals: outcome
                .verdicts()
                .into_iter()
                .map(|verdict| JsonGoal {
                    who: verdict.goal.who.name(),
                    factor: verdict.goal.factor,
                    reached: verdict.reached,
                    than: verdict.than,
                })
                .collect(),
        })
        .collect();
    let all = serde_json::json!({
        "machine": machine,
        "rounds": settings.rounds,
        "seconds": settings.effort.time.as_secs_f64(),
        "divisor": settings.effort.divisor,
        "workloads": workloads,
        "calls": calls,
    });
    Ok(serde_json::to_string_pretty(&all)?)
}

/// A value as people read it: three digits that count, or all in front of the point.
pub(crate) fn number_of(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 1000.0 => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place) % 3 == 0 {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Tells whoever waits.
#[expect(clippy::print_stderr, reason = "tells how far it is")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// How the value of a unit is called in a head of a table.
const fn head(unit: Unit) -> &'static str {
    match unit {
        Unit::Rate => "per second",
        Unit::Nanoseconds => "ns each",
        Unit::Milliseconds => "ms",
        Unit::Gigabytes => "GB/s",
        Unit::Ratio => "bytes per byte",
        Unit::Megabytes => "MB",
    }
}

#[cfg(test)]
mod tests;
