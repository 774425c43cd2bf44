//! Any bytes as lives of a log, against the model.

use ironwal::{CompressionType, ReadStrategy, SyncMode};

use super::input::Input;
use crate::script::{Effort, End, Generation, Script};
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

const STREAM_COUNT: usize = 3;

/// How many generations one input has at most, and how many calls each.
const MAX_GENERATIONS: usize = 5;
const MAX_CALLS: usize = 24;

/// Generations one behind the other.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut generations = Vec::new();
    while !input.is_empty() && generations.len() < MAX_GENERATIONS {
        generations.push(generation(&mut input));
    }
    if let Err(failure) = (Script { generations }).run(Effort::NONE) {
        panic!("{failure}");
    }
}

fn generation(input: &mut Input<'_>) -> Generation {
    let setup = setup(input);
    let cut = match input.byte() {
        0..64 => None,
        count => Some(u64::from(count - 64)),
    };
    let end = end(input);
    let count = 1 + input.below(MAX_CALLS);
    let calls = (0..count).map_while(|_| (!input.is_empty()).then(|| call(input))).collect();
    Generation { setup, calls, cut, faults: Vec::new(), end }
}

fn setup(input: &mut Input<'_>) -> Setup {
    let switches = input.switches();
    let max_segment_entries =
        if switches.is_on(0) { Setup::DEFAULT.max_segment_entries } else { 3 };
    let compression = if switches.is_on(3) { CompressionType::Lz4 } else { CompressionType::None };
    Setup {
        max_segment_size: 200 + 8 * u64::from(input.byte()),
        max_segment_entries,
        max_open_segments: if switches.is_on(4) { 1 } else { 100 },
        reads: if switches.is_on(1) { ReadStrategy::Mmap } else { ReadStrategy::StandardIo },
        compression,
        mode: input.choice([SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async]),
        ..Setup::DEFAULT
    }
}

fn end(input: &mut Input<'_>) -> End {
    match input.byte() % 10 {
        0 => End::Close,
        1 => End::Drop,
        2 => End::Kill,
        3 => End::Crash(CrashChoice::Nothing),
        4 => End::Crash(CrashChoice::Everything),
        5 => End::Crash(CrashChoice::Only(input.below(12))),
        6 => End::Crash(CrashChoice::AllBut(input.below(12))),
        7 => End::Crash(CrashChoice::Prefix(input.below(12))),
        8 => End::Crash(CrashChoice::Subset(u64::from(input.u32()))),
        _ => End::Crash(CrashChoice::Seeded(u64::from(input.u16()))),
    }
}

fn len(input: &mut Input<'_>) -> usize {
    match input.byte() {
        // This makes a floor due when the file is parked.
        u8::MAX => 66_000,
        byte @ 200.. => 60 + 15 * usize::from(byte - 200),
        byte => usize::from(byte / 3),
    }
}

fn call(input: &mut Input<'_>) -> Call {
    let kind = input.byte();
    let stream = usize::from(kind >> 4) % STREAM_COUNT;
    match kind & 15 {
        0..=2 => Call::Append { stream, len: len(input) },
        3 | 4 => {
            let count = input.below(6);
            Call::Batch { stream, lens: (0..count).map(|_| len(input)).collect() }
        }
        5 => Call::Get { stream, at: u64::from(input.byte()) },
        6 => Call::Iterate { stream, from: u64::from(input.byte()) },
        7 => Call::Close,
        8 => Call::Drop,
        9 => Call::Reopen { stream },
        10 => Call::Sync { stream },
        11 => Call::SyncAll,
        12 => Call::Rotate { stream },
        13 => Call::Truncate { stream, at: u64::from(input.byte()) },
        14 => Call::Delete { stream },
        _ => Call::Reconfigure(setup(input)),
    }
}
