//! Opens a damaged copy in each way, and compares.

use std::collections::BTreeMap;
use std::sync::Arc;

use ironwal::{
    CorruptionPolicy, Environment, IndexFinding, ReadStrategy, ReaderOptions, RecoveryReport, Wal,
    WalReader,
};
use ironwal_format::names::StreamFileName;
use ironwal_segment::storage::Storage;

use super::damage::{Damage, Expected};
use super::made::{Life, Made};
use super::parse::Files;
use super::reads::{Heard, Reader, agree, read};
use super::theory::{Sight, Theory};
use super::verdict::{check_entries, check_report, check_told, given_up, is_open};
use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::judge::note_verdicts;
use crate::model::Violation;
use crate::oracle::{open, told};
use crate::sim_storage::SimStorage;
use crate::tally;

/// How much is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effort {
    Verdict,
    /// Appends, closes, and opens again.
    Lives,
}

/// A damaged copy, and what has to be found of it.
pub(super) struct Trial<'a> {
    pub(super) made: &'a Made,
    pub(super) damage: &'a Damage,
    pub(super) image: SimStorage,
    pub(super) effort: Effort,
}

/// What an opening or a look found of each stream.
struct Found {
    heard: Vec<Heard>,
    reports: Vec<Option<RecoveryReport>>,
}

