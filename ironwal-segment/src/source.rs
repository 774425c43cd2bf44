//! A window on a file: what scans and walks read through.

use std::io;
use std::sync::Arc;

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
#[derive(Debug)]
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
