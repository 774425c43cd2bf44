//! Streams made by hand, durably: a directory, and a file with an entry in it.
#![expect(clippy::disallowed_methods, reason = "goes past the log on purpose")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;

use crate::contender::Result;

/// Makes so many directories with a file and an entry in each, durably, as a careful program does.
///
/// # Errors
///
/// Those of the file system.
pub fn create_streams_by_hand(
    root: &Path,
    numbers: std::ops::Range<u64>,
    entry: &[u8],
) -> Result<()> {
    let root_dir = File::open(root)?;
    for number in numbers {
        let dir = root.join(format!("stream-{number}"));
        std::fs::create_dir(&dir)?;
        let file = File::create_new(dir.join("segment"))?;
        file.write_all_at(entry, 0)?;
        file.sync_data()?;
        File::open(&dir)?.sync_all()?;
        root_dir.sync_all()?;
    }
    Ok(())
}

/// Makes so many streams by so many threads, which make one each and then share one sync of the whole file
/// system.
///
/// # Errors
///
/// Those of the file system.
pub fn create_streams_together(
    root: &Path,
    thread_count: usize,
    count: u64,
    entry: &[u8],
) -> Result<()> {
    let root_dir = File::open(root)?;
    let turn = Barrier::new(thread_count);
    let threads = thread_count as u64;
    crate::share(threads, threads, |thread, _| {
        for round in 0..count.div_ceil(threads) {
            let number = round * threads + thread;
            let made = if number < count { create_unsynced(root, number, entry) } else { Ok(()) };
            let synced =
                if turn.wait().is_leader() { rustix::fs::syncfs(&root_dir) } else { Ok(()) };
            turn.wait();
            made?;
            synced?;
        }
        Ok(())
    })
}

fn create_unsynced(root: &Path, number: u64, entry: &[u8]) -> Result<()> {
    let dir = root.join(format!("stream-{number}"));
    std::fs::create_dir(&dir)?;
    Ok(File::create_new(dir.join("segment"))?.write_all_at(entry, 0)?)
}
