//! Steps from frame to frame through the bytes of one segment.
//!
//! A [`Source`] stands between this and wherever the bytes are; everything here is a function of
//! them. A step needs headers only. Where there is no valid header, each eighth byte behind is
//! tried until one is found; the frame of a valid header is passed over as a whole. So the work is
//! linear in the file, whatever is in it.

use crate::cast;
use crate::checksum::{Crc32, Salt};
use crate::frame::{
    FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind, HEADER_LEN, padded,
};
use crate::ids::SequenceNumber;

/// The most bytes that are asked of a [`Source`] at once.
pub const MAX_WANT: usize = 1 << 16;

/// The bytes of one segment file, wherever they are.
///
/// Places are asked for in rising order but for the start of a frame that turned out broken, and
/// the pieces overlap a little. All the bytes wanted in a scan or a whole walk come to a small
/// multiple of the file, but in many small pieces: keep a buffer before a device.
pub trait Source {
    /// Why bytes cannot be had: never because of what they are.
    type Error;

    /// The length of the file, the same at each call.
    fn len(&self) -> u64;

    /// Whether the file is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from `offset` on: `want` or more of them, fewer only where the file ends.
    ///
    /// `want` is at most [`MAX_WANT`].
    ///
    /// # Errors
    ///
    /// Those of the device below.
    fn bytes_at(&mut self, offset: u64, want: usize) -> Result<&[u8], Self::Error>;
}

impl Source for &[u8] {
    type Error = core::convert::Infallible;

    fn len(&self) -> u64 {
        cast::u64_from(<[u8]>::len(self))
    }

    fn bytes_at(&mut self, offset: u64, _want: usize) -> Result<&[u8], Self::Error> {
        Ok(self.get(cast::usize_from(offset)..).unwrap_or_default())
    }
}

/// Where a frame is expected, and with which number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The offset in the file, a multiple of 8.
    pub offset: u64,
    /// The number that its first entry should have.
    pub seq: SequenceNumber,
}

/// How far a walk may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// The end of the bytes that count: nothing at or behind it is looked at.
    pub len: u64,
    /// The end of the entries that count.
    pub until: SequenceNumber,
}

/// What stands at a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// A frame of entries whose header is valid. Its payload was not looked at.
    Frame {
        /// Where it starts.
        offset: u64,
        /// Its header.
        header: FrameHeader,
        /// Where the next one is expected.
        next: Place,
    },
    /// No valid frame, where entries should be.
    Hole {
        /// Where the frame that is missing should start.
        offset: u64,
        /// What is wrong there.
        error: FrameError,
        /// Where to go on; entries from the expected number until the number there are lost.
        next: Place,
    },
    /// All entries that count have been passed.
    End,
}

/// Looks at the place where a frame is expected.
///
/// # Errors
///
/// Those of the source.
#[inline]
pub fn step<S: Source>(
    source: &mut S,
    salt: Salt,
    at: Place,
    bounds: Bounds,
) -> Result<Step, S::Error> {
    if at.seq >= bounds.until {
        return Ok(Step::End);
    }
    let len = bounds.len.min(source.len());
    let (error, from) = match header_at(source, salt, at.offset, len)? {
        Ok(header) => {
            let next = Place { offset: at.offset + header.frame_len(), seq: header.end() };
            let error = if header.kind() != FrameKind::Entries {
                FrameError::Kind
            } else if header.base() == at.seq {
                return Ok(Step::Frame { offset: at.offset, header, next });
            } else {
                FrameError::Sequence { expected: at.seq, found: header.base() }
            };
            (error, next.offset)
        }
        Err(error) => (error, at.offset + FRAME_ALIGNMENT),
    };
    hole(source, salt, at, bounds, (error, from))
}

