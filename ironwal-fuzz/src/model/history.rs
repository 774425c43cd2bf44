//! What one life of a stream has to hold.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ironwal::Outcome;

use super::{Found, Frame, Means, Promise, Violation};
use crate::invariant::Invariant;

/// The history of one life of a stream: which frames were issued to it, from number 0 on, and how many of
/// them must be there.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct History {
    pub(super) frames: Vec<Frame>,
    /// So many survive a power cut.
    pub(super) durable_frames: usize,
    /// So many were acknowledged: readers see them, and they outlive the process.
    pub(super) committed_frames: usize,
    /// What was truncated for certain ends here.
    first: u64,
    /// What may have been truncated ends here at the latest.
    first_max: u64,
    /// What a truncation has removed that succeeded ends here: its files are gone, too.
    removed: u64,
    /// Whether a truncation was tried at all: it may take segments that hold nothing.
    was_truncated: bool,
    /// Segments begin with these numbers for certain: a rotation said so.
    bases: BTreeSet<u64>,
    pub(super) state: State,
    /// Entries that must not be seen again, whatever else is.
    gone: Arc<Gone>,
}

/// Entries by the promise that is broken when one of them comes up. An entry that is empty is none of them:
/// all others are different.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Gone {
    /// The caller was told that they are not written.
    refused: BTreeSet<Bytes>,
    /// A recovery did not find them.
    dropped: BTreeSet<Bytes>,
    /// They belong to a life of the stream that was deleted.
    buried: BTreeSet<Bytes>,
}

fn keep_all(set: &mut BTreeSet<Bytes>, entries: &[Bytes]) {
    set.extend(entries.iter().filter(|entry| !entry.is_empty()).cloned());
}

/// What is known of a stream beside its entries.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) enum State {
    #[default]
    Working,
    /// A sync failed, or a write that could not be undone, and the caller was told.
    Fenced,
    /// It was deleted, and nothing was done with it since.
    Deleted,
}

fn entry_count(frame: &Frame) -> u64 {
    frame.iter().map(|_| 1).sum()
}

fn same((issued, found): (&Bytes, &Bytes)) -> bool {
    issued == found
}

fn count_of(frames: &[Frame]) -> u64 {
    frames.iter().map(entry_count).sum()
}

impl History {
    /// Everything that was issued and may be there, in order, with what was truncated.
    pub fn issued(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter().flatten()
    }

    /// Everything that was acknowledged, with what was truncated.
    pub fn committed(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter().take(self.committed_frames).flatten()
    }

    /// The lowest number that the first entry may have.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Whether this may be the number of the first entry.
    pub fn may_start_at(&self, first: u64) -> bool {
        (self.first..=self.first_max).contains(&first)
    }

    pub(super) fn first_max(&self) -> u64 {
        self.first_max
    }

    pub(super) fn removed(&self) -> u64 {
        self.removed
    }

    /// Whether this entry was ever issued under this number, whatever became of it since.
    pub fn may_have_held(&self, seq: u64, entry: &Bytes) -> bool {
        let at = usize::try_from(seq).unwrap_or(usize::MAX);
        let Gone { dropped, buried, .. } = &*self.gone;
        entry.is_empty()
            || self.issued().nth(at) == Some(entry)
            || dropped.contains(entry)
            || buried.contains(entry)
    }

    pub(super) const fn was_truncated(&self) -> bool {
        self.was_truncated
    }

    pub(super) fn issued_count(&self) -> u64 {
        count_of(&self.frames)
    }

    pub(super) fn committed_count(&self) -> u64 {
        count_of(self.frames.get(..self.committed_frames).unwrap_or_default())
    }

    pub(super) fn durable_count(&self) -> u64 {
        count_of(self.frames.get(..self.durable_frames).unwrap_or_default())
    }

    pub(super) fn failed(&mut self, outcome: Outcome) {
        if outcome == Outcome::Unknown {
            self.state = State::Fenced;
        }
    }

