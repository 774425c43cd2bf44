//! The scan of a segment: how far its frames are whole, and what its bytes prove.
//!
//! The scan goes from frame to frame, checking header, number and payload, until there is no valid
//! frame. It never stops there: the bytes behind are searched for headers, because those may prove
//! that what is missing was durable once. What to make of that is for [`judge`](crate::verdict::judge).

use crate::checksum::{Salt, single_bit_error};
use crate::frame::{
    FRAME_ALIGNMENT, FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind, HEADER_LEN,
    header_bit_error,
};
use crate::ids::SequenceNumber;
use crate::seal::SparseTable;
use crate::walk::{Place, Source, behind, check_payload_at, find_header, header_at, non_zero_len};

/// Payloads up to this length are searched for a single turned bit: eight steps a byte.
const MAX_BIT_SEARCH_LEN: u64 = 16 << 20;

/// Where a scan starts, and how far it matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScanFrom {
    /// The salt of the segment.
    pub salt: Salt,
    /// The base of the segment.
    pub base: SequenceNumber,
    /// The offset of the first frame behind the segment header.
    pub offset: u64,
    /// The base of a later segment: what lies at or past it is dead, and only its headers are
    /// looked at, for what they prove. [`SequenceNumber::MAX`] where there is none.
    pub limit: SequenceNumber,
}

/// What a scan found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scan {
    /// One past the last entry of the valid frames from the start on.
    pub next: SequenceNumber,
    /// The end of the last of those frames.
    pub valid_end: u64,
    /// How many those frames are, a seal not counted.
    pub frame_count: u32,
    /// Where some of those frames are.
    pub table: SparseTable,
    /// Why the valid frames end.
    pub end: ScanEnd,
    /// How many bytes of the segment were durable once, by the synced length of any valid header.
    pub evidence_len: u64,
}

/// Why the valid frames of a segment end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScanEnd {
    /// The file ends there, or nothing but zeros follow.
    Clean,
    /// The last frame is a seal.
    Sealed {
        /// The base of the next segment.
        next_base: SequenceNumber,
    },
    /// What follows is dead, and no seal.
    Limit,
    /// There is no valid frame, but there are bytes.
    Broken(Break),
    /// A frame of a newer version: not damage, and not to be touched.
    Unsupported {
        /// Where it is.
        offset: u64,
        /// What it needs.
        error: FrameError,
    },
}

/// Bytes that are no valid frame, where one should start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Break {
    /// What is wrong with the frame there.
    pub error: FrameError,
    /// How many bytes there are up to the last that is not zero.
    pub rest_len: u64,
    /// The bit that has to be turned to make the frame valid, counted from the lowest bit of its
    /// first byte, if one does.
    pub turned_bit: Option<u64>,
    /// One past the last entry that a valid header behind it names.
    pub end_behind: Option<SequenceNumber>,
}

/// Scans the frames of one segment.
///
/// # Errors
///
/// Those of the source; whatever the bytes are is a finding and no error.
pub fn scan<S: Source>(source: &mut S, from: ScanFrom) -> Result<Scan, S::Error> {
    let mut scan = Scan {
        next: from.base,
        valid_end: from.offset,
        frame_count: 0,
        table: SparseTable::default(),
        end: ScanEnd::Clean,
        evidence_len: 0,
    };
    scan.end = loop {
        let at = Place { offset: scan.valid_end, seq: scan.next };
        // A seal holds no entries: it belongs to the segment where what follows is dead, too.
        if is_cut_off(scan.next, from.limit) && !is_seal_at(source, from.salt, at)? {
            headers_behind(source, from.salt, at.offset, |header| {
                scan.evidence_len = scan.evidence_len.max(header.synced_len());
            })?;
            break ScanEnd::Limit;
        }
        match valid_frame_at(source, from.salt, at)? {
            Ok(header) => {
                scan.evidence_len = scan.evidence_len.max(header.synced_len());
                scan.valid_end += header.frame_len();
                if header.kind() == FrameKind::Seal {
                    break ScanEnd::Sealed { next_base: header.base() };
                }
                scan.table.note(header.base().since(from.base), at.offset);
                scan.frame_count = scan.frame_count.saturating_add(1);
                scan.next = header.end();
            }
            Err(error) if error.is_unsupported() => {
                break ScanEnd::Unsupported { offset: at.offset, error };
            }
            Err(error) => break look_behind(source, &mut scan, from, error)?,
        }
    };
    Ok(scan)
}

/// Whether a segment whose base is `limit` makes the entry with this number dead.
pub(crate) fn is_cut_off(seq: SequenceNumber, limit: SequenceNumber) -> bool {
    limit < SequenceNumber::MAX && seq >= limit
}

