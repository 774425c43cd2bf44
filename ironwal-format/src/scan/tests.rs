//! Tests of scan and verdict: every cut, every bit, every kind of evidence; then whatever else.
//!
//! What is expected comes from the layout that the builder noted, never from the scan.

use alloc::{format, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::checksum::crc32;
use crate::frame::{Encoding, HEADER_LEN, MAX_PAYLOAD_LEN};
use crate::payload::entry_range;
use crate::testing::{Forged, Pieces, Segment, Syncs, seq};
use crate::verdict::{Evidence, Tear, Verdict, judge};
use crate::walk::{Bounds, Step, step};

const SYNCS: [Syncs; 3] = [Syncs::Never, Syncs::Each, Syncs::EachSecond];

/// Four frames of seven entries, among them empty ones, an LZ4 payload, and zeros at the end of a
/// payload. What is LZ4 needs no feature here: scans and verdicts are about bytes as they are stored.
fn open_segment(syncs: Syncs) -> Segment {
    Segment::new(40, 2, syncs)
        .entry(b"first entry")
        .lz4_batch(&[b"a", b"", b"three"])
        .entry(b"")
        .batch(&[b"last", &[0; 9]])
}

fn sealed_segment(syncs: Syncs) -> Segment {
    open_segment(syncs).seal(47)
}

/// All that other places can say of a segment: nothing, a floor or record at each boundary, the base
/// of a later segment that has a synced length.
fn all_evidence(segment: &Segment) -> Vec<Evidence> {
    let mut all = vec![Evidence::default(), Evidence { len: 0, until: seq(segment.next) }];
    for frame in &segment.frames {
        all.push(Evidence { len: frame.end as u64, until: seq(frame.until) });
        all.push(Evidence { len: frame.end as u64, until: seq(0) });
        all.push(Evidence { len: 0, until: seq(frame.until) });
    }
    all
}

/// What DESIGN says of `bytes`, which were those of the segment before something happened.
struct Expected {
    /// The start of the first frame that is not what it was.
    at: usize,
    next: u64,
    rest_len: usize,
    evidence_len: u64,
    is_sealed: bool,
}

impl Expected {
    fn of(segment: &Segment, bytes: &[u8]) -> Self {
        let whole =
            |from: usize, until: usize| bytes.get(from..until) == segment.bytes.get(from..until);
        let sound = segment.frames.iter().take_while(|frame| whole(frame.start, frame.end));
        let (mut at, mut next, mut count) = (segment.header_len(), segment.base, 0);
        for frame in sound {
            (at, count) = (frame.end, count + 1);
            if !frame.entries.is_empty() {
                next = frame.until;
            }
        }
        let last = segment.frames.last().expect("the segment has frames");
        let is_sealed = count == segment.frames.len() && last.entries.is_empty();
        let rest = bytes.get(at..).unwrap_or_default();
        let rest_len = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let headers = segment.frames.iter().filter(|frame| whole(frame.start, frame.start + 32));
        let evidence_len = headers.map(|frame| frame.synced_len).max().unwrap_or(0);
        Self { at, next, rest_len, evidence_len, is_sealed }
    }

    fn covered_by(&self, evidence: Evidence) -> bool {
        (self.at as u64) < evidence.len.max(self.evidence_len) || seq(self.next) < evidence.until
    }

    fn check(&self, segment: &Segment, bytes: &[u8], what: &str) -> Scan {
        let scan = segment.scan(bytes);
        assert_eq!(scan.next, seq(self.next), "{what}");
        assert_eq!(scan.valid_end, self.at as u64, "{what}");
        assert_eq!(scan.evidence_len, self.evidence_len, "{what}");
        let at = self.at as u64;
        for evidence in all_evidence(segment) {
            let verdict = judge(&scan, evidence);
            match verdict {
                Verdict::Clean => {
                    assert!(self.is_sealed || self.rest_len == 0, "{what}");
                    assert!(!self.covered_by(evidence), "{what} {evidence:?}");
                }
                Verdict::Torn(Tear { offset, rest_len, .. }) => {
                    assert!(!self.is_sealed && !self.covered_by(evidence), "{what} {evidence:?}");
                    assert_eq!((offset, rest_len), (at, self.rest_len as u64), "{what}");
                    assert_ne!(rest_len, 0, "{what}");
                }
                Verdict::Damaged { offset, .. } => {
                    assert!(self.covered_by(evidence), "{what} {evidence:?}");
                    assert_eq!(offset, at, "{what}");
                }
                Verdict::Unsupported { .. } => panic!("{what}: {verdict:?}"),
            }
        }
        check_front(segment, bytes, &scan, what);
        scan
    }
}

/// All entries in front of the end of the valid frames are what was appended.
fn check_front(segment: &Segment, mut bytes: &[u8], scan: &Scan, what: &str) {
    let mut at = Place { offset: segment.header_len() as u64, seq: seq(segment.base) };
    let bounds = Bounds { len: scan.valid_end, until: scan.next };
    let mut frames = segment.frames.iter();
    let mut count = 0;
    while let Step::Frame { offset, header, next } = {
        let Ok(step) = step(&mut bytes, segment.salt(), at, bounds);
        step
    } {
        let frame = frames.next().unwrap();
        assert_eq!((offset, header.base()), (frame.start as u64, seq(frame.base)), "{what}");
        let payload = &bytes[frame.start + FRAME_HEADER_LEN..frame.end];
        header.check_payload(payload).unwrap();
        let payload = match header.encoding() {
            Encoding::Raw => &payload[..header.payload_len() as usize],
            // Behind the size, the token and the length are nothing but literals.
            Encoding::Lz4 => &payload[6..header.payload_len() as usize],
        };
        for (index, entry) in (0..).zip(&frame.entries) {
            let range = entry_range(payload, header.entry_count(), index).unwrap();
            assert_eq!(&payload[range], entry, "{what}");
        }
        count += 1;
        at = next;
    }
    assert_eq!(at.seq, scan.next, "{what}");
    assert_eq!(count, scan.frame_count, "{what}");
}

/// Bytes without a pattern, always the same.
fn garbage(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn turned(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut turned = bytes.to_vec();
    turned[bit / 8] ^= 1 << (bit % 8);
    turned
}

#[test]
fn a_segment_that_nothing_happened_to_is_clean_and_its_last_frame_is_the_end() {
    for syncs in SYNCS {
        let open = open_segment(syncs);
        let scan = open.scan(&open.bytes);
        assert_eq!((scan.end, scan.next, scan.frame_count), (ScanEnd::Clean, seq(47), 4));
        assert_eq!(scan.valid_end, open.bytes.len() as u64);
        let sealed = sealed_segment(syncs);
        let scan = sealed.scan(&sealed.bytes);
        assert_eq!(scan.end, ScanEnd::Sealed { next_base: seq(47) });
        assert_eq!((scan.next, scan.valid_end), (seq(47), sealed.bytes.len() as u64));
    }
}

/// A plain cut, a cut filled with zeros, with garbage, and with markers of frames; and the same with
/// more behind it than there was. Judged with each kind of evidence.
#[test]
fn a_log_cut_at_any_byte_ends_before_the_frame_and_is_damaged_only_where_evidence_covers_it() {
    for segment in SYNCS.into_iter().flat_map(|syncs| [open_segment(syncs), sealed_segment(syncs)])
    {
        let len = segment.bytes.len();
        for cut in segment.header_len()..=len {
            for more in [0, 1, 8, 300] {
                let tail_len = len - cut + more;
                let tails = [vec![], vec![0; tail_len], garbage(tail_len), vec![0xA7; tail_len]];
                for (nth, tail) in tails.iter().enumerate() {
                    let bytes = [&segment.bytes[..cut], tail].concat();
                    let what =
                        format!("{:?}, cut at {cut}, {more} more, tail {nth}", segment.syncs);
                    Expected::of(&segment, &bytes).check(&segment, &bytes, &what);
                }
            }
        }
    }
}

/// Sectors of 8 bytes instead of 512: any range of them that did not get to the disk.
#[test]
fn any_range_of_zeros_is_judged_by_evidence_alone() {
    for syncs in SYNCS {
        let segment = sealed_segment(syncs);
        let sectors = segment.header_len() / 8..segment.bytes.len() / 8;
        for from in sectors.clone() {
            for until in from + 1..=sectors.end {
                let mut bytes = segment.bytes.clone();
                bytes[from * 8..until * 8].fill(0);
                let what = format!("{syncs:?}, zeros in {}..{}", from * 8, until * 8);
                Expected::of(&segment, &bytes).check(&segment, &bytes, &what);
            }
        }
    }
}

#[test]
fn a_single_turned_bit_anywhere_is_judged_by_evidence_and_the_hint_names_it() {
    for segment in SYNCS.into_iter().flat_map(|syncs| [open_segment(syncs), sealed_segment(syncs)])
    {
        for bit in segment.header_len() * 8..segment.bytes.len() * 8 {
            let bytes = turned(&segment.bytes, bit);
            let expected = Expected::of(&segment, &bytes);
            let what = format!("{:?}, bit {bit}", segment.syncs);
            let scan = expected.check(&segment, &bytes, &what);
            let ScanEnd::Broken(found) = scan.end else { panic!("{what}: {:?}", scan.end) };
            let hint = found.turned_bit.map(|hint| hint + expected.at as u64 * 8);
            assert_eq!(hint, Some(bit as u64), "{what}");
            // What the headers behind the break name is known to be lost.
            let header_is_whole = bit / 8 >= expected.at + FRAME_HEADER_LEN;
            let last = segment.frames.last().unwrap();
            let is_last = expected.at == last.start;
            let end_behind = (header_is_whole || !is_last).then_some(last.until);
            assert_eq!(found.end_behind, end_behind.map(seq), "{what}");
        }
    }
}

#[test]
fn two_turned_bits_of_the_last_frame_get_no_hint() {
    for segment in [open_segment(Syncs::Never), sealed_segment(Syncs::Never)] {
        let last = segment.frames.last().unwrap();
        for first in last.start * 8..last.end * 8 {
            for second in first + 1..last.end * 8 {
                let bytes = turned(&turned(&segment.bytes, first), second);
                let scan = segment.scan(&bytes);
                let ScanEnd::Broken(found) = scan.end else { panic!("{:?}", scan.end) };
                assert_eq!(found.turned_bit, None, "bits {first} and {second}");
            }
        }
    }
}

/// With the evidence that Strict leaves, only the last frame can be lost without a word of damage.
#[test]
fn nothing_that_a_later_header_vouches_for_is_ever_called_torn_or_clean() {
    let segment = open_segment(Syncs::Each);
    let last = segment.frames.last().unwrap();
    for bit in segment.header_len() * 8..segment.bytes.len() * 8 {
        let verdict = judge(&segment.scan(&turned(&segment.bytes, bit)), Evidence::default());
        let is_damaged = matches!(verdict, Verdict::Damaged { .. });
        assert_eq!(is_damaged, bit / 8 < last.start, "bit {bit}: {verdict:?}");
    }
}

#[test]
fn a_file_cut_on_a_frame_boundary_is_damaged_by_each_kind_of_evidence_and_clean_without() {
    let segment = sealed_segment(Syncs::Each);
    let floor = |len: usize, until| Evidence { len: len as u64, until: seq(until) };
    for cut in &segment.frames {
        for filled in [0, 4096] {
            let mut bytes = segment.bytes[..cut.start].to_vec();
            bytes.resize(bytes.len() + filled, 0);
            let scan = segment.scan(&bytes);
            assert_eq!(scan.end, ScanEnd::Clean);
            assert_eq!(judge(&scan, Evidence::default()), Verdict::Clean);
            assert_eq!(judge(&scan, floor(cut.start, scan.next.get())), Verdict::Clean);
            let is_lost = |evidence| {
                let lost = Verdict::Damaged {
                    offset: cut.start as u64,
                    error: FrameError::Cut {
                        available: 0,
                        needed: evidence_needs(cut.start, evidence),
                    },
                };
                assert_eq!(judge(&scan, evidence), lost);
            };
            is_lost(floor(segment.bytes.len(), segment.next));
            is_lost(floor(cut.end, 0));
            if scan.next < seq(segment.next) {
                is_lost(floor(0, segment.next));
            }
        }
    }
}

fn evidence_needs(at: usize, evidence: Evidence) -> u64 {
    evidence.len.saturating_sub(at as u64).max(HEADER_LEN)
}

/// The base of a later segment ends a segment as if nothing were behind it, but for its seal.
#[test]
fn what_is_dead_is_not_judged_but_still_proves_what_lies_before_it() {
    for syncs in SYNCS {
        let segment = sealed_segment(syncs);
        for limit in segment.base..=segment.next + 1 {
            let live = segment
                .frames
                .iter()
                .filter(|frame| frame.base < limit && !frame.entries.is_empty());
            let live_end = live.clone().next_back().map_or(segment.header_len(), |frame| frame.end);
            let next = live.clone().next_back().map_or(segment.base, |frame| frame.until);
            let from = ScanFrom { limit: seq(limit), ..segment.scan_from() };
            let headers = segment.frames.iter();
            let evidence_len = headers.map(|frame| frame.synced_len).max().unwrap();
            for bit in live_end * 8..segment.bytes.len() * 8 {
                let broken = turned(&segment.bytes, bit);
                for bytes in [&segment.bytes, &broken] {
                    let Ok(scan) = scan(&mut bytes.as_slice(), from);
                    assert_eq!(scan.next, seq(next));
                    let is_at_seal = next == segment.next;
                    match scan.end {
                        ScanEnd::Limit => {
                            assert_eq!(scan.valid_end, live_end as u64);
                            assert!(!is_at_seal || *bytes == broken);
                        }
                        ScanEnd::Sealed { .. } => {
                            assert_eq!(scan.valid_end, segment.bytes.len() as u64);
                            assert!(is_at_seal && *bytes == segment.bytes);
                        }
                        // Nothing is dead: the limit is past the end.
                        ScanEnd::Broken(_) => assert!(limit > segment.next && *bytes == broken),
                        ScanEnd::Clean | ScanEnd::Unsupported { .. } => panic!("{:?}", scan.end),
                    }
                    assert!(scan.evidence_len <= evidence_len);
                    if *bytes == segment.bytes {
                        assert_eq!(scan.evidence_len, evidence_len);
                    }
                    if limit <= segment.next {
                        assert_eq!(judge(&scan, Evidence::default()), Verdict::Clean);
                    }
                }
            }
        }
    }
}

/// After a rollback the seal names a base below entries before it, and is a seal all the same.
#[test]
fn a_seal_may_name_a_lower_base_but_none_past_the_end() {
    for next_base in 0..=47 {
        let segment = open_segment(Syncs::Each).seal(next_base);
        let scan = segment.scan(&segment.bytes);
        assert_eq!(scan.end, ScanEnd::Sealed { next_base: seq(next_base) });
        assert_eq!(scan.next, seq(47));
    }
    let segment = open_segment(Syncs::Each).seal(48);
    let ScanEnd::Broken(found) = segment.scan(&segment.bytes).end else { panic!() };
    assert_eq!(found.error, FrameError::Sequence { expected: seq(47), found: seq(48) });
}

#[test]
fn a_sealed_segment_is_damaged_where_evidence_covers_more_than_it_has() {
    let segment = sealed_segment(Syncs::Each);
    let scan = segment.scan(&segment.bytes);
    let (len, until) = (segment.bytes.len() as u64, seq(segment.next));
    assert_eq!(judge(&scan, Evidence { len, until }), Verdict::Clean);
    for evidence in [Evidence { len: len + 1, until }, Evidence { len, until: seq(48) }] {
        let error = FrameError::Cut { available: 0, needed: HEADER_LEN };
        assert_eq!(judge(&scan, evidence), Verdict::Damaged { offset: len, error });
    }
}

/// `SequenceNumber::MAX` as a limit is none: a full log has an end like any other.
#[test]
fn a_segment_that_ends_at_the_last_number_is_clean() {
    let segment = Segment::new(u64::MAX - 1, 9, Syncs::Each).entry(b"the very last");
    let scan = segment.scan(&segment.bytes);
    assert_eq!((scan.end, scan.next), (ScanEnd::Clean, SequenceNumber::MAX));
    let torn = [&segment.bytes[..], b"residue"].concat();
    assert!(matches!(segment.scan(&torn).end, ScanEnd::Broken(_)));
}

/// A whole segment as the bytes of an entry: another one, and the very one that it is stored in.
#[test]
fn a_log_stored_in_an_entry_is_never_read_as_frames_also_when_the_frame_around_it_is_damaged() {
    let inner = sealed_segment(Syncs::Each);
    let others = [
        inner.bytes.clone(),
        Segment::new(41, 2, Syncs::Each).entry(b"same ordinal").batch(&[b"x", b"y"]).bytes,
        Segment::new(41, 7, Syncs::Each).entry(b"other ordinal").batch(&[b"x", b"y"]).bytes,
    ];
    for other in &others {
        for shift in 0..9 {
            let entry = [&vec![0xA7; shift][..], other].concat();
            let segment = Segment::new(40, 2, Syncs::Never).entry(&entry).entry(b"behind");
            let [around, behind] = &segment.frames[..] else { panic!() };
            let whole = segment.scan(&segment.bytes);
            assert_eq!((whole.next, whole.evidence_len), (seq(42), 0));
            for bit in around.start * 8..around.end * 8 {
                let bytes = turned(&segment.bytes, bit);
                let scan = segment.scan(&bytes);
                assert_eq!((scan.next, scan.valid_end), (seq(40), around.start as u64));
                assert_eq!(scan.evidence_len, 0, "bit {bit}");
                let ScanEnd::Broken(found) = scan.end else { panic!("{:?}", scan.end) };
                assert_eq!(found.end_behind, Some(seq(behind.until)));
            }
            // Without any frame around it, too.
            let mut bytes = segment.bytes.clone();
            bytes[around.start..around.start + FRAME_HEADER_LEN].fill(0);
            assert_eq!(segment.scan(&bytes).evidence_len, 0);
        }
    }
}

/// Frames of the same shape, of another segment or from another place, in the place of one of ours.
#[test]
fn misdirected_frames_are_not_accepted_and_prove_nothing() {
    let ours = open_segment(Syncs::Never);
    for other in [
        Segment { ordinal: 3, ..Segment::new(40, 3, Syncs::Each) },
        Segment::new(40, 2, Syncs::Each).entry(b""),
    ] {
        let other = other.entry(b"first entry").batch(&[b"a", b"", b"three"]).entry(b"");
        for theirs in &other.frames {
            for place in ours.frames.iter().filter(|frame| frame.start != theirs.start) {
                let mut bytes = ours.bytes.clone();
                let frame = &other.bytes[theirs.start..theirs.end];
                bytes.resize(bytes.len().max(place.start + frame.len()), 0);
                bytes[place.start..place.start + frame.len()].copy_from_slice(frame);
                let scan = ours.scan(&bytes);
                assert_eq!(scan.valid_end, place.start as u64);
                assert_eq!((scan.next, scan.evidence_len), (seq(place.base), 0));
                assert!(matches!(judge(&scan, Evidence::default()), Verdict::Torn(_)));
            }
        }
    }
}

/// Every kind and flag that this version does not know, in each frame, before and behind a break.
#[test]
fn a_sound_header_of_a_newer_version_is_unsupported_and_never_torn() {
    let segment = open_segment(Syncs::Never);
    let known = [0, 1, 2, 0x11];
    let unknown_kinds = (0..=u8::MAX).filter(|kind| !known.contains(kind)).map(|kind| (kind, 0));
    let unknown: Vec<_> = unknown_kinds.chain((0..16).map(|bit| (1, 1 << bit))).collect();
    for frame in &segment.frames {
        for &(kind, reserved) in &unknown {
            let forged = Forged { kind, reserved, base: frame.base, ..Forged::ENTRY };
            let mut bytes = segment.bytes.clone();
            let header = forged.bytes(segment.salt(), frame.start);
            bytes[frame.start..frame.start + FRAME_HEADER_LEN].copy_from_slice(&header);
            let breaks = segment.frames.iter().filter(|broken| broken.start < frame.start);
            let breaks = breaks.map(|broken| Some(broken.start)).chain([None]);
            for broken in breaks {
                let mut bytes = bytes.clone();
                if let Some(broken) = broken {
                    bytes[broken] ^= 1;
                }
                let scan = segment.scan(&bytes);
                let offset = frame.start as u64;
                let error = FrameError::Unsupported { kind, reserved };
                assert_eq!(scan.end, ScanEnd::Unsupported { offset, error });
                for evidence in all_evidence(&segment) {
                    assert_eq!(judge(&scan, evidence), Verdict::Unsupported { offset, error });
                }
            }
        }
    }
}

/// The number is part of what makes a frame valid: no bit of header or payload mends it.
#[test]
fn a_frame_of_another_number_gets_no_hint() {
    let segment = Segment::new(40, 2, Syncs::Never).entry(b"first").entry(b"second");
    let start = segment.frames[1].start;
    let payload_crc = crc32(&[b"second\0\0"]);
    for base in [0, 40, 41, 42, 1 << 60] {
        let header = Forged { base, payload_len: 6, payload_crc, ..Forged::ENTRY };
        let header = header.bytes(segment.salt(), start);
        let bytes = [&segment.bytes[..start], &header, b"second\0\0"].concat();
        for bit in start * 8..bytes.len() * 8 {
            let ScanEnd::Broken(found) = segment.scan(&turned(&bytes, bit)).end else { panic!() };
            let hint = (base == 41).then_some(bit as u64 - start as u64 * 8);
            assert_eq!(found.turned_bit, hint, "number {base}, bit {bit}");
        }
    }
}

#[test]
fn a_payload_is_searched_for_a_turned_bit_up_to_a_length() {
    let segment = Segment::new(40, 2, Syncs::Never);
    let start = segment.header_len();
    for (more, is_searched) in [(0, true), (8, false)] {
        let len = usize::try_from(MAX_BIT_SEARCH_LEN).unwrap() + more;
        let payload = vec![0; len];
        let (payload_len, payload_crc) = (u32::try_from(len).unwrap(), crc32(&[&payload]));
        let header = Forged { base: 40, payload_len, payload_crc, ..Forged::ENTRY };
        let header = header.bytes(segment.salt(), start);
        let mut bytes = [&segment.bytes[..], &header, &payload].concat();
        *bytes.last_mut().unwrap() = 0x10;
        let ScanEnd::Broken(found) = segment.scan(&bytes).end else { panic!() };
        let bit = (bytes.len() - start) as u64 * 8 - 4;
        assert_eq!(found.turned_bit, is_searched.then_some(bit));
    }
}

/// One header after the other is looked at behind a break, also behind one that is newer.
#[test]
fn a_header_behind_one_of_a_newer_version_is_evidence() {
    let segment = open_segment(Syncs::Each);
    let [first, second, .., last] = &segment.frames[..] else { panic!() };
    let mut bytes = segment.bytes.clone();
    let newer = Forged { reserved: 1, base: second.base, ..Forged::ENTRY };
    let newer = newer.bytes(segment.salt(), second.start);
    bytes[second.start..second.start + FRAME_HEADER_LEN].copy_from_slice(&newer);
    bytes[first.start] ^= 1;
    let scan = segment.scan(&bytes);
    assert_eq!(scan.evidence_len, last.synced_len);
    assert!(
        matches!(scan.end, ScanEnd::Unsupported { offset, .. } if offset == second.start as u64)
    );
}

/// Sound as it is, it is no frame of entries, and no turned bit makes it one.
#[test]
fn a_segment_header_among_the_frames_is_a_break() {
    let segment = Segment::new(40, 2, Syncs::Never).entry(b"first").entry(b"second");
    let [_, second] = &segment.frames[..] else { panic!() };
    let header = Forged { kind: 0, entry_count: 0, base: second.base, ..Forged::ENTRY };
    let mut bytes = segment.bytes[..second.start].to_vec();
    bytes.extend(header.bytes(segment.salt(), second.start));
    let scan = segment.scan(&bytes);
    assert_eq!((scan.next, scan.valid_end), (seq(second.base), second.start as u64));
    let ScanEnd::Broken(found) = scan.end else { panic!("{:?}", scan.end) };
    let expected = (FrameError::Kind, None, None);
    assert_eq!((found.error, found.turned_bit, found.end_behind), expected);
}

/// A source that has less than it says: somebody cut the file after its length was taken.
struct Shrunk<'a> {
    bytes: &'a [u8],
    len: u64,
}

impl Source for Shrunk<'_> {
    type Error = core::convert::Infallible;

    fn len(&self) -> u64 {
        self.len
    }

    fn bytes_at(&mut self, offset: u64, want: usize) -> Result<&[u8], Self::Error> {
        self.bytes.bytes_at(offset, want)
    }
}

