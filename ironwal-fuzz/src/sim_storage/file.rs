//! What one simulated file holds: on the disk, in the cache, and on the way from here to there.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::SyncFailure;
use super::crash::{Grain, Leaning};
use super::disk::{Changed, Stage};
use crate::random::SplitMix64;
use crate::reach;
use crate::tally::{self, Group};

/// What a disk writes whole, or torn once: nothing smaller is promised by any.
const SECTOR_LEN: usize = 512;

/// The longest file; above it is `FileTooLarge`, so that a wrong length does not take all memory.
const MAX_FILE_LEN: u64 = 1 << 30;

/// A file: `cached` is `durable` with every pending operation done.
#[derive(Clone, Debug, Default)]
pub(super) struct SimFileState {
    durable: Arc<Vec<u8>>,
    cached: Arc<Vec<u8>>,
    pending: Vec<PendingChange>,
}

/// A change that is in the cache and that no sync has made durable.
#[derive(Clone, Debug)]
pub(super) struct PendingChange {
    /// Its place in the order of all changes to the disk.
    pub(super) number: u64,
    pub(super) stage: Stage,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Write {
        start: usize,
        bytes: Vec<u8>,
    },
    SetLen {
        old_len: usize,
        new_len: usize,
    },
    /// Grows the file with zeros.
    Allocate {
        new_len: usize,
    },
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { start, bytes: new } => {
                let end = start + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                let range = bytes.get_mut(*start..end).expect("grown to the end");
                range.copy_from_slice(new);
            }
            Change::SetLen { new_len, .. } => bytes.resize(*new_len, 0),
            Change::Allocate { new_len } => bytes.resize(bytes.len().max(*new_len), 0),
        }
    }

    fn len_after(&self, len: usize) -> usize {
        match self {
            Change::Write { start, bytes } => len.max(start + bytes.len()),
            Change::SetLen { new_len, .. } => *new_len,
            Change::Allocate { new_len } => len.max(*new_len),
        }
    }

    /// The bytes that are other ones afterwards, or may be.
    fn touched(&self) -> Range<usize> {
        match self {
            Change::Write { start, bytes } => *start..start + bytes.len(),
            // What is cut off reads as zeros, should the file grow again.
            Change::SetLen { old_len, new_len } => *new_len..*old_len.max(new_len),
            Change::Allocate { new_len } => *new_len..*new_len,
        }
    }

    /// Does to the part of the file that begins at `base` what this does to the file.
    fn apply_to_part(&self, part: &mut [u8], base: usize) {
        let touched = self.touched();
        let from = touched.start.max(base);
        let until = touched.end.min(base + part.len());
        if from >= until {
            return;
        }
        let target = part.get_mut(from - base..until - base).expect("cut to the part");
        match self {
            Change::Write { start, bytes } => {
                let source = bytes.get(from - start..until - start).expect("cut to the write");
                target.copy_from_slice(source);
            }
            Change::SetLen { .. } | Change::Allocate { .. } => target.fill(0),
        }
    }
}

impl SimFileState {
    /// A file of which everything is durable.
    pub(super) fn from_durable(bytes: Arc<Vec<u8>>) -> Self {
        SimFileState { durable: Arc::clone(&bytes), cached: bytes, pending: Vec::new() }
    }

    pub(super) fn cached(&self) -> &Arc<Vec<u8>> {
        &self.cached
    }

    pub(super) fn durable_len(&self) -> usize {
        self.durable.len()
    }

    pub(super) fn pending(&self) -> &[PendingChange] {
        &self.pending
    }

    pub(super) fn write(&mut self, number: u64, start: u64, bytes: &[u8]) -> io::Result<Changed> {
        if bytes.is_empty() {
            return Ok(Changed::No);
        }
        let start = checked_len(start)?;
        let end = start.saturating_add(bytes.len());
        checked_len(end.try_into().unwrap_or(u64::MAX))?;
        Ok(self.change(number, Change::Write { start, bytes: bytes.to_vec() }))
    }

