//! A log at full speed for some time: whether memory, open files and latency stay as they are, and whether
//! readers see what was written.
//!
//! Writers own some streams each and append to them, single entries and durable batches; segments are small,
//! so they rotate all the time. One thread removes what is old. Readers check every byte: an entry follows
//! from its stream and its number.

mod load;
mod second;
mod tell;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ironwal::{SyncMode, Wal, WalOptions};

use self::load::Load;
use self::second::Second;
use crate::contender::Result;
use crate::report::machine::Machine;
use crate::report::say;

const SEGMENT_LEN: u64 = 256 << 10;

/// What is to be done.
#[derive(Debug)]
pub struct Settings {
    /// For how long.
    pub time: Duration,
    /// Where the log is written.
    pub dir: PathBuf,
    /// Where what came of it is written.
    pub out: PathBuf,
}

/// Lets it run, and writes `soak.md`, `soak.json`, `soak.html` and plots.
///
/// # Errors
///
/// That an operation failed or a reader saw wrong data; and those of writing.
pub fn run(settings: &Settings) -> Result<()> {
    std::fs::create_dir_all(&settings.out)?;
    let machine = Machine::look(&settings.dir)?;
    let dir = tempfile::tempdir_in(&settings.dir)?;
    let options = WalOptions::new().sync_mode(SyncMode::BatchOnly).max_segment_size(SEGMENT_LEN);
    let wal = Wal::open(dir.path(), options.clone())?;
    let load = Load::new(&wal)?;
    let seconds = std::thread::scope(|scope| {
        load.start(scope);
        let seconds = watch(settings, (&wal, dir.path()), &load);
        load.stop();
        seconds
    })?;
    let closed = wal.close();
    drop(wal);
    let outcome = load.outcome().and_then(|()| {
        closed?;
        // What is left is read again as another process would.
        let wal = Wal::open(dir.path(), options)?;
        load::check_all(&wal)
    });
    tell::write(settings, &machine, &seconds, &outcome)?;
    say(&format!("{}", settings.out.join("soak.md").display()));
    outcome
}

/// Looks once a second, until time is over or something failed.
fn watch(settings: &Settings, wal: (&Wal, &Path), load: &Load) -> Result<Vec<Second>> {
    const STEP: Duration = Duration::from_secs(1);
    const TOLD: usize = 30;
    let begun = Instant::now();
    let mut seconds = Vec::new();
    let mut due = begun + STEP;
    while due <= begun + settings.time && load.outcome().is_ok() {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let second = Second::look(begun.elapsed(), wal, load)?;
        if seconds.len() % TOLD == 0 {
            say(&second.describe());
        }
        seconds.push(second);
        due += STEP;
    }
    Ok(seconds)
}
