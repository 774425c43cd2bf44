//! What can go wrong with one stream.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ironwal_format::frame::FrameError;
use ironwal_format::segment_header::SegmentHeaderError;
pub use ironwal_segment::IoOp;
use ironwal_segment::io::is_out_of_files;

/// A failure that concerns one file or directory of a stream. It may be told to many callers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct Error {
    path: Arc<Path>,
    #[source]
    kind: ErrorKind,
}

/// What failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused, or failed.
    #[error("cannot {op}")]
    Io {
        /// What was being done.
        op: IoOp,
        /// What it said.
        source: Arc<io::Error>,
    },
    /// The frame at this offset is not what was written: entries are damaged.
    #[error("damaged at byte {offset}")]
    Frame {
        /// Where the frame starts.
        offset: u64,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The segment had a valid header once, and has none.
    #[error("the segment header is damaged")]
    Header {
        /// What is wrong with it.
        source: SegmentHeaderError,
    },
    /// The file is shorter than it was when it was sealed.
    #[error("the file has {len} bytes, it had {expected}")]
    Short {
        /// The length of the file.
        len: u64,
        /// The length that it had.
        expected: u64,
    },
    /// The segment was there once, and is not.
    #[error("the segment is missing")]
    Missing,
    /// The segment belongs to another stream, another incarnation of it, or another place.
    #[error("this segment belongs to another stream or place")]
    Foreign,
    /// Two files have this place in the order of segments.
    #[error("another file is segment {ordinal} too")]
    Doubled {
        /// The place.
        ordinal: u32,
    },
    /// The file is not a file of a log.
    #[error("this is not a file of a log")]
    NotOurs,
    /// A newer version wrote this.
    #[error("this was written by a newer version")]
    Unsupported,
    /// The frame at this offset is whole, and this build cannot read its entries.
    #[error("this build has no feature {feature}, which the entries at byte {offset} need")]
    MissingFeature {
        /// Where the frame starts.
        offset: u64,
        /// What the build lacks.
        feature: &'static str,
    },
    /// The file is longer than any segment can be.
    #[error("a segment of {len} bytes cannot be")]
    FileTooLong {
        /// The length of the file.
        len: u64,
    },
    /// No sequence number, or no ordinal for a segment, is left.
    #[error("the numbering of the stream is exhausted")]
    Exhausted,
}

impl Error {
    /// The failure `kind` of the file or directory at `path`.
    pub fn new(path: impl Into<PathBuf>, kind: ErrorKind) -> Self {
        Self { path: path.into().into(), kind }
    }

    /// The failure of the operating system at `path`.
    pub fn io(path: impl Into<PathBuf>, op: IoOp, source: io::Error) -> Self {
        Self::new(path, ErrorKind::Io { op, source: Arc::new(source) })
    }

    /// The file or directory that this is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What failed.
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Whether the operating system has no more files to give.
    pub fn is_out_of_files(&self) -> bool {
        matches!(&self.kind, ErrorKind::Io { source, .. } if is_out_of_files(source))
    }

    /// Whether this is a finding about bytes or files of the stream, and not a failure of the
    /// machine.
    pub const fn is_finding(&self) -> bool {
        !matches!(self.kind, ErrorKind::Io { .. })
    }
}

impl From<ironwal_segment::Error> for Error {
    fn from(error: ironwal_segment::Error) -> Self {
        use ironwal_segment::ErrorKind as Segment;
        let (path, kind) = error.into_parts();
        let kind = match kind {
            Segment::Io { op, source } => ErrorKind::Io { op, source: Arc::new(source) },
            Segment::Frame { offset, source } => ErrorKind::of_frame(offset, source),
            Segment::Header { source } => ErrorKind::of_header(source),
            Segment::Foreign => ErrorKind::Foreign,
            Segment::FileTooLong { len } => ErrorKind::FileTooLong { len },
            // The kinds are those of a crate of this workspace; a new one is told as what it is not.
            _ => ErrorKind::NotOurs,
        };
        Self::new(path, kind)
    }
}

impl ErrorKind {
    /// The kind for what is wrong with the frame at `offset`.
    pub const fn of_frame(offset: u64, source: FrameError) -> Self {
        if source.is_unsupported() {
            Self::Unsupported
        } else if source.is_missing_feature() {
            Self::MissingFeature { offset, feature: "lz4" }
        } else {
            Self::Frame { offset, source }
        }
    }

    /// The kind for what is wrong with a segment header.
    pub const fn of_header(source: SegmentHeaderError) -> Self {
        if source.is_unsupported() {
            Self::Unsupported
        } else if matches!(source, SegmentHeaderError::NotOurs) {
            Self::NotOurs
        } else {
            Self::Header { source }
        }
    }
}
