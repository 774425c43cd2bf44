//! Looks for a shorter script that breaks the same promise.

use super::{Effort, Failure, Mishap, Script};
use crate::sim_storage::CrashChoice;
use crate::world::Call;

/// So many runs are made at most: a failure is told soon, even if not as short as it could be.
const MAX_RUNS: usize = 4000;

impl Failure {
    /// Leaves out and makes smaller whatever is not needed to break the same promise.
    #[must_use]
    pub fn shrunk(self) -> Failure {
        let mut shrink = Shrink { best: self, runs: 0 };
        while shrink.runs < MAX_RUNS && shrink.round() {}
        shrink.best
    }
}

struct Shrink {
    best: Failure,
    runs: usize,
}

impl Shrink {
    /// Whether this is as good as the best so far; then it is the best.
    fn takes(&mut self, script: &Script) -> bool {
        if self.runs >= MAX_RUNS || *script == self.best.script {
            return false;
        }
        self.runs += 1;
        match script.run(Effort::NONE) {
            Err(failure) if failure.violation.invariant == self.best.violation.invariant => {
                // What was left out behind the violation stays out.
                self.best = *failure;
                true
            }
            Ok(()) | Err(_) => false,
        }
    }

    /// Tries each step once; whether one helped.
    fn round(&mut self) -> bool {
        let mut helped = false;
        for part in [8, 4, 2, 1] {
            helped |= self.without_calls(part);
        }
        let generation_count = self.best.script.generations.len();
        for at in (0..generation_count).rev() {
            helped |= self.edited(|script| {
                (at < script.generations.len()).then(|| drop(script.generations.remove(at)))
            });
            helped |= self.with_simpler_setup(at);
            helped |= self.with_smaller_calls(at);
            helped |= self.with_fewer_faults(at);
            helped |= self.edited(|script| script.generations.get_mut(at)?.cut.take().map(drop));
            for choice in [CrashChoice::Nothing, CrashChoice::Everything] {
                helped |= self.edited(|script| {
                    let end = &mut script.generations.get_mut(at)?.end;
                    let is_seeded = matches!(end.choice(), Some(CrashChoice::Seeded(_)));
                    is_seeded.then(|| *end = end.leaving(choice))
                });
            }
        }
        helped
    }

    fn edited(&mut self, edit: impl FnOnce(&mut Script) -> Option<()>) -> bool {
        let mut script = self.best.script.clone();
        edit(&mut script).is_some() && self.takes(&script)
    }

    fn without_calls(&mut self, count: usize) -> bool {
        let mut helped = false;
        for generation in 0..self.best.script.generations.len() {
            let mut at = 0;
            while let Some(len) = self.call_count(generation).filter(|len| at < *len) {
                let is_taken = self.edited(|script| {
                    let calls = &mut script.generations.get_mut(generation)?.calls;
                    drop(calls.drain(at..len.min(at + count)));
                    Some(())
                });
                helped |= is_taken;
                at += if is_taken { 0 } else { count };
            }
        }
        helped
    }

    fn call_count(&self, generation: usize) -> Option<usize> {
        self.best.script.generations.get(generation).map(|found| found.calls.len())
    }

    fn with_simpler_setup(&mut self, at: usize) -> bool {
        let simple = crate::world::Setup::DEFAULT;
        let mut helped = false;
        for field in 0..6 {
            helped |= self.edited(|script| {
                let setup = &mut script.generations.get_mut(at)?.setup;
                match field {
                    0 => setup.space = simple.space,
                    1 => setup.compression = simple.compression,
                    2 => setup.reads = simple.reads,
                    3 => setup.max_open_segments = simple.max_open_segments,
                    4 => setup.max_segment_entries = simple.max_segment_entries,
                    _ => setup.max_segment_size = simple.max_segment_size,
                }
                Some(())
            });
        }
        helped
    }

    fn with_fewer_faults(&mut self, generation: usize) -> bool {
        let count =
            self.best.script.generations.get(generation).map_or(0, |found| found.faults.len());
        let mut helped = false;
        for at in (0..count).rev() {
            helped |= self.edited(|script| {
                let faults = &mut script.generations.get_mut(generation)?.faults;
                (at < faults.len()).then(|| {
                    let _: Mishap = faults.remove(at);
                })
            });
            helped |= self.edited(|script| {
                let mishap = script.generations.get_mut(generation)?.faults.get_mut(at)?;
                *mishap = mishap.simpler()?;
                Some(())
            });
        }
        helped
    }

    fn with_smaller_calls(&mut self, generation: usize) -> bool {
        let count = self.call_count(generation).unwrap_or_default();
        let mut helped = false;
        for at in 0..count {
            helped |= self.edited(|script| {
                match script.generations.get_mut(generation)?.calls.get_mut(at)? {
                    Call::Append { len, .. } if *len > 1 => *len = 1,
                    Call::Batch { lens, .. } if lens.iter().any(|len| *len > 1) => lens.fill(1),
                    Call::Truncate { at, .. }
                    | Call::Get { at, .. }
                    | Call::Iterate { from: at, .. }
                        if *at > 9 =>
                    {
                        *at %= 10;
                    }
                    Call::Append { .. }
                    | Call::Batch { .. }
                    | Call::Get { .. }
                    | Call::Iterate { .. }
                    | Call::Close
                    | Call::Drop
                    | Call::Reopen { .. }
                    | Call::Sync { .. }
                    | Call::SyncAll
                    | Call::Rotate { .. }
                    | Call::Truncate { .. }
                    | Call::Delete { .. }
                    | Call::Visit { .. }
                    | Call::Reconfigure(_) => return None,
                }
                Some(())
            });
        }
        helped
    }
}
