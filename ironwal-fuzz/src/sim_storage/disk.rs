//! What is on the simulated disk and in its cache: files, names, and the way from a path to them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::io;
use std::io::ErrorKind::{
    DirectoryNotEmpty, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound,
};

use ironwal_segment::storage::{EntryKind, StoragePath};

use super::dir::{Assignment, Namespace, Tables};
use super::file::SimFileState;

/// The longest name, in bytes.
const MAX_NAME_LEN: usize = 255;

/// A file or a directory, whatever its name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Inode(pub(super) u64);

impl Inode {
    pub(super) const ROOT: Inode = Inode(0);
}

/// How far a pending operation is from the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The next sync makes it durable.
    Dirty,
    /// A sync that should have made it durable failed: no other will.
    Lost,
    /// The same, but that of whoever opens the log next will.
    Held,
}

/// Whether a crash may leave something else than before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Changed {
    Yes,
    No,
}

/// What is on the disk and in the cache.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) files: BTreeMap<Inode, SimFileState>,
    pub(super) namespace: Namespace,
    pub(super) next_inode: u64,
    pub(super) next_number: u64,
}

impl Disk {
    /// A disk with nothing on it.
    pub(super) fn empty() -> Self {
        Disk {
            files: BTreeMap::new(),
            namespace: Namespace::from_durable(Tables::from([(Inode::ROOT, BTreeMap::new())])),
            next_inode: Inode::ROOT.0 + 1,
            next_number: 0,
        }
    }

    pub(super) fn new_inode(&mut self) -> Inode {
        let inode = Inode(self.next_inode);
        self.next_inode += 1;
        inode
    }

    pub(super) fn new_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// The directory at `path`.
    pub(super) fn dir(&self, path: StoragePath<'_>) -> io::Result<Inode> {
        let mut dir = Inode::ROOT;
        for name in path.names() {
            if name.len() > MAX_NAME_LEN {
                return Err(InvalidFilename.into());
            }
            let names = self.namespace.names(dir).ok_or(NotADirectory)?;
            dir = *names.get(name).ok_or(NotFound)?;
        }
        if self.namespace.names(dir).is_none() {
            return Err(NotADirectory.into());
        }
        Ok(dir)
    }

    /// The directory that `path` is in, and its name there.
    pub(super) fn place<'a>(&self, path: StoragePath<'a>) -> io::Result<(Inode, &'a str)> {
        let name = path.file_name().ok_or(InvalidInput)?;
        let dir = self.dir(path.parent())?;
        if name.len() > MAX_NAME_LEN {
            return Err(InvalidFilename.into());
        }
        Ok((dir, name))
    }

    /// As [`place`](Self::place), for what opens a file.
    pub(super) fn place_of_file<'a>(&self, path: StoragePath<'a>) -> io::Result<(Inode, &'a str)> {
        let is_none = |error: &io::Error| error.kind() == NotADirectory;
        self.place(path).map_err(|error| if is_none(&error) { InvalidInput.into() } else { error })
    }

    pub(super) fn entry(&self, dir: Inode, name: &str) -> Option<Inode> {
        self.namespace.names(dir)?.get(name).copied()
    }

    pub(super) fn cached_inode(&self, path: StoragePath<'_>) -> Option<Inode> {
        path.names().try_fold(Inode::ROOT, |dir, name| self.entry(dir, name))
    }

    pub(super) fn kind(&self, inode: Inode) -> EntryKind {
        if self.files.contains_key(&inode) { EntryKind::File } else { EntryKind::Dir }
    }

    pub(super) fn is_empty_dir(&self, inode: Inode) -> bool {
        self.namespace.names(inode).is_some_and(BTreeMap::is_empty)
    }

    pub(super) fn link(&mut self, dir: Inode, name: &str, target: Inode) {
        let number = self.new_number();
        let assignment = Assignment { dir, name: name.to_owned(), target: Some(target) };
        self.namespace.assign(number, vec![assignment]);
    }

    pub(super) fn unlink(&mut self, dir: Inode, name: &str) {
        let number = self.new_number();
        let assignment = Assignment { dir, name: name.to_owned(), target: None };
        self.namespace.assign(number, vec![assignment]);
    }

    pub(super) fn new_file(&mut self, dir: Inode, name: &str) -> Inode {
        let inode = self.new_inode();
        self.files.insert(inode, SimFileState::default());
        self.link(dir, name, inode);
        inode
    }

    pub(super) fn rename(
        &mut self,
        from: StoragePath<'_>,
        to: StoragePath<'_>,
    ) -> io::Result<Changed> {
        let (from_dir, from_name) = self.place(from)?;
        let (to_dir, to_name) = self.place(to)?;
        let moved = self.entry(from_dir, from_name).ok_or(NotFound)?;
        if from == to {
            return Ok(Changed::No);
        }
        if to.parent() == from {
            return Err(InvalidInput.into());
        }
        if let Some(replaced) = self.entry(to_dir, to_name) {
            match (self.kind(moved), self.kind(replaced)) {
                (EntryKind::Dir, EntryKind::Dir) if self.is_empty_dir(replaced) => {}
                (EntryKind::Dir, EntryKind::Dir) => return Err(DirectoryNotEmpty.into()),
                // That a directory holds what is to take its name is noticed first.
                (_, EntryKind::Dir) if replaced == from_dir => {
                    return Err(DirectoryNotEmpty.into());
                }
                (_, EntryKind::Dir) => return Err(IsADirectory.into()),
                (EntryKind::Dir, _) => return Err(NotADirectory.into()),
                (_, _) => {}
            }
        }
        let number = self.new_number();
        let gone = Assignment { dir: from_dir, name: from_name.to_owned(), target: None };
        let there = Assignment { dir: to_dir, name: to_name.to_owned(), target: Some(moved) };
        self.namespace.assign(number, vec![gone, there]);
        Ok(Changed::Yes)
    }

    /// Everything below `dir`, as calls see it.
    pub(super) fn hash_into(&self, dir: Inode, hasher: &mut impl Hasher) {
        for (name, inode) in self.namespace.names(dir).into_iter().flatten() {
            name.hash(hasher);
            if let Some(file) = self.files.get(inode) {
                file.cached().hash(hasher);
            } else {
                self.hash_into(*inode, hasher);
            }
        }
        // No length of a file ends like this.
        hasher.write_u64(u64::MAX);
    }

    pub(super) fn collect(
        &self,
        dir: Inode,
        prefix: &str,
        contents: &mut BTreeMap<String, Vec<u8>>,
    ) {
        for (name, inode) in self.namespace.names(dir).into_iter().flatten() {
            if let Some(file) = self.files.get(inode) {
                contents.insert(format!("{prefix}{name}"), Vec::clone(file.cached()));
            } else {
                let path = format!("{prefix}{name}/");
                self.collect(*inode, &path, contents);
                contents.insert(path, Vec::new());
            }
        }
    }
}
