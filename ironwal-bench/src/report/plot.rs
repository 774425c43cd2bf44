//! Plots: bars for a workload, lines for what grows or goes on.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::{
    BLACK, ChartBuilder, Circle, Color, FontStyle, IntoDrawingArea, IntoFont, LineSeries, RGBColor,
    Rectangle, SVGBackend, Text, TextStyle, WHITE,
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

const COLOURS: [RGBColor; 7] = [
    RGBColor(24, 104, 176),
    RGBColor(216, 120, 40),
    RGBColor(60, 150, 70),
    RGBColor(190, 50, 60),
    RGBColor(120, 80, 170),
    RGBColor(120, 120, 120),
    RGBColor(20, 160, 160),
];

/// Lines in one picture.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    pub title: &'a str,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
}

/// A line, and what is told of it below the picture.
#[derive(Debug)]
pub(crate) struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// What is drawn along one side.
#[derive(Debug)]
pub(crate) struct Axis {
    pub title: &'static str,
    pub scale: AxisScale,
    /// How a value is written.
    pub write: fn(f64) -> String,
}

/// How values become places.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AxisScale {
    /// From 0 on.
    Linear,
    /// Every power of ten takes the same room.
    Log,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        match self.scale {
            AxisScale::Linear => value,
            AxisScale::Log => value.max(f64::MIN_POSITIVE).log10(),
        }
    }

    fn label(&self, place: f64) -> String {
        match self.scale {
            AxisScale::Linear => (self.write)(place),
            AxisScale::Log => (self.write)(10_f64.powf(place)),
        }
    }

    /// The range that has all values, and how many labels it takes.
    fn range(&self, values: impl Iterator<Item = f64> + Clone) -> (Range<f64>, usize) {
        const LABELS: usize = 8;
        let most = values.clone().map(|value| self.place(value)).fold(f64::NEG_INFINITY, f64::max);
        let least = values.map(|value| self.place(value)).fold(f64::INFINITY, f64::min);
        match self.scale {
            AxisScale::Linear => (0.0..(most * 1.05).max(f64::MIN_POSITIVE), LABELS),
            AxisScale::Log => {
                let (least, most) = (least.floor(), most.ceil().max(least.floor() + 1.0));
                let powers = (0..).take_while(|power| least + f64::from(*power) <= most);
                (least..most, powers.count())
            }
        }
    }
}

/// Lines with their points; what each is stands below.
pub(crate) fn lines(path: &Path, picture: &Lines<'_>) -> Result<()> {
    const HEIGHT: i32 = 420;
    const NAME: i32 = 20;
    /// More points than this are a line by themselves.
    const DOTS: usize = 30;
    let Lines { title, x, y, lines } = picture;
    let height = HEIGHT + NAME * i32::try_from(lines.len())? + 10;
    let root = SVGBackend::new(path, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(HEIGHT);
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let (x_range, x_labels) = x.range(all().map(|point| point.0));
    let (y_range, y_labels) = y.range(all().map(|point| point.1));
    if all().next().is_none() {
        return Err("there is nothing to draw".into());
    }
    let mut chart = ChartBuilder::on(&above)
        .caption(title, font(16.0, FontStyle::Bold))
        .margin(12)
        .margin_right(36)
        .x_label_area_size(42)
        .y_label_area_size(76)
        .build_cartesian_2d(x_range, y_range)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(x_labels)
        .y_labels(y_labels)
        .x_label_formatter(&|place| x.label(*place))
        .y_label_formatter(&|place| y.label(*place))
        .x_desc(x.title)
        .y_desc(y.title)
        .label_style(font(12.0, FontStyle::Normal))
        .draw()?;
    for ((line, colour), top) in
        lines.iter().zip(COLOURS.iter().cycle()).zip((0..).step_by(usize::try_from(NAME)?))
    {
        let places = || line.points.iter().map(|point| (x.place(point.0), y.place(point.1)));
        chart.draw_series(LineSeries::new(places(), colour.stroke_width(2)))?;
        if line.points.len() <= DOTS {
            chart.draw_series(places().map(|place| Circle::new(place, 3, colour.filled())))?;
        }
        below.draw(&Rectangle::new([(76, top + 6), (96, top + 9)], colour.filled()))?;
        below.draw(&Text::new(line.name.as_str(), (104, top), font(13.0, FontStyle::Normal)))?;
    }
    root.present()?;
    Ok(())
}

pub(super) fn font(size: f64, style: FontStyle) -> TextStyle<'static> {
    ("sans-serif", size).into_font().style(style).color(&BLACK)
}

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
