//! What this process takes of the machine, as Linux tells it.

use std::io;

/// How many bytes of memory are resident: `VmRSS`.
///
/// # Errors
///
/// Where there is no `/proc`, or it says something else than Linux's.
pub fn resident_len() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::ErrorKind::InvalidData.into())
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
