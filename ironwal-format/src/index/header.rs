//! The header of an index: whose it is. Drawn in the [parent module](super).

use alloc::vec::Vec;

use crate::{
    cast::u64_from,
    checksum::crc32,
    ids::StreamId,
    names::{KeyError, MAX_DIR_NAME_LEN, StreamKey},
};

/// What an index begins with.
pub const INDEX_MAGIC: [u8; 8] = [0x89, b'I', b'W', b'X', 0x0D, 0x0A, 0x1A, 0x0A];

/// The version of the index that is written here, and the newest that is read.
pub const INDEX_VERSION: u16 = 1;

/// The part of the header before the key.
const FIXED_LEN: usize = 64;

/// What the whole header is a multiple of.
const ALIGNMENT: usize = 32;

/// Whose index it is: a header whose checksum matched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IndexHeader {
    key: StreamKey,
    id: StreamId,
}

/// Why a file is not an index that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The magic is another.
    #[error("not an ironwal index")]
    NotOurs,
    /// A version that this program does not know.
    #[error("index has version {version}, newer than {max}", max = INDEX_VERSION)]
    Newer {
        /// Its version.
        version: u16,
    },
    /// The checksum matches, and there are values that no version up to this one writes.
    #[error("index header has values that version {max} does not use", max = INDEX_VERSION)]
    Reserved,
    /// The file ends within the header.
    #[error("index has {len} bytes, too short for its header of {needed}")]
    Short {
        /// How many bytes the file has.
        len: u64,
        /// How many bytes the header has, as far as it was readable.
        needed: u64,
    },
    /// The file is longer than any index.
    #[error("index has {len} bytes, more than {max}", max = super::MAX_INDEX_LEN)]
    TooLong {
        /// How many bytes the file has.
        len: u64,
    },
    /// The header is not what was written.
    #[error("index header has checksum {stored:#010x}, its bytes have {computed:#010x}")]
    Checksum {
        /// The checksum in the file.
        stored: u32,
        /// The checksum of the bytes in the file.
        computed: u32,
    },
    /// The key is longer than any key.
    #[error("index header has a key length of {len}, more than {max}", max = MAX_DIR_NAME_LEN)]
    KeyLen {
        /// The length in the header.
        len: u16,
    },
    /// The key is not UTF-8, although the checksum matches.
    #[error("index header has a key that is not utf-8 behind byte {valid_up_to}")]
    KeyNotUtf8 {
        /// How many bytes of it are.
        valid_up_to: usize,
    },
    /// The key is not a stream key, although the checksum matches.
    #[error("index header has a key that is none")]
    Key(#[source] KeyError),
}

impl IndexHeader {
    /// The stream's key.
    pub const fn key(&self) -> &StreamKey {
        &self.key
    }

    /// The stream's id.
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Where the first record stands, so how long the header is.
    pub fn records_offset(&self) -> u64 {
        u64_from(header_len(self.key.as_str().len()))
    }
}

impl IndexError {
    /// Whether a newer program wrote the file: it must be left as it is.
    pub const fn is_newer(self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Reserved)
    }

    /// Whether the file is an index of ours with wrong or missing bytes: it can be made again from
    /// the segments.
    pub const fn is_damage(self) -> bool {
        match self {
            Self::NotOurs | Self::Newer { .. } | Self::Reserved => false,
            Self::Short { .. }
            | Self::TooLong { .. }
            | Self::Checksum { .. }
            | Self::KeyLen { .. }
            | Self::KeyNotUtf8 { .. }
            | Self::Key(_) => true,
        }
    }
}

