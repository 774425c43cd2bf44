//! Files and directories in memory, as a [`Storage`].
//!
//! Everything is gone with the last clone; every sync succeeds and does nothing. What a crash leaves is
//! not modelled here. Kinds of errors are those of the operating system's files, so that what was
//! tested on one holds on the other.
//!
//! Lock order: the tree, then the bytes of one file.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::io::ErrorKind::{DirectoryNotEmpty, IsADirectory, NotADirectory, NotFound};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use ironwal_format::cast;

use super::{DirEntry, EntryKind, OpenMode, Storage, StorageFile, StorageLock, StoragePath};

/// The longest file; above it is `FileTooLarge`, so that a wrong length does not take all memory.
const MAX_FILE_LEN: u64 = 1 << 32;

/// The longest name, in bytes.
const MAX_NAME_LEN: usize = 255;

/// A storage in memory. Clones share what it holds.
#[derive(Clone, Default)]
pub struct MemStorage {
    root: Arc<Mutex<Dir>>,
}

impl MemStorage {
    /// Makes an empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tree(&self) -> MutexGuard<'_, Dir> {
        // A panic elsewhere leaves the tree whole: no change to it can stop halfway.
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemStorage").finish_non_exhaustive()
    }
}

impl Storage for MemStorage {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut tree = self.tree();
        let (dir, name) = tree.place_of_file(path)?;
        let (access, node) = match mode {
            OpenMode::Read => (Access::Read, dir.existing_file(name)?),
            OpenMode::ReadWrite => (Access::ReadWrite, dir.existing_file(name)?),
            OpenMode::CreateNew => (Access::ReadWrite, dir.new_file(name)?),
        };
        Ok(Arc::new(MemFile { access, node }))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        let mut tree = self.tree();
        let (dir, name) = tree.place(path)?;
        dir.insert_new(name, Node::Dir(Dir::default()))
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        let mut tree = self.tree();
        let (dir, name) = tree.place(path)?;
        match dir.entries.get(name) {
            None => Err(NotFound.into()),
            Some(Node::File(_)) => Err(NotADirectory.into()),
            Some(Node::Dir(inner)) if !inner.entries.is_empty() => Err(DirectoryNotEmpty.into()),
            Some(Node::Dir(_)) => {
                dir.entries.remove(name);
                Ok(())
            }
        }
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        let mut tree = self.tree();
        let (from_dir, from_name) = tree.place(from)?;
        let moved = from_dir.entries.get(from_name).map(Node::kind);
        let (to_dir, to_name) = tree.place(to)?;
        let moved = moved.ok_or(NotFound)?;
        if from == to {
            return Ok(());
        }
        if to.parent() == from {
            return Err(invalid("a directory cannot be moved into itself"));
        }
        match (moved, to_dir.entries.get(to_name)) {
            (EntryKind::Dir, Some(Node::File(_))) => {
                return Err(NotADirectory.into());
            }
            (EntryKind::Dir, Some(Node::Dir(inner))) if !inner.entries.is_empty() => {
                return Err(DirectoryNotEmpty.into());
            }
            (EntryKind::File | EntryKind::Other, Some(Node::Dir(_))) => {
                // That a directory holds what is to take its name is noticed first.
                let is_ours = from.parent() == to;
                let kind = if is_ours { DirectoryNotEmpty } else { IsADirectory };
                return Err(kind.into());
            }
            (EntryKind::File | EntryKind::Other, Some(Node::File(_)))
            | (EntryKind::Dir, Some(Node::Dir(_)))
            | (_, None) => {}
        }
        check_name(to_name)?;
        let (from_dir, from_name) = tree.place(from)?;
        let node = from_dir.entries.remove(from_name).ok_or(NotFound)?;
        let (to_dir, to_name) = tree.place(to)?;
        to_dir.entries.insert(to_name.to_owned(), node);
        Ok(())
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        let mut tree = self.tree();
        let (dir, name) = tree.place(path)?;
        match dir.entries.get(name) {
            None => Err(NotFound.into()),
            Some(Node::Dir(_)) => Err(IsADirectory.into()),
            Some(Node::File(_)) => {
                dir.entries.remove(name);
                Ok(())
            }
        }
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        let mut tree = self.tree();
        let entry =
            |(name, node): (&String, &Node)| DirEntry { name: name.clone(), kind: node.kind() };
        Ok(tree.dir(dir)?.entries.iter().map(entry).collect())
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        self.tree().dir(dir).map(drop)
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        let mut tree = self.tree();
        let (dir, name) = tree.place_of_file(path)?;
        let node = if dir.entries.contains_key(name) {
            dir.existing_file(name)?
        } else {
            dir.new_file(name)?
        };
        let mut state = node.write();
        if state.is_locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.is_locked = true;
        drop(state);
        Ok(Box::new(MemLock { node }))
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        let mut whole = PathBuf::from("memory:");
        whole.extend(path.names());
        whole
    }
}

/// What a name stands for.
enum Node {
    File(Arc<FileNode>),
    Dir(Dir),
}

impl Node {
    fn kind(&self) -> EntryKind {
        match self {
            Node::File(_) => EntryKind::File,
            Node::Dir(_) => EntryKind::Dir,
        }
    }
}

