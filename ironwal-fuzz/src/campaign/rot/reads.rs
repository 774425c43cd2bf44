//! All entries of a stream by every way to read them, which have to agree.

use bytes::Bytes;
use ironwal::{Error, Iter, StreamReader, Wal};

use super::made::Life;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::told;
use crate::tally;

/// Who reads.
#[derive(Clone, Copy)]
pub(super) enum Reader<'a> {
    Writer(&'a Wal, &'a str),
    Outside(&'a StreamReader),
}

impl Reader<'_> {
    fn get(&self, seq: u64) -> Result<Option<Bytes>, Error> {
        match self {
            Reader::Writer(wal, key) => wal.get(key, seq),
            Reader::Outside(stream) => stream.get(seq),
        }
    }

    fn iter(&self, from: u64) -> Result<Iter, Error> {
        match self {
            Reader::Writer(wal, key) => wal.iter(key, from..),
            Reader::Outside(stream) => stream.iter(from..),
        }
    }

    fn next(&self) -> Result<u64, Error> {
        match self {
            Reader::Writer(wal, key) => wal.next_seq(key),
            Reader::Outside(stream) => stream.next_seq(),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Reader::Writer(..) => "the writer",
            Reader::Outside(_) => "a reader outside",
        }
    }
}

/// What became of an entry.
#[derive(Clone, Debug)]
pub(super) enum Got {
    Entry,
    Absent,
    Error(Error),
}

/// What is read of a stream.
#[derive(Debug)]
pub(super) struct Heard {
    /// Of each entry, and the number behind the last.
    pub(super) entries: Vec<(u64, Got)>,
    /// One past the last, as it is said.
    pub(super) next: u64,
}

/// Reads all entries one by one and in a row. What is read has to be what was issued.
pub(super) fn read(reader: Reader<'_>, life: &Life) -> Result<Heard, Violation> {
    let range = life.stream.entries.clone();
    let mut heard = Heard { entries: Vec::new(), next: reader.next().unwrap_or_default() };
    for seq in range.start..=range.end.max(heard.next) {
        let got = match reader.get(seq) {
            Ok(Some(found)) => check(life, seq, &found).map(|()| Got::Entry)?,
            Ok(None) => Got::Absent,
            Err(error) => Got::Error(sound(error)?),
        };
        heard.entries.push((seq, got));
    }
    let (mut seqs, mut errors) = (Vec::new(), 0);
    match reader.iter(range.start) {
        Err(error) => {
            sound(error)?;
            errors += 1;
        }
        Ok(items) => {
            for item in items {
                match item {
                    Ok(entry) => {
                        check(life, entry.seq, &entry.data)?;
                        seqs.push(entry.seq);
                    }
                    Err(error) => {
                        sound(error)?;
                        errors += 1;
                    }
                }
            }
        }
    }
    tally::checked(Invariant::I6);
    let got = |wanted: fn(&Got) -> bool| heard.entries.iter().filter(move |(_, got)| wanted(got));
    let alone = got(|got| matches!(got, Got::Entry)).map(|(seq, _)| *seq);
    let failed = got(|got| matches!(got, Got::Error(_))).count();
    if !alone.eq(seqs.iter().copied()) || (failed > 0) != (errors > 0) {
        let what = format!(
            "{}: {} reads {seqs:?} and {errors} errors in a row, and alone {:?}",
            life.stream.key,
            reader.name(),
            heard.entries
        );
        return Err(Violation::new(Invariant::I15, what));
    }
    Ok(heard)
}

fn check(life: &Life, seq: u64, found: &Bytes) -> Result<(), Violation> {
    let issued = usize::try_from(seq).ok().and_then(|at| life.entries.get(at));
    if issued == Some(found) {
        return Ok(());
    }
    let what = format!("{}: entry {seq} is {found:?}, not {issued:?}", life.stream.key);
    Err(Violation::new(Invariant::I6, what))
}

/// No damage is a failure of the machine.
fn sound(error: Error) -> Result<Error, Violation> {
    if error.io_error().is_some() {
        return Err(Violation::new(Invariant::I18, told("read", &error)));
    }
    Ok(error)
}

/// Whether two readers come to the same.
pub(super) fn agree(one: &Heard, other: &Heard) -> bool {
    let kind = |got: &Got| match got {
        Got::Entry => (0, None),
        Got::Absent => (1, None),
        Got::Error(error) => (2, Some(error.is_damage())),
    };
    let all = |heard: &Heard| -> Vec<_> {
        heard.entries.iter().map(|(seq, got)| (*seq, kind(got))).collect()
    };
    all(one) == all(other)
}
