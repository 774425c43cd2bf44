//! What the cases start from: a log as a killed writer and as a clean close leave it, byte for byte.
//!
//! Files are written and read through the `Storage` trait, so a case runs on memory and on a disk.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironwal::{CompressionType, Environment, Host, Wal, WalOptions};
use ironwal_segment::storage::{
    EntryKind, MemStorage, OpenMode, StdStorage, Storage, StorageFile, StoragePath,
};

/// The stream that things happen to.
pub(super) const STREAM: &str = "s";

/// The stream that must not notice.
pub(super) const OTHER: &str = "other";

pub(super) const INDEX: &str = "s/segments.idx";

/// Every segment in one.
pub(super) const WIDE: WalOptions = WalOptions::new().compression(CompressionType::None);

/// A few frames in each segment.
pub(super) const TINY: WalOptions = WIDE.max_segment_size(400);

/// The files of a log by `directory/name`. The lock file is none of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Image(pub(super) BTreeMap<String, Vec<u8>>);

impl Image {
    pub(super) fn of(storage: &dyn Storage) -> Self {
        let mut files = BTreeMap::new();
        for dir in storage.list(StoragePath::ROOT).unwrap() {
            if dir.kind != EntryKind::Dir {
                continue;
            }
            for file in storage.list(StoragePath::new(&dir.name)).unwrap() {
                let path = StoragePath::new(&dir.name).join(&file.name);
                let opened = storage.open(path, OpenMode::Read).unwrap();
                files.insert(format!("{}/{}", dir.name, file.name), read(&*opened));
            }
        }
        Self(files)
    }

    pub(super) fn get(&self, path: &str) -> &[u8] {
        &self.0[path]
    }

    pub(super) fn set(&mut self, path: &str, bytes: Vec<u8>) {
        self.0.insert(path.to_owned(), bytes);
    }

    /// The same but for one file.
    pub(super) fn with(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut changed = self.clone();
        change(changed.0.get_mut(path).unwrap());
        changed
    }

    pub(super) fn without(&self, path: &str) -> Self {
        let mut changed = self.clone();
        changed.0.remove(path).unwrap();
        changed
    }

    pub(super) fn turned(&self, path: &str, bit: usize) -> Self {
        self.with(path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8))
    }

    /// The files of one stream.
    pub(super) fn dir(&self, dir: &str) -> BTreeMap<&str, &[u8]> {
        let files = self.0.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        files.filter(|(path, _)| path.split_once('/').unwrap().0 == dir).collect()
    }

    /// The segments of the stream, in order of their names.
    pub(super) fn segments(&self) -> Vec<String> {
        let is_segment = |path: &&String| {
            let name = path.strip_prefix("s/").and_then(|name| name.strip_suffix(".wal"));
            name.is_some()
        };
        self.0.keys().filter(is_segment).cloned().collect()
    }
}

fn read(file: &dyn StorageFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.file_len().unwrap()).unwrap()];
    let mut at = 0;
    while at < bytes.len() {
        let read = file.read_at(&mut bytes[at..], at as u64).unwrap();
        assert!(read > 0, "the file has that length");
        at += read;
    }
    bytes
}

fn write(file: &dyn StorageFile, bytes: &[u8]) {
    let mut at = 0;
    while at < bytes.len() {
        at += file.write_at(&bytes[at..], at as u64).unwrap();
    }
}

/// Where a log lives.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) storage: Arc<dyn Storage>,
    host: Arc<Counting>,
    /// Removes the directory when it is dropped.
    _root: Option<tempfile::TempDir>,
}

impl Home {
    pub(super) fn memory(image: &Image) -> Self {
        Self::new(Arc::new(MemStorage::new()), None, image)
    }

    pub(super) fn disk(image: &Image) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self::new(Arc::new(StdStorage::create(root.path()).unwrap()), Some(root), image)
    }

    fn new(storage: Arc<dyn Storage>, root: Option<tempfile::TempDir>, image: &Image) -> Self {
        let home = Self { storage, host: Arc::new(Counting::from(1 << 32)), _root: root };
        home.put(image);
        home
    }

    pub(super) fn image(&self) -> Image {
        Image::of(&*self.storage)
    }

    /// Opens the log in it. A clean close ends what is opened; one that is only dropped closes too,
    /// so a killed writer is made by taking the image before.
    pub(super) fn open(&self, options: &WalOptions) -> Wal {
        let environment = Environment::new(Arc::clone(&self.storage))
            .with_host(Arc::<Counting>::clone(&self.host));
        Wal::open_in(environment, options.clone()).unwrap()
    }

    /// Makes the files those of the image, also while a log is open.
    pub(super) fn put(&self, image: &Image) {
        let now = self.image();
        for path in now.0.keys().filter(|path| !image.0.contains_key(*path)) {
            let (dir, name) = path.split_once('/').unwrap();
            self.storage.unlink(StoragePath::new(dir).join(name)).unwrap();
        }
        for (path, bytes) in &image.0 {
            let (dir, name) = path.split_once('/').unwrap();
            let file_path = StoragePath::new(dir).join(name);
            let file = match now.0.get(path) {
                Some(found) if found == bytes => continue,
                Some(_) => self.storage.open(file_path, OpenMode::ReadWrite),
                None => {
                    if self.storage.list(StoragePath::new(dir)).is_err() {
                        self.storage.create_dir(StoragePath::new(dir)).unwrap();
                    }
                    self.storage.open(file_path, OpenMode::CreateNew)
                }
            };
            let file = file.unwrap();
            file.set_len(0).unwrap();
            write(&*file, bytes);
        }
    }
}

