//! Power cuts below real file systems.
//!
//! The simulated disk makes up what a power cut may leave; here ext4, XFS and Btrfs say it. A writer, a
//! process with several threads, appends to a log in a file system in an image, and tells what it is
//! about to do and what was acknowledged. Meanwhile the image is copied at random moments, each time as it is at one
//! moment: that is a power cut. Later each copy is mounted, with the file system's own recovery, the log in it is
//! opened, and what is there is compared with what was promised before the copy began. Nothing of what was
//! issued after it was over excuses anything. Then the log has to go on.
//!
//! Every recovery is cut itself, and from a disk of which that was done the next writer goes on.
//!
//! A seed gives the same writers with the same settings; the moments are those of a clock, so a run cannot
//! be replayed. This needs root, loop devices and the tools that make file systems; where something is
//! missing, that is said.

mod disk;
mod events;
mod judge;
mod life;
mod promises;
mod script;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};

use self::disk::Area;
use self::judge::{Found, Told};
use self::life::{Disk, Life};
use self::promises::Promises;
use self::script::Style;
pub use self::writer::run as run_writer;
use crate::model::Violation;
use crate::random::SplitMix64;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// So many lives the writers of one disk have before it is made anew.
const LIVES_OF_A_DISK: u64 = 4;

/// A file system that is tested on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileSystem {
    /// The fourth extended file system.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
}

impl FileSystem {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// Its name, as `mount` wants it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The one that has this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|file_system| file_system.name() == name)
    }

    /// How long an image is: XFS and Btrfs are not made smaller.
    const fn len(self) -> u64 {
        match self {
            Self::Ext4 => 200 << 20,
            Self::Xfs => 320 << 20,
            Self::Btrfs => 400 << 20,
        }
    }

    const fn make_options(self) -> &'static [&'static str] {
        match self {
            // Nothing that goes on by itself later.
            Self::Ext4 => &["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
            Self::Xfs => &["-q"],
            Self::Btrfs => &["-q", "-f"],
        }
    }

    /// In which ways it is mounted; each promises other things about what nobody synced.
    const fn mount_options(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &["", "data=writeback", "data=journal", "nodelalloc", "commit=1"],
            Self::Xfs => &["", "wsync"],
            Self::Btrfs => &["", "nodatacow", "notreelog", "compress=lzo"],
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How often the power is cut.
    pub cut_count: usize,
    /// What the writers do, and how they are set up.
    pub seed: u64,
    /// Where there is a directory for mount points; what is written is in memory.
    pub dir: PathBuf,
    /// A program that calls [`run_writer`] when its first argument is `writer`.
    pub program: PathBuf,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Writers that were killed.
    pub lives: u64,
    /// Power cuts while one wrote.
    pub cuts: u64,
    /// Openings of a log on a disk whose power was cut.
    pub recoveries: u64,
    /// Of those the ones in which the power was cut, and which were not over then.
    pub cut_recoveries: u64,
    /// Entries that had been promised to survive a cut, over all cuts.
    pub promised: u64,
    /// Entries that were found.
    pub found: u64,
    /// Entries that had been acknowledged as written, not as durable, and were lost: a cut that loses
    /// nothing ever is no cut.
    pub lost: u64,
    /// Streams that were torn.
    pub torn: u64,
    /// Segments that were set aside.
    pub set_aside: u64,
    /// Bytes of the entries that were found, all compared.
    pub byte_len: u64,
    /// Bytes that recoveries wrote again.
    pub rewritten_len: u64,
}

impl Outcome {
    fn add(&mut self, told: &Told, found: &Found, promises: &Promises) {
        self.torn += told.torn;
        self.set_aside += told.set_aside;
        self.byte_len += told.byte_len;
        self.rewritten_len += told.rewritten_len;
        for (stream, found) in found {
            self.found += found.next - found.first;
            let life = found.life.and_then(|life| promises.lives.get(&(*stream, life)));
            self.lost += life.map_or(0, |life| life.written_end.saturating_sub(found.next));
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lives, cuts, recoveries, cut_recoveries, promised, found, .. } = self;
        let Self { lost, torn, set_aside, byte_len, rewritten_len, .. } = self;
        write!(
            f,
            "{cuts} power cuts in {lives} lives, {recoveries} recoveries, {cut_recoveries} of them cut; \
             {promised} entries promised, {found} found ({byte_len} bytes), {lost} lost that were not \
             promised; {torn} torn, {set_aside} set aside, {rewritten_len} bytes rewritten"
        )
    }
}

/// Why nothing could be tried.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// On what.
    pub file_system: FileSystem,
    /// What is missing.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: power cuts below {}: {}", self.file_system, self.reason)
    }
}