    pub(super) fn set_len(&mut self, number: u64, len: u64) -> io::Result<Changed> {
        let new_len = checked_len(len)?;
        let old_len = self.cached.len();
        if old_len == new_len {
            return Ok(Changed::No);
        }
        Ok(self.change(number, Change::SetLen { old_len, new_len }))
    }

    pub(super) fn allocate(&mut self, number: u64, len: u64) -> io::Result<Changed> {
        let new_len = checked_len(len)?;
        if new_len <= self.cached.len() {
            return Ok(Changed::No);
        }
        Ok(self.change(number, Change::Allocate { new_len }))
    }

    fn change(&mut self, number: u64, change: Change) -> Changed {
        change.apply(Arc::make_mut(&mut self.cached));
        self.pending.push(PendingChange { number, stage: Stage::Dirty, change });
        Changed::Yes
    }

    /// Makes durable what is dirty. What an earlier sync lost stays as uncertain as it is, where
    /// nothing that is newer and durable hides it.
    pub(super) fn sync(&mut self) -> Changed {
        let (dirty, lost): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|pending| pending.stage == Stage::Dirty);
        self.pending = lost;
        for newer in &dirty {
            newer.change.apply(Arc::make_mut(&mut self.durable));
            if !self.pending.is_empty() {
                let lost = std::mem::take(&mut self.pending);
                self.pending = lost.into_iter().flat_map(|lost| lost.without(newer)).collect();
            }
        }
        if dirty.is_empty() { Changed::No } else { Changed::Yes }
    }

    /// What a sync leaves that reports an error.
    pub(super) fn fail_sync(&mut self, number: u64, failure: SyncFailure) -> Changed {
        if self.pending.is_empty() {
            return Changed::No;
        }
        match failure {
            SyncFailure::KeepCache | SyncFailure::KeepNames => {
                // Lengths are not in the pages that are marked clean: the next sync takes them.
                for pending in &mut self.pending {
                    if matches!(pending.change, Change::Write { .. }) {
                        pending.stage = Stage::Lost;
                    }
                }
            }
            SyncFailure::DropCache => {
                // The bytes are read from the disk again; the length is not the cache's.
                let len = self.cached.len();
                self.pending.clear();
                self.cached = Arc::clone(&self.durable);
                if self.durable.len() != len {
                    let old_len = self.durable.len();
                    let _: Changed = self.change(number, Change::SetLen { old_len, new_len: len });
                }
            }
        }
        Changed::Yes
    }

    /// The file with those of the pending changes that `is_kept` names by their place.
    pub(super) fn image(&self, is_kept: impl Fn(usize) -> bool) -> Arc<Vec<u8>> {
        let mut bytes = Arc::clone(&self.durable);
        for (place, pending) in self.pending.iter().enumerate() {
            if is_kept(place) {
                pending.change.apply(Arc::make_mut(&mut bytes));
            }
        }
        bytes
    }

    /// A file that a crash may leave: each sector in one of its versions, or torn between two, and
    /// one of the lengths that it had since the last sync.
    pub(super) fn random_image(&self, random: &mut SplitMix64, grain: Grain) -> Arc<Vec<u8>> {
        if self.pending.is_empty() {
            return Arc::clone(&self.durable);
        }
        let leaning = Leaning::random(random);
        let mut lens = vec![self.durable.len()];
        let mut len = self.durable.len();
        for pending in &self.pending {
            len = pending.change.len_after(len);
            lens.push(len);
        }
        let longest = lens.iter().copied().max().unwrap_or_default();
        let kept_len = lens.get(leaning.version(random, lens.len())).copied().unwrap_or_default();

        let mut bytes = Vec::clone(&self.durable);
        bytes.resize(longest, 0);
        for (index, sector) in bytes.chunks_mut(SECTOR_LEN).enumerate() {
            let versions = self.versions(sector, index * SECTOR_LEN);
            if versions.len() > 1 {
                choose(sector, &versions, random, (leaning, grain));
            }
        }
        if kept_len < longest {
            tally::count(Group::Reached, reach::DATA_ONLY);
        } else if bytes.get(self.durable.len()..).is_some_and(|new| new.first() == Some(&0)) {
            tally::count(Group::Reached, reach::LEN_ONLY);
        }
        bytes.truncate(kept_len);
        Arc::new(bytes)
    }

    /// What the sector at `base` holds from durable to newest, once for each change to it.
    fn versions(&self, durable: &[u8], base: usize) -> Vec<Vec<u8>> {
        let mut versions = vec![durable.to_vec()];
        let end = base + durable.len();
        for PendingChange { change, .. } in &self.pending {
            let touched = change.touched();
            if touched.start < end && base < touched.end {
                let mut next = versions.last().cloned().unwrap_or_default();
                change.apply_to_part(&mut next, base);
                versions.push(next);
            }
        }
        versions
    }
}

