//! A stream in memory, and looks at its files.

use std::sync::Arc;

use ironwal_format::checksum::Salt;
use ironwal_format::frame::{FRAME_HEADER_LEN, FrameHeader, FrameKind, PreparedFrame};
use ironwal_format::index::{IndexContents, read_index};
use ironwal_format::names::{INDEX_FILE, StreamFileName};
use ironwal_format::payload::{Compression, EntryLimits, prepare_batch, prepare_entry};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, StreamId, StreamKey};
use ironwal_segment::storage::{MemStorage, OpenMode, Storage, StoragePath};
use ironwal_stream::{
    CorruptionPolicy, Error, OpenStream, Opened, StreamOptions, StreamReport, SyncedMark, create,
    open,
};

const LIMITS: EntryLimits = EntryLimits::new(1 << 20, 1 << 20);
const ID: StreamId = StreamId::new([7; 16]);

pub(crate) struct World {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) key: StreamKey,
    options: StreamOptions,
}

impl World {
    pub(crate) fn new(max_segment_len: u64) -> Self {
        Self::on(Arc::new(MemStorage::new()), max_segment_len)
    }

    /// A stream whose segments have room for so many entries.
    pub(crate) fn of_entries(max_segment_entry_count: u64) -> Self {
        let world = Self::new(1 << 20);
        Self { options: StreamOptions { max_segment_entry_count, ..world.options }, ..world }
    }

    pub(crate) fn on(storage: Arc<dyn Storage>, max_segment_len: u64) -> Self {
        let options = StreamOptions {
            entries: LIMITS,
            max_segment_len,
            max_segment_entry_count: u64::from(u32::MAX),
            preallocation: ironwal_stream::Preallocation::Reserve,
            corruption: CorruptionPolicy::Error,
        };
        Self { storage, key: StreamKey::new("s").unwrap(), options }
    }

    pub(crate) fn create(&self) -> OpenStream {
        self.try_create().unwrap()
    }

    pub(crate) fn try_create(&self) -> Result<OpenStream, Error> {
        create(&self.storage, &self.key, ID, self.options, 0)
    }

    pub(crate) fn try_open(&self) -> Result<Opened, Error> {
        open(&self.storage, &self.key, self.options, 0)
    }

    pub(crate) fn open(&self) -> (OpenStream, StreamReport) {
        match self.try_open().unwrap() {
            Opened::Ready(stream, report) => (*stream, report),
            other @ (Opened::Absent | Opened::Refused(..)) => panic!("{other:?}"),
        }
    }

    /// What is found of a stream that cannot be opened.
    pub(crate) fn refused(&self) -> StreamReport {
        match self.try_open().unwrap() {
            Opened::Refused(_, report) => report,
            other @ (Opened::Absent | Opened::Ready(..)) => panic!("{other:?}"),
        }
    }

    /// The names of what look like segments, in order.
    pub(crate) fn segment_names(&self) -> Vec<String> {
        let entries = self.storage.list(StoragePath::new("s")).unwrap();
        let is_segment =
            |name: &str| matches!(StreamFileName::of(name), StreamFileName::Segment { .. });
        let names = entries.into_iter().map(|entry| entry.name).filter(|name| is_segment(name));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = StoragePath::new("s").join(name);
        let file = self.storage.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.file_len().unwrap()).unwrap()];
        let read = ironwal_segment::io::read_up_to(&*file, &mut bytes, 0).unwrap();
        assert_eq!(read, bytes.len());
        bytes
    }

    pub(crate) fn index(&self) -> IndexContents {
        read_index(&self.read(INDEX_FILE)).unwrap()
    }

    pub(crate) fn remove(&self, name: &str) {
        self.storage.unlink(StoragePath::new("s").join(name)).unwrap();
    }

    /// Ordinal, offset, kind and synced length of each frame behind a segment header, by the files.
    pub(crate) fn frames(&self) -> Vec<(Ordinal, u64, FrameKind, u64)> {
        let mut frames = Vec::new();
        for entry in self.storage.list(StoragePath::new("s")).unwrap() {
            let StreamFileName::Segment { ordinal, .. } = StreamFileName::of(&entry.name) else {
                continue;
            };
            let bytes = self.read(&entry.name);
            let mut offset = usize::try_from(SegmentHeader::len_for(&self.key)).unwrap();
            while let Some(header) = bytes[offset..].first_chunk::<FRAME_HEADER_LEN>() {
                let at = offset as u64;
                let Ok(header) = FrameHeader::decode(header, Salt::of(ID, ordinal), at) else {
                    break;
                };
                frames.push((ordinal, at, header.kind(), header.synced_len()));
                offset += usize::try_from(header.frame_len()).unwrap();
            }
        }
        frames.sort_by_key(|(ordinal, offset, ..)| (*ordinal, *offset));
        frames
    }
}

pub(crate) fn entry(len: usize) -> PreparedFrame {
    prepare_entry(&vec![b'e'; len], LIMITS, Compression::None).unwrap()
}

pub(crate) fn batch(lens: &[usize]) -> PreparedFrame {
    prepare_batch(lens.iter().map(|len| vec![b'b'; *len]), LIMITS, Compression::None)
        .unwrap()
        .unwrap()
}

/// Syncs all that was written; gives what is durable then.
pub(crate) fn sync(stream: &mut OpenStream) -> SyncedMark {
    let work = stream.write.take_work().unwrap();
    stream.sync.sync(work).unwrap().mark
}
