//! The small world, whole: every sequence of at most three calls, every crash point, every choice.

use ironwal::SyncMode;

use super::{Campaign, Failure, Layer};
use crate::judge::Judge;
use crate::script::{Effort, End, Generation, Script};
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

/// Every sequence of one to three calls out of twelve, in each mode, cut at every operation.
#[derive(Debug)]
pub(super) struct SmallWorld;

/// Segments take two entries, so three calls rotate.
const SETUP: Setup =
    Setup { max_segment_entries: 2, max_segment_size: 400, max_open_segments: 1, ..Setup::DEFAULT };

const MODES: [SyncMode; 3] = [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async];

fn calls() -> [Call; 12] {
    [
        Call::Append { stream: 0, len: 20 },
        Call::Append { stream: 1, len: 300 },
        Call::Batch { stream: 0, lens: vec![20, 0, 20] },
        Call::Batch { stream: 0, lens: vec![300, 300] },
        Call::Sync { stream: 0 },
        Call::SyncAll,
        Call::Rotate { stream: 0 },
        Call::Truncate { stream: 0, at: u64::MAX },
        Call::Delete { stream: 0 },
        Call::Reopen { stream: 0 },
        Call::Close,
        Call::Drop,
    ]
}

/// How many sequences there are.
const SEQUENCE_COUNT: u64 = 12 + 12 * 12 + 12 * 12 * 12;

/// The sequence with this number, shorter ones first.
fn sequence(mut number: u64) -> Vec<Call> {
    let calls = calls();
    let (mut len, mut count) = (1, 12);
    while number >= count {
        number -= count;
        count *= 12;
        len += 1;
    }
    let digit = |place: u32| usize::try_from(number / 12_u64.pow(place) % 12).unwrap_or_default();
    (0..len).rev().filter_map(|place| calls.get(digit(place)).cloned()).collect()
}

impl Campaign for SmallWorld {
    fn name(&self) -> &'static str {
        "small-world"
    }

    fn layer(&self) -> Layer {
        Layer::Facade
    }

    fn about(&self) -> &'static str {
        "every sequence of at most 3 calls out of 12, in each mode, at every crash point"
    }

    fn case_count(&self) -> Option<u64> {
        Some(SEQUENCE_COUNT * MODES.len() as u64)
    }

    fn fixed_count(&self) -> u64 {
        SEQUENCE_COUNT * MODES.len() as u64
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let calls = sequence(case % SEQUENCE_COUNT);
        let mode = usize::try_from(case / SEQUENCE_COUNT).ok().and_then(|at| MODES.get(at));
        let setup = Setup { mode: mode.copied().unwrap_or_default(), ..SETUP };
        // Each entry of a stream that is there already makes more of the calls do something.
        let before = Generation {
            setup,
            calls: vec![Call::Batch { stream: 0, lens: vec![20, 20] }],
            cut: None,
            faults: Vec::new(),
            end: End::Close,
        };
        let whole = Generation { setup, calls, cut: None, faults: Vec::new(), end: End::Kill };
        let mut judge = Judge::new();
        let effort = Effort {
            max_subset_count: 1 << 10,
            seed_count: 2,
            nested_in: 8,
            depth: 2,
            losses_in: 32,
        };
        for before in [None, Some(before)] {
            let with = |cut, end| {
                let last = Generation { cut, end, ..whole.clone() };
                Script { generations: before.iter().cloned().chain([last]).collect() }
            };
            // Crashes in the calls before the last one are those of a shorter sequence.
            for point in with(None, End::Kill).crash_points()? {
                let script = with(Some(point), End::Crash(CrashChoice::Nothing));
                script.run_before(&mut judge, effort)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_count_each_sequence_once() {
        let all: std::collections::BTreeSet<_> =
            (0..SEQUENCE_COUNT).map(|number| format!("{:?}", sequence(number))).collect();
        assert_eq!(all.len() as u64, SEQUENCE_COUNT);
        assert_eq!(SEQUENCE_COUNT, 1884);
    }
}