    pub(super) fn note(
        &mut self,
        key: &str,
        frame: &Frame,
        answer: &ironwal::Result<Range<u64>>,
        promise: Promise,
    ) -> Result<(), Violation> {
        if self.state == State::Deleted {
            self.state = State::Working;
        }
        match answer {
            Ok(range) => {
                let next = self.issued_count();
                let expected = next..next + entry_count(frame);
                let is_fenced =
                    self.state == State::Fenced || self.committed_frames != self.frames.len();
                self.frames.push(frame.clone());
                self.committed_frames = self.frames.len();
                if promise == Promise::Durable {
                    self.durable_frames = self.frames.len();
                }
                if is_fenced {
                    let what = format!("{key}: {range:?} was acknowledged behind a failed sync");
                    return Err(Violation::new(Invariant::I19, what));
                }
                if *range != expected {
                    let what = format!("{key}: got the numbers {range:?}, not {expected:?}");
                    return Err(Violation::new(Invariant::I4, what));
                }
            }
            Err(error) => {
                self.failed(error.outcome());
                match error.outcome() {
                    Outcome::NotWritten => keep_all(&mut self.gone_mut().refused, frame),
                    Outcome::Unknown => self.frames.push(frame.clone()),
                }
            }
        }
        Ok(())
    }

    pub(super) fn synced(&mut self, key: &str) -> Result<(), Violation> {
        if self.state == State::Fenced {
            let what = format!("{key}: a sync succeeded behind a failed one");
            return Err(Violation::new(Invariant::I19, what));
        }
        self.durable_frames = self.committed_frames;
        Ok(())
    }

    /// A reader showed these as proven durable.
    pub(super) fn proven(&mut self, key: &str, found: &Found) -> Result<(), Violation> {
        let Found { first, entries } = found;
        let skipped = usize::try_from(*first).unwrap_or(usize::MAX);
        let next = first + entry_count(entries);
        if next > self.issued_count() || !self.issued().skip(skipped).zip(entries).all(same) {
            let what = format!("{key}: {next} entries are shown as proven durable, or others");
            return Err(Violation::new(Invariant::I6, what));
        }
        let (mut end, mut shown) = (0, 0);
        for len in self.frames.iter().map(entry_count) {
            if end + len > next {
                break;
            }
            end += len;
            shown += 1;
        }
        if end != next {
            let what =
                format!("{key}: {next} entries are shown as proven durable, part of a batch");
            return Err(Violation::new(Invariant::I3, what));
        }
        self.durable_frames = self.durable_frames.max(shown);
        self.committed_frames = self.committed_frames.max(self.durable_frames);
        Ok(())
    }

    /// A segment begins with this number: the one before it was ended durably.
    pub(super) fn rotated(&mut self, next: u64) {
        self.bases.insert(next);
    }

    pub(super) fn truncated(
        &mut self,
        key: &str,
        seq: u64,
        answer: &ironwal::Result<u64>,
    ) -> Result<(), Violation> {
        self.was_truncated = true;
        let end = seq.min(self.issued_count()).max(self.first);
        // All segments are removed that hold nothing else.
        let least = self.bases.range(..=seq).next_back().copied().unwrap_or(0).max(self.first);
        match answer {
            Ok(first) if (least..=end.max(self.first_max)).contains(first) => {
                self.first = *first;
                self.first_max = *first;
                self.removed = *first;
                Ok(())
            }
            Ok(first) => {
                let what = format!("{key}: truncated below {seq}, and begins with {first}");
                Err(Violation::new(Invariant::I7, what))
            }
            Err(error) => {
                self.failed(error.outcome());
                self.first_max = self.first_max.max(end);
                Ok(())
            }
        }
    }

    fn gone_mut(&mut self) -> &mut Gone {
        Arc::make_mut(&mut self.gone)
    }

    /// The promise that is broken where these entries came up in the place of others, or of none. The first
    /// that is not empty tells: of those that are, any may be meant.
    fn broken_by(&self, entries: &[Bytes]) -> Invariant {
        let Some(entry) = entries.iter().find(|entry| !entry.is_empty()) else {
            return Invariant::I2;
        };
        if self.gone.refused.contains(entry) {
            Invariant::I20
        } else if self.gone.buried.contains(entry) {
            Invariant::I7
        } else if self.gone.dropped.contains(entry) {
            Invariant::I5
        } else if self.issued().any(|issued| issued == entry) {
            Invariant::I2
        } else {
            Invariant::I6
        }
    }

    /// Whether this is not the first life of a stream, and holds anything.
    pub(super) fn is_recreated(&self) -> bool {
        !self.gone.buried.is_empty() && !self.frames.is_empty()
    }