#[test]
fn a_file_that_is_cut_under_a_scan_is_found_as_one_that_was_cut_before() {
    for segment in SYNCS.into_iter().flat_map(|syncs| [open_segment(syncs), sealed_segment(syncs)])
    {
        let len = segment.bytes.len() as u64;
        for cut in segment.header_len()..segment.bytes.len() {
            let bytes = &segment.bytes[..cut];
            let Ok(found) = scan(&mut Shrunk { bytes, len }, segment.scan_from());
            assert_eq!(found, segment.scan(bytes), "{:?}, cut at {cut}", segment.syncs);
        }
    }
}

/// A synced length counts whatever the payload of its frame is, and if the file ends within it.
#[test]
fn a_valid_header_is_evidence_whatever_stands_behind_it() {
    let segment = Segment::new(0, 1, Syncs::Never).entry(b"one").entry(b"two");
    let [one, two] = &segment.frames[..] else { panic!() };
    for payload_len in [0, 8, 4096, MAX_PAYLOAD_LEN] {
        for (synced_len, is_damaged) in
            [(one.start, false), (one.start + 1, true), (two.start, true)]
        {
            let forged = Forged {
                base: 7,
                payload_len,
                synced_len: u32::try_from(synced_len).unwrap(),
                ..Forged::ENTRY
            };
            let mut bytes = segment.bytes.clone();
            bytes[one.start + FRAME_HEADER_LEN] ^= 1;
            let header = forged.bytes(segment.salt(), two.start);
            bytes[two.start..two.start + FRAME_HEADER_LEN].copy_from_slice(&header);
            let scan = segment.scan(&bytes);
            assert_eq!(scan.evidence_len, synced_len as u64);
            let verdict = judge(&scan, Evidence::default());
            assert_eq!(matches!(verdict, Verdict::Damaged { .. }), is_damaged, "{verdict:?}");
        }
    }
}

