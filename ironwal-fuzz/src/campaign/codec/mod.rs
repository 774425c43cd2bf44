//! Bytes and their meaning: round trips, every cut, every turned bit, and any bytes at all.

mod records;

use bytes::Bytes;
use ironwal_format::checksum::{Salt, crc32};
use ironwal_format::compress::{plain_len, unpack_lz4};
use ironwal_format::frame::{
    Encoding, FRAME_HEADER_LEN, FrameError, FrameHeader, Placement, PreparedFrame,
};
use ironwal_format::payload::{
    Compression, EntryLimits, entry_range, prepare_batch, prepare_entry,
};
use ironwal_format::seal::Seal;
use ironwal_format::{Ordinal, SequenceNumber, StreamId, cast};

use super::{Campaign, Failure, Layer};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::tally::{self, Group};

/// One frame, one segment header, one index, some names and some bytes that are nothing.
#[derive(Debug)]
pub(super) struct Codec;

const LIMITS: EntryLimits = EntryLimits::new(1 << 20, 1 << 20);

/// Of longer frames only some bits are turned.
const ALL_BITS_UP_TO: usize = 512;

impl Campaign for Codec {
    fn name(&self) -> &'static str {
        "codec"
    }

    fn layer(&self) -> Layer {
        Layer::Codec
    }

    fn about(&self) -> &'static str {
        "what is encoded is decoded; cut, turned or made up, it is refused and never other bytes"
    }

    fn fixed_count(&self) -> u64 {
        3000
    }

    fn must_reach(&self) -> &'static [&'static str] {
        &[
            "rule: a batch",
            "rule: a packed frame",
            "rule: an empty entry",
            "rule: a packed payload that is wrong is unpacked or refused",
            "rule: a header with a right checksum and wrong fields",
            "rule: an index with a torn end",
        ]
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let mut random = SplitMix64::new(case);
        let random = &mut random;
        check_frame(random)?;
        records::check_segment_header(random)?;
        records::check_index(random)?;
        records::check_names(random)?;
        records::check_anything(random)?;
        tally::checked(Invariant::I6);
        tally::checked(Invariant::I21);
        Ok(())
    }
}

fn differs(what: impl Into<String>) -> Violation {
    Violation::new(Invariant::I6, what)
}

fn bytes(random: &mut SplitMix64, len: usize) -> Vec<u8> {
    // Some repeat, so that packing them is worth it.
    let alphabet = if random.chance(1, 2) { 2 } else { 256 };
    (0..len).map(|_| u8::try_from(random.below(alphabet)).unwrap_or_default()).collect()
}

fn id(random: &mut SplitMix64) -> StreamId {
    StreamId::new(
        (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())).to_le_bytes(),
    )
}

/// A number of any size.
fn number(random: &mut SplitMix64) -> u64 {
    random.next_u64() >> random.below(64)
}

fn number32(random: &mut SplitMix64) -> u32 {
    u32::try_from(random.next_u64() >> (32 + random.below(32))).unwrap_or_default()
}

/// Where a frame stands.
#[derive(Clone, Copy)]
struct At {
    salt: Salt,
    offset: u64,
}

/// What a frame says, if it is one: the number of its first entry, and its entries.
fn decode(bytes: &[u8], at: At) -> Option<(u64, Vec<Bytes>)> {
    let (header, rest) = bytes.split_first_chunk::<FRAME_HEADER_LEN>()?;
    let header = FrameHeader::decode(header, at.salt, at.offset).ok()?;
    let padded = rest.get(..cast::usize_from(header.padded_len()))?;
    header.check_payload(padded).ok()?;
    let payload = padded.get(..cast::usize_from_u32(header.payload_len()))?;
    let payload = match header.encoding() {
        Encoding::Raw => payload.to_vec(),
        Encoding::Lz4 => unpack_lz4(payload).ok()?,
    };
    let count = header.entry_count();
    let entries = (0..count).map(|index| {
        let range = entry_range(&payload, count, index).ok()?;
        Some(Bytes::copy_from_slice(payload.get(range)?))
    });
    Some((header.base().get(), entries.collect::<Option<_>>()?))
}