/// How a run ended that found nothing wrong.
#[derive(Clone, Debug)]
pub enum Ran {
    /// It was done.
    Through(Outcome),
    /// It was not possible.
    Skipped(Skipped),
}

/// How a run ended that did not get through.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Something else than the log: a command or a call of the system.
    Machine(String),
    /// The writer got an error, though nothing was wrong.
    Writer(String),
    /// The log broke a promise.
    Broken(Violation),
    /// One of these, and where.
    At(String, Box<Failure>),
}

impl Failure {
    fn at(self, place: &str, style: Style) -> Self {
        let (mode, options) = (style.mode(), style.options());
        Self::At(format!("{place}, {mode:?}, {options:?}"), Box::new(self))
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(what) => write!(f, "the machine: {what}"),
            Self::Writer(what) => write!(f, "the writer failed: {what}"),
            Self::Broken(violation) => violation.fmt(f),
            Self::At(place, failure) => write!(f, "{failure}\n  ({place})"),
        }
    }
}

impl std::error::Error for Failure {}

/// Cuts the power below a file system as often as the plan says, and judges what is left each time.
///
/// # Errors
///
/// The first promise that was broken, or what kept this from going on after it had begun.
pub fn run(file_system: FileSystem, plan: &Plan) -> Result<Ran> {
    let (area, image) = match prepare(file_system, &plan.dir) {
        Ok(prepared) => prepared,
        Err(failure) => {
            let reason = match failure {
                Failure::Machine(what) | Failure::Writer(what) => what,
                Failure::Broken(_) | Failure::At(..) => failure.to_string(),
            };
            return Ok(Ran::Skipped(Skipped { file_system, reason }));
        }
    };
    let mut random = SplitMix64::new(plan.seed ^ file_system.len());
    let mut outcome = Outcome::default();
    let mut disk = Disk { area: &area, file_system, image, history: Vec::new() };
    let mut number = 0;
    while outcome.cuts < plan.cut_count as u64 {
        number += 1;
        if number % LIVES_OF_A_DISK == 0 {
            disk::remove(&disk.image)?;
            disk.image = area.image(&format!("disk-{number}"));
            disk::make(&disk.image, file_system)?;
            disk.history.clear();
        }
        let left = plan.cut_count - usize::try_from(outcome.cuts).unwrap_or(plan.cut_count);
        let choices = file_system.mount_options();
        let life = Life {
            number,
            program: &plan.program,
            cut_count: left.min(1 + random.below(8)),
            mount_options: choices.iter().copied().nth(random.below(choices.len())).unwrap_or(""),
            style: Style(random.next_u64()),
        };
        disk.live(&life, &mut random, &mut outcome)?;
    }
    Ok(Ran::Through(outcome))
}

/// Whatever fails here is not there.
fn prepare(file_system: FileSystem, dir: &Path) -> Result<(Area, PathBuf)> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::Machine("only root may mount".to_owned()));
    }
    let area = Area::new(dir)?;
    let image = area.image("disk-0");
    disk::make(&image, file_system)?;
    // Whether the kernel has the file system, and copies as it should.
    let copy = area.image("try");
    disk::cut(&image, &copy)?;
    area.mount(&copy, file_system, "")?.unmount()?;
    disk::remove(&copy)?;
    Ok((area, image))
}
