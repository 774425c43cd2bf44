//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
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
    /// Append lines to a stream, each an entry that is durable before the next is read
    ///
    /// An entry is the bytes of a line without its end. A last line without its end counts, and an
    /// empty line is an empty entry.
    ///
    /// The log and the stream are made if they are not there. A stream that was not closed is repaired,
    /// without any line too, and what was found is told on standard error. Where there is no line and
    /// no stream, none is made.
    ///
    /// One summary goes to standard output; with --ack to standard error.
    Append(Append),
    /// Print the entries of a stream, each as a line
    ///
    /// They are printed byte for byte; with --json as objects with `seq` and `utf8`, or `base64` where
    /// the bytes are not UTF-8. Entries that are damaged are told on standard error, and those behind
    /// them printed.
    Cat(Cat),
    /// List the streams
    ///
    /// For each: the key, the number of the first entry, the number of the next, how many segments there
    /// are, and what an opening would find.
    Ls(Ls),
    /// Read and check every byte that counts, and change nothing
    ///
    /// Prints a line for each finding, with stream, segment, offset, verdict and reason, and a summary.
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

    /// Print the number of each entry, or of the last of each batch, as soon as it is durable, and
    /// nothing else on standard output.
    #[arg(long)]
    pub(crate) ack: bool,
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

    /// Start with this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) from: u64,

    /// Stop before this number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) until: Option<u64>,
}

/// What `ls` works on.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Ls {
    /// The directory of the log.
    pub(crate) root: PathBuf,
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
