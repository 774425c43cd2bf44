//! What frames and marks say is durable, against what the disk knows was synced (I17), in each mode.

use std::collections::BTreeMap;
use std::sync::Arc;

use ironwal::{CompressionType, Preallocation, SyncMode, WalOptions};
use ironwal_format::names::SEGMENT_SUFFIX;
use ironwal_fuzz::host::CountingHost;
use ironwal_fuzz::oracle::{check_readers, open};
use ironwal_fuzz::random::SplitMix64;
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};
use ironwal_fuzz::world::{Call, Trouble, World};
use ironwal_segment::storage::StoragePath;

const SEAL: u8 = 2;

/// Without reserved space, so that the length of a file that is durable is what was synced of it.
fn options() -> WalOptions {
    WalOptions::new()
        .preallocation(Preallocation::Off)
        .compression(CompressionType::None)
        .max_segment_entries(4)
        .max_open_segments(1)
}

fn call(random: &mut SplitMix64, mode: SyncMode) -> Call {
    let stream = random.below(2);
    match random.below(16) {
        0..8 => Call::Append { stream, len: 10 + random.below(40) },
        8 | 9 => Call::Batch { stream, lens: vec![10; 1 + random.below(3)] },
        10 => Call::Sync { stream },
        11 => Call::SyncAll,
        12 => Call::Rotate { stream },
        13 => Call::Truncate { stream, at: random.next_u64() },
        14 => Call::Delete { stream },
        _ => Call::Reconfigure { options: options(), mode },
    }
}

fn segments(disk: &SimStorage) -> BTreeMap<String, Vec<u8>> {
    let contents = disk.contents().into_iter();
    contents.filter(|(path, _)| path.ends_with(SEGMENT_SUFFIX) && !path.starts_with('.')).collect()
}

/// Each frame: its offset, its kind, and the synced length that it holds.
fn frames(bytes: &[u8]) -> Vec<(usize, u8, u64)> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut frames) = (0, Vec::new());
    while bytes.len() >= at + 32 && bytes[at] == 0xA7 {
        frames.push((at, bytes[at + 1] & 15, u64::from(number(at + 28))));
        at += 32 + usize::try_from(number(at + 20)).unwrap().next_multiple_of(8);
    }
    frames
}

fn synced_len(disk: &SimStorage, path: &str) -> u64 {
    let (dir, name) = path.split_once('/').unwrap();
    disk.synced_len(StoragePath::new(dir).join(name)).unwrap_or_default()
}

/// How many frames were compared that claim something, and how many that claim nothing.
fn run(seed: u64) -> (usize, usize) {
    let mut random = SplitMix64::new(seed);
    let modes = [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async];
    let disk = SimStorage::new();
    let mut world = World::new(Arc::new(disk.clone()), options(), Trouble::None)
        .in_mode(modes[random.below(3)]);
    let (mut claiming, mut silent) = (0, 0);
    for _ in 0..40 {
        let before: BTreeMap<_, _> = segments(&disk)
            .into_iter()
            .map(|(path, bytes)| (path.clone(), (bytes.len(), synced_len(&disk, &path))))
            .collect();
        let mode = modes[random.below(3)];
        let call = call(&mut random, mode);
        world.call(&call).unwrap_or_else(|violation| panic!("{seed} {call:?}: {violation}"));
        for (path, bytes) in segments(&disk) {
            let frames = frames(&bytes);
            // A stream is made with the header of its first segment synced.
            let is_made = path.contains("-0000000000.");
            let header_len = frames.get(1).filter(|_| is_made).map_or(0, |(at, ..)| *at as u64);
            let (len, synced) = before.get(&path).copied().unwrap_or((0, header_len));
            for (offset, kind, claimed) in frames {
                if offset < len.max(1) {
                    continue;
                }
                // What a rotation has to wait for is synced before the seal is written.
                let is_right = claimed == synced || kind == SEAL && claimed == offset as u64;
                assert!(is_right, "{seed} {call:?}: {path} {offset}: {claimed}, not {synced}");
                *(if claimed > 0 { &mut claiming } else { &mut silent }) += 1;
            }
        }
        let wal = world.wal().unwrap();
        check_readers(wal, world.model()).unwrap();
        let cut = Arc::new(disk.crash(CrashChoice::Nothing));
        let after = open(cut, &CountingHost::starting_at(1 << 40), &options()).unwrap();
        for key in world.model().keys() {
            let (durable, left) = (wal.durable_seq(key).unwrap(), after.next_seq(key).unwrap());
            assert_eq!(
                durable, left,
                "{seed} {call:?}: of {key} that is durable, and this is left"
            );
        }
    }
    (claiming, silent)
}

#[test]
fn frames_and_marks_claim_what_returned_syncs_cover_and_no_less() {
    let counts: Vec<_> = (0..300).map(run).collect();
    let claiming: usize = counts.iter().map(|(claiming, _)| claiming).sum();
    let silent: usize = counts.iter().map(|(_, silent)| silent).sum();
    println!("{claiming} frames claim something, {silent} nothing");
    assert!(claiming > 1000 && silent > 100);
}
