//! Random runs on a machine that fails, and ends anyhow.

use super::{Campaign, Failure, Layer};
use crate::script::{Effort, Script};

/// Runs of scripts in which calls fail, are cut short or are forgotten, until the generation ends.
#[derive(Debug)]
pub(super) struct Faults;

const EFFORT: Effort =
    Effort { max_subset_count: 1 << 5, seed_count: 4, nested_in: 64, depth: 2, losses_in: 64 };

/// The cases, of sixteen, in which a rotation stops halfway.
const HALF_ROTATED: u64 = 7;

impl Campaign for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    fn layer(&self) -> Layer {
        Layer::Facade
    }

    fn about(&self) -> &'static str {
        "short random runs in which calls to the machine fail; of each sudden end what it may leave"
    }

    fn fixed_count(&self) -> u64 {
        6000
    }

    fn weight(&self) -> u32 {
        3
    }

    fn must_reach(&self) -> &'static [&'static str] {
        &[
            "row 19: nothing is acknowledged behind a failed sync",
            "row 20: goes on without a reboot after a failed sync",
            "row 22: an append that has no space",
            "row 23: no space at a sync",
            "row 24: no space for a recovery",
            "row 25: short calls",
            "row 26: interrupted calls",
            "row 27: no more files",
            "row 28: not allowed to write",
            "row 56: the first entry fails",
            "row 60: the disk lied, and the power was cut",
        ]
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let script = if case % 16 == HALF_ROTATED {
            Script::half_rotated(case)
        } else {
            Script::troubled(case)
        };
        if case.is_multiple_of(16) {
            script.run_twice()?;
        }
        Ok(script.run(EFFORT)?)
    }
}
