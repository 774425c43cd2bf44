//! The removal of a stream, and of what was left of a making or a removal that was interrupted.

use std::io;

use ironwal_format::names::{StreamFileName, StreamKey, TRASH_PREFIX};
use ironwal_segment::IoOp;
use ironwal_segment::storage::{EntryKind, Storage, StoragePath};

use crate::create::sync_root;
use crate::error::Error;

/// Whether there was a stream to delete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Deleted {
    /// There was, and it is gone.
    Yes,
    /// There was none.
    Absent,
}

/// Deletes a stream, durably when this returns. `trash` tells its remains from those of others: no two
/// deletions may ever have the same.
///
/// 1. Rename its directory, so that nothing of it counts any more. A crash leaves the stream, or its
///    remains.
/// 2. Sync the root. From here on it cannot come back.
/// 3. Unlink the files that are ours and remove the directory. A crash leaves remains, for
///    [`remove_remains`] at the next opening of the root. What is not ours stays in them.
///
/// # Errors
///
/// Those of the operating system. After one of step 1 the stream is as it was; after one of step 2 it is
/// gone, but may come back with a crash.
pub fn delete(storage: &dyn Storage, key: &StreamKey, trash: [u8; 16]) -> Result<Deleted, Error> {
    let dir_name = key.dir_name();
    let trash_name = format!("{TRASH_PREFIX}{:032x}", u128::from_le_bytes(trash));
    let path = StoragePath::new(&dir_name);
    if !holds_ours(storage, path)? {
        // An earlier deletion may have failed in step 2.
        sync_root(storage)?;
        return Ok(Deleted::Absent);
    }
    storage
        .rename(path, StoragePath::new(&trash_name))
        .map_err(|source| Error::io(storage.display(path), IoOp::Rename, source))?;
    sync_root(storage)?;
    remove_remains(storage, &trash_name)?;
    Ok(Deleted::Yes)
}

/// Whether a directory is that of a stream: it holds anything that has a name of ours.
///
/// # Errors
///
/// Those of the operating system.
pub fn holds_ours(storage: &dyn Storage, path: StoragePath<'_>) -> Result<bool, Error> {
    let entries = match storage.list(path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(false);
        }
        listed => listed.map_err(|source| Error::io(storage.display(path), IoOp::List, source))?,
    };
    let is_ours = |name: &str| !matches!(StreamFileName::of(name), StreamFileName::Foreign);
    Ok(entries.iter().any(|entry| is_ours(&entry.name)))
}

/// Removes what an interrupted making or deleting of a stream left behind, if there is anything. What
/// is not ours in it is left alone, and then so is the directory.
///
/// # Errors
///
/// Those of the operating system.
pub fn remove_remains(storage: &dyn Storage, name: &str) -> Result<(), Error> {
    let path = StoragePath::new(name);
    let failed = |op| {
        let path = storage.display(path);
        move |source| Error::io(path, op, source)
    };
    let entries = match storage.list(path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        listed => listed.map_err(failed(IoOp::List))?,
    };
    for entry in entries {
        let ours = !matches!(StreamFileName::of(&entry.name), StreamFileName::Foreign);
        if ours && entry.kind != EntryKind::Dir {
            storage.unlink(path.join(&entry.name)).map_err(failed(IoOp::Unlink))?;
        }
    }
    match storage.remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed.map_err(failed(IoOp::RemoveDir)),
    }
}
