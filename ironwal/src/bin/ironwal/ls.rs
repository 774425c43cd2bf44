//! `ls`: the streams of a log.

use ironwal::{IndexFinding, RecoveryReport, WalReader};

use crate::args::Ls;
use crate::failure::{Code, Failure};
use crate::output::{Format, Object, Output, tell};

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
        Format::Text => print_table(&mut output, &reports)?,
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
    if reports.iter().any(|report| !report.damage.is_empty()) {
        let root = args.root.display();
        tell(format_args!("there is damage: run `ironwal verify {root}` to see what is wrong"));
        code = code.max(Code::Damage);
    }
    Ok(code)
}

/// What an opening would find, in a word or two.
fn state(report: &RecoveryReport) -> &'static str {
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

/// Prints numbers to the right and words to the left.
fn print_table(output: &mut Output, reports: &[RecoveryReport]) -> Result<(), Failure> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut rows = vec![["STREAM", "FIRST", "NEXT", "SEGMENTS", "STATE"].map(str::to_owned)];
    for report in reports {
        rows.push([
            report.stream.escape_debug().to_string(),
            report.first_seq.to_string(),
            report.next_seq.to_string(),
            report.segment_count.to_string(),
            state(report).to_owned(),
        ]);
    }
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let [key_width, first_width, next_width, segments_width, _] = widths;
    for [key, first, next, segments, state] in &rows {
        output.line(format_args!(
            "{key:key_width$}  {first:>first_width$}  {next:>next_width$}  \
             {segments:>segments_width$}  {state}"
        ))?;
    }
    Ok(())
}
