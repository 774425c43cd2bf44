//! Random runs over a few streams, with restarts of every kind, against the model.

use std::sync::Arc;

use ironwal::{CompressionType, ReadStrategy, SyncMode, WalOptions};
use ironwal_fuzz::model::Violation;
use ironwal_fuzz::oracle::check_disk;
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};
use ironwal_fuzz::world::{Call, Trouble, World};
use proptest::prelude::*;

/// How a generation ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The log is closed.
    Close,
    /// The log is dropped.
    Drop,
    /// The process is killed.
    Kill,
    /// The power is cut.
    Crash(CrashChoice),
}

/// What happens between two openings.
#[derive(Clone, Debug)]
struct Generation {
    options: WalOptions,
    mode: SyncMode,
    calls: Vec<Call>,
    /// After so many operations the machine does nothing any more.
    stops_after: Option<u64>,
    end: End,
}

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
        1 => (options(), modes())
            .prop_map(|(options, mode)| Call::Reconfigure { options, mode }),
    ]
}

fn modes() -> impl Strategy<Value = SyncMode> {
    prop_oneof![Just(SyncMode::Strict), Just(SyncMode::BatchOnly), Just(SyncMode::Async)]
}

fn options() -> impl Strategy<Value = WalOptions> {
    (
        200..2000_u64,
        prop_oneof![Just(u64::from(u32::MAX)), 1..5_u64],
        prop_oneof![Just(1_u64), Just(100)],
        prop_oneof![Just(ReadStrategy::Mmap), Just(ReadStrategy::StandardIo)],
    )
        .prop_map(|(max_segment_size, max_segment_entries, max_open_segments, strategy)| {
            WalOptions::new()
                .max_segment_size(max_segment_size)
                .max_segment_entries(max_segment_entries)
                .max_open_segments(max_open_segments)
                .read_strategy(strategy)
                .compression(CompressionType::None)
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
        options(),
        modes(),
        proptest::collection::vec(calls(), 1..25),
        proptest::option::weighted(0.7, 0..120_u64),
        ends(),
    )
        .prop_map(|(options, mode, calls, stops_after, end)| Generation {
            options,
            mode,
            calls,
            stops_after,
            end,
        })
}

fn run(generations: &[Generation]) -> Result<(), Violation> {
    let mut disk = SimStorage::new();
    let mut world = World::new(Arc::new(disk.clone()), WalOptions::new(), Trouble::None);
    for generation in generations {
        world.set_options(generation.options.clone());
        world.set_mode(generation.mode);
        if let (Some(count), End::Kill | End::Crash(_)) = (generation.stops_after, generation.end) {
            // Also in the middle of the recovery from the last generation.
            disk.crash_at(disk.operation_count() + count);
            world.set_trouble(Trouble::Expected);
        }
        world.run_on(&disk, &generation.calls)?;
        let left = match generation.end {
            End::Close => {
                world.call(&Call::Close)?;
                continue;
            }
            End::Drop => {
                world.call(&Call::Drop)?;
                continue;
            }
            End::Kill => disk.kill(),
            End::Crash(choice) => {
                world.power_was_cut();
                disk.crash(choice)
            }
        };
        check_disk(&left.kill(), world.model(), world.options())?;
        world.leave(Arc::new(left.clone()));
        world.set_trouble(Trouble::None);
        disk = left;
    }
    world.open()?;
    check_disk(&disk.kill(), world.model(), world.options()).map(drop)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_was_acknowledged_is_there_and_nothing_else(
        generations in proptest::collection::vec(generations(), 1..7),
    ) {
        if let Err(violation) = run(&generations) {
            return Err(TestCaseError::fail(violation.to_string()));
        }
    }
}
