//! The report as a page with plots.

use std::fmt::{self, Write as _};

use super::machine::Machine;
use super::trace::Calls;
use super::{Outcome, Settings, number_of};

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}.missed{color:#a00;font-weight:bold}\
img{max-width:100%;display:block;margin:1.5em 0 .5em}";

/// The file of the picture of all workloads.
pub(super) const OVERVIEW: &str = "overview.svg";

/// All of it; each outcome has its plot.
pub(super) fn page(
    settings: &Settings,
    machine: &Machine,
    (outcomes, plots): (&[Outcome], &[String]),
    calls: &[Calls],
) -> Result<String, fmt::Error> {
    let mut text = head("IronWal beside others");
    write!(
        text,
        "<p>{}.</p><p>{} rounds, in turn; medians, and a line from the lowest \
         to the highest. Grey is what the machine can do, blue is IronWal, orange are other logs.</p>",
        escaped(&machine.describe()),
        settings.rounds
    )?;
    for (other, what) in [("scale", "as it gets larger"), ("soak", "at full speed for some time")] {
        if settings.out.join(format!("{other}.html")).exists() {
            write!(text, "<p><a href=\"{other}.html\">IronWal {what}</a></p>")?;
        }
    }
    write!(text, "<img src=\"{OVERVIEW}\" alt=\"all workloads at a glance\">")?;
    text.push_str("<h2>Goals</h2><table><tr><th><th>who<th>than<th>times as good<th>goal</tr>");
    for outcome in outcomes {
        for verdict in outcome.verdicts() {
            let class = if verdict.word() == "missed" { "missed" } else { "met" };
            let reached =
                verdict.reached.map_or_else(String::new, |reached| format!("{reached:.2}"));
            write!(
                text,
                "<tr><td>{}<td>{}<td>{}<td class=\"{class}\">{reached}<td>{:.2}</tr>",
                outcome.workload.id,
                verdict.goal.who.name(),
                escaped(&verdict.than),
                verdict.goal.factor
            )?;
        }
    }
    text.push_str("</table>");
    for (outcome, plot) in outcomes.iter().zip(plots) {
        let title = escaped(outcome.workload.title);
        write!(text, "<img src=\"{plot}\" alt=\"{title}\">")?;
        for row in &outcome.rows {
            if let Some(error) = &row.error {
                let rounds = row.samples.len();
                let error = escaped(error);
                write!(text, "<p class=\"missed\">after {rounds} rounds: {error}</p>")?;
            }
        }
        latencies(&mut text, outcome)?;
    }
    if !calls.is_empty() {
        text.push_str("<h2>System calls for each operation</h2>");
        text.push_str("<table><tr><th><th>who<th>syncs<th>synced writes<th>writes<th>all</tr>");
        for call in calls {
            write!(
                text,
                "<tr><td>{}<td>{}<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.2}</tr>",
                call.workload,
                call.contender.name(),
                call.syncs,
                call.synced_writes,
                call.writes,
                call.all
            )?;
        }
        text.push_str("</table>");
    }
    text.push_str("</html>\n");
    Ok(text)
}

fn latencies(text: &mut String, outcome: &Outcome) -> fmt::Result {
    let timed: Vec<_> =
        outcome.rows.iter().filter_map(|row| Some((row.contender, row.latency()?))).collect();
    if timed.is_empty() {
        return Ok(());
    }
    text.push_str("<table><tr><th>microseconds<th>p50<th>p99<th>p99.9<th>longest</tr>");
    for (contender, latency) in timed {
        write!(text, "<tr><td>{}", contender.name())?;
        for micros in [latency.p50, latency.p99, latency.p99_9, latency.max] {
            write!(text, "<td>{}", number_of(micros))?;
        }
        text.push_str("</tr>");
    }
    text.push_str("</table>");
    Ok(())
}

/// The beginning of a page.
pub(crate) fn head(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><h1>{title}</h1>"
    )
}

/// Text that nothing in it is markup of.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
