//! Reads of a running log, compared with its history.

use ironwal::{ErrorKind, Wal};

use super::World;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::numbers::first_told;

impl World {
    pub(super) fn get(&self, wal: &Wal, stream: usize, at: u64) -> Result<(), Violation> {
        let key = Self::key(stream);
        let seq = at % (self.model.committed_count(&key) + 2);
        match wal.get(&key, seq) {
            Ok(found) => self.model.judge(&key, |history| {
                let expected =
                    usize::try_from(seq).ok().and_then(|seq| history.committed().nth(seq));
                if found.as_ref() == expected && history.first() <= seq {
                    return Ok(());
                }
                Err(Violation::new(Invariant::I6, format!("{key}: entry {seq} is {found:?}")))
            }),
            Err(error) => match first_told(&error) {
                Some(first) => self.is_truncated(&key, seq, first),
                None => self.failed("get", &error),
            },
        }
    }

    fn is_truncated(&self, key: &str, seq: u64, first: u64) -> Result<(), Violation> {
        self.model.judge(key, |history| {
            if seq < first && history.may_start_at(first) {
                return Ok(());
            }
            let what = format!("{key}: entry {seq} is said to be truncated, and {first} the first");
            Err(Violation::new(Invariant::I1, what))
        })
    }

    pub(super) fn iterate(&self, wal: &Wal, stream: usize, from: u64) -> Result<(), Violation> {
        let key = Self::key(stream);
        let start = from % (self.model.committed_count(&key) + 2);
        let entries = match wal.iter(&key, start..) {
            Ok(entries) => entries,
            Err(error) => return self.failed("iterate", &error),
        };
        let (mut found, mut first) = (Vec::new(), start);
        for entry in entries {
            match entry {
                Ok(entry) => found.push(entry),
                Err(error) => {
                    let ErrorKind::Truncated { first_seq } = error.kind() else {
                        return self.failed("read", &error);
                    };
                    first = *first_seq;
                }
            }
        }
        self.model.judge(&key, |history| {
            let expected = (0..).zip(history.committed()).filter(|(seq, _)| *seq >= first);
            let is_begun = first == start && history.first() <= start
                || first > start && history.may_start_at(first);
            if is_begun && found.iter().map(|entry| (entry.seq, &entry.data)).eq(expected) {
                return Ok(());
            }
            Err(Violation::new(Invariant::I6, format!("{key}: from {start} on came {found:?}")))
        })
    }
}
