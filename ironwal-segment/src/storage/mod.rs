//! The door to the disk: everything that IronWal reads or writes goes through [`Storage`].
//!
//! A storage is rooted at one directory and knows two levels below it, `name` and `name/name`, so
//! that nothing outside can be reached. Calls are positioned, may be short and may be interrupted:
//! loops and retries are above this seam, in [`io`](crate::io), so that a simulated disk sees each
//! attempt. A call that returns has only reached the operating system; what makes data durable is
//! [`StorageFile::sync_data`], what makes names durable is [`Storage::sync_dir`].
//!
//! Implementations: [`StdStorage`], the operating system's files; [`MemStorage`], for tests.

mod mem;
mod std_fs;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub use mem::MemStorage;
pub use std_fs::StdStorage;

/// A directory, or anything that stands in for one, as the log sees it.
///
/// All methods take `&self` and may be called from several threads at once. Errors are those of the
/// operating system and are told apart by [`io::Error::kind`]: absence is `NotFound`, and nothing
/// else is.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Opens the regular file at `path`.
    ///
    /// # Errors
    ///
    /// `NotFound`, and `AlreadyExists` for [`OpenMode::CreateNew`]. Whatever is not a regular file
    /// (a directory, a symbolic link, a FIFO) is refused with `InvalidInput`, without following it and
    /// without waiting for it; so is a file in a directory that is not one itself.
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;

    /// The lengths of regular files of one directory, in the order of `names`. A stream has thousands of
    /// segments, and opening each takes far longer than asking for its length: a storage that knows no better
    /// opens them.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) for reading, for one of them; but a file that the process may not read
    /// has a length nevertheless.
    fn file_lens(&self, dir: StoragePath<'_>, names: &[String]) -> io::Result<Vec<u64>> {
        let file_len = |name| self.open(dir.join(name), OpenMode::Read)?.file_len();
        names.iter().map(|name| file_len(name)).collect()
    }

    /// Makes an empty directory, whose name is durable once the root is synced.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` where anything has that name.
    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// `DirectoryNotEmpty`, `NotFound`.
    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()>;

    /// Gives a file or a directory another name, in one step that a crash cannot split.
    ///
    /// A file that has the name `to` is replaced; a directory is not, unless it is empty.
    ///
    /// # Errors
    ///
    /// `NotFound`, `DirectoryNotEmpty`, `AlreadyExists`.
    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()>;

    /// Removes the name of a file. Handles and mappings of it stay valid.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()>;

    /// Lists a directory, in no particular order, without `.` and `..`.
    ///
    /// # Errors
    ///
    /// `NotFound`; `NotADirectory` for anything but a directory, a symbolic link to one included.
    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// Those of the operating system. After one, nothing is known of what is durable.
    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()>;

    /// Takes the lock file at `path`, made if it is missing, for as long as the returned value lives.
    ///
    /// # Errors
    ///
    /// `WouldBlock` at once when it is held already, by this process or another.
    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>>;

    /// What to call `path` in messages to people.
    fn display(&self, path: StoragePath<'_>) -> PathBuf;
}

/// An open regular file.
pub trait StorageFile: fmt::Debug + Send + Sync + 'static {
    /// Reads at `offset` into the front of `buf`; returns how many bytes, 0 only at the end of the
    /// file or for an empty `buf`.
    ///
    /// # Errors
    ///
    /// Those of the operating system, `Interrupted` included.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes the front of `bytes` at `offset`; returns how many bytes. Past the end the file grows,
    /// and a gap reads as zeros.
    ///
    /// # Errors
    ///
    /// Those of the operating system, `Interrupted` included.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// The length of the file in bytes.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn file_len(&self) -> io::Result<u64>;

    /// Cuts the file, or lets it grow with zeros, to `len` bytes.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves blocks up to `len` bytes and lets the file grow to that length, reading as zeros
    /// where nothing was written. Never shortens the file, never changes a byte of it.
    ///
    /// # Errors
    ///
    /// `Unsupported` where blocks cannot be reserved: the file is as before, and goes on without.
    /// Otherwise those of the operating system, `StorageFull` and `FileTooLarge` among them.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Makes what this file holds durable, its length included, but not its name.
    ///
    /// # Errors
    ///
    /// Those of the operating system. After one, nothing is known of what is durable, and trying
    /// again may report success for data that is lost: never retry.
    fn sync_data(&self) -> io::Result<()>;

    /// Maps the first `len` bytes, which the file must have. They are shared, not copied, where the
    /// storage can do that, and stay valid when the file is unlinked.
    ///
    /// Only bytes that will never change and never be cut off may be looked at through it.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the file is shorter than `len`, and those of the operating system.
    fn map(&self, len: u64) -> io::Result<Bytes>;

    /// Whether bytes that are written later are seen through a mapping that was made before.
    fn map_kind(&self) -> MapKind {
        MapKind::Copied
    }
}

