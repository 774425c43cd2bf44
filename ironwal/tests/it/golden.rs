//! Logs as version 1 of the format has them, byte for byte, in `tests/golden`: see the README there.
//!
//! Each is a directory that is read as it stands, opened for writing as a copy, and made anew. They are
//! made in memory, where reserving space does the same on every file system; what is compared after a
//! disk has been written to are entries, findings, names and lengths, which no file system decides.
//!
//! How LZ4 packs is up to a crate that may learn to do it better. What is LZ4 is golden for those who
//! read it: made anew, such a log is compared byte for byte up to its first LZ4 frame, and from there on
//! frame by frame by what the frames hold.

use std::collections::BTreeMap;
use std::env;
use std::fmt::{Debug, Write};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};

use ironwal::storage::{
    DirEntry, EntryKind, MemStorage, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};
use ironwal::{
    CompressionType, CorruptionPolicy, Entry, Environment, Error, ErrorKind, Finding, FindingKind,
    Host, Preallocation, ReadStrategy, ReaderOptions, RecoveryReport, SyncMode, Wal, WalOptions,
    WalReader,
};
use ironwal_format::checksum::{Salt, crc32};
use ironwal_format::frame::FRAME_HEADER_LEN;
use ironwal_format::index::{RECORD_LEN, read_index};
use ironwal_format::segment_header::SegmentHeader;

use crate::files;

/// A log that is kept.
struct Golden {
    name: &'static str,
    make: fn() -> Files,
}

#[rustfmt::skip]
const GOLDEN: [Golden; 19] = [
    Golden { name: "strict", make: strict },
    Golden { name: "rotated", make: rotated },
    Golden { name: "truncated", make: truncated },
    Golden { name: "killed", make: killed },
    Golden { name: "torn", make: torn },
    Golden { name: "torn-repaired", make: torn_repaired },
    Golden { name: "header-torn", make: header_torn },
    Golden { name: "header-torn-repaired", make: header_torn_repaired },
    Golden { name: "damaged", make: damaged },
    Golden { name: "damaged-given-up", make: damaged_given_up },
    Golden { name: "damaged-sealed", make: damaged_sealed },
    Golden { name: "segment-missing", make: segment_missing },
    Golden { name: "index-missing", make: index_missing },
    Golden { name: "index-damaged", make: index_damaged },
    Golden { name: "index-torn", make: index_torn },
    Golden { name: "creation-interrupted", make: creation_interrupted },
    Golden { name: "deletion-interrupted", make: deletion_interrupted },
    Golden { name: "newer", make: newer },
    Golden { name: "foreign", make: foreign },
];

/// The one that is compared in another way.
#[cfg(feature = "lz4")]
const LZ4: Golden = Golden { name: "lz4", make: lz4 };

/// Where the golden logs are.
fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// Every file of a log by its path below the root.
type Files = BTreeMap<String, Vec<u8>>;

const RAW: WalOptions =
    WalOptions::new().compression(CompressionType::None).preallocation(Preallocation::Off);

/// Space is reserved up to this length at once.
const RESERVED: WalOptions =
    RAW.preallocation(Preallocation::Reserve).max_segment_size(1024).max_segment_entries(100);

/// Whatever a crash, a disk or a person may have done to a log is done to what is in here.
struct Workshop {
    storage: Arc<Stoppable>,
    host: Arc<Counting>,
}

impl Workshop {
    fn new() -> Self {
        Self::with(&Files::new())
    }

    fn with(files: &Files) -> Self {
        let storage = MemStorage::new();
        for (path, bytes) in files {
            let path = match path.split_once('/') {
                None => StoragePath::new(path),
                Some((dir, name)) => {
                    let dir = StoragePath::new(dir);
                    if storage.list(dir).is_err() {
                        storage.create_dir(dir).unwrap();
                    }
                    dir.join(name)
                }
            };
            let file = storage.open(path, OpenMode::CreateNew).unwrap();
            assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
        }
        let storage = Stoppable { below: storage, left: AtomicU64::new(u64::MAX) };
        // What is made in a log that is there has other ids.
        let first_id = if files.is_empty() { 1 } else { 1 << 32 };
        Self {
            storage: Arc::new(storage),
            host: Arc::new(Counting { ids: AtomicU64::new(first_id) }),
        }
    }