fn check_frame(random: &mut SplitMix64) -> Result<(), Violation> {
    let count = random.below(5).saturating_sub(1).max(1);
    let max_len = [1, 40, 300, 5000].get(random.below(4)).copied().unwrap_or(40);
    let entries: Vec<Bytes> = (0..count)
        .map(|_| {
            let len = random.below(max_len);
            Bytes::from(bytes(random, len))
        })
        .collect();
    let compression = match random.below(2) {
        0 => Compression::None,
        _ => Compression::Lz4 { min_len: random.below(64) as u64 },
    };
    let Some(mut frame) = prepared(&entries, compression)? else { return Ok(()) };
    let salt = Salt::of(id(random), Ordinal::new(number32(random)));
    let at = At { salt, offset: (number(random) & 0x3fff_ffff) & !7 };
    let base = number(random) >> 1;
    let synced_len = random.below(cast::usize_from(at.offset) + 1) as u64;
    let place = Placement { salt, offset: at.offset, base: SequenceNumber::new(base), synced_len };
    let encoding = frame.encoding();
    let whole = frame.place(place).to_vec();
    if entries.iter().any(Bytes::is_empty) {
        tally::count(Group::Reached, "rule: an empty entry");
    }
    if encoding == Encoding::Lz4 {
        tally::count(Group::Reached, "rule: a packed frame");
    }
    if count > 1 {
        tally::count(Group::Reached, "rule: a batch");
    }
    let expected = Some((base, entries));
    if decode(&whole, at) != expected {
        return Err(differs(format!("{encoding:?}: {count} entries are not what they were")));
    }
    // The next frame may stand behind it.
    let next = [whole.as_slice(), b"\xa7and more"].concat();
    if decode(&next, at) != expected {
        return Err(differs("a frame is other bytes with something behind it"));
    }
    for len in 0..whole.len() {
        refused(whole.get(..len).unwrap_or_default(), at, "cut")?;
    }
    let bits = whole.len() * 8;
    let some: Vec<usize> = match whole.len() {
        ..=ALL_BITS_UP_TO => (0..bits).collect(),
        _ => (0..256).chain((0..256).map(|_| random.below(bits))).collect(),
    };
    for bit in some {
        refused(&turned(&whole, bit), at, "turned")?;
    }
    refused(&whole, At { offset: at.offset + 8, ..at }, "elsewhere")?;
    refused(&whole, At { salt: Salt::of(id(random), Ordinal::ZERO), ..at }, "of another segment")?;
    check_inside(random, &whole, at)
}

fn prepared(
    entries: &[Bytes],
    compression: Compression,
) -> Result<Option<PreparedFrame>, Violation> {
    let prepared = match entries {
        [entry] => prepare_entry(entry, LIMITS, compression).map(Some),
        entries => prepare_batch(entries, LIMITS, compression),
    };
    prepared.map_err(|error| differs(format!("refused: {error}")))
}

fn turned(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut turned = bytes.to_vec();
    if let Some(byte) = turned.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    turned
}

fn refused(bytes: &[u8], at: At, how: &str) -> Result<(), Violation> {
    match decode(bytes, at) {
        None => Ok(()),
        Some(found) => Err(differs(format!("a frame that is {how} is taken for {found:?}"))),
    }
}

/// What is behind right checksums may be anything: it is refused or gives no more than it says.
fn check_inside(random: &mut SplitMix64, whole: &[u8], at: At) -> Result<(), Violation> {
    let mut harmed = whole.to_vec();
    for _ in 0..=random.below(3) {
        let place = random.below(harmed.len().min(200));
        if let Some(byte) = harmed.get_mut(place) {
            *byte = u8::try_from(random.below(256)).unwrap_or_default();
        }
    }
    let [o0, o1, o2, o3, o4, o5, o6, o7] = at.offset.to_le_bytes();
    let offset = [o0, o1, o2, o3, o4, o5, o6, o7];
    let payload = crc32(&[harmed.get(FRAME_HEADER_LEN..).unwrap_or_default()]);
    set(&mut harmed, 24, payload);
    let (head, fields) = (harmed.get(..4), harmed.get(8..FRAME_HEADER_LEN));
    let covered =
        [&at.salt.get().to_le_bytes(), &offset[..], head.unwrap_or(&[]), fields.unwrap_or(&[])];
    let header = crc32(&covered);
    set(&mut harmed, 4, header);
    if let Some(start) = harmed.first_chunk::<FRAME_HEADER_LEN>()
        && !matches!(
            FrameHeader::decode(start, at.salt, at.offset),
            Err(FrameError::HeaderChecksum { .. })
        )
    {
        tally::count(Group::Reached, "rule: a header with a right checksum and wrong fields");
    }
    let found = decode(&harmed, at).map_or(0, |(_, entries)| entries.iter().map(Bytes::len).sum());
    let body = harmed.get(FRAME_HEADER_LEN..).unwrap_or_default();
    let promised = plain_len(body).map_or(0, cast::usize_from_u32);
    if found > body.len().max(promised) {
        return Err(differs(format!("{} bytes hold {found} bytes of entries", body.len())));
    }
    if let Ok(plain) = unpack_lz4(body)
        && plain.len() != promised
    {
        return Err(differs(format!("{} bytes were unpacked, not {promised}", plain.len())));
    }
    tally::count(Group::Reached, "rule: a packed payload that is wrong is unpacked or refused");
    drop(Seal::decode(body));
    Ok(())
}

fn set(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}
