//! The report as Markdown.

use std::fmt::{self, Write as _};

use super::machine::Machine;
use super::trace::Calls;
use super::{Outcome, Settings, head, number_of, overview};
use crate::contender::{Contender, Kind};
use crate::sample::range;

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
    overview::table(&mut text, outcomes)?;
    goals(&mut text, outcomes)?;
    durability(&mut text, outcomes, calls)?;
    for outcome in outcomes {
        table(&mut text, outcome)?;
    }
    if !calls.is_empty() {
        text.push_str("## System calls for each operation\n\n");
        text.push_str("| workload | | syncs | synced writes | writes | all |\n");
        text.push_str("| --- | --- | ---: | ---: | ---: | ---: |\n");
        for Calls { workload, contender, syncs, synced_writes, writes, all, .. } in calls {
            let name = contender.name();
            writeln!(
                text,
                "| {workload} | {name} | {syncs:.2} | {synced_writes:.2} | {writes:.2} | {all:.2} |"
            )?;
        }
    }
    Ok(text)
}

/// A line for each log that says of appends that they are durable: whether it synced.
pub(super) fn durability(text: &mut String, outcomes: &[Outcome], calls: &[Calls]) -> fmt::Result {
    let strict: Vec<_> = outcomes.iter().filter(|outcome| outcome.workload.is_strict()).collect();
    if strict.is_empty() {
        return Ok(());
    }
    text.push_str(
        "## Who synced\n\nCalls that make durable, for each append that one thread was told to be durable, \
         as `strace` saw them. That they were made does not say that they covered the entry.\n\n",
    );
    let was_measured = |contender: &Contender| {
        let mut rows = strict.iter().flat_map(|outcome| &outcome.rows);
        contender.kind() != Kind::Limit && rows.any(|row| row.contender == *contender)
    };
    for contender in Contender::ALL.iter().filter(|contender| was_measured(contender)) {
        let was_strict = |id| strict.iter().any(|outcome| outcome.workload.id == id);
        let own = calls.iter().filter(|calls| calls.contender == *contender);
        let own: Vec<_> = own.filter(|calls| was_strict(calls.workload)).collect();
        let verdict = if own.is_empty() {
            "not looked at"
        } else if own.iter().all(|calls| calls.has_synced()) {
            "synced each"
        } else if own.iter().all(|calls| calls.has_synced() || calls.hiding > 0.0) {
            "**not seen to sync each, but the kernel works for it unseen (io_uring)**"
        } else {
            "**did not sync each**"
        };
        write!(text, "- {}: {verdict}", contender.name())?;
        for calls in own {
            write!(text, "; {} in {}", number_of(calls.durable()), calls.workload)?;
        }
        text.push('\n');
    }
    text.push('\n');
    Ok(())
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
        let (Some(median), Some((lowest, highest))) = (row.median(), range(row.values())) else {
            let error = row.error.as_deref().unwrap_or("not measured");
            writeln!(text, "| {name} | {error} |")?;
            continue;
        };
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
