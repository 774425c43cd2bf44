//! The names of files and directories: stream keys, segments, and what the log keeps for itself.
//!
//! ```text
//! root/
//!   .lock                                          held by the process that writes
//!   .new-...                                       a stream that is being made
//!   .trash-...                                     a stream that is being deleted
//!   <encoded stream key>/
//!     segments.idx                                 the index
//!     segments.idx.new                             the index that is about to replace it
//!     <base, 20 digits>-<ordinal, 10 digits>.wal   a segment
//!     <segment>.torn, <segment>.torn.1, ...        segments set aside: no valid header
//! ```
//!
//! A key is encoded byte by byte: `a-z 0-9 - _ .` stand for themselves (a `.` not at either end),
//! `A-Z` become `!a` to `!z`, and every other byte is `%XX` in upper-case hex.
//!
//! - One key, one name; one name, at most one key: only what encoding yields is ever decoded.
//! - No two names differ in case alone, and no encoded key begins or ends with a dot, so the
//!   names mean the same on file systems that fold case or cut dots off.
//! - Whatever is not named here is foreign: it is left alone.

#[cfg(test)]
mod tests;

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::{borrow::Borrow, fmt};

use crate::ids::{Ordinal, SequenceNumber};

/// How many bytes the directory name of a stream has at most, and so its key.
pub const MAX_DIR_NAME_LEN: usize = 240;

/// The file in the root that the writing process holds locked.
pub const LOCK_FILE: &str = ".lock";

/// What the directory of a stream begins with while it is made.
pub const NEW_PREFIX: &str = ".new-";

/// What the directory of a stream begins with while it is deleted.
pub const TRASH_PREFIX: &str = ".trash-";

/// The index of a stream.
pub const INDEX_FILE: &str = "segments.idx";

/// The index that is written to take the place of [`INDEX_FILE`].
pub const INDEX_TEMP_FILE: &str = "segments.idx.new";

/// What the name of a segment ends with.
pub const SEGMENT_SUFFIX: &str = ".wal";

/// What stands behind the name of a segment that was set aside.
pub const TORN_SUFFIX: &str = ".torn";

/// The name that a caller gives a stream: UTF-8 of one or more bytes that fits into a directory
/// name.
///
/// `Display` escapes what could mislead a terminal or a log, without quotes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamKey(Box<str>);

/// Why a string cannot be the key of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It has no bytes.
    #[error("stream key is empty")]
    Empty,
    /// It does not fit into a directory name of 240 bytes.
    #[error("stream key takes {encoded_len} bytes as a directory name, more than {max}", max = MAX_DIR_NAME_LEN)]
    TooLong {
        /// How many bytes it has when encoded.
        encoded_len: usize,
    },
}

/// Why a name is not that of a stream's directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DirNameError {
    /// It has no bytes.
    #[error("directory name is empty")]
    Empty,
    /// It is longer than any encoded key.
    #[error("directory name has {len} bytes, more than {max}", max = MAX_DIR_NAME_LEN)]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// A byte that no encoded key has in this place.
    #[error("directory name does not encode a key at byte {at}")]
    Malformed {
        /// Where in the name.
        at: usize,
    },
    /// It would decode to bytes that are not UTF-8.
    #[error("directory name encodes a key that is not utf-8 behind byte {valid_up_to}")]
    NotUtf8 {
        /// How many bytes of the key are UTF-8.
        valid_up_to: usize,
    },
    /// The key that it decodes to is encoded differently.
    #[error("directory name encodes its key in another way than this format at byte {at}")]
    NotCanonical {
        /// Where in the name the two differ first.
        at: usize,
    },
}

/// What a name in the root directory stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RootName {
    /// The directory of this stream.
    Stream(StreamKey),
    /// A stream that was not made completely: [`NEW_PREFIX`] and one or more bytes.
    New,
    /// A stream that was not deleted completely: [`TRASH_PREFIX`] and one or more bytes.
    Trash,
    /// [`LOCK_FILE`].
    Lock,
    /// Nothing of ours.
    Foreign,
}

