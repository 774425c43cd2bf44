//! What a log has to hold, by its own history: what was issued to it and what it acknowledged.
//!
//! Nothing here is ever taken from the bytes of the log or from its own marks: a model that
//! believed them would not notice a mark that is never advanced. Frames are issued by one caller at
//! a time for each stream.

mod history;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

pub use self::history::History;
use self::history::State;
use crate::invariant::Invariant;

/// The entries of one append, in order.
pub type Frame = Vec<Bytes>;

/// A promise that was not kept: which invariant, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which promise.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// The promise `invariant` was broken by `what`.
    pub fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Violation { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// The history of all streams of a log.
///
/// A deletion that failed may have taken effect or not: from then on a stream has several histories, until
/// an answer, or what is found, contradicts all but one.
#[derive(Clone, Debug, Default, Hash)]
pub struct Model {
    streams: BTreeMap<String, Vec<History>>,
    /// What a power cut may bring back, since its deletion failed.
    undeleted: BTreeMap<String, Vec<History>>,
}

/// What a call promises that succeeds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Promise {
    /// The entries survive a power cut, and so do all before them.
    Durable,
    /// The entries outlive the process.
    Written,
}

/// How entries were come by that are compared with a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Means {
    /// A recovery found them, so they are durable.
    Recovered,
    /// They are what readers see of a stream that may have been open all the time.
    Read,
    /// The same, where readers are shown what is durable only.
    ReadDurable,
}

/// The entries of a stream as they were found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The number of the first.
    pub first: u64,
    /// Their bytes, in order.
    pub entries: Vec<Bytes>,
}

impl Model {
    /// A log to which nothing was issued.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys that anything was issued to.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }

    /// The history of a stream; one of them, where there are several.
    pub fn history(&self, key: &str) -> History {
        self.streams.get(key).and_then(|histories| histories.first()).cloned().unwrap_or_default()
    }

    /// How many entries of a stream survive a power cut for certain, those that were truncated counted.
    pub fn durable_count(&self, key: &str) -> u64 {
        self.least(key, History::durable_count)
    }

    /// How many entries of a stream were acknowledged for certain, those that were truncated counted.
    pub fn committed_count(&self, key: &str) -> u64 {
        self.least(key, History::committed_count)
    }

    fn least(&self, key: &str, count: impl Fn(&History) -> u64) -> u64 {
        self.streams.get(key).and_then(|all| all.iter().map(count).min()).unwrap_or_default()
    }

    /// Whether the entry with this number may have been truncated.
    pub fn may_be_truncated(&self, key: &str, seq: u64) -> bool {
        self.streams.get(key).into_iter().flatten().any(|history| history.first_max() > seq)
    }

    /// Whether anybody tried to truncate the stream.
    pub fn was_truncated(&self, key: &str) -> bool {
        self.streams.get(key).into_iter().flatten().any(History::was_truncated)
    }

    /// How many entries of all streams survive a power cut for certain.
    pub fn total_durable_count(&self) -> u64 {
        self.keys().map(|key| self.durable_count(key)).sum()
    }

    /// The promises that are left after a power cut: of what was only written, any beginning may be there.
    #[must_use]
    pub fn after_power_cut(&self) -> Self {
        let mut model = self.clone();
        model.forget_written();
        model
    }

    /// Something failed, or the power was cut: what was only written may be lost.
    pub fn forget_written(&mut self) {
        let keys: Vec<String> = self.keys().map(str::to_owned).collect();
        for key in &keys {
            self.forget_written_of(key);
        }
    }

    /// As [`forget_written`](Self::forget_written), for one stream.
    pub fn forget_written_of(&mut self, key: &str) {
        let Some(histories) = self.streams.get_mut(key) else { return };
        histories.extend(self.undeleted.get(key).cloned().unwrap_or_default());
        for history in histories {
            history.committed_frames = history.durable_frames;
        }
    }

    /// Judges what was seen of a stream by its history: by any, where there are several.
    ///
    /// # Errors
    ///
    /// The promise that is broken.
    pub fn judge(
        &self,
        key: &str,
        judge: impl Fn(&History) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let none = [History::default()];
        let histories = self.streams.get(key).map_or(&none[..], Vec::as_slice);
        let mut broken = None;
        for history in histories {
            match judge(history) {
                Ok(()) => return Ok(()),
                Err(violation) => broken = broken.or(Some(violation)),
            }
        }
        broken.map_or(Ok(()), Err)
    }

