//! What came of a run: as a table for people, and as JSON.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Volume, together};
use crate::campaign::{Campaign, Failure};
use crate::reach::NOT_BUILT;
use crate::tally::{Group, Tally};

/// What came of one campaign.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// The name of its layer.
    pub layer: &'static str,
    /// How many cases were run.
    pub cases: u64,
    /// How many turns are being run.
    pub running: usize,
    /// How long threads worked on it,
    pub busy: Duration,
    /// and how much of a core they had: on a machine that others use, less.
    pub cpu: Duration,
    /// The case that took longest, and how long.
    pub slowest: (u64, Duration),
    /// What it counted.
    pub tally: Tally,
    /// The case that broke a promise, and how.
    pub failure: Option<(u64, Failure)>,
    /// Why it was not run.
    pub skipped: Option<String>,
    /// What must have been reached.
    pub must_reach: &'static [&'static str],
}

/// Whether a run is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Something is left to be run.
    Running,
    /// Nothing is.
    Over,
    /// Something is, and a case of it does not end.
    Hung,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            State::Running => "unfinished",
            State::Over => "finished",
            State::Hung => "hung",
        }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of each campaign.
    pub outcomes: Vec<Outcome>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether something is left to be run.
    pub state: State,
    /// The number of the first case.
    pub seed: u64,
    /// On how many threads it ran.
    pub threads: usize,
    /// How much was to be run.
    pub volume: Volume,
}

impl Outcome {
    pub(super) fn new(campaign: &dyn Campaign) -> Self {
        Outcome {
            name: campaign.name(),
            layer: campaign.layer().name(),
            cases: 0,
            running: 0,
            busy: Duration::ZERO,
            cpu: Duration::ZERO,
            slowest: (0, Duration::ZERO),
            tally: Tally::default(),
            failure: None,
            skipped: None,
            must_reach: campaign.must_reach(),
        }
    }

    pub(super) fn note(
        &mut self,
        case: u64,
        (took, cpu): (Duration, Duration),
        tally: &Tally,
        failure: Option<Failure>,
    ) {
        self.cases += 1;
        self.busy += took;
        self.cpu += cpu;
        if took > self.slowest.1 {
            self.slowest = (case, took);
        }
        self.tally.absorb(tally);
        if let (None, Some(failure)) = (&self.failure, failure) {
            self.failure = Some((case, failure));
        }
    }

    fn images(&self) -> u64 {
        self.tally.get(Group::Work, "crash images")
    }

    fn unreached(&self) -> impl Iterator<Item = &'static str> {
        let is_unreached = |what: &&&str| self.tally.get(Group::Reached, what) == 0;
        let is_run = self.cases > 0 && self.failure.is_none();
        self.must_reach.iter().filter(move |_| is_run).filter(is_unreached).copied()
    }
}

