//! A kill at each operation of a call, an opening that goes on with what the cache kept, and a power cut at
//! each operation of what is done then.
//!
//! What a killed process has written and not synced is there for the next opening, which must not take it for
//! durable: nobody has synced it, and the power may take it away, with a rename of it before anything else.

use ironwal::SyncMode;

use super::{Campaign, Failure, Layer};
use crate::judge::Judge;
use crate::reach;
use crate::script::{Effort, End, Generation, Script};
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

/// Each call that may be killed, on each of three logs, and each one or two calls behind it.
#[derive(Debug)]
pub(super) struct Killed;

const SETUP: Setup =
    Setup { max_segment_entries: 2, max_segment_size: 400, max_open_segments: 1, ..Setup::DEFAULT };

const MODES: [SyncMode; 2] = [SyncMode::Strict, SyncMode::Async];

const EFFORT: Effort =
    Effort { max_subset_count: 1 << 6, seed_count: 1, nested_in: 64, depth: 1, losses_in: 64 };

/// So many segments leave room for two records in the first sector of the index of `stream/0`: that of a rotation,
/// and the floor of a close.
const SEGMENT_COUNT: usize = 11;

/// How a log is found: none; one of two segments and more; and one whose next floor is at the end of a sector of
/// the index, and the record behind that in another, so that a power cut can keep the second alone.
fn founds() -> [Vec<Call>; 3] {
    let full = Call::Batch { stream: 0, lens: vec![20, 20] };
    // Each but the last is followed by a rotation, and the floor of the close comes behind them.
    let sealed = |count: usize| vec![full.clone(); count];
    [Vec::new(), sealed(3), sealed(SEGMENT_COUNT)]
}

/// What is killed; what is before the last call is done whole.
fn begun() -> [Vec<Call>; 7] {
    let append = Call::Append { stream: 0, len: 20 };
    let truncate = Call::Truncate { stream: 0, at: u64::MAX };
    [
        vec![truncate.clone()],
        vec![append.clone(), Call::Close],
        vec![append.clone(), Call::Rotate { stream: 0 }],
        vec![append.clone()],
        vec![Call::Delete { stream: 0 }],
        vec![append.clone(), truncate],
        vec![append, Call::Sync { stream: 0 }],
    ]
}

/// What is done then.
fn next() -> [Call; 5] {
    [
        Call::Append { stream: 0, len: 30 },
        Call::Truncate { stream: 0, at: u64::MAX },
        Call::Rotate { stream: 0 },
        Call::Close,
        Call::Delete { stream: 0 },
    ]
}

/// One call, or two.
const NEXT_COUNT: usize = 5 + 5 * 5;
const CASE_COUNT: usize = MODES.len() * 3 * 7 * NEXT_COUNT;

/// A number that has no divisor in common with that of the cases: each beginning of them has some of all.
const STRIDE: usize = 611;

/// The log that is found, what is killed, and what is done then.
fn parts(case: u64) -> (SyncMode, Vec<Call>, Vec<Call>, Vec<Call>) {
    let case = usize::try_from(case).unwrap_or_default() * STRIDE % CASE_COUNT;
    let (mode, rest) = (case % MODES.len(), case / MODES.len());
    let (found, rest) = (rest % 3, rest / 3);
    let (call, then) = (rest % 7, rest / 7);
    let next = next();
    let places = match then.checked_sub(next.len()) {
        None => vec![then],
        Some(pair) => vec![pair / next.len(), pair % next.len()],
    };
    (
        MODES.get(mode).copied().unwrap_or_default(),
        founds().get(found).cloned().unwrap_or_default(),
        begun().get(call).cloned().unwrap_or_default(),
        places.into_iter().filter_map(|at| next.get(at).cloned()).collect(),
    )
}

impl Campaign for Killed {
    fn name(&self) -> &'static str {
        "killed"
    }

    fn layer(&self) -> Layer {
        Layer::Facade
    }

    fn about(&self) -> &'static str {
        "a call is killed at each operation, the log goes on, and the power is cut at each operation"
    }

    fn case_count(&self) -> Option<u64> {
        Some(CASE_COUNT as u64)
    }

    fn fixed_count(&self) -> u64 {
        120
    }

    fn must_reach(&self) -> &'static [&'static str] {
        reach::OF_KILLS
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let (mode, found, begun, then) = parts(case);
        let generation = |calls: &[Call], cut, end| {
            let setup = Setup { mode, ..SETUP };
            Generation { setup, calls: calls.to_vec(), cut, faults: Vec::new(), end }
        };
        let found = generation(&found, None, End::Close);
        let whole = generation(&begun, None, End::Drop);
        let mut judge = Judge::new();
        for point in (Script { generations: vec![found.clone(), whole] }).crash_points()? {
            let killed = generation(&begun, Some(point), End::Kill);
            let with = |cut, end| {
                let last = generation(&then, cut, end);
                Script { generations: vec![found.clone(), killed.clone(), last] }
            };
            for cut in with(None, End::Drop).crash_points()? {
                let script = with(Some(cut), End::Crash(CrashChoice::Nothing));
                script.run_last(&mut judge, EFFORT)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_count_each_case_once() {
        let all: std::collections::BTreeSet<_> =
            (0..CASE_COUNT as u64).map(|case| format!("{:?}", parts(case))).collect();
        assert_eq!(all.len(), CASE_COUNT);
        assert_eq!(CASE_COUNT, 1260);
    }
}