    fn open(&self, options: WalOptions) -> Wal {
        let environment = Environment::new(Arc::<Stoppable>::clone(&self.storage))
            .with_host(Arc::<Counting>::clone(&self.host));
        Wal::open_in(environment, options).unwrap()
    }

    /// What is there now: while a log is open, what is left of it if its process is killed.
    fn files(&self) -> Files {
        let mut files = Files::new();
        for entry in self.storage.list(StoragePath::ROOT).unwrap() {
            let path = StoragePath::new(&entry.name);
            if entry.kind == EntryKind::File {
                files.insert(entry.name.clone(), self.read(path));
                continue;
            }
            for file in self.storage.list(path).unwrap() {
                files.insert(
                    format!("{}/{}", entry.name, file.name),
                    self.read(path.join(&file.name)),
                );
            }
        }
        files
    }

    fn read(&self, path: StoragePath<'_>) -> Vec<u8> {
        let file = self.storage.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.file_len().unwrap()).unwrap()];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    }

    /// From here on, after so many more changes of names every further one fails.
    fn stop_after(&self, change_count: u64) {
        self.storage.left.store(change_count, Ordering::Relaxed);
    }
}

/// Ids that count up, and one moment.
#[derive(Debug)]
struct Counting {
    ids: AtomicU64,
}

impl Host for Counting {
    fn random_id(&self) -> io::Result<[u8; 16]> {
        let mut id = *b"0123456789abcdef";
        id[..8].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        Ok(id)
    }

    fn unix_nanos(&self) -> u64 {
        1_790_000_000_123_456_789
    }
}

/// Memory in which no name changes any more after so many times, as if the process had ended.
#[derive(Debug)]
struct Stoppable {
    below: MemStorage,
    left: AtomicU64,
}

impl Stoppable {
    fn change(&self) -> io::Result<()> {
        let less = |left: u64| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("stopped")),
        }
    }
}

impl Storage for Stoppable {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        if mode == OpenMode::CreateNew {
            self.change()?;
        }
        self.below.open(path, mode)
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.change()?;
        self.below.create_dir(path)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.change()?;
        self.below.remove_dir(path)
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        self.change()?;
        self.below.rename(from, to)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.change()?;
        self.below.unlink(path)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        self.below.list(dir)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        self.below.sync_dir(dir)
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.below.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.below.display(path)
    }
}

/// The name of a segment in the stream `s`.
fn segment(base: u64, ordinal: u32) -> String {
    format!("s/{base:020}-{ordinal:010}.wal")
}

/// Where the frames of a segment start, by the lengths in their headers alone.
fn frame_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while bytes.get(at) == Some(&0xA7) {
        starts.push(at);
        let payload_len = u32::from_le_bytes(*bytes[at + 20..].first_chunk().unwrap());
        at += FRAME_HEADER_LEN + usize::try_from(payload_len).unwrap().next_multiple_of(8);
    }
    starts
}

/// Single entries, empty ones, batches; and a key with every kind of character.
fn strict() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RAW);
    wal.append("s", "first entry").unwrap();
    wal.append("s", "").unwrap();
    wal.append_batch("s", ["a", "", "three"]).unwrap();
    wal.append("s", [0x00, 0xFF, 0xA7, b'\n', 0x1A]).unwrap();
    wal.append_batch("s", ["a batch of one"]).unwrap();
    wal.append_batch("s", ["", ""]).unwrap();
    wal.append("s", "eight by").unwrap();
    let key = ".az09-_.AZ /\\%!+~\u{0}\n\u{e9}\u{20ac}\u{1f980}.";
    wal.append(key, "any key").unwrap();
    wal.append("..", "dots").unwrap();
    wal.close().unwrap();
    shop.files()
}

/// Three segments, closed: the first has a sparse table of two points, and the index ends in a floor.
fn rotated() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RAW.max_segment_entries(4));
    wal.append("s", "entry 0").unwrap();
    wal.append("s", [b'x'; 4100]).unwrap();
    wal.append_batch("s", ["entry 2", "entry 3"]).unwrap();
    for n in 4..10 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    wal.close().unwrap();
    shop.files()
}