    /// Lets each history of a stream go on with `note`; those that it contradicts are none any more.
    fn narrow(
        &mut self,
        key: &str,
        note: impl Fn(&mut History) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let histories = self.streams.entry(key.to_owned()).or_default();
        if histories.is_empty() {
            histories.push(History::default());
        }
        let mut broken = None;
        let mut kept: Vec<History> = Vec::new();
        for mut history in histories.drain(..) {
            match note(&mut history) {
                Ok(()) if kept.contains(&history) => {}
                Ok(()) => kept.push(history),
                Err(violation) => broken = broken.or(Some(violation)),
            }
        }
        let is_impossible = kept.is_empty();
        *histories = kept;
        broken.filter(|_| is_impossible).map_or(Ok(()), Err)
    }

    /// Notes the answer to the append of a frame, which promises this.
    ///
    /// # Errors
    ///
    /// The answer itself may break a promise: a number that is not the next one, or any `Ok` behind a
    /// frame whose fate is unknown.
    pub fn note(
        &mut self,
        key: &str,
        frame: &Frame,
        answer: &ironwal::Result<Range<u64>>,
        promise: Promise,
    ) -> Result<(), Violation> {
        if answer.is_ok() {
            self.undeleted.remove(key);
        }
        self.narrow(key, |history| history.note(key, frame, answer, promise))
    }

    /// Notes that a frame was issued; nothing is known of its fate yet.
    pub fn issue(&mut self, key: &str, frame: &Frame) {
        let histories = self.streams.entry(key.to_owned()).or_default();
        if histories.is_empty() {
            histories.push(History::default());
        }
        for history in histories {
            history.frames.push(frame.clone());
        }
    }

    /// Notes that all frames that were issued to a stream are durable.
    pub fn acknowledge(&mut self, key: &str) {
        for history in self.streams.get_mut(key).into_iter().flatten() {
            history.durable_frames = history.frames.len();
            history.committed_frames = history.frames.len();
        }
    }

    /// Notes the answer to a sync of a stream.
    ///
    /// # Errors
    ///
    /// A fenced stream acknowledges nothing more.
    pub fn synced(&mut self, key: &str, answer: &ironwal::Result<()>) -> Result<(), Violation> {
        self.narrow(key, |history| match answer {
            Ok(()) => history.synced(key),
            Err(error) => {
                history.failed(error.outcome());
                Ok(())
            }
        })
    }

    /// Notes that a sync of the log, or its closing, returned success: of a stream that was fenced before,
    /// all that was acknowledged must have been durable by then.
    pub fn all_synced(&mut self) {
        for history in self.streams.values_mut().flatten() {
            history.durable_frames = history.committed_frames;
        }
    }

    /// Notes that a reader showed these entries as proven durable: from now on they survive a power cut.
    ///
    /// # Errors
    ///
    /// They may be others than were issued, or not whole batches.
    pub fn proven(&mut self, key: &str, found: &Found) -> Result<(), Violation> {
        self.judge(key, |history| history.clone().proven(key, found))?;
        for history in self.streams.get_mut(key).into_iter().flatten() {
            // Of several histories those that this contradicts may be the true ones after a power cut.
            drop(history.proven(key, found));
        }
        Ok(())
    }

    /// Whether a truncation that succeeded has removed anything.
    pub fn has_removed(&self) -> bool {
        self.keys().any(|key| self.removed(key) > 0)
    }

    /// What is below this number was removed by a truncation that succeeded: it stays so, whatever else is
    /// lost.
    pub fn removed(&self, key: &str) -> u64 {
        self.least(key, History::removed)
    }

    /// Notes the answer to a rotation: it gives the next number, and makes everything durable.
    ///
    /// # Errors
    ///
    /// The answer may break a promise.
    pub fn rotated(&mut self, key: &str, answer: &ironwal::Result<u64>) -> Result<(), Violation> {
        self.narrow(key, |history| match answer {
            Ok(next) if *next == history.issued_count() => {
                history.rotated(*next);
                history.synced(key)
            }
            Ok(next) => {
                let what = format!("{key}: rotated before {next}, not {}", history.issued_count());
                Err(Violation::new(Invariant::I4, what))
            }
            Err(error) => {
                history.failed(error.outcome());
                Ok(())
            }
        })
    }

    /// Notes the answer to the truncation of what is below `seq`: it gives the first that is left.
    ///
    /// # Errors
    ///
    /// The answer may break a promise.
    pub fn truncated(
        &mut self,
        key: &str,
        seq: u64,
        answer: &ironwal::Result<u64>,
    ) -> Result<(), Violation> {
        self.narrow(key, |history| history.truncated(key, seq, answer))
    }