/// A header that claims more than the file has is valid, but hides nothing.
#[test]
fn frames_behind_a_header_whose_frame_ends_past_the_file_are_found() {
    let segment = open_segment(Syncs::Each);
    let [first, second, ..] = &segment.frames[..] else { panic!() };
    for payload_len in [8, 1 << 12, MAX_PAYLOAD_LEN] {
        let len = u32::try_from(segment.bytes.len() - first.start).unwrap();
        let forged = Forged { base: 40, payload_len: len.max(payload_len), ..Forged::ENTRY };
        let mut bytes = segment.bytes.clone();
        let header = forged.bytes(segment.salt(), first.start);
        bytes[first.start..first.start + FRAME_HEADER_LEN].copy_from_slice(&header);
        let scan = segment.scan(&bytes);
        let last = segment.frames.last().unwrap();
        assert_eq!((scan.next, scan.evidence_len), (seq(40), last.synced_len));
        let at = Place { offset: first.start as u64, seq: seq(40) };
        let bounds = Bounds { len: u64::MAX, until: seq(47) };
        let Ok(Step::Hole { next, .. }) = step(&mut bytes.as_slice(), segment.salt(), at, bounds)
        else {
            panic!()
        };
        assert_eq!((next.offset, next.seq), (second.start as u64, seq(41)));
        // The same behind another break.
        bytes[second.start..].fill(0);
        bytes[first.start] = 0;
        let header = Forged { base: 41, ..forged }.bytes(segment.salt(), second.start);
        bytes[second.start..second.start + FRAME_HEADER_LEN].copy_from_slice(&header);
        bytes[last.start..].copy_from_slice(&segment.bytes[last.start..]);
        assert_eq!(segment.scan(&bytes).evidence_len, last.synced_len);
    }
}