impl Trial<'_> {
    /// Judges all.
    pub(super) fn run(&self, reads: [ReadStrategy; 2]) -> Result<(), Violation> {
        let [one, other] = reads;
        let before = self.image.contents();
        let outside = self.outside(one)?;
        if self.image.contents() != before {
            return Err(Violation::new(Invariant::I13, "a reader outside changed something"));
        }
        let found = self.policy(CorruptionPolicy::Error, other, &before)?;
        for (at, life) in self.made.lives.iter().enumerate() {
            let (Some(one), Some(other)) = (outside.heard.get(at), found.heard.get(at)) else {
                continue;
            };
            let is_said = |found: &Found| {
                let report = found.reports.get(at)?.as_ref()?;
                let damage = report.damage.iter().map(|damage| damage.error.to_string());
                let torn = report.torn.as_ref().map(|torn| (torn.offset, torn.turned_bit));
                Some((damage.collect::<Vec<_>>(), torn, report.next_seq))
            };
            // A directory without any file of ours is no stream to those who list them.
            let is_listed = found.reports.get(at).is_some_and(Option::is_some);
            if !agree(one, other) || is_listed && is_said(&outside) != is_said(&found) {
                let what = format!(
                    "{}: outside {one:?} {:?}, the writer {other:?} {:?}",
                    life.stream.key,
                    outside.reports.get(at),
                    found.reports.get(at)
                );
                return Err(Violation::new(Invariant::I15, what));
            }
        }
        self.policy(CorruptionPolicy::Truncate, one, &before)?;
        Ok(())
    }

    fn expected(&self, at: usize, life: &Life) -> Expected {
        let sound = || Expected::Exactly(Theory::sound(&life.stream), IndexFinding::Sound);
        self.damage.expected.get(&at).cloned().unwrap_or_else(sound)
    }

    /// By a reader that changes nothing.
    fn outside(&self, reads: ReadStrategy) -> Result<Found, Violation> {
        let storage: Arc<dyn Storage> = Arc::new(self.image.clone());
        let options = ReaderOptions::new().read_strategy(reads);
        let reader = WalReader::open_in(Environment::new(storage), options);
        let mut found = Found { heard: Vec::new(), reports: Vec::new() };
        for (at, life) in self.made.lives.iter().enumerate() {
            let failed = |error| Violation::new(Invariant::I18, told("look", &error));
            let stream = reader.stream(&life.stream.key).map_err(failed)?;
            let report = stream.report().map_err(failed)?;
            let heard = read(Reader::Outside(&stream), life)?;
            let expected = self.expected(at, life);
            let policy = CorruptionPolicy::Error;
            compare(life, &expected, (report.as_ref(), policy), &heard)?;
            if let Expected::Exactly(theory, _) = &expected
                && self.damage.expected.contains_key(&at)
            {
                let verified = stream.verify().map_err(failed)?;
                let is_bad = verified.as_ref().is_some_and(ironwal::Verification::is_damaged);
                let must_be =
                    theory.sight == Sight::Hidden || is_open(&expected, policy) == Some(false);
                if is_bad != must_be {
                    let what = format!("{}: verify says {verified:?}", life.stream.key);
                    return Err(Violation::new(Invariant::I13, what));
                }
            }
            found.heard.push(heard);
            found.reports.push(report);
        }
        Ok(found)
    }

    /// By a writer.
    fn policy(
        &self,
        policy: CorruptionPolicy,
        reads: ReadStrategy,
        before: &Files,
    ) -> Result<Found, Violation> {
        let image = self.image.kill();
        let options = self.made.options.clone().corruption_policy(policy).read_strategy(reads);
        let host = CountingHost::starting_at(1 << 40);
        let failed = |error| Violation::new(Invariant::I18, told("open", &error));
        let wal = open(Arc::new(image.clone()), &host, &options).map_err(failed)?;
        let reports = wal.recover_all().map_err(failed)?;
        note_verdicts(&reports);
        let reports: BTreeMap<String, RecoveryReport> =
            reports.into_iter().map(|report| (report.stream.clone(), report)).collect();
        let mut found = Found { heard: Vec::new(), reports: Vec::new() };
        for (at, life) in self.made.lives.iter().enumerate() {
            let heard = read(Reader::Writer(&wal, &life.stream.key), life)?;
            let report = reports.get(&life.stream.key).cloned();
            let expected = self.expected(at, life);
            let expected = match (expected, policy) {
                (Expected::Exactly(theory, index), CorruptionPolicy::Truncate) => {
                    Expected::Exactly(given_up(&theory), index)
                }
                (expected, _) => expected,
            };
            compare(life, &expected, (report.as_ref(), policy), &heard)?;
            found.heard.push(heard);
            found.reports.push(report);
        }
        self.check_kept(before, &image.contents(), policy)?;
        if self.effort == Effort::Lives {
            self.live_on(&wal, &image, policy, &found)?;
        } else {
            drop(wal);
        }
        Ok(found)
    }

    /// No byte of a segment is gone, and nothing at all is changed of a stream that is refused.
    fn check_kept(
        &self,
        before: &Files,
        after: &Files,
        policy: CorruptionPolicy,
    ) -> Result<(), Violation> {
        for (at, life) in self.made.lives.iter().enumerate() {
            let prefix = format!("{}/", life.stream.dir);
            let of_stream = |files: &Files| -> Files {
                let own = files.iter().filter(|(path, _)| path.starts_with(&prefix));
                own.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
            };
            let (before, after) = (of_stream(before), of_stream(after));
            if is_open(&self.expected(at, life), policy) == Some(false) && before != after {
                let what = format!("{}: refused, and changed", life.stream.key);
                return Err(Violation::new(Invariant::I13, what));
            }
            let start = life.stream.start.map(ironwal_format::Ordinal::new);
            for (path, bytes) in before.iter().filter(|(path, _)| path.contains(".wal")) {
                let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                let bytes = bytes.get(..len).unwrap_or_default();
                let aside = format!("{path}.torn");
                let is_kept = after.iter().any(|(name, found)| {
                    (name == path || name.starts_with(&aside)) && found.starts_with(bytes)
                });
                // What was truncated is removed, should a file of it have come back.
                let name = path.strip_prefix(&prefix).unwrap_or_default();
                let is_gone = match StreamFileName::of(name) {
                    StreamFileName::Segment { ordinal, .. } => Some(ordinal) < start,
                    StreamFileName::Index
                    | StreamFileName::IndexTemp
                    | StreamFileName::Torn { .. }
                    | StreamFileName::Foreign => false,
                };
                if !is_kept && !is_gone {
                    let what = format!("{path}, {policy:?}: the bytes that were there are not");
                    return Err(Violation::new(Invariant::I14, what));
                }
            }
        }
        Ok(())
    }

    /// Appends, closes, and opens again.
    fn live_on(
        &self,
        wal: &Wal,
        image: &SimStorage,
        policy: CorruptionPolicy,
        found: &Found,
    ) -> Result<(), Violation> {
        let mut expected = Vec::new();
        for (at, life) in self.made.lives.iter().enumerate() {
            let (key, is_open) = (&life.stream.key, is_open(&self.expected(at, life), policy));
            let next = found.heard.get(at).map_or(0, |heard| heard.next);
            let appended = wal.append(key, "goes on");
            let is_right = match (&appended, is_open) {
                (Ok(seq), Some(true) | None) => *seq == next,
                (Err(error), Some(false) | None) => error.is_damage() || error.is_foreign(),
                (Ok(_), Some(false)) | (Err(_), Some(true)) => false,
            };
            if !is_right {
                let what = format!("{key}, {policy:?}: append behind {next}: {appended:?}");
                return Err(Violation::new(Invariant::I13, what));
            }
            if appended.is_ok() {
                expected.push((life, next));
            }
        }
        wal.close().map_err(|error| Violation::new(Invariant::I11, told("close", &error)))?;
        let host = CountingHost::starting_at(1 << 41);
        let failed = |error| Violation::new(Invariant::I11, told("open again", &error));
        let again = open(Arc::new(image.kill()), &host, &self.made.options).map_err(failed)?;
        let reports = again.recover_all().map_err(failed)?;
        for (life, next) in expected {
            let key = &life.stream.key;
            let report = reports.iter().find(|report| report.stream == **key);
            let is_clean =
                report.is_some_and(|report| report.is_clean() && report.next_seq == next + 1);
            let entry = again.get(key, next).map_err(failed)?;
            if !is_clean || entry.as_deref() != Some(b"goes on") {
                let what = format!("{key}, {policy:?}: after an append and a close: {report:?}");
                return Err(Violation::new(Invariant::I11, what));
            }
            let mut later = read_until(&again, life, next)?;
            let earlier = found.heard.iter().zip(&self.made.lives);
            let earlier = earlier.filter(|(_, other)| other.stream.key == **key);
            for (heard, _) in earlier {
                later.entries.truncate(usize::try_from(next).unwrap_or(usize::MAX));
                let is_same =
                    heard.entries.iter().zip(&later.entries).all(|((_, one), (_, two))| {
                        std::mem::discriminant(one) == std::mem::discriminant(two)
                    });
                if !is_same {
                    let what = format!("{key}, {policy:?}: {heard:?}, later {later:?}");
                    return Err(Violation::new(Invariant::I11, what));
                }
            }
        }
        tally::checked(Invariant::I11);
        Ok(())
    }
}

