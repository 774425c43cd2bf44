//! What is in the files of a log that is whole, by a small parser of its own.
//!
//! It is run on disks that are not damaged, so it believes the lengths that it finds. Only what lies behind
//! the end of what counts, where a crash may have left anything, is checked by its checksum.

use std::collections::BTreeMap;
use std::ops::Range;

use ironwal_format::index::{IndexRecord, read_index};
use ironwal_format::names::{INDEX_FILE, StreamFileName, StreamKey};

/// The bytes of the magic of a segment.
pub(super) const MAGIC: [u8; 8] = *b"\x89IWL\r\n\x1a\n";
/// The header of a frame.
pub(super) const HEADER_LEN: usize = 32;
const SEAL: u8 = 2;

/// Every file by its path.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A frame that counts.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Where it is in the file.
    pub(super) at: Range<usize>,
    /// Where its payload ends, without padding.
    pub(super) payload_end: usize,
    /// Its entries; none in a seal.
    pub(super) entries: Range<u64>,
    /// How much of the segment it says was synced.
    pub(super) synced: u64,
}

/// A segment that counts.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: String,
    pub(super) ordinal: u32,
    pub(super) header_len: usize,
    pub(super) frames: Vec<Frame>,
    /// Valid headers behind what counts: where they are, and how much they say was synced.
    pub(super) dead: Vec<(usize, u64)>,
    /// Its entries that count.
    pub(super) entries: Range<u64>,
}

/// What a record of the index says of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) end: u64,
    pub(super) len: u64,
}

/// A stream as it is when nothing is wrong.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) key: String,
    pub(super) dir: String,
    pub(super) segments: Vec<Segment>,
    pub(super) sealed: BTreeMap<u32, Told>,
    pub(super) floor: Option<(u32, Told)>,
    /// The ordinal that the *start* record names.
    pub(super) start: Option<u32>,
    /// Its entries.
    pub(super) entries: Range<u64>,
}

impl Stream {
    /// The path of its index.
    pub(super) fn index(&self) -> String {
        format!("{}/{INDEX_FILE}", self.dir)
    }