/// The first segment is gone by a start record, the log went on, and was closed again.
fn truncated() -> Files {
    let shop = Workshop::with(&rotated());
    let wal = shop.open(RAW.max_segment_entries(4));
    assert_eq!(wal.stream("s").unwrap().truncate_before(6).unwrap(), 4);
    for n in 10..14 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    wal.close().unwrap();
    shop.files()
}

/// No floor, and zeros of reserved space at the end.
fn killed() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RESERVED);
    for n in 0..4 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    wal.append_batch("s", ["entry 4", "entry 5 of the last batch"]).unwrap();
    let files = shop.files();
    let bytes = &files[&segment(0, 0)];
    assert!(bytes.len() == 1024 && bytes.ends_with(&[0; 500]), "space was reserved");
    files
}

/// Of the last batch the second half never came to the disk.
fn torn() -> Files {
    let mut files = killed();
    let bytes = files.get_mut(&segment(0, 0)).unwrap();
    let last = *frame_starts(bytes).last().unwrap();
    bytes[last + 48..].fill(0);
    files
}

/// The same, repaired by a new segment, and appended to.
fn torn_repaired() -> Files {
    let shop = Workshop::with(&torn());
    let wal = shop.open(RESERVED);
    assert_eq!(wal.append("s", "number 4 again").unwrap(), 4);
    wal.close().unwrap();
    shop.files()
}

/// A rotation of which nothing was synced, so that the last segment has half a header; there is room
/// in the index for the record that was to come.
fn header_torn() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RESERVED.sync_mode(SyncMode::Async).max_segment_entries(2));
    for n in 0..3 {
        wal.append("s", format!("entry {n}")).unwrap();
    }
    let mut files = shop.files();
    drop(wal);
    let bytes = files.get_mut(&segment(2, 1)).unwrap();
    bytes[44..].fill(0);
    // What the sync of the rotation wrote stands in room that was made for it before.
    let index = files.get_mut("s/segments.idx").unwrap();
    let record = index.len() - RECORD_LEN;
    index[record..].fill(0);
    files
}

/// The same, repaired and appended to: the segment without a header was set aside.
fn header_torn_repaired() -> Files {
    let shop = Workshop::with(&header_torn());
    let wal = shop.open(RESERVED);
    assert_eq!(wal.append("s", "number 2 again").unwrap(), 2);
    wal.close().unwrap();
    shop.files()
}

/// A turned bit in an entry that the headers behind it prove durable.
fn damaged() -> Files {
    let mut files = killed();
    let bytes = files.get_mut(&segment(0, 0)).unwrap();
    let entry = frame_starts(bytes)[3] + FRAME_HEADER_LEN;
    bytes[entry] ^= 0x20;
    files
}

/// The same, given up from the lost number on, and appended to.
fn damaged_given_up() -> Files {
    let shop = Workshop::with(&damaged());
    let wal = shop.open(RESERVED.corruption_policy(CorruptionPolicy::Truncate));
    assert_eq!(wal.append("s", "number 2 again").unwrap(), 2);
    wal.close().unwrap();
    shop.files()
}

/// A turned bit in a segment that a record vouches for.
fn damaged_sealed() -> Files {
    let mut files = rotated();
    let bytes = files.get_mut(&segment(4, 1)).unwrap();
    let entry = frame_starts(bytes)[2] + FRAME_HEADER_LEN;
    bytes[entry] ^= 0x01;
    files
}

/// A segment in the middle is gone.
fn segment_missing() -> Files {
    let mut files = rotated();
    files.remove(&segment(4, 1)).unwrap();
    files
}

/// The index is gone.
fn index_missing() -> Files {
    let mut files = rotated();
    files.remove("s/segments.idx").unwrap();
    files
}

/// A record in front of others is wrong.
fn index_damaged() -> Files {
    let mut files = rotated();
    files.get_mut("s/segments.idx").unwrap()[96 + 9] ^= 0x80;
    files
}

/// The floor at the end is cut.
fn index_torn() -> Files {
    let mut files = rotated();
    let index = files.get_mut("s/segments.idx").unwrap();
    index.truncate(index.len() - 8);
    files
}

/// Two streams that were not made to the end.
fn creation_interrupted() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RAW);
    wal.append("whole", "entry 0").unwrap();
    // A directory and a segment; then an index too, but no name of its own.
    for (key, change_count) in [("a", 2), ("b/c", 3)] {
        shop.stop_after(change_count);
        wal.append(key, "never acknowledged").unwrap_err();
    }
    shop.stop_after(u64::MAX);
    wal.close().unwrap();
    shop.files()
}

