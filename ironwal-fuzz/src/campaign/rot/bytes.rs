//! Damage to the bytes of one segment.

use std::ops::Range;

use super::kind::Kind;
use super::made::Made;
use super::parse::Segment;
use crate::random::SplitMix64;

const SECTOR_LEN: usize = 512;

/// Turns a bit of a byte, or changes it in any way.
fn garble(bytes: &mut [u8], at: usize, random: &mut SplitMix64) -> Option<u8> {
    let byte = bytes.get_mut(at)?;
    let other = random.below(255) + 1;
    *byte ^= u8::try_from(other).unwrap_or(1);
    Some(*byte)
}

/// Turns a bit of the byte at `at`, and says so.
pub(super) fn turn(bytes: &mut [u8], at: usize, random: &mut SplitMix64) -> Option<String> {
    let bit = random.below(8);
    *bytes.get_mut(at)? ^= 1 << bit;
    Some(format!("turned bit {bit} of byte {at}"))
}

/// What becomes of a segment, and how it is said; nothing if the segment has no place for this.
pub(super) fn damaged(
    kind: Kind,
    (segment, before): (&Segment, &[u8]),
    made: &Made,
    random: &mut SplitMix64,
) -> Option<(Vec<u8>, String)> {
    let used = segment.frames.last().map_or(segment.header_len, |last| last.at.end);
    // Most of it where something is.
    let reach = if random.chance(1, 8) { before.len() } else { before.len().min(used + 40) };
    let mut bytes = before.to_vec();
    let story = match kind {
        Kind::Byte => {
            let at = random.below(reach.max(1));
            let now = garble(&mut bytes, at, random)?;
            format!("byte {at} is {now:#04x}")
        }
        Kind::Bit | Kind::HeaderBit | Kind::Padding => {
            let at = if kind == Kind::HeaderBit {
                random.below(segment.header_len)
            } else if kind == Kind::Padding {
                padding(segment, random)?
            } else {
                random.below(reach.max(1))
            };
            turn(&mut bytes, at, random)?
        }
        Kind::ZeroSector | Kind::GarbledSector | Kind::OlderSector => {
            let start = random.below(reach.div_ceil(SECTOR_LEN).max(1)) * SECTOR_LEN;
            let sector = start..before.len().min(start + SECTOR_LEN);
            sector_of(kind, (segment, sector), &mut bytes, made, random)?
        }
        Kind::FramesSwapped => swap_frames(segment, &mut bytes, random)?,
        Kind::Cut => {
            let at = random.below(reach.max(1));
            bytes.truncate(at);
            format!("cut at byte {at}")
        }
        Kind::CutAtFrame => {
            let frame = segment.frames.get(random.below(segment.frames.len().max(1)))?;
            bytes.truncate(frame.at.start);
            format!("cut at byte {}, between two frames", frame.at.start)
        }
        Kind::FileMissing
        | Kind::FilesSwapped
        | Kind::FilesSwappedBetween
        | Kind::IndexMissing
        | Kind::IndexCut
        | Kind::IndexGarbled
        | Kind::IndexOld
        | Kind::IndexForged
        | Kind::IndexAhead
        | Kind::ForeignUnknown
        | Kind::ForeignNamed
        | Kind::CopyWhileWriting
        | Kind::OtherLife => return None,
    };
    (bytes != before).then_some((bytes, story))
}

/// A byte of the padding of a frame.
fn padding(segment: &Segment, random: &mut SplitMix64) -> Option<usize> {
    let padded = segment.frames.iter().filter(|frame| frame.payload_end < frame.at.end);
    let padded: Vec<_> = padded.collect();
    let frame = padded.get(random.below(padded.len().max(1)))?;
    Some(frame.payload_end + random.below(frame.at.end - frame.payload_end))
}

fn sector_of(
    kind: Kind,
    (segment, sector): (&Segment, Range<usize>),
    bytes: &mut [u8],
    made: &Made,
    random: &mut SplitMix64,
) -> Option<String> {
    if kind == Kind::ZeroSector {
        bytes.get_mut(sector.clone())?.fill(0);
        return Some(format!("zeroed bytes {sector:?}"));
    }
    if kind == Kind::GarbledSector {
        for byte in bytes.get_mut(sector.clone())? {
            *byte = random.next_u64().to_le_bytes().first().copied()?;
        }
        return Some(format!("garbled bytes {sector:?}"));
    }
    let older = made.earlier.get(random.below(made.earlier.len().max(1)))?;
    let older = older.get(&segment.path).map(Vec::as_slice).unwrap_or_default();
    // That of another life would be a stranger's.
    if older.get(48..64) != bytes.get(48..64) && !older.is_empty() {
        return None;
    }
    for at in sector.clone() {
        *bytes.get_mut(at)? = older.get(at).copied().unwrap_or_default();
    }
    Some(format!("bytes {sector:?} are of an older version"))
}

fn swap_frames(segment: &Segment, bytes: &mut Vec<u8>, random: &mut SplitMix64) -> Option<String> {
    let count = segment.frames.len().max(1);
    let (one, other) = (random.below(count), random.below(count));
    let a = segment.frames.get(one.min(other))?.at.clone();
    let b = segment.frames.get(one.max(other))?.at.clone();
    let (front, between) = (bytes.get(..a.start)?, bytes.get(a.end..b.start)?);
    let rest = bytes.get(b.end..)?;
    *bytes = [front, bytes.get(b.clone())?, between, bytes.get(a.clone())?, rest].concat();
    Some(format!("swapped the frames at {} and {}", a.start, b.start))
}
