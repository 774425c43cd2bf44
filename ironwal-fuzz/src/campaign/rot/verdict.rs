//! Compares what was found of a damaged stream with what has to be found.

use ironwal::{CorruptionPolicy, Error, ErrorKind, IndexFinding, RecoveryReport};

use super::damage::Expected;
use super::made::Life;
use super::reads::{Got, Heard};
use super::theory::{Loss, Said, Sight, Theory};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::told;
use crate::tally;

fn names(error: &Error, path: &str) -> bool {
    error.path().is_some_and(|found| found.to_string_lossy().ends_with(path))
}

fn is_at(error: &Error, path: &str, offset: Option<u64>) -> bool {
    let is_right = match (error.kind(), offset) {
        (ErrorKind::Damaged { offset: found, .. }, Some(offset)) => *found == offset,
        (ErrorKind::MissingSegment, None) => true,
        _ => false,
    };
    is_right && names(error, path)
}

/// Whether a report says what has to be said.
pub(super) fn check_report(
    life: &Life,
    theory: &Theory,
    found: IndexFinding,
    (report, policy): (&RecoveryReport, CorruptionPolicy),
) -> Result<(), Violation> {
    let damage = &report.damage;
    let is_quiet = damage.is_empty() && report.given_up.is_none();
    let is_whole = report.torn.is_none() && report.set_aside.is_none() && is_quiet;
    let (is_right, invariant) = match &theory.said {
        Said::Nothing => (is_whole, Invariant::I14),
        Said::SetAside { path } => {
            let aside = report.set_aside.as_ref().map(|found| found.to_string_lossy());
            (aside.is_some_and(|found| found.contains(path)) && is_quiet, Invariant::I14)
        }
        Said::Torn { path, offset, rest_len, turned_bit } => {
            let torn = report.torn.as_ref().is_some_and(|torn| {
                torn.path.to_string_lossy().ends_with(path)
                    && (torn.offset, torn.rest_len) == (*offset, *rest_len)
                    && torn.turned_bit == *turned_bit
            });
            (torn && is_quiet, Invariant::I14)
        }
        Said::Damaged { path, offset } => {
            let is_cut = policy == CorruptionPolicy::Truncate;
            let given_up = report.given_up.as_ref().map(|given_up| given_up.start);
            let is_told = damage.iter().any(|damage| {
                is_at(&damage.error, path, *offset) || is_cut && names(&damage.error, path)
            });
            let expected = if is_cut { theory.cut } else { None };
            (is_told && given_up == expected, Invariant::I13)
        }
        Said::Refused { path } => {
            let is_named = |error: &Error| error.is_foreign() && names(error, path);
            let is_told = damage.iter().any(|damage| is_named(&damage.error));
            (is_told && report.given_up.is_none(), Invariant::I13)
        }
    };
    let is_named = damage.iter().all(|damage| damage.error.stream() == Some(&*life.stream.key));
    tally::checked(invariant);
    if is_right && is_named && report.index == found {
        return Ok(());
    }
    let what = format!(
        "{}, {policy:?}: not what is to be said, {:?} and of the index {found:?}: {report:?}",
        life.stream.key, theory.said
    );
    Err(Violation::new(invariant, what))
}

fn is_loss(error: &Error, loss: &Loss) -> bool {
    let is_right = match (error.kind(), &loss.place) {
        (ErrorKind::Damaged { offset, .. }, Some(place)) => {
            (place.start..=place.end).contains(offset)
        }
        (ErrorKind::MissingSegment, None) => true,
        (_, None) => error.is_foreign(),
        _ => false,
    };
    is_right && names(error, &loss.path)
}

/// Whether entries can be read, and cannot, as they have to.
pub(super) fn check_entries(life: &Life, theory: &Theory, heard: &Heard) -> Result<(), Violation> {
    let is_refused = matches!(theory.said, Said::Damaged { .. } | Said::Refused { .. });
    let key = &*life.stream.key;
    for (seq, got) in &heard.entries {
        let loss = theory.losses.iter().find(|loss| loss.entries.contains(seq));
        let is_gone = *seq >= theory.end;
        // Nothing tells how far a log went whose end is lost.
        let may_be_absent = is_gone || is_refused && *seq >= heard.next;
        let is_right = match (got, loss) {
            (Got::Error(error), _) if theory.sight == Sight::Unreadable => {
                error.stream() == Some(key)
            }
            (Got::Error(error), Some(loss)) if !is_gone => {
                // Beside a file that is refused, what it held may be missed at the end of the one before.
                let is_beside =
                    matches!(&theory.said, Said::Refused { path } if *path == loss.path);
                (is_loss(error, loss) || is_beside && error.is_damage())
                    && error.stream() == Some(key)
            }
            (Got::Error(_), _) => is_gone && is_refused,
            (Got::Entry, loss) => loss.is_none() && !is_gone && theory.sight != Sight::Unreadable,
            (Got::Absent, Some(_)) => may_be_absent,
            (Got::Absent, None) => is_gone,
        };
        if !is_right {
            let invariant = if loss.is_some() { Invariant::I13 } else { Invariant::I15 };
            let got = match got {
                Got::Error(error) => told("read", error),
                Got::Entry | Got::Absent => format!("{got:?}"),
            };
            let what = format!("{key}: entry {seq}: {got}; it has to be by {theory:?}");
            return Err(Violation::new(invariant, what));
        }
    }
    tally::checked(Invariant::I15);
    Ok(())
}

/// Whether what cannot be read is told, at least.
pub(super) fn check_told(
    life: &Life,
    below: u64,
    heard: &Heard,
    report: Option<&RecoveryReport>,
) -> Result<(), Violation> {
    let is_told = report.is_none_or(|report| !report.is_clean());
    let is_failing = heard.entries.iter().any(|(_, got)| matches!(got, Got::Error(_)));
    let absent = heard
        .entries
        .iter()
        .find(|(seq, got)| *seq < below.min(life.stream.entries.end) && matches!(got, Got::Absent));
    if let (Some((seq, _)), false) = (absent, is_told || is_failing) {
        let what = format!("{}: nothing tells that entry {seq} is gone", life.stream.key);
        return Err(Violation::new(Invariant::I13, what));
    }
    // No hole: behind one that is not there, there is none.
    let mut rest = heard.entries.iter().skip_while(|(_, got)| !matches!(got, Got::Absent));
    if rest.any(|(_, got)| matches!(got, Got::Entry)) {
        let what = format!("{}: a hole that nothing tells: {:?}", life.stream.key, heard.entries);
        return Err(Violation::new(Invariant::I13, what));
    }
    tally::checked(Invariant::I13);
    Ok(())
}

/// What an opening that gives up damage has to come to.
pub(super) fn given_up(theory: &Theory) -> Theory {
    match (&theory.said, theory.cut) {
        (Said::Damaged { .. }, Some(cut)) => {
            let losses = Vec::new();
            Theory { end: cut, losses, ..theory.clone() }
        }
        _ => theory.clone(),
    }
}

/// Whether the stream takes appends.
pub(super) fn is_open(expected: &Expected, policy: CorruptionPolicy) -> Option<bool> {
    let Expected::Exactly(theory, _) = expected else { return None };
    Some(match theory.said {
        Said::Nothing | Said::Torn { .. } | Said::SetAside { .. } => true,
        Said::Damaged { .. } => {
            policy == CorruptionPolicy::Truncate && theory.sight != Sight::Unreadable
        }
        Said::Refused { .. } => false,
    })
}
