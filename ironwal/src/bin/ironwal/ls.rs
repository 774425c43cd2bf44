//! `ls`: the streams of a log.

use std::path::Path;

use ironwal::{IndexFinding, RecoveryReport, WalReader};

use crate::args::Ls;
use crate::failure::{Code, Failure};
use crate::output::{Format, Object, Output, tell};
use crate::table::{self, Column};

const COLUMNS: [Column; 5] = [
    Column::left("STREAM"),
    Column::right("FIRST"),
    Column::right("NEXT"),
    Column::right("SEGMENTS"),
    Column::left("STATE"),
];

pub(crate) fn run(args: &Ls, format: Format) -> Result<Code, Failure> {
    let reader = WalReader::open(&args.root)?;
    let mut code = Code::Fine;
    let mut reports = Vec::new();
    for key in reader.streams()? {
        match reader.report(&key) {
            Ok(Some(report)) => reports.push(report),
            Ok(None) => {}
            Err(error) => {
                let failure = Failure::from(error);
                tell(&failure);
                code = code.max(failure.code());
            }
        }
    }
    let mut output = Output::new();
    match format {
        Format::Text => {
            let rows = reports.iter().map(|report| {
                let numbers = [report.first_seq, report.next_seq, report.segment_count as u64];
                let [first, next, segments] = numbers.map(|number| number.to_string());
                let key = report.stream.escape_debug().to_string();
                [key, first, next, segments, state(report).to_owned()]
            });
            table::print(&mut output, &COLUMNS, &rows.collect::<Vec<_>>())?;
        }
        Format::Json => {
            for report in &reports {
                output.line(
                    Object::new()
                        .with("stream", report.stream.as_str())
                        .with("first", report.first_seq)
                        .with("next", report.next_seq)
                        .with("segments", report.segment_count)
                        .with("state", state(report)),
                )?;
            }
        }
    }
    output.flush()?;
    let damaged = reports.iter().filter(|report| !report.damage.is_empty());
    Ok(code.max(tell_damage(&args.root, damaged.count())))
}

/// Says that so many streams are damaged; gives how the command ends for that.
pub(crate) fn tell_damage(root: &Path, count: usize) -> Code {
    if count == 0 {
        return Code::Fine;
    }
    let root = root.display();
    tell(format_args!("there is damage: run `ironwal verify {root}` to see what is wrong"));
    Code::Damage
}

/// What an opening would find, in a word or two.
pub(crate) fn state(report: &RecoveryReport) -> &'static str {
    if !report.damage.is_empty() {
        return "damaged";
    }
    if report.torn.is_some() || report.set_aside.is_some() {
        return "torn";
    }
    match report.index {
        IndexFinding::Missing => "index missing",
        IndexFinding::Wrong => "index wrong",
        // There is no other kind.
        IndexFinding::Sound | _ => "ok",
    }
}
