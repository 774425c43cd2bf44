//! Any bytes as one segment: scanned, walked, judged, and made a plan of.

use std::cell::Cell;
use std::convert::Infallible;

use ironwal_format::cast;
use ironwal_format::checksum::Salt;
use ironwal_format::frame::{FRAME_ALIGNMENT, FRAME_HEADER_LEN, HEADER_LEN};
use ironwal_format::repair::{FileFacts, SegmentFacts, Vouched, plan, plan_cut, proven_end};
use ironwal_format::scan::{Scan, ScanEnd, ScanFrom, scan};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::verdict::{Evidence, Verdict, judge};
use ironwal_format::walk::{Bounds, MAX_WANT, Place, Source, Step, step};
use ironwal_format::{Ordinal, SequenceNumber, StreamId, StreamKey};

use super::input::Input;
use super::mend::{self, Mended, Numbers};

/// How many times the length of the file may be asked for in a scan, and how many bytes more.
const MAX_WORK: (u64, u64) = (12, 4096);

/// Switches, a limit, evidence, and the bytes of the file; or what is behind its header.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let switches = input.switches();
    let limit = match input.byte() {
        0 => SequenceNumber::MAX,
        limit => SequenceNumber::new(u64::from(limit) - 1),
    };
    let evidence = Evidence {
        len: u64::from(input.u16()),
        until: SequenceNumber::new(u64::from(input.byte())),
    };
    let own = header();
    let mut bytes = if switches.is_on(0) { own.encode() } else { Vec::new() };
    bytes.extend_from_slice(input.rest());
    let mended = if switches.is_on(2) { Mended::Frames } else { Mended::Headers };
    let numbers = if switches.is_on(3) { Numbers::Following } else { Numbers::Kept };
    let decoded = if switches.is_on(1) {
        mend::segment(&mut bytes, mended, numbers)
    } else {
        SegmentHeader::decode(&bytes).ok()
    };
    if let Some(decoded) = &decoded {
        // Not to the same bytes: nobody looks at the padding, nor at which of it the payload has.
        let again = SegmentHeader::decode(&decoded.encode());
        assert_eq!(again.as_ref(), Ok(decoded), "a header is encoded to one that says the same");
    }
    let header = decoded.as_ref().unwrap_or(&own);
    let from = ScanFrom {
        salt: Salt::of(header.id, header.ordinal),
        base: header.base,
        offset: SegmentHeader::len_for(&header.key),
        limit,
    };
    let found = check_scan(&bytes, from);
    check_walk(&bytes, from, &found);
    check_verdict(&found, evidence, cast::u64_from(bytes.len()));
    let file = match SegmentHeader::decode(&bytes) {
        Ok(_) => FileFacts::Scanned(found),
        Err(error) => FileFacts::Headless(error, found),
    };
    let vouched = Vouched { base: header.base, end: evidence.until, len: evidence.len };
    check_plan(SegmentFacts {
        ordinal: header.ordinal,
        base: header.base,
        record: switches.is_on(4).then_some(vouched),
        floor: switches.is_on(5).then_some(vouched),
        file,
    });
}

fn header() -> SegmentHeader {
    SegmentHeader {
        base: SequenceNumber::new(2),
        ordinal: Ordinal::new(1),
        id: StreamId::new([7; 16]),
        key: StreamKey::new("s").expect("it has one byte"),
        created_unix_nanos: 0,
    }
}

/// A source that gives no byte more than is wanted, and counts what is wanted.
struct Counted<'a> {
    bytes: &'a [u8],
    wanted: Cell<u64>,
}

impl Source for Counted<'_> {
    type Error = Infallible;

    fn len(&self) -> u64 {
        cast::u64_from(self.bytes.len())
    }

    fn bytes_at(&mut self, offset: u64, want: usize) -> Result<&[u8], Infallible> {
        assert!((1..=MAX_WANT).contains(&want), "{want} bytes wanted");
        let rest = self.bytes.get(cast::usize_from(offset)..).unwrap_or_default();
        // That it was asked is work, too.
        self.wanted.set(self.wanted.get() + cast::u64_from(want));
        Ok(rest.get(..want).unwrap_or(rest))
    }
}

