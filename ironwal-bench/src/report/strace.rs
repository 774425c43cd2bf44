//! Reads what `strace -f -y` writes: which calls were made, and which of them make durable.

use std::collections::BTreeSet;

/// Calls that return when all of a file, or of the file system, is durable. `sync_file_range` is not among
/// them: it neither writes what leads to the data nor flushes the device.
const SYNCS: &[&str] = &["fsync", "fdatasync", "syncfs", "sync"];
const WRITES: &[&str] = &["write", "pwrite64", "writev", "pwritev", "pwritev2"];
/// What these do is done by the kernel, and no call of it is seen.
const HIDING: &[&str] = &["io_uring_enter", "io_submit"];

/// How often calls were made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counted {
    /// Calls that make durable what was written before.
    pub syncs: u64,
    /// Writes that are durable when they return.
    pub synced_writes: u64,
    /// All writes.
    pub writes: u64,
    /// Calls that let the kernel do what is not seen.
    pub hiding: u64,
    /// Calls of any kind.
    pub all: u64,
}

/// Counts the calls of a process and its threads.
pub(super) fn count(text: &str) -> Counted {
    let mut counted = Counted::default();
    let mut synced_files = BTreeSet::new();
    for (name, arguments) in text.lines().filter_map(call) {
        counted.all += 1;
        counted.hiding += u64::from(HIDING.contains(&name));
        let is_sync = SYNCS.contains(&name) || (name == "msync" && arguments.contains("MS_SYNC"));
        counted.syncs += u64::from(is_sync);
        if WRITES.contains(&name) {
            counted.writes += 1;
            let is_synced = says_so(arguments, &["RWF_SYNC", "RWF_DSYNC"])
                || file(arguments).is_some_and(|file| synced_files.contains(file));
            counted.synced_writes += u64::from(is_synced);
        }
        if matches!(name, "open" | "openat") && says_so(arguments, &["O_SYNC", "O_DSYNC"]) {
            synced_files.extend(arguments.split('"').nth(1));
        }
    }
    counted
}

/// The name of a call and what stands behind it: `12  fsync(3</a/b>) = 0`. Of a call that another thread
/// interrupted, the line where it begins.
fn call(line: &str) -> Option<(&str, &str)> {
    let (_thread, call) = line.split_once(' ')?;
    let (name, arguments) = call.trim_start().split_once('(')?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.chars().all(is_name).then_some((name, arguments))
}

/// The file that the first argument is: `3</a/b>, ...`.
fn file(arguments: &str) -> Option<&str> {
    let (number, rest) = arguments.split_once('<')?;
    number.parse::<u32>().ok()?;
    Some(rest.split_once('>')?.0)
}

fn says_so(arguments: &str, flags: &[&str]) -> bool {
    let mut words =
        arguments.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.any(|word| flags.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_durable_is_told_from_what_only_writes() {
        let text = r#"7  openat(AT_FDCWD</x>, "/x/a", O_WRONLY|O_CREAT|O_DSYNC|O_CLOEXEC, 0666) = 3</x/a>
7  openat(AT_FDCWD</x>, "/x/b", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 4</x/b>
7  pwrite64(3</x/a>, ""..., 160, 0) = 160
8  write(4</x/b>, ""..., 160 <unfinished ...>
7  fdatasync(4</x/b> <unfinished ...>
8  <... write resumed>) = 160
7  <... fdatasync resumed>) = 0
7  pwritev2(4</x/b>, [{iov_base=""..., iov_len=1}], 1, 0, RWF_DSYNC) = 1
7  sync_file_range(4</x/b>, 0, 0, SYNC_FILE_RANGE_WRITE) = 0
7  msync(0x7f0000000000, 4096, MS_ASYNC) = 0
7  msync(0x7f0000000000, 4096, MS_SYNC) = 0
7  io_uring_enter(5<anon_inode:[io_uring]>, 1, 1, IORING_ENTER_GETEVENTS, NULL, 8) = 1
7  --- SIGCHLD {si_signo=SIGCHLD} ---
8  +++ exited with 0 +++
"#;
        let counted = count(text);
        let expected = Counted { syncs: 2, synced_writes: 2, writes: 3, hiding: 1, all: 10 };
        assert_eq!(counted, expected);
    }
}
