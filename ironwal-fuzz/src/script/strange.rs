//! Scripts in which others use the directories of the log, too, and such in which files cannot be cut.

use super::refusal::Refusal;
use super::{Mishap, Script};
use crate::faults::Repeat;
use crate::random::SplitMix64;
use crate::world::Call;

/// What strangers put somewhere stays there, and each opening has to pass it.
const MAX_VISITS: usize = 4;

impl Script {
    /// Lets strangers put files between those of the log, and removes more streams than random calls do.
    pub(super) fn visited(&mut self, seed: u64) {
        // Other numbers than those that made the script.
        let mut random = SplitMix64::new(seed);
        let count = self.generations.iter().map(|generation| generation.calls.len()).sum::<usize>();
        let mut visit_count = 0;
        for generation in &mut self.generations {
            for call in std::mem::take(&mut generation.calls) {
                generation.calls.push(call);
                let stream = random.below(2);
                if visit_count < MAX_VISITS && random.chance(MAX_VISITS, count.max(16)) {
                    visit_count += 1;
                    generation.calls.push(Call::Visit { stream });
                } else if random.chance(1, 16) {
                    generation.calls.push(Call::Delete { stream });
                }
            }
        }
    }

    /// Lets the disk refuse to cut a file, which is seldom asked for: where a segment ends, or a write fails.
    pub(super) fn uncut(&mut self, seed: u64) {
        let at = SplitMix64::new(seed).below(2) as u64;
        for generation in &mut self.generations {
            let refusal = Refusal::Uncut;
            generation.faults.push(Mishap::Refused { refusal, at, repeat: Repeat::Once });
        }
    }
}
