//! What `dump` prints, for people and for programs.

use std::path::Path;

use ironwal_format::SequenceNumber;
use ironwal_format::frame::{Encoding, FrameError, FrameHeader, FrameKind};
use ironwal_format::scan::{Scan, ScanEnd};
use ironwal_format::seal::Seal;
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::verdict::Verdict;

use super::MAX_UNPACKED_LEN;
use super::payload::Payload;
use crate::failure::Failure;
use crate::output::{Format, Object, Output, Reader, plural};
use crate::table::{Column, Layout};
use crate::utc::utc;

const COLUMNS: [Column; 9] = [
    Column::right("OFFSET"),
    Column::left("KIND"),
    Column::left("ENCODING"),
    Column::right("BASE"),
    Column::right("ENTRIES"),
    Column::right("PAYLOAD"),
    Column::right("PLAIN"),
    Column::right("SYNCED"),
    Column::left("VERDICT"),
];

/// A frame.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) offset: u64,
    pub(super) header: FrameHeader,
    /// The length of the payload when it is unpacked.
    pub(super) plain_len: Option<u64>,
    /// In a word, what it is.
    pub(super) verdict: &'static str,
    /// What else is to be said.
    pub(super) reason: Option<String>,
}

/// A place where no valid header is.
#[derive(Debug)]
pub(super) struct Hole {
    pub(super) offset: u64,
    /// How many bytes there are to the next frame, or to the end.
    pub(super) len: u64,
    pub(super) error: FrameError,
    /// Which entries are lost with it; none behind a torn end.
    pub(super) lost: Option<Lost>,
}

/// Entries that are lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lost {
    pub(super) from: SequenceNumber,
    /// One past the last of them, if a frame behind tells.
    pub(super) until: Option<SequenceNumber>,
}

/// Where the valid part ends, and why.
#[derive(Debug)]
pub(super) struct End {
    pub(super) offset: u64,
    /// In a word, what the file is.
    pub(super) verdict: &'static str,
    pub(super) reason: Option<String>,
}

impl Line {
    /// A frame of which nothing else is to be said.
    pub(super) const fn whole(offset: u64, header: FrameHeader) -> Self {
        Self { offset, header, plain_len: None, verdict: "whole", reason: None }
    }

    /// A frame with this payload.
    pub(super) fn of(offset: u64, header: FrameHeader, payload: Payload) -> Self {
        let line = Self::whole(offset, header);
        match payload {
            Payload::Whole(len) => Self { plain_len: Some(len), ..line },
            Payload::TooLong(plain_len) => {
                let reason = format!("not looked into, since it is longer than {MAX_UNPACKED_LEN}");
                Self { plain_len, reason: Some(reason), ..line }
            }
            Payload::Unread(len) => {
                let reason = Some(FrameError::Lz4Missing.to_string());
                Self { plain_len: Some(len), verdict: "unreadable", reason, ..line }
            }
            Payload::Wrong(error) => {
                Self { verdict: "wrong inside", reason: Some(error.to_string()), ..line }
            }
            Payload::Broken(error) => {
                Self { verdict: "broken", reason: Some(error.to_string()), ..line }
            }
        }
    }

    /// A frame behind the end of the log.
    pub(super) fn dead(offset: u64, header: FrameHeader, payload: Payload) -> Self {
        let line = Self::of(offset, header, payload);
        match payload {
            Payload::Broken(_) => line,
            Payload::Whole(_) | Payload::TooLong(_) | Payload::Unread(_) | Payload::Wrong(_) => {
                Self { verdict: "dead", reason: Some("behind the valid end".to_owned()), ..line }
            }
        }
    }
}

impl End {
    /// The end of a segment of so many bytes, by what a scan of its end found.
    pub(super) fn of(found: &Scan, verdict: Verdict, len: u64, wrong_count: u64) -> Self {
        let offset = found.valid_end;
        let (verdict, reason) = match verdict {
            Verdict::Clean => {
                let sealed = matches!(found.end, ScanEnd::Sealed { .. });
                let rest = match (len.saturating_sub(offset), sealed) {
                    (0, _) => "the file ends there".to_owned(),
                    (rest, true) => format!("{} follow the seal", plural(rest, "byte")),
                    (rest, false) => format!("{} follow, all of them zero", plural(rest, "byte")),
                };
                (if sealed { "sealed" } else { "clean" }, rest)
            }
            Verdict::Torn(tear) => {
                let hint = tear.turned_bit.map(|bit| {
                    format!("; turning bit {bit} of what is there would make it a whole frame")
                });
                let reason = format!(
                    "{}; {} follow, and nothing in this file shows that they were ever durable{}",
                    error_at(found),
                    plural(tear.rest_len, "byte"),
                    hint.unwrap_or_default()
                );
                ("torn", reason)
            }
            Verdict::Damaged { error, .. } => {
                ("damaged", format!("{error}; frames behind show that this was durable once"))
            }
            Verdict::Unsupported { offset, error } => {
                ("newer", format!("frame at byte {offset}: {error}"))
            }
        };
        let reason = match wrong_count {
            0 => reason,
            count => format!("{reason}; before it {} wrong inside", are(count, "frame")),
        };
        Self { offset, verdict, reason: Some(reason) }
    }
}

fn are(count: u64, name: &str) -> String {
    format!("{} {}", plural(count, name), if count == 1 { "is" } else { "are" })
}

fn error_at(found: &Scan) -> String {
    match found.end {
        ScanEnd::Broken(broken) => broken.error.to_string(),
        ScanEnd::Unsupported { error, .. } => error.to_string(),
        ScanEnd::Clean | ScanEnd::Sealed { .. } | ScanEnd::Limit => String::new(),
    }
}

