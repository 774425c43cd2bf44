//! What can go wrong with a log.

use std::io;
use std::path::Path;

use ironwal_format::frame::FrameError;
pub use ironwal_format::names::KeyError;
pub use ironwal_format::payload::TooLarge;
use ironwal_format::segment_header::SegmentHeaderError;
use ironwal_segment::io::is_out_of_files;
pub use ironwal_stream::IoOp;
use ironwal_stream::{Error as StreamError, ErrorKind as StreamErrorKind};

use crate::commit::{GroupClosed, LeaderGone};
use crate::sync::FileArc;

/// What every fallible call of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: which stream and which file it concerns, what it is, and what became of the entries
/// of an append that it ended.
///
/// `Display` says which and what; why, with the numbers, is said by its
/// [sources](std::error::Error::source). It is cheap to clone, since one failed sync is told to all who
/// waited for it.
#[derive(Clone, Debug)]
pub struct Error(FileArc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: Option<String>,
    path: Option<FileArc<Path>>,
    kind: ErrorKind,
    outcome: Outcome,
}

/// What failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The stream key cannot be used.
    #[error("invalid stream key")]
    InvalidKey(#[source] KeyError),
    /// An option is out of its range.
    #[error("option {name} is {value}, it has to be in {min}..={max}")]
    InvalidOption {
        /// Which option.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The least it can be.
        min: u64,
        /// The most it can be.
        max: u64,
    },
    /// An entry or a batch is larger than the limit.
    #[error("too large")]
    TooLarge(#[source] TooLarge),
    /// The entry was there, but is gone: what lies before `first_seq` was removed.
    #[error("truncated: the first entry is number {first_seq}")]
    Truncated {
        /// The number of the first entry that there is.
        first_seq: u64,
    },
    /// Another writer holds the log, in this process or another.
    #[error("another writer holds the log")]
    Locked,
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// The stream was deleted since this handle was got; there may be another with its key. Or somebody
    /// removed its directory while the log was open: that is noticed when a file in it has to be opened.
    #[error("the stream was deleted")]
    Deleted,
    /// A sync failed: what it was to make durable may or may not be there when the stream is opened
    /// again.
    #[error("a sync failed, so it is unknown what is durable: reopen the stream")]
    SyncFailed(#[source] StreamError),
    /// The stream takes no more appends, or the handle is from before it was reopened.
    #[error("the stream is fenced")]
    Fenced(#[source] FenceCause),
    /// Entries are not what was written, or are gone, though they were durable once.
    #[error("damaged at byte {offset}")]
    Damaged {
        /// Where in the file the first frame starts that is damaged.
        offset: u64,
        /// What is wrong there.
        #[source]
        reason: DamageReason,
    },
    /// A segment was there once, and is not.
    #[error("the segment is missing")]
    MissingSegment,
    /// A segment is another's: of another stream, another incarnation of it, or another place.
    #[error("this segment belongs to another stream or place")]
    Foreign,
    /// A file or directory that has one of our names is not a log's.
    #[error("this does not belong to a log")]
    NotOurs,
    /// A newer version of this crate wrote it.
    #[error("this was written by a newer version")]
    NewerVersion,
    /// Entries are there, whole by their checksums, and this build of the crate cannot read them.
    #[error("this build has no feature {feature}, which the entries at byte {offset} need")]
    MissingFeature {
        /// Where in the file their frame starts.
        offset: u64,
        /// The feature to build with.
        feature: &'static str,
    },
    /// The sequence numbers, or the numbers of segments, of the stream are used up.
    #[error("the numbering of the stream is exhausted")]
    Exhausted,
    /// The operating system refused, or failed.
    #[error("cannot {op}")]
    Io {
        /// What was being done.
        op: IoOp,
        /// What it said.
        source: FileArc<io::Error>,
    },
}

/// Why a stream is fenced.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FenceCause {
    /// This failed: a sync, or the undoing of a write. Reopen the stream.
    #[error("a sync, or the undoing of a write, failed: reopen the stream")]
    Failed(#[source] StreamError),
    /// A thread panicked in a sync. Reopen the stream.
    #[error("a thread panicked in a sync: reopen the stream")]
    Panicked,
    /// The stream was reopened since this handle was got. Get a new one.
    #[error("the stream was reopened: get a new handle")]
    Reopened,
}

/// What is wrong with damaged bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DamageReason {
    /// There is no valid frame.
    #[error("no valid frame")]
    Frame(#[source] FrameError),
    /// There is no valid segment header.
    #[error("no valid segment header")]
    SegmentHeader(#[source] SegmentHeaderError),
    /// The file is shorter than it was.
    #[error("the file has {len} bytes, it had {expected}")]
    Short {
        /// The length of the file.
        len: u64,
        /// The length that it had.
        expected: u64,
    },
    /// The file is longer than any segment can be.
    #[error("a segment of {len} bytes cannot be")]
    TooLong {
        /// The length of the file.
        len: u64,
    },
}

/// What became of the entries of an append that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// They were not written, and never will be: the same append may be tried again.
    NotWritten,
    /// They may or may not be there after the stream is reopened: look before trying again.
    Unknown,
}

/// Why a group commit stopped.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    Failed(StreamError),
    Panicked,
    Closed,
    Deleted,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self::build(None, None, kind, Outcome::NotWritten)
    }

    fn build(
        stream: Option<String>,
        path: Option<FileArc<Path>>,
        kind: ErrorKind,
        outcome: Outcome,
    ) -> Self {
        Self(FileArc::new(Inner { stream, path, kind, outcome }))
    }

    /// The failure `kind` of a stream.
    pub(crate) fn of(stream: &str, kind: ErrorKind) -> Self {
        Self::build(Some(stream.to_owned()), None, kind, Outcome::NotWritten)
    }

    /// What the layer below says of a stream.
    pub(crate) fn below(stream: &str, error: &StreamError) -> Self {
        let kind = kind_of(error);
        Self::build(Some(stream.to_owned()), Some(error.path().into()), kind, Outcome::NotWritten)
    }

    /// What the layer below says, where no stream is concerned.
    pub(crate) fn below_root(error: &StreamError) -> Self {
        let path = Some(error.path().into());
        Self::build(None, path, kind_of(error), Outcome::NotWritten)
    }

    /// What the operating system says, where no file is concerned.
    pub(crate) fn of_stream_io(stream: &str, op: IoOp, source: io::Error) -> Self {
        Self::of(stream, ErrorKind::Io { op, source: FileArc::new(source) })
    }

    /// What the layer below says of the root.
    pub(crate) fn of_root(path: &Path, op: IoOp, source: io::Error) -> Self {
        let kind = ErrorKind::Io { op, source: FileArc::new(source) };
        Self::build(None, Some(path.into()), kind, Outcome::NotWritten)
    }

    /// The log at `path` is held by another writer.
    pub(crate) fn locked(path: &Path) -> Self {
        Self::build(None, Some(path.into()), ErrorKind::Locked, Outcome::NotWritten)
    }

    /// Entries were written, and then this happened.
    pub(crate) fn after_write(stream: &str, stop: Stop) -> Self {
        let (path, kind) = match stop {
            Stop::Failed(error) => (Some(error.path().into()), ErrorKind::SyncFailed(error)),
            Stop::Panicked => (None, ErrorKind::Fenced(FenceCause::Panicked)),
            Stop::Closed => (None, ErrorKind::Closed),
            Stop::Deleted => (None, ErrorKind::Deleted),
        };
        Self::build(Some(stream.to_owned()), path, kind, Outcome::Unknown)
    }

    /// Nothing was written, because this had happened before.
    pub(crate) fn before_write(stream: &str, stop: Stop) -> Self {
        let kind = match stop {
            Stop::Failed(error) => ErrorKind::Fenced(FenceCause::Failed(error)),
            Stop::Panicked => ErrorKind::Fenced(FenceCause::Panicked),
            Stop::Closed => ErrorKind::Closed,
            Stop::Deleted => ErrorKind::Deleted,
        };
        Self::of(stream, kind)
    }

    /// What failed.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The key of the stream that it concerns, if it concerns one.
    pub fn stream(&self) -> Option<&str> {
        self.0.stream.as_deref()
    }

    /// The file or directory that it concerns, if it concerns one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// What became of the entries, where an append failed.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether entries that were durable are damaged or gone: reading on, restoring a copy, or
    /// [giving them up](crate::CorruptionPolicy::Truncate) is all that helps.
    pub fn is_damage(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Damaged { .. } | ErrorKind::MissingSegment)
    }

    /// Whether the stream takes no appends until [`Wal::reopen`](crate::Wal::reopen), or was reopened
    /// since this handle was got: then it is for a new handle to go on.
    pub fn is_fenced(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Fenced(_) | ErrorKind::SyncFailed(_))
    }

    /// Whether another writer holds the log.
    pub fn is_locked(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Locked)
    }

    /// Whether the log was closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Closed)
    }

    /// Whether the stream was deleted while the log was open.
    pub fn is_deleted(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Deleted)
    }

    /// Whether a file is told to be absent.
    pub(crate) fn is_absence(&self) -> bool {
        if let ErrorKind::Io { source, .. } = &self.0.kind {
            return source.kind() == io::ErrorKind::NotFound;
        }
        matches!(self.0.kind, ErrorKind::MissingSegment)
    }

    /// Whether what was asked for was removed from the front of the stream.
    pub fn is_truncated(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Truncated { .. })
    }

    /// Whether files have our names but are not ours to judge: another stream's, no log's at all, or
    /// a newer version's.
    pub fn is_foreign(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Foreign | ErrorKind::NotOurs | ErrorKind::NewerVersion)
    }

    /// What the operating system said, if it was that.
    pub fn io_error(&self) -> Option<&io::Error> {
        if let ErrorKind::Io { source, .. } = &self.0.kind {
            return Some(source);
        }
        if let ErrorKind::SyncFailed(error) | ErrorKind::Fenced(FenceCause::Failed(error)) =
            &self.0.kind
            && let StreamErrorKind::Io { source, .. } = error.kind()
        {
            return Some(source);
        }
        None
    }

    /// Whether the operating system has no more files to give.
    pub(crate) fn is_out_of_files(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Io { source, .. } if is_out_of_files(source))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(stream) = self.stream() {
            write!(f, "stream {}: ", stream.escape_debug())?;
        }
        if let Some(path) = self.path() {
            write!(f, "{}: ", path.display())?;
        }
        self.0.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.kind.source()
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::InvalidKey(_) | ErrorKind::InvalidOption { .. } | ErrorKind::TooLarge(_) => {
                io::ErrorKind::InvalidInput
            }
            ErrorKind::Locked => io::ErrorKind::WouldBlock,
            ErrorKind::Truncated { .. } | ErrorKind::MissingSegment | ErrorKind::Deleted => {
                io::ErrorKind::NotFound
            }
            ErrorKind::Damaged { .. } | ErrorKind::Foreign | ErrorKind::NotOurs => {
                io::ErrorKind::InvalidData
            }
            ErrorKind::NewerVersion | ErrorKind::MissingFeature { .. } => {
                io::ErrorKind::Unsupported
            }
            ErrorKind::Closed | ErrorKind::Exhausted => io::ErrorKind::Other,
            ErrorKind::Io { .. } | ErrorKind::SyncFailed(_) | ErrorKind::Fenced(_) => {
                error.io_error().map_or(io::ErrorKind::Other, io::Error::kind)
            }
        };
        Self::new(kind, error)
    }
}