/// What is read of the entries before the one that was appended.
fn read_until(wal: &Wal, life: &Life, next: u64) -> Result<Heard, Violation> {
    let mut entries = Vec::new();
    for seq in life.stream.entries.start..next {
        let got = match wal.get(&life.stream.key, seq) {
            Ok(Some(found)) => {
                let at = usize::try_from(seq).unwrap_or(usize::MAX);
                if life.entries.get(at) != Some(&found) {
                    let what = format!("{}: later, entry {seq} is {found:?}", life.stream.key);
                    return Err(Violation::new(Invariant::I6, what));
                }
                super::reads::Got::Entry
            }
            Ok(None) => super::reads::Got::Absent,
            Err(error) => super::reads::Got::Error(error),
        };
        entries.push((seq, got));
    }
    Ok(Heard { entries, next })
}

fn compare(
    life: &Life,
    expected: &Expected,
    (report, policy): (Option<&RecoveryReport>, CorruptionPolicy),
    heard: &Heard,
) -> Result<(), Violation> {
    match (expected, report) {
        (Expected::Exactly(theory, index), Some(report)) => {
            check_report(life, theory, *index, (report, policy))?;
            check_entries(life, theory, heard)
        }
        (Expected::Exactly(..), None) => {
            let what = format!("{}: there is no such stream", life.stream.key);
            Err(Violation::new(Invariant::I15, what))
        }
        (Expected::Told { below }, report) => check_told(life, *below, heard, report),
    }
}
