//! What frames and marks say is durable, against what the disk knows was synced (I17), in each mode.

mod inside;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ironwal::{Preallocation, SyncMode};
use ironwal_format::cast;
use ironwal_format::names::SEGMENT_SUFFIX;
use ironwal_segment::storage::StoragePath;

use super::{Campaign, Failure, Layer};
use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::{check_readers, open, told};
use crate::random::SplitMix64;
use crate::sim_storage::{CrashChoice, SimStorage};
use crate::tally::{self, Group};
use crate::world::{Call, Setup, Trouble, World};

/// Runs of 40 calls, after each of which every claim of a frame and every mark is compared.
#[derive(Debug)]
pub(super) struct Marks;

const CALL_COUNT: usize = 40;

/// What a seal is called in a frame header.
const SEAL: u8 = 2;
const MARKER: u8 = 0xA7;
const HEADER_LEN: usize = 32;

/// Without reserved space, so that the length of a file that is durable is what was synced of it.
const SETUP: Setup = Setup {
    space: Preallocation::Off,
    max_segment_entries: 4,
    max_open_segments: 1,
    ..Setup::DEFAULT
};

const MODES: [SyncMode; 3] = [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async];

/// A frame as its bytes say, read without the code that is tested.
struct Claim {
    offset: usize,
    kind: u8,
    synced_len: u64,
}

/// The length of a file and how much of it is durable, by its path.
type Lengths = BTreeMap<String, (usize, u64)>;

impl Campaign for Marks {
    fn name(&self) -> &'static str {
        "marks"
    }

    fn layer(&self) -> Layer {
        Layer::Facade
    }

    fn about(&self) -> &'static str {
        "what frames and marks claim to be durable, against what the disk has synced"
    }

    fn fixed_count(&self) -> u64 {
        1000
    }

    fn must_reach(&self) -> &'static [&'static str] {
        &[
            "rule: a frame claims what is synced",
            "rule: a frame claims nothing",
            "rule: a mark",
            "rule: a frame is written in the middle of a sync",
        ]
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let mut story = String::new();
        run(case, &mut story).map_err(|violation| Failure { violation, story })?;
        Ok(inside::run(case)?)
    }
}

fn run(seed: u64, story: &mut String) -> Result<(), Violation> {
    let mut random = SplitMix64::new(seed);
    let disk = SimStorage::new();
    let mode = random_mode(&mut random);
    let storage = Arc::new(disk.clone());
    let mut world = World::new(storage, SETUP.options(), Trouble::None).in_mode(mode);
    for _ in 0..CALL_COUNT {
        let before: Lengths = segments(&disk)
            .into_iter()
            .map(|(path, bytes)| {
                let synced = synced_len(&disk, &path);
                (path, (bytes.len(), synced))
            })
            .collect();
        let call = random_call(&mut random);
        writeln!(story, "{call}").unwrap_or_default();
        world.call(&call)?;
        check_claims(&disk, &before)?;
        check_marks(&disk, &world)?;
        tally::checked(Invariant::I17);
    }
    Ok(())
}

fn random_mode(random: &mut SplitMix64) -> SyncMode {
    MODES.get(random.below(MODES.len())).copied().unwrap_or_default()
}

fn random_call(random: &mut SplitMix64) -> Call {
    let mode = random_mode(random);
    let stream = random.below(2);
    match random.below(16) {
        0..8 => Call::Append { stream, len: 10 + random.below(40) },
        8 | 9 => Call::Batch { stream, lens: vec![10; 1 + random.below(3)] },
        10 => Call::Sync { stream },
        11 => Call::SyncAll,
        12 => Call::Rotate { stream },
        13 => Call::Truncate { stream, at: random.next_u64() },
        14 => Call::Delete { stream },
        _ => Call::Reconfigure(Setup { mode, ..SETUP }),
    }
}

fn segments(disk: &SimStorage) -> BTreeMap<String, Vec<u8>> {
    let contents = disk.contents().into_iter();
    contents.filter(|(path, _)| path.ends_with(SEGMENT_SUFFIX) && !path.starts_with('.')).collect()
}

/// Each frame that a file holds, by the marker and the length that its header has.
fn claims(bytes: &[u8]) -> Vec<Claim> {
    let (mut offset, mut claims) = (0, Vec::new());
    while let Some(header) = bytes.get(offset..).and_then(<[u8]>::first_chunk::<HEADER_LEN>) {
        let [marker, kind, ..] = *header;
        if marker != MARKER {
            break;
        }
        let [.., l0, l1, l2, l3, _, _, _, _, s0, s1, s2, s3] = *header;
        let synced_len = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        claims.push(Claim { offset, kind: kind & 15, synced_len });
        let len = cast::usize_from_u32(u32::from_le_bytes([l0, l1, l2, l3]));
        offset += HEADER_LEN + len.next_multiple_of(8);
    }
    claims
}

fn synced_len(disk: &SimStorage, path: &str) -> u64 {
    let Some((dir, name)) = path.split_once('/') else { return 0 };
    disk.synced_len(StoragePath::new(dir).join(name)).unwrap_or_default()
}

/// What was written since claims what was synced by then, neither more nor less.
fn check_claims(disk: &SimStorage, before: &Lengths) -> Result<(), Violation> {
    for (path, bytes) in segments(disk) {
        let claims = claims(&bytes);
        // A stream is made with the header of its first segment synced.
        let is_made = path.contains("-0000000000.");
        let header_len = claims.get(1).filter(|_| is_made).map_or(0, |claim| claim.offset as u64);
        let (len, synced) = before.get(&path).copied().unwrap_or((0, header_len));
        for Claim { offset, kind, synced_len: claimed } in claims {
            if offset < len.max(1) {
                continue;
            }
            // What a rotation has to wait for is synced before the seal is written.
            let is_right = claimed == synced || kind == SEAL && claimed == offset as u64;
            if !is_right {
                let what = format!("{path}: frame {offset} claims {claimed}, not {synced}");
                return Err(Violation::new(Invariant::I17, what));
            }
            let what = match claimed {
                0 => "rule: a frame claims nothing",
                _ => "rule: a frame claims what is synced",
            };
            tally::count(Group::Reached, what);
        }
    }
    Ok(())
}

/// What is said to be durable is what a power cut at this moment leaves.
fn check_marks(disk: &SimStorage, world: &World) -> Result<(), Violation> {
    let Some(wal) = world.wal() else { return Ok(()) };
    check_readers(wal, world.model())?;
    let failed = |error: ironwal::Error| Violation::new(Invariant::I11, told("marks", &error));
    let cut = Arc::new(disk.crash(CrashChoice::Nothing));
    let after = open(cut, &CountingHost::starting_at(1 << 40), &SETUP.options()).map_err(failed)?;
    tally::count(Group::Work, "crash images");
    for key in world.model().keys() {
        let durable = wal.durable_seq(key).map_err(failed)?;
        let left = after.next_seq(key).map_err(failed)?;
        if durable != left {
            let what = format!("{key}: durable before {durable}, but {left} are left");
            return Err(Violation::new(Invariant::I17, what));
        }
        tally::count(Group::Reached, "rule: a mark");
    }
    Ok(())
}
