//! Tests of the index: every bit, every cut, every order.

use alloc::{string::ToString as _, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{
    checksum::crc32,
    ids::{Ordinal, SequenceNumber, StreamId},
    names::{MAX_DIR_NAME_LEN, StreamKey},
};

const ID: StreamId = StreamId::new(*b"0123456789abcdef");

fn segment(ordinal: u32, base: u64, end: u64) -> SegmentRecord {
    SegmentRecord {
        base: SequenceNumber::new(base),
        end: SequenceNumber::new(end),
        len: 4096 + ordinal,
        ordinal: Ordinal::new(ordinal),
    }
}

fn sealed(ordinal: u32, base: u64, end: u64) -> IndexRecord {
    IndexRecord::Sealed(segment(ordinal, base, end))
}

fn floor(ordinal: u32, base: u64, end: u64) -> IndexRecord {
    IndexRecord::Floor(segment(ordinal, base, end))
}

fn start(ordinal: u32, base: u64) -> IndexRecord {
    let (base, ordinal) = (SequenceNumber::new(base), Ordinal::new(ordinal));
    IndexRecord::Start(StartRecord { base, ordinal })
}

fn small_records() -> Vec<IndexRecord> {
    vec![start(3, 70), sealed(3, 60, 100), sealed(4, 100, u64::MAX), floor(5, 200, 203)]
}

fn key() -> StreamKey {
    StreamKey::new("User/1").unwrap()
}

fn file(records: &[IndexRecord]) -> Vec<u8> {
    let mut bytes = encode_header(&key(), ID);
    for record in records {
        let offset = bytes.len() as u64;
        bytes.extend(encode_record(*record, ID, offset));
    }
    bytes
}

/// `record` as a newer program would write it: with the byte at `at` set and a valid checksum.
fn newer_record(record: IndexRecord, offset: u64, (at, byte): (usize, u8)) -> [u8; RECORD_LEN] {
    let mut bytes = encode_record(record, ID, offset);
    bytes[at] = byte;
    let checksum = crc32(&[&ID.get(), &offset.to_le_bytes(), &bytes[4..]]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// A header with the bytes at `at` set and a valid checksum.
fn crafted_header(key: &StreamKey, at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = encode_header(key, ID);
    bytes[at..at + with.len()].copy_from_slice(with);
    let checksum = crc32(&[&bytes[..12], &bytes[16..]]);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn an_index_comes_back() {
    let contents = read_index(&file(&small_records())).unwrap();
    assert_eq!(contents.header.key(), &key());
    assert_eq!(contents.header.id(), ID);
    assert_eq!(contents.header.records_offset(), 96);
    assert_eq!(contents.records, small_records());
    assert_eq!((contents.bad, contents.newer, contents.end), (None, None, IndexEnd::Whole));
}

/// The bytes of version 1 never change: a file of today is read forever.
#[test]
fn the_bytes_are_as_drawn() {
    let bytes = file(&[sealed(7, 0x0102_0304, 0x0A0B_0C0D)]);
    assert_eq!(bytes[..12], *b"\x89IWX\r\n\x1a\n\x01\0\0\0");
    assert_eq!(bytes[16..34], *b"0123456789abcdef\x06\0");
    assert_eq!(bytes[34..64], [0; 30]);
    assert_eq!(bytes[64..96], *b"User/1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(
        bytes[100..128],
        *b"\x01\0\0\0\x04\x03\x02\x01\0\0\0\0\x0d\x0c\x0b\x0a\0\0\0\0\x07\x10\0\0\x07\0\0\0"
    );
}

#[test]
fn records_begin_at_a_multiple_of_32_behind_every_key() {
    for len in 1..=MAX_DIR_NAME_LEN {
        let key = StreamKey::new(&"k".repeat(len)).unwrap();
        let bytes = encode_header(&key, ID);
        let header = decode_header(&bytes).unwrap();
        assert_eq!(header.key(), &key);
        assert_eq!(header.records_offset(), bytes.len() as u64);
        assert_eq!(bytes.len() % 32, 0);
        assert!(bytes.len() - 64 - len < 32);
    }
}

#[test]
fn every_turned_bit_is_found_and_hides_nothing_else() {
    let records = small_records();
    let whole = file(&records);
    for bit in 0..whole.len() * 8 {
        let at = bit / 8;
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (bit % 8);
        if at < 96 {
            let error = read_index(&bytes).unwrap_err();
            assert_eq!(error == IndexError::NotOurs, at < 8);
            // Turning bit 0 of the version makes it 0, which no checksum covers for.
            assert_eq!(error.is_newer(), (65..80).contains(&bit));
            assert_eq!(error.is_damage(), at >= 8 && !error.is_newer());
            continue;
        }
        let broken = (at - 96) / 32;
        let offset = 96 + 32 * broken as u64;
        let contents = read_index(&bytes).unwrap();
        let mut rest = records.clone();
        rest.remove(broken);
        assert_eq!(contents.records, rest);
        assert_eq!(contents.newer, None);
        if broken == records.len() - 1 {
            assert_eq!((contents.bad, contents.end), (None, IndexEnd::Torn { at: offset }));
        } else {
            assert_eq!(contents.bad, Some(BadRecords { first: offset, count: 1 }));
            assert_eq!(contents.end, IndexEnd::Whole);
        }
    }
}

#[test]
fn every_cut_is_a_short_header_or_a_torn_end() {
    let records = small_records();
    let whole = file(&records);
    for len in 0..=whole.len() {
        let result = read_index(&whole[..len]);
        if len < 96 {
            let needed = if len < 64 { 64 } else { 96 };
            assert_eq!(result, Err(IndexError::Short { len: len as u64, needed }));
            continue;
        }
        let contents = result.unwrap();
        let count = (len - 96) / 32;
        assert_eq!(contents.records, records[..count]);
        assert_eq!(contents.bad, None);
        let end = match (len - 96) % 32 {
            0 => IndexEnd::Whole,
            _ => IndexEnd::Torn { at: 96 + 32 * count as u64 },
        };
        assert_eq!(contents.end, end);
    }
}

#[test]
fn bad_records_are_damage_only_before_a_valid_one() {
    let records = small_records();
    let whole = file(&records);
    // Each of the four is valid, zero, or holds something else.
    for choice in 0..81_usize {
        let states = [choice % 3, choice / 3 % 3, choice / 9 % 3, choice / 27];
        let mut bytes = whole.clone();
        for (state, record) in states.iter().zip(bytes[96..].chunks_mut(32)) {
            if *state > 0 {
                record.fill(if *state == 1 { 0 } else { 0x5A });
            }
        }
        let contents = read_index(&bytes).unwrap();
        let valid = states.iter().rposition(|state| *state == 0).map_or(0, |at| at + 1);
        let bad: Vec<usize> = (0..valid).filter(|at| states[*at] > 0).collect();
        let bad = bad
            .first()
            .map(|at| BadRecords { first: 96 + 32 * *at as u64, count: bad.len() as u64 });
        assert_eq!(contents.bad, bad);
        let torn = IndexEnd::Torn { at: 96 + 32 * valid as u64 };
        assert_eq!(contents.end, if valid == 4 { IndexEnd::Whole } else { torn });
        assert_eq!(contents.records.len(), states.iter().filter(|state| **state == 0).count());
    }
}

#[test]
fn records_of_another_place_or_stream_never_pass() {
    let whole = file(&small_records());
    for (a, b) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        let mut bytes = whole.clone();
        let mut records: Vec<[u8; 32]> = whole[96..].as_chunks().0.to_vec();
        records.swap(a, b);
        bytes[96..].copy_from_slice(&records.concat());
        assert_eq!(read_index(&bytes).unwrap().records.len(), 2);
    }
    let other = StreamId::new(*b"0123456789abcdeg");
    let mut bytes = encode_header(&key(), other);
    bytes.extend(&whole[96..]);
    assert_eq!(read_index(&bytes).unwrap().records, []);
    assert_eq!(
        decode_record(&[0; RECORD_LEN], ID, 96).unwrap_err().to_string(),
        "index record is zero"
    );
}

#[test]
fn a_valid_record_that_is_not_understood_is_newer_and_not_bad() {
    let cases = [
        (sealed(0, 0, 9), (4, 0), 0),
        (sealed(0, 0, 9), (4, 4), 4),
        (sealed(0, 0, 9), (5, 1), 1),
        (floor(0, 0, 9), (7, 0x80), 3),
        (start(0, 0), (16, 1), 2),
        (start(0, 0), (27, 1), 2),
    ];
    for (record, change, kind) in cases {
        let mut bytes = file(&[sealed(0, 0, 1)]);
        bytes.extend([0x11; 32]);
        bytes.extend(newer_record(record, 160, change));
        let contents = read_index(&bytes).unwrap();
        assert_eq!(contents.newer, Some(NewerRecord { offset: 160, kind }));
        assert_eq!(contents.records, [sealed(0, 0, 1)]);
        assert_eq!(contents.bad, Some(BadRecords { first: 128, count: 1 }));
        assert_eq!(contents.end, IndexEnd::Whole);
    }
}

#[test]
fn a_header_is_not_ours_or_newer_before_anything_else_is_judged() {
    assert_eq!(decode_header(b"hello"), Err(IndexError::NotOurs));
    assert_eq!(decode_header(&[0; 96]), Err(IndexError::NotOurs));
    let mut bytes = encode_header(&key(), ID);
    bytes[9] = 1;
    bytes.truncate(10);
    assert_eq!(decode_header(&bytes), Err(IndexError::Newer { version: 257 }));
    assert_eq!(decode_header(b""), Err(IndexError::Short { len: 0, needed: 64 }));
}

/// Nothing but the header of a file that is too long is looked at.
#[test]
fn a_file_of_the_greatest_length_is_read_and_a_longer_one_is_not() {
    let header = encode_header(&key(), ID);
    let mut bytes = alloc::vec![0; crate::cast::usize_from(MAX_INDEX_LEN) + 1];
    bytes[..header.len()].copy_from_slice(&header);
    assert_eq!(read_index(&bytes), Err(IndexError::TooLong { len: MAX_INDEX_LEN + 1 }));
    assert!(IndexError::TooLong { len: 0 }.is_damage());
    bytes.pop();
    let contents = read_index(&bytes).unwrap();
    assert_eq!(contents.end, IndexEnd::Torn { at: header.len() as u64 });
    assert_eq!((contents.records, contents.bad), (Vec::new(), None));
}

#[test]
fn a_crafted_header_with_a_valid_checksum_is_refused() {
    for (at, with) in [(8, 0), (10, 1), (34, 1), (63, 1), (95, 1)] {
        let bytes = crafted_header(&key(), at, &[with]);
        assert_eq!(decode_header(&bytes), Err(IndexError::Reserved));
    }
    let not_utf8 = crafted_header(&key(), 64, b"ab\xff");
    assert_eq!(decode_header(&not_utf8), Err(IndexError::KeyNotUtf8 { valid_up_to: 2 }));
    let key_len = crafted_header(&key(), 32, &[241]);
    assert_eq!(decode_header(&key_len), Err(IndexError::KeyLen { len: 241 }));
    let long = StreamKey::new(&"a".repeat(240)).unwrap();
    let error = decode_header(&crafted_header(&long, 64, b"/")).unwrap_err();
    assert!(matches!(error, IndexError::Key(_)), "{error}");
    let mut empty = encode_header(&key(), ID);
    empty.truncate(64);
    empty[32] = 0;
    let checksum = crc32(&[&empty[..12], &empty[16..]]);
    empty[12..16].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(decode_header(&empty), Err(IndexError::Key(crate::names::KeyError::Empty)));
}

fn ends(known: &IndexKnowledge) -> Vec<(u32, u64)> {
    known.sealed.iter().map(|(ordinal, segment)| (ordinal.get(), segment.end.get())).collect()
}

#[test]
fn later_records_replace_earlier_ones() {
    let known = IndexKnowledge::of(&[
        start(1, 5),
        sealed(0, 0, 10),
        sealed(2, 20, 30),
        floor(3, 25, 26),
        sealed(2, 20, 25),
        floor(3, 25, 29),
        start(2, 21),
    ]);
    assert_eq!(ends(&known), [(2, 25)]);
    assert_eq!(known.start.map(IndexRecord::Start), Some(start(2, 21)));
    assert_eq!(known.floor, Some(segment(3, 25, 29)));
}

#[test]
fn a_floor_that_a_sealed_record_or_a_start_overtook_is_dropped() {
    let known = IndexKnowledge::of(&[floor(1, 10, 15), sealed(1, 10, 20)]);
    assert_eq!((ends(&known), known.floor), (vec![(1, 20)], None));
    assert_eq!(IndexKnowledge::of(&[start(2, 30), floor(1, 10, 15)]).floor, None);
    // A floor of an ordinal that has no sealed record keeps its weight.
    let known = IndexKnowledge::of(&[floor(1, 10, 15), sealed(2, 20, 30)]);
    assert_eq!(known.floor, Some(segment(1, 10, 15)));
}

#[test]
fn a_later_base_makes_older_records_moot() {
    // Rolled back from 150 to 40, which lies in the first segment.
    let known = IndexKnowledge::of(&[sealed(0, 0, 100), sealed(1, 100, 40), floor(2, 40, 60)]);
    assert_eq!(ends(&known), [(0, 40), (1, 40)]);
    assert_eq!(known.floor, Some(segment(2, 40, 60)));
    // The sealed record alone tells it, and so does the floor alone.
    let known = IndexKnowledge::of(&[sealed(0, 0, 100), sealed(1, 100, 40)]);
    assert_eq!(ends(&known), [(0, 40), (1, 40)]);
    let known = IndexKnowledge::of(&[floor(2, 40, 60), sealed(0, 0, 100), sealed(1, 100, 200)]);
    assert_eq!(ends(&known), [(0, 40), (1, 40)]);
    // A floor of a lower ordinal is lowered like a sealed record.
    let known = IndexKnowledge::of(&[sealed(2, 12, 30), floor(1, 10, 15), sealed(0, 0, 10)]);
    assert_eq!(known.floor, Some(segment(1, 10, 12)));
    assert_eq!(ends(&known), [(0, 10), (2, 30)]);
    // Lengths stay, and a start is the base of no segment.
    let known = IndexKnowledge::of(&[start(0, 7), sealed(0, 0, 100), sealed(1, 50, 90)]);
    let mut moot = segment(0, 0, 50);
    moot.len = 4096;
    assert_eq!(known.sealed.get(&Ordinal::ZERO), Some(&moot));
}

fn any_record() -> impl Strategy<Value = IndexRecord> {
    (0..3, 0..6_u32, 0..8_u64, 0..8_u64).prop_map(|(kind, ordinal, base, end)| match kind {
        0 => start(ordinal / 2, base),
        1 => sealed(ordinal, base, end),
        _ => floor(ordinal, base, end),
    })
}

proptest! {
    #[test]
    fn any_record_comes_back(kind in 0..3, base: u64, end: u64, len: u32, ordinal: u32, at: u64) {
        let segment = SegmentRecord { len, ..segment(0, base, end) };
        let segment = SegmentRecord { ordinal: Ordinal::new(ordinal), ..segment };
        let record = match kind {
            0 => start(ordinal, base),
            1 => IndexRecord::Sealed(segment),
            _ => IndexRecord::Floor(segment),
        };
        prop_assert_eq!(decode_record(&encode_record(record, ID, at), ID, at), Ok(record));
        prop_assert_eq!(record.ordinal(), Ordinal::new(ordinal));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, head in 0..120_usize) {
        if let Ok(contents) = read_index(&bytes) {
            IndexKnowledge::of(&contents.records);
        }
        // Behind a valid header, and behind a part of one.
        let mut tail = file(&[sealed(0, 0, 1)]);
        tail.truncate(head);
        tail.extend(bytes);
        if let Ok(contents) = read_index(&tail) {
            prop_assert!(contents.records.len() <= 1);
        }
    }

    /// The rule of the documentation, said once more without the single pass.
    #[test]
    fn ends_are_lowered_to_the_lowest_later_base(
        records in proptest::collection::vec(any_record(), 0..12)
    ) {
        let known = IndexKnowledge::of(&records);
        let first = known.start.map_or(0, |start| start.ordinal.get());
        let mut last = [None; 6];
        for record in &records {
            if let IndexRecord::Sealed(segment) = record && segment.ordinal.get() >= first {
                last[segment.ordinal.get() as usize] = Some(*segment);
            }
        }
        let mut bases: Vec<(u32, u64)> = Vec::new();
        for segment in last.iter().flatten() {
            bases.push((segment.ordinal.get(), segment.base.get()));
            bases.push((segment.ordinal.get() + 1, segment.end.get()));
        }
        bases.extend(known.floor.map(|floor| (floor.ordinal.get(), floor.base.get())));
        let expected: Vec<(u32, u64)> = last.iter().flatten().map(|segment| {
            let ordinal = segment.ordinal.get();
            let later = bases.iter().filter(|(o, _)| *o > ordinal).map(|(_, base)| *base);
            (ordinal, later.fold(segment.end.get(), u64::min))
        }).collect();
        prop_assert_eq!(ends(&known), expected);
    }
}
