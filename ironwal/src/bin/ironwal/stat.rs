//! `stat`: how much there is in a log, or in a stream.

use std::path::Path;

use ironwal::{RecoveryReport, WalReader};
use ironwal_format::names::StreamKey;

use crate::args::Stat;
use crate::failure::{Code, Failure};
use crate::ls::{state, tell_damage};
use crate::output::{Format, Object, Output, plural, tell};
use crate::segments::{End, Files, SegmentFile};
use crate::table::{self, Column};

/// How often a stream is looked at until no segment comes or goes meanwhile.
const MAX_LOOKS: usize = 10;

const STREAM_COLUMNS: [Column; 7] = [
    Column::left("STREAM"),
    Column::right("FIRST"),
    Column::right("NEXT"),
    Column::right("ENTRIES"),
    Column::right("SEGMENTS"),
    Column::right("BYTES"),
    Column::left("STATE"),
];

const SEGMENT_COLUMNS: [Column; 5] = [
    Column::right("ORDINAL"),
    Column::right("BASE"),
    Column::right("ENTRIES"),
    Column::right("BYTES"),
    Column::left("STATE"),
];

/// A stream, and the files that are there.
struct Measured {
    report: RecoveryReport,
    segments: Vec<SegmentFile>,
}

pub(crate) fn run(args: &Stat, format: Format) -> Result<Code, Failure> {
    let reader = WalReader::open(&args.root)?;
    let files = Files::open(&args.root)?;
    match &args.stream {
        Some(key) => match measure(&reader, &files, key)? {
            Some(measured) => stream(&args.root, &files, &measured, format),
            None => Err(Failure::absent(&args.root, key)),
        },
        None => log(&args.root, &reader, &files, format),
    }
}

/// Looks at a stream; `None` if it is not there.
fn measure(reader: &WalReader, files: &Files, key: &str) -> Result<Option<Measured>, Failure> {
    let parsed = parse(key)?;
    let mut segments = files.segments(&parsed)?;
    for look in 1.. {
        let Some(report) = reader.report(key)? else { return Ok(None) };
        let before = std::mem::replace(&mut segments, files.segments(&parsed)?);
        let names = |segments: &[SegmentFile]| -> Vec<_> {
            segments.iter().map(|segment| (segment.ordinal, segment.base)).collect()
        };
        if look == MAX_LOOKS || names(&before) == names(&segments) {
            // What was made behind the last look is none of it.
            segments.retain(|segment| segment.base <= report.next_seq);
            return Ok(Some(Measured { report, segments }));
        }
    }
    Ok(None)
}

fn parse(key: &str) -> Result<StreamKey, Failure> {
    StreamKey::new(key).map_err(|error| Failure::new(Code::Usage, error.to_string()))
}

/// All streams of a log.
fn log(root: &Path, reader: &WalReader, files: &Files, format: Format) -> Result<Code, Failure> {
    let mut code = Code::Fine;
    let mut streams = Vec::new();
    for key in reader.streams()? {
        match measure(reader, files, &key) {
            Ok(measured) => streams.extend(measured),
            // The others are told of nevertheless.
            Err(failure) => {
                tell(&failure);
                code = code.max(failure.code());
            }
        }
    }
    let mut output = Output::new();
    let sum = |of: fn(&Measured) -> u64| streams.iter().map(of).sum::<u64>();
    let entry_count = sum(Measured::entry_count);
    let segment_count = sum(Measured::segment_count);
    let byte_len = sum(Measured::byte_len);
    match format {
        Format::Json => {
            for measured in &streams {
                output.line(measured.object())?;
            }
            output.line(
                Object::new()
                    .with("type", "summary")
                    .with("streams", streams.len())
                    .with("entries", entry_count)
                    .with("segments", segment_count)
                    .with("bytes", byte_len),
            )?;
        }
        Format::Text => {
            let rows: Vec<_> = streams.iter().map(Measured::row).collect();
            table::print(&mut output, &STREAM_COLUMNS, &rows)?;
            output.line(format_args!(
                "{} with {} in {} of {}",
                plural(streams.len() as u64, "stream"),
                plural(entry_count, "entry"),
                plural(segment_count, "segment"),
                plural(byte_len, "byte"),
            ))?;
        }
    }
    output.flush()?;
    let damaged = streams.iter().filter(|measured| measured.is_damaged());
    Ok(code.max(tell_damage(root, damaged.count())))
}

