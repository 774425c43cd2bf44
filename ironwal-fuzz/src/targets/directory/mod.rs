//! A log that was whole, with anything done to its files: opened for writing and for reading.

mod check;
mod harm;
mod seeds;

use std::sync::Arc;

use ironwal_segment::io::write_all;
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};

use super::input::Input;
use crate::sim_storage::{CrashChoice, SimStorage};

/// The files of a disk by their paths, and directories by their paths and a `/`.
type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// Which log it is, and what is done to it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut files = seeds::log(&mut input);
    harm::harm(&mut files, &mut input);
    check::check(&disk_of(&files));
}

/// A disk with these files, all of them durable.
fn disk_of(files: &Files) -> SimStorage {
    let disk = SimStorage::new();
    for (path, bytes) in files {
        let (dir, name) = path.split_once('/').unwrap_or(("", path));
        let parent = if dir.is_empty() { StoragePath::ROOT } else { StoragePath::new(dir) };
        let made = if name.is_empty() {
            disk.create_dir(parent)
        } else {
            let file = disk.open(parent.join(name), OpenMode::CreateNew);
            file.and_then(|file| write_all(&*file, bytes, 0))
        };
        made.expect("a disk that does not fail, and names that are not there yet");
    }
    Arc::new(disk).crash(CrashChoice::Everything)
}
