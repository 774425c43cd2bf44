//! What this process takes of the machine, as Linux tells it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How many bytes of memory are resident: `VmRSS`.
///
/// # Errors
///
/// Where there is no `/proc`, or it says something else than Linux's.
pub fn resident_len() -> io::Result<u64> {
    status_len("VmRSS:")
}

/// How many of them are the process's own, and not pages of files: `RssAnon`.
///
/// # Errors
///
/// As [`resident_len`].
pub fn anonymous_len() -> io::Result<u64> {
    status_len("RssAnon:")
}

fn status_len(name: &str) -> io::Result<u64> {
    let kib = status(name)?;
    let kib = kib.trim().strip_suffix(" kB").and_then(|kib| kib.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How many threads there are.
///
/// # Errors
///
/// Where there is no `/proc`, or it says something else than Linux's.
pub fn thread_count() -> io::Result<u64> {
    status("Threads:")?.trim().parse().map_err(io::Error::other)
}

fn status(name: &str) -> io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How many handles are open, the one that this takes left out.
///
/// # Errors
///
/// Where there is no `/proc`.
#[expect(clippy::disallowed_methods, reason = "looks at the process, not at a log")]
pub fn open_handle_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count().saturating_sub(1))
}

/// Lets the file system of a directory write all that it holds back, so that it does not while something
/// else is measured.
///
/// # Errors
///
/// Those of the file system.
#[expect(clippy::disallowed_methods, reason = "prepares a measurement")]
pub fn settle(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(std::fs::File::open(dir)?)?)
}

/// How many bytes were written to the device below a path since the machine began, by everyone; none
/// where the device does not tell.
///
/// # Errors
///
/// Where the path is not there.
pub fn device_written_len(path: &Path) -> io::Result<Option<u64>> {
    const SECTOR_LEN: u64 = 512;
    let device = path.metadata()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"));
    let sectors = stat.ok().and_then(|stat| stat.split_whitespace().nth(6)?.parse::<u64>().ok());
    Ok(sectors.map(|sectors| sectors * SECTOR_LEN))
}

/// Lets this process open as many files as it may.
///
/// # Errors
///
/// Those of the system.
pub fn raise_handle_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// How many bytes of the disk all below a directory takes; what is removed meanwhile is left out.
///
/// # Errors
///
/// Those of the file system.
#[expect(clippy::disallowed_methods, reason = "looks at what a benchmark left")]
pub fn used_len(dir: &Path) -> io::Result<u64> {
    let mut len = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let used = path.symlink_metadata().and_then(|metadata| {
            if metadata.is_dir() { used_len(&path) } else { Ok(metadata.blocks() * 512) }
        });
        len += match used {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            used => used?,
        };
    }
    Ok(len)
}