    /// The lowest base of the segments behind this one.
    pub(super) fn limit(&self, at: usize) -> Option<u64> {
        self.segments.iter().skip(at + 1).map(|later| later.entries.start).min()
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().unwrap_or([0; N])
}

/// Four bytes as a number; what is not there is zero.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// CRC-32, bit by bit.
fn crc32(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().copied().flatten();
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

/// A stream with this key, if there is one.
pub(super) fn stream(files: &Files, key: &str) -> Option<Stream> {
    let dir = StreamKey::new(key).ok()?.dir_name();
    files.get(&format!("{dir}/"))?;
    let mut stream = Stream {
        key: key.to_owned(),
        dir: dir.clone(),
        segments: Vec::new(),
        sealed: BTreeMap::new(),
        floor: None,
        start: None,
        entries: 0..0,
    };
    stream.read_index(files);
    let mut names = Vec::new();
    for path in files.keys() {
        let Some(name) = path.strip_prefix(&dir).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        if let StreamFileName::Segment { base, ordinal } = StreamFileName::of(name)
            && stream.start.is_none_or(|start| start <= ordinal.get())
        {
            names.push((ordinal.get(), base.get(), path));
        }
    }
    names.sort_unstable();
    for (at, (ordinal, base, path)) in names.iter().enumerate() {
        let limit = names.iter().skip(at + 1).map(|(_, base, _)| *base).min();
        let bytes = files.get(*path).map(Vec::as_slice).unwrap_or_default();
        stream.segments.push(segment(path, bytes, (*ordinal, *base), limit));
    }
    let first = stream.segments.iter().map(|segment| segment.entries.start).min()?;
    let next = stream.segments.last().map_or(first, |last| last.entries.end);
    stream.entries = first..next;
    Some(stream)
}

impl Stream {
    /// Takes what the index says; of this there is nothing that a later record makes moot but a floor of
    /// a segment that was sealed since.
    fn read_index(&mut self, files: &Files) {
        let Some(bytes) = files.get(&self.index()) else { return };
        let Ok(contents) = read_index(bytes) else { return };
        for record in contents.records {
            match record {
                IndexRecord::Sealed(told) | IndexRecord::Floor(told) => {
                    let ordinal = told.ordinal.get();
                    let is_floor = matches!(record, IndexRecord::Floor(_));
                    let told = Told { end: told.end.get(), len: u64::from(told.len) };
                    if is_floor {
                        self.floor = Some((ordinal, told));
                    } else {
                        self.sealed.insert(ordinal, told);
                    }
                }
                IndexRecord::Start(start) => self.start = Some(start.ordinal.get()),
            }
        }
        let start = self.start.unwrap_or_default();
        self.sealed.retain(|ordinal, _| *ordinal >= start);
        let sealed = &self.sealed;
        self.floor = self.floor.filter(|(ordinal, _)| !sealed.contains_key(ordinal));
    }
}

fn segment(path: &str, bytes: &[u8], (ordinal, base): (u32, u64), limit: Option<u64>) -> Segment {
    let header_len = HEADER_LEN + size(u32_at(bytes, 20)).next_multiple_of(8);
    let (mut at, mut next) = (header_len, base);
    let mut frames = Vec::new();
    while bytes.get(at) == Some(&0xA7) {
        let is_seal = bytes.get(at + 1).is_some_and(|kind| kind & 15 == SEAL);
        if limit.is_some_and(|limit| next >= limit) && !is_seal {
            break;
        }
        let payload_end = at + HEADER_LEN + size(u32_at(bytes, at + 20));
        let count = if is_seal { 0 } else { u64::from(u32_at(bytes, at + 16)) };
        let end = payload_end.next_multiple_of(8);
        let synced = u64::from(u32_at(bytes, at + 28));
        frames.push(Frame { at: at..end, payload_end, entries: next..next + count, synced });
        (at, next) = (end, next + count);
        if is_seal {
            break;
        }
    }
    let dead = dead_headers(bytes, ordinal, at);
    let path = path.to_owned();
    Segment { path, ordinal, header_len, frames, dead, entries: base..next }
}

/// The valid headers from here on.
fn dead_headers(bytes: &[u8], ordinal: u32, from: usize) -> Vec<(usize, u64)> {
    let ordinal = ordinal.to_le_bytes();
    let salt = crc32(&[bytes.get(48..64).unwrap_or_default(), &ordinal]).to_le_bytes();
    let mut found = Vec::new();
    let mut at = from;
    while let Some(header) = bytes.get(at..at + HEADER_LEN) {
        let place = u64::try_from(at).unwrap_or(u64::MAX).to_le_bytes();
        let (front, rest) = (header.get(..4).unwrap_or_default(), header.get(8..));
        let is_valid = header.first() == Some(&0xA7)
            && crc32(&[&salt, &place, front, rest.unwrap_or_default()]) == u32_at(header, 4);
        if is_valid {
            found.push((at, u64::from(u32_at(header, 28))));
            let end = at + HEADER_LEN + size(u32_at(header, 20)).next_multiple_of(8);
            at = if end <= bytes.len() { end } else { at + 8 };
        } else {
            at += 8;
        }
    }
    found
}

impl Segment {
    /// Whether a seal ends it.
    pub(super) fn is_sealed(&self) -> bool {
        self.frames.last().is_some_and(|last| last.entries.is_empty())
    }
}

impl Frame {
    /// Whether its bytes are as they were.
    pub(super) fn is_whole(&self, before: &[u8], after: &[u8]) -> bool {
        after.get(self.at.clone()).is_some_and(|found| Some(found) == before.get(self.at.clone()))
    }
}

/// Whether a header is as it was.
pub(super) fn is_header_whole(at: usize, before: &[u8], after: &[u8]) -> bool {
    let place = at..at + HEADER_LEN;
    after.get(place.clone()).is_some_and(|found| Some(found) == before.get(place))
}