/// Prints what is found, as it is found.
#[derive(Debug)]
pub(super) struct Printer {
    output: Output,
    format: Format,
    path: String,
    len: u64,
    layout: Layout<'static, 9>,
}

impl Printer {
    /// A printer for a file of so many bytes.
    pub(super) fn new(path: &Path, len: u64, format: Format) -> Self {
        let digits = len.to_string().len();
        let widths = [digits, 7, 0, 0, 0, digits, digits, digits, 0];
        let path = path.to_string_lossy().into_owned();
        Self { output: Output::new(), format, path, len, layout: Layout::new(&COLUMNS, widths) }
    }

    /// Whether anyone reads this, as far as is known.
    pub(super) const fn reader(&self) -> Reader {
        self.output.reader()
    }

    pub(super) fn segment(&mut self, header: &SegmentHeader) -> Result<(), Failure> {
        let SegmentHeader { base, ordinal, id, key, created_unix_nanos } = header;
        if self.format == Format::Json {
            return self.output.line(
                Object::new()
                    .with("type", "segment")
                    .with("path", self.path.as_str())
                    .with("bytes", self.len)
                    .with("stream", key.as_str())
                    .with("id", id.to_string())
                    .with("ordinal", ordinal.get())
                    .with("base", base.get())
                    .with("created_unix_nanos", *created_unix_nanos),
            );
        }
        let (path, key) = (self.path.escape_debug(), key.as_str().escape_debug());
        self.output.line(format_args!("{path}: {}", plural(self.len, "byte")))?;
        self.output.line(format_args!(
            "segment {ordinal} of stream {key}, from entry {base} on, made {}",
            utc(*created_unix_nanos)
        ))?;
        self.output.line(format_args!("stream id {id}"))?;
        self.output.line("")?;
        self.output.line(self.layout.head())
    }

    pub(super) fn line(&mut self, line: &Line) -> Result<(), Failure> {
        let Line { offset, header, plain_len, verdict, reason } = line;
        let kind = match header.kind() {
            FrameKind::SegmentHeader => "header",
            FrameKind::Entries => "entries",
            FrameKind::Seal => "seal",
        };
        let encoding = match header.encoding() {
            Encoding::Raw => "raw",
            Encoding::Lz4 => "lz4",
        };
        if self.format == Format::Json {
            return self.output.line(
                Object::new()
                    .with("type", "frame")
                    .with("offset", *offset)
                    .with("kind", kind)
                    .with("encoding", encoding)
                    .with("base", header.base().get())
                    .with("entries", header.entry_count())
                    .with("payload", header.payload_len())
                    .with("plain", *plain_len)
                    .with("synced", header.synced_len())
                    .with("verdict", *verdict)
                    .with("reason", reason.clone()),
            );
        }
        let verdict = match reason {
            Some(reason) => format!("{verdict}: {reason}"),
            None => (*verdict).to_owned(),
        };
        self.output.line(self.layout.row(&[
            offset.to_string(),
            kind.to_owned(),
            encoding.to_owned(),
            header.base().to_string(),
            header.entry_count().to_string(),
            header.payload_len().to_string(),
            plain_len.map_or_else(|| "-".to_owned(), |len| len.to_string()),
            header.synced_len().to_string(),
            verdict,
        ]))
    }

    pub(super) fn hole(&mut self, hole: &Hole) -> Result<(), Failure> {
        let Hole { offset, len, error, lost } = hole;
        if self.format == Format::Json {
            return self.output.line(
                Object::new()
                    .with("type", "hole")
                    .with("offset", *offset)
                    .with("bytes", *len)
                    .with("reason", error.to_string())
                    .with("lost_from", lost.map(|lost| lost.from.get()))
                    .with("lost_until", lost.and_then(|lost| lost.until).map(SequenceNumber::get)),
            );
        }
        let lost = match *lost {
            None => String::new(),
            Some(Lost { from, until: Some(until) }) if from == until => String::new(),
            Some(Lost { from, until: Some(until) }) => {
                format!("; entries {from}..{until} are lost")
            }
            Some(Lost { from, until: None }) => format!("; entries from {from} on are lost"),
        };
        let [offset, len] = [offset, len].map(u64::to_string);
        let verdict = format!("broken: {error}{lost}");
        let cells = [&offset, "none", "-", "-", "-", &len, "-", "-", &verdict];
        self.output.line(self.layout.row(&cells))
    }

    pub(super) fn seal(&mut self, seal: &Seal, next: SequenceNumber) -> Result<(), Failure> {
        let point_count = seal.table.points().len() as u64;
        if self.format == Format::Json {
            return self.output.line(
                Object::new()
                    .with("type", "seal")
                    .with("entries", seal.entry_count)
                    .with("frames", seal.frame_count)
                    .with("points", point_count)
                    .with("next", next.get()),
            );
        }
        self.output.line("")?;
        self.output.line(format_args!(
            "the seal counts {} in {}, and has {}; the next segment starts with entry {next}",
            plural(seal.entry_count, "entry"),
            plural(u64::from(seal.frame_count), "frame"),
            plural(point_count, "point"),
        ))
    }

    pub(super) fn end(&mut self, end: &End) -> Result<(), Failure> {
        let End { offset, verdict, reason } = end;
        if self.format == Format::Json {
            return self.output.line(
                Object::new()
                    .with("type", "end")
                    .with("offset", *offset)
                    .with("verdict", *verdict)
                    .with("reason", reason.clone()),
            );
        }
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match offset {
            0 => self.output.line(format_args!("{}: {verdict}{reason}", self.path.escape_debug())),
            _ => self.output.line(format_args!("{verdict}, valid up to byte {offset}{reason}")),
        }
    }

    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.output.flush()
    }
}
