//! `append`: every line of the input becomes an entry.
//!
//! The input is read a line at a time and appended as it comes, so that whoever writes it learns of
//! each entry when it is durable. No more than a batch is in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use ironwal::{CompressionType, IndexFinding, RecoveryReport, Stream, SyncMode, Wal, WalOptions};

use crate::args::{Append, Compression, Sync};
use crate::failure::{Code, Failure, describe};
use crate::output::{Format, Object, Output, Reader, plural, tell};

/// The longest line, and the most bytes of a batch: what the log takes by default.
const MAX_ENTRY_LEN: u64 = 64 << 20;

/// What is promised of what was appended, before the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Promise {
    Durable,
    Written,
}

pub(crate) fn run(args: &Append, format: Format) -> Result<Code, Failure> {
    let options = options(args)?;
    let mut lines = Lines::open(&args.file)?;
    // Where there is no log, it is made for the first line and not for none.
    if !args.root.exists() && lines.is_empty()? {
        Appended::new(0).summarize(args, format)?;
        return Ok(Code::Fine);
    }
    let wal = Wal::open(&args.root, options)?;
    let stream = wal.stream(&args.stream)?;
    // This opens the stream, and so repairs it.
    let next = stream.next_seq();
    for report in wal.recovery_reports() {
        tell_found(&report);
        refuse_damaged(&report)?;
    }
    let mut appended = Appended::new(next?);
    if args.ack && promise(args) == Promise::Written {
        tell(
            "a number says that its entry is written and outlives this process, not that it is \
             durable: all are when this has ended with 0",
        );
    }
    let done = append_lines(&stream, &mut lines, args, format, &mut appended);
    // All that was appended becomes durable, also where not all could be.
    let synced = stream.sync().map_err(Failure::from);
    let durable = stream.durable_seq();
    let closed = wal.close().map_err(Failure::from);
    done.and(synced).and(closed).map_err(|failure| {
        // Where nothing is known of that, nothing is said of it.
        failure.and(appended.before(durable.unwrap_or(appended.seqs.start)))
    })?;
    appended.summarize(args, format)?;
    Ok(Code::Fine)
}

fn options(args: &Append) -> Result<WalOptions, Failure> {
    let mut options = WalOptions::new()
        .max_entry_len(MAX_ENTRY_LEN)
        .max_batch_len(MAX_ENTRY_LEN)
        .sync_mode(match args.sync {
            Sync::Strict => SyncMode::Strict,
            Sync::BatchOnly => SyncMode::BatchOnly,
            Sync::Async => SyncMode::Async,
        });
    if let Some(bytes) = args.segment_size {
        options = options.max_segment_size(bytes);
    }
    Ok(match args.compression {
        None => options,
        Some(Compression::None) => options.compression(CompressionType::None),
        Some(Compression::Lz4) => options.compression(lz4()?),
    })
}

#[cfg(feature = "lz4")]
#[expect(clippy::unnecessary_wraps, reason = "a build without LZ4 refuses it")]
const fn lz4() -> Result<CompressionType, Failure> {
    Ok(CompressionType::Lz4)
}

#[cfg(not(feature = "lz4"))]
fn lz4() -> Result<CompressionType, Failure> {
    Err(Failure::new(
        Code::Usage,
        "this ironwal was built without the feature lz4: use one that was built with it, or \
         --compression none",
    ))
}

/// What is promised when something is acknowledged.
const fn promise(args: &Append) -> Promise {
    match args.sync {
        Sync::Strict => Promise::Durable,
        Sync::BatchOnly if args.batch > 1 => Promise::Durable,
        Sync::BatchOnly | Sync::Async => Promise::Written,
    }
}

/// The lines of the input.
struct Lines {
    input: Box<dyn BufRead>,
    name: String,
    count: u64,
    /// The next line, if it was looked at already.
    peeked: Option<Vec<u8>>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            let input = Box::new(io::stdin().lock());
            return Ok(Self { input, name: "standard input".to_owned(), count: 0, peeked: None });
        }
        let name = path.display().to_string();
        #[expect(clippy::disallowed_methods, reason = "this is no file of the log")]
        let file = File::open(path).map_err(|source| unreadable(&name, &source))?;
        Ok(Self { input: Box::new(BufReader::new(file)), name, count: 0, peeked: None })
    }

    /// Whether there is no line: waits for the first.
    fn is_empty(&mut self) -> Result<bool, Failure> {
        self.peeked = self.next()?;
        Ok(self.peeked.is_none())
    }

    /// The bytes of the next line, without its end.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        if let Some(line) = self.peeked.take() {
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let read = (&mut self.input).take(MAX_ENTRY_LEN + 1).read_until(b'\n', &mut line);
        if read.map_err(|source| unreadable(&self.name, &source))? == 0 {
            return Ok(None);
        }
        self.count += 1;
        if line.pop_if(|last| *last == b'\n').is_none() && line.len() as u64 > MAX_ENTRY_LEN {
            return Err(Failure::error(format!(
                "line {} of {} is longer than {MAX_ENTRY_LEN} bytes, which is the most that an \
                 entry may have: split it",
                self.count, self.name
            )));
        }
        Ok(Some(line))
    }
}

fn unreadable(name: &str, source: &io::Error) -> Failure {
    Failure::error(format!("cannot read {name}: {source}; check the path and who may read it"))
}

/// What was appended.
struct Appended {
    seqs: Range<u64>,
    len: u64,
}

