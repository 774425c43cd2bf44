//! What came of it, as tables, plots and JSON.

use serde_json::json;

use super::{Curve, Dimension, Point, Settings};
use crate::compare::Nanos;
use crate::contender::Result;
use crate::report::machine::Machine;
use crate::report::number_of;
use crate::report::plot::{self, Axis, AxisScale, Line, Lines};
use crate::report::sheet::Sheet;

pub(super) fn write(settings: &Settings, machine: &Machine, curves: &[Curve]) -> Result<()> {
    let out = &settings.out;
    let mut sheet = Sheet::new("What IronWal costs as it gets larger");
    sheet.text(format!("{}.", machine.describe()));
    sheet.text(format!(
        "Medians of {} rounds, each in a process of its own, and of a round the mean of all calls. An \
         exponent is the slope of the line of least squares through the logarithms of size and cost: at 0 \
         the cost does not depend on the size, at 1 it grows as the size does. That of p50 is of the call \
         in the middle, which a busy machine and a rare rotation do not change; that of the last step is from \
         the largest size but one to the largest, where what is constant hides the least.",
        settings.rounds
    ));
    if settings.effort.divisor > 1 {
        sheet.text(format!("All sizes were divided by {}.", settings.effort.divisor));
    }
    for dimension in Dimension::ALL {
        let curves: Vec<_> = curves.iter().filter(|curve| curve.dimension == dimension).collect();
        if curves.is_empty() {
            continue;
        }
        sheet.heading(dimension.title());
        sheet.text(about(dimension));
        table(&mut sheet, &dimension.sizes(settings.effort), &curves);
        let name = format!("scale-{}.svg", dimension.name());
        plot::lines(&out.join(&name), &picture(dimension, &curves))?;
        sheet.plot(&name, dimension.title());
    }
    sheet.write(out, "scale")?;
    let json = json!({
        "machine": machine,
        "rounds": settings.rounds,
        "seconds": settings.effort.time.as_secs_f64(),
        "divisor": settings.effort.divisor,
        "unit": "ns",
        "curves": curves.iter().map(curve_json).collect::<Vec<_>>(),
    });
    Ok(std::fs::write(out.join("scale.json"), serde_json::to_string_pretty(&json)?)?)
}

/// A time as people read it.
pub(super) fn time(nanos: f64) -> String {
    Nanos(nanos).to_string()
}

fn about(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Entries => {
            "Segments of 64 MiB, which have room for about 419,000 of these entries: what depends on the \
             length of a segment grows up to there, and with segments of 1 MiB up to about 6,500. By hand is \
             an entry from a mapped file and its checksum, without a log: it grows as caches get too small."
        }
        Dimension::Segments => {
            "An entry in each. Appends go to the last one, but where they rotate: then each starts a segment. \
             At most 8,192 are kept mapped."
        }
        Dimension::Streams => {
            "An entry in each. Appends and gets go to 100 of them, which were used before. To any means that \
             all are used alike, after 3,000 calls that do not count: of 10,000 and more a call mostly meets \
             a stream that was not used yet, and where more are used than may be open, another is closed."
        }
    }
}

fn table(sheet: &mut Sheet, sizes: &[u64], curves: &[&Curve]) {
    let mut head = vec![String::new()];
    #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
    head.extend(sizes.iter().map(|size| whole(*size as f64)));
    head.extend(["exponent", "of p50", "of the last step"].map(str::to_owned));
    let row = |curve: &&Curve| {
        let mut cells = vec![curve.operation.name().to_owned()];
        cells.extend(sizes.iter().map(|size| {
            let point = curve.points.iter().find(|point| point.size == *size);
            point.and_then(Point::cost).map_or_else(String::new, time)
        }));
        cells.extend(
            [curve.exponent(Point::cost), curve.exponent(Point::usual_cost), curve.last_exponent()]
                .map(exponent),
        );
        cells
    };
    sheet.table(head, curves.iter().map(row).collect());
}

fn exponent(exponent: Option<f64>) -> String {
    exponent.map_or_else(String::new, |exponent| {
        // Not a zero with a sign.
        format!("{:.2}", (100.0 * exponent).round() / 100.0 + 0.0)
    })
}

fn whole(size: f64) -> String {
    if size < 1000.0 { format!("{size:.0}") } else { number_of(size) }
}

fn picture<'a>(dimension: Dimension, curves: &[&Curve]) -> Lines<'a> {
    let line = |curve: &&Curve| Line {
        name: match exponent(curve.exponent(Point::cost)).as_str() {
            "" => curve.operation.name().to_owned(),
            exponent => format!("{}: exponent {exponent}", curve.operation.name()),
        },
        points: curve.costs(Point::cost),
    };
    Lines {
        title: dimension.title(),
        x: Axis { title: dimension.name(), scale: AxisScale::Log, write: whole },
        y: Axis { title: "time of one", scale: AxisScale::Log, write: time },
        lines: curves.iter().map(line).collect(),
    }
}

fn curve_json(curve: &Curve) -> serde_json::Value {
    let point = |point: &Point| {
        json!({
            "size": point.size,
            "median": point.cost(),
            "median_of_p50": point.usual_cost(),
            "samples": point.samples,
        })
    };
    json!({
        "dimension": curve.dimension.name(),
        "operation": curve.operation.name(),
        "exponent": curve.exponent(Point::cost),
        "exponent_of_p50": curve.exponent(Point::usual_cost),
        "exponent_of_last_step": curve.last_exponent(),
        "points": curve.points.iter().map(point).collect::<Vec<_>>(),
    })
}
