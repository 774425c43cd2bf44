//! Damage to the index of one stream: it never holds the only copy of an entry.

use ironwal::IndexFinding;
use ironwal_format::index::{IndexRecord, SegmentRecord, encode_record, read_index};
use ironwal_format::names::segment_file_name;
use ironwal_format::{Ordinal, SequenceNumber};

use super::bytes::turn;
use super::damage::Expected;
use super::kind::Kind;
use super::made::{Life, Made};
use super::parse::Stream;
use super::theory::{Said, Theory};
use crate::random::SplitMix64;

const MAGIC: [u8; 8] = *b"\x89IWX\r\n\x1a\n";
/// The keys of all streams here have one length.
const HEADER_LEN: usize = 96;
const RECORD_LEN: usize = 32;

/// What becomes of an index, how it is said, and what has to be found.
pub(super) fn damaged(
    kind: Kind,
    life: &Life,
    made: &Made,
    random: &mut SplitMix64,
) -> Option<(Vec<u8>, String, Expected)> {
    let stream = &life.stream;
    let before = made.files.get(&stream.index())?;
    let mut bytes = before.clone();
    let exactly = |theory: Theory, found| Some(Expected::Exactly(theory, found));
    let (story, expected) = match kind {
        Kind::IndexCut => {
            let at = random.below(before.len());
            bytes.truncate(at);
            let (theory, found) = judged(stream, before, &bytes);
            (format!("the index is cut at byte {at}"), exactly(theory, found))
        }
        Kind::IndexGarbled => {
            let at = random.below(before.len());
            let story = if random.chance(1, 2) {
                turn(&mut bytes, at, random)?
            } else {
                let end = before.len().min(at + 1 + random.below(64));
                for byte in bytes.get_mut(at..end)? {
                    *byte = random.next_u64().to_le_bytes().first().copied()?;
                }
                format!("garbled bytes {at} to {end}")
            };
            let (theory, found) = judged(stream, before, &bytes);
            (format!("{story} of the index"), exactly(theory, found))
        }
        Kind::IndexOld => {
            let older = made.earlier.get(random.below(made.earlier.len().max(1)))?;
            bytes.clone_from(older.get(&stream.index())?);
            let story = "the index is of an earlier time".to_owned();
            (story, Some(of_earlier_time(stream, before, &bytes)))
        }
        Kind::IndexForged => {
            let story = forged(&mut bytes, random)?;
            (story, Some(Expected::Told { below: 0 }))
        }
        Kind::Bit
        | Kind::Byte
        | Kind::HeaderBit
        | Kind::Padding
        | Kind::ZeroSector
        | Kind::GarbledSector
        | Kind::OlderSector
        | Kind::FramesSwapped
        | Kind::Cut
        | Kind::CutAtFrame
        | Kind::FileMissing
        | Kind::FilesSwapped
        | Kind::FilesSwappedBetween
        | Kind::IndexMissing
        | Kind::IndexAhead
        | Kind::ForeignUnknown
        | Kind::ForeignNamed
        | Kind::CopyWhileWriting
        | Kind::OtherLife => return None,
    };
    Some((bytes, format!("{}: {story}", stream.dir), expected?))
}

/// By what is left of the index.
fn judged(stream: &Stream, before: &[u8], after: &[u8]) -> (Theory, IndexFinding) {
    let sound = Theory::sound(stream);
    if before.get(..HEADER_LEN) != after.get(..HEADER_LEN) {
        let version =
            after.get(8..10).is_some_and(|version| version != [0, 0] && version != [1, 0]);
        if after.starts_with(&MAGIC) && version {
            let said = Said::Refused { path: stream.index() };
            return (Theory { said, ..sound }, IndexFinding::Wrong);
        }
        return (sound, IndexFinding::Wrong);
    }
    let records = before.get(HEADER_LEN..).unwrap_or_default().chunks(RECORD_LEN).enumerate();
    let kept: Vec<bool> = records
        .filter(|(_, record)| record.iter().any(|byte| *byte != 0))
        .map(|(at, record)| {
            let at = HEADER_LEN + at * RECORD_LEN;
            after.get(at..at + RECORD_LEN) == Some(record)
        })
        .collect();
    let last = kept.iter().rposition(|kept| *kept);
    let is_wrong = last.is_some_and(|last| kept.iter().take(last).any(|kept| !kept));
    let lowest = stream.segments.first().map_or(0, |first| first.ordinal);
    let has_start = stream.start.is_some() && kept.first() == Some(&true);
    if is_wrong {
        return (sound, IndexFinding::Wrong);
    }
    if lowest > 0 && !has_start {
        // The *start* stands in front, so no record is left.
        return (gone(stream, &[]), IndexFinding::Sound);
    }
    (sound, IndexFinding::Sound)
}