    /// The next life of a stream, after this one was deleted.
    pub(super) fn next_life(&self) -> Self {
        let mut next = History { gone: Arc::clone(&self.gone), ..History::default() };
        let buried: Frame = self.issued().cloned().collect();
        if !buried.is_empty() {
            keep_all(&mut next.gone_mut().buried, &buried);
        }
        next
    }

    pub(super) fn settle(
        &mut self,
        key: &str,
        found: &Found,
        means: Means,
    ) -> Result<(), Violation> {
        let Found { first, entries } = found;
        if !self.may_start_at(*first) {
            let invariant = if *first < self.first { Invariant::I7 } else { Invariant::I1 };
            let (least, most) = (self.first, self.first_max);
            let what = format!("{key}: begins with {first}, not with {least} to {most}");
            return Err(Violation::new(invariant, what));
        }
        for ((seq, issued), found) in
            (0..).zip(self.issued()).filter(|(seq, _)| seq >= first).zip(entries)
        {
            if found != issued {
                let what = format!("{key}: entry {seq} is {found:?}, not {issued:?}");
                let at = usize::try_from(seq - first).unwrap_or_default();
                let rest = entries.get(at..).unwrap_or_default();
                return Err(Violation::new(self.broken_by(rest), what));
            }
        }
        let next = first + entry_count(entries);
        let (committed, issued) = (self.committed_count(), self.issued_count());
        if next > issued {
            let past = usize::try_from(issued.saturating_sub(*first)).unwrap_or(usize::MAX);
            let invariant = self.broken_by(entries.get(past..).unwrap_or_default());
            let what = format!("{key}: ends before {next}, but only {issued} were issued");
            return Err(Violation::new(invariant, what));
        }
        if next < committed {
            let what = format!("{key}: ends before {next}, but {committed} were promised");
            return Err(Violation::new(Invariant::I1, what));
        }
        let mut ends = vec![0];
        for frame in &self.frames {
            ends.push(ends.last().copied().unwrap_or_default() + entry_count(frame));
        }
        let whole = ends.iter().position(|end| *end == next);
        let (Some(whole), true) = (whole, ends.contains(first)) else {
            let what = format!("{key}: {first} or {next} is within a batch");
            return Err(Violation::new(Invariant::I3, what));
        };
        let dropped: Frame = self.frames.drain(whole..).flatten().collect();
        if !dropped.is_empty() {
            keep_all(&mut self.gone_mut().dropped, &dropped);
        }
        self.committed_frames = whole;
        self.durable_frames = match means {
            Means::Recovered | Means::ReadDurable => whole,
            Means::Read => self.durable_frames.min(whole),
        };
        (self.first, self.first_max) = (*first, *first);
        if self.state == State::Fenced {
            self.state = State::Working;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(entries: &[&'static str]) -> Frame {
        entries.iter().map(|entry| Bytes::from_static(entry.as_bytes())).collect()
    }

    fn settled(first: u64, found: &[&'static str]) -> Result<usize, Invariant> {
        let mut history = History {
            frames: vec![frame(&["a"]), frame(&["b", "c"]), frame(&["d"])],
            durable_frames: 1,
            committed_frames: 1,
            first_max: 3,
            ..History::default()
        };
        let found = Found { first, entries: frame(found) };
        let settled = history.settle("s", &found, Means::Recovered);
        settled.map(|()| history.durable_frames).map_err(|violation| violation.invariant)
    }

    #[test]
    fn what_was_found_must_be_whole_frames_from_the_promised_to_the_issued() {
        assert_eq!(settled(0, &[]), Err(Invariant::I1));
        assert_eq!(settled(0, &["a"]), Ok(1));
        assert_eq!(settled(0, &["a", "b"]), Err(Invariant::I3));
        assert_eq!(settled(0, &["a", "b", "c"]), Ok(2));
        assert_eq!(settled(0, &["a", "x", "c"]), Err(Invariant::I6));
        assert_eq!(settled(0, &["a", "d", "c"]), Err(Invariant::I2));
        assert_eq!(settled(0, &["a", "b", "c", "d"]), Ok(3));
        assert_eq!(settled(0, &["a", "b", "c", "d", "e"]), Err(Invariant::I6));
        assert_eq!(settled(1, &["b", "c"]), Ok(2));
        assert_eq!(settled(2, &["c"]), Err(Invariant::I3));
        assert_eq!(settled(3, &["d"]), Ok(3));
        assert_eq!(settled(4, &[]), Err(Invariant::I1));
    }
}
