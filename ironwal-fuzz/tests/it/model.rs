//! Random runs over a few streams, with restarts of every kind, against the model.

use ironwal::{CompressionType, Preallocation, ReadStrategy, SyncMode};
use ironwal_fuzz::script::{Effort, End, Generation, Script};
use ironwal_fuzz::sim_storage::CrashChoice;
use ironwal_fuzz::world::{Call, Setup};
use proptest::prelude::*;

const STREAM_COUNT: usize = 3;

fn lens() -> impl Strategy<Value = usize> {
    // The last makes a floor due when the file is parked.
    prop_oneof![40 => 1..60_usize, 10 => Just(0), 10 => 60..900_usize, 1 => 66_000..66_100_usize]
}

fn calls() -> impl Strategy<Value = Call> {
    let streams = 0..STREAM_COUNT;
    prop_oneof![
        8 => (streams.clone(), lens()).prop_map(|(stream, len)| Call::Append { stream, len }),
        4 => (streams.clone(), proptest::collection::vec(lens(), 0..6))
            .prop_map(|(stream, lens)| Call::Batch { stream, lens }),
        2 => (streams.clone(), any::<u64>()).prop_map(|(stream, at)| Call::Get { stream, at }),
        2 => (streams.clone(), any::<u64>())
            .prop_map(|(stream, from)| Call::Iterate { stream, from }),
        1 => Just(Call::Close),
        1 => Just(Call::Drop),
        1 => streams.clone().prop_map(|stream| Call::Reopen { stream }),
        2 => streams.clone().prop_map(|stream| Call::Sync { stream }),
        1 => Just(Call::SyncAll),
        2 => streams.clone().prop_map(|stream| Call::Rotate { stream }),
        2 => (streams.clone(), any::<u64>())
            .prop_map(|(stream, at)| Call::Truncate { stream, at }),
        1 => streams.prop_map(|stream| Call::Delete { stream }),
        1 => setups().prop_map(Call::Reconfigure),
    ]
}

fn setups() -> impl Strategy<Value = Setup> {
    const MODES: [SyncMode; 3] = [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async];
    const SPACES: [Preallocation; 3] =
        [Preallocation::Reserve, Preallocation::Zeros, Preallocation::Off];
    (
        200..2000_u64,
        prop_oneof![Just(u64::from(u32::MAX)), 1..5_u64],
        prop_oneof![Just(1_u64), Just(100)],
        prop_oneof![Just(ReadStrategy::Mmap), Just(ReadStrategy::StandardIo)],
        proptest::sample::select(&MODES),
        proptest::sample::select(&SPACES),
        prop_oneof![Just(CompressionType::None), Just(CompressionType::Lz4)],
    )
        .prop_map(|(size, entries, open, reads, mode, space, compression)| Setup {
            mode,
            max_segment_size: size,
            max_segment_entries: entries,
            max_open_segments: open,
            reads,
            compression,
            space,
            ..Setup::DEFAULT
        })
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        1 => Just(End::Close),
        1 => Just(End::Drop),
        2 => Just(End::Kill),
        1 => Just(End::Crash(CrashChoice::Nothing)),
        1 => Just(End::Crash(CrashChoice::Everything)),
        1 => (0..12_usize).prop_map(|unit| End::Crash(CrashChoice::Only(unit))),
        1 => (0..12_usize).prop_map(|unit| End::Crash(CrashChoice::AllBut(unit))),
        6 => any::<u64>().prop_map(|seed| End::Crash(CrashChoice::Seeded(seed))),
    ]
}

fn generations() -> impl Strategy<Value = Generation> {
    (
        setups(),
        proptest::collection::vec(calls(), 1..25),
        proptest::option::weighted(0.7, 0..120_u64),
        ends(),
    )
        .prop_map(|(setup, calls, cut, end)| Generation {
            setup,
            calls,
            cut,
            faults: Vec::new(),
            end,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_was_acknowledged_is_there_and_nothing_else(
        generations in proptest::collection::vec(generations(), 1..7),
    ) {
        let script = Script { generations };
        if let Err(failure) = script.run(Effort::NONE) {
            return Err(TestCaseError::fail(failure.to_string()));
        }
    }
}