/// The header at the break itself tells what is lost with it, also where the file ends within it.
#[test]
fn the_entries_of_a_frame_that_is_cut_in_its_payload_are_known_to_be_lost() {
    let segment = open_segment(Syncs::Each);
    let last = segment.frames.last().unwrap();
    for cut in last.start + FRAME_HEADER_LEN..last.end {
        let scan = segment.scan(&segment.bytes[..cut]);
        let ScanEnd::Broken(found) = scan.end else { panic!("{:?}", scan.end) };
        assert_eq!(found.end_behind, Some(seq(last.until)), "cut at {cut}");
    }
}

/// Whatever headers a file is full of: how many bytes are asked for in all, for each byte there is.
///
/// The payload of the frame at the break is read at most four times (once for its checksum, once for
/// the hint, twice for zeros and headers), the rest at most six times.
const MAX_WORK: usize = 6;

fn check_work(segment: &Segment, bytes: &[u8], what: &str) {
    let allowed = MAX_WORK * bytes.len() + 4096;
    for limit in [segment.base, segment.base + 1, u64::MAX] {
        let mut source = Pieces::new(bytes, 0);
        let from = ScanFrom { limit: seq(limit), ..segment.scan_from() };
        let Ok(_) = scan(&mut source, from);
        assert!(
            source.handed_out <= allowed,
            "{what}: scan {} of {}",
            source.handed_out,
            bytes.len()
        );
    }
    for len in [u64::MAX, bytes.len() as u64 / 2] {
        let mut source = Pieces::new(bytes, 0);
        let mut at = Place { offset: segment.header_len() as u64, seq: seq(segment.base) };
        let bounds = Bounds { len, until: SequenceNumber::MAX };
        loop {
            let Ok(next) = step(&mut source, segment.salt(), at, bounds);
            at = match next {
                Step::Frame { next, .. } | Step::Hole { next, .. } => next,
                Step::End => break,
            };
        }
        assert!(
            source.handed_out <= allowed,
            "{what}: walk {} of {}",
            source.handed_out,
            bytes.len()
        );
    }
}