fn counted(bytes: &[u8]) -> Counted<'_> {
    Counted { bytes, wanted: Cell::new(0) }
}

fn check_work(source: &Counted<'_>) {
    let (times, more) = MAX_WORK;
    let (wanted, len) = (source.wanted.get(), source.len());
    assert!(wanted <= times * len + more, "{wanted} bytes wanted of {len}");
}

fn check_scan(bytes: &[u8], from: ScanFrom) -> Scan {
    let mut source = counted(bytes);
    let Ok(found) = scan(&mut source, from);
    check_work(&source);
    let Ok(again) = scan(&mut &*bytes, from);
    assert_eq!(found, again, "whatever pieces a source gives");
    let len = source.len();
    assert!(found.valid_end <= len.max(from.offset) && found.next >= from.base);
    let framed = found.valid_end - from.offset;
    assert!(u64::from(found.frame_count) * HEADER_LEN <= framed);
    let points = found.table.points();
    assert!(points.is_sorted_by(|a, b| a.entry < b.entry && a.offset < b.offset));
    assert!(points.len() <= bytes.len() / FRAME_HEADER_LEN);
    if let ScanEnd::Broken(broken) = found.end {
        assert!(broken.rest_len > 0 && found.valid_end + broken.rest_len <= len);
        assert!(broken.end_behind.is_none_or(|end| end >= found.next));
    }
    found
}

/// A walk finds all that the scan found whole, ends, and loses no number.
fn check_walk(bytes: &[u8], from: ScanFrom, found: &Scan) {
    let mut source = counted(bytes);
    let bounds = Bounds { len: u64::MAX, until: SequenceNumber::MAX };
    let mut at = Place { offset: from.offset, seq: from.base };
    let mut frame_count = 0;
    loop {
        let Ok(stepped) = step(&mut source, from.salt, at, bounds);
        let next = match stepped {
            Step::Frame { offset, header, next } => {
                assert_eq!((offset, header.base(), header.end()), (at.offset, at.seq, next.seq));
                if frame_count < found.frame_count {
                    assert!(next.offset <= found.valid_end);
                }
                frame_count += 1;
                next
            }
            Step::Hole { offset, next, .. } => {
                assert_eq!(offset, at.offset);
                assert!(frame_count >= found.frame_count, "a frame that was whole is a hole");
                next
            }
            Step::End => break,
        };
        assert!(next.offset >= at.offset + FRAME_ALIGNMENT || next.seq == bounds.until);
        assert!(next.seq >= at.seq, "numbers go back");
        at = next;
    }
    check_work(&source);
}

fn check_verdict(found: &Scan, evidence: Evidence, len: u64) {
    match judge(found, evidence) {
        Verdict::Clean => {
            assert!(!matches!(found.end, ScanEnd::Broken(_) | ScanEnd::Unsupported { .. }));
        }
        Verdict::Torn(tear) => {
            assert_eq!(tear.offset, found.valid_end);
            assert!(evidence.len.max(found.evidence_len) <= tear.offset, "proven, and called torn");
        }
        Verdict::Damaged { offset, .. } => {
            assert_eq!(offset, found.valid_end);
            let is_proven = offset < evidence.len.max(found.evidence_len);
            assert!(is_proven || found.next < evidence.until, "called damaged without evidence");
        }
        Verdict::Unsupported { offset, .. } => assert!(offset < len),
    }
}

/// The plan for a stream of this one segment keeps to what was found.
fn check_plan(facts: SegmentFacts) {
    let (base, facts) = (facts.base, [facts]);
    let planned = plan(&facts, None);
    assert!(proven_end(&facts, None).end >= planned.first);
    assert!(planned.first <= planned.end);
    for live in &planned.live {
        assert!(live.base >= planned.first && live.base <= live.until && live.until <= planned.end);
    }
    let is_rising = planned.live.is_sorted_by(|a, b| a.ordinal < b.ordinal && a.until <= b.base);
    assert!(is_rising, "{:?}", planned.live);
    for damage in &planned.damage {
        assert!(damage.lost_from <= damage.lost_until && damage.lost_from >= base);
    }
    drop(plan_cut(&facts, None));
}
