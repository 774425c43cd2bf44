//! Segment headers, indexes and names; and bytes that are none of them.

use ironwal_format::checksum::Salt;
use ironwal_format::compress::{plain_len, unpack_lz4};
use ironwal_format::frame::{FRAME_HEADER_LEN, FrameHeader};
use ironwal_format::index::{
    IndexRecord, RECORD_LEN, SegmentRecord, StartRecord, decode_record, encode_header,
    encode_record, read_index,
};
use ironwal_format::names::{RootName, StreamFileName, segment_file_name, torn_file_name};
use ironwal_format::payload::entry_range;
use ironwal_format::scan::{ScanFrom, scan};
use ironwal_format::seal::{Seal, SparseTable};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber, StreamKey, cast};

use super::{bytes, differs, id, number, number32, turned};
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::tally::{self, Group};

fn key(random: &mut SplitMix64) -> Option<StreamKey> {
    let len = 1 + random.below(40);
    let end = [0x7b, 0x80, 0x500, 0x11_0000].get(random.below(4)).copied().unwrap_or(0x80);
    let text: String =
        (0..len).filter_map(|_| char::from_u32(u32::try_from(random.below(end)).ok()?)).collect();
    StreamKey::new(&text).ok()
}

pub(super) fn check_segment_header(random: &mut SplitMix64) -> Result<(), Violation> {
    let Some(key) = key(random) else { return Ok(()) };
    let header = SegmentHeader {
        base: SequenceNumber::new(number(random)),
        ordinal: Ordinal::new(number32(random)),
        id: id(random),
        key,
        created_unix_nanos: number(random),
    };
    let whole = header.encode();
    if SegmentHeader::decode(&whole).as_ref() != Ok(&header) {
        return Err(differs(format!("{header:?} is not what it was")));
    }
    let seal = Seal {
        entry_count: number(random),
        frame_count: number32(random),
        table: SparseTable::default(),
    };
    let mut prepared = seal.prepare();
    let place = ironwal_format::frame::Placement {
        salt: Salt::NONE,
        offset: 1 << 20,
        base: header.base,
        synced_len: 0,
    };
    let payload = prepared.place(place).get(FRAME_HEADER_LEN..).unwrap_or_default().to_vec();
    match Seal::decode(&payload) {
        Ok(found) if found.entry_count == seal.entry_count => {}
        found => return Err(differs(format!("{seal:?} is {found:?}"))),
    }
    for len in 0..whole.len() {
        if SegmentHeader::decode(whole.get(..len).unwrap_or_default()).is_ok() {
            return Err(differs(format!("a segment header is whole with {len} bytes")));
        }
    }
    for bit in 0..whole.len() * 8 {
        if let Ok(found) = SegmentHeader::decode(&turned(&whole, bit)) {
            return Err(differs(format!("with bit {bit} turned, a segment header is {found:?}")));
        }
    }
    Ok(())
}

fn record(random: &mut SplitMix64) -> IndexRecord {
    let (base, ordinal) = (SequenceNumber::new(number(random)), Ordinal::new(number32(random)));
    let segment = SegmentRecord {
        base,
        end: SequenceNumber::new(number(random)),
        len: number32(random),
        ordinal,
    };
    match random.below(3) {
        0 => IndexRecord::Sealed(segment),
        1 => IndexRecord::Floor(segment),
        _ => IndexRecord::Start(StartRecord { base, ordinal }),
    }
}

