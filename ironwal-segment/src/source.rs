//! The bytes of a segment, as scans and walks see them: a window on a file, or a mapping of it.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use ironwal_format::cast;
use ironwal_format::walk::{MAX_WANT, Source};

use crate::io::read_up_to;
use crate::storage::StorageFile;

/// How much a scan reads at a time.
pub const SCAN_WINDOW_LEN: usize = 256 << 10;

/// How much a look-up reads at a time: the distance of two points of a sparse table and a small
/// frame, so that most look-ups take one read.
pub const LOOKUP_WINDOW_LEN: usize = 4096 + 512;

const _: () = assert!(SCAN_WINDOW_LEN >= MAX_WANT);

/// The first `len` bytes of a file, read a window at a time.
pub struct FileSource {
    file: Arc<dyn StorageFile>,
    len: u64,
    window_len: usize,
    start: u64,
    window: Vec<u8>,
}

impl FileSource {
    /// Reads at least `window_len` bytes at a time; nothing at or behind `len` is looked at.
    pub const fn new(file: Arc<dyn StorageFile>, len: u64, window_len: usize) -> Self {
        Self { file, len, window_len, start: 0, window: Vec::new() }
    }

    /// The file below.
    pub fn file(&self) -> &dyn StorageFile {
        &*self.file
    }

    /// The bytes `offset..offset + len`, if the window holds them already.
    pub fn in_window(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let from = cast::usize_from(offset.checked_sub(self.start)?);
        self.window.get(from..from.checked_add(cast::usize_from(len))?)
    }
}

/// Where the bytes of a segment are.
#[derive(Clone)]
pub enum SegmentBytes {
    /// In a file, to be read a window at a time.
    File(Arc<dyn StorageFile>),
    /// In a mapping of its first bytes, to be looked at where they are.
    Mapped(Bytes),
}

impl SegmentBytes {
    /// The bytes `offset..offset + len`, or as many as there are. Out of a mapping they are shared;
    /// of a file, nothing else is read.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn into_part(self, offset: u64, len: u64) -> io::Result<Bytes> {
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; cast::usize_from(len)];
                let read = read_up_to(&*file, &mut bytes, offset)?;
                bytes.truncate(read);
                Ok(Bytes::from(bytes))
            }
            Self::Mapped(mut bytes) => {
                bytes.truncate(cast::usize_from(offset.saturating_add(len)));
                bytes.advance(cast::usize_from(offset).min(bytes.len()));
                Ok(bytes)
            }
        }
    }
}

/// The first bytes of a segment, by either way of reading.
#[derive(Debug)]
pub(crate) enum SegmentSource {
    File(FileSource),
    Mapped(MappedSource),
}

/// The first `len` bytes of a mapping. Like a file, it may be shorter than it should be.
pub(crate) struct MappedSource {
    bytes: Bytes,
    len: u64,
}

/// Lengths only: entry bytes are the caller's, and nobody else's to see.
impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSource")
            .field("file", &self.file)
            .field("len", &self.len)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }
}

/// Lengths only, and for one more reason: what lies behind the committed bytes of a mapping may not be
/// there any more.
impl fmt::Debug for SegmentBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Mapped(bytes) => f.debug_tuple("Mapped").field(&bytes.len()).finish(),
        }
    }
}

/// As [`SegmentBytes`].
impl fmt::Debug for MappedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedSource").field("len", &self.len).finish_non_exhaustive()
    }
}

impl MappedSource {
    /// Nothing at or behind `len` is looked at.
    pub(crate) fn new(mut bytes: Bytes, len: u64) -> Self {
        bytes.truncate(cast::usize_from(len));
        Self { bytes, len }
    }

    /// The bytes `offset..offset + len`, shared, or as many as there are.
    pub(crate) fn slice(&self, offset: u64, len: u64) -> Bytes {
        let available = self.bytes.len();
        let from = cast::usize_from(offset).min(available);
        let until = cast::usize_from(offset.saturating_add(len)).min(available);
        self.bytes.slice(from..until)
    }
}

impl Source for SegmentSource {
    type Error = io::Error;

    fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.len,
            Self::Mapped(mapped) => mapped.len,
        }
    }

    fn bytes_at(&mut self, offset: u64, want: usize) -> io::Result<&[u8]> {
        match self {
            Self::File(file) => file.bytes_at(offset, want),
            Self::Mapped(mapped) => {
                Ok(mapped.bytes.get(cast::usize_from(offset)..).unwrap_or_default())
            }
        }
    }
}

impl Source for FileSource {
    type Error = io::Error;

    fn len(&self) -> u64 {
        self.len
    }

    fn bytes_at(&mut self, offset: u64, want: usize) -> io::Result<&[u8]> {
        let rest = self.len.saturating_sub(offset);
        let want = want.min(cast::usize_from(rest));
        if self.in_window(offset, cast::u64_from(want)).is_none() {
            let len = want.max(self.window_len).min(cast::usize_from(rest));
            // Emptied first: after an error there is no window.
            self.window.clear();
            self.window.resize(len, 0);
            let read = read_up_to(&*self.file, &mut self.window, offset);
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            self.start = offset;
            read?;
        }
        let from = cast::usize_from(offset.saturating_sub(self.start));
        Ok(self.window.get(from..).unwrap_or_default())
    }
}