/// The header of the index of a stream. The first record goes behind it.
#[expect(clippy::missing_panics_doc, reason = "every key has at most 240 bytes")]
pub fn encode_header(key: &StreamKey, id: StreamId) -> Vec<u8> {
    let key = key.as_str().as_bytes();
    let key_len = u16::try_from(key.len()).expect("a key has at most 240 bytes");

    let before = [INDEX_MAGIC.as_slice(), &INDEX_VERSION.to_le_bytes(), &[0; 2]].concat();
    let mut behind =
        [id.get().as_slice(), &key_len.to_le_bytes(), &[0; FIXED_LEN - 34], key].concat();
    behind.extend([0; ALIGNMENT].iter().take(padding_len(key.len())));
    let checksum = crc32(&[&before, &behind]).to_le_bytes();
    [before.as_slice(), &checksum, &behind].concat()
}

/// Reads the header at the beginning of an index; what stands behind it is not looked at.
///
/// # Errors
///
/// An [`IndexError`] that tells apart what is not ours, what is newer than this program, and what
/// is damaged. A file that is too short is not ours only if its bytes contradict the magic.
pub fn decode_header(bytes: &[u8]) -> Result<IndexHeader, IndexError> {
    let len = u64_from(bytes.len());
    let short = |needed| IndexError::Short { len, needed: u64_from(needed) };

    if bytes.iter().zip(&INDEX_MAGIC).any(|(found, expected)| found != expected) {
        return Err(IndexError::NotOurs);
    }
    if let Some([_, _, _, _, _, _, _, _, v0, v1]) = bytes.first_chunk() {
        let version = u16::from_le_bytes([*v0, *v1]);
        if version > INDEX_VERSION {
            return Err(IndexError::Newer { version });
        }
    }
    let (fixed, behind) = bytes.split_first_chunk::<FIXED_LEN>().ok_or_else(|| short(FIXED_LEN))?;
    #[rustfmt::skip]
    let [
        m0, m1, m2, m3, m4, m5, m6, m7, //  0: magic
        v0, v1, r0, r1, c0, c1, c2, c3, //  8: version, zero, checksum
        i0, i1, i2, i3, i4, i5, i6, i7, // 16: stream id
        i8, i9, j0, j1, j2, j3, j4, j5,
        k0, k1, reserved @ ..           // 32: key length, zero
    ] = *fixed;
    let magic = [m0, m1, m2, m3, m4, m5, m6, m7];
    let id = [i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, j0, j1, j2, j3, j4, j5];

    let key_len = u16::from_le_bytes([k0, k1]);
    if usize::from(key_len) > MAX_DIR_NAME_LEN {
        return Err(IndexError::KeyLen { len: key_len });
    }
    let needed = header_len(usize::from(key_len));
    let (key, behind) =
        behind.split_at_checked(usize::from(key_len)).ok_or_else(|| short(needed))?;
    let (padding, _records) =
        behind.split_at_checked(padding_len(key.len())).ok_or_else(|| short(needed))?;

    let stored = u32::from_le_bytes([c0, c1, c2, c3]);
    let computed = crc32(&[&magic, &[v0, v1, r0, r1], &id, &[k0, k1], &reserved, key, padding]);
    if stored != computed {
        return Err(IndexError::Checksum { stored, computed });
    }
    let zeros = [r0, r1].iter().chain(&reserved).chain(padding).all(|byte| *byte == 0);
    if u16::from_le_bytes([v0, v1]) != INDEX_VERSION || !zeros {
        return Err(IndexError::Reserved);
    }
    let key = core::str::from_utf8(key)
        .map_err(|error| IndexError::KeyNotUtf8 { valid_up_to: error.valid_up_to() })?;
    let key = StreamKey::new(key).map_err(IndexError::Key)?;
    Ok(IndexHeader { key, id: StreamId::new(id) })
}

/// How long the header of a stream with a key of `key_len` bytes is.
const fn header_len(key_len: usize) -> usize {
    FIXED_LEN + key_len + padding_len(key_len)
}

/// How many zeros stand behind a key of `key_len` bytes.
const fn padding_len(key_len: usize) -> usize {
    key_len.next_multiple_of(ALIGNMENT) - key_len
}
