//! The log that is damaged: how it is made, and what is kept of the way there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ironwal::WalOptions;
use ironwal_segment::storage::StoragePath;

use super::parse::{Files, Segment, Stream, stream};
use crate::campaign::Failure;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::script::{End, Generation, Script, Size};
use crate::sim_storage::{CrashChoice, SimStorage};
use crate::tally;
use crate::world::{Call, Setup, Trouble, World};

/// A stream, and what was issued to it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) stream: Stream,
    /// All entries, those that were truncated too.
    pub(super) entries: Vec<Bytes>,
}

/// A log that is whole.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) script: Script,
    pub(super) disk: SimStorage,
    pub(super) files: Files,
    pub(super) options: WalOptions,
    pub(super) lives: Vec<Life>,
    /// The files at moments of the last generation, in order.
    pub(super) earlier: Vec<Files>,
    /// The files right before a stream was deleted.
    pub(super) buried: Vec<Files>,
}

fn call(random: &mut SplitMix64, streams: usize) -> Call {
    let stream = random.below(streams);
    let len = |random: &mut SplitMix64| match random.below(10) {
        0 => 0,
        1..8 => 1 + random.below(60),
        _ => 60 + random.below(500),
    };
    match random.below(32) {
        0..15 => Call::Append { stream, len: len(random) },
        15..21 => {
            let count = 1 + random.below(4);
            Call::Batch { stream, lens: (0..count).map(|_| len(random)).collect() }
        }
        21..24 => Call::Sync { stream },
        24 => Call::SyncAll,
        25 | 26 => Call::Rotate { stream },
        27 => Call::Truncate { stream, at: random.next_u64() },
        28 => Call::Delete { stream },
        29 => Call::Reopen { stream },
        30 => Call::Close,
        _ => Call::Drop,
    }
}

fn script(seed: u64, random: &mut SplitMix64) -> Script {
    let setups = Script::seeded(seed, Size::Short).generations.into_iter().map(|made| made.setup);
    let streams = 1 + random.below(3);
    let generations = setups.take(2).map(|setup| {
        let setup = Setup { max_segment_size: setup.max_segment_size + 200, ..setup };
        let count = 2 + random.below(24);
        let calls = (0..count).map(|_| call(random, streams)).collect();
        let end = match random.below(6) {
            0 | 1 => End::Close,
            2 => End::Drop,
            3 | 4 => End::Kill,
            _ => End::Crash(CrashChoice::Seeded(random.next_u64())),
        };
        Generation { setup, calls, cut: None, faults: Vec::new(), end }
    });
    Script { generations: generations.collect() }
}

/// How many entries were durable when each entry was issued.
type Claims = BTreeMap<String, Vec<u64>>;

/// Makes the log of a seed.
pub(super) fn make(seed: u64, random: &mut SplitMix64) -> Result<Made, Failure> {
    let script = script(seed, random);
    let failed = |violation| Failure { violation, story: script.to_string() };
    let mut making = Making {
        disk: SimStorage::new(),
        claims: Claims::new(),
        earlier: Vec::new(),
        buried: Vec::new(),
    };
    let options = Setup::DEFAULT.options();
    let mut world = World::new(Arc::new(making.disk.clone()), options, Trouble::None);
    let mut is_closed = false;
    for generation in &script.generations {
        making.earlier.clear();
        is_closed = generation.end == End::Close;
        making.generation(generation, &mut world, random).map_err(failed)?;
    }
    let options = world.options().clone();
    let model = world.model().clone();
    if is_closed && let Some(wal) = world.wal() {
        // `World` opens a log again that it has closed.
        let wal = wal.clone();
        wal.close().map_err(|error| failed(Violation::new(Invariant::I11, error.to_string())))?;
    }
    let disk = making.disk.kill();
    let files = disk.contents();
    drop(world);
    let mut lives = Vec::new();
    for key in model.keys().filter(|key| !model.is_deleted(key)) {
        let Some(stream) = stream(&files, key) else { continue };
        let entries: Vec<_> = model.history(key).committed().cloned().collect();
        let next = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if stream.entries.end != next {
            let what = format!("{key}: the files end before {}, not {next}", stream.entries.end);
            return Err(failed(Violation::new(Invariant::I1, what)));
        }
        making.check_claims(&stream).map_err(failed)?;
        lives.push(Life { stream, entries });
    }
    let Making { earlier, buried, .. } = making;
    Ok(Made { script, disk, files, options, lives, earlier, buried })
}

