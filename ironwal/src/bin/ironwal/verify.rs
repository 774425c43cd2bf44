//! `verify`: everything is read and checked, and nothing changed.

use ironwal::{Finding, FindingKind, Verification, WalReader};

use crate::args::Verify;
use crate::failure::{Code, Failure, reason};
use crate::output::{Format, Object, Output, plural, tell};
use crate::progress::Bar;

pub(crate) fn run(args: &Verify, format: Format) -> Result<Code, Failure> {
    let reader = WalReader::open(&args.root)?;
    let keys = match &args.stream {
        Some(key) if reader.contains(key)? => vec![key.clone()],
        Some(key) => return Err(Failure::absent(&args.root, key)),
        None => reader.streams()?,
    };
    let mut output = Output::new();
    let mut totals = Totals::default();
    let mut code = Code::Fine;
    let mut bar = Bar::new(&args.root, &keys);
    for key in keys {
        let verified = reader.verify_with(&key, &mut |progress| bar.show(&key, progress));
        bar.end_stream();
        match verified {
            Ok(Some(verification)) => {
                bar.step_aside(|| {
                    for finding in &verification.findings {
                        print(&mut output, &key, finding, format)?;
                    }
                    output.flush()
                })?;
                totals.add(&verification);
            }
            Ok(None) => {}
            // The others are checked nevertheless.
            Err(error) => {
                let failure = Failure::from(error);
                bar.step_aside(|| tell(&failure));
                totals.failed_count += 1;
                code = code.max(failure.code());
            }
        }
    }
    drop(bar);
    if totals.damage_count > 0 {
        code = code.max(Code::Damage);
    }
    totals.print(&mut output, format)?;
    output.flush()?;
    Ok(code)
}

fn print(
    output: &mut Output,
    stream: &str,
    finding: &Finding,
    format: Format,
) -> Result<(), Failure> {
    let path = finding.path.to_string_lossy();
    let (verdict, why) = (finding.verdict(), why(finding));
    if format == Format::Json {
        let object = Object::new()
            .with("type", "finding")
            .with("stream", stream)
            .with("segment", path.as_ref())
            .with("offset", finding.offset)
            .with("verdict", verdict)
            .with("reason", why)
            .with("lost_from", finding.lost.start)
            .with("lost_until", finding.lost.end);
        return output.line(object);
    }
    let (stream, path) = (stream.escape_debug(), path.escape_debug());
    let place = finding.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
    let lost = match finding.lost.end - finding.lost.start {
        0 => String::new(),
        1 => format!("; entry {} is lost", finding.lost.start),
        _ => format!("; entries {}..{} are lost", finding.lost.start, finding.lost.end),
    };
    output.line(format_args!("stream {stream}: {path}: {verdict}{place}: {why}{lost}"))
}

/// Why the verdict is what it is.
fn why(finding: &Finding) -> String {
    match &finding.kind {
        FindingKind::Torn { rest_len, turned_bit } => {
            let hint = turned_bit.map(|bit| {
                format!("; turning bit {bit} of what is there would make it a whole frame")
            });
            let hint = hint.unwrap_or_default();
            format!(
                "the log ends here: the {rest_len} bytes behind are torn, or being written, and \
                 nothing shows that they were ever durable{hint}"
            )
        }
        FindingKind::Unfinished => {
            "the last segment has no whole header: left by a crash, or being \
                                    made, and nothing shows that it ever held an entry"
                .to_owned()
        }
        FindingKind::IndexMissing => "the next append makes the index anew".to_owned(),
        FindingKind::IndexWrong => {
            "the index does not say what the segments say; the next append makes it anew".to_owned()
        }
        FindingKind::Stray => "this is no file of a log, and is left alone".to_owned(),
        FindingKind::Loss(error) => reason(error),
        // The kinds are those of this package.
        _ => finding.verdict().to_owned(),
    }
}

/// What was read and found in all streams.
#[derive(Debug, Default)]
struct Totals {
    stream_count: u64,
    segment_count: usize,
    frame_count: u64,
    entry_count: u64,
    byte_len: u64,
    finding_count: usize,
    damage_count: usize,
    failed_count: u64,
}

impl Totals {
    fn add(&mut self, verification: &Verification) {
        self.stream_count += 1;
        self.segment_count += verification.segment_count;
        self.frame_count += verification.frame_count;
        self.entry_count += verification.entry_count;
        self.byte_len += verification.byte_len;
        self.finding_count += verification.findings.len();
        self.damage_count +=
            verification.findings.iter().filter(|finding| finding.is_damage()).count();
    }

    fn print(&self, output: &mut Output, format: Format) -> Result<(), Failure> {
        let Self { stream_count, segment_count, frame_count, entry_count, byte_len, .. } = *self;
        let Self { finding_count, damage_count, failed_count, .. } = *self;
        if format == Format::Json {
            return output.line(
                Object::new()
                    .with("type", "summary")
                    .with("streams", stream_count)
                    .with("segments", segment_count)
                    .with("frames", frame_count)
                    .with("entries", entry_count)
                    .with("bytes", byte_len)
                    .with("findings", finding_count)
                    .with("damaged", damage_count)
                    .with("unchecked", failed_count),
            );
        }
        let unchecked = match failed_count {
            0 => String::new(),
            count => format!(", and could not check {}", plural(count, "stream")),
        };
        let found = match (finding_count as u64, damage_count) {
            (0, _) if failed_count > 0 => "nothing is wrong with what was checked".to_owned(),
            (0, _) => "nothing is wrong".to_owned(),
            (count, 0) => format!("{}, and no damage", plural(count, "finding")),
            (count, damaged) => format!("{}, {damaged} of them damage", plural(count, "finding")),
        };
        output.line(format_args!(
            "checked {} in {} with {} and {} of {byte_len} bytes{unchecked}: {found}",
            plural(stream_count, "stream"),
            plural(segment_count as u64, "segment"),
            plural(frame_count, "frame"),
            plural(entry_count, "entry"),
        ))
    }
}