/// The records that are found are those that were written, up to where the file is cut; and all but
/// those that a turned bit is in.
pub(super) fn check_index(random: &mut SplitMix64) -> Result<(), Violation> {
    let Some(key) = key(random) else { return Ok(()) };
    let id = id(random);
    let mut file = encode_header(&key, id);
    let start = file.len();
    let records: Vec<_> = (0..random.below(6)).map(|_| record(random)).collect();
    for record in &records {
        let encoded = encode_record(*record, id, cast::u64_from(file.len()));
        if decode_record(&encoded, id, cast::u64_from(file.len())) != Ok(*record) {
            return Err(differs(format!("{record:?} is not what it was")));
        }
        file.extend_from_slice(&encoded);
    }
    for len in 0..=file.len() {
        let found = read_index(file.get(..len).unwrap_or_default());
        let whole = len.checked_sub(start).map(|rest| rest / RECORD_LEN);
        match (found, whole) {
            (Err(_), None) => {}
            (Ok(found), Some(whole))
                if found.header.key() == &key
                    && found.header.id() == id
                    && found.bad.is_none()
                    && Some(found.records.as_slice()) == records.get(..whole) => {}
            (found, _) => {
                return Err(differs(format!("{len} bytes of {records:?} are {found:?}")));
            }
        }
    }
    tally::count(Group::Reached, "rule: an index with a torn end");
    for bit in 0..file.len() * 8 {
        let Ok(found) = read_index(&turned(&file, bit)) else { continue };
        let mut expected = records.clone();
        match (bit / 8).checked_sub(start) {
            None => return Err(differs(format!("a header with bit {bit} turned is read"))),
            Some(at) => drop(expected.drain(at / RECORD_LEN..=at / RECORD_LEN)),
        }
        if found.records != expected {
            let what = format!("with bit {bit} turned, {records:?} are {:?}", found.records);
            return Err(differs(what));
        }
    }
    Ok(())
}

pub(super) fn check_names(random: &mut SplitMix64) -> Result<(), Violation> {
    if let Some(key) = key(random) {
        let name = key.dir_name();
        if StreamKey::decode_dir_name(&name).as_ref() != Ok(&key) {
            return Err(differs(format!("{key} is not what {name} says")));
        }
        if RootName::of(&name) != RootName::Stream(key.clone()) {
            return Err(differs(format!("{name} is not a stream")));
        }
        // A name says one key, and only that one makes it.
        let at = random.below(name.len());
        let other: String =
            name.char_indices().map(|(n, c)| if n == at { 'q' } else { c }).collect();
        if let RootName::Stream(found) = RootName::of(&other)
            && found.dir_name() != other
        {
            return Err(differs(format!("{other} is taken for {}", found.dir_name())));
        }
    }
    let (base, ordinal) = (SequenceNumber::new(number(random)), Ordinal::new(number32(random)));
    let n = number32(random);
    let name = segment_file_name(base, ordinal);
    let torn = torn_file_name(base, ordinal, n);
    if StreamFileName::of(&name) != (StreamFileName::Segment { base, ordinal })
        || StreamFileName::of(&torn) != (StreamFileName::Torn { base, ordinal, n })
    {
        return Err(differs(format!("{name} or {torn} is not what it was")));
    }
    Ok(())
}

/// Nothing here panics or answers with more than it was given.
pub(super) fn check_anything(random: &mut SplitMix64) -> Result<(), Violation> {
    let len = random.below(600);
    let any = bytes(random, len);
    let marked = [&[0xA7, 0x12][..], &any].concat();
    for bytes in [&any, &marked] {
        if let Some(header) = bytes.first_chunk::<FRAME_HEADER_LEN>()
            && let Ok(found) = FrameHeader::decode(header, Salt::NONE, number(random))
        {
            return Err(differs(format!("bytes that are nothing are {found:?}")));
        }
        if let Ok(found) = SegmentHeader::decode(bytes) {
            return Err(differs(format!("bytes that are nothing are {found:?}")));
        }
        if let (Ok(said), Ok(plain)) = (plain_len(bytes), unpack_lz4(bytes))
            && plain.len() != cast::usize_from_u32(said)
        {
            return Err(differs(format!("{} bytes came, {said} were said", plain.len())));
        }
        drop((read_index(bytes), Seal::decode(bytes)));
        let count = 1 + number32(random) % 100;
        let index = number32(random) % count;
        if let Ok(range) = entry_range(bytes, count, index)
            && bytes.get(range.clone()).is_none()
        {
            return Err(differs(format!("{range:?} is not in {} bytes", bytes.len())));
        }
        let text = String::from_utf8_lossy(bytes);
        drop((RootName::of(&text), StreamFileName::of(&text)));
        let from = ScanFrom {
            salt: Salt::NONE,
            base: SequenceNumber::ZERO,
            offset: 0,
            limit: SequenceNumber::MAX,
        };
        let Ok(found) = scan(&mut bytes.as_slice(), from);
        if found.frame_count > 0 || found.next != SequenceNumber::ZERO {
            return Err(differs(format!("bytes that are nothing hold {found:?}")));
        }
    }
    Ok(())
}