/// The hole that a frame leaves that is not there, until the next header behind `from`.
#[cold]
fn hole<S: Source>(
    source: &mut S,
    salt: Salt,
    at: Place,
    bounds: Bounds,
    (error, mut from): (FrameError, u64),
) -> Result<Step, S::Error> {
    let len = bounds.len.min(source.len());
    let next = loop {
        let Some((offset, found)) = find_header(source, salt, from, len)? else {
            break Place { offset: len.max(from), seq: bounds.until };
        };
        from = match found {
            Ok(header) if header.kind() == FrameKind::Entries && header.base() >= at.seq => {
                break Place { offset, seq: header.base().min(bounds.until) };
            }
            Ok(header) => behind(offset, &header, len),
            Err(_) => offset + FRAME_ALIGNMENT,
        };
    };
    Ok(Step::Hole { offset: at.offset, error, next })
}

/// The header at `offset`, if it is valid and its frame ends at or before `len`.
#[inline]
pub(crate) fn header_at<S: Source>(
    source: &mut S,
    salt: Salt,
    offset: u64,
    len: u64,
) -> Result<Result<FrameHeader, FrameError>, S::Error> {
    let available = len.saturating_sub(offset);
    if available < HEADER_LEN {
        return Ok(Err(FrameError::Cut { available, needed: HEADER_LEN }));
    }
    let bytes = source.bytes_at(offset, FRAME_HEADER_LEN)?;
    let Some(bytes) = bytes.first_chunk() else {
        let available = cast::u64_from(bytes.len());
        return Ok(Err(FrameError::Cut { available, needed: HEADER_LEN }));
    };
    Ok(FrameHeader::decode(bytes, salt, offset).and_then(|header| {
        let needed = header.frame_len();
        if needed > available { Err(FrameError::Cut { available, needed }) } else { Ok(header) }
    }))
}

/// Where to look for headers behind a valid one: behind its frame, whatever that holds, or right
/// behind the header if the file ends within the frame.
pub(crate) fn behind(offset: u64, header: &FrameHeader, len: u64) -> u64 {
    let end = offset + header.frame_len();
    if end <= len { end } else { offset + FRAME_ALIGNMENT }
}

/// Checks the payload of the frame at `offset`, piece by piece.
pub(crate) fn check_payload_at<S: Source>(
    source: &mut S,
    offset: u64,
    header: &FrameHeader,
) -> Result<Result<(), FrameError>, S::Error> {
    let end = offset + header.frame_len();
    let mut at = offset + HEADER_LEN;
    let mut crc = Crc32::new();
    while at < end {
        let rest = cast::usize_from(end - at);
        let bytes = source.bytes_at(at, rest.min(MAX_WANT))?;
        let piece = bytes.get(..rest.min(bytes.len())).unwrap_or_default();
        if piece.is_empty() {
            let (available, needed) = (at - offset, header.frame_len());
            return Ok(Err(FrameError::Cut { available, needed }));
        }
        crc.update(piece);
        at += cast::u64_from(piece.len());
    }
    Ok(header.check_payload_crc(crc.finish()))
}

/// What [`find_header`] found: where, and a header or the error of one that is sound but newer.
type FoundHeader = (u64, Result<FrameHeader, FrameError>);

/// The first sound header at or behind `from`, tried at each eighth byte. Its frame may be longer
/// than the file.
///
/// Little is wanted at first and twice as much each time, so that a file full of headers costs no
/// more than one without any.
pub(crate) fn find_header<S: Source>(
    source: &mut S,
    salt: Salt,
    from: u64,
    len: u64,
) -> Result<Option<FoundHeader>, S::Error> {
    let mut offset = padded(from);
    let mut want = FRAME_HEADER_LEN;
    while offset.checked_add(HEADER_LEN).is_some_and(|end| end <= len) {
        let rest = cast::usize_from(len - offset);
        let bytes = source.bytes_at(offset, want.min(rest))?;
        want = (2 * want).min(MAX_WANT);
        let mut tried = false;
        for (place, window) in (offset..len).step_by(8).zip(windows(bytes)) {
            tried = true;
            offset = place + FRAME_ALIGNMENT;
            if place + HEADER_LEN > len {
                return Ok(None);
            }
            match FrameHeader::decode(window, salt, place) {
                Ok(header) => return Ok(Some((place, Ok(header)))),
                Err(error) if error.is_unsupported() => return Ok(Some((place, Err(error)))),
                Err(_) => {}
            }
        }
        if !tried {
            break;
        }
    }
    Ok(None)
}

