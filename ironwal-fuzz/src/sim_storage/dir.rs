//! What the simulated directories hold: on the disk, in the cache, and on the way from here to there.
//!
//! An operation on names is a few assignments, name to file or to nothing, that a crash keeps together.
//! A file or directory has one name at most, whichever operations are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::SyncFailure;
use super::disk::{Changed, Inode, Stage};

/// The names in each directory.
pub(super) type Tables = BTreeMap<Inode, BTreeMap<String, Inode>>;

/// All directories: `cached` is `durable` with every pending operation done.
#[derive(Clone, Debug)]
pub(super) struct Namespace {
    durable: Tables,
    cached: Tables,
    pending: Vec<NameOp>,
}

/// An operation on names that is in the cache and that no sync has made durable.
#[derive(Clone, Debug)]
pub(super) struct NameOp {
    /// Its place in the order of all changes to the disk.
    pub(super) number: u64,
    pub(super) stage: Stage,
    assignments: Vec<Assignment>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Assignment {
    pub(super) dir: Inode,
    pub(super) name: String,
    pub(super) target: Option<Inode>,
}

impl Namespace {
    /// Directories of which everything is durable.
    pub(super) fn from_durable(tables: Tables) -> Self {
        Namespace { durable: tables.clone(), cached: tables, pending: Vec::new() }
    }

    /// All that is durable.
    pub(super) fn durable(&self) -> &Tables {
        &self.durable
    }

    /// Without the directories that are not among these.
    pub(super) fn restricted_to(mut self, kept: &BTreeSet<Inode>) -> Self {
        self.durable.retain(|dir, _| kept.contains(dir));
        self.cached.retain(|dir, _| kept.contains(dir));
        self
    }

    /// Makes an empty directory without a name.
    pub(super) fn add_dir(&mut self, dir: Inode) {
        self.durable.insert(dir, BTreeMap::new());
        self.cached.insert(dir, BTreeMap::new());
    }

    /// The names in `dir` as calls see them, or `None` for what is no directory.
    pub(super) fn names(&self, dir: Inode) -> Option<&BTreeMap<String, Inode>> {
        self.cached.get(&dir)
    }

    pub(super) fn pending(&self) -> &[NameOp] {
        &self.pending
    }

    /// Does an operation, in the cache.
    pub(super) fn assign(&mut self, number: u64, assignments: Vec<Assignment>) {
        let op = NameOp { number, stage: Stage::Dirty, assignments };
        op.apply(&mut self.cached);
        self.pending.push(op);
    }

    /// Makes durable what is dirty in `dir`, with those halves of renames that are elsewhere.
    pub(super) fn sync(&mut self, dir: Inode) -> Changed {
        let (dirty, rest): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|op| op.stage == Stage::Dirty && op.touches(dir));
        self.pending = rest;
        for op in &dirty {
            op.apply(&mut self.durable);
            for older in self.pending.iter_mut().filter(|older| older.number < op.number) {
                older.assignments.retain(|old| !op.hides(old));
            }
        }
        self.pending.retain(|op| !op.assignments.is_empty());
        if dirty.is_empty() { Changed::No } else { Changed::Yes }
    }

    /// What a sync of `dir` leaves that reports an error.
    pub(super) fn fail_sync(&mut self, dir: Inode, failure: SyncFailure) -> Changed {
        if !self.pending.iter().any(|op| op.touches(dir)) {
            return Changed::No;
        }
        match failure {
            SyncFailure::KeepCache | SyncFailure::KeepNames => {
                let is_kept = failure == SyncFailure::KeepCache;
                let stage = if is_kept { Stage::Lost } else { Stage::Held };
                for op in self.pending.iter_mut().filter(|op| op.touches(dir)) {
                    op.stage = stage;
                }
            }
            SyncFailure::DropCache => {
                self.pending.retain(|op| !op.touches(dir));
                self.cached.clone_from(&self.durable);
                for op in &self.pending {
                    op.apply(&mut self.cached);
                }
            }
        }
        Changed::Yes
    }

    /// Whoever opens the log now has no success told that was none.
    pub(super) fn let_go(&mut self) {
        for op in self.pending.iter_mut().filter(|op| op.stage == Stage::Held) {
            op.stage = Stage::Dirty;
        }
    }

    /// The directories with those of the pending operations that `is_kept` names by their place.
    pub(super) fn image(&self, is_kept: impl Fn(usize) -> bool) -> Tables {
        let mut tables = self.durable.clone();
        for (place, op) in self.pending.iter().enumerate() {
            if is_kept(place) {
                op.apply(&mut tables);
            }
        }
        tables
    }

    /// What a crash may leave under some name: all that a durable or pending name leads to.
    pub(super) fn reachable(&self) -> BTreeSet<Inode> {
        let mut links = self.durable.clone();
        for assignment in self.pending.iter().flat_map(|op| &op.assignments) {
            if let Some(target) = assignment.target {
                // Under a name that no entry has: what the entry leads to is reachable as well.
                let name = format!("/{}", target.0);
                links.entry(assignment.dir).or_default().insert(name, target);
            }
        }
        reachable_in(&links)
    }
}

impl NameOp {
    pub(super) fn is_rename(&self) -> bool {
        self.assignments.len() > 1
    }

    /// What it gives a name, if it does.
    pub(super) fn named(&self) -> Option<Inode> {
        self.assignments.iter().find_map(|assignment| assignment.target)
    }

    pub(super) fn touches(&self, dir: Inode) -> bool {
        self.assignments.iter().any(|assignment| assignment.dir == dir)
    }

    pub(super) fn touches_any(&self, dirs: &BTreeSet<Inode>) -> bool {
        self.assignments.iter().any(|assignment| dirs.contains(&assignment.dir))
    }

    /// What it does, in words for a report.
    pub(super) fn describe(&self) -> String {
        let mut words = Vec::new();
        for Assignment { dir, name, target } in &self.assignments {
            words.push(match target {
                Some(target) => format!("directory {}: {name} is {}", dir.0, target.0),
                None => format!("directory {}: {name} is gone", dir.0),
            });
        }
        let lost = match self.stage {
            Stage::Dirty => "",
            Stage::Lost => " (lost by a failed sync)",
            Stage::Held => " (held by a failed sync)",
        };
        words.join(", ") + lost
    }

    fn hides(&self, older: &Assignment) -> bool {
        self.assignments.iter().any(|new| new.dir == older.dir && new.name == older.name)
    }

    fn apply(&self, tables: &mut Tables) {
        for Assignment { dir, name, target } in &self.assignments {
            match target {
                None => {
                    if let Some(names) = tables.get_mut(dir) {
                        names.remove(name);
                    }
                }
                Some(target) => {
                    if self.assignments.len() > 1 {
                        // A rename. If the crash lost how the old name came to be, another one
                        // may still be there.
                        for names in tables.values_mut() {
                            names.retain(|_, other| other != target);
                        }
                    }
                    tables.entry(*dir).or_default().insert(name.clone(), *target);
                }
            }
        }
    }
}

/// What the names in `tables` lead to, from the root on.
pub(super) fn reachable_in(tables: &Tables) -> BTreeSet<Inode> {
    let mut reached = BTreeSet::from([Inode::ROOT]);
    let mut to_visit = vec![Inode::ROOT];
    while let Some(dir) = to_visit.pop() {
        for target in tables.get(&dir).into_iter().flat_map(BTreeMap::values) {
            if reached.insert(*target) {
                to_visit.push(*target);
            }
        }
    }
    reached
}