impl Appended {
    const fn new(next: u64) -> Self {
        Self { seqs: next..next, len: 0 }
    }

    const fn count(&self) -> u64 {
        self.seqs.end - self.seqs.start
    }

    /// What there is when it did not go on, where all before `durable` is durable.
    fn before(&self, durable: u64) -> String {
        let Range { start, end } = self.seqs;
        if self.count() > 0 && durable < end {
            let kept = match durable.saturating_sub(start) {
                0 => "of none of them it is known that it is durable".to_owned(),
                _ => format!("those below {durable} are known to be durable"),
            };
            return format!(
                "{}, {start}..{end}, were written before that, and {kept}",
                plural(self.count(), "entry")
            );
        }
        match self.count() {
            0 => "nothing was appended before that".to_owned(),
            1 => format!("entry {start} was appended before that"),
            count => format!("{count} entries, {start}..{end}, were appended before that"),
        }
    }

    fn summarize(&self, args: &Append, format: Format) -> Result<(), Failure> {
        let Range { start, end } = self.seqs;
        let stream = args.stream.as_str();
        let summary = match format {
            Format::Json => Object::new()
                .with("type", "summary")
                .with("stream", stream)
                .with("entries", self.count())
                .with("first", start)
                .with("next", end)
                .with("bytes", self.len)
                .to_string(),
            Format::Text => {
                let (stream, len) = (stream.escape_debug(), self.len);
                match self.count() {
                    0 => format!("appended no entry to {stream}; the next will be {end}"),
                    1 => format!("appended entry {start} of {len} bytes to {stream}"),
                    count => {
                        format!(
                            "appended {count} entries, {start}..{end}, {len} bytes, to {stream}"
                        )
                    }
                }
            }
        };
        if args.ack {
            tell(summary);
            return Ok(());
        }
        let mut output = Output::new();
        output.line(summary)?;
        output.flush()
    }
}

fn append_lines(
    stream: &Stream,
    lines: &mut Lines,
    args: &Append,
    format: Format,
    appended: &mut Appended,
) -> Result<(), Failure> {
    let mut output = Output::new();
    let mut batch = Vec::new();
    let mut batch_len = 0;
    loop {
        let line = lines.next()?;
        let is_end = line.is_none();
        if let Some(line) = line {
            batch_len += line.len() as u64;
            batch.push(line);
        }
        // One that has got too large is refused as a whole: there is no sense in reading on.
        let is_full = batch.len() as u64 >= args.batch || batch_len > MAX_ENTRY_LEN;
        if !batch.is_empty() && (is_full || is_end) {
            appended.seqs.end = match &batch[..] {
                [line] if args.batch == 1 => stream.append(line)? + 1,
                lines => stream.append_batch(lines)?.end,
            };
            appended.len += batch_len;
            batch.clear();
            batch_len = 0;
            if args.ack {
                acknowledge(&mut output, appended.seqs.end - 1, promise(args), format)?;
            }
        }
        if is_end {
            return Ok(());
        }
    }
}

/// Prints the number of an entry that is durable, or written.
fn acknowledge(
    output: &mut Output,
    seq: u64,
    promise: Promise,
    format: Format,
) -> Result<(), Failure> {
    match format {
        Format::Text => output.line(seq)?,
        Format::Json => {
            let is_durable = promise == Promise::Durable;
            output.line(Object::new().with("seq", seq).with("durable", is_durable))?;
        }
    }
    output.flush()?;
    if output.reader() == Reader::Gone {
        return Err(Failure::error(
            "nobody reads the acknowledgements from standard output any more: read it to the end, \
             or leave --ack away",
        ));
    }
    Ok(())
}

/// Says what recovery found and did.
fn tell_found(report: &RecoveryReport) {
    let stream = report.stream.escape_debug();
    if let Some(torn) = &report.torn {
        let (path, offset, rest_len) = (torn.path.display(), torn.offset, torn.rest_len);
        tell(format_args!(
            "stream {stream} was torn at byte {offset} of {path}, and goes on in a new segment; the \
             {rest_len} bytes from there on were never known to be durable, and stay where they are"
        ));
        if let Some(bit) = torn.turned_bit {
            tell(format_args!("turning bit {bit} of what is there would make it a whole frame"));
        }
    }
    if let Some(path) = &report.set_aside {
        let path = path.display();
        tell(format_args!(
            "the last segment of stream {stream} had no header, and is kept as {path}"
        ));
    }
    if report.rewritten_len > 0 {
        let rewritten_len = report.rewritten_len;
        tell(format_args!(
            "stream {stream} was not closed: {rewritten_len} bytes were checked and synced again"
        ));
    }
    if report.index == IndexFinding::Missing {
        tell(format_args!(
            "the index of stream {stream} was missing, and is made anew unless something is damaged"
        ));
    }
    if report.index == IndexFinding::Wrong {
        tell(format_args!(
            "the index of stream {stream} was wrong, and is made anew unless something is damaged"
        ));
    }
}

/// Stops at a stream that takes no entries.
fn refuse_damaged(report: &RecoveryReport) -> Result<(), Failure> {
    let Some((last, front)) = report.damage.split_last() else { return Ok(()) };
    for damage in front {
        tell(describe(&damage.error));
    }
    Err(Failure::from(last.error.clone())
        .at_least(Code::Damage)
        .and("nothing was changed, and until then nothing can be appended to this stream"))
}