fn kind_of(error: &StreamError) -> ErrorKind {
    match error.kind() {
        StreamErrorKind::Io { op, source } => {
            ErrorKind::Io { op: *op, source: FileArc::clone(source) }
        }
        StreamErrorKind::Frame { offset, source } => {
            ErrorKind::Damaged { offset: *offset, reason: DamageReason::Frame(*source) }
        }
        StreamErrorKind::Header { source } => {
            ErrorKind::Damaged { offset: 0, reason: DamageReason::SegmentHeader(*source) }
        }
        StreamErrorKind::Short { len, expected } => {
            let reason = DamageReason::Short { len: *len, expected: *expected };
            ErrorKind::Damaged { offset: *len, reason }
        }
        StreamErrorKind::FileTooLong { len } => {
            let offset = ironwal_format::frame::MAX_SEGMENT_FILE_LEN;
            ErrorKind::Damaged { offset, reason: DamageReason::TooLong { len: *len } }
        }
        StreamErrorKind::Missing => ErrorKind::MissingSegment,
        StreamErrorKind::Foreign | StreamErrorKind::Doubled { .. } => ErrorKind::Foreign,
        StreamErrorKind::Unsupported => ErrorKind::NewerVersion,
        StreamErrorKind::MissingFeature { offset, feature } => {
            ErrorKind::MissingFeature { offset: *offset, feature }
        }
        StreamErrorKind::Exhausted => ErrorKind::Exhausted,
        // The kinds are those of a crate of this workspace: one that is not known is not ours.
        StreamErrorKind::NotOurs | _ => ErrorKind::NotOurs,
    }
}

impl From<StreamError> for Stop {
    fn from(error: StreamError) -> Self {
        Self::Failed(error)
    }
}

impl From<LeaderGone> for Stop {
    fn from(_: LeaderGone) -> Self {
        Self::Panicked
    }
}

impl From<GroupClosed> for Stop {
    fn from(_: GroupClosed) -> Self {
        Self::Closed
    }
}
