//! The rows of the failure catalogue that damage makes come about.

use super::damage::{Damage, Expected};
use super::kind::Kind;
use super::made::Made;
use super::parse::Stream;
use super::theory::{Index, Said, Sight, Theory};
use crate::tally::{self, Group};

const ROW_5: &str = "row 5: a zeroed sector in what was acknowledged";
const ROW_8: &str = "row 8: rot in a sealed segment, told by readers";
const ROW_9: &str = "row 9: rot in the active segment, covered by evidence";
const ROW_10_PROVEN: &str = "row 10: rot in the last frame, covered by the floor";
const ROW_10_TORN: &str = "row 10: rot in the last frame, torn and reported";
const ROW_10_BIT: &str = "row 10: one turned bit in the last frame, with the hint";
const ROW_11_DAMAGED: &str = "row 11: rot in a segment header, proven by others";
const ROW_11_ASIDE: &str = "row 11: rot in a segment header that nothing vouches for";
const ROW_11_NO_ID: &str = "row 11: no header and no index tell which life it is";
const ROW_11_FOREIGN: &str = "row 11: a segment header that says another version or magic";
const ROW_12: &str = "row 12: rot in padding";
const ROW_13_FRAMES: &str = "row 13: two frames swapped";
const ROW_13_FILES: &str = "row 13: two files swapped";
const ROW_13_STREAMS: &str = "row 13: two files of two streams swapped";
const ROW_17: &str = "row 17: the active segment is missing, and missed";
const ROW_17_SILENT: &str = "row 17: the active segment is missing, and nothing knew of it";
const ROW_18: &str = "row 18: a segment in the middle is missing";
const ROW_33: &str = "row 33: the index is cut or garbled, and mended";
const ROW_33_MISSED: &str = "row 33: the index is cut, and misses what was truncated";
const ROW_34: &str = "row 34: the index is missing";
const ROW_34_ROT: &str = "row 34: the index is missing, and the frames themselves prove damage";
const ROW_35: &str = "row 35: an older index";
const ROW_35_MISSED: &str = "row 35: an older index that misses what was truncated";
const ROW_36: &str = "row 36: the index is ahead of the data";
const ROW_37: &str = "row 37: an index record that says something else";
const ROW_41: &str = "row 41: a file of the life that was deleted";
const ROW_50: &str = "row 50: a foreign file";
const ROW_50_NAMED: &str = "row 50: a foreign file with one of our names";
const ROW_59: &str = "row 59: a copy taken while writing";
const ROW_66_PROVEN: &str = "row 66: cut between frames, and missed";
const ROW_66_SILENT: &str = "row 66: cut between frames that nothing vouches for";

/// All that has to come about. The silent row 17 is not among it: each rotation is synced at once, so the
/// record of the segment in front names the active one in every image that is whole.
pub(super) const MUST_REACH: [&str; 30] = [
    ROW_5,
    ROW_8,
    ROW_9,
    ROW_10_PROVEN,
    ROW_10_TORN,
    ROW_10_BIT,
    ROW_11_DAMAGED,
    ROW_11_ASIDE,
    ROW_11_NO_ID,
    ROW_11_FOREIGN,
    ROW_12,
    ROW_13_FRAMES,
    ROW_13_FILES,
    ROW_13_STREAMS,
    ROW_17,
    ROW_18,
    ROW_33,
    ROW_33_MISSED,
    ROW_34,
    ROW_34_ROT,
    ROW_35,
    ROW_35_MISSED,
    ROW_36,
    ROW_37,
    ROW_41,
    ROW_50,
    ROW_50_NAMED,
    ROW_59,
    ROW_66_PROVEN,
    ROW_66_SILENT,
];

