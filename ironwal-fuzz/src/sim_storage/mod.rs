//! A disk in memory that knows what was synced, and makes up what a power cut may leave.
//!
//! Each file and each directory has a durable state, a cached state that calls see, and the operations
//! between the two. A sync of a file makes its bytes and its length durable, not its name; a sync of a
//! directory makes its names durable, not what they lead to. [`SimStorage::crash`] gives the disk
//! that is there after the next start, and leaves the one it was asked of as it is: one point of a run
//! gives as many crashes as there are choices.
//!
//! Every call has a number. The same calls get the same numbers, answers and crashes.

mod crash;
mod dir;
mod disk;
mod failing;
mod file;
mod handles;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::io::ErrorKind::{
    AlreadyExists, DirectoryNotEmpty, InvalidInput, IsADirectory, NotADirectory, NotFound,
    WouldBlock,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ironwal_format::cast;
use ironwal_segment::storage::{
    DirEntry, EntryKind, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

pub use self::crash::CrashChoice;
use self::disk::{Changed, Disk, Inode};
pub use self::failing::SyncFailure;
use self::failing::{FailingSyncs, Synced};
use self::handles::{SimFile, SimLock};

/// A simulated disk. Clones share it.
#[derive(Clone)]
pub struct SimStorage {
    machine: Arc<Mutex<Machine>>,
}

impl SimStorage {
    /// Makes an empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::boot(Disk::empty())
    }

    fn boot(disk: Disk) -> Self {
        let machine = Machine {
            disk,
            held_locks: BTreeSet::new(),
            operation_count: 0,
            crash_at: None,
            syncs: FailingSyncs::default(),
            changing: Vec::new(),
        };
        SimStorage { machine: Arc::new(Mutex::new(machine)) }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        // A test that panicked in here has failed already.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk as it is after a power cut at this moment and the next start, with the operations
    /// that `choice` keeps. All of it is durable; nothing is counted, locked or failing.
    #[must_use]
    pub fn crash(&self, choice: CrashChoice) -> SimStorage {
        let disk = self.machine().disk.after_crash(choice);
        Self::boot(disk)
    }

    /// The disk as it is when the process is killed at this moment and the machine runs on: what is
    /// pending is there and still pending. Nothing is counted, locked or failing.
    #[must_use]
    pub fn kill(&self) -> SimStorage {
        let disk = self.machine().disk.clone();
        Self::boot(disk)
    }

    /// How many operations a crash at this moment may keep or lose, those left out that nothing
    /// leads to.
    pub fn pending_count(&self) -> usize {
        self.machine().disk.pending_count()
    }

    /// The pending operations in the order that [`CrashChoice`] numbers them in, in words.
    pub fn describe_pending(&self) -> Vec<String> {
        self.machine().disk.describe_pending()
    }

    /// How many calls there were; the next one has this number.
    pub fn operation_count(&self) -> u64 {
        self.machine().operation_count
    }

    /// The numbers `n` for which [`crash_at(n)`](Self::crash_at) leads to different disks, each as
    /// late as it can be: those of the calls that changed something, and that of the next call.
    pub fn crash_points(&self) -> Vec<u64> {
        let machine = self.machine();
        let mut points = machine.changing.clone();
        points.push(machine.operation_count);
        points
    }

    /// Cuts the power before the call with this number: it and all later ones fail and do nothing.
    pub fn crash_at(&self, operation: u64) {
        self.machine().crash_at = Some(operation);
    }

    /// Whether a call has failed because the power is cut.
    pub fn is_power_cut(&self) -> bool {
        let machine = self.machine();
        machine.crash_at.is_some_and(|crash_at| machine.operation_count > crash_at)
    }

    /// The length of the file at `path` that is durable, its name apart; `None` if there is no file.
    pub fn synced_len(&self, path: StoragePath<'_>) -> Option<u64> {
        let machine = self.machine();
        let file = machine.disk.files.get(&machine.disk.cached_inode(path)?)?;
        Some(cast::u64_from(file.durable_len()))
    }

    /// Whether the names that lead to what is at `path` are durable, whatever it holds.
    pub fn is_name_synced(&self, path: StoragePath<'_>) -> bool {
        let machine = self.machine();
        let durable = machine.disk.namespace.durable();
        let step = |dir: Inode, name: &str| durable.get(&dir)?.get(name).copied();
        let durable_inode = path.names().try_fold(Inode::ROOT, step);
        durable_inode.is_some() && durable_inode == machine.disk.cached_inode(path)
    }

    /// A number that two disks share only if calls see the same names and bytes on both.
    pub fn fingerprint(&self) -> u64 {
        let machine = self.machine();
        let mut hasher = DefaultHasher::new();
        machine.disk.hash_into(Inode::ROOT, &mut hasher);
        hasher.finish()
    }

    /// Every file as calls see it, by its path, and every directory, by its path and a `/`, with no
    /// bytes.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let machine = self.machine();
        let mut contents = BTreeMap::new();
        machine.disk.collect(Inode::ROOT, "", &mut contents);
        contents
    }
}

impl Default for SimStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimStorage").finish_non_exhaustive()
    }
}

