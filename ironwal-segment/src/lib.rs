//! One segment file of IronWal, and the door to the disk.
//!
//! [`SegmentWriter`] places frames, [`SegmentReader`] reads them by positioned reads or through a
//! mapping, [`recover`] scans and writes again what was verified; all of them reach the disk through
//! [`Storage`](storage::Storage) and nothing else. What a segment is stands in
//! [`ironwal_format`], and what a stream makes of segments in `ironwal-stream`.
#![deny(unsafe_code)]

#[cfg(not(unix))]
compile_error!("IronWal needs a Unix system: Linux is what is tested, Windows is not supported");

mod dir;
mod error;
pub mod io;
mod mapped;
mod reader;
pub mod recover;
mod source;
pub mod storage;
mod writer;

pub use dir::{SegmentName, StreamDir};
pub use error::{Error, ErrorKind, IoOp};
pub use reader::{Frame, Read, SegmentReader, check_identity, read_header};
pub use source::{FileSource, LOOKUP_WINDOW_LEN, SCAN_WINDOW_LEN, SegmentBytes};
pub use writer::{FrameAt, Preallocation, SegmentWriter, WriteError, Written};
