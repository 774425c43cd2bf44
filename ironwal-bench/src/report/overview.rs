//! All workloads at a glance: a line and a bar for each.

use std::fmt::{self, Write as _};
use std::path::Path;

use plotters::prelude::{
    BLACK, Color, FontStyle, IntoDrawingArea, RGBColor, Rectangle, SVGBackend, Text, WHITE,
};

use super::plot::font;
use super::{Outcome, number_of};
use crate::contender::{Contender, Kind, Result};

const WIDTH: u32 = 800;
const ROW: i32 = 24;
const TOP: i32 = 64;
/// Where the bars begin, and where what is written behind them does.
const LEFT: i32 = 330;
const RIGHT: i32 = 640;
/// How many times as good, or as bad, fills the room on one side.
const MOST: f64 = 16.0;

/// A workload, by the best of each kind.
struct Line {
    title: String,
    unit: &'static str,
    /// This log with its default options.
    ours: f64,
    /// With another option, if that is better.
    option: Option<(Contender, f64)>,
    peer: Option<(Contender, f64)>,
    limit: Option<(Contender, f64)>,
    /// How many times as good this log is as the best peer, at its best.
    times: Option<f64>,
}

impl Line {
    fn of(outcome: &Outcome) -> Option<Self> {
        let ours = outcome.median_of(Contender::Ours)?;
        let best = |kind| outcome.best(|one| one.kind() == kind);
        let (option, peer) = (best(Kind::Ours), best(Kind::Peer));
        let own = option.map_or(ours, |best| best.1);
        Some(Self {
            title: format!("{}: {}", outcome.workload.id, outcome.workload.title),
            unit: outcome.workload.unit.symbol(),
            ours,
            option: option.filter(|best| best.0 != Contender::Ours),
            peer,
            // What is written nowhere is no limit of what is.
            limit: outcome.best(|one| one.kind() == Kind::Limit && one != Contender::Memory),
            times: peer.map(|peer| outcome.times(own, peer.1)),
        })
    }
}

/// The table.
pub(super) fn table(text: &mut String, outcomes: &[Outcome]) -> fmt::Result {
    text.push_str("## At a glance\n\n");
    text.push_str(
        "| | IronWal | with an option | best other log | times as good | the machine |\n",
    );
    text.push_str("| --- | ---: | ---: | ---: | ---: | ---: |\n");
    for line in outcomes.iter().filter_map(Line::of) {
        let named = |best: Option<(Contender, f64)>| {
            best.map_or_else(String::new, |(contender, value)| {
                format!("{} ({})", number_of(value), contender.name())
            })
        };
        writeln!(
            text,
            "| {} | {} {} | {} | {} | {} | {} |",
            line.title,
            number_of(line.ours),
            line.unit,
            named(line.option),
            named(line.peer),
            line.times.map_or_else(String::new, |times| format!("{times:.2}")),
            named(line.limit),
        )?;
    }
    text.push('\n');
    Ok(())
}

/// A bar for each workload that has another log: to the right where this one is better, to the left where it
/// is worse.
pub(super) fn picture(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let lines: Vec<_> = outcomes.iter().filter_map(Line::of).collect();
    let rows: Vec<_> =
        lines.iter().filter_map(|line| Some((line, line.times?, line.peer?))).collect();
    let height = TOP + ROW * i32::try_from(rows.len())? + 12;
    let root = SVGBackend::new(path, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = "IronWal at its best, and the best other log: how many times as good";
    root.draw(&Text::new(title, (12, 10), font(16.0, FontStyle::Bold)))?;
    let middle = f64::from(LEFT + RIGHT) / 2.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is cut to what there is room for")]
    let x = |times: f64| {
        let part = (times.log2() / MOST.log2()).clamp(-1.0, 1.0);
        (part * f64::from(RIGHT - LEFT) / 2.0 + middle).round() as i32
    };
    let grey = RGBColor(200, 200, 200);
    for times in [1.0 / 16.0, 0.25, 1.0, 4.0, 16.0] {
        let at = x(times);
        root.draw(&Rectangle::new([(at, TOP - 6), (at + 1, height - 10)], grey.filled()))?;
        let label =
            if times < 1.0 { format!("1/{:.0}", 1.0 / times) } else { format!("{times:.0}") };
        root.draw(&Text::new(label, (at - 8, TOP - 24), font(12.0, FontStyle::Normal)))?;
    }
    for ((line, times, (peer, _)), top) in rows.iter().zip((TOP..).step_by(usize::try_from(ROW)?)) {
        let short: String = line.title.chars().take(50).collect();
        root.draw(&Text::new(short, (12, top + 3), font(12.0, FontStyle::Normal)))?;
        let colour = if *times >= 1.0 { RGBColor(24, 104, 176) } else { RGBColor(190, 90, 60) };
        let (from, until) = (x(1.0).min(x(*times)), x(1.0).max(x(*times)));
        root.draw(&Rectangle::new([(from, top + 2), (until + 1, top + ROW - 6)], colour.filled()))?;
        let text = format!("{times:.2} x {}", peer.name());
        let style = font(12.0, FontStyle::Normal).color(&BLACK);
        root.draw(&Text::new(text, (RIGHT + 8, top + 3), style))?;
    }
    root.present()?;
    Ok(())
}
