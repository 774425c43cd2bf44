//! Random runs with power cuts, kills and restarts of every kind.

use super::{Campaign, Failure, Layer};
use crate::reach;
use crate::script::{Effort, Script, Size};

/// Runs of scripts made from seeds; at each sudden end many disks are judged.
#[derive(Debug)]
pub(super) struct Crash {
    size: Size,
    effort: Effort,
}

impl Crash {
    /// Few calls, and all that they may leave.
    pub(super) const SHORT: Crash = Crash {
        size: Size::Short,
        effort: Effort {
            max_subset_count: 1 << 10,
            seed_count: 40,
            nested_in: 16,
            depth: 2,
            losses_in: 16,
        },
    };

    /// Many calls.
    pub(super) const LONG: Crash = Crash {
        size: Size::Long,
        effort: Effort {
            max_subset_count: 1 << 5,
            seed_count: 8,
            nested_in: 64,
            depth: 2,
            losses_in: 64,
        },
    };
}

impl Campaign for Crash {
    fn name(&self) -> &'static str {
        match self.size {
            Size::Short => "crash-short",
            Size::Long => "crash-long",
        }
    }

    fn layer(&self) -> Layer {
        Layer::Facade
    }

    fn about(&self) -> &'static str {
        match self.size {
            Size::Short => "short random runs; of each sudden end all that it may leave",
            Size::Long => "up to 200 calls over 4 streams, up to 8 generations",
        }
    }

    fn fixed_count(&self) -> u64 {
        match self.size {
            Size::Short => 30_000,
            Size::Long => 3000,
        }
    }

    fn must_reach(&self) -> &'static [&'static str] {
        reach::OF_CRASHES
    }

    fn weight(&self) -> u32 {
        4
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let script = Script::seeded(case, self.size);
        if case.is_multiple_of(16) {
            script.run_twice()?;
        }
        Ok(script.run(self.effort)?)
    }
}
