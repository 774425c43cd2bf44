//! Power cuts below real file systems.

use std::path::PathBuf;

use super::{Campaign, Failure, Layer};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::power::{self, FileSystem, Plan, Ran};
use crate::tally::{self, Group};

/// Cuts of a file system, so many a case. The moments are those of a clock: a case that failed may need to
/// be run again and again before it fails once more.
#[derive(Debug)]
pub(super) struct Power {
    file_system: FileSystem,
}

/// How often the power is cut in a case.
const CUTS: usize = 16;

/// So long that promises were made before the first cut, on any machine.
const CASE_REACHES: &[&str] = &["a promise was kept below a file system"];

impl Power {
    pub(super) const EXT4: Power = Power { file_system: FileSystem::Ext4 };
    pub(super) const XFS: Power = Power { file_system: FileSystem::Xfs };
    pub(super) const BTRFS: Power = Power { file_system: FileSystem::Btrfs };

    fn cut(&self, cut_count: usize, seed: u64) -> Result<Ran, power::Failure> {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ironwal-fuzz"));
        let plan = Plan { cut_count, seed, dir: std::env::temp_dir(), program };
        power::run(self.file_system, &plan)
    }
}

impl Campaign for Power {
    fn name(&self) -> &'static str {
        match self.file_system {
            FileSystem::Ext4 => "power-ext4",
            FileSystem::Xfs => "power-xfs",
            FileSystem::Btrfs => "power-btrfs",
        }
    }

    fn layer(&self) -> Layer {
        Layer::System
    }

    fn about(&self) -> &'static str {
        "power cut 16 times below a mounted file system while processes write, and in each recovery"
    }

    fn fixed_count(&self) -> u64 {
        1
    }

    fn unavailable(&self) -> Option<String> {
        match self.cut(0, 0) {
            Ok(Ran::Skipped(skipped)) => Some(skipped.reason),
            // That is told by the first case.
            Ok(Ran::Through(_)) | Err(_) => None,
        }
    }

    fn must_reach(&self) -> &'static [&'static str] {
        CASE_REACHES
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let outcome = match self.cut(CUTS, case) {
            Ok(Ran::Through(outcome)) => outcome,
            Ok(Ran::Skipped(skipped)) => {
                return Err(Violation::new(Invariant::I11, skipped.to_string()).into());
            }
            Err(failure) => return Err(failed(&failure)),
        };
        tally::add(Group::Fault, "power cut below a file system", outcome.cuts);
        tally::add(Group::Fault, "power cut in a recovery below one", outcome.cut_recoveries);
        tally::add(Group::Work, "recoveries on a file system", outcome.recoveries);
        tally::add(Group::Work, "entries found on a file system", outcome.found);
        tally::add(Group::Verdict, "torn, on a file system", outcome.torn);
        tally::add(Group::Verdict, "set aside, on a file system", outcome.set_aside);
        if outcome.promised > 0 && outcome.found > 0 {
            tally::add(Group::Reached, "a promise was kept below a file system", outcome.promised);
        }
        Ok(())
    }
}

fn failed(failure: &power::Failure) -> Failure {
    fn invariant(failure: &power::Failure) -> Invariant {
        match failure {
            power::Failure::Broken(violation) => violation.invariant,
            power::Failure::At(_, failure) => invariant(failure),
            power::Failure::Machine(_) | power::Failure::Writer(_) => Invariant::I11,
        }
    }
    Violation::new(invariant(failure), failure.to_string()).into()
}
