//! The script of a seed.

use ironwal::SyncMode;

use super::print::{LZ4, MODES, POLICIES, READS, SPACES};
use super::{End, Generation, Mishap, Script};
use crate::random::SplitMix64;
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

/// How much a script does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Size {
    /// A few calls over one or two streams, in up to three generations.
    Short,
    /// Up to 200 calls over four streams, in up to eight generations.
    Long,
}

/// So long that the sync of an entry makes a floor due when its file is closed as idle.
pub(super) const FLOOR_LEN: usize = 66_000;

/// Longer than what an iterator reads at a time.
const VAST_LEN: usize = 150_000;

/// The seeds, of sixteen, whose scripts write much.
const FAT: u64 = 5;

/// The seeds, of sixteen, in whose scripts others use the directories of the log.
const VISITED: u64 = 9;

/// The seeds, of sixteen, in whose scripts files cannot be cut, where the machine fails.
const UNCUT: u64 = 13;

/// The seeds, of 128, whose scripts close idle files that hold much.
const PARKED: u64 = 41;

/// The seeds, of 32, of troubled scripts that are made for one kind of trouble.
const OWING: u64 = 9;
const UNNAMED: u64 = 19;
const UNREMOVED: [u64; 2] = [11, 27];

impl Script {
    /// The script of a seed.
    #[must_use]
    pub fn seeded(seed: u64, size: Size) -> Self {
        let mut random = SplitMix64::new(seed);
        let random = &mut random;
        if size == Size::Short && seed % 128 == PARKED {
            return Self::parked(random);
        }
        let (streams, max_generations, max_calls) = match size {
            Size::Short => (1 + random.below(2), 3, 12),
            Size::Long => (1 + random.below(4), 8, 200),
        };
        let generation_count = 1 + random.below(max_generations);
        // Most are far shorter than the longest.
        let call_count = 1 + random.below(1 + random.clone().below(max_calls));
        let mood = if random.chance(1, 4) { Mood::Removing } else { Mood::Any };
        let mut setup = random_setup(random);
        let generations = (0..generation_count)
            .map(|_| {
                if random.chance(1, 3) {
                    setup = random_setup(random);
                }
                let calls = random.below(2 * call_count.div_ceil(generation_count) + 1);
                let calls =
                    (0..calls).map(|_| random_call(random, streams, mood)).collect::<Vec<_>>();
                let end = random_end(random);
                let span = 20 + 16 * calls.len();
                let is_cut = end.is_sudden() && random.chance(7, 8);
                let cut = is_cut.then(|| random.below(span) as u64);
                Generation { setup, calls, cut, faults: Vec::new(), end }
            })
            .collect();
        let mut script = Script { generations };
        if seed % 16 == FAT {
            script.fatten(!seed);
        }
        if seed % 16 == VISITED {
            script.visited(!seed);
        }
        script
    }

    /// Makes segments so long that they have several points to look entries up by, and some frames longer
    /// than what is read at a time.
    fn fatten(&mut self, seed: u64) {
        // Other numbers than those that made the script.
        let mut random = SplitMix64::new(seed);
        let fatten = |random: &mut SplitMix64, len: &mut usize| match random.below(24) {
            0 => *len = VAST_LEN + random.below(100),
            1..12 => *len += random.below(3000),
            _ => {}
        };
        for generation in &mut self.generations {
            generation.setup.max_segment_size *= 16;
            generation.setup.max_segment_entries = Setup::DEFAULT.max_segment_entries;
            for call in &mut generation.calls {
                let is_end = matches!(
                    call,
                    Call::Rotate { .. }
                        | Call::Delete { .. }
                        | Call::Reopen { .. }
                        | Call::Close
                        | Call::Drop
                );
                // Else few segments become long before something ends them.
                if is_end && random.chance(7, 8) {
                    *call = Call::Append { stream: 0, len: 700 };
                }
                if let Call::Append { len, .. } = call {
                    fatten(&mut random, len);
                } else if let Call::Batch { lens, .. } = call {
                    for len in lens {
                        fatten(&mut random, len);
                    }
                }
            }
            // What was written is read while more is.
            let calls = std::mem::take(&mut generation.calls);
            for (number, call) in calls.into_iter().enumerate() {
                generation.calls.push(call);
                if number % 3 == 2 {
                    generation.calls.push(Call::Get { stream: 0, at: random.next_u64() });
                }
            }
        }
    }
}