/// A directory. Names are those of [`StoragePath`]s and at most [`MAX_NAME_LEN`] long.
#[derive(Default)]
struct Dir {
    entries: BTreeMap<String, Node>,
}

impl Dir {
    /// The directory at `path`, from the root that this is.
    fn dir(&mut self, path: StoragePath<'_>) -> io::Result<&mut Dir> {
        let mut dir = self;
        for name in path.names() {
            check_name(name)?;
            dir = match dir.entries.get_mut(name) {
                None => return Err(NotFound.into()),
                Some(Node::File(_)) => return Err(NotADirectory.into()),
                Some(Node::Dir(dir)) => dir,
            };
        }
        Ok(dir)
    }

    /// The directory that `path` is in, and its name there.
    fn place<'a>(&mut self, path: StoragePath<'a>) -> io::Result<(&mut Dir, &'a str)> {
        let name = path.file_name().ok_or_else(|| invalid("the root itself has no name"))?;
        let dir = self.dir(path.parent())?;
        check_name(name)?;
        Ok((dir, name))
    }

    /// As [`place`](Self::place), for what opens a file.
    fn place_of_file<'a>(&mut self, path: StoragePath<'a>) -> io::Result<(&mut Dir, &'a str)> {
        let is_none = |error: &io::Error| error.kind() == NotADirectory;
        self.place(path).map_err(|error| if is_none(&error) { not_regular() } else { error })
    }

    fn existing_file(&self, name: &str) -> io::Result<Arc<FileNode>> {
        match self.entries.get(name) {
            None => Err(NotFound.into()),
            Some(Node::Dir(_)) => Err(not_regular()),
            Some(Node::File(node)) => Ok(Arc::clone(node)),
        }
    }

    fn new_file(&mut self, name: &str) -> io::Result<Arc<FileNode>> {
        let node = Arc::new(FileNode::default());
        self.insert_new(name, Node::File(Arc::clone(&node)))?;
        Ok(node)
    }

    fn insert_new(&mut self, name: &str, node: Node) -> io::Result<()> {
        if self.entries.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.entries.insert(name.to_owned(), node);
        Ok(())
    }
}

/// A file, with or without a name.
#[derive(Default)]
struct FileNode {
    state: RwLock<FileState>,
}

#[derive(Default)]
struct FileState {
    bytes: Vec<u8>,
    is_locked: bool,
}

impl FileNode {
    fn read(&self) -> RwLockReadGuard<'_, FileState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, FileState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileState {
    /// Cuts the file or lets it grow with zeros.
    fn resize(&mut self, len: u64) -> io::Result<()> {
        if len > MAX_FILE_LEN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let len = cast::usize_from(len);
        let missing = len.saturating_sub(self.bytes.len());
        if self.bytes.try_reserve(missing).is_err() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.resize(len, 0);
        Ok(())
    }

    fn grow_to(&mut self, len: u64) -> io::Result<()> {
        if len > cast::u64_from(self.bytes.len()) { self.resize(len) } else { Ok(()) }
    }
}

/// What a handle was opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Access {
    Read,
    ReadWrite,
}

/// An open file.
struct MemFile {
    access: Access,
    node: Arc<FileNode>,
}

impl MemFile {
    fn writable(&self) -> io::Result<RwLockWriteGuard<'_, FileState>> {
        match self.access {
            Access::ReadWrite => Ok(self.node.write()),
            Access::Read => Err(rustix::io::Errno::BADF.into()),
        }
    }
}

impl fmt::Debug for MemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemFile").field("access", &self.access).finish_non_exhaustive()
    }
}

impl StorageFile for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.node.read();
        let rest = usize::try_from(offset).ok().and_then(|offset| state.bytes.get(offset..));
        let source = rest.unwrap_or_default();
        let count = source.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), source.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.writable()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = offset.saturating_add(cast::u64_from(bytes.len()));
        state.grow_to(end)?;
        let range = cast::usize_from(offset)..cast::usize_from(end);
        state.bytes.get_mut(range).expect("the file was grown to the end").copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn file_len(&self) -> io::Result<u64> {
        Ok(cast::u64_from(self.node.read().bytes.len()))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.writable()?.resize(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.writable()?.grow_to(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        let state = self.node.read();
        let bytes = usize::try_from(len).ok().and_then(|len| state.bytes.get(..len));
        bytes
            .map(Bytes::copy_from_slice)
            .ok_or_else(|| invalid("the file is shorter than what is to be mapped"))
    }
}

/// The right that [`FileState::is_locked`] stands for.
struct MemLock {
    node: Arc<FileNode>,
}

impl fmt::Debug for MemLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemLock").finish_non_exhaustive()
    }
}

impl StorageLock for MemLock {}

impl Drop for MemLock {
    fn drop(&mut self) {
        self.node.write().is_locked = false;
    }
}

fn check_name(name: &str) -> io::Result<()> {
    if name.len() > MAX_NAME_LEN { Err(io::ErrorKind::InvalidFilename.into()) } else { Ok(()) }
}

fn not_regular() -> io::Error {
    invalid("not a regular file in a directory")
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
