//! The numbers that reports, errors and statistics name, compared with those that are there.

use ironwal::{Error, ErrorKind, RecoveryReport, Wal};

use crate::invariant::Invariant;
use crate::model::{Found, Violation};

/// There is one report of each stream, and none of anything else.
///
/// # Errors
///
/// I4.
pub(crate) fn check_each_is_reported(
    reports: &[RecoveryReport],
    streams: &[String],
) -> Result<(), Violation> {
    let reported = reports.iter().map(|report| &report.stream);
    if reported.clone().eq(streams) {
        return Ok(());
    }
    let what = format!("{streams:?} are there, and {:?} recovered", reported.collect::<Vec<_>>());
    Err(Violation::new(Invariant::I4, what))
}

/// A report of a recovery names the numbers that were found.
///
/// # Errors
///
/// I4.
pub(crate) fn check_report(
    wal: &Wal,
    report: &RecoveryReport,
    found: &Found,
) -> Result<(), Violation> {
    let next = found.first + found.entries.len() as u64;
    let RecoveryReport { stream, first_seq, next_seq, segment_count, .. } = report;
    if (*first_seq, *next_seq) != (found.first, next) {
        let first = found.first;
        let what = format!("{stream}: reported {first_seq} to {next_seq}, not {first} to {next}");
        return Err(Violation::new(Invariant::I4, what));
    }
    let stats = wal.stream(stream).and_then(|stream| stream.stats());
    let stats = stats.map_err(|error| Violation::new(Invariant::I11, error.to_string()))?;
    if stats.segment_count != *segment_count {
        let what = format!("{stream}: reported {segment_count} segments, then {stats:?}");
        return Err(Violation::new(Invariant::I4, what));
    }
    Ok(())
}

/// What is counted all the time says the same as the marks did; what was written may be durable since.
///
/// # Errors
///
/// I4.
pub(crate) fn check_stats(
    wal: &Wal,
    key: &str,
    [first, durable, next]: [u64; 3],
) -> Result<(), Violation> {
    let stats = wal.stream(key).and_then(|stream| stream.stats());
    let stats = stats.map_err(|error| Violation::new(Invariant::I11, error.to_string()))?;
    if (stats.first_seq, stats.next_seq) == (first, next)
        && (durable..=next).contains(&stats.durable_seq)
    {
        return Ok(());
    }
    let what = format!("{key}: first {first}, durable {durable}, next {next}, but {stats:?}");
    Err(Violation::new(Invariant::I4, what))
}

/// The number that an error says the first entry has now, if it says that those before are gone.
pub(crate) fn first_told(error: &Error) -> Option<u64> {
    let ErrorKind::Truncated { first_seq } = error.kind() else { return None };
    Some(*first_seq)
}