/// Ids that count up, and no clock.
#[derive(Debug)]
struct Counting(AtomicU64);

impl Counting {
    fn from(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }
}

impl Host for Counting {
    fn random_id(&self) -> io::Result<[u8; 16]> {
        let mut id = *b"0123456789abcdef";
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        id[..8].copy_from_slice(&count.to_le_bytes());
        Ok(id)
    }

    fn unix_nanos(&self) -> u64 {
        1_790_000_000_000_000_000
    }
}

/// A frame of entries where it was written.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) path: String,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) entries: Range<u64>,
}

/// A log of two streams as two ends left it, and what is in it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: WalOptions,
    /// Everything written, no floor.
    pub(super) killed: Image,
    /// The same, with a floor that covers it.
    pub(super) closed: Image,
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) frames: Vec<Frame>,
}

/// How the writer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Killed,
    Closed,
}

pub(super) const ENDS: [End; 2] = [End::Killed, End::Closed];

impl World {
    /// Appends batches; one of a single entry is an entry.
    pub(super) fn new(options: &WalOptions, batches: &[&[&[u8]]]) -> Self {
        Self::with_ids_from(1, options, batches)
    }

    pub(super) fn with_ids_from(first: u64, options: &WalOptions, batches: &[&[&[u8]]]) -> Self {
        let home = Home::memory(&Image::default());
        home.host.0.store(first, Ordering::Relaxed);
        let wal = home.open(options);
        let mut entries = Vec::new();
        for batch in batches {
            match batch {
                [entry] => assert_eq!(wal.append(STREAM, entry).unwrap(), entries.len() as u64),
                batch => drop(wal.append_batch(STREAM, *batch).unwrap()),
            }
            entries.extend(batch.iter().map(|entry| entry.to_vec()));
            wal.append(OTHER, "other").unwrap();
        }
        let killed = home.image();
        wal.close().unwrap();
        let closed = home.image();
        let segments = killed.segments();
        let frames: Vec<_> =
            segments.iter().flat_map(|path| frames(path, killed.get(path))).collect();
        assert_eq!(frames.len(), batches.len());
        Self { options: options.clone(), killed, closed, entries, frames }
    }

    /// One segment: entries and batches, empty ones too.
    pub(super) fn one_segment() -> Self {
        Self::new(
            &WIDE,
            &[
                &[b"first entry"],
                &[b"a", b"", b"three"],
                &[b""],
                &[b"an entry that ends at a multiple of eight bytes.."],
                &[b"batch", &[0; 9]],
                &[b"the last one of all"],
            ],
        )
    }

    /// Several segments, the last with several frames.
    pub(super) fn segments() -> Self {
        let entries: Vec<_> = (0..16).map(|n| format!("entry {n} {}", "x".repeat(n))).collect();
        let singles: Vec<[&[u8]; 1]> = entries.iter().map(|entry| [entry.as_bytes()]).collect();
        let mut batches: Vec<&[&[u8]]> = singles.iter().map(<[_; 1]>::as_slice).collect();
        batches.insert(3, &[b"in a", b"batch"]);
        batches.insert(12, &[b"of", b"three", b"entries"]);
        let world = Self::new(&TINY, &batches);
        assert!(world.killed.segments().len() >= 4, "{:?}", world.frames);
        assert!(world.in_last_segment().len() >= 2, "{:?}", world.frames);
        world
    }

    pub(super) fn image(&self, end: End) -> &Image {
        match end {
            End::Killed => &self.killed,
            End::Closed => &self.closed,
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn last_frame(&self) -> &Frame {
        self.frames.last().unwrap()
    }

    /// The frames of one segment.
    pub(super) fn in_segment(&self, path: &str) -> Vec<&Frame> {
        self.frames.iter().filter(|frame| frame.path == path).collect()
    }

    pub(super) fn in_last_segment(&self) -> Vec<&Frame> {
        self.in_segment(&self.last_frame().path)
    }

    /// The numbers of the entries of one segment.
    pub(super) fn numbers_in(&self, path: &str) -> Range<u64> {
        let frames = self.in_segment(path);
        let (first, last) = (frames.first().unwrap(), frames.last().unwrap());
        first.entries.start..last.entries.end
    }
}

/// The frames of entries of an undamaged segment, by the lengths in their headers alone.
pub(super) fn frames(path: &str, bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut start = 0;
    while bytes.get(start) == Some(&0xA7) {
        let field = |at: usize| {
            let bytes = bytes[start + at..].first_chunk().unwrap();
            u32::from_le_bytes(*bytes)
        };
        let payload_len = usize::try_from(field(20)).unwrap();
        let end = start + 32 + payload_len.next_multiple_of(8);
        let base = u64::from(field(8));
        if bytes[start + 1] == 1 {
            let entries = base..base + u64::from(field(16));
            frames.push(Frame { path: path.to_owned(), start, end, entries });
        }
        start = end;
    }
    frames
}

/// How many bytes there are from `from` to the last that is not zero.
pub(super) fn rest_len(bytes: &[u8], from: usize) -> u64 {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1)
}
