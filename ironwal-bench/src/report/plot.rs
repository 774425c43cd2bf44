//! A plot for each workload.

use std::path::Path;

use plotters::prelude::{
    BLACK, Color, FontStyle, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, Text,
    WHITE,
};

use super::{Outcome, number_of};
use crate::contender::{Contender, Kind, Result};
use crate::sample::range;

const WIDTH: u32 = 720;
const ROW: i32 = 26;
const TOP: i32 = 44;
const NAMES: i32 = 170;
const VALUES: i32 = 190;
/// A value is shown to scale up to so many times that of this log.
const FAR_OFF: f64 = 12.0;

/// A bar for each contender: its median, and a line from the lowest to the highest.
pub(super) fn bars(path: &Path, outcome: &Outcome) -> Result<()> {
    let rows: Vec<_> = outcome
        .rows
        .iter()
        .filter_map(|row| Some((row.contender, row.median()?, range(row.values())?)))
        .collect();
    let height = TOP + ROW * i32::try_from(rows.len())? + 12;
    let root = SVGBackend::new(path, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    let font =
        |size: f64, style: FontStyle| ("sans-serif", size).into_font().style(style).color(&BLACK);
    let title = format!("{}: {}", outcome.workload.id, outcome.workload.title);
    root.draw(&Text::new(title, (12, 12), font(16.0, FontStyle::Bold)))?;
    let most = rows.iter().fold(f64::MIN_POSITIVE, |most, (.., (_, high))| most.max(*high));
    // One that is far off must not hide the differences of the others.
    let ours = outcome.median_of(Contender::Ours).unwrap_or(most);
    let most = most.min(FAR_OFF * ours);
    let room = f64::from(i32::try_from(WIDTH)? - NAMES - VALUES - 12);
    #[expect(clippy::cast_possible_truncation, reason = "the most is as wide as there is room")]
    let x = |value: f64| NAMES + (value.min(most) / most * room).round() as i32;
    let tops = (TOP..).step_by(usize::try_from(ROW)?);
    for ((contender, median, (low, high)), top) in rows.iter().zip(tops) {
        root.draw(&Text::new(contender.name(), (12, top + 4), font(13.0, FontStyle::Normal)))?;
        let colour = match contender.kind() {
            Kind::Limit => RGBColor(168, 168, 168),
            Kind::Ours => RGBColor(24, 104, 176),
            Kind::Peer => RGBColor(216, 150, 72),
        };
        let end = x(*median).max(NAMES + 1);
        root.draw(&Rectangle::new([(NAMES, top + 3), (end, top + ROW - 5)], colour.filled()))?;
        let middle = top + ROW / 2 - 1;
        root.draw(&Rectangle::new([(x(*low), middle), (x(*high), middle + 1)], BLACK.filled()))?;
        let scale = if *median > most { ", not to scale" } else { "" };
        let text = format!("{} {}{scale}", number_of(*median), outcome.workload.unit.symbol());
        let at = (end.max(x(*high)) + 6, top + 4);
        root.draw(&Text::new(text, at, font(13.0, FontStyle::Normal)))?;
    }
    root.present()?;
    Ok(())
}
