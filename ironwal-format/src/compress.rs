//! The LZ4 payload of an entries frame: a plain size (u32), and one LZ4 block that gives as many bytes.
//!
//! ```text
//!  0              4
//!  +--------------+-- ... --+
//!  |  plain size  |  block  |
//!  +--------------+-- ... --+
//! ```
//!
//! What it gives is the plain payload, offset table included: see [`payload`](crate::payload). Nothing
//! but reading entries needs it: checksums, scans and repair are about the bytes as they are stored.

use alloc::vec::Vec;

use crate::cast;
use crate::frame::{FrameError, MAX_PAYLOAD_LEN};

/// The length of the plain size.
const SIZE_LEN: usize = 4;

/// The plain payload out of an LZ4 payload, without padding, whose checksum matched.
///
/// The only memory that is asked for is the plain payload's, and only when its size is possible.
///
/// # Errors
///
/// [`FrameError::Lz4Size`] and [`FrameError::Lz4Block`] when a payload with a right checksum is wrong
/// inside; [`FrameError::Lz4Missing`], whatever the payload is, in a build without the feature `lz4`.
pub fn unpack_lz4(payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    unpack(payload)
}

/// How many bytes an LZ4 payload, without padding, says that it gives. Known in every build.
///
/// # Errors
///
/// [`FrameError::Lz4Size`] when it cannot, and [`FrameError::Lz4Block`] when there is no size.
pub fn plain_len(payload: &[u8]) -> Result<u32, FrameError> {
    split(payload).map(|(plain_len, _)| plain_len)
}

/// The plain size, which is possible, and the block.
fn split(payload: &[u8]) -> Result<(u32, &[u8]), FrameError> {
    let (size, block) = payload.split_first_chunk::<SIZE_LEN>().ok_or(FrameError::Lz4Block)?;
    let plain_len = u32::from_le_bytes(*size);
    let most = max_plain_len(cast::u64_from(block.len())).min(u64::from(MAX_PAYLOAD_LEN));
    if u64::from(plain_len) > most {
        return Err(FrameError::Lz4Size(plain_len));
    }
    Ok((plain_len, block))
}

/// The most bytes that any LZ4 block of this length gives.
///
/// By `doc/lz4_Block_format.md` of lz4, a sequence is a token, `l` literals, an offset of 2 bytes, and
/// a match whose length is 4, up to 15 more by the token, and what `k` further bytes add: 255 each, but
/// the last, which ends them, at most 254. So `3 + l + k` bytes or more give at most `l + 18 + 255 k`.
/// The last sequence has no match: a token or more, and the literals. The first match needs a byte to
/// copy, so there is a literal. Against 255 bytes for each one, a match costs 747, a literal 254, the
/// last token 255. The most comes from one literal, one match, and that token: `255 n - 1256`. Less
/// than 5 bytes have no room for a match: they give what they hold behind the token.
///
/// The restrictions on the end of a block that the same page has are not asked for here. Decoders that
/// know them give less, never more.
const fn max_plain_len(block_len: u64) -> u64 {
    match block_len.checked_sub(5) {
        Some(more) => more.saturating_mul(255).saturating_add(19),
        None => block_len.saturating_sub(1),
    }
}

#[cfg(feature = "lz4")]
fn unpack(payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    let (plain_len, block) = split(payload)?;
    let mut plain = alloc::vec![0; cast::usize_from_u32(plain_len)];
    match lz4_flex::block::decompress_into(block, &mut plain) {
        Ok(len) if len == plain.len() => Ok(plain),
        Ok(_) | Err(_) => Err(FrameError::Lz4Block),
    }
}

#[cfg(not(feature = "lz4"))]
const fn unpack(_payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    Err(FrameError::Lz4Missing)
}