/// What a name in the directory of a stream stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamFileName {
    /// A segment, by the name of [`segment_file_name`].
    Segment {
        /// The base that the name tells; the header in the file must agree.
        base: SequenceNumber,
        /// The ordinal that the name tells; the header in the file must agree.
        ordinal: Ordinal,
    },
    /// [`INDEX_FILE`].
    Index,
    /// [`INDEX_TEMP_FILE`].
    IndexTemp,
    /// A segment that was set aside, by the name of [`torn_file_name`].
    Torn {
        /// The base in the name that the segment had.
        base: SequenceNumber,
        /// The ordinal in the name that the segment had.
        ordinal: Ordinal,
        /// How many files of that name were set aside before.
        n: u32,
    },
    /// Nothing of ours.
    Foreign,
}

/// How one byte of a key is encoded.
#[derive(Clone, Copy)]
enum Symbol {
    /// As itself.
    Plain(u8),
    /// As `!` and the lower-case letter here.
    Upper(u8),
    /// As `%` and two digits.
    Escaped(u8),
}

impl StreamKey {
    /// The key `key`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Empty`], or [`KeyError::TooLong`] if its encoded name would have more than
    /// [`MAX_DIR_NAME_LEN`] bytes.
    pub fn new(key: &str) -> Result<Self, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        let encoded_len = symbols(key).map(Symbol::len).fold(0, usize::saturating_add);
        if encoded_len > MAX_DIR_NAME_LEN {
            return Err(KeyError::TooLong { encoded_len });
        }
        Ok(Self(key.into()))
    }

    /// The plain string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the stream's directory: 1 to [`MAX_DIR_NAME_LEN`] bytes of ASCII.
    pub fn dir_name(&self) -> String {
        encode(&self.0)
    }

    /// The key whose [`dir_name`](Self::dir_name) is exactly `name`.
    ///
    /// # Errors
    ///
    /// A [`DirNameError`] if there is no such key.
    pub fn decode_dir_name(name: &str) -> Result<Self, DirNameError> {
        if name.is_empty() {
            return Err(DirNameError::Empty);
        }
        if name.len() > MAX_DIR_NAME_LEN {
            return Err(DirNameError::TooLong { len: name.len() });
        }
        let bytes = decode(name.as_bytes())?;
        let key = String::from_utf8(bytes).map_err(|error| DirNameError::NotUtf8 {
            valid_up_to: error.utf8_error().valid_up_to(),
        })?;
        let canonical = encode(&key);
        if canonical != name {
            let same = canonical.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
            return Err(DirNameError::NotCanonical { at: same });
        }
        // It is not empty, and its encoding is `name`, which is not too long.
        Ok(Self(key.into_boxed_str()))
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}

impl Borrow<str> for StreamKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl RootName {
    /// What `name` in the root directory stands for. A name that is not UTF-8 is foreign.
    pub fn of(name: &str) -> Self {
        let is_prefix = |prefix| name.len() > str::len(prefix) && name.starts_with(prefix);
        if name == LOCK_FILE {
            Self::Lock
        } else if is_prefix(NEW_PREFIX) {
            Self::New
        } else if is_prefix(TRASH_PREFIX) {
            Self::Trash
        } else {
            StreamKey::decode_dir_name(name).map_or(Self::Foreign, Self::Stream)
        }
    }
}

impl StreamFileName {
    /// What `name` in the directory of a stream stands for. A name that is not UTF-8 is foreign.
    pub fn of(name: &str) -> Self {
        if name == INDEX_FILE {
            Self::Index
        } else if name == INDEX_TEMP_FILE {
            Self::IndexTemp
        } else if let Some((base, ordinal)) = parse_segment(name) {
            Self::Segment { base, ordinal }
        } else if let Some((base, ordinal, n)) = parse_torn(name) {
            Self::Torn { base, ordinal, n }
        } else {
            Self::Foreign
        }
    }
}

