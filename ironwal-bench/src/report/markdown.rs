//! The report as Markdown.

use std::fmt::{self, Write as _};

use super::machine::Machine;
use super::trace::Calls;
use super::{Outcome, Settings, head, number_of};
use crate::contender::Contender;

/// All of it.
pub(super) fn report(
    settings: &Settings,
    machine: &Machine,
    outcomes: &[Outcome],
    calls: &[Calls],
) -> Result<String, fmt::Error> {
    let mut text = String::from("# IronWal beside others\n\n");
    writeln!(text, "{}.\n", machine.describe())?;
    writeln!(
        text,
        "{} rounds, the contenders in turn, each in a process of its own; medians of the rounds, \
         {} s each where time limits. Entries have 128 bytes that nothing makes smaller.\n",
        settings.rounds,
        settings.effort.time.as_secs_f64()
    )?;
    if settings.effort.divisor > 1 {
        let divisor = settings.effort.divisor;
        writeln!(text, "**Everything that is counted was divided by {divisor}.**\n")?;
    }
    goals(&mut text, outcomes)?;
    for outcome in outcomes {
        table(&mut text, outcome)?;
    }
    for Calls { workload, contender, syncs, .. } in calls.iter().filter(|calls| calls.is_lax()) {
        let name = contender.name();
        writeln!(
            text,
            "**{name} makes {syncs:.2} syncs for each durable append of {workload}.**\n"
        )?;
    }
    if !calls.is_empty() {
        text.push_str("## System calls for each operation\n\n");
        text.push_str(
            "| workload | | syncs | writes | all |\n| --- | --- | ---: | ---: | ---: |\n",
        );
        for Calls { workload, contender, syncs, writes, all } in calls {
            let name = contender.name();
            writeln!(text, "| {workload} | {name} | {syncs:.2} | {writes:.2} | {all:.2} |")?;
        }
    }
    Ok(text)
}

fn goals(text: &mut String, outcomes: &[Outcome]) -> fmt::Result {
    text.push_str("## Goals\n\n| | who | than | times as good | goal | |\n");
    text.push_str("| --- | --- | --- | ---: | ---: | --- |\n");
    for outcome in outcomes {
        for verdict in outcome.verdicts() {
            writeln!(
                text,
                "| {} | {} | {} | {} | {:.2} | {} |",
                outcome.workload.id,
                verdict.goal.who.name(),
                verdict.than,
                verdict.reached.map_or_else(String::new, |reached| format!("{reached:.2}")),
                verdict.goal.factor,
                verdict.word()
            )?;
        }
    }
    text.push('\n');
    Ok(())
}

fn table(text: &mut String, outcome: &Outcome) -> fmt::Result {
    let workload = outcome.workload;
    writeln!(text, "## {}: {}\n", workload.id, workload.title)?;
    let facts: std::collections::BTreeSet<_> = outcome
        .rows
        .iter()
        .flat_map(|row| row.samples.iter().flat_map(|sample| sample.facts.keys()))
        .collect();
    let is_timed = outcome.rows.iter().any(|row| row.latency().is_some());
    let mut line =
        format!("| | {} | lowest - highest | IronWal is .. times as good |", head(workload.unit));
    let mut rule = String::from("| --- | ---: | ---: | ---: |");
    if is_timed {
        line.push_str(" p50 us | p99 us | p99.9 us |");
        rule.push_str(" ---: | ---: | ---: |");
    }
    for fact in &facts {
        write!(line, " {fact} |")?;
        rule.push_str(" ---: |");
    }
    writeln!(text, "{line}\n{rule}")?;
    let ours = outcome.median_of(Contender::Ours);
    for row in &outcome.rows {
        let mut name = row.contender.name().to_owned();
        if let (Some(error), false) = (&row.error, row.samples.is_empty()) {
            write!(name, " (failed in round {}: {error})", row.samples.len() + 1)?;
        }
        let Some(median) = row.median() else {
            let error = row.error.as_deref().unwrap_or("not measured");
            writeln!(text, "| {name} | {error} |")?;
            continue;
        };
        let lowest = row.values().fold(f64::INFINITY, f64::min);
        let highest = row.values().fold(0.0, f64::max);
        let times =
            ours.map_or(String::new(), |ours| format!("{:.2}", outcome.times(ours, median)));
        write!(
            text,
            "| {name} | {} | {} - {} | {times} |",
            number_of(median),
            number_of(lowest),
            number_of(highest)
        )?;
        if is_timed {
            match row.latency() {
                Some(latency) => {
                    for micros in [latency.p50, latency.p99, latency.p99_9] {
                        write!(text, " {} |", number_of(micros))?;
                    }
                }
                None => text.push_str(" | | |"),
            }
        }
        for fact in &facts {
            let value = row.fact(fact).map_or(String::new(), number_of);
            write!(text, " {value} |")?;
        }
        text.push('\n');
    }
    text.push('\n');
    Ok(())
}
