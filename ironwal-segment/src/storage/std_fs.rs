//! The files of the operating system, as a [`Storage`].
//!
//! Every name is looked up one at a time, relative to the handle of the directory that it is in, and
//! never through a symbolic link: whoever plants one in the root gains nothing, and the root may be
//! moved while it is in use. Files get mode 0600 and directories 0700.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{
    DirEntry, EntryKind, MapKind, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};
use crate::io::is_out_of_files;
use crate::mapped;

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIR_MODE: Mode = Mode::RWXU;

/// How a file is opened: `NONBLOCK` so that a planted FIFO does not make us wait for its other end,
/// `NOCTTY` so that a planted terminal does not become ours.
const FILE_FLAGS: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// How a directory below the root is opened.
const DIR_FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a directory is opened that is only a place to look names up in: without `PATH` that needs
/// the right to list it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LOOK_UP: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LOOK_UP: OFlags = OFlags::RDONLY;

/// A directory of the operating system.
#[derive(Debug)]
pub struct StdStorage {
    root: OwnedFd,
    path: PathBuf,
}

impl StdStorage {
    /// Opens the directory `root`, which must exist. A symbolic link to it is followed.
    ///
    /// The storage stays in this directory, also when it gets another name.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotADirectory`, and others of the operating system.
    pub fn open(root: impl AsRef<Path>) -> io::Result<Self> {
        let path = root.as_ref().to_path_buf();
        let root = open_dir(&path)?;
        Ok(StdStorage { root, path })
    }

    /// Opens the directory `root` after making it, and every directory above it that is missing,
    /// with mode 0700. The names of those that it made are durable then.
    ///
    /// The name of `root` itself is made durable in any case, where the operating system allows it:
    /// whoever made it may have been stopped before that.
    ///
    /// # Errors
    ///
    /// `NotADirectory`, and others of the operating system.
    pub fn create(root: impl AsRef<Path>) -> io::Result<Self> {
        let path = root.as_ref();
        match Self::open(path) {
            Ok(storage) => sync_existing_name(path).map(|()| storage),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dirs(path)?;
                Self::open(path)
            }
            Err(error) => Err(error),
        }
    }

    /// The directory that `path` is in and its name there. `NotADirectory` when a first name is
    /// there but is not a directory; a symbolic link is none.
    fn place<'a>(&self, path: StoragePath<'a>) -> io::Result<(DirHandle<'_>, &'a str)> {
        let name = path.file_name().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the root itself has no name")
        })?;
        let dir = match path.parent().file_name() {
            None => DirHandle::Root(self.root.as_fd()),
            Some(_) => DirHandle::Below(self.open_below(path.parent(), LOOK_UP)?),
        };
        Ok((dir, name))
    }

    /// Opens a directory below the root; the handle of one two levels down goes through that of the
    /// first.
    fn open_below(&self, path: StoragePath<'_>, flags: OFlags) -> io::Result<OwnedFd> {
        let (dir, name) = self.place(path)?;
        match fs::openat(&dir, name, flags | DIR_FLAGS, Mode::empty()) {
            Ok(handle) => Ok(handle),
            // With `NOFOLLOW` a symbolic link is the one or the other.
            Err(Errno::LOOP | Errno::NOTDIR) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`place`](Self::place), for what opens a file: there, a directory that is none makes the
    /// whole path invalid.
    fn place_of_file<'a>(&self, path: StoragePath<'a>) -> io::Result<(DirHandle<'_>, &'a str)> {
        let is_none = |error: &io::Error| error.kind() == io::ErrorKind::NotADirectory;
        self.place(path).map_err(|error| if is_none(&error) { not_regular() } else { error })
    }
}

impl StdStorage {
    /// Syncs the whole file system through the handle of the root, where that tells of errors: dear,
    /// but it needs no other handle, and a commit must not fail because the process has no more.
    #[cfg(target_os = "linux")]
    fn sync_everything(&self, out_of_files: io::Error) -> io::Result<()> {
        let release = rustix::system::uname();
        if syncfs_reports_errors(release.release().to_str().unwrap_or_default()) {
            return Ok(fs::syncfs(&self.root)?);
        }
        Err(out_of_files)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_everything(&self, out_of_files: io::Error) -> io::Result<()> {
        Err(out_of_files)
    }
}

/// Whether `syncfs` fails when writing back failed: since Linux 5.8, says syncfs(2).
#[cfg(target_os = "linux")]
fn syncfs_reports_errors(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 8),
        _ => false,
    }
}

