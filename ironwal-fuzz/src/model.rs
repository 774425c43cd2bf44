//! What a log has to hold, by its own history: what was issued to it and what it acknowledged.
//!
//! Nothing here is ever taken from the bytes of the log or from its own marks: a model that
//! believed them would not notice a mark that is never advanced. Frames are issued by one caller at
//! a time for each stream.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use ironwal::Outcome;

/// The entries of one append, in order.
pub type Frame = Vec<Bytes>;

/// A promise that was not kept: which invariant, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which promise, as in "I1".
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl Violation {
    /// The promise `invariant` was broken by `what`.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Violation { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// The history of all streams of a log.
#[derive(Clone, Debug, Default)]
pub struct Model {
    streams: BTreeMap<String, History>,
}

/// The history of one stream: which frames were issued to it, and how many of them must be there.
#[derive(Clone, Debug, Default)]
pub struct History {
    frames: Vec<Frame>,
    durable_frames: usize,
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

    /// The history of a stream.
    pub fn history(&self, key: &str) -> History {
        self.streams.get(key).cloned().unwrap_or_default()
    }

    /// How many entries of a stream must be there, whatever happens.
    pub fn durable_count(&self, key: &str) -> u64 {
        self.streams.get(key).map_or(0, History::durable_count)
    }

    /// How many entries of all streams must be there, whatever happens.
    pub fn total_durable_count(&self) -> u64 {
        self.streams.values().map(History::durable_count).sum()
    }

    /// Notes the answer to the append of a frame.
    ///
    /// # Errors
    ///
    /// The answer itself may break a promise: a number that is not the next one, or any `Ok` behind a
    /// frame whose fate is unknown.
    pub fn note(
        &mut self,
        key: &str,
        frame: Frame,
        answer: &ironwal::Result<Range<u64>>,
    ) -> Result<(), Violation> {
        let history = self.streams.entry(key.to_owned()).or_default();
        match answer {
            Ok(range) => {
                let next = history.issued_count();
                let expected = next..next + entry_count(&frame);
                history.frames.push(frame);
                if history.durable_frames + 1 != history.frames.len() {
                    let what = format!("{key}: {range:?} was acknowledged behind a failed sync");
                    return Err(Violation::new("I19", what));
                }
                history.durable_frames += 1;
                if *range != expected {
                    let what = format!("{key}: got the numbers {range:?}, not {expected:?}");
                    return Err(Violation::new("I4", what));
                }
            }
            Err(error) => match error.outcome() {
                Outcome::NotWritten => {}
                Outcome::Unknown => history.frames.push(frame),
            },
        }
        Ok(())
    }

    /// Notes that a frame was issued; nothing is known of its fate yet.
    pub fn issue(&mut self, key: &str, frame: Frame) {
        self.streams.entry(key.to_owned()).or_default().frames.push(frame);
    }

    /// Notes that all frames that were issued to a stream are durable.
    pub fn acknowledge(&mut self, key: &str) {
        let history = self.streams.entry(key.to_owned()).or_default();
        history.durable_frames = history.frames.len();
    }

    /// Compares what a recovery found of a stream with its history; from then on exactly that has to
    /// be there.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn settle(&mut self, key: &str, found: &[Bytes]) -> Result<(), Violation> {
        self.streams.entry(key.to_owned()).or_default().settle(key, found)
    }
}

fn entry_count(frame: &Frame) -> u64 {
    frame.iter().map(|_| 1).sum()
}

impl History {
    /// Everything that was issued and may be there, in order.
    pub fn issued(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter().flatten()
    }

    /// Everything that must be there, in order.
    pub fn durable(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter().take(self.durable_frames).flatten()
    }

    fn issued_count(&self) -> u64 {
        self.frames.iter().map(entry_count).sum()
    }

    fn durable_count(&self) -> u64 {
        self.frames.iter().take(self.durable_frames).map(entry_count).sum()
    }

    fn settle(&mut self, key: &str, found: &[Bytes]) -> Result<(), Violation> {
        for (number, (found, issued)) in found.iter().zip(self.issued()).enumerate() {
            if found != issued {
                let what = format!("{key}: entry {number} is {found:?}, not {issued:?}");
                return Err(Violation::new("I2", what));
            }
        }
        let (durable, issued) = (self.durable().count(), self.issued().count());
        if found.len() > issued {
            let what = format!("{key}: {} entries, but only {issued} were issued", found.len());
            return Err(Violation::new("I5", what));
        }
        if found.len() < durable {
            let what = format!("{key}: {} entries, but {durable} were promised", found.len());
            return Err(Violation::new("I1", what));
        }
        let mut end = 0;
        let mut whole = 0;
        while let Some(frame) =
            self.frames.get(whole).filter(|frame| end + frame.len() <= found.len())
        {
            end += frame.len();
            whole += 1;
        }
        if end != found.len() {
            let what = format!("{key}: {} entries end within a batch", found.len());
            return Err(Violation::new("I3", what));
        }
        self.frames.truncate(whole);
        self.durable_frames = whole;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(entries: &[&'static str]) -> Frame {
        entries.iter().map(|entry| Bytes::from_static(entry.as_bytes())).collect()
    }

    fn settled(found: &[&'static str]) -> Result<usize, &'static str> {
        let mut history = History {
            frames: vec![frame(&["a"]), frame(&["b", "c"]), frame(&["d"])],
            durable_frames: 1,
        };
        let settled = history.settle("s", &frame(found));
        settled.map(|()| history.durable_frames).map_err(|violation| violation.invariant)
    }

    #[test]
    fn what_was_found_must_be_whole_frames_from_the_promised_to_the_issued() {
        assert_eq!(settled(&[]), Err("I1"));
        assert_eq!(settled(&["a"]), Ok(1));
        assert_eq!(settled(&["a", "b"]), Err("I3"));
        assert_eq!(settled(&["a", "b", "c"]), Ok(2));
        assert_eq!(settled(&["a", "x", "c"]), Err("I2"));
        assert_eq!(settled(&["a", "b", "c", "d"]), Ok(3));
        assert_eq!(settled(&["a", "b", "c", "d", "e"]), Err("I5"));
    }

    #[test]
    fn an_answer_with_another_number_breaks_a_promise() {
        let mut model = Model::new();
        assert!(model.note("s", frame(&["a", "b"]), &Ok(0..2)).is_ok());
        assert_eq!(model.note("s", frame(&["c"]), &Ok(1..2)).unwrap_err().invariant, "I4");
        assert_eq!(model.durable_count("s"), 3);
    }
}