impl Script {
    /// The script of a seed in which the machine fails, as well as ending anyhow.
    #[must_use]
    pub fn troubled(seed: u64) -> Self {
        // Other numbers than those of the script that is whole.
        let directed = &mut SplitMix64::new(seed.rotate_left(32));
        match seed % 32 {
            OWING => return Self::owing(directed),
            UNNAMED => return Self::unnamed(directed),
            number if UNREMOVED.contains(&number) => return Self::unremoved(directed),
            _ => {}
        }
        let mut script = Self::seeded(seed, Size::Short);
        // Other numbers than those that made the script.
        let mut random = SplitMix64::new(!seed);
        let random = &mut random;
        for generation in &mut script.generations {
            let span = 30 + 20 * generation.calls.len();
            if random.chance(1, 4) {
                continue;
            }
            let count = 1 + random.below(3);
            generation.faults = (0..count).map(|_| Mishap::random(random, span)).collect();
            if random.chance(2, 3) {
                generation.cut = None;
            }
            if random.chance(1, 4) {
                generation.end = pick(random, &ENDS, End::Kill);
            }
        }
        if seed % 16 == UNCUT {
            script.uncut(!seed);
        }
        // A disk that forgets makes the rest of the script pointless: seldom.
        if random.chance(1, 16)
            && let Some(last) = script.generations.last_mut()
        {
            let from = random.below(30 + 8 * last.calls.len()) as u64;
            last.faults = vec![Mishap::Lies { from }];
            last.end = End::Crash(random_choice(random));
        }
        script
    }
}

/// Ends at which nothing is lost, so that what failed is met again.
const ENDS: [(&str, End); 3] = [("", End::Close), ("", End::Drop), ("", End::Kill)];

pub(super) fn pick<T: Copy>(random: &mut SplitMix64, words: &[(&str, T)], default: T) -> T {
    words.get(random.below(words.len())).map_or(default, |(_, value)| *value)
}

pub(super) fn random_setup(random: &mut SplitMix64) -> Setup {
    let default = Setup::DEFAULT;
    let mode =
        if random.chance(1, 3) { SyncMode::Strict } else { pick(random, &MODES, SyncMode::Strict) };
    Setup {
        mode,
        max_segment_size: 200 + random.below(1800) as u64,
        max_segment_entries: match random.below(2) {
            0 => default.max_segment_entries,
            _ => 1 + random.below(5) as u64,
        },
        max_open_segments: if random.chance(1, 2) { 1 } else { default.max_open_segments },
        reads: pick(random, &READS, default.reads),
        compression: pick(random, &LZ4, default.compression),
        space: pick(random, &SPACES, default.space),
        policy: pick(random, &POLICIES, default.policy),
    }
}

pub(super) fn random_len(random: &mut SplitMix64) -> usize {
    match random.below(256) {
        0 => FLOOR_LEN + random.below(100),
        1..30 => 0,
        30..70 => 60 + random.below(900),
        _ => 1 + random.below(60),
    }
}

/// What a script does most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Any,
    /// Ends segments and removes them: of random calls few remove anything.
    Removing,
}

fn random_call(random: &mut SplitMix64, streams: usize, mood: Mood) -> Call {
    let stream = random.below(streams);
    if mood == Mood::Removing && random.chance(1, 2) {
        return match random.below(2) {
            0 => Call::Rotate { stream },
            // Mostly as far as there is anything.
            _ => Call::Truncate { stream, at: u64::MAX - random.below(4) as u64 },
        };
    }
    match random.below(32) {
        0..11 => Call::Append { stream, len: random_len(random) },
        11..16 => {
            let count = random.below(6);
            Call::Batch { stream, lens: (0..count).map(|_| random_len(random)).collect() }
        }
        16 => Call::Get { stream, at: random.next_u64() },
        17 => Call::Iterate { stream, from: random.next_u64() },
        18..21 => Call::Sync { stream },
        21 => Call::SyncAll,
        22..25 => Call::Rotate { stream },
        25..28 => Call::Truncate { stream, at: random.next_u64() },
        28 => Call::Delete { stream },
        29 => Call::Reopen { stream },
        30 => Call::Close,
        _ => Call::Drop,
    }
}

fn random_end(random: &mut SplitMix64) -> End {
    match random.below(16) {
        0 => End::Close,
        1 => End::Drop,
        2..5 => End::Kill,
        _ => End::Crash(random_choice(random)),
    }
}

pub(super) fn random_choice(random: &mut SplitMix64) -> CrashChoice {
    match random.below(12) {
        0 => CrashChoice::Nothing,
        1 => CrashChoice::Everything,
        2 => CrashChoice::Only(random.below(12)),
        3 => CrashChoice::AllBut(random.below(12)),
        4 => CrashChoice::Prefix(random.below(12)),
        _ => CrashChoice::Seeded(random.next_u64()),
    }
}