/// The name of a segment: its base in 20 digits, its ordinal in 10, so that names sort by base.
pub fn segment_file_name(base: SequenceNumber, ordinal: Ordinal) -> String {
    format!("{:020}-{:010}{SEGMENT_SUFFIX}", base.get(), ordinal.get())
}

/// The name under which a segment without a valid header is set aside, when `n` files of that
/// segment's name were set aside before.
pub fn torn_file_name(base: SequenceNumber, ordinal: Ordinal, n: u32) -> String {
    let segment = segment_file_name(base, ordinal);
    match n {
        0 => segment + TORN_SUFFIX,
        1.. => format!("{segment}{TORN_SUFFIX}.{n}"),
    }
}

impl Symbol {
    /// How many bytes the name grows by.
    const fn len(self) -> usize {
        match self {
            Self::Plain(_) => 1,
            Self::Upper(_) => 2,
            Self::Escaped(_) => 3,
        }
    }
}

/// The encoding of each byte of `key`.
fn symbols(key: &str) -> impl Iterator<Item = Symbol> {
    let end = key.len();
    key.bytes().enumerate().map(move |(at, byte)| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => Symbol::Plain(byte),
        b'.' if at > 0 && at + 1 < end => Symbol::Plain(byte),
        b'A'..=b'Z' => Symbol::Upper(byte.to_ascii_lowercase()),
        _ => Symbol::Escaped(byte),
    })
}

fn encode(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for symbol in symbols(key) {
        match symbol {
            Symbol::Plain(byte) => name.push(char::from(byte)),
            Symbol::Upper(letter) => name.extend(['!', char::from(letter)]),
            Symbol::Escaped(byte) => name.extend(['%', hex_digit(byte >> 4), hex_digit(byte & 15)]),
        }
    }
    name
}

/// The bytes of a key from its name, be it canonical or not.
fn decode(name: &[u8]) -> Result<Vec<u8>, DirNameError> {
    let mut key = Vec::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let malformed = DirNameError::Malformed { at: name.len() - rest.len() };
        let (byte, behind) = match rest {
            [byte @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'), behind @ ..] => {
                (*byte, behind)
            }
            [b'!', letter @ b'a'..=b'z', behind @ ..] => (letter.to_ascii_uppercase(), behind),
            [b'%', high, low, behind @ ..] => {
                let (high, low) = hex_value(*high).zip(hex_value(*low)).ok_or(malformed)?;
                (high << 4 | low, behind)
            }
            _ => return Err(malformed),
        };
        key.push(byte);
        rest = behind;
    }
    Ok(key)
}

/// The upper-case digit of a value below 16.
fn hex_digit(value: u8) -> char {
    char::from(if value < 10 { b'0' + value } else { b'A' + (value - 10) })
}

/// The value of an upper-case digit.
const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn parse_segment(name: &str) -> Option<(SequenceNumber, Ordinal)> {
    let (base, ordinal) = name.strip_suffix(SEGMENT_SUFFIX)?.split_once('-')?;
    if base.len() != 20 || ordinal.len() != 10 {
        return None;
    }
    let base = digits(base)?.parse().ok()?;
    let ordinal = digits(ordinal)?.parse().ok()?;
    Some((SequenceNumber::new(base), Ordinal::new(ordinal)))
}

fn parse_torn(name: &str) -> Option<(SequenceNumber, Ordinal, u32)> {
    let (segment, rest) = name.split_once(TORN_SUFFIX)?;
    let (base, ordinal) = parse_segment(segment)?;
    let n = match rest.strip_prefix('.') {
        None => 0,
        Some(n) => digits(n)?.parse().ok()?,
    };
    // Leading zeros, and whatever else stands behind.
    (torn_file_name(base, ordinal, n) == name).then_some((base, ordinal, n))
}

/// `text`, if it is decimal digits only: `parse` alone takes a sign.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}