/// The LZ4 payload for a plain one, behind room for the header of a frame; `None` where the frame would
/// not become shorter.
#[cfg(feature = "lz4")]
pub(crate) fn pack_lz4(plain: &[u8]) -> Option<Vec<u8>> {
    use crate::frame::{FRAME_HEADER_LEN, padded};
    use lz4_flex::block::{compress_into, get_maximum_output_size};

    let size = u32::try_from(plain.len()).ok().filter(|len| *len <= MAX_PAYLOAD_LEN)?;
    let front = FRAME_HEADER_LEN + SIZE_LEN;
    let mut bytes = alloc::vec![0; front + get_maximum_output_size(plain.len())];
    let (head, room) = bytes.split_at_mut(front);
    let block_len = compress_into(plain, room).expect("there is room for the longest block");
    let is_shorter =
        padded(cast::u64_from(SIZE_LEN + block_len)) < padded(cast::u64_from(plain.len()));
    if !is_shorter {
        return None;
    }
    let (_, place) = head.split_at_mut(FRAME_HEADER_LEN);
    place.copy_from_slice(&size.to_le_bytes());
    bytes.truncate(front + block_len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn with_size(plain_len: u32, block: &[u8]) -> Vec<u8> {
        [&plain_len.to_le_bytes(), block].concat()
    }

    /// The block of `len` bytes that gives the most: one literal, one match, and the last token.
    fn densest(len: usize) -> Vec<u8> {
        match len.checked_sub(5) {
            Some(0) => vec![0x1E, b'a', 1, 0, 0],
            Some(more) => {
                let mut block = vec![0x1F, b'a', 1, 0];
                block.resize(3 + more, 0xFF);
                block.extend([0xFE, 0]);
                block
            }
            None => {
                let mut block = vec![b'a'; len];
                block[0] = u8::try_from(len - 1).unwrap() << 4;
                block
            }
        }
    }

    #[test]
    fn the_size_is_known_in_every_build_and_bounded_by_the_block_and_the_format() {
        assert_eq!(plain_len(&with_size(19, &densest(5))), Ok(19));
        assert_eq!(plain_len(&with_size(20, &densest(5))), Err(FrameError::Lz4Size(20)));
        for len in 0..4 {
            assert_eq!(plain_len(&vec![0; len]), Err(FrameError::Lz4Block));
        }
        // Long enough to give more than the format holds.
        let block = vec![0xFF; 5 << 20];
        let most = MAX_PAYLOAD_LEN;
        assert_eq!(plain_len(&with_size(most, &block)), Ok(most));
        for past in [most + 1, u32::MAX] {
            assert_eq!(plain_len(&with_size(past, &block)), Err(FrameError::Lz4Size(past)));
        }
        assert_eq!(max_plain_len(u64::MAX), u64::MAX);
    }

    #[cfg(not(feature = "lz4"))]
    #[test]
    fn without_the_feature_nothing_is_unpacked_and_nothing_is_called_damage() {
        for payload in [&b""[..], &with_size(19, &densest(5)), &with_size(20, &densest(5))] {
            let error = unpack_lz4(payload).unwrap_err();
            assert!(error.is_missing_feature() && !error.is_unsupported());
        }
    }

    #[cfg(feature = "lz4")]
    mod unpacking {
        use proptest::prelude::*;

        use super::super::*;
        use super::{densest, with_size};
        use crate::frame::FRAME_HEADER_LEN;
        use alloc::vec;

        /// An error, or as many bytes as the payload says, and no more than it can give.
        fn check(payload: &[u8]) -> Result<Vec<u8>, FrameError> {
            let unpacked = unpack_lz4(payload);
            match &unpacked {
                Ok(plain) => {
                    assert_eq!(plain_len(payload), Ok(u32::try_from(plain.len()).unwrap()));
                    let block_len = payload.len() as u64 - 4;
                    assert!(plain.len() as u64 <= max_plain_len(block_len));
                }
                Err(error) => {
                    assert!(matches!(error, FrameError::Lz4Size(_) | FrameError::Lz4Block));
                    assert!(!error.is_missing_feature() && !error.is_unsupported());
                }
            }
            unpacked
        }

        fn packed(plain: &[u8]) -> Option<Vec<u8>> {
            pack_lz4(plain).map(|bytes| bytes[FRAME_HEADER_LEN..].to_vec())
        }

        fn sample() -> Vec<u8> {
            let mut plain = b"entries of a log are much like one another, ".repeat(5);
            plain.extend(0..60);
            plain.extend([0; 300]);
            plain.extend(b"entries of a log");
            plain
        }

        /// What the bound says can be had is had, and not one byte more.
        #[test]
        fn the_bound_is_what_the_densest_block_gives() {
            for len in 1..2000 {
                let block = densest(len);
                assert_eq!(block.len(), len);
                let most = u32::try_from(max_plain_len(len as u64)).unwrap();
                assert_eq!(check(&with_size(most, &block)), Ok(vec![b'a'; most as usize]));
                let past = Err(FrameError::Lz4Size(most + 1));
                assert_eq!(check(&with_size(most + 1, &block)), past);
                if let Some(fewer) = most.checked_sub(1) {
                    assert_eq!(check(&with_size(fewer, &block)), Err(FrameError::Lz4Block));
                }
            }
        }

        /// Decoded into more room than any of them can use.
        #[test]
        fn no_block_of_up_to_two_bytes_gives_more_than_the_bound() {
            let mut room = [0; 1000];
            for bytes in 0..=u16::MAX {
                let block = bytes.to_le_bytes();
                for len in 1..=2 {
                    let given = lz4_flex::block::decompress_into(&block[..len], &mut room);
                    assert!(given.unwrap_or(0) as u64 <= max_plain_len(len as u64));
                }
            }
        }

        #[test]
        fn a_bomb_is_refused_by_its_size_alone() {
            for plain_len in [1 << 30, MAX_PAYLOAD_LEN, u32::MAX, 23_225] {
                let bomb = with_size(plain_len, &densest(96));
                assert_eq!(bomb.len(), 100);
                assert_eq!(check(&bomb), Err(FrameError::Lz4Size(plain_len)));
            }
            assert!(check(&with_size(23_224, &densest(96))).is_ok());
        }

        #[test]
        fn every_value_of_each_size_byte_is_an_error_but_the_right_one() {
            let plain = sample();
            let payload = packed(&plain).unwrap();
            for at in 0..4 {
                for value in 0..=u8::MAX {
                    let mut forged = payload.clone();
                    forged[at] = value;
                    let expected = (forged == payload).then(|| plain.clone());
                    assert_eq!(check(&forged).ok(), expected, "byte {at}, value {value}");
                }
            }
        }

        #[test]
        fn every_cut_is_an_error() {
            let payload = packed(&sample()).unwrap();
            for cut in 0..payload.len() {
                assert!(check(&payload[..cut]).is_err(), "cut at {cut}");
            }
            // Nothing follows the block.
            assert!(check(&[&payload[..], &[0]].concat()).is_err());
        }

        /// The checksum says that it is what was written; it may have been written by anyone.
        #[test]
        fn every_value_of_each_byte_is_an_error_or_gives_what_was_said() {
            let payload = packed(&sample()).unwrap();
            for at in 0..payload.len() {
                for value in 0..=u8::MAX {
                    let mut forged = payload.clone();
                    forged[at] = value;
                    drop(check(&forged));
                }
            }
        }

        #[test]
        fn an_empty_payload_has_a_block_of_one_token() {
            assert_eq!(check(&with_size(0, &[0])), Ok(vec![]));
            assert_eq!(check(&with_size(0, &[])), Err(FrameError::Lz4Block));
            assert_eq!(packed(b""), None);
        }

        proptest! {
            #[test]
            fn what_is_packed_is_unpacked(
                seed in prop::collection::vec(any::<u8>(), 0..300),
                times in 1..40_usize,
                tail in prop::collection::vec(any::<u8>(), 0..100),
            ) {
                let plain = [seed.repeat(times), tail].concat();
                if let Some(payload) = packed(&plain) {
                    prop_assert!(payload.len() < plain.len());
                    prop_assert_eq!(check(&payload), Ok(plain));
                }
            }

            #[test]
            fn any_payload_is_an_error_or_gives_what_it_says(
                mut payload in prop::collection::vec(any::<u8>(), 4..200),
                plain_len in prop_oneof![0..200_u32, 0..60_000_u32, any::<u32>()],
            ) {
                payload[..4].copy_from_slice(&plain_len.to_le_bytes());
                drop(check(&payload));
            }

            /// Bytes that are likely in long matches, decoded into more room than they can use.
            #[test]
            fn no_block_gives_more_than_the_bound(
                block in prop::collection::vec(
                    prop_oneof![Just(0x1F), Just(0xFF), Just(1), Just(0), Just(0xFE), any::<u8>()],
                    1..40,
                ),
            ) {
                let mut room = vec![0; 20_000];
                let given = lz4_flex::block::decompress_into(&block, &mut room);
                prop_assert!(given.unwrap_or(0) as u64 <= max_plain_len(block.len() as u64));
            }
        }
    }
}
