//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use ironwal_format::names::StreamKey;

/// The exit codes, for the help.
const EXIT_CODES: &str = "\
Exit codes:
  0  fine; a torn tail, and an index that will be made anew, are fine
  1  error
  2  usage
  3  something is damaged, missing or foreign
  4  another process is writing to the log";

/// The largest segment, in bytes.
const MAX_SEGMENT_SIZE: u64 = 2 << 30;

/// The most entries that a batch can have.
const MAX_BATCH: u64 = 1 << 24;

/// Works with a write-ahead log of many streams. Only `append` changes anything; the others need no
/// lock and work beside a writer.
#[derive(Debug, Parser)]
#[command(name = "ironwal", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Print one JSON object a line instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append lines to a stream, each an entry
    ///
    /// By default each entry is durable before the next line is read; --sync says what else may be. In
    /// every mode all that was appended is durable when the command ends with 0.
    ///
    /// An entry is the bytes of a line without its end. A last line without its end counts, and an
    /// empty line is an empty entry. A line has at most 64 MiB, and so have the lines of a batch together.
    ///
    /// The log and the stream are made if they are not there. A stream that was not closed is repaired,
    /// without any line too, and what was found is told on standard error. Where there is no line and
    /// no stream, none is made.
    ///
    /// One summary goes to standard output; with --ack to standard error.
    Append(Append),
    /// Print the entries of a stream
    ///
    /// Each is a line, byte for byte, unless --format or --json say otherwise. Entries that are damaged
    /// are told on standard error, and those behind them printed.
    Cat(Cat),
    /// List the streams
    ///
    /// For each: the key, the number of the first entry, the number of the next, how many segments there
    /// are, and what an opening would find.
    Ls(Ls),
    /// Tell how much there is in a log, or in each segment of a stream
    ///
    /// Of a log, each stream is listed with its entries, segments and bytes. Of a stream, each segment
    /// file is: the number of its first entry, its place in the order of creation, its length, and
    /// whether it is sealed, active, or ended without a seal.
    ///
    /// Bytes are those of the segment files as they are, space that is reserved included. Entries that
    /// are lost are counted among the others.
    Stat(Stat),
    /// Print every frame of one segment file, whatever its state
    ///
    /// The file is looked at alone: no index, no directory and no other segment is needed, and none is
    /// asked. So what is told to be torn here may be proven damaged by those, which `verify` asks.
    ///
    /// A file that is damaged, or no segment, ends this with 3; a torn end does not.
    Dump(Dump),
    /// Read and check every byte that counts, and change nothing
    ///
    /// Prints a line for each finding, with stream, segment, offset, verdict and reason, and a summary.
    /// A directory without any stream has no findings, whatever else is in it: look at the summary.
    /// If standard error is a terminal, it shows how far this has come.
    ///
    /// A tail that is torn, or being written at this moment, and an index that is missing or wrong are
    /// findings that do no harm: the next append repairs them.
    Verify(Verify),
}

/// What `append` works on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Append {
    /// The directory of the log.
    pub(crate) root: PathBuf,

    /// The key of the stream.
    #[arg(value_parser = stream_key)]
    pub(crate) stream: String,

    /// Read lines from this file, `-` for standard input.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,

    /// Append so many lines at a time, as one: after a crash all of them are there or none. A batch is
    /// appended when it is full, and at the end of the input.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=MAX_BATCH))]
    pub(crate) batch: u64,

    /// Start a new segment file when one would get longer than so many bytes [default: 64 MiB].
    #[arg(long, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..=MAX_SEGMENT_SIZE))]
    pub(crate) segment_size: Option<u64>,

    /// When entries become durable.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Sync::Strict)]
    pub(crate) sync: Sync,

    /// How entries are compressed [default: lz4, if this ironwal was built with it].
    #[arg(long, value_name = "KIND", value_enum)]
    pub(crate) compression: Option<Compression>,

    /// Print the number of each entry, or of the last of each batch, as soon as it is appended, and
    /// nothing else on standard output. What was appended is durable then, or written, as --sync says;
    /// with --json this is the member `durable`.
    #[arg(long)]
    pub(crate) ack: bool,
}

/// When entries become durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Sync {
    /// Each line, or batch, before the next is read.
    Strict,
    /// Each batch of --batch, if that is more than 1, before the next is read; single lines at the end.
    BatchOnly,
    /// At the end of the input; until then entries outlive the command, but not a power cut.
    Async,
}

/// How entries are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// As LZ4, where that makes them smaller.
    Lz4,
}

/// What `cat` works on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Cat {
    /// The directory of the log.
    pub(crate) root: PathBuf,

    /// The key of the stream.
    #[arg(value_parser = stream_key)]
    pub(crate) stream: String,

    /// Start with this number [default: the first that there is].
    #[arg(long, value_name = "NUMBER")]
    pub(crate) from: Option<u64>,

    /// Stop before this number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) until: Option<u64>,

    /// How entries are printed [default: lines].
    #[arg(long, value_enum)]
    pub(crate) format: Option<CatFormat>,
}

/// How `cat` prints entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum CatFormat {
    /// Each as a line, byte for byte.
    Lines,
    /// Each as an object with `seq` and `utf8`, or `base64` where it is not UTF-8; as --json.
    Json,
    /// The number and the length of each, and its bytes in hexadecimal.
    Hex,
    /// Byte for byte, with nothing between them.
    Raw,
}

/// What `ls` works on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Ls {
    /// The directory of the log.
    pub(crate) root: PathBuf,
}

/// What `stat` works on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Stat {
    /// The directory of the log.
    pub(crate) root: PathBuf,

    /// The key of a stream; without it all streams are told of.
    #[arg(value_parser = stream_key)]
    pub(crate) stream: Option<String>,
}

/// What `dump` works on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Dump {
    /// The segment file.
    pub(crate) file: PathBuf,
}

/// What `verify` works on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Verify {
    /// The directory of the log.
    pub(crate) root: PathBuf,

    /// The key of a stream; without it all streams are checked.
    #[arg(value_parser = stream_key)]
    pub(crate) stream: Option<String>,
}

/// Refuses what cannot be a key before anything is opened or made.
fn stream_key(key: &str) -> Result<String, String> {
    match StreamKey::new(key) {
        Ok(_) => Ok(key.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