/// A stream that was not deleted to the end, and another of the same key.
fn deletion_interrupted() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RAW.max_segment_entries(1));
    wal.append("s", "of the first").unwrap();
    wal.append("s", "in a second segment").unwrap();
    shop.stop_after(2);
    wal.delete_stream("s").unwrap_err();
    shop.stop_after(u64::MAX);
    wal.append("s", "of the second").unwrap();
    wal.close().unwrap();
    shop.files()
}

/// What a later version might write: in each stream something else.
fn newer() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RAW);
    for key in ["version", "frame", "index", "record"] {
        for n in 0..3 {
            wal.append(key, format!("entry {n}")).unwrap();
        }
    }
    wal.close().unwrap();
    let mut files = shop.files();
    let first = "00000000000000000000-0000000000.wal";
    files.get_mut(&format!("version/{first}")).unwrap()[40] = 2;
    files.get_mut("index/segments.idx").unwrap()[8] = 2;

    let bytes = files.get_mut(&format!("frame/{first}")).unwrap();
    let SegmentHeader { id, ordinal, .. } = SegmentHeader::decode(bytes).unwrap();
    let at = frame_starts(bytes)[2];
    bytes[at + 1] |= 0x20;
    let salt = Salt::of(id, ordinal).get().to_le_bytes();
    let offset = u64::try_from(at).unwrap().to_le_bytes();
    let crc = crc32(&[&salt, &offset, &bytes[at..at + 4], &bytes[at + 8..at + 32]]);
    bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());

    let index = files.get_mut("record/segments.idx").unwrap();
    let id = read_index(index).unwrap().header.id().get();
    let offset = u64::try_from(index.len()).unwrap().to_le_bytes();
    let mut record = [0; RECORD_LEN];
    record[4] = 4;
    let crc = crc32(&[&id, &offset, &record[4..]]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
    index.extend(record);
    files
}

/// Names that are not ours, which stop nothing; and a segment of another stream, which does.
fn foreign() -> Files {
    let shop = Workshop::new();
    let wal = shop.open(RAW.max_segment_entries(1));
    for key in ["s", "t"] {
        wal.append(key, "entry 0").unwrap();
        wal.append(key, "entry 1").unwrap();
    }
    wal.close().unwrap();
    let mut files = shop.files();
    let (ours, theirs) = (segment(1, 1), segment(1, 1).replace("s/", "t/"));
    let stranger = files[&theirs].clone();
    files.insert(ours, stranger);
    let strays = [
        "README",
        "User/notes",
        "photos/cat.jpg",
        "t/notes.txt",
        "t/0-0.wal",
        "t/00000000000000000001-0000000001.wal.torn.01",
    ];
    files.extend(strays.map(|path| (path.to_owned(), b"a stranger's".to_vec())));
    files
}

/// Raw frames and such that are LZ4 in one segment, a batch in each way.
#[cfg(feature = "lz4")]
fn lz4() -> Files {
    let shop = Workshop::new();
    let options = RAW.compression(CompressionType::Lz4).min_compression_size(64);
    let wal = shop.open(options.max_segment_entries(8));
    let packed = "log ".repeat(40);
    wal.append("s", "short, so raw").unwrap();
    wal.append_batch("s", ["raw", "too"]).unwrap();
    wal.append("s", &packed).unwrap();
    wal.append("s", "raw again").unwrap();
    wal.append_batch("s", [&*packed, "", "in one batch with it", &packed]).unwrap();
    wal.append("s", "raw in the next segment").unwrap();
    wal.append("s", [b'z'; 4100]).unwrap();
    wal.close().unwrap();
    shop.files()
}