/// Fills the file with headers at a distance, made from the last to the first.
fn full_of_headers(
    segment: &Segment,
    len: usize,
    distance: usize,
    mut make: impl FnMut(usize, &[u8]) -> Option<[u8; FRAME_HEADER_LEN]>,
) -> Vec<u8> {
    let mut bytes = segment.bytes.clone();
    bytes.resize(len, 0);
    let start = segment.header_len() + FRAME_HEADER_LEN;
    let places: Vec<_> = (start..len - FRAME_HEADER_LEN).step_by(distance).collect();
    for at in places.into_iter().rev() {
        if let Some(header) = make(at, &bytes[at..]) {
            bytes[at..at + FRAME_HEADER_LEN].copy_from_slice(&header);
        }
    }
    bytes
}

#[test]
fn work_is_linear_in_the_file_whatever_is_in_it() {
    const LEN: usize = 1 << 20;
    let segment = Segment::new(1000, 4, Syncs::Never).entry(b"");
    let salt = segment.salt();
    check_work(&segment, &vec![0xA7; LEN], "markers");
    check_work(&segment, &garbage(LEN), "garbage");
    let header = [&segment.bytes[..], &vec![0; LEN]].concat();
    check_work(&segment, &header, "zeros");
    let mut broken = header.clone();
    broken[segment.header_len()] = 0;
    *broken.last_mut().unwrap() = 1;
    check_work(&segment, &broken, "zeros behind a break");
    for base in [0, 1000, 2000] {
        for payload_len in [0, 1, 8, 300, 70_000, MAX_PAYLOAD_LEN] {
            for distance in [32, 40, 48, 64, 72, 136, 4096, 65_536 + 40] {
                let forged = Forged { base, payload_len, ..Forged::ENTRY };
                let bytes =
                    full_of_headers(&segment, LEN, distance, |at, _| Some(forged.bytes(salt, at)));
                check_work(&segment, &bytes, &format!("{forged:?} at each {distance}"));
            }
        }
    }
}

