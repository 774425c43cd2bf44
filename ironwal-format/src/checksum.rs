//! CRC-32 as the format uses it, and the salt that binds a checksum to its segment.
//!
//! The polynomial is that of ISO-HDLC (Ethernet, zlib): reflected `0xEDB88320`, initial value and
//! final exclusive-or all ones. A CRC finds accidents; it is not a signature.

use crate::ids::{Ordinal, StreamId};

/// The reflected polynomial of CRC-32/ISO-HDLC.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// What the header checksums of one segment start with, so that a frame of another segment never
/// passes for one of this.
///
/// It is the CRC-32 of the stream id and the ordinal (little-endian): known from any segment or
/// index of the stream, so that one bad sector cannot take it away, and different for any two
/// segments of one stream, since a CRC-32 never maps two values of 32 adjacent bits to one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Salt(u32);

impl Salt {
    /// The salt of segment headers, which must be readable before the stream id is known.
    pub const NONE: Self = Self(0);

    /// The salt of one segment.
    pub fn of(id: StreamId, ordinal: Ordinal) -> Self {
        Self(crc32(&[&id.get(), &ordinal.get().to_le_bytes()]))
    }

    /// The plain number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// The CRC-32 of all parts, one behind the other.
#[inline]
pub fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc32::new();
    for part in parts {
        crc.update(part);
    }
    crc.finish()
}

/// A CRC-32 that is fed piece by piece.
#[derive(Clone, Debug)]
pub struct Crc32(crc32fast::Hasher);

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32 {
    /// The checksum of nothing yet.
    #[inline]
    pub fn new() -> Self {
        Self(crc32fast::Hasher::new())
    }

    /// Takes in the next bytes.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes that were taken in.
    #[inline]
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// Where in a message of `len` bytes one turned bit explains that its checksum is `computed` and
/// not `stored`: the number of the bit, counted from the lowest bit of the first byte. `None` if
/// no single bit does.
///
/// A CRC is linear, so the difference of two checksums depends only on which bits differ, and not
/// on the message: each bit further from the end is one more step of the shift register. Work is
/// eight steps a byte; the message itself is not needed.
pub fn single_bit_error(stored: u32, computed: u32, len: u64) -> Option<u64> {
    let difference = stored ^ computed;
    let mut effect: u32 = 1;
    for from_end in 0..len.checked_mul(8)? {
        effect = if effect & 1 == 1 { (effect >> 1) ^ POLYNOMIAL } else { effect >> 1 };
        if effect == difference {
            // The highest bit of a byte goes through the register last.
            return Some(len * 8 - 1 - from_end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue_is_met() {
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xCBF4_3926);
    }

    #[test]
    fn every_single_turned_bit_is_found_and_nothing_else() {
        let message = *b"what must not be forgotten, no matter what";
        let stored = crc32(&[&message]);
        for bit in 0..message.len() * 8 {
            let mut turned = message;
            turned[bit / 8] ^= 1 << (bit % 8);
            let found = single_bit_error(stored, crc32(&[&turned]), message.len() as u64);
            assert_eq!(found, Some(bit as u64));
            let mut twice = turned;
            twice[(bit / 8 + 5) % message.len()] ^= 1;
            assert_eq!(single_bit_error(stored, crc32(&[&twice]), message.len() as u64), None);
        }
        assert_eq!(single_bit_error(stored, stored, message.len() as u64), None);
    }

    #[test]
    fn two_segments_of_one_stream_never_share_a_salt() {
        let id = StreamId::new([7; 16]);
        let salts: alloc::collections::BTreeSet<_> =
            (0..10_000).map(|n| Salt::of(id, Ordinal::new(n)).get()).collect();
        assert_eq!(salts.len(), 10_000);
    }
}