/// What the log in a directory must read as, in the words of the manifests. It may be changed by it.
fn manifest(root: &Path) -> String {
    let before = files::contents(root);
    let (mut text, entries_before) = read_only(root, ReadStrategy::StandardIo);
    assert_eq!(text, read_only(root, ReadStrategy::Mmap).0);
    assert_eq!(files::contents(root), before, "a reader changes nothing");

    let wal = Wal::open(root, WalOptions::new()).unwrap();
    let reports = wal.recover_all().unwrap();
    let is_refused = |report: &RecoveryReport| !report.damage.is_empty();
    for report in &reports {
        let key = &report.stream;
        writeln!(text, "{}, opened for writing", named(key)).unwrap();
        tell(&mut text, root, report);
        let range = report.first_seq..report.next_seq;
        let walked = wal.iter(key, ..).unwrap();
        let entries = read(range, walked, |seq| wal.get(key, seq));
        let is_same = entries_before.get(key) == Some(&entries);
        text.push_str(if is_same { "  the same entries\n" } else { &entries });
    }
    wal.close().unwrap();
    for report in reports.iter().filter(|report| is_refused(report)) {
        let dir = ironwal_format::StreamKey::new(&report.stream).unwrap().dir_name();
        let of_stream = |contents: Vec<(PathBuf, Option<Vec<u8>>)>| -> Vec<_> {
            contents.into_iter().filter(|(path, _)| path.starts_with(root.join(&dir))).collect()
        };
        let now = of_stream(files::contents(root));
        assert_eq!(now, of_stream(before.clone()), "what is refused is not changed");
    }
    text.push_str("files after that\n");
    for (path, bytes) in files::contents(root) {
        if let Some(bytes) = bytes {
            writeln!(text, "  {} has {} bytes", below(root, &path), bytes.len()).unwrap();
        }
    }

    let wal = Wal::open(root, WalOptions::new()).unwrap();
    for RecoveryReport { stream: key, next_seq, .. } in reports {
        match wal.append(&key, "more") {
            Ok(seq) => {
                assert_eq!(seq, next_seq);
                assert_eq!(wal.get(&key, seq).unwrap().unwrap(), "more");
                writeln!(text, "{}, appended to: {seq}", named(&key)).unwrap();
            }
            Err(error) => {
                writeln!(text, "{}, appended to: {}", named(&key), word(&error)).unwrap();
            }
        }
    }
    wal.close().unwrap();
    text
}

/// What a reader that changes nothing sees, and the part of it about the entries of each stream.
fn read_only(root: &Path, strategy: ReadStrategy) -> (String, BTreeMap<String, String>) {
    let (mut text, mut all_entries) = (String::new(), BTreeMap::new());
    let options = ReaderOptions::new().read_strategy(strategy);
    let reader = WalReader::open_with(root, options).unwrap();
    for key in reader.streams().unwrap() {
        writeln!(text, "{}, only read", named(&key)).unwrap();
        tell(&mut text, root, &reader.report(&key).unwrap().unwrap());
        let range = reader.first_seq(&key).unwrap()..reader.next_seq(&key).unwrap();
        let walked = reader.iter(&key, ..).unwrap();
        let entries = read(range, walked, |seq| reader.get(&key, seq));
        text.push_str(&entries);
        let verification = reader.verify(&key).unwrap().unwrap();
        for finding in &verification.findings {
            let path = below(root, &finding.path);
            let Finding { offset, lost, .. } = finding;
            write!(text, "  verify: {path} {}", finding.verdict()).unwrap();
            if let Some(at) = offset {
                write!(text, " at byte {at}").unwrap();
            }
            if let FindingKind::Torn { rest_len, turned_bit } = finding.kind {
                write!(text, ", {rest_len} bytes follow").unwrap();
                if let Some(bit) = turned_bit {
                    write!(text, ", bit {bit} turned").unwrap();
                }
            }
            if !lost.is_empty() {
                write!(text, ", lost {lost:?}").unwrap();
            }
            text.push('\n');
        }
        let (count, frames) = (verification.entry_count, verification.frame_count);
        writeln!(text, "  verify: {count} entries in {frames} frames are whole").unwrap();
        all_entries.insert(key, entries);
    }
    (text, all_entries)
}

/// Each entry, by its number; and by walking over all of them, where none is lost.
fn read(
    range: Range<u64>,
    walked: impl Iterator<Item = Result<Entry, Error>>,
    get: impl Fn(u64) -> Result<Option<bytes::Bytes>, Error>,
) -> String {
    let mut text = format!("  entries {range:?}\n");
    let mut whole = Vec::new();
    for seq in range.clone() {
        let entry = match get(seq) {
            Ok(Some(entry)) => {
                whole.push((seq, entry.clone()));
                hex(&entry)
            }
            Ok(None) => panic!("number {seq} is in {range:?}"),
            Err(error) => word(&error),
        };
        writeln!(text, "  {seq}: {entry}").unwrap();
    }
    let walked: Vec<_> =
        walked.filter_map(Result::ok).map(|entry| (entry.seq, entry.data)).collect();
    assert_eq!(walked, whole);
    text
}

