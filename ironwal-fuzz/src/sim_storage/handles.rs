//! What an open simulated file and a held lock can do.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ironwal_format::cast;
use ironwal_segment::storage::{OpenMode, StorageFile, StorageLock};

use super::Machine;
use super::disk::{Changed, Inode};
use super::failing::Synced;
use super::file::SimFileState;

/// An open file.
pub(super) struct SimFile {
    machine: Arc<Mutex<Machine>>,
    inode: Inode,
    mode: OpenMode,
}

impl SimFile {
    pub(super) fn new(machine: &Arc<Mutex<Machine>>, inode: Inode, mode: OpenMode) -> Self {
        SimFile { machine: Arc::clone(machine), inode, mode }
    }

    /// Counts a call and does it.
    fn call<T>(&self, body: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.begin()?;
        body(&mut machine)
    }

    /// Counts a call and does it to the file, which must have been opened to write.
    fn change(
        &self,
        body: impl FnOnce(&mut SimFileState, u64) -> io::Result<Changed>,
    ) -> io::Result<()> {
        self.call(|machine| {
            if self.mode == OpenMode::Read {
                return Err(io::Error::other("the file was opened to read"));
            }
            let number = machine.disk.new_number();
            let changed = body(self.state(machine), number)?;
            machine.note(changed);
            Ok(())
        })
    }

    fn state<'a>(&self, machine: &'a mut Machine) -> &'a mut SimFileState {
        machine.disk.files.get_mut(&self.inode).expect("files outlive their names and handles")
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile")
            .field("inode", &self.inode)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl StorageFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call(|machine| {
            let bytes = self.state(machine).cached();
            let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
            let source = rest.unwrap_or_default();
            let count = source.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..count), source.get(..count)) {
                to.copy_from_slice(from);
            }
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.change(|file, number| file.write(number, offset, bytes))?;
        Ok(bytes.len())
    }

    fn file_len(&self) -> io::Result<u64> {
        self.call(|machine| Ok(cast::u64_from(self.state(machine).cached().len())))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|file, number| file.set_len(number, len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(|file, number| file.allocate(number, len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(|machine| match machine.syncs.begin(Synced::File) {
            None => {
                let changed = self.state(machine).sync();
                machine.note(changed);
                Ok(())
            }
            Some(failure) => {
                let number = machine.disk.new_number();
                let changed = self.state(machine).fail_sync(number, failure);
                machine.note(changed);
                Err(io::Error::other("the disk failed a sync of a file"))
            }
        })
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.call(|machine| {
            let bytes = self.state(machine).cached();
            match usize::try_from(len) {
                // What is written later goes to a copy: the mapping stays as it is.
                Ok(len) if len <= bytes.len() => {
                    Ok(Bytes::from_owner(Shared(Arc::clone(bytes))).slice(..len))
                }
                _ => Err(io::ErrorKind::InvalidInput.into()),
            }
        })
    }
}

/// The bytes of a file at one moment.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A held lock.
pub(super) struct SimLock {
    machine: Arc<Mutex<Machine>>,
    inode: Inode,
}

impl SimLock {
    /// The lock that `machine` holds for it already.
    pub(super) fn new(machine: &Arc<Mutex<Machine>>, inode: Inode) -> Self {
        SimLock { machine: Arc::clone(machine), inode }
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").field("inode", &self.inode).finish_non_exhaustive()
    }
}

impl StorageLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.held_locks.remove(&self.inode);
    }
}
