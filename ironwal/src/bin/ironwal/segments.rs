//! The segment files of a log, by their names, lengths and ends. Nothing else of them is read.

use std::io;
use std::path::Path;

use ironwal::storage::{EntryKind, OpenMode, StdStorage, Storage, StorageFile, StoragePath};
use ironwal_format::cast::u64_from;
use ironwal_format::checksum::Salt;
use ironwal_format::frame::{FRAME_HEADER_LEN, FrameHeader, FrameKind};
use ironwal_format::names::{StreamFileName, StreamKey, segment_file_name};
use ironwal_format::seal::{SEAL_TOTALS_LEN, Seal};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::io::read_up_to;
use ironwal_segment::read_header;

use crate::failure::Failure;

/// The directory of a log.
#[derive(Debug)]
pub(crate) struct Files {
    storage: StdStorage,
}

/// A segment file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SegmentFile {
    /// The number of its first entry, by its name.
    pub(crate) base: u64,
    /// Its place in the order of creation, by its name.
    pub(crate) ordinal: u32,
    /// Its length in bytes; `None` of what has such a name and is no file.
    pub(crate) len: Option<u64>,
}

/// What a segment file ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// A seal.
    Seal,
    /// Anything else.
    Open,
}

impl Files {
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        let storage =
            StdStorage::open(root).map_err(|source| Failure::machine("open", root, &source))?;
        Ok(Self { storage })
    }

    /// The segment files of a stream, in the order of creation; none where there is no such stream.
    pub(crate) fn segments(&self, key: &StreamKey) -> Result<Vec<SegmentFile>, Failure> {
        let dir_name = key.dir_name();
        let dir = StoragePath::new(&dir_name);
        let entries = match self.storage.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(|source| self.failure("list", dir, &source))?,
        };
        let mut segments = Vec::new();
        for entry in entries {
            let StreamFileName::Segment { base, ordinal } = StreamFileName::of(&entry.name) else {
                continue;
            };
            let path = dir.join(&entry.name);
            let len = match (entry.kind, self.len(path)) {
                (EntryKind::File, Ok(len)) => Some(len),
                // It was removed meanwhile.
                (EntryKind::File, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                (EntryKind::File, Err(error)) => return Err(self.failure("open", path, &error)),
                (EntryKind::Dir | EntryKind::Other, _) => None,
            };
            segments.push(SegmentFile { base: base.get(), ordinal: ordinal.get(), len });
        }
        segments.sort_unstable_by_key(|segment| (segment.ordinal, segment.base));
        Ok(segments)
    }

    /// What a segment file ends with.
    pub(crate) fn end(&self, key: &StreamKey, segment: SegmentFile) -> Result<End, Failure> {
        let (dir_name, base) = (key.dir_name(), SequenceNumber::new(segment.base));
        let name = segment_file_name(base, Ordinal::new(segment.ordinal));
        let path = StoragePath::new(&dir_name).join(&name);
        let file = match self.storage.open(path, OpenMode::Read) {
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(End::Open),
            opened => opened.map_err(|source| self.failure("open", path, &source))?,
        };
        let end = file.file_len().and_then(|len| end_of(&*file, len));
        end.map_err(|source| self.failure("read", path, &source))
    }

    fn len(&self, path: StoragePath<'_>) -> io::Result<u64> {
        self.storage.open(path, OpenMode::Read)?.file_len()
    }

    fn failure(&self, did: &str, path: StoragePath<'_>, source: &io::Error) -> Failure {
        Failure::machine(did, &self.storage.display(path), source)
    }
}

/// What a file of so many bytes ends with. That the seal holds what it should is for `verify` to see.
fn end_of(file: &dyn StorageFile, len: u64) -> io::Result<End> {
    let Ok(SegmentHeader { id, ordinal, .. }) = read_header(file)? else { return Ok(End::Open) };
    Ok(match seal_offset(file, Salt::of(id, ordinal), len)? {
        Some(_) => End::Seal,
        None => End::Open,
    })
}

/// Where the seal of a file of so many bytes starts, if it ends with one.
pub(crate) fn seal_offset(file: &dyn StorageFile, salt: Salt, len: u64) -> io::Result<Option<u64>> {
    let mut totals = [0; SEAL_TOTALS_LEN];
    let totals_at = len.saturating_sub(u64_from(SEAL_TOTALS_LEN));
    read_up_to(file, &mut totals, totals_at)?;
    let Some(offset) = Seal::offset_from_totals(&totals, len) else { return Ok(None) };
    let mut bytes = [0; FRAME_HEADER_LEN];
    read_up_to(file, &mut bytes, offset)?;
    let header = FrameHeader::decode(&bytes, salt, offset).ok();
    let is_seal = |header: FrameHeader| {
        header.kind() == FrameKind::Seal && offset + header.frame_len() == len
    };
    Ok(header.is_some_and(is_seal).then_some(offset))
}