/// Headers that overlap: each gets its payload length and synced length from the one 16 bytes on.
#[test]
fn overlapping_headers_are_no_way_to_more_work() {
    const LEN: usize = 1 << 18;
    let segment = Segment::new(0, 4, Syncs::Never).entry(b"");
    let mut count = 0;
    let bytes = full_of_headers(&segment, LEN, 16, |at, behind| {
        let field = |from: usize| u32::from_le_bytes(behind[from..from + 4].try_into().unwrap());
        let made = (0..1 << 12).find_map(|low: u64| {
            let forged = Forged {
                base: low,
                entry_count: if field(16) == 0 { 1 } else { field(16) },
                payload_len: field(20),
                payload_crc: field(24),
                synced_len: field(28),
                ..Forged::ENTRY
            };
            let header = forged.bytes(segment.salt(), at);
            let crc = u32::from_le_bytes(header[4..8].try_into().unwrap());
            (crc <= MAX_PAYLOAD_LEN).then_some(header)
        });
        count += usize::from(made.is_some());
        made
    });
    let sound = (0..LEN - FRAME_HEADER_LEN).step_by(8).filter(|at| {
        let header = bytes[*at..].first_chunk().unwrap();
        FrameHeader::decode(header, segment.salt(), *at as u64).is_ok()
    });
    assert!(sound.count() > LEN / 20, "{count} headers were made");
    check_work(&segment, &bytes, "overlapping");
}

