//! Reading of one segment, by positioned reads or through a mapping.
//!
//! A reader looks at no more than its [`Bounds`] allow, so it can work beside a writer: what lies
//! behind the committed length is never looked at. Reading never repairs.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use ironwal_format::cast;
use ironwal_format::checksum::{Salt, crc32};
use ironwal_format::compress::unpack_lz4;
use ironwal_format::frame::{
    Encoding, FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind, HEADER_LEN,
};
use ironwal_format::payload::entry_range;
use ironwal_format::seal::{FramePlace, SEAL_TOTALS_LEN, Seal, SparseTable};
use ironwal_format::segment_header::{MAX_SEGMENT_HEADER_LEN, SegmentHeader, SegmentHeaderError};
use ironwal_format::walk::{Bounds, Place, Source, Step, step};
use ironwal_format::{SequenceNumber, cast::usize_from};

use crate::dir::{SegmentName, StreamDir};
use crate::error::{Error, ErrorKind, IoOp};
use crate::io::read_up_to;
use crate::source::{FileSource, MappedSource, SegmentBytes, SegmentSource};
use crate::storage::StorageFile;

/// The entries of one frame: its plain payload, out of one whose checksum matched.
#[derive(Clone)]
pub struct Frame {
    offset: u64,
    header: FrameHeader,
    payload: Bytes,
}

/// Lengths only: entry bytes are the caller's, and nobody else's to see.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("offset", &self.offset)
            .field("header", &self.header)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

impl Frame {
    /// The frame at byte `offset` of the segment with this salt, out of all its bytes.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode(mut bytes: Bytes, salt: Salt, offset: u64) -> Result<Self, FrameError> {
        let available = cast::u64_from(bytes.len());
        let cut = FrameError::Cut { available, needed: HEADER_LEN };
        let (header, padded) = bytes.split_first_chunk().ok_or(cut)?;
        // First, so that all that is not in the cache is waited for at once.
        let computed = crc32(&[padded]);
        let header = FrameHeader::decode(header, salt, offset)?;
        if header.kind() != FrameKind::Entries {
            return Err(FrameError::Kind);
        }
        if header.frame_len() != available {
            return Err(FrameError::Cut { available, needed: header.frame_len() });
        }
        header.check_payload_crc(computed)?;
        bytes.advance(FRAME_HEADER_LEN);
        Ok(Self { offset, header, payload: unpadded(&header, bytes)? })
    }

    /// The number of the first entry.
    pub const fn base(&self) -> SequenceNumber {
        self.header.base()
    }

    /// One past the number of the last entry.
    pub fn end(&self) -> SequenceNumber {
        self.header.end()
    }

    /// Where the frame is, and how long.
    pub const fn place(&self) -> FramePlace {
        FramePlace { offset: self.offset, len: self.header.frame_len() }
    }

    /// Where the frame starts.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of an entry, which share the frame's.
    ///
    /// # Errors
    ///
    /// [`FrameError::EntryOffsets`] if a frame with right checksums is wrong inside.
    ///
    /// # Panics
    ///
    /// If the frame does not hold that entry.
    #[inline]
    pub fn entry(&self, seq: SequenceNumber) -> Result<Bytes, FrameError> {
        Ok(self.payload.slice(self.range(seq)?))
    }

    /// As [`entry`](Self::entry), for the last entry that is wanted: the bytes are handed over.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    ///
    /// # Panics
    ///
    /// As [`entry`](Self::entry).
    #[inline]
    pub fn into_entry(self, seq: SequenceNumber) -> Result<Bytes, FrameError> {
        let range = self.range(seq)?;
        let mut payload = self.payload;
        payload.truncate(range.end);
        payload.advance(range.start);
        Ok(payload)
    }

    #[inline]
    fn range(&self, seq: SequenceNumber) -> Result<Range<usize>, FrameError> {
        let index = seq.get().checked_sub(self.base().get()).and_then(|n| u32::try_from(n).ok());
        let index = index.expect("the frame holds the entry");
        entry_range(&self.payload, self.header.entry_count(), index)
    }
}

/// What a reader comes to.
#[derive(Debug)]
pub enum Read {
    /// A whole frame, and where the next is expected.
    Frame(Frame, Place),
    /// A frame that is lost, the entries from the expected number until that of the place where to
    /// go on.
    Lost(Error, Place),
    /// All entries that count have been passed.
    End,
}

/// Reads frames of one segment.
#[derive(Debug)]
pub struct SegmentReader {
    dir: Arc<StreamDir>,
    name: SegmentName,
    salt: Salt,
    bounds: Bounds,
    source: SegmentSource,
}

