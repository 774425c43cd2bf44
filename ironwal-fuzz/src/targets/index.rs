//! Any bytes as the index of a stream.

use ironwal_format::cast;
use ironwal_format::index::{
    IndexEnd, IndexKnowledge, RECORD_LEN, decode_header, encode_header, encode_record, read_index,
    scan_records,
};

use super::input::Input;
use super::mend;

/// Switches, and the bytes of the file.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let switches = input.switches();
    let mut bytes = input.rest().to_vec();
    if switches.is_on(0) {
        mend::index_header(&mut bytes);
    }
    let Ok(header) = decode_header(&bytes) else {
        assert!(read_index(&bytes).is_err(), "an index without a header is none");
        return;
    };
    let start = header.records_offset();
    let encoded = encode_header(header.key(), header.id());
    let found = bytes.get(..cast::usize_from(start));
    assert_eq!(found, Some(encoded.as_slice()), "a header is encoded to the same");
    if switches.is_on(1) {
        mend::index_records(&mut bytes, header.id(), start);
    }
    let mut valid = Vec::new();
    for (offset, record) in scan_records(&bytes, &header) {
        let Ok(record) = record else { continue };
        valid.push(record);
        let at = cast::usize_from(offset);
        let stored = bytes.get(at..at + RECORD_LEN);
        let encoded = encode_record(record, header.id(), offset);
        assert_eq!(stored, Some(encoded.as_slice()), "a record is encoded to the same");
    }
    assert!(valid.len() <= bytes.len() / RECORD_LEN, "no record comes from nothing");
    let contents = read_index(&bytes).expect("it has a header, and is not too long");
    assert_eq!(contents.records, valid);
    if let IndexEnd::Torn { at } = contents.end {
        assert!(at >= start && at < cast::u64_from(bytes.len()), "torn at {at}");
    }
    if let Some(bad) = contents.bad {
        assert!(bad.first >= start && bad.count > 0, "{bad:?}");
    }
    check_knowledge(&IndexKnowledge::of(&valid), valid.len());
}

/// What the records say together keeps to what was said.
fn check_knowledge(known: &IndexKnowledge, record_count: usize) {
    let from = known.start.map(|start| start.ordinal);
    let is_kept = |ordinal| from.is_none_or(|from| ordinal >= from);
    assert!(known.sealed.len() <= record_count);
    assert!(known.sealed.keys().all(|ordinal| is_kept(*ordinal)), "what is gone stays gone");
    if let Some(floor) = known.floor {
        assert!(is_kept(floor.ordinal) && !known.sealed.contains_key(&floor.ordinal));
    }
    let mut lowest = None;
    for segment in known.sealed.values().rev() {
        assert!(lowest.is_none_or(|lowest| segment.end <= lowest), "{segment:?} overlaps");
        lowest = Some(lowest.map_or(segment.base, |lowest| segment.base.min(lowest)));
    }
}