/// Whether a whole seal stands at a place.
fn is_seal_at<S: Source>(source: &mut S, salt: Salt, at: Place) -> Result<bool, S::Error> {
    let len = source.len();
    match header_at(source, salt, at.offset, len)? {
        Ok(header) if header.kind() == FrameKind::Seal => {
            Ok(valid_frame_at(source, salt, at)?.is_ok())
        }
        Ok(_) | Err(_) => Ok(false),
    }
}

/// The header of the frame at a place, if header, number and payload are valid.
fn valid_frame_at<S: Source>(
    source: &mut S,
    salt: Salt,
    at: Place,
) -> Result<Result<FrameHeader, FrameError>, S::Error> {
    let len = source.len();
    let header = match header_at(source, salt, at.offset, len)? {
        Ok(header) => header,
        Err(error) => return Ok(Err(error)),
    };
    let (expected, found) = (at.seq, header.base());
    let follows = match header.kind() {
        FrameKind::Entries => found == expected,
        // The next segment starts at the end of this one, or lower after a rollback.
        FrameKind::Seal => found <= expected,
        FrameKind::SegmentHeader => return Ok(Err(FrameError::Kind)),
    };
    if !follows {
        return Ok(Err(FrameError::Sequence { expected, found }));
    }
    Ok(check_payload_at(source, at.offset, &header)?.map(|()| header))
}

/// What is behind the last valid frame: nothing, or a break and what headers behind it prove.
fn look_behind<S: Source>(
    source: &mut S,
    scan: &mut Scan,
    from: ScanFrom,
    error: FrameError,
) -> Result<ScanEnd, S::Error> {
    let at = scan.valid_end;
    let rest_len = non_zero_len(source, at)?;
    if rest_len == 0 {
        return Ok(ScanEnd::Clean);
    }
    let mut end_behind = None;
    let newer = headers_behind(source, from.salt, at, |header| {
        scan.evidence_len = scan.evidence_len.max(header.synced_len());
        // A seal has no entries: its end is its base, that of the next segment.
        if header.kind() != FrameKind::SegmentHeader && header.base() >= scan.next {
            end_behind = end_behind.max(Some(header.end()));
        }
    })?;
    if let Some((offset, error)) = newer {
        return Ok(ScanEnd::Unsupported { offset, error });
    }
    let place = Place { offset: at, seq: scan.next };
    let turned_bit = turned_bit(source, from.salt, place)?;
    Ok(ScanEnd::Broken(Break { error, rest_len, turned_bit, end_behind }))
}

/// Shows all sound headers at or behind `from`, whatever their payloads are. Returns the first that
/// is newer than this version, if there is one.
fn headers_behind<S: Source>(
    source: &mut S,
    salt: Salt,
    from: u64,
    mut show: impl FnMut(FrameHeader),
) -> Result<Option<(u64, FrameError)>, S::Error> {
    let len = source.len();
    let mut newer = None;
    let mut offset = from;
    while let Some((at, header)) = find_header(source, salt, offset, len)? {
        offset = match header {
            Ok(header) => {
                show(header);
                behind(at, &header, len)
            }
            Err(error) => {
                newer = newer.or(Some((at, error)));
                at + FRAME_ALIGNMENT
            }
        };
    }
    Ok(newer)
}

/// The one bit that makes the frame at a place valid, if there is one.
fn turned_bit<S: Source>(source: &mut S, salt: Salt, at: Place) -> Result<Option<u64>, S::Error> {
    let bytes = source.bytes_at(at.offset, FRAME_HEADER_LEN)?;
    let Some(mut bytes) = bytes.first_chunk().copied() else {
        return Ok(None);
    };
    if let Ok(header) = FrameHeader::decode(&bytes, salt, at.offset) {
        if header.base() != at.seq || header.padded_len() > MAX_BIT_SEARCH_LEN {
            return Ok(None);
        }
        let Err(FrameError::PayloadChecksum { stored, computed }) =
            check_payload_at(source, at.offset, &header)?
        else {
            return Ok(None);
        };
        let bit = single_bit_error(stored, computed, header.padded_len());
        return Ok(bit.map(|bit| bit + HEADER_LEN * 8));
    }
    let Some(bit) = header_bit_error(&bytes, salt, at.offset) else {
        return Ok(None);
    };
    if let Some(byte) = bytes.get_mut(crate::cast::usize_from(bit / 8)) {
        *byte ^= 1 << (bit % 8);
    }
    let valid = match FrameHeader::decode(&bytes, salt, at.offset) {
        Ok(header) if header.base() == at.seq => {
            check_payload_at(source, at.offset, &header)?.is_ok()
        }
        Ok(_) | Err(_) => false,
    };
    Ok(valid.then_some(bit))
}

#[cfg(test)]
mod tests;