/// A stream by its key, in ASCII.
fn named(key: &str) -> String {
    format!("stream \"{}\"", key.escape_default())
}

/// What recovery found and did.
fn tell(text: &mut String, root: &Path, report: &RecoveryReport) {
    if let Some(torn) = &report.torn {
        let (path, at, rest_len) = (below(root, &torn.path), torn.offset, torn.rest_len);
        writeln!(text, "  torn: {path} at byte {at}, {rest_len} bytes follow").unwrap();
    }
    if let Some(path) = &report.set_aside {
        writeln!(text, "  set aside: {}", below(root, path)).unwrap();
    }
    for damage in &report.damage {
        let path = below(root, damage.error.path().unwrap());
        let (why, lost) = (word(&damage.error), &damage.lost);
        writeln!(text, "  damage: {path} {why}, lost {lost:?}").unwrap();
    }
    if let Some(range) = &report.given_up {
        writeln!(text, "  given up: {range:?}").unwrap();
    }
    for name in &report.foreign_names {
        writeln!(text, "  left alone: {name}").unwrap();
    }
    writeln!(text, "  index: {}", format!("{:?}", report.index).to_lowercase()).unwrap();
}

/// A path below the root.
fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

/// What an error is, in words that no change of a message changes.
fn word(error: &Error) -> String {
    if let ErrorKind::Damaged { offset, .. } = error.kind() {
        return format!("damaged at byte {offset}");
    }
    let words = [
        ("missing", matches!(error.kind(), ErrorKind::MissingSegment)),
        ("newer", matches!(error.kind(), ErrorKind::NewerVersion)),
        ("foreign", error.is_foreign()),
    ];
    let found = words.iter().find(|(_, is_it)| *is_it);
    found.unwrap_or_else(|| panic!("{error:?}")).0.to_owned()
}

/// Two digits for each byte; an empty entry is a dash, and a long one of one byte is told by its length.
fn hex(entry: &[u8]) -> String {
    match entry {
        [] => "-".to_owned(),
        [first, .., _] if entry.len() > 256 && entry.iter().all(|byte| byte == first) => {
            format!("{} times {first:02x}", entry.len())
        }
        entry => entry.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")),
    }
}

/// The files of a golden log.
fn kept(name: &str) -> Files {
    let root = golden_dir().join(name);
    let found = files::contents(&root).into_iter();
    found.filter_map(|(path, bytes)| Some((below(&root, &path), bytes?))).collect()
}

/// The manifest of a log, read from a copy.
fn manifest_of(dir: &Path) -> String {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    files::copy_tree(dir, &root);
    manifest(&root)
}

fn golden() -> Vec<Golden> {
    let all = GOLDEN.into_iter();
    #[cfg(feature = "lz4")]
    let all = all.chain([LZ4]);
    all.collect()
}

/// Writes golden logs and manifests anew, once, if that is wanted. Not after the first release.
fn write_if_wanted() {
    static DONE: Once = Once::new();
    if env::var_os("IRONWAL_GOLDEN").is_some_and(|value| value == "write") {
        DONE.call_once(write_all);
    }
}

fn write_all() {
    for Golden { name, make } in golden() {
        let root = golden_dir().join(name);
        if root.exists() {
            std::fs::remove_dir_all(&root).unwrap();
        }
        std::fs::create_dir_all(&root).unwrap();
        for (path, bytes) in make() {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            files::write(&path, &bytes);
        }
        files::write(&golden_dir().join(format!("{name}.txt")), manifest_of(&root).as_bytes());
    }
}

/// A difference in bytes, where it begins.
#[track_caller]
fn assert_same<T: Debug + Eq>(found: &[T], expected: &[T], what: &str) {
    let at = found.iter().zip(expected).position(|(a, b)| a != b);
    let at = at.unwrap_or(found.len().min(expected.len()));
    assert!(found == expected, "{what}: {:?} at {at}, not {:?}", found.get(at), expected.get(at));
}