impl PendingChange {
    /// What it does, in words for a report.
    pub(super) fn describe(&self) -> String {
        let lost = match self.stage {
            Stage::Dirty => "",
            Stage::Lost | Stage::Held => " (lost by a failed sync)",
        };
        match &self.change {
            Change::Write { start, bytes } => {
                format!("write {start}..{}{lost}", start + bytes.len())
            }
            Change::SetLen { old_len, new_len } => {
                format!("set length {old_len} to {new_len}{lost}")
            }
            Change::Allocate { new_len } => format!("allocate to {new_len}{lost}"),
        }
    }

    /// What is left of a lost write once `newer` is durable: it must not come up again over that.
    fn without(self, newer: &PendingChange) -> Vec<PendingChange> {
        let Change::Write { start, bytes } = &self.change else { return vec![self] };
        if newer.number < self.number {
            return vec![self];
        }
        let hidden = match &newer.change {
            Change::Write { start, bytes } => *start..start + bytes.len(),
            Change::SetLen { new_len, .. } => *new_len..usize::MAX,
            Change::Allocate { .. } => return vec![self],
        };
        let end = start + bytes.len();
        let piece = |range: Range<usize>| {
            let bytes =
                bytes.get(range.start.checked_sub(*start)?..range.end.checked_sub(*start)?)?;
            (!bytes.is_empty()).then(|| PendingChange {
                change: Change::Write { start: range.start, bytes: bytes.to_vec() },
                ..self.clone()
            })
        };
        let before = piece(*start..end.min(hidden.start));
        let after = piece((*start).max(hidden.end)..end);
        before.into_iter().chain(after).collect()
    }
}

/// Fills a sector from its versions, of which there are at least two.
fn choose(
    sector: &mut [u8],
    versions: &[Vec<u8>],
    random: &mut SplitMix64,
    (leaning, grain): (Leaning, Grain),
) {
    match grain {
        Grain::Byte => {
            for (place, byte) in sector.iter_mut().enumerate() {
                let version = versions.get(leaning.version(random, versions.len()));
                *byte = version.and_then(|version| version.get(place)).copied().unwrap_or_default();
            }
        }
        Grain::Sector => {
            let chosen = leaning.version(random, versions.len());
            let whole = versions.get(chosen).expect("a version is chosen among those there are");
            sector.copy_from_slice(whole);
            let newer_count = versions.len() - 1 - chosen;
            if newer_count > 0 && random.chance(1, 4) {
                let newer = versions.get(chosen + 1 + random.below(newer_count));
                let torn_at = random.below(sector.len() + 1);
                for (byte, new) in sector.iter_mut().zip(newer.into_iter().flatten()).take(torn_at)
                {
                    *byte = *new;
                }
            }
        }
    }
}

fn checked_len(len: u64) -> io::Result<usize> {
    match usize::try_from(len) {
        Ok(checked) if len <= MAX_FILE_LEN => Ok(checked),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    }
}