/// One stream and its segments.
fn stream(
    root: &Path,
    files: &Files,
    measured: &Measured,
    format: Format,
) -> Result<Code, Failure> {
    let Measured { report, segments } = measured;
    let key = parse(&report.stream)?;
    let mut output = Output::new();
    let mut rows = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let behind = segments.get(at + 1);
        let until = behind.map_or(report.next_seq, |behind| behind.base.min(report.next_seq));
        let entry_count = until.saturating_sub(segment.base);
        let end = match (segment.len, behind) {
            (None, _) => "no file",
            (Some(_), behind) => match (files.end(&key, *segment)?, behind) {
                (End::Seal, _) => "sealed",
                (End::Open, Some(_)) => "ended",
                (End::Open, None) => "active",
            },
        };
        let SegmentFile { base, ordinal, len } = *segment;
        match format {
            Format::Json => output.line(
                Object::new()
                    .with("type", "segment")
                    .with("stream", report.stream.as_str())
                    .with("ordinal", ordinal)
                    .with("base", base)
                    .with("entries", entry_count)
                    .with("bytes", len)
                    .with("state", end),
            )?,
            Format::Text => {
                let numbers = [u64::from(ordinal), base, entry_count, len.unwrap_or(0)];
                let [ordinal, base, entries, bytes] = numbers.map(|number| number.to_string());
                rows.push([ordinal, base, entries, bytes, end.to_owned()]);
            }
        }
    }
    match format {
        Format::Json => output.line(measured.object())?,
        Format::Text => {
            table::print(&mut output, &SEGMENT_COLUMNS, &rows)?;
            output.line(format_args!(
                "stream {} with {}, {}..{}, in {} of {}: {}",
                report.stream.escape_debug(),
                plural(measured.entry_count(), "entry"),
                report.first_seq,
                report.next_seq,
                plural(measured.segment_count(), "segment"),
                plural(measured.byte_len(), "byte"),
                state(report),
            ))?;
        }
    }
    output.flush()?;
    Ok(tell_damage(root, usize::from(measured.is_damaged())))
}

impl Measured {
    const fn is_damaged(&self) -> bool {
        !self.report.damage.is_empty()
    }

    const fn entry_count(&self) -> u64 {
        self.report.next_seq.saturating_sub(self.report.first_seq)
    }

    fn segment_count(&self) -> u64 {
        self.segments.iter().filter(|segment| segment.len.is_some()).count() as u64
    }

    fn byte_len(&self) -> u64 {
        self.segments.iter().filter_map(|segment| segment.len).sum()
    }

    fn object(&self) -> Object {
        Object::new()
            .with("type", "stream")
            .with("stream", self.report.stream.as_str())
            .with("first", self.report.first_seq)
            .with("next", self.report.next_seq)
            .with("entries", self.entry_count())
            .with("segments", self.segment_count())
            .with("bytes", self.byte_len())
            .with("state", state(&self.report))
    }

    fn row(&self) -> [String; 7] {
        let numbers = [
            self.report.first_seq,
            self.report.next_seq,
            self.entry_count(),
            self.segment_count(),
            self.byte_len(),
        ];
        let [first, next, entries, segments, bytes] = numbers.map(|number| number.to_string());
        let key = self.report.stream.escape_debug().to_string();
        [key, first, next, entries, segments, bytes, state(&self.report).to_owned()]
    }
}