fn any_syncs() -> impl Strategy<Value = Syncs> {
    prop_oneof![Just(Syncs::Never), Just(Syncs::Each), Just(Syncs::EachSecond)]
}

/// Segments of a few frames, some long enough to fill several windows.
fn any_segment() -> impl Strategy<Value = Segment> {
    let entry = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (60_000..200_000_usize).prop_map(garbage),
    ];
    let batch = prop::collection::vec(entry, 1..4);
    let batches = prop::collection::vec(batch, 1..12);
    (any_syncs(), batches, any::<bool>()).prop_map(|(syncs, batches, is_sealed)| {
        let segment = Segment::new(40, 2, syncs);
        let segment = batches.iter().fold(segment, |segment, batch| {
            let entries: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
            segment.batch(&entries)
        });
        let next = segment.next;
        if is_sealed { segment.seal(next) } else { segment }
    })
}

/// Pieces of a file overwritten, and where it is cut or how much longer it gets.
fn any_harm() -> impl Strategy<Value = (Vec<(prop::sample::Index, Vec<u8>)>, prop::sample::Index)> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..4),
        (1..600_usize).prop_map(|len| vec![0; len]),
        (1..600_usize).prop_map(garbage),
    ];
    (
        prop::collection::vec((any::<prop::sample::Index>(), piece), 0..5),
        any::<prop::sample::Index>(),
    )
}

