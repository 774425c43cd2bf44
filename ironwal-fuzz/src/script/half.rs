//! Scripts in which the end of a segment fails halfway, and the log goes on.

use ironwal::SyncMode;

use super::{End, Generation, Mishap, Refusal, Script};
use crate::faults::Repeat;
use crate::random::SplitMix64;
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

/// Segments take two entries, and no file is closed for want of room.
const SETUP: Setup = Setup { max_segment_entries: 2, max_segment_size: 400, ..Setup::DEFAULT };

/// So many calls to the machine are made for the opening and a few rotations.
const SPAN: usize = 60;

impl Script {
    /// The script of a seed in which a rotation may have done some of its steps and be refused the rest; then
    /// the index is replaced, and more segments end.
    #[must_use]
    pub fn half_rotated(seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let random = &mut random;
        let modes = [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async];
        let mode = modes.get(random.below(modes.len())).copied().unwrap_or_default();
        let setup = Setup { mode, ..SETUP };
        let pair = || Call::Batch { stream: 0, lens: vec![20, 20] };
        let found = (0..2 + random.below(3)).map(|_| pair()).collect();
        let found =
            Generation { setup, calls: found, cut: None, faults: Vec::new(), end: End::Close };
        let mut calls = Vec::new();
        for _ in 0..=random.below(3) {
            calls.extend((0..=random.below(2)).map(|_| pair()));
            calls.push(Call::Truncate { stream: 0, at: u64::MAX - random.below(4) as u64 });
            for _ in 0..=random.below(3) {
                calls.push(if random.chance(1, 4) { Call::Rotate { stream: 0 } } else { pair() });
            }
        }
        let at = random.below(SPAN) as u64;
        let refused = |refusal| Mishap::Refused { refusal, at, repeat: Repeat::Once };
        let fault = match random.below(4) {
            0 => refused(Refusal::Emfile),
            1 => refused(Refusal::Eacces),
            2 => Mishap::TornWrite { at: at / 4 },
            _ => refused(Refusal::Enfile),
        };
        let end = match random.below(4) {
            0 => End::Crash(CrashChoice::Nothing),
            1 => End::Kill,
            2 => End::Drop,
            _ => End::Close,
        };
        let half = Generation { setup, calls, cut: None, faults: vec![fault], end };
        Script { generations: vec![found, half] }
    }
}
