//! File systems on loop devices, and copies of what is below them at one moment.
//!
//! ```text
//! the file system under test     ext4, XFS or Btrfs
//! a loop device
//! an image, as disk.img          copied whole by FICLONE: a power cut
//! XFS with reflinks, a loop device, pool.img, a tmpfs
//! ```
//!
//! The loop device turns each request of the file system under test into one read or write of the image, and
//! says that it is done when that call has returned. XFS makes each such write under the lock of the inode,
//! and `FICLONE` has that lock for itself alone from before it writes back the page cache of the image until
//! it is done. So each request is in the copy as a whole or not at all; all that were done when it
//! began are in it, and none that came to the loop device after it: what a disk holds whose power is cut at
//! that moment. It never has anything that the file system had not submitted: the page cache of the
//! file system under test is above all this.
//!
//! Where it is kinder than a disk: a request that is done is kept, flushed or not, so a file system that
//! forgot its flush would not be caught; and no request is torn.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::{Failure, FileSystem};

/// So much memory at most is used for all images together.
const TMPFS_SIZE: &str = "size=2g";
/// The images are sparse.
const POOL_LEN: u64 = 16 << 30;

/// Runs a command of the system to its end; gives what it printed.
fn command<T: AsRef<OsStr> + ?Sized>(program: &str, args: &[&T]) -> Result<String, Failure> {
    let mut command = Command::new(program);
    command.args(args);
    let output = command.output().map_err(|error| failed(program, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let line = told.lines().find(|line| !line.is_empty()).unwrap_or("no reason given");
    Err(Failure::Machine(format!("{program}: {line}")))
}

pub(super) fn failed(doing: impl fmt::Display, error: &io::Error) -> Failure {
    Failure::Machine(format!("{doing}: {error}"))
}

fn create(path: &Path) -> Result<File, Failure> {
    #[expect(clippy::disallowed_methods, reason = "images of disks are not files of a log")]
    let created = OpenOptions::new().read(true).write(true).create_new(true).open(path);
    created.map_err(|error| failed(path.display(), &error))
}

pub(super) fn open(path: &Path) -> Result<File, Failure> {
    #[expect(clippy::disallowed_methods, reason = "images of disks are not files of a log")]
    let opened = File::open(path);
    opened.map_err(|error| failed(path.display(), &error))
}

pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "images of disks are not files of a log")]
    let removed = std::fs::remove_file(path);
    removed.map_err(|error| failed(path.display(), &error))
}

fn make_dir(path: &Path) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "mount points are not directories of a log")]
    let made = std::fs::create_dir(path);
    made.map_err(|error| failed(path.display(), &error))
}

/// A loop device, detached when it is dropped.
#[derive(Debug)]
struct Loop {
    device: String,
    file_system: FileSystem,
}

impl Loop {
    fn attach(image: &Path, file_system: FileSystem) -> Result<Self, Failure> {
        // Direct I/O would be as right, but goes by whole blocks in a file that shares some, and sectors
        // are to have 512 bytes.
        let mut args = ["--find", "--show", "--direct-io=off"].map(OsStr::new).to_vec();
        args.push(image.as_os_str());
        let device = command("losetup", &args)?;
        Ok(Self { device, file_system })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if self.file_system == FileSystem::Btrfs {
            // Else the kernel refuses a copy of an earlier moment on another device.
            drop(command("btrfs", &["device", "scan", "--forget", &self.device]));
        }
        drop(command("losetup", &["--detach", &self.device]));
    }
}

/// A mount, undone when it is dropped.
#[derive(Debug)]
struct Mount {
    at: PathBuf,
    mounted: bool,
}

impl Mount {
    fn new(kind: &str, options: &str, source: &str, at: &Path) -> Result<Self, Failure> {
        let options = if options.is_empty() { "defaults" } else { options };
        let mut args = ["-t", kind, "-o", options, source].map(OsStr::new).to_vec();
        args.push(at.as_os_str());
        command("mount", &args)?;
        Ok(Self { at: at.to_owned(), mounted: true })
    }