impl SegmentReader {
    /// A reader that goes no further than `bounds`, and of a file reads `window_len` bytes at a time.
    ///
    /// # Errors
    ///
    /// The failure to tell the length of the file, asked only where the bounds do not say it.
    pub fn new(
        dir: Arc<StreamDir>,
        name: SegmentName,
        bytes: SegmentBytes,
        bounds: Bounds,
        window_len: usize,
    ) -> Result<Self, Error> {
        let len = match (&bytes, bounds.len) {
            (SegmentBytes::File(file), u64::MAX) => file
                .file_len()
                .map_err(|source| Error::io(dir.display(&name.file_name()), IoOp::Read, source))?,
            (SegmentBytes::Mapped(bytes), u64::MAX) => cast::u64_from(bytes.len()),
            (SegmentBytes::File(_) | SegmentBytes::Mapped(_), len) => len,
        };
        let bounds = Bounds { len, ..bounds };
        let source = match bytes {
            SegmentBytes::File(file) => SegmentSource::File(FileSource::new(file, len, window_len)),
            SegmentBytes::Mapped(bytes) => SegmentSource::Mapped(MappedSource::new(bytes, len)),
        };
        let salt = dir.salt(name.ordinal);
        Ok(Self { dir, name, salt, bounds, source })
    }

    /// Where the first frame is expected.
    pub fn start(&self) -> Place {
        Place { offset: self.dir.header_len(), seq: self.name.base }
    }

    /// Whether nothing but zeros stands where a header would, or nothing at all.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn is_blank(&mut self, at: Place) -> Result<bool, Error> {
        let bytes = self.source.bytes_at(at.offset, usize_from(HEADER_LEN));
        let is_blank =
            bytes.map(|bytes| bytes.iter().take(usize_from(HEADER_LEN)).all(|byte| *byte == 0));
        is_blank.map_err(|source| self.io(source))
    }

    /// Reads the frame at a place, or tells that it is lost.
    ///
    /// # Errors
    ///
    /// Those of the operating system: nothing is known of the frame then.
    #[inline]
    pub fn read(&mut self, at: Place) -> Result<Read, Error> {
        match self.step(at)? {
            Step::End => Ok(Read::End),
            Step::Hole { offset, error, next } => Ok(Read::Lost(self.lost(offset, error), next)),
            Step::Frame { offset, header, next } => Ok(match self.payload(offset, &header)? {
                Ok(payload) => Read::Frame(Frame { offset, header, payload }, next),
                Err(error) => Read::Lost(self.lost(offset, error), next),
            }),
        }
    }

    /// Reads the frame that holds an entry, walking from a place at or before it.
    ///
    /// # Errors
    ///
    /// The failure of the operating system, or that the frame is lost.
    pub fn find(&mut self, from: Place, seq: SequenceNumber) -> Result<Frame, Error> {
        let mut at = from;
        loop {
            match self.step(at)? {
                Step::Frame { offset, header, next } if seq < next.seq => {
                    return match self.payload(offset, &header)? {
                        Ok(payload) => Ok(Frame { offset, header, payload }),
                        Err(error) => Err(self.lost(offset, error)),
                    };
                }
                Step::Hole { offset, error, next } if seq < next.seq => {
                    return Err(self.lost(offset, error));
                }
                Step::Frame { next, .. } | Step::Hole { next, .. } => at = next,
                Step::End => {
                    let available = 0;
                    let cut = FrameError::Cut { available, needed: HEADER_LEN };
                    return Err(self.lost(at.offset, cut));
                }
            }
        }
    }

    /// Whether each frame from a place until another holds one entry and has this length. All their
    /// headers are looked at, not what they hold, and nothing behind them.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn is_even(&mut self, from: Place, until: Place, frame_len: u64) -> Result<bool, Error> {
        let bounds = Bounds { len: self.bounds.len.min(until.offset), ..self.bounds };
        let mut at = from;
        while at.seq < until.seq {
            let even = Place {
                offset: at.offset + frame_len,
                seq: at.seq.checked_add(1).unwrap_or(SequenceNumber::MAX),
            };
            let step = step(&mut self.source, self.salt, at, bounds);
            match step.map_err(|source| self.io(source))? {
                Step::Frame { next, .. } if next == even => at = next,
                Step::Frame { .. } | Step::Hole { .. } | Step::End => return Ok(false),
            }
        }
        Ok(at == until)
    }

    /// The sparse table of a segment that is not appended to any more: out of its seal, or where
    /// that cannot be used, by walking through the headers.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn table(&mut self) -> Result<SparseTable, Error> {
        if let Some(table) = self.sealed_table().map_err(|source| self.io(source))? {
            return Ok(table);
        }
        let mut table = SparseTable::default();
        let mut at = self.start();
        loop {
            match self.step(at)? {
                Step::Frame { offset, next, .. } => {
                    table.note(at.seq.since(self.name.base), offset);
                    at = next;
                }
                Step::Hole { next, .. } => at = next,
                Step::End => return Ok(table),
            }
        }
    }

    /// The table in the seal, if the file ends in one.
    fn sealed_table(&mut self) -> io::Result<Option<SparseTable>> {
        let file_len = self.source.len();
        let Some(at) = file_len.checked_sub(cast::u64_from(SEAL_TOTALS_LEN)) else {
            return Ok(None);
        };
        let totals = self.source.bytes_at(at, SEAL_TOTALS_LEN)?;
        let Some(offset) =
            totals.first_chunk().and_then(|totals| Seal::offset_from_totals(totals, file_len))
        else {
            return Ok(None);
        };
        let Some(header) = self.source.bytes_at(offset, usize_from(HEADER_LEN))?.first_chunk()
        else {
            return Ok(None);
        };
        let header = match FrameHeader::decode(header, self.salt, offset) {
            Ok(header) if header.kind() == FrameKind::Seal => header,
            Ok(_) | Err(_) => return Ok(None),
        };
        if offset + header.frame_len() != file_len {
            return Ok(None);
        }
        let payload = self.read_payload(offset, &header)?;
        Ok(payload.ok().and_then(|payload| Seal::decode(&payload).ok()).map(|seal| seal.table))
    }

    #[inline]
    fn step(&mut self, at: Place) -> Result<Step, Error> {
        step(&mut self.source, self.salt, at, self.bounds).map_err(|source| self.io(source))
    }

    #[inline]
    fn payload(
        &mut self,
        offset: u64,
        header: &FrameHeader,
    ) -> Result<Result<Bytes, FrameError>, Error> {
        self.read_payload(offset, header).map_err(|source| self.io(source))
    }

    /// The plain payload, without padding, of a frame whose header is valid and lies within the bounds.
    #[inline]
    fn read_payload(
        &mut self,
        offset: u64,
        header: &FrameHeader,
    ) -> io::Result<Result<Bytes, FrameError>> {
        let at = offset + HEADER_LEN;
        let source = match &self.source {
            SegmentSource::File(source) => source,
            SegmentSource::Mapped(mapped) => {
                return Ok(plain(header, mapped.slice(at, header.padded_len())));
            }
        };
        if let Some(padded) = source.in_window(at, header.padded_len()) {
            return Ok(header.check_payload(padded).and_then(|()| {
                let payload_len = cast::usize_from_u32(header.payload_len());
                let payload = padded.get(..payload_len).unwrap_or_default();
                match header.encoding() {
                    Encoding::Raw => Ok(Bytes::copy_from_slice(payload)),
                    Encoding::Lz4 => unpack_lz4(payload).map(Bytes::from),
                }
            }));
        }
        // The header was found to end within the file, so this is bounded by what is there.
        let mut padded = vec![0; usize_from(header.padded_len())];
        let read = read_up_to(source.file(), &mut padded, at)?;
        padded.truncate(read);
        Ok(plain(header, Bytes::from(padded)))
    }

    fn lost(&self, offset: u64, source: FrameError) -> Error {
        self.error(ErrorKind::Frame { offset, source })
    }

    fn io(&self, source: io::Error) -> Error {
        self.error(ErrorKind::Io { op: IoOp::Read, source })
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.dir.display(&self.name.file_name()), kind)
    }
}

