//! What a crash leaves: the choice among the pending operations, and the disk that comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::dir::{NameOp, Namespace, reachable_in};
use super::disk::{Disk, Inode};
use super::file::SimFileState;
use crate::random::SplitMix64;
use crate::reach;
use crate::tally::{self, Group};

/// Which of the pending operations a crash keeps; they are numbered in the order of their calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CrashChoice {
    /// None: only what was synced is there.
    Nothing,
    /// All of them.
    Everything,
    /// This one and no other.
    Only(usize),
    /// Every one but this.
    AllBut(usize),
    /// The first so many.
    Prefix(usize),
    /// Those whose bits are set; what has no bit is lost.
    Subset(u64),
    /// What the numbers that begin with this seed say: of each sector any version, whole or torn,
    /// of each file any of its lengths, and any part of the operations on names. In one seed of
    /// twenty each single byte has a version of its own.
    Seeded(u64),
}

impl CrashChoice {
    fn keeps(self, unit: usize) -> bool {
        match self {
            CrashChoice::Everything => true,
            CrashChoice::Only(only) => unit == only,
            CrashChoice::AllBut(missing) => unit != missing,
            CrashChoice::Prefix(count) => unit < count,
            CrashChoice::Subset(mask) => unit < 64 && mask >> unit & 1 == 1,
            // The seeded choice is not made by unit.
            CrashChoice::Nothing | CrashChoice::Seeded(_) => false,
        }
    }

    /// The choices that are made at every crash point, for so many pending operations: all subsets
    /// if there are at most `max_subset_count`; else nothing, everything, each operation alone
    /// missing, each alone kept, and each prefix.
    #[must_use]
    pub fn systematic(pending_count: usize, max_subset_count: u64) -> Vec<CrashChoice> {
        let subset_count =
            u32::try_from(pending_count).ok().and_then(|bits| 1_u64.checked_shl(bits));
        if let Some(count) = subset_count.filter(|&count| count <= max_subset_count) {
            return (0..count).map(CrashChoice::Subset).collect();
        }
        let mut choices = vec![CrashChoice::Nothing, CrashChoice::Everything];
        choices.extend((0..pending_count).map(CrashChoice::Only));
        choices.extend((0..pending_count).map(CrashChoice::AllBut));
        choices.extend((2..pending_count.saturating_sub(1)).map(CrashChoice::Prefix));
        choices
    }
}

/// The smallest thing that has a version of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Grain {
    Sector,
    Byte,
}

/// How often the newest version is taken, in sixteenths.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaning(usize);

impl Leaning {
    pub(super) fn random(random: &mut SplitMix64) -> Self {
        let leanings = [1, 4, 8, 12, 15];
        Leaning(leanings.get(random.below(leanings.len())).copied().unwrap_or(8))
    }

    /// A version of `count`, of which there must be one at least.
    pub(super) fn version(self, random: &mut SplitMix64, count: usize) -> usize {
        let newest = count.saturating_sub(1);
        if newest == 0 || random.chance(self.0, 16) { newest } else { random.below(newest) }
    }
}

/// One pending operation that a crash can keep or lose.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Name { place: usize },
    File { inode: Inode, place: usize },
}

impl Disk {
    /// The pending operations that can make a difference, in the order of their calls.
    fn units(&self) -> Vec<Unit> {
        let reachable = self.namespace.reachable();
        let mut units = Vec::new();
        for (place, op) in self.namespace.pending().iter().enumerate() {
            if op.touches_any(&reachable) {
                units.push((op.number, Unit::Name { place }));
            }
        }
        for (&inode, file) in self.files.iter().filter(|(inode, _)| reachable.contains(inode)) {
            for (place, pending) in file.pending().iter().enumerate() {
                units.push((pending.number, Unit::File { inode, place }));
            }
        }
        // Stable: the pieces that are left of one write stay in order.
        units.sort_by_key(|&(number, _)| number);
        units.into_iter().map(|(_, unit)| unit).collect()
    }

    pub(super) fn pending_count(&self) -> usize {
        self.units().len()
    }