/// How many bytes there are from `from` to the last one that is not zero.
pub(crate) fn non_zero_len<S: Source>(source: &mut S, from: u64) -> Result<u64, S::Error> {
    let len = source.len();
    let (mut at, mut end) = (from, from);
    while at < len {
        let bytes = source.bytes_at(at, MAX_WANT.min(cast::usize_from(len - at)))?;
        if bytes.is_empty() {
            break;
        }
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            end = at + cast::u64_from(last) + 1;
        }
        at += cast::u64_from(bytes.len());
    }
    Ok(end - from)
}

/// The headers that could start at each eighth byte of `bytes`.
fn windows(bytes: &[u8]) -> impl Iterator<Item = &[u8; FRAME_HEADER_LEN]> {
    (0..bytes.len()).step_by(8).map_while(|at| bytes.get(at..)?.first_chunk())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Forged, Segment, Syncs, seq};
    use alloc::{format, vec::Vec};

    fn segment() -> Segment {
        Segment::new(40, 2, Syncs::Each)
            .entry(b"first entry")
            .lz4_batch(&[b"a", b"", b"three"])
            .entry(b"")
            .batch(&[b"last", &[0; 9]])
            .seal(47)
    }

    /// Walks to the end. Gives the starts of the frames that were reached, and the numbers that are
    /// lost; sees to it that offsets rise and that no number is passed over.
    fn walk(segment: &Segment, mut bytes: &[u8], until: u64, what: &str) -> (Vec<usize>, Vec<u64>) {
        let bounds = Bounds { len: u64::MAX, until: seq(until) };
        let mut at = Place { offset: segment.header_len() as u64, seq: seq(segment.base) };
        let (mut frames, mut lost) = (Vec::new(), Vec::new());
        loop {
            let Ok(step) = step(&mut bytes, segment.salt(), at, bounds);
            let next = match step {
                Step::Frame { offset, header, next } => {
                    assert_eq!(
                        (offset, header.base(), header.end()),
                        (at.offset, at.seq, next.seq)
                    );
                    frames.push(cast::usize_from(offset));
                    next
                }
                Step::Hole { offset, next, .. } => {
                    assert_eq!(offset, at.offset, "{what}");
                    lost.extend(at.seq.get()..next.seq.get());
                    next
                }
                Step::End => break,
            };
            assert!(next.offset > at.offset && next.seq >= at.seq, "{what}");
            at = next;
        }
        assert!(at.seq >= seq(until), "{what}");
        (frames, lost)
    }

    /// What is reached and what is lost, by the headers that are as they were.
    fn check(segment: &Segment, bytes: &[u8], what: &str) {
        for until in segment.base..=segment.next {
            let wanted = segment.frames.iter().filter(|f| f.base < until && !f.entries.is_empty());
            let is_whole = |from: usize, until: usize| {
                until <= bytes.len() && bytes[from..until] == segment.bytes[from..until]
            };
            let reached = |frame: &crate::testing::Frame| {
                is_whole(frame.start, frame.start + FRAME_HEADER_LEN) && frame.end <= bytes.len()
            };
            let (frames, lost): (Vec<_>, Vec<_>) = wanted.partition(|frame| reached(frame));
            let frames: Vec<_> = frames.iter().map(|frame| frame.start).collect();
            let lost: Vec<_> =
                lost.iter().flat_map(|frame| frame.base..frame.until.min(until)).collect();
            let what = format!("{what}, until {until}");
            assert_eq!(walk(segment, bytes, until, &what), (frames, lost), "{what}");
        }
    }

    #[test]
    fn each_frame_whose_header_is_whole_is_reached_and_only_the_others_are_lost() {
        let segment = segment();
        let len = segment.bytes.len();
        for bit in segment.header_len() * 8..len * 8 {
            let mut bytes = segment.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(&segment, &bytes, &format!("bit {bit}"));
        }
        for cut in segment.header_len()..=len {
            check(&segment, &segment.bytes[..cut], &format!("cut at {cut}"));
        }
        for from in (segment.header_len()..len).step_by(8) {
            for until in (from + 8..=len).step_by(8) {
                for byte in [0, 0xA7] {
                    let mut bytes = segment.bytes.clone();
                    bytes[from..until].fill(byte);
                    check(&segment, &bytes, &format!("{byte:02x} in {from}..{until}"));
                }
            }
        }
    }

    /// What lies at or behind the length that counts is not looked at, whatever it is.
    #[test]
    fn a_walk_up_to_a_length_is_that_of_a_file_that_ends_there() {
        let segment = segment();
        for broken in 0..=segment.frames.len() {
            let mut bytes = segment.bytes.clone();
            if let Some(frame) = segment.frames.get(broken) {
                bytes[frame.start] = 0;
            }
            for len in segment.header_len()..=bytes.len() {
                let mut at = Place { offset: segment.header_len() as u64, seq: seq(segment.base) };
                let until = seq(segment.next);
                loop {
                    let bounds = Bounds { len: len as u64, until };
                    let Ok(found) = step(&mut bytes.as_slice(), segment.salt(), at, bounds);
                    let bounds = Bounds { len: u64::MAX, until };
                    let Ok(expected) = step(&mut &bytes[..len], segment.salt(), at, bounds);
                    assert_eq!(found, expected, "frame {broken} broken, {len} bytes count");
                    at = match found {
                        Step::Frame { next, .. } | Step::Hole { next, .. } => next,
                        Step::End => break,
                    };
                }
            }
        }
    }

    /// What a newer version wrote is a hole, and so is no frame behind it.
    #[test]
    fn a_frame_behind_one_of_a_newer_version_is_reached() {
        let segment = segment();
        let [first, second, third, ..] = &segment.frames[..] else { panic!() };
        let newer = Forged { reserved: 1, base: second.base, ..Forged::ENTRY };
        let newer = newer.bytes(segment.salt(), second.start);
        for broken in [None, Some(first.start)] {
            let mut bytes = segment.bytes.clone();
            bytes[second.start..second.start + FRAME_HEADER_LEN].copy_from_slice(&newer);
            if let Some(broken) = broken {
                bytes[broken] = 0;
            }
            let (frames, lost) = walk(&segment, &bytes, segment.next, "newer");
            assert_eq!(frames.contains(&first.start), broken.is_none());
            assert!(frames.contains(&third.start), "{frames:?}");
            let lost_from = broken.map_or(second.base, |_| first.base);
            assert_eq!(lost, (lost_from..third.base).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_source_is_empty_without_bytes_only() {
        assert!(Source::is_empty(&b"".as_slice()));
        assert!(!Source::is_empty(&b"\0".as_slice()));
    }

    /// The bytes of entries are the caller's, who may know the salt: a header in a payload that is
    /// valid for its very place must not be come upon.
    #[test]
    fn no_step_leads_into_the_payload_of_a_frame_with_a_valid_header() {
        let template =
            Segment::new(40, 2, Syncs::Never).entry(b"before").entry(&[0; 64]).entry(b"");
        let [before, around, last] = &template.frames[..] else { panic!() };
        let inside = around.start + FRAME_HEADER_LEN + 8;
        for (kind, entry_count, base) in [(1, 1, 41), (1, 1, 39), (1, 1, 7), (2, 0, 41), (0, 0, 41)]
        {
            for forged_base in 39..45 {
                let forged = Forged { base: forged_base, ..Forged::ENTRY };
                let mut bytes = template.bytes.clone();
                let header = forged.bytes(template.salt(), inside);
                bytes[inside..inside + FRAME_HEADER_LEN].copy_from_slice(&header);
                let frame = Forged { kind, entry_count, base, payload_len: 64, ..Forged::ENTRY };
                let header = frame.bytes(template.salt(), around.start);
                bytes[around.start..around.start + FRAME_HEADER_LEN].copy_from_slice(&header);
                for broken in [false, true] {
                    bytes[before.start] = if broken { 0 } else { 0xA7 };
                    let (frames, _) = walk(&template, &bytes, 43, "forged");
                    assert!(!frames.contains(&inside), "{frame:?} around {forged:?}");
                    assert!(frames.contains(&last.start), "{frame:?} around {forged:?}");
                    assert_eq!(frames.contains(&before.start), !broken);
                }
            }
        }
    }
}
