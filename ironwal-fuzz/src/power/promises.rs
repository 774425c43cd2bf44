//! What must hold after a power cut, from what the writer told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ironwal::SyncMode;

use super::events::Event;
use super::script::{Kind, Op};

/// A stream, and in which of its lives.
pub(super) type Life = (usize, u64);

/// When the power was cut: how many events had been told when it began, and when it was over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Of these, each acknowledgement is a promise.
    pub(super) before: usize,
    /// What had not been issued by then cannot be there.
    pub(super) after: usize,
}

/// Whether a life of a stream was ended.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Deletion {
    /// Nobody tried.
    #[default]
    No,
    /// It may have been.
    Issued,
    /// That has returned.
    Done,
}

/// What was promised about one life of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct LifePromises {
    /// All entries before this are durable.
    pub(super) durable_end: u64,
    /// All entries before this were acknowledged, if only as written.
    pub(super) written_end: u64,
    /// Entries before this were removed.
    pub(super) first_at_least: u64,
    /// The highest number that a truncation was given.
    pub(super) first_at_most: u64,
    pub(super) deletion: Deletion,
}

/// What has to hold of what is found after a power cut.
#[derive(Debug, Default)]
pub(super) struct Promises {
    pub(super) lives: BTreeMap<Life, LifePromises>,
    /// In which life of its stream each operation was issued by then.
    pub(super) issued: HashMap<Op, u64>,
    /// Which operation's entries begin under a number; also of what was acknowledged later.
    pub(super) placed: HashMap<(Life, u64), Op>,
}

impl Promises {
    pub(super) fn at(moment: Moment, events: &[Event], mode: SyncMode) -> Self {
        let mut promises = Self::default();
        let mut syncs = HashMap::new();
        for (index, event) in events.iter().enumerate() {
            match *event {
                Event::Issued { op, life, at } => {
                    if index < moment.after {
                        promises.issue(op, life, at);
                    }
                    if index < moment.before {
                        syncs.insert(op, promises.written(op));
                    }
                }
                Event::Acknowledged { op, start, end } => {
                    let Some(&life) = promises.issued.get(&op) else { continue };
                    let life = (op.stream(), life);
                    if op.count() > 0 {
                        promises.placed.insert((life, start), op);
                    }
                    if index < moment.before {
                        promises.acknowledge(op, life, (start, end), mode);
                        promises.synced(syncs.remove(&op).unwrap_or_default());
                    }
                }
                Event::Found { stream, life, first, next } => {
                    let promises = promises.lives.entry((stream, life)).or_default();
                    (promises.written_end, promises.durable_end) = (next, next);
                    (promises.first_at_least, promises.first_at_most) = (first, first);
                }
            }
        }
        promises
    }

    fn issue(&mut self, op: Op, life: u64, at: u64) {
        self.issued.insert(op, life);
        if op.kind() == Kind::SyncAll {
            return;
        }
        let promises = self.lives.entry((op.stream(), life)).or_default();
        match op.kind() {
            Kind::Delete => promises.deletion = promises.deletion.max(Deletion::Issued),
            Kind::Truncate => promises.first_at_most = promises.first_at_most.max(at),
            Kind::Single
            | Kind::Batch
            | Kind::SyncStream
            | Kind::SyncAll
            | Kind::Rotate
            | Kind::Pause => {}
        }
    }

    /// What an operation that is issued now makes durable of what was acknowledged before, if it does.
    fn written(&self, op: Op) -> Vec<(Life, u64)> {
        let concerns = |stream| match op.kind() {
            Kind::SyncAll => true,
            Kind::SyncStream | Kind::Rotate => stream == op.stream(),
            Kind::Single | Kind::Batch | Kind::Truncate | Kind::Delete | Kind::Pause => false,
        };
        let lives = self.lives.iter().filter(|((stream, _), _)| concerns(*stream));
        lives.map(|(life, promises)| (*life, promises.written_end)).collect()
    }