/// What a mapping is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MapKind {
    /// The file itself: what is written to it later is seen.
    Shared,
    /// The bytes as they were when it was made.
    Copied,
}

/// A lock that is held for as long as this value lives.
pub trait StorageLock: fmt::Debug + Send + Sync + 'static {}

/// How to open a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    ReadWrite,
    /// A file that does not exist yet, to read and write; made with mode 0600.
    CreateNew,
}

/// What a name in a directory stands for. A link is not followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else: a symbolic link, a FIFO, a socket, a device.
    Other,
}

/// One name in a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DirEntry {
    /// The name; bytes that are not UTF-8 are replaced, so such a name is never one of ours.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
}

/// The root of a storage, `name` in it, or `name/name`.
///
/// A name is not empty, not `.` or `..`, and holds neither `/` nor NUL.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StoragePath<'a> {
    first: Option<&'a str>,
    second: Option<&'a str>,
}

impl<'a> StoragePath<'a> {
    /// The directory that the storage is rooted at.
    pub const ROOT: StoragePath<'static> = StoragePath { first: None, second: None };

    /// What is called `name` in the root.
    ///
    /// # Panics
    ///
    /// If `name` could reach anything else.
    pub fn new(name: &'a str) -> Self {
        assert_name(name);
        StoragePath { first: Some(name), second: None }
    }

    /// What is called `name` in this directory of the root.
    ///
    /// # Panics
    ///
    /// If `name` could reach anything else, or this path has two levels already.
    #[must_use]
    pub fn join(self, name: &'a str) -> Self {
        match (self.first, self.second) {
            (None, _) => StoragePath::new(name),
            (first @ Some(_), None) => {
                assert_name(name);
                StoragePath { first, second: Some(name) }
            }
            (Some(_), Some(_)) => panic!("a storage path has two levels at the most"),
        }
    }

    /// The names from the root on: none, one or two.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.first.into_iter().chain(self.second)
    }

    /// The directory that this is in; the root is in itself.
    #[must_use]
    pub fn parent(self) -> Self {
        match self.second {
            Some(_) => StoragePath { first: self.first, second: None },
            None => StoragePath::ROOT,
        }
    }

    /// The last name, or `None` for the root.
    pub fn file_name(self) -> Option<&'a str> {
        self.second.or(self.first)
    }
}

/// How many files this process may hold open, by the operating system's soft limit; `None` if there
/// is no limit.
pub fn open_file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Names come from our own encoding or from a listing: any other is a mistake of ours.
fn assert_name(name: &str) {
    let reaches_out = name.is_empty() || name == "." || name == "..";
    assert!(!reaches_out && !name.contains(['/', '\0']), "not a name in a directory");
}

#[cfg(test)]
mod tests {
    use super::StoragePath;

    #[test]
    fn a_path_has_at_most_two_levels_and_knows_its_parent() {
        let file = StoragePath::new("a").join("b");
        assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(file.parent(), StoragePath::new("a"));
        assert_eq!(file.parent().parent(), StoragePath::ROOT);
        assert_eq!(file.file_name(), Some("b"));
        assert_eq!(StoragePath::ROOT.join("a"), StoragePath::new("a"));
    }

    #[test]
    fn a_name_that_reaches_elsewhere_is_a_panic() {
        for name in ["", ".", "..", "a/b", "/", "a\0"] {
            assert!(std::panic::catch_unwind(|| StoragePath::new(name)).is_err(), "{name:?}");
        }
    }
}
