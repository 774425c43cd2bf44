//! One read-only mapping of the first bytes of a file, as [`Bytes`].
//!
//! The only `unsafe` of the project stands here. The mapping is shared with the file: bytes that are
//! written to the file later are seen through it. It lives as long as the last [`Bytes`] cut from it,
//! closing or unlinking the file ends nothing.

#![expect(unsafe_code, reason = "no safe call maps a file; the proof stands at the one block")]

use std::fs::File;
use std::io;

use bytes::Bytes;
use ironwal_format::cast;
use memmap2::{Mmap, MmapOptions};

/// Maps the first `len` bytes of `file`, which must have been opened to read.
///
/// # Errors
///
/// `InvalidInput` when the file is shorter than `len`, and those of the operating system.
pub(crate) fn map(file: &File, len: u64) -> io::Result<Bytes> {
    if file.metadata()?.len() < len {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the file is shorter than what is to be mapped",
        ));
    }
    if len == 0 {
        // The operating system has no empty mapping.
        return Ok(Bytes::new());
    }
    let mut options = MmapOptions::new();
    options.len(cast::usize_from(len));
    // SAFETY: `map` is unsafe because a file may be cut or changed behind the references that the
    // mapping hands out. What it needs, one by one:
    //
    // 1. Every mapped page lies in the file. The check above saw `len` bytes. The log never cuts a
    //    file below what was committed (DESIGN.md, section 4, rule 6) and removes files by unlink
    //    only, which leaves their pages to the mapping. Above the committed end a file may be cut,
    //    but nothing is looked at there.
    // 2. Bytes that are looked at do not change. `StorageFile::map` allows its callers to look at
    //    committed bytes only, and no call of the log writes below the committed end. Above it
    //    bytes may change beside the mapping; they are read by nobody before they are committed,
    //    and the lock under which the committed end is published orders that write before the read.
    // 3. Nothing is written through the mapping: it is read-only, and `Mapping` gives it out as
    //    `&[u8]` and nothing else.
    //
    // Another process that cuts or overwrites a file of a living log breaks 1 or 2. No program can
    // keep it from that; the files have mode 0600, and the documentation says that a file cut by a
    // stranger ends the process with SIGBUS.
    let mapping = unsafe { options.map(file) }?;
    Ok(Bytes::from_owner(Mapping(mapping)))
}

/// A mapping that [`Bytes`] can own: its address does not change when it moves.
struct Mapping(Mmap);

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
