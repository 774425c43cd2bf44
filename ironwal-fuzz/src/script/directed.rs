//! Scripts for what comes about too seldom by chance: two things in a certain order.

use ironwal::SyncMode;

use super::make::{FLOOR_LEN, pick, random_choice, random_len, random_setup};
use super::{End, Generation, Mishap, Refusal, Script};
use crate::faults::Repeat;
use crate::random::SplitMix64;
use crate::world::{Call, Setup};

/// What does not outlive a power cut by itself.
const LOOSE: [(&str, SyncMode); 2] = [("", SyncMode::Async), ("", SyncMode::BatchOnly)];

/// After a fault so often.
const REPEATS: [(&str, Repeat); 4] =
    [("", Repeat::Once), ("", Repeat::Times(2)), ("", Repeat::Times(8)), ("", Repeat::ForEver)];

fn append(random: &mut SplitMix64, stream: usize) -> Call {
    // A long one would cost much, and is of no use here.
    Call::Append { stream, len: random_len(random).min(900) }
}

fn power_cut(random: &mut SplitMix64) -> End {
    let choice = random_choice(random);
    if random.chance(1, 2) { End::CloseThenCrash(choice) } else { End::Crash(choice) }
}

impl Script {
    /// Files are closed as idle, with much in them since the last floor, and what is not synced behind that.
    pub(super) fn parked(random: &mut SplitMix64) -> Self {
        let setup = Setup {
            mode: pick(random, &LOOSE, SyncMode::Async),
            max_segment_size: 1 << 20,
            max_segment_entries: Setup::DEFAULT.max_segment_entries,
            max_open_segments: 1,
            ..random_setup(random)
        };
        let mut calls = vec![Call::Append { stream: 0, len: FLOOR_LEN }];
        if random.chance(3, 4) {
            calls.push(Call::Sync { stream: 0 });
        }
        for _ in 0..3 + random.below(4) {
            let stream = random.below(2);
            calls.push(append(random, stream));
        }
        let is_cut = random.chance(1, 2);
        let cut = is_cut.then(|| 20 + random.below(20 * calls.len()) as u64);
        let end = End::Crash(random_choice(random));
        Script { generations: vec![Generation { setup, calls, cut, faults: Vec::new(), end }] }
    }

    /// A stream owes what was written to it: its sync fails, and perhaps opening it anew.
    pub(super) fn owing(random: &mut SplitMix64) -> Self {
        let mut setup = random_setup(random);
        setup.mode = pick(random, &LOOSE, SyncMode::Async);
        let mut calls: Vec<_> = (0..=random.below(3))
            .map(|_| {
                let stream = random.below(2);
                append(random, stream)
            })
            .collect();
        calls.push(append(random, 0));
        let all = random.chance(1, 2);
        calls.push(if all { Call::SyncAll } else { Call::Sync { stream: 0 } });
        if random.chance(3, 4) {
            calls.push(Call::Reopen { stream: 0 });
        }
        if random.chance(1, 2) {
            calls.push(Call::SyncAll);
        }
        let refusal = if random.chance(1, 2) { Refusal::Emfile } else { Refusal::Eio };
        let share = if refusal == Refusal::Emfile { 1 } else { 3 };
        let at = (4 + random.below(20)) * share;
        let repeat = pick(random, &REPEATS, Repeat::Once);
        let faults = vec![
            Mishap::SyncKeeps { at: 2 + random.below(5) as u64 },
            Mishap::Refused { refusal, at: at as u64, repeat },
        ];
        let end = power_cut(random);
        Script { generations: vec![Generation { setup, calls, cut: None, faults, end }] }
    }

    /// The root cannot be synced once, and streams are made and deleted nevertheless.
    pub(super) fn unnamed(random: &mut SplitMix64) -> Self {
        let setup = random_setup(random);
        let calls = (0..4 + random.below(6)).map(|_| {
            let stream = random.below(3);
            match random.below(8) {
                0 => Call::Delete { stream },
                1 => Call::SyncAll,
                2 => Call::Reopen { stream },
                _ => append(random, stream),
            }
        });
        let calls = calls.collect();
        let faults = vec![Mishap::RootKeeps { at: random.below(4) as u64 }];
        let end = power_cut(random);
        Script { generations: vec![Generation { setup, calls, cut: None, faults, end }] }
    }

    /// A truncation fails to remove files, or to make that durable, and another comes after it.
    pub(super) fn unremoved(random: &mut SplitMix64) -> Self {
        let setup = random_setup(random);
        let mut appended = 0;
        let mut generation = |random: &mut SplitMix64| {
            let mut calls = Vec::new();
            for _ in 0..=random.below(3) {
                for _ in 0..=random.below(2) {
                    calls.extend([append(random, 0), Call::Rotate { stream: 0 }]);
                    appended += 1;
                }
                let at = appended - random.below(2) as u64;
                // The same once more has nothing to do but what is left of the first.
                let times = if random.chance(2, 3) { 2 } else { 1 };
                calls.extend((0..times).map(|_| Call::Truncate { stream: 0, at }));
            }
            let repeat = pick(random, &REPEATS, Repeat::Once);
            let mishap = if random.chance(1, 2) {
                let at = random.below(3) as u64;
                Mishap::Refused { refusal: Refusal::Eperm, at, repeat }
            } else {
                let at = 3 + random.below(6) as u64;
                Mishap::Refused { refusal: Refusal::EioOfDir, at, repeat: Repeat::Once }
            };
            let end = if random.chance(1, 4) { End::Kill } else { power_cut(random) };
            Generation { setup, calls, cut: None, faults: vec![mishap], end }
        };
        let generations = (0..=random.below(2)).map(|_| generation(random)).collect();
        Script { generations }
    }
}