/// How many entries of each stream are durable.
fn durable(world: &World) -> BTreeMap<String, u64> {
    let keys = world.model().keys();
    keys.map(|key| (key.to_owned(), world.model().durable_count(key))).collect()
}

struct Making {
    disk: SimStorage,
    claims: Claims,
    earlier: Vec<Files>,
    buried: Vec<Files>,
}

impl Making {
    fn generation(
        &mut self,
        generation: &Generation,
        world: &mut World,
        random: &mut SplitMix64,
    ) -> Result<(), Violation> {
        world.set_up(generation.setup);
        for call in &generation.calls {
            world.open()?;
            let durable = durable(world);
            if matches!(call, Call::Delete { .. }) {
                self.buried.push(self.disk.contents());
            }
            world.call(call)?;
            self.note_issued(world, &durable);
            if random.chance(1, 3) {
                self.earlier.push(self.disk.contents());
            }
        }
        match generation.end {
            End::Close => world.call(&Call::Close)?,
            End::Drop => world.call(&Call::Drop)?,
            End::Kill => {}
            End::CloseThenCrash(choice) | End::Crash(choice) => {
                if let End::CloseThenCrash(_) = generation.end {
                    world.shut_down()?;
                }
                world.power_was_cut();
                let left = self.disk.crash(choice);
                world.leave(Arc::new(left.clone()));
                self.disk = left;
                // What is there now may never have been on the disk together before.
                self.earlier.clear();
            }
        }
        world.open()?;
        self.note_issued(world, &BTreeMap::new());
        Ok(())
    }

    /// Entries that are new were issued when so many were durable; of those that are gone, nothing is kept.
    fn note_issued(&mut self, world: &World, durable: &BTreeMap<String, u64>) {
        for key in world.model().keys() {
            let issued = world.model().history(key).issued().count();
            let durable = durable.get(key).copied().unwrap_or_default();
            self.claims.entry(key.to_owned()).or_default().resize(issued, durable);
        }
    }

    /// What the log says was synced is what was: no more than the disk knows of, and no less than what had
    /// been acknowledged as durable when a frame was issued.
    fn check_claims(&self, stream: &Stream) -> Result<(), Violation> {
        for segment in &stream.segments {
            let Some((dir, name)) = segment.path.split_once('/') else { continue };
            let synced = self.disk.synced_len(StoragePath::new(dir).join(name)).unwrap_or_default();
            let floor = stream.floor.filter(|(ordinal, _)| *ordinal == segment.ordinal);
            let floor = floor.map(|(_, told)| told.len);
            let claims = segment.frames.iter().map(|frame| frame.synced).chain(floor);
            if let Some(claim) = claims.max().filter(|claim| *claim > synced) {
                let what =
                    format!("{}: {claim} of {synced} synced bytes are claimed", segment.path);
                return Err(Violation::new(Invariant::I17, what));
            }
            self.check_own_claims(&stream.key, segment)?;
        }
        tally::checked(Invariant::I17);
        Ok(())
    }
    fn check_own_claims(&self, key: &str, segment: &Segment) -> Result<(), Violation> {
        let claims = self.claims.get(key).map(Vec::as_slice).unwrap_or_default();
        for frame in segment.frames.iter().filter(|frame| !frame.entries.is_empty()) {
            let at = usize::try_from(frame.entries.start).unwrap_or(usize::MAX);
            let durable = claims.get(at).copied().unwrap_or_default();
            let covered = segment
                .frames
                .iter()
                .rfind(|covered| covered.entries.end <= durable && !covered.entries.is_empty());
            let covered = covered.map_or(0, |covered| covered.at.end);
            if frame.synced < u64::try_from(covered).unwrap_or(u64::MAX) {
                let what = format!(
                    "{} {}: {} bytes are said to be synced, but {covered} were acknowledged",
                    segment.path, frame.at.start, frame.synced
                );
                return Err(Violation::new(Invariant::I14, what));
            }
        }
        Ok(())
    }
}
