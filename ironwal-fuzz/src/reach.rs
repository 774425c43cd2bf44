//! Which rows of the failure catalogue and which rules of recovery came about, by what is on a disk and
//! what a recovery said of it.
//!
//! The numbers are those of the catalogue and of the rules that follow from what disks do.

use std::collections::BTreeMap;

use ironwal::RecoveryReport;
use ironwal_format::names::SEGMENT_SUFFIX;

use crate::tally::{self, Group};

/// What crashes alone have to bring about.
pub const OF_CRASHES: &[&str] = &[
    TORN_HEADER,
    TORN_PAYLOAD,
    LATER_LANDED,
    ZERO_TAIL,
    LEN_ONLY,
    DATA_ONLY,
    BEHIND_TEAR,
    LOST_RENAME,
    LOST_NAME,
    LOST_DIR,
    KILLED,
    KILLED_AGAIN,
    CUT_BEHIND_KILL,
    DELETION,
    RECREATED,
    EMPTY,
    CREATION,
    HALF_ROTATED,
    SET_ASIDE,
    REWRITTEN,
];

/// What kills have to bring about, and what comes behind them.
pub const OF_KILLS: &[&str] = &[LOST_RENAME, LOST_NAME, KILLED, CUT_BEHIND_KILL, DELETION];

/// Rows and calls that nothing can bring about yet, since the log cannot do what they are about.
pub const NOT_BUILT: &[&str] = &[
    "row 38: partial archive move",
    "row 39: archive across file systems",
    "row 59: backup of a live directory by the log itself",
    "row 67: crash in a rollback",
    "calls: transaction, rollback, archive, restore, backup",
];

const TORN_HEADER: &str = "row 1: torn header";
const TORN_PAYLOAD: &str = "row 2: torn payload";
const LATER_LANDED: &str = "row 3: a later frame landed, an earlier one did not";
const ZERO_TAIL: &str = "row 4: zeros of reserved space end the log";
/// Counted by the simulated disk.
pub(crate) const LEN_ONLY: &str = "row 6: a file grew without its data";
pub(crate) const DATA_ONLY: &str = "row 6: data was kept and the length was not";
const BEHIND_TEAR: &str = "row 7: recovered again behind a torn tail";
pub(crate) const LOST_RENAME: &str = "row 14: a rename was lost";
pub(crate) const LOST_NAME: &str = "row 15: the name of a file was lost";
pub(crate) const LOST_DIR: &str = "row 16: the name of a directory was lost";
/// Counted where scripts are run.
pub(crate) const KILLED: &str = "row 31: a process was killed";
pub(crate) const KILLED_AGAIN: &str = "row 32: a recovery was cut off";
pub(crate) const CUT_BEHIND_KILL: &str =
    "row 31: opened on what a kill left unsynced, gone on with, and then the power was cut";
const DELETION: &str = "row 40: a deletion was interrupted";
pub(crate) const RECREATED: &str = "row 41: a stream was made again with the key of a deleted one";
pub(crate) const EMPTY: &str = "row 55: an empty entry was recovered";
const CREATION: &str = "rule 1: the making of a stream was interrupted";
const HALF_ROTATED: &str = "rule 1: a new segment that no record vouches for";
const SET_ASIDE: &str = "repair: a segment without header was set aside";
const REWRITTEN: &str = "repair: what no evidence covers was written again";

fn reached(what: &'static str) {
    tally::count(Group::Reached, what);
}

/// Notes what a recovery met: what was on disk before it, and what it said.
pub fn note(before: &BTreeMap<String, Vec<u8>>, reports: &[RecoveryReport]) {
    for path in before.keys() {
        if path.starts_with(".trash-") {
            reached(DELETION);
        } else if path.starts_with(".new-") && path.ends_with('/') {
            reached(CREATION);
        }
    }
    for report in reports {
        if report.rewritten_len > 0 {
            reached(REWRITTEN);
        }
        if report.set_aside.is_some() {
            reached(SET_ASIDE);
        }
        let Some(torn) = &report.torn else { continue };
        let path = torn.path.to_string_lossy();
        let Some(bytes) = before.get(path.trim_start_matches("sim:").trim_start_matches('/'))
        else {
            continue;
        };
        let rest = usize::try_from(torn.offset).ok().and_then(|offset| bytes.get(offset..));
        let rest = rest.unwrap_or_default();
        // What a whole header begins with, and its checksum is right: then it is the payload.
        let is_header = |at: usize| rest.get(at..).is_some_and(looks_like_header);
        reached(if is_header(0) { TORN_PAYLOAD } else { TORN_HEADER });
        if (8..rest.len()).step_by(8).any(is_header) {
            reached(LATER_LANDED);
        }
    }
    for (path, bytes) in before {
        let is_segment = path.ends_with(SEGMENT_SUFFIX) && !path.starts_with('.');
        if !is_segment {
            continue;
        }
        let is_torn_here = |report: &RecoveryReport| {
            report.torn.as_ref().is_some_and(|torn| torn.path.to_string_lossy().ends_with(path))
        };
        if reports.iter().any(is_torn_here) {
            continue;
        }
        match residue(bytes) {
            Residue::None => {}
            Residue::Zeros => reached(ZERO_TAIL),
            Residue::Bytes => reached(BEHIND_TEAR),
        }
    }
    note_half_rotated(before);
}

/// A segment that no record of the index follows: the newest of two.
fn note_half_rotated(before: &BTreeMap<String, Vec<u8>>) {
    for (path, index) in before.iter().filter(|(path, _)| path.ends_with("/segments.idx")) {
        let Some((dir, _)) = path.split_once('/') else { continue };
        let is_of_dir = |path: &&String| {
            path.ends_with(SEGMENT_SUFFIX) && path.split_once('/').is_some_and(|(of, _)| of == dir)
        };
        let segments = before.keys().filter(is_of_dir).count();
        let records = index.chunks(32).skip(3);
        let sealed = records.filter(|record| record.get(4) == Some(&1)).count();
        if segments > 1 && sealed + 1 < segments {
            reached(HALF_ROTATED);
        }
    }
}

/// What lies behind the last frame that looks whole.
enum Residue {
    None,
    Zeros,
    Bytes,
}

fn looks_like_header(bytes: &[u8]) -> bool {
    const KINDS: std::ops::RangeInclusive<u8> = 0..=2;
    bytes.len() >= 32
        && bytes.first() == Some(&0xA7)
        && bytes.get(1).is_some_and(|kind| KINDS.contains(&(kind & 15)))
}

fn residue(bytes: &[u8]) -> Residue {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| looks_like_header(rest)) {
        let len =
            rest.get(20..24).and_then(|len| len.try_into().ok()).map_or(0, u32::from_le_bytes);
        let len = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(7) & !7;
        match at.checked_add(32).and_then(|at| at.checked_add(len)) {
            Some(end) if end <= bytes.len() => at = end,
            Some(_) | None => return Residue::Bytes,
        }
    }
    match bytes.get(at..).unwrap_or_default() {
        [] => Residue::None,
        rest if rest.iter().all(|byte| *byte == 0) => Residue::Zeros,
        _ => Residue::Bytes,
    }
}