/// Counts what came about; it was as it had to be.
pub(super) fn note(made: &Made, damage: &Damage) {
    let count = |row| tally::count(Group::Reached, row);
    match damage.kind {
        Kind::Padding => count(ROW_12),
        Kind::FramesSwapped => count(ROW_13_FRAMES),
        Kind::FilesSwapped => count(ROW_13_FILES),
        Kind::FilesSwappedBetween => count(ROW_13_STREAMS),
        Kind::IndexMissing => count(ROW_34),
        Kind::IndexAhead => count(ROW_36),
        Kind::IndexForged => count(ROW_37),
        Kind::OtherLife => count(ROW_41),
        Kind::ForeignUnknown => count(ROW_50),
        Kind::ForeignNamed => count(ROW_50_NAMED),
        Kind::CopyWhileWriting => count(ROW_59),
        Kind::Bit
        | Kind::Byte
        | Kind::HeaderBit
        | Kind::ZeroSector
        | Kind::GarbledSector
        | Kind::OlderSector
        | Kind::Cut
        | Kind::CutAtFrame
        | Kind::FileMissing
        | Kind::IndexCut
        | Kind::IndexGarbled
        | Kind::IndexOld => {}
    }
    for (at, expected) in &damage.expected {
        let Expected::Exactly(theory, _) = expected else { continue };
        let Some(life) = made.lives.get(*at) else { continue };
        note_theory(&life.stream, damage, theory);
    }
}

/// Counts by theory what was said: that this was so was compared before. So the counts of what has
/// evidence and what has none are those of theory.
fn note_theory(stream: &Stream, damage: &Damage, theory: &Theory) {
    let count = |row| tally::count(Group::Reached, row);
    let by_theory = match &theory.said {
        Said::Nothing if theory.sight == Sight::Hidden => "by theory: told by readers",
        Said::Nothing if theory.end < stream.entries.end => "by theory: shorter, nothing knows",
        Said::Nothing => "by theory: nothing is lost",
        Said::Torn { .. } => "by theory: torn",
        Said::SetAside { .. } => "by theory: set aside",
        Said::Damaged { .. } => "by theory: damaged",
        Said::Refused { .. } => "by theory: refused",
    };
    tally::count(Group::Verdict, by_theory);
    let is_last = damage.segment.is_some_and(|at| at + 1 == stream.segments.len());
    let segment = damage.segment.and_then(|at| stream.segments.get(at));
    let last_frame = segment.and_then(|segment| segment.frames.last());
    let is_last_frame = |offset: u64| {
        let start = last_frame.and_then(|last| u64::try_from(last.at.start).ok());
        is_last && start == Some(offset)
    };
    let is_frame = |offset: u64| segment.is_some_and(|_| offset > 0);
    match (damage.kind, &theory.said) {
        (Kind::ZeroSector, Said::Damaged { .. }) => count(ROW_5),
        (Kind::FileMissing, Said::Damaged { .. }) => count(if is_last { ROW_17 } else { ROW_18 }),
        (Kind::FileMissing, Said::Nothing) if is_last => count(ROW_17_SILENT),
        (Kind::IndexCut, Said::Damaged { .. }) => count(ROW_33_MISSED),
        (Kind::IndexCut | Kind::IndexGarbled, Said::Nothing) => count(ROW_33),
        (Kind::IndexOld, Said::Damaged { .. }) => count(ROW_35_MISSED),
        (Kind::IndexOld, Said::Nothing) => count(ROW_35),
        (Kind::CutAtFrame, Said::Damaged { .. }) => count(ROW_66_PROVEN),
        (Kind::CutAtFrame, Said::Nothing) if theory.end < stream.entries.end => {
            count(ROW_66_SILENT);
        }
        _ => {}
    }
    if segment.is_none() {
        return;
    }
    match &theory.said {
        Said::Nothing if theory.sight == Sight::Hidden && !theory.losses.is_empty() => count(ROW_8),
        Said::Torn { offset, turned_bit, .. } if is_last_frame(*offset) => {
            count(ROW_10_TORN);
            if turned_bit.is_some() {
                count(ROW_10_BIT);
            }
        }
        Said::Damaged { offset: Some(offset), .. } if is_frame(*offset) => {
            if damage.index == Index::Missing {
                count(ROW_34_ROT);
            } else if is_last_frame(*offset) {
                count(ROW_10_PROVEN);
            } else if is_last {
                count(ROW_9);
            }
        }
        Said::Damaged { offset: Some(0), .. } if theory.sight == Sight::Unreadable => {
            count(ROW_11_NO_ID);
        }
        Said::Damaged { offset: Some(0), .. } => count(ROW_11_DAMAGED),
        Said::SetAside { .. } => count(ROW_11_ASIDE),
        Said::Refused { .. } => count(ROW_11_FOREIGN),
        Said::Nothing | Said::Torn { .. } | Said::Damaged { .. } => {}
    }
}