    /// The pending operations in words, for a report.
    pub(super) fn describe_pending(&self) -> Vec<String> {
        let describe = |unit: &Unit| match *unit {
            Unit::Name { place } => self.namespace.pending().get(place).map(NameOp::describe),
            Unit::File { inode, place } => {
                let pending = self.files.get(&inode).and_then(|file| file.pending().get(place));
                pending.map(|pending| format!("file {}: {}", inode.0, pending.describe()))
            }
        };
        self.units().iter().filter_map(describe).collect()
    }

    /// The disk that a crash leaves.
    pub(super) fn after_crash(&self, choice: CrashChoice) -> Disk {
        match choice {
            CrashChoice::Seeded(seed) => self.after_random_crash(&mut SplitMix64::new(seed)),
            CrashChoice::Nothing
            | CrashChoice::Everything
            | CrashChoice::Only(_)
            | CrashChoice::AllBut(_)
            | CrashChoice::Prefix(_)
            | CrashChoice::Subset(_) => self.after_chosen_crash(choice),
        }
    }

    fn after_chosen_crash(&self, choice: CrashChoice) -> Disk {
        let mut kept_names = Vec::new();
        let mut kept_changes: BTreeMap<Inode, Vec<usize>> = BTreeMap::new();
        for (index, unit) in self.units().into_iter().enumerate() {
            match unit {
                Unit::Name { place } if !choice.keeps(index) => self.note_lost_name(place),
                Unit::File { .. } if !choice.keeps(index) => {}
                Unit::Name { place } => kept_names.push(place),
                Unit::File { inode, place } => kept_changes.entry(inode).or_default().push(place),
            }
        }
        let namespace =
            Namespace::from_durable(self.namespace.image(|place| kept_names.contains(&place)));
        self.restarted(namespace, |inode, file| {
            let kept = kept_changes.get(&inode);
            file.image(|place| kept.is_some_and(|kept| kept.contains(&place)))
        })
    }

    fn after_random_crash(&self, random: &mut SplitMix64) -> Disk {
        let grain = if random.chance(1, 20) { Grain::Byte } else { Grain::Sector };
        let pending_count = self.namespace.pending().len();
        let kept: Vec<bool> = if random.chance(1, 2) {
            let kept_count = random.below(pending_count + 1);
            (0..pending_count).map(|place| place < kept_count).collect()
        } else {
            let leaning = Leaning::random(random);
            (0..pending_count).map(|_| leaning.version(random, 2) == 1).collect()
        };
        let is_kept = |place: usize| kept.get(place).copied().unwrap_or_default();
        (0..pending_count)
            .filter(|&place| !is_kept(place))
            .for_each(|place| self.note_lost_name(place));
        let namespace = Namespace::from_durable(self.namespace.image(is_kept));
        self.restarted(namespace, |_, file| file.random_image(random, grain))
    }

    fn note_lost_name(&self, place: usize) {
        let Some(op) = self.namespace.pending().get(place) else { return };
        let is_file = |target| self.files.contains_key(&target);
        tally::count(
            Group::Reached,
            match op.named() {
                _ if op.is_rename() => reach::LOST_RENAME,
                Some(target) if is_file(target) => reach::LOST_NAME,
                Some(_) => reach::LOST_DIR,
                None => "row 40: a removal was lost",
            },
        );
    }

    /// A disk of those files that have a name in `namespace`, all durable.
    fn restarted(
        &self,
        namespace: Namespace,
        mut image: impl FnMut(Inode, &SimFileState) -> Arc<Vec<u8>>,
    ) -> Disk {
        let reachable = reachable_in(namespace.durable());
        let files = self
            .files
            .iter()
            .filter(|(inode, _)| reachable.contains(inode))
            .map(|(&inode, file)| (inode, SimFileState::from_durable(image(inode, file))))
            .collect();
        Disk {
            files,
            namespace: namespace.restricted_to(&reachable),
            next_inode: self.next_inode,
            next_number: self.next_number,
        }
    }
}