    fn synced(&mut self, ends: Vec<(Life, u64)>) {
        for (life, end) in ends {
            let promises = self.lives.entry(life).or_default();
            promises.durable_end = promises.durable_end.max(end);
        }
    }

    fn acknowledge(&mut self, op: Op, life: Life, (start, end): (u64, u64), mode: SyncMode) {
        if op.kind() == Kind::SyncAll {
            return;
        }
        let promises = self.lives.entry(life).or_default();
        let is_durable = match op.kind() {
            Kind::Single => mode == SyncMode::Strict,
            Kind::Batch => mode != SyncMode::Async,
            Kind::Truncate => {
                promises.first_at_least = promises.first_at_least.max(start);
                return;
            }
            Kind::Delete => {
                promises.deletion = Deletion::Done;
                return;
            }
            // `rotate` tells the next number, but not what others are appending meanwhile.
            Kind::SyncStream | Kind::SyncAll | Kind::Rotate | Kind::Pause => return,
        };
        promises.written_end = promises.written_end.max(end);
        if is_durable {
            promises.durable_end = promises.durable_end.max(end);
        }
    }

    /// The lives of a stream that may be what is there.
    pub(super) fn candidates(&self, stream: usize) -> BTreeSet<u64> {
        let lives = self
            .lives
            .iter()
            .filter(|((of, _), promises)| *of == stream && promises.deletion != Deletion::Done);
        lives.map(|((_, life), _)| *life).collect()
    }

    /// How many entries were promised to be there.
    pub(super) fn durable_count(&self) -> u64 {
        let lives = self.lives.values().filter(|promises| promises.deletion == Deletion::No);
        lives.map(|promises| promises.durable_end.saturating_sub(promises.first_at_most)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Deletion, Event, Kind, Moment, Op, Promises, SyncMode};

    fn op(kind: Kind, stream: usize) -> Op {
        let is_it = |op: &Op| op.kind() == kind && op.stream() == stream;
        (0..10_000).map(Op).find(is_it).unwrap()
    }

    fn call(op: Op, start: u64, end: u64) -> [Event; 2] {
        [Event::Issued { op, life: 3, at: 0 }, Event::Acknowledged { op, start, end }]
    }

    #[test]
    fn a_sync_covers_what_was_acknowledged_before_it_was_issued_and_no_more() {
        let (first, second) = (op(Kind::Single, 1), op(Kind::Batch, 1));
        let sync = op(Kind::SyncStream, 1);
        let mut events = call(first, 0, 1).to_vec();
        events.push(Event::Issued { op: sync, life: 3, at: 0 });
        events.extend(call(second, 1, 5));
        let durable_end = |before, events: &[Event]| {
            let moment = Moment { before, after: before };
            Promises::at(moment, events, SyncMode::Async).lives[&(1, 3)].durable_end
        };
        assert_eq!(durable_end(events.len(), &events), 0);
        events.push(Event::Acknowledged { op: sync, start: 0, end: 0 });
        assert_eq!(durable_end(events.len(), &events), 1);
        assert_eq!(durable_end(events.len() - 1, &events), 0, "told too late");
        let moment = Moment { before: events.len(), after: events.len() };
        let life = &Promises::at(moment, &events, SyncMode::BatchOnly).lives[&(1, 3)];
        assert_eq!((life.durable_end, life.written_end), (5, 5));
    }

    #[test]
    fn what_was_issued_after_the_moment_excuses_nothing() {
        let (append, delete) = (op(Kind::Single, 0), op(Kind::Delete, 0));
        let mut events = call(append, 0, 1).to_vec();
        events.extend(call(delete, 0, 0));
        let deletion = |after| {
            let moment = Moment { before: 2, after };
            Promises::at(moment, &events, SyncMode::Strict).lives[&(0, 3)].deletion
        };
        assert_eq!([2, 3, 4].map(deletion), [Deletion::No, Deletion::Issued, Deletion::Issued]);
    }
}
