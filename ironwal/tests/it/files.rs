//! Looks at the files of a log, and meddles with them, without the log.
#![expect(clippy::disallowed_methods, reason = "tests look at the files from outside")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The names in a directory, sorted.
pub(crate) fn list(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The segment files of the stream in a directory, in the order of ordinals.
pub(crate) fn segments(stream_dir: &Path) -> Vec<PathBuf> {
    let paths = list(stream_dir).into_iter().map(|name| stream_dir.join(name));
    let mut paths: Vec<_> = paths.filter(|path| path.extension() == Some("wal".as_ref())).collect();
    paths.sort_unstable_by_key(|path| name_parts(path).1);
    paths
}

/// The base and the ordinal in the name of a segment.
pub(crate) fn name_parts(segment: &Path) -> (u64, u64) {
    let stem = segment.file_stem().unwrap().to_str().unwrap();
    let (base, ordinal) = stem.split_once('-').unwrap();
    (base.parse().unwrap(), ordinal.parse().unwrap())
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// Overwrites a part; the file is never shorter meanwhile, so it may be mapped.
pub(crate) fn write_at(path: &Path, bytes: &[u8], offset: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

pub(crate) fn set_len(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

pub(crate) fn len(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().len()
}

/// The length of a file without the zeros at its end.
pub(crate) fn used_len(path: &Path) -> u64 {
    let bytes = read(path);
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |end| end as u64 + 1)
}

pub(crate) fn make_dir(path: &Path) {
    fs::create_dir(path).unwrap();
}

pub(crate) fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

pub(crate) fn remove_dir(path: &Path) {
    fs::remove_dir(path).unwrap();
}

/// Copies a directory and all that is in it to a place where nothing is.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    make_dir(to);
    for name in list(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            write(&to, &read(&from));
        }
    }
}

/// Every file below a directory with its bytes, and every directory with none, by path, sorted.
pub(crate) fn contents(dir: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for name in list(dir) {
        let path = dir.join(name);
        if path.is_dir() {
            found.push((path.clone(), None));
            found.extend(contents(&path));
        } else {
            let bytes = read(&path);
            found.push((path, Some(bytes)));
        }
    }
    found
}
