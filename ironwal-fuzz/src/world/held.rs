//! What callers hold on to while the log goes on: a handle of a stream that is deleted meanwhile, an iterator
//! that is overtaken, a reader that follows.

use std::sync::Arc;

use bytes::Bytes;
use ironwal::{Environment, Iter, ReaderOptions, Stream, StreamReader, Wal, WalReader};

use super::{Trouble, World};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::numbers::first_told;
use crate::oracle::told;

/// What is held from one call to later ones.
#[derive(Debug, Default)]
pub(super) struct Held {
    iter: Option<HeldIter>,
    readers: Vec<(String, StreamReader)>,
}

/// An iterator that was begun, and what was there when it was made.
#[derive(Debug)]
pub(super) struct HeldIter {
    key: String,
    entries: Iter,
    committed: Vec<Bytes>,
}

impl Held {
    /// An iterator of the log before cannot ask what became of the stream: what is truncated now is missing
    /// to it.
    pub(super) fn let_go_of_iterators(&mut self) {
        self.iter = None;
    }

    /// How many iterators there are.
    pub(super) fn iterator_count(&self) -> u64 {
        u64::from(self.iter.is_some())
    }
}

/// A handle from before a deletion takes no entry any more, and shows none.
///
/// # Errors
///
/// I7.
pub(super) fn check_dead(stream: &Stream) -> Result<(), Violation> {
    let is_dead = |error: ironwal::Error| error.is_deleted();
    if stream.append("late").is_err_and(is_dead) && stream.get(0).is_err_and(is_dead) {
        return Ok(());
    }
    let what = format!("{}: a handle outlives the deletion", stream.key());
    Err(Violation::new(Invariant::I7, what))
}

impl World {
    /// Lets go of the iterator that is held, at its end, and holds another; lets a reader follow.
    pub(super) fn hold(&mut self, wal: &Wal, stream: usize) -> Result<(), Violation> {
        if self.trouble != Trouble::None {
            self.held = Held::default();
            return Ok(());
        }
        if let Some(held) = self.held.iter.take() {
            finish(held)?;
        }
        let key = Self::key(stream);
        check_ranges(wal, &key)?;
        self.follow(&key)?;
        self.held.iter = Some(self.begin(wal, key)?);
        Ok(())
    }

    /// Begins to read a stream that is about to lose entries; what this gives is for
    /// [`finish_overtaken`](Self::finish_overtaken).
    pub(super) fn begin_overtaken(
        &self,
        wal: &Wal,
        key: &str,
    ) -> Result<Option<HeldIter>, Violation> {
        match self.trouble {
            Trouble::None => self.begin(wal, key.to_owned()).map(Some),
            Trouble::Expected => Ok(None),
        }
    }

    /// Reads the rest, after the stream has lost entries.
    pub(super) fn finish_overtaken(held: Option<HeldIter>) -> Result<(), Violation> {
        held.map_or(Ok(()), finish)
    }

    fn begin(&self, wal: &Wal, key: String) -> Result<HeldIter, Violation> {
        let mut entries = wal.iter(&key, ..).map_err(|error| failed(&key, &error))?;
        if let Some(Err(error)) = entries.next() {
            return Err(failed(&key, &error));
        }
        let committed = self.model.history(&key).committed().cloned().collect();
        Ok(HeldIter { key, entries, committed })
    }

    /// A reader beside the log shows what was committed, however long it has followed.
    fn follow(&mut self, key: &str) -> Result<(), Violation> {
        if !self.held.readers.iter().any(|(of, _)| of == key) {
            let environment = Environment::new(Arc::clone(&self.storage));
            let reader = WalReader::open_in(environment, ReaderOptions::new()).stream(key);
            let reader = reader.map_err(|error| failed(key, &error))?;
            self.held.readers.push((key.to_owned(), reader));
        }
        let Some((_, reader)) = self.held.readers.iter().find(|(of, _)| of == key) else {
            return Ok(());
        };
        let failed = |error: ironwal::Error| failed(key, &error);
        let first = reader.first_seq().map_err(failed)?;
        let found: Vec<Bytes> = reader
            .iter(first..)
            .map_err(failed)?
            .map(|entry| entry.map(|entry| entry.data))
            .collect::<ironwal::Result<_>>()
            .map_err(failed)?;
        self.model.judge(key, |history| {
            let skipped = usize::try_from(first).unwrap_or(usize::MAX);
            if history.may_start_at(first) && found.iter().eq(history.committed().skip(skipped)) {
                return Ok(());
            }
            let what = format!("{key}: a reader that follows sees {} from {first}", found.len());
            Err(Violation::new(Invariant::I6, what))
        })
    }
}

/// It shows what was there when it was made, as far as that was not removed since, and says so where it
/// was.
fn finish(held: HeldIter) -> Result<(), Violation> {
    let HeldIter { key, entries, committed } = held;
    let mut first = None;
    for entry in entries {
        match entry {
            Ok(entry) => {
                let at = usize::try_from(entry.seq).unwrap_or(usize::MAX);
                let is_first = first.take().is_none_or(|first| first == entry.seq);
                if committed.get(at) != Some(&entry.data) || !is_first {
                    let what = format!("{key}: an iterator that was held shows {entry:?}");
                    return Err(Violation::new(Invariant::I6, what));
                }
            }
            Err(error) if error.is_deleted() => {}
            Err(error) => match first_told(&error) {
                Some(told) => first = Some(told),
                None => return Err(failed(&key, &error)),
            },
        }
    }
    Ok(())
}

/// The other ways to ask for entries give the same.
fn check_ranges(wal: &Wal, key: &str) -> Result<(), Violation> {
    let failed = |error: ironwal::Error| failed(key, &error);
    let stream = wal.stream(key).map_err(failed)?;
    let (first, next) = (stream.first_seq().map_err(failed)?, stream.next_seq().map_err(failed)?);
    let all: Vec<Bytes> = stream
        .iter(first..)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.data))
        .collect::<ironwal::Result<_>>()
        .map_err(failed)?;
    let many = stream.get_many(first..=next).map_err(failed)?;
    let many_expected = all.iter().cloned().map(Some).chain([None]);
    let middle = first + (next - first) / 2;
    let part = stream.iter(first..=middle).map_err(failed)?.count() as u64;
    let part_expected = (next - first).min(middle - first + 1);
    if !many.into_iter().eq(many_expected) || part != part_expected {
        let what = format!("{key}: {part} of {part_expected} entries to {middle}, or others");
        return Err(Violation::new(Invariant::I6, what));
    }
    Ok(())
}

fn failed(key: &str, error: &ironwal::Error) -> Violation {
    Violation::new(Invariant::I15, told(&format!("{key}: reading beside the log"), error))
}
