//! Loops above the [`Storage`](crate::storage::Storage) seam: short and interrupted calls end here.

use std::io;

use ironwal_format::cast;

use crate::storage::StorageFile;

/// How often one call may be interrupted, or be told to try again, before that is an error: a
/// bound, so that nothing loops for ever.
const MAX_RETRIES: u32 = 1000;

/// Whether the process, or the system, has no more handles to give.
pub fn is_out_of_files(error: &io::Error) -> bool {
    // The same on every Unix system.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Fills `buf` from `offset` on as far as the file goes; returns how many bytes that were.
///
/// # Errors
///
/// Those of the operating system, except that interrupted calls are made again.
pub fn read_up_to(file: &dyn StorageFile, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    let mut retries = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + cast::u64_from(filled)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => retry(&mut retries, error)?,
        }
    }
    Ok(filled)
}

/// Writes all of `bytes` at `offset`.
///
/// # Errors
///
/// Those of the operating system, except that interrupted calls are made again; `WriteZero` when
/// a call writes nothing. Some of the bytes may have been written then.
pub fn write_all(file: &dyn StorageFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    let mut retries = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write_at(rest, offset + cast::u64_from(written)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) => retry(&mut retries, error)?,
        }
    }
    Ok(())
}

/// Reserves space up to `len`.
///
/// # Errors
///
/// Those of the operating system, except that interrupted calls are made again.
pub fn allocate(file: &dyn StorageFile, len: u64) -> io::Result<()> {
    again(|| file.allocate(len))
}

/// Cuts the file, or lets it grow, to `len` bytes.
///
/// # Errors
///
/// As [`allocate`].
pub fn set_len(file: &dyn StorageFile, len: u64) -> io::Result<()> {
    again(|| file.set_len(len))
}

/// Makes a call again while it is interrupted. Not for syncs: nothing retries one.
fn again(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut retries = 0;
    while let Err(error) = call() {
        retry(&mut retries, error)?;
    }
    Ok(())
}

/// Says whether to try again: the error itself if not.
fn retry(retries: &mut u32, error: io::Error) -> io::Result<()> {
    let passing = matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock);
    *retries += 1;
    if passing && *retries <= MAX_RETRIES { Ok(()) } else { Err(error) }
}