fn harmed(
    segment: &Segment,
    pieces: &[(prop::sample::Index, Vec<u8>)],
    len: prop::sample::Index,
) -> Vec<u8> {
    let mut bytes = segment.bytes.clone();
    let start = segment.header_len();
    for (at, piece) in pieces {
        let at = start + at.index(bytes.len() - start);
        for (to, from) in bytes[at..].iter_mut().zip(piece) {
            *to = *from;
        }
    }
    bytes.resize(start + len.index(2 * (bytes.len() - start)), 0);
    bytes
}

proptest! {
    /// Any harm, a source that hands out one byte more than wanted, or odd pieces, or all.
    #[test]
    fn whatever_pieces_a_source_hands_out_the_findings_are_the_same(
        segment in any_segment(),
        (pieces, len) in any_harm(),
        more in prop_oneof![Just(0_usize), Just(1), Just(7), Just(4097), 0..200_000_usize],
    ) {
        let bytes = harmed(&segment, &pieces, len);
        let expected = segment.scan(&bytes);
        let mut source = Pieces::new(&bytes, more);
        let Ok(found) = scan(&mut source, segment.scan_from());
        prop_assert_eq!(&found, &expected);
        let mut at = Place { offset: segment.header_len() as u64, seq: seq(segment.base) };
        let bounds = Bounds { len: u64::MAX, until: seq(segment.next) };
        loop {
            let Ok(by_slice) = step(&mut bytes.as_slice(), segment.salt(), at, bounds);
            let Ok(by_pieces) = step(&mut source, segment.salt(), at, bounds);
            prop_assert_eq!(by_slice, by_pieces);
            at = match by_slice {
                Step::Frame { next, .. } | Step::Hole { next, .. } => next,
                Step::End => break,
            };
        }
    }

    #[test]
    fn whatever_harm_is_done_the_verdict_is_what_the_evidence_says(
        segment in any_segment(),
        (pieces, len) in any_harm(),
    ) {
        let bytes = harmed(&segment, &pieces, len);
        Expected::of(&segment, &bytes).check(&segment, &bytes, "harm");
    }

    #[test]
    fn any_bytes_behind_a_segment_header_are_scanned_in_linear_work(
        bytes in prop::collection::vec(any::<u8>(), 0..5000),
        forged in prop::collection::vec(
            (any::<prop::sample::Index>(), 0..4_u8, 0..50_u64, 0..3_u32, any::<u32>(), any::<u32>()),
            0..20,
        ),
    ) {
        let segment = Segment::new(40, 2, Syncs::Never).entry(b"");
        let mut file = [&segment.bytes[..segment.header_len()], &bytes].concat();
        for (at, kind, base, entry_count, payload_len, synced_len) in forged {
            let places = (file.len() - segment.header_len()) / 8;
            let at = segment.header_len() + 8 * at.index(places + 1);
            let forged = Forged {
                kind,
                base,
                entry_count,
                payload_len: payload_len >> (payload_len % 32),
                synced_len: synced_len % 10_000,
                ..Forged::ENTRY
            };
            let header = forged.bytes(segment.salt(), at);
            for (to, from) in file[at..].iter_mut().zip(header) {
                *to = from;
            }
        }
        check_work(&segment, &file, "any bytes");
        let scan = segment.scan(&file);
        prop_assert!(scan.valid_end <= file.len() as u64);
    }
}