/// The plain payload out of payload and padding, which are checked.
fn plain(header: &FrameHeader, padded: Bytes) -> Result<Bytes, FrameError> {
    header.check_payload(&padded)?;
    unpadded(header, padded)
}

/// The plain payload out of payload and padding that were checked.
fn unpadded(header: &FrameHeader, mut padded: Bytes) -> Result<Bytes, FrameError> {
    padded.truncate(cast::usize_from_u32(header.payload_len()));
    match header.encoding() {
        Encoding::Raw => Ok(padded),
        Encoding::Lz4 => unpack_lz4(&padded).map(Bytes::from),
    }
}

/// Reads the segment header of a file. What is wrong with it is a finding; only what the operating
/// system says is an error.
///
/// # Errors
///
/// Those of the operating system.
pub fn read_header(
    file: &dyn StorageFile,
) -> io::Result<Result<SegmentHeader, SegmentHeaderError>> {
    let mut start = vec![0; usize_from(MAX_SEGMENT_HEADER_LEN)];
    let read = read_up_to(file, &mut start, 0)?;
    start.truncate(read);
    Ok(SegmentHeader::decode(&start))
}

/// Checks that a file is the segment that its place and name say.
///
/// # Errors
///
/// [`ErrorKind::Header`] when it has no valid header, [`ErrorKind::Foreign`] when that is another's,
/// and the failure of the operating system.
pub fn check_identity(
    dir: &StreamDir,
    name: SegmentName,
    file: &dyn StorageFile,
) -> Result<(), Error> {
    let error = |kind| Error::new(dir.display(&name.file_name()), kind);
    let header = read_header(file)
        .map_err(|source| error(ErrorKind::Io { op: IoOp::Read, source }))?
        .map_err(|source| error(ErrorKind::Header { source }))?;
    let SegmentHeader { base, ordinal, id, key, .. } = header;
    let same = base == name.base && ordinal == name.ordinal;
    if same && id == dir.id() && key == *dir.key() {
        Ok(())
    } else {
        Err(error(ErrorKind::Foreign))
    }
}