    /// Notes the answer to a deletion: it tells whether there was a stream.
    ///
    /// # Errors
    ///
    /// The answer may break a promise.
    pub fn deleted(&mut self, key: &str, answer: &ironwal::Result<bool>) -> Result<(), Violation> {
        match answer {
            Ok(true) => {}
            Ok(false) => self.narrow(key, |history| {
                if history.committed_frames == 0 {
                    return Ok(());
                }
                Err(Violation::new(Invariant::I1, format!("{key}: there was none to be deleted")))
            })?,
            Err(_) => {
                // Before it began, or after it was done, and nothing between.
                let histories = self.streams.entry(key.to_owned()).or_default();
                self.undeleted.entry(key.to_owned()).or_default().extend(histories.iter().cloned());
                let next = histories.first().cloned().unwrap_or_default().next_life();
                histories.push(next);
                return Ok(());
            }
        }
        self.undeleted.remove(key);
        let histories = self.streams.get(key).map(Vec::as_slice).unwrap_or_default();
        let mut gone: Vec<History> = histories.iter().map(History::next_life).collect();
        gone.truncate(1);
        if gone.is_empty() {
            gone.push(History::default());
        }
        for life in &mut gone {
            life.state = State::Deleted;
        }
        self.streams.insert(key.to_owned(), gone);
        Ok(())
    }

    /// Whether a stream with this key was deleted before, and there is one again.
    pub fn is_recreated(&self, key: &str) -> bool {
        self.streams.get(key).is_some_and(|all| all.iter().any(History::is_recreated))
    }

    /// Whether a stream was deleted, and nothing was done with it since: there is no such stream.
    pub fn is_deleted(&self, key: &str) -> bool {
        let is_deleted = |history: &History| history.state == State::Deleted;
        self.streams.get(key).is_some_and(|histories| histories.iter().all(is_deleted))
    }

    /// Compares what was found of a stream with its history; from then on exactly that has to be there.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn settle(&mut self, key: &str, found: &Found, means: Means) -> Result<(), Violation> {
        if means == Means::Recovered {
            self.undeleted.remove(key);
        }
        self.narrow(key, |history| history.settle(key, found, means))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(entries: &[&'static str]) -> Frame {
        entries.iter().map(|entry| Bytes::from_static(entry.as_bytes())).collect()
    }

    #[test]
    fn an_answer_with_another_number_breaks_a_promise() {
        let mut model = Model::new();
        assert!(model.note("s", &frame(&["a", "b"]), &Ok(0..2), Promise::Durable).is_ok());
        let wrong = model.note("s", &frame(&["c"]), &Ok(1..2), Promise::Durable);
        assert_eq!(wrong.unwrap_err().invariant, Invariant::I4);
    }

    #[test]
    fn what_was_written_may_be_lost_in_a_power_cut_until_it_is_synced() {
        let mut model = Model::new();
        let none = Found { first: 0, entries: Vec::new() };
        model.note("s", &frame(&["a"]), &Ok(0..1), Promise::Written).unwrap();
        let killed = model.clone().settle("s", &none, Means::Recovered);
        assert_eq!(killed.unwrap_err().invariant, Invariant::I1);
        assert!(model.after_power_cut().settle("s", &none, Means::Recovered).is_ok());
        model.synced("s", &Ok(())).unwrap();
        let cut = model.after_power_cut().settle("s", &none, Means::Recovered);
        assert_eq!(cut.unwrap_err().invariant, Invariant::I1);
    }

    #[test]
    fn what_was_truncated_or_deleted_stays_so() {
        let mut model = Model::new();
        for (seq, entry) in [(0, "a"), (1, "b")] {
            model.note("s", &frame(&[entry]), &Ok(seq..seq + 1), Promise::Durable).unwrap();
        }
        model.truncated("s", 1, &Ok(1)).unwrap();
        let whole = Found { first: 0, entries: frame(&["a", "b"]) };
        let back = model.clone().settle("s", &whole, Means::Recovered);
        assert_eq!(back.unwrap_err().invariant, Invariant::I7);
        let rest = Found { first: 1, entries: frame(&["b"]) };
        assert!(model.settle("s", &rest, Means::Recovered).is_ok());
        model.deleted("s", &Ok(true)).unwrap();
        assert!(model.is_deleted("s"));
        assert!(model.settle("s", &rest, Means::Recovered).is_err());
    }
}
