//! What a run reached, counted where it happens.
//!
//! Each thread counts for itself; whoever runs cases on a thread takes what they counted. A count is a
//! proof that something was looked at: a run in which one stays at zero that should not has failed.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::invariant::Invariant;

/// What kind of thing is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// Work done: cases, images, recoveries.
    Work,
    /// Something that was made to go wrong, by its kind.
    Fault,
    /// What a recovery or a read said.
    Verdict,
    /// How often an invariant was looked at.
    Checked,
    /// A rule or a row of the failure catalogue that came about.
    Reached,
}

impl Group {
    /// All groups, in the order in which they are shown.
    pub const ALL: [Group; 5] =
        [Group::Work, Group::Fault, Group::Verdict, Group::Checked, Group::Reached];

    /// Its heading.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Work => "work",
            Group::Fault => "faults",
            Group::Verdict => "verdicts",
            Group::Checked => "invariants looked at",
            Group::Reached => "reached",
        }
    }
}

/// Counts by group and name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    counts: BTreeMap<(Group, &'static str), u64>,
}

thread_local! {
    static TALLY: RefCell<Tally> = RefCell::default();
}

impl Tally {
    /// How often this was counted.
    pub fn get(&self, group: Group, what: &str) -> u64 {
        let here = self.counts.iter().find(|((of, name), _)| *of == group && *name == what);
        here.map_or(0, |(_, count)| *count)
    }

    /// The counts of a group, by name.
    pub fn of(&self, group: Group) -> impl Iterator<Item = (&'static str, u64)> {
        let here = self.counts.iter().filter(move |((of, _), _)| *of == group);
        here.map(|((_, what), count)| (*what, *count))
    }

    /// Adds to a count.
    pub fn add(&mut self, group: Group, what: &'static str, count: u64) {
        *self.counts.entry((group, what)).or_default() += count;
    }

    /// Adds all counts of another.
    pub fn absorb(&mut self, other: &Tally) {
        for (&(group, what), count) in &other.counts {
            self.add(group, what, *count);
        }
    }
}

/// Counts one more of `what`, for this thread.
pub fn count(group: Group, what: &'static str) {
    add(group, what, 1);
}

/// Counts so many more of `what`, for this thread.
pub fn add(group: Group, what: &'static str, count: u64) {
    TALLY.with_borrow_mut(|tally| tally.add(group, what, count));
}

/// An invariant was looked at, for whole: had it been broken, that would have been said.
pub fn checked(invariant: Invariant) {
    count(Group::Checked, invariant.name());
}

/// Gives what this thread counted since the last time, and begins anew.
pub fn take() -> Tally {
    TALLY.take()
}