/// The index, of which these records are left, wants segments that were removed.
fn gone(stream: &Stream, records: &[IndexRecord]) -> Theory {
    let sound = Theory::sound(stream);
    let (base, _) = start_of(records).unwrap_or_default();
    // Nothing of them would count where one that is there begins no later.
    if stream.entries.start <= base {
        return sound;
    }
    // Nor does one count that another ends where it begins: the first that is missed is the last of these.
    let wanted = wanted(records).into_iter().filter(|(_, from)| *from <= base);
    let ordinal = wanted.map(|(ordinal, _)| ordinal).max().unwrap_or_default();
    let name = segment_file_name(SequenceNumber::new(base), Ordinal::new(ordinal));
    let said = Said::Damaged { path: format!("{}/{name}", stream.dir), offset: None };
    let theory = Theory { said, cut: Some(base), ..sound };
    if is_end_of(stream, records) { theory.ending_at(stream.entries.start) } else { theory }
}

/// Ordinal and base of each segment that these records name.
fn wanted(records: &[IndexRecord]) -> Vec<(u32, u64)> {
    let (base, ordinal) = start_of(records).unwrap_or_default();
    let mut wanted = vec![(ordinal, base)];
    for record in records {
        match record {
            IndexRecord::Sealed(told) => {
                wanted.push((told.ordinal.get(), told.base.get()));
                // It is made when the next one is durable.
                wanted.push((told.ordinal.get() + 1, told.end.get()));
            }
            IndexRecord::Floor(told) => wanted.push((told.ordinal.get(), told.base.get())),
            IndexRecord::Start(_) => {}
        }
    }
    wanted.retain(|(wanted, _)| *wanted >= ordinal);
    wanted
}

/// Whether the log ends where segments were removed. Then the only one that is there follows one that is
/// missed, behind a gap, and nothing proves any of it: so it counts as what a crash left.
fn is_end_of(stream: &Stream, records: &[IndexRecord]) -> bool {
    let [only] = stream.segments.as_slice() else { return false };
    let is_proven = only.frames.iter().any(|frame| frame.synced > 0)
        || only.dead.iter().any(|(_, synced)| *synced > 0);
    let is_told = wanted(records)
        .iter()
        .any(|(ordinal, base)| (*ordinal, *base) == (only.ordinal, only.entries.start));
    let is_next = wanted(records).iter().any(|(ordinal, _)| *ordinal + 1 == only.ordinal);
    // The ends in records never fall, so the last is that of all that is known.
    let told = records.iter().filter_map(|record| match record {
        IndexRecord::Sealed(told) | IndexRecord::Floor(told) => {
            Some((told.ordinal, told.end.get()))
        }
        IndexRecord::Start(_) => None,
    });
    let known = told.max().map_or(0, |(_, end)| end);
    !is_proven && !is_told && is_next && known < only.entries.start
}

fn of_earlier_time(stream: &Stream, before: &[u8], older: &[u8]) -> Expected {
    if older.get(16..32) != before.get(16..32) {
        // That of another life: it counts for nothing, unless the only segment is then the stranger.
        let end = stream.entries.end;
        let is_alone = stream.segments.len() == 1;
        return if is_alone {
            Expected::Told { below: end }
        } else {
            Expected::Exactly(Theory::sound(stream), IndexFinding::Wrong)
        };
    }
    let Ok(contents) = read_index(older) else {
        return Expected::Told { below: stream.entries.end };
    };
    let records = &*contents.records;
    let (_, ordinal) = start_of(records).unwrap_or_default();
    let lowest = stream.segments.first().map_or(0, |first| first.ordinal);
    if lowest <= ordinal {
        return Expected::Exactly(Theory::sound(stream), IndexFinding::Sound);
    }
    Expected::Exactly(gone(stream, records), IndexFinding::Sound)
}

/// Base and ordinal of the *start* record, if there is one.
fn start_of(records: &[IndexRecord]) -> Option<(u64, u32)> {
    records.iter().find_map(|record| match record {
        IndexRecord::Start(start) => Some((start.base.get(), start.ordinal.get())),
        IndexRecord::Sealed(_) | IndexRecord::Floor(_) => None,
    })
}

/// A record whose checksum is right, and which is not.
fn forged(bytes: &mut [u8], random: &mut SplitMix64) -> Option<String> {
    let contents = read_index(bytes).ok()?;
    let at = random.below(contents.records.len().max(1));
    let record = *contents.records.get(at)?;
    let off = |number: u64, random: &mut SplitMix64| {
        let by = u64::try_from(random.below(5)).unwrap_or_default();
        (number + by).saturating_sub(2)
    };
    let mut forge = |told: SegmentRecord| {
        let len = off(u64::from(told.len / 8), random) * 8;
        SegmentRecord {
            base: SequenceNumber::new(off(told.base.get(), random)),
            end: SequenceNumber::new(off(told.end.get(), random)),
            len: u32::try_from(len).unwrap_or(told.len),
            ordinal: told.ordinal,
        }
    };
    let forged = match record {
        IndexRecord::Sealed(told) => IndexRecord::Sealed(forge(told)),
        IndexRecord::Floor(told) => IndexRecord::Floor(forge(told)),
        IndexRecord::Start(_) => return None,
    };
    let offset = HEADER_LEN + at * RECORD_LEN;
    let record = encode_record(forged, contents.header.id(), u64::try_from(offset).ok()?);
    bytes.get_mut(offset..offset + RECORD_LEN)?.copy_from_slice(&record);
    Some(format!("record {at} of the index says {forged:?}"))
}
