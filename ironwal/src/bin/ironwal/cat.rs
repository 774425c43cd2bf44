//! `cat`: the entries of a stream, and what is wrong with those that cannot be read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ironwal::{Entry, Error, WalReader};

use crate::args::{Cat, CatFormat};
use crate::failure::{Code, Failure, describe, is_loss};
use crate::hex;
use crate::output::{Format, Object, Output, Reader, tell};

pub(crate) fn run(args: &Cat, format: Format) -> Result<Code, Failure> {
    let format = chosen(args.format, format)?;
    let reader = WalReader::open(&args.root)?;
    if !reader.contains(&args.stream)? {
        return Err(Failure::absent(&args.root, &args.stream));
    }
    let stream = reader.stream(&args.stream)?;
    let from = match args.from {
        Some(from) => from,
        None => stream.first_seq()?,
    };
    let mut losses = Losses { next: from, pending: Vec::new(), paths: BTreeSet::new() };
    let mut output = Output::new();
    let until = args.until.unwrap_or(u64::MAX);
    for item in stream.iter(from..until)? {
        match item {
            Ok(entry) => {
                losses.passed(&entry);
                print(&mut output, &entry, format)?;
            }
            Err(error) if is_loss(&error) => {
                output.flush()?;
                losses.met(&error);
            }
            Err(error) => {
                output.flush()?;
                losses.ended();
                let code = losses.code();
                return Err(Failure::from(error).at_least(code));
            }
        }
        if output.reader() == Reader::Gone {
            return Ok(losses.code());
        }
    }
    output.flush()?;
    losses.ended();
    losses.unmet(&reader, args.stream.as_str(), until)?;
    Ok(losses.code())
}

/// The format that is meant, `--json` being short for one of them.
fn chosen(asked: Option<CatFormat>, format: Format) -> Result<CatFormat, Failure> {
    match (asked, format) {
        (None | Some(CatFormat::Json), Format::Json) => Ok(CatFormat::Json),
        (Some(_), Format::Json) => Err(Failure::new(
            Code::Usage,
            "--json prints objects, which this --format does not: leave one of them away",
        )),
        (asked, Format::Text) => Ok(asked.unwrap_or(CatFormat::Lines)),
    }
}

fn print(output: &mut Output, entry: &Entry, format: CatFormat) -> Result<(), Failure> {
    match format {
        CatFormat::Lines => output.byte_line(&entry.data),
        CatFormat::Json => print_object(output, entry),
        CatFormat::Hex => hex::print(output, entry),
        CatFormat::Raw => output.bytes(&entry.data),
    }
}

fn print_object(output: &mut Output, entry: &Entry) -> Result<(), Failure> {
    let object = Object::new().with("seq", entry.seq);
    output.line(match std::str::from_utf8(&entry.data) {
        Ok(text) => object.with("utf8", text),
        Err(_) => object.with("base64", STANDARD.encode(&entry.data)),
    })
}

/// What could not be read.
struct Losses {
    /// The number that comes next, if nothing is lost.
    next: u64,
    /// What was met since the last entry, not told yet.
    pending: Vec<String>,
    /// The files that were told of.
    paths: BTreeSet<PathBuf>,
}

impl Losses {
    fn code(&self) -> Code {
        if self.paths.is_empty() { Code::Fine } else { Code::Damage }
    }

    fn met(&mut self, error: &Error) {
        self.paths.insert(error.path().map(PathBuf::from).unwrap_or_default());
        self.pending.push(describe(error));
    }

    /// Takes note of an entry: what was met before it cost the numbers up to there.
    fn passed(&mut self, entry: &Entry) {
        if !self.pending.is_empty() {
            let (from, until) = (self.next, entry.seq);
            let what = self.pending.join("; ");
            tell(format_args!("{what}; entries {from}..{until} are lost"));
            self.pending.clear();
        }
        self.next = entry.seq.saturating_add(1);
    }

    fn ended(&mut self) {
        if !self.pending.is_empty() {
            let (what, from) = (self.pending.join("; "), self.next);
            tell(format_args!("{what}; entries from {from} on are lost"));
            self.pending.clear();
        }
    }

    /// Tells of what is wrong with the stream and was not come upon, because nothing says how many
    /// entries it cost, if any.
    fn unmet(&mut self, reader: &WalReader, stream: &str, until: u64) -> Result<(), Failure> {
        let Some(report) = reader.report(stream)? else { return Ok(()) };
        for damage in report.damage {
            let path = damage.error.path().map(PathBuf::from).unwrap_or_default();
            if damage.lost.is_empty() && damage.lost.start <= until && !self.paths.contains(&path) {
                tell(describe(&damage.error));
                self.paths.insert(path);
            }
        }
        Ok(())
    }
}
