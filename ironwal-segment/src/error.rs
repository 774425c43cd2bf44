//! What can go wrong with one segment file.

use std::io;
use std::path::{Path, PathBuf};

use ironwal_format::frame::FrameError;
use ironwal_format::segment_header::SegmentHeaderError;

/// A failure that concerns one file or directory.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct Error {
    path: PathBuf,
    #[source]
    kind: ErrorKind,
}

/// What failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused, or failed.
    #[error("cannot {op}")]
    Io {
        /// What was being done.
        op: IoOp,
        /// What it said.
        source: io::Error,
    },
    /// The frame at this offset is not what was written, or cannot be read by this build: then
    /// [`FrameError::is_missing_feature`], and it is not damage.
    #[error("no valid frame at byte {offset}")]
    Frame {
        /// Where the frame starts.
        offset: u64,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The file has no valid segment header.
    #[error("no valid segment header")]
    Header {
        /// What is wrong with it.
        source: SegmentHeaderError,
    },
    /// The file is a segment, but another than its place and name say.
    #[error("this segment belongs to another stream or place")]
    Foreign,
    /// The file is longer than any segment can be.
    #[error("a segment of {len} bytes cannot be")]
    FileTooLong {
        /// The length of the file.
        len: u64,
    },
}

/// What was being done when the operating system failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum IoOp {
    /// Opening a file.
    Open,
    /// Making a file.
    Create,
    /// Making a directory.
    CreateDir,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Reserving space.
    Allocate,
    /// Setting the length of a file.
    SetLen,
    /// Making the data of a file durable.
    Sync,
    /// Making the names in a directory durable.
    SyncDir,
    /// Giving another name.
    Rename,
    /// Removing a file.
    Unlink,
    /// Removing a directory.
    RemoveDir,
    /// Listing a directory.
    List,
    /// Taking the lock.
    Lock,
    /// Getting random bytes.
    Random,
}

impl std::fmt::Display for IoOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::CreateDir => "create the directory",
            Self::Read => "read",
            Self::Write => "write",
            Self::Allocate => "reserve space",
            Self::SetLen => "set the length",
            Self::Sync => "sync",
            Self::SyncDir => "sync the directory",
            Self::Rename => "rename",
            Self::Unlink => "remove",
            Self::RemoveDir => "remove the directory",
            Self::List => "list",
            Self::Lock => "lock",
            Self::Random => "get random bytes",
        })
    }
}

impl Error {
    /// The failure `kind` of the file or directory at `path`.
    pub fn new(path: impl Into<PathBuf>, kind: ErrorKind) -> Self {
        Self { path: path.into(), kind }
    }

    /// The failure of the operating system at `path`.
    pub fn io(path: impl Into<PathBuf>, op: IoOp, source: io::Error) -> Self {
        Self::new(path, ErrorKind::Io { op, source })
    }

    /// The file or directory that this is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What failed.
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The path and the kind, to be told by the layer above.
    pub fn into_parts(self) -> (PathBuf, ErrorKind) {
        (self.path, self.kind)
    }
}