impl Storage for StdStorage {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let (dir, name) = self.place_of_file(path)?;
        let flags = match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::ReadWrite => OFlags::RDWR,
            OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        Ok(Arc::new(StdFile { file: open_regular(&dir, name, flags)? }))
    }

    fn file_lens(&self, dir: StoragePath<'_>, names: &[String]) -> io::Result<Vec<u64>> {
        let Some(first) = names.first() else { return Ok(Vec::new()) };
        let (dir, _) = self.place_of_file(dir.join(first))?;
        let file_len = |name: &String| {
            let stat = fs::statat(&dir, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(not_regular());
            }
            u64::try_from(stat.st_size).map_err(io::Error::other)
        };
        names.iter().map(file_len).collect()
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        Ok(fs::mkdirat(&dir, name, DIR_MODE)?)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        match fs::unlinkat(&dir, name, AtFlags::REMOVEDIR) {
            // POSIX allows either for a directory that is not empty.
            Err(Errno::EXIST) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            done => Ok(done?),
        }
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        let (from_dir, from_name) = self.place(from)?;
        let (to_dir, to_name) = self.place(to)?;
        Ok(fs::renameat(&from_dir, from_name, &to_dir, to_name)?)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        Ok(fs::unlinkat(&dir, name, AtFlags::empty())?)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        let mut dir = match dir.file_name() {
            // A handle of its own: two listings at once must not share a position.
            None => Dir::read_from(&self.root)?,
            Some(_) => Dir::new(self.open_below(dir, OFlags::RDONLY)?)?,
        };
        let mut entries = Vec::new();
        while let Some(entry) = dir.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                kind = match fs::statat(dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    // It was removed since it was listed.
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                };
            }
            let name = String::from_utf8_lossy(name.to_bytes()).into_owned();
            entries.push(DirEntry { name, kind: entry_kind(kind) });
        }
        Ok(entries)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        match dir.file_name() {
            None => Ok(fs::fsync(&self.root)?),
            Some(_) => match self.open_below(dir, OFlags::RDONLY) {
                Ok(opened) => Ok(fs::fsync(opened)?),
                Err(error) if is_out_of_files(&error) => self.sync_everything(error),
                Err(error) => Err(error),
            },
        }
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        let (dir, name) = self.place_of_file(path)?;
        let file = open_regular(&dir, name, OFlags::RDWR | OFlags::CREATE)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(StdLock { file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        let mut whole = self.path.clone();
        whole.extend(path.names());
        whole
    }
}

/// A handle of a directory, to look names up in.
#[derive(Debug)]
enum DirHandle<'a> {
    Root(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for DirHandle<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            DirHandle::Root(handle) => *handle,
            DirHandle::Below(handle) => handle.as_fd(),
        }
    }
}

/// An open file.
#[derive(Debug)]
struct StdFile {
    file: File,
}

impl StorageFile for StdFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // Not std's: in a program with threads, libc's makes each call a place to be cancelled at.
        Ok(rustix::io::pwrite(&self.file, bytes, offset)?)
    }

    fn file_len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        allocate(&self.file, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        mapped::map(&self.file, len)
    }

    fn map_kind(&self) -> MapKind {
        MapKind::Shared
    }
}

/// A lock that the operating system ties to one opening of the file.
#[derive(Debug)]
struct StdLock {
    file: File,
}

impl StorageLock for StdLock {}

impl Drop for StdLock {
    fn drop(&mut self) {
        // Closing the file would do, but for a process that is being started at this moment: until
        // it runs its program it holds a copy of the handle, and the lock with it. If this fails,
        // that is what is left.
        drop(self.file.unlock());
    }
}

/// Reserves blocks from the end of the file up to `len`.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate(file: &File, len: u64) -> io::Result<()> {
    let current_len = file.metadata()?.len();
    let Some(missing) = len.checked_sub(current_len).filter(|&missing| missing > 0) else {
        return Ok(());
    };
    match fs::fallocate(file, fs::FallocateFlags::empty(), current_len, missing) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        done => Ok(done?),
    }
}

/// Refuses: this system has no call that reserves blocks and does it in every file system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allocate(_file: &File, _len: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens the regular file `name` in `dir`, and nothing else that has that name.
fn open_regular(dir: &DirHandle<'_>, name: &str, flags: OFlags) -> io::Result<File> {
    let handle = match fs::openat(dir, name, flags | FILE_FLAGS, FILE_MODE) {
        Ok(handle) => handle,
        // A symbolic link (systems differ in the number), a socket, a device without a driver, a
        // directory opened to write.
        Err(
            Errno::LOOP
            | Errno::MLINK
            | Errno::NXIO
            | Errno::OPNOTSUPP
            | Errno::NODEV
            | Errno::ISDIR,
        ) => return Err(not_regular()),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(fs::fstat(&handle)?.st_mode) {
        FileType::RegularFile => Ok(File::from(handle)),
        FileType::Directory
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(not_regular()),
    }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file in a directory")
}

fn entry_kind(kind: FileType) -> EntryKind {
    match kind {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Dir,
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => EntryKind::Other,
    }
}

/// Opens any directory, following links: the root of a storage, or a directory above it.
fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::open(path, flags, Mode::empty())?)
}

/// Makes `path` and what is missing above it; each name is durable before the next is made.
fn make_dirs(path: &Path) -> io::Result<()> {
    match fs::mkdir(path, DIR_MODE) {
        // Who else made it at the same time may not have synced it yet.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(Errno::NOENT) => {
            let parent = path.parent().ok_or(Errno::NOENT)?;
            make_dirs(parent)?;
            match fs::mkdir(path, DIR_MODE) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(fs::fsync(open_dir(parent_of(path))?)?)
}

/// Makes the name of a directory durable that was there already. One that we may not read is then
/// somebody else's to look after, and a file system that nobody can write to has nothing to sync.
fn sync_existing_name(path: &Path) -> io::Result<()> {
    let parent = match open_dir(parent_of(path)) {
        Ok(parent) => parent,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    };
    match fs::fsync(parent) {
        Err(Errno::INVAL | Errno::ROFS) => Ok(()),
        done => Ok(done?),
    }
}

/// The directory that `path` is in, as it would be looked up.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::syncfs_reports_errors;

    #[test]
    fn the_release_is_read_and_an_odd_one_is_an_old_one() {
        for release in ["5.8.0", "5.10-rc1", "6.1.0-18-amd64", "10.0"] {
            assert!(syncfs_reports_errors(release), "{release}");
        }
        for release in ["5.7.19", "4.19.0", "5", "", "x.y"] {
            assert!(!syncfs_reports_errors(release), "{release}");
        }
    }
}