    fn undo(&mut self) -> Result<(), Failure> {
        // A process that another thread is about to start holds what is open here, until it is another
        // program; and some daemons look at what was mounted.
        for patience in (0..7).map(|doubled| Duration::from_millis(20 << doubled)) {
            if command("umount", &[self.at.as_os_str()]).is_ok() {
                self.mounted = false;
                return Ok(());
            }
            thread::sleep(patience);
        }
        command("umount", &[self.at.as_os_str()])?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted && self.undo().is_err() {
            // Someone, as a child that was not waited for, still has a file open.
            drop(command("umount", &[OsStr::new("--lazy"), self.at.as_os_str()]));
        }
    }
}

/// A file system in an image. Undone when it is dropped.
#[derive(Debug)]
pub(super) struct Mounted {
    // In the order in which they have to go.
    mount: Mount,
    _device: Loop,
}

impl Mounted {
    fn new(
        image: &Path,
        file_system: FileSystem,
        options: &str,
        at: &Path,
    ) -> Result<Self, Failure> {
        let device = Loop::attach(image, file_system)?;
        Self::mount(device, options, at)
    }

    fn mount(device: Loop, options: &str, at: &Path) -> Result<Self, Failure> {
        let mount = Mount::new(device.file_system.name(), options, &device.device, at)?;
        Ok(Self { mount, _device: device })
    }

    /// Where it is mounted.
    pub(super) fn path(&self) -> &Path {
        &self.mount.at
    }

    pub(super) fn unmount(mut self) -> Result<(), Failure> {
        self.mount.undo()
    }
}

/// A place for images that can be copied in one moment.
#[derive(Debug)]
pub(super) struct Area {
    // In the order in which they have to go.
    pool: Mounted,
    _memory: Mount,
    dir: TempDir,
}

impl Area {
    /// Makes one below `dir`.
    pub(super) fn new(dir: &Path) -> Result<Self, Failure> {
        let dir = tempfile::Builder::new()
            .prefix("ironwal-power-")
            .tempdir_in(dir)
            .map_err(|error| failed("a temporary directory", &error))?;
        for name in ["memory", "pool", "disk"] {
            make_dir(&dir.path().join(name))?;
        }
        let memory = dir.path().join("memory");
        // In memory: what a flush of the real disk takes would be most of the time otherwise, and fewer
        // interleavings would be seen.
        let mount = Mount::new("tmpfs", TMPFS_SIZE, "none", &memory)?;
        let image = memory.join("pool.img");
        set_len(&image, POOL_LEN)?;
        let args = ["-q", "-m", "reflink=1"].map(OsStr::new);
        command("mkfs.xfs", &[&args[..], &[image.as_os_str()]].concat())?;
        let at = dir.path().join("pool");
        // What is removed is given back to the memory.
        let device = Loop::attach(&image, FileSystem::Xfs)?;
        let pool = Mounted::mount(device, "discard", &at)?;
        Ok(Self { pool, _memory: mount, dir })
    }

    /// Where an image has its place.
    pub(super) fn image(&self, name: &str) -> PathBuf {
        self.pool.path().join(name)
    }

    /// Mounts the file system of an image; one at a time.
    pub(super) fn mount(
        &self,
        image: &Path,
        file_system: FileSystem,
        options: &str,
    ) -> Result<Mounted, Failure> {
        Mounted::new(image, file_system, options, &self.dir.path().join("disk"))
    }
}

/// Makes an image with an empty file system in it.
pub(super) fn make(image: &Path, file_system: FileSystem) -> Result<(), Failure> {
    set_len(image, file_system.len())?;
    let mut args = file_system.make_options().iter().map(OsStr::new).collect::<Vec<_>>();
    args.push(image.as_os_str());
    command(&format!("mkfs.{}", file_system.name()), &args).map(drop)
}

/// Copies an image of an area, which may be in use, as it is at one moment: cuts the power.
pub(super) fn cut(image: &Path, copy: &Path) -> Result<(), Failure> {
    let (from, to) = (open(image)?, create(copy)?);
    rustix::fs::ioctl_ficlone(&to, &from).map_err(|error| failed("FICLONE", &error.into()))
}

fn set_len(image: &Path, len: u64) -> Result<(), Failure> {
    create(image)?.set_len(len).map_err(|error| failed(image.display(), &error))
}