fn assert_same_files(made: &Files, kept: &Files, name: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(made), names(kept), "{name}");
    for (path, bytes) in kept {
        assert_same(&made[path], bytes, &format!("{name}/{path}"));
    }
}

#[test]
fn golden_logs_read_as_their_manifests_say_and_are_made_again_byte_for_byte() {
    write_if_wanted();
    for Golden { name, make } in golden() {
        let dir = golden_dir().join(name);
        let expected = files::read(&golden_dir().join(format!("{name}.txt")));
        let expected = String::from_utf8(expected).unwrap();
        let found = manifest_of(&dir);
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_same(&lines(&found), &lines(&expected), name);
        if name != "lz4" {
            assert_same_files(&make(), &kept(name), name);
        }
    }
}

/// As far as nothing is LZ4, byte for byte; all else by what it holds.
#[cfg(feature = "lz4")]
#[test]
fn what_is_lz4_is_made_again_with_the_same_entries_in_the_same_frames() {
    use ironwal_format::compress::unpack_lz4;
    use ironwal_format::frame::{Encoding, FrameHeader};

    /// How a frame is stored, which entries it holds, and its plain payload.
    type Held = (Encoding, Range<u64>, Vec<u8>);

    /// The bytes in front of the first LZ4 frame, and all frames.
    fn frames(bytes: &[u8]) -> (&[u8], Vec<Held>) {
        let SegmentHeader { id, ordinal, .. } = SegmentHeader::decode(bytes).unwrap();
        let mut raw_len = bytes.len();
        let mut frames = Vec::new();
        for start in &frame_starts(bytes)[1..] {
            let (header, rest) = bytes[*start..].split_first_chunk().unwrap();
            let offset = u64::try_from(*start).unwrap();
            let header = FrameHeader::decode(header, Salt::of(id, ordinal), offset).unwrap();
            header.check_payload(&rest[..usize::try_from(header.padded_len()).unwrap()]).unwrap();
            let payload = &rest[..usize::try_from(header.payload_len()).unwrap()];
            let is_entries = header.entry_count() > 0;
            let plain = match header.encoding() {
                Encoding::Lz4 => {
                    raw_len = raw_len.min(*start);
                    unpack_lz4(payload).unwrap()
                }
                Encoding::Raw if is_entries => payload.to_vec(),
                // A seal is about offsets, which follow from lengths.
                Encoding::Raw => Vec::new(),
            };
            frames.push((header.encoding(), header.base().get()..header.end().get(), plain));
        }
        (&bytes[..raw_len], frames)
    }

    write_if_wanted();
    let (made, kept) = (lz4(), kept(LZ4.name));
    assert_eq!(made.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    let mut encodings = Vec::new();
    for (path, bytes) in kept.iter().filter(|(path, _)| path.contains(".wal")) {
        let ((raw, kept), (made_raw, made)) = (frames(bytes), frames(&made[path]));
        assert_same(made_raw, raw, path);
        assert_same(&made, &kept, path);
        encodings.extend(kept.into_iter().map(|(encoding, ..)| encoding));
    }
    assert!(encodings.contains(&Encoding::Lz4) && encodings.contains(&Encoding::Raw));
}

#[test]
fn golden_logs_are_few_small_and_all_looked_at() {
    write_if_wanted();
    let mut expected: Vec<_> = GOLDEN.iter().map(|golden| golden.name).chain(["lz4"]).collect();
    expected.sort_unstable();
    let found = files::list(&golden_dir());
    let dirs: Vec<_> = found.iter().filter(|name| !name.contains(".txt")).collect();
    assert_eq!(dirs, expected);
    assert_eq!(found.len(), 2 * expected.len(), "{found:?}");
    let contents = files::contents(&golden_dir());
    let byte_count: usize =
        contents.iter().filter_map(|(_, bytes)| Some(bytes.as_ref()?.len())).sum();
    assert!(byte_count < 200 << 10, "{byte_count}");
    // Git keeps no directory that is empty.
    for (dir, _) in contents.iter().filter(|(_, bytes)| bytes.is_none()) {
        assert!(!files::list(dir).is_empty(), "{}", dir.display());
    }
}