/// The disk, and the machine that it is in.
struct Machine {
    disk: Disk,
    held_locks: BTreeSet<Inode>,
    operation_count: u64,
    crash_at: Option<u64>,
    syncs: FailingSyncs,
    /// The numbers of the calls that changed something.
    changing: Vec<u64>,
}

impl Machine {
    /// Counts a call, and ends it if the power is gone.
    fn begin(&mut self) -> io::Result<()> {
        let number = self.operation_count;
        self.operation_count += 1;
        match self.crash_at {
            Some(crash_at) if number >= crash_at => Err(io::Error::other("the power is gone")),
            Some(_) | None => Ok(()),
        }
    }

    /// Notes what the call did that was counted last.
    fn note(&mut self, changed: Changed) {
        if changed == Changed::Yes {
            self.changing.push(self.operation_count - 1);
        }
    }
}

impl Storage for SimStorage {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let mut machine = self.machine();
        machine.begin()?;
        let disk = &mut machine.disk;
        let (dir, name) = disk.place_of_file(path)?;
        let inode = match (mode, disk.entry(dir, name)) {
            (OpenMode::CreateNew, Some(_)) => return Err(AlreadyExists.into()),
            (OpenMode::CreateNew, None) => {
                let inode = disk.new_file(dir, name);
                machine.note(Changed::Yes);
                inode
            }
            (OpenMode::Read | OpenMode::ReadWrite, None) => return Err(NotFound.into()),
            (OpenMode::Read | OpenMode::ReadWrite, Some(inode)) => match disk.kind(inode) {
                EntryKind::File => inode,
                EntryKind::Dir | EntryKind::Other => return Err(InvalidInput.into()),
            },
        };
        Ok(Arc::new(SimFile::new(&self.machine, inode, mode)))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        let mut machine = self.machine();
        machine.begin()?;
        let disk = &mut machine.disk;
        let (dir, name) = disk.place(path)?;
        if disk.entry(dir, name).is_some() {
            return Err(AlreadyExists.into());
        }
        let inode = disk.new_inode();
        disk.namespace.add_dir(inode);
        disk.link(dir, name, inode);
        machine.note(Changed::Yes);
        Ok(())
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        let mut machine = self.machine();
        machine.begin()?;
        let disk = &mut machine.disk;
        let (dir, name) = disk.place(path)?;
        let inode = disk.entry(dir, name).ok_or(NotFound)?;
        match disk.kind(inode) {
            EntryKind::File | EntryKind::Other => Err(NotADirectory.into()),
            EntryKind::Dir if !disk.is_empty_dir(inode) => Err(DirectoryNotEmpty.into()),
            EntryKind::Dir => {
                disk.unlink(dir, name);
                machine.note(Changed::Yes);
                Ok(())
            }
        }
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        let mut machine = self.machine();
        machine.begin()?;
        let changed = machine.disk.rename(from, to)?;
        machine.note(changed);
        Ok(())
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        let mut machine = self.machine();
        machine.begin()?;
        let disk = &mut machine.disk;
        let (dir, name) = disk.place(path)?;
        let inode = disk.entry(dir, name).ok_or(NotFound)?;
        match disk.kind(inode) {
            EntryKind::Dir | EntryKind::Other => Err(IsADirectory.into()),
            EntryKind::File => {
                disk.unlink(dir, name);
                machine.note(Changed::Yes);
                Ok(())
            }
        }
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        let mut machine = self.machine();
        machine.begin()?;
        let disk = &machine.disk;
        let names = disk.namespace.names(disk.dir(dir)?).ok_or(NotADirectory)?;
        let entry = |(name, inode): (&String, &Inode)| DirEntry {
            name: name.clone(),
            kind: disk.kind(*inode),
        };
        Ok(names.iter().map(entry).collect())
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        let mut machine = self.machine();
        machine.begin()?;
        let dir = machine.disk.dir(dir)?;
        let synced = if dir == Inode::ROOT { Synced::RootNames } else { Synced::Names };
        match machine.syncs.begin(synced) {
            None => {
                let changed = machine.disk.namespace.sync(dir);
                machine.note(changed);
                Ok(())
            }
            Some(failure) => {
                let changed = machine.disk.namespace.fail_sync(dir, failure);
                machine.note(changed);
                Err(io::Error::other("the disk failed a sync of a directory"))
            }
        }
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        let mut machine = self.machine();
        machine.begin()?;
        let disk = &mut machine.disk;
        let (dir, name) = disk.place_of_file(path)?;
        let inode = match disk.entry(dir, name) {
            Some(inode) if disk.kind(inode) == EntryKind::File => inode,
            Some(_) => return Err(InvalidInput.into()),
            None => {
                let inode = disk.new_file(dir, name);
                machine.note(Changed::Yes);
                inode
            }
        };
        if !machine.held_locks.insert(inode) {
            return Err(WouldBlock.into());
        }
        machine.disk.namespace.let_go();
        Ok(Box::new(SimLock::new(&self.machine, inode)))
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        let mut whole = PathBuf::from("sim:");
        whole.extend(path.names());
        whole
    }
}