fn rate(count: u64, time: Duration) -> u64 {
    let millis = time.as_millis().max(1);
    u64::try_from(u128::from(count) * 1000 / millis).unwrap_or(u64::MAX)
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Report {
    /// Crash images so far.
    pub fn images(&self) -> u64 {
        self.outcomes.iter().map(Outcome::images).sum()
    }

    /// Crash images a second and core, and cases so far.
    pub fn line(&self) -> String {
        let cases: u64 = self.outcomes.iter().map(|outcome| outcome.cases).sum();
        let failed = self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        format!(
            "{} s: {} cases, {} crash images ({} a second), {failed} campaigns failed",
            self.elapsed.as_secs(),
            grouped(cases),
            grouped(self.images()),
            grouped(rate(self.images(), self.elapsed)),
        )
    }

    /// Whether every promise was kept, and everything was reached that has to be.
    pub fn is_good(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.failure.is_none()) && self.unreached().is_empty()
    }

    /// What should have come about and did not.
    pub fn unreached(&self) -> Vec<String> {
        if self.volume != Volume::Fixed {
            return Vec::new();
        }
        let named = |outcome: &Outcome| {
            outcome.unreached().map(|what| format!("{}: {what}", outcome.name)).collect::<Vec<_>>()
        };
        self.outcomes.iter().flat_map(named).collect()
    }

    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let counts = |tally: &Tally| {
            let groups = Group::ALL.into_iter().map(|group| {
                let counts: Map<_, _> =
                    tally.of(group).map(|(what, count)| (what.to_owned(), json!(count))).collect();
                (group.name().to_owned(), Value::Object(counts))
            });
            Value::Object(groups.collect())
        };
        let campaigns: Vec<Value> = self
            .outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "name": outcome.name,
                    "layer": outcome.layer,
                    "cases": outcome.cases,
                    "busy_seconds": outcome.busy.as_secs_f64(),
                    "core_seconds": outcome.cpu.as_secs_f64(),
                    "slowest_case": outcome.slowest.0,
                    "slowest_seconds": outcome.slowest.1.as_secs_f64(),
                    "skipped": outcome.skipped,
                    "failure": outcome.failure.as_ref().map(|(case, failure)| json!({
                        "case": case,
                        "invariant": failure.violation.invariant.name(),
                        "what": failure.violation.what,
                        "story": failure.story,
                        "replay": replay(outcome.name, *case),
                    })),
                    "counts": counts(&outcome.tally),
                })
            })
            .collect();
        json!({
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "threads": self.threads,
            "seed": self.seed,
            "state": self.state.name(),
            "good": self.is_good(),
            "crash_images": self.images(),
            "unreached": self.unreached(),
            "not_built": NOT_BUILT,
            "campaigns": campaigns,
        })
    }
}

/// The command that runs a case again, alone.
pub(crate) fn replay(name: &str, case: u64) -> String {
    format!("cargo run --release -p ironwal-fuzz -- nightly --replay {name}:{case}")
}

impl fmt::Display for Report {
    /// As Markdown, which reads as plain text as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| campaign | layer | cases | crash images | core s | cases/s | images/s | slowest |"
        )?;
        writeln!(f, "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")?;
        for outcome in &self.outcomes {
            let Outcome { name, layer, cases, cpu, slowest, .. } = outcome;
            if let Some(why) = &outcome.skipped {
                writeln!(f, "| {name} | {layer} | skipped: {why} | | | | | |")?;
                continue;
            }
            writeln!(
                f,
                "| {name} | {layer} | {} | {} | {:.1} | {} | {} | case {}, {:.3} s |",
                grouped(*cases),
                grouped(outcome.images()),
                cpu.as_secs_f64(),
                grouped(rate(*cases, *cpu)),
                grouped(rate(outcome.images(), *cpu)),
                slowest.0,
                slowest.1.as_secs_f64(),
            )?;
        }
        let cpu = self.outcomes.iter().map(|outcome| outcome.cpu).sum::<Duration>();
        writeln!(
            f,
            "\n{:.0} s on {} threads; {} crash images, {} a second and core",
            self.elapsed.as_secs_f64(),
            self.threads,
            grouped(self.images()),
            grouped(rate(self.images(), cpu)),
        )?;
        let all = together(&self.outcomes);
        for group in Group::ALL {
            for (at, (what, count)) in all.of(group).enumerate() {
                if at == 0 {
                    writeln!(f, "\n| {} | |\n| --- | ---: |", group.name())?;
                }
                writeln!(f, "| {what} | {} |", grouped(count))?;
            }
        }
        writeln!(f, "\nnot built yet, so not counted: {}", NOT_BUILT.join("; "))?;
        for what in self.unreached() {
            writeln!(f, "\nNOT REACHED: {what}")?;
        }
        for outcome in &self.outcomes {
            if let Some((case, failure)) = &outcome.failure {
                writeln!(f, "\nFAILED: {} case {case}: {failure}", outcome.name)?;
                writeln!(f, "replay: {}", replay(outcome.name, *case))?;
            }
        }
        Ok(())
    }
}
