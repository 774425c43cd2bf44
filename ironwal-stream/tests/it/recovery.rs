//! What recovery tells of a stream, by odd collections of files: which incarnation it is, which file is
//! refused, what of it may be lost, and what is changed.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ironwal_format::index::{IndexRecord, SegmentRecord, StartRecord, read_index};
use ironwal_format::names::{INDEX_FILE, INDEX_TEMP_FILE, segment_file_name, torn_file_name};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber, StreamId};
use ironwal_segment::storage::{
    DirEntry, MemStorage, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};
use ironwal_stream::{CorruptionPolicy, ErrorKind, Opened, StreamReport, inspect, open};

use crate::support::{World, entry, sync};
use crate::truncate::{
    BOTH, DIR, Files, Log, append, assert_reads, assert_sound, files_of, filled, header_len,
    index_of, key, last_ordinal, name_of, opened, options, refused, segment, storage_of, turn_bit,
};

const OTHER: StreamId = StreamId::new([8; 16]);

fn named(base: u64, ordinal: u32) -> String {
    segment_file_name(SequenceNumber::new(base), Ordinal::new(ordinal))
}

/// A segment without entries.
fn header_of(base: u64, ordinal: u32, id: StreamId) -> Vec<u8> {
    let (base, ordinal) = (SequenceNumber::new(base), Ordinal::new(ordinal));
    SegmentHeader { base, ordinal, id, key: key(), created_unix_nanos: 0 }.encode()
}

fn record(base: u64, end: u64, ordinal: u32) -> SegmentRecord {
    let (base, end) = (SequenceNumber::new(base), SequenceNumber::new(end));
    SegmentRecord { base, end, len: 220, ordinal: Ordinal::new(ordinal) }
}

/// An index that says this, and whose record in front of it is bad.
fn bad_index(record: IndexRecord) -> Vec<u8> {
    let mut index = index_of(&[record, record]);
    let bad = index.len() - 64;
    index[bad] ^= 4;
    index
}

/// The files that a clean close leaves.
fn closed(count: usize) -> (Files, Log) {
    let (files, log) = filled(count);
    let storage = storage_of(&files);
    drop(opened(&storage, CorruptionPolicy::Error));
    (files_of(&storage), log)
}

/// What was found, by the name of the file: the kind, and what may be lost.
fn told(report: &StreamReport) -> Vec<(String, &ErrorKind, u64, u64)> {
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let told = report.damage.iter().map(|damage| {
        let (from, until) = (damage.lost_from.get(), damage.lost_until.get());
        (name(damage.error.path()), damage.error.kind(), from, until)
    });
    told.collect()
}

fn not_ours(bytes: &mut [u8]) {
    bytes[..32].fill(0x7F);
    bytes[32..40].copy_from_slice(b"\x7fELF1234");
}

#[test]
fn a_last_segment_that_is_not_judged_may_hold_what_the_floor_tells_and_is_told_once() {
    let (mut files, _) = closed(9);
    let name = name_of(&files, 2);
    not_ours(segment(&mut files, 2));
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    assert!(matches!(&told[..], [(at, ErrorKind::NotOurs, 6, 9)] if *at == name), "{told:?}");
}

/// The end of the log is where it starts, and the floor tells how much is missing.
#[test]
fn a_missing_last_segment_may_hold_what_the_floor_tells() {
    let (mut files, _) = closed(9);
    files.remove(&name_of(&files, 2));
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    assert!(matches!(&told[..], [(_, ErrorKind::Missing, 6, 9)]), "{told:?}");
}

#[test]
fn a_stranger_behind_the_log_may_hide_one_entry() {
    let (mut files, _) = filled(9);
    let stranger = named(9, 3);
    files.insert(stranger.clone(), segment(&mut files.clone(), 0).clone());
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    assert!(matches!(&told[..], [(at, ErrorKind::Foreign, 9, 10)] if *at == stranger), "{told:?}");
}

/// Its base contradicts what is in front of it: its name tells nothing.
#[test]
fn a_stranger_with_an_impossible_base_hides_nothing() {
    let (mut files, _) = filled(9);
    files.remove(&name_of(&files, 0));
    files.remove(INDEX_FILE);
    let stranger = named(1, 3);
    files.insert(stranger.clone(), segment(&mut files.clone(), 1).clone());
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    assert!(matches!(&told[..], [(at, ErrorKind::Foreign, 0, 0)] if *at == stranger), "{told:?}");
}

/// In front of what is kept of a log without an index: it may hold what lies between, if anything does.
#[test]
fn a_stranger_in_front_may_hide_what_is_between_it_and_the_log() {
    for (base, lost) in [(1, (1, 3)), (3, (0, 0)), (4, (0, 0))] {
        let (mut files, _) = filled(9);
        files.remove(&name_of(&files, 0));
        files.remove(INDEX_FILE);
        let stranger = named(base, 0);
        files.insert(stranger.clone(), segment(&mut files.clone(), 1).clone());
        let report = refused(&files, CorruptionPolicy::Error);
        let told = told(&report);
        let [(at, ErrorKind::Foreign, from, until)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((at, (*from, *until)), (&stranger, lost));
    }
}

/// The gap tells what is lost; the file that has its ordinal under another base tells nothing more.
#[test]
fn a_segment_under_another_base_than_the_index_tells_hides_nothing_beside_the_gap() {
    for base in [7, 10] {
        let (mut files, _) = closed(9);
        let last = name_of(&files, 2);
        files.remove(&last);
        files.insert(named(base, 2), header_of(base, 2, StreamId::new([7; 16])));
        let report = refused(&files, CorruptionPolicy::Error);
        let mut told = told(&report);
        told.sort_by_key(|(_, _, from, _)| *from);
        assert!(
            matches!(&told[..], [(_, ErrorKind::Foreign, 0, 0), (at, ErrorKind::Missing, 6, 9)] if *at == last),
            "{told:?}"
        );
    }
}

/// The same in front, where a bad index tells nothing of what came before.
#[test]
fn a_first_segment_under_another_base_than_the_index_tells_hides_nothing_beside_the_gap() {
    let floor = IndexRecord::Floor(record(9, 12, 2));
    let files = Files::from([
        (INDEX_FILE.to_owned(), bad_index(floor)),
        (named(6, 2), header_of(6, 2, StreamId::new([7; 16]))),
    ]);
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    let foreign: Vec<_> = told.iter().filter(|told| matches!(told.1, ErrorKind::Foreign)).collect();
    assert!(matches!(&foreign[..], [(_, _, 0, 0)]), "{told:?}");
}

#[test]
fn a_short_segment_is_told_once_beside_what_ends_the_log() {
    let (mut files, _) = filled(9);
    segment(&mut files, 0).truncate(header_len() + 3 * 40);
    turn_bit(&mut files, 2, 1);
    let (_, report) = opened(&storage_of(&files), CorruptionPolicy::Truncate);
    let found = told(&report);
    let shorts = found.iter().filter(|told| matches!(told.1, ErrorKind::Short { .. })).count();
    let frames = found.iter().filter(|told| matches!(told.1, ErrorKind::Frame { .. })).count();
    assert_eq!((shorts, frames, found.len()), (1, 1, 2), "{found:?}");

    let (mut files, _) = filled(9);
    segment(&mut files, 0).truncate(header_len() + 40);
    let (_, report) = opened(&storage_of(&files), CorruptionPolicy::Truncate);
    let found = told(&report);
    assert_eq!(found.len(), 1, "{found:?}");
}

/// Of the last segment what returned syncs cover, and no more.
#[test]
fn a_look_tells_what_is_proven_by_the_claims_of_later_frames() {
    let world = World::new(1 << 20);
    let mut stream = world.create();
    let mut mark = stream.write.written_mark();
    for n in 0..600 {
        if n == 300 {
            mark = sync(&mut stream);
        }
        stream.write.append(&mut entry(90), mark, || 0).unwrap();
    }
    drop(stream);
    let (view, report) = inspect(&world.storage, &world.key).unwrap().unwrap();
    let view = view.unwrap();
    assert_eq!((view.proven.get(), view.next.get(), report.next.get()), (300, 600, 600));
    // It is where somebody else may go on.
    let active = view.active.unwrap();
    assert_eq!(active.name.ordinal, Ordinal::ZERO);
    drop(world.open());
    let (view, _) = inspect(&world.storage, &world.key).unwrap().unwrap();
    assert_eq!(view.unwrap().proven.get(), 600);
}

#[test]
fn an_opening_counts_its_segments_and_the_bytes_that_it_wrote_again() {
    let (files, log) = filled(9);
    let storage = storage_of(&files);
    let (stream, report) = opened(&storage, CorruptionPolicy::Error);
    assert_eq!(report.segment_count, 3);
    // Nothing vouches for the last frame: it may be in the cache only.
    assert_eq!(report.rewritten_len, 40);
    assert_reads(&stream.view, &log);
    drop(stream);
    let (_, report) = opened(&storage, CorruptionPolicy::Error);
    assert_eq!((report.segment_count, report.rewritten_len), (3, 0));
}

/// Records of earlier closings may pile up to a length, and then the index is written anew.
#[test]
fn an_index_is_replaced_when_it_is_longer_than_it_needs_to_be_by_more_than_it_may() {
    let (files, log) = closed(9);
    let needed = files[INDEX_FILE].clone();
    let records = read_index(&needed).unwrap().records;
    let last = *records.last().unwrap();
    let padded = |len: usize| {
        let mut padded = records.clone();
        padded.resize(records.len() + (len - needed.len()) / 32, last);
        index_of(&padded)
    };
    let limit = 2 * needed.len() + 4096;
    let longest = padded(limit);
    assert!(longest.len() <= limit && longest.len() + 32 > limit);
    let longer = padded(limit + 32);
    for (index, is_kept) in [(&longest, true), (&longer, false)] {
        let mut files = files.clone();
        files.insert(INDEX_FILE.to_owned(), index.clone());
        let storage = storage_of(&files);
        drop(opened(&storage, CorruptionPolicy::Error));
        let expected = if is_kept { index } else { &needed };
        assert_eq!(files_of(&storage)[INDEX_FILE], *expected);
        assert_sound(&files, &log);
    }
    // What was to take its place, and was not renamed, is done again.
    let mut files = files;
    files.insert(INDEX_FILE.to_owned(), longest);
    files.insert(INDEX_TEMP_FILE.to_owned(), Vec::new());
    let storage = storage_of(&files);
    drop(opened(&storage, CorruptionPolicy::Error));
    assert_eq!(files_of(&storage)[INDEX_FILE], needed);
}

/// A truncation that was killed has said it, and not done it.
#[test]
fn what_the_start_record_says_is_gone_is_unlinked() {
    let (mut files, mut log) = closed(9);
    let start = StartRecord { base: SequenceNumber::new(3), ordinal: Ordinal::new(1) };
    let records = read_index(&files[INDEX_FILE]).unwrap().records;
    let kept = records.into_iter().filter(|record| record.ordinal() >= start.ordinal);
    let records: Vec<_> = [IndexRecord::Start(start)].into_iter().chain(kept).collect();
    files.insert(INDEX_FILE.to_owned(), index_of(&records));
    let torn = torn_file_name(SequenceNumber::ZERO, Ordinal::ZERO, 0);
    files.insert(torn.clone(), vec![1]);
    log.entries.drain(..3);
    log.first = 3;
    let storage = storage_of(&files);
    let (stream, _) = opened(&storage, CorruptionPolicy::Error);
    assert_reads(&stream.view, &log);
    let left = files_of(&storage);
    assert!(!left.contains_key(&named(0, 0)) && !left.contains_key(&torn), "{:?}", left.keys());
    assert_eq!(left.len(), 3);
}

#[test]
fn a_file_in_the_place_of_a_stream_is_an_error_and_not_the_absence_of_one() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    assert!(matches!(
        open(&storage, &key(), options(CorruptionPolicy::Error), 0),
        Ok(Opened::Absent)
    ));
    storage.open(StoragePath::new(DIR), OpenMode::CreateNew).unwrap();
    assert!(open(&storage, &key(), options(CorruptionPolicy::Error), 0).is_err());
    assert!(inspect(&storage, &key()).is_err());
}

/// Of two files with one ordinal that counts whose header says what its name does, wherever it stands.
#[test]
fn of_two_files_for_one_place_the_one_with_the_right_header_is_read() {
    for (base, spoiled) in [(1, false), (5, false), (1, true), (5, true)] {
        let (mut files, log) = filled(9);
        let right = name_of(&files, 1);
        let twin = segment(&mut files, 1).clone();
        let wrong = named(base, 1);
        files.insert(wrong.clone(), twin);
        if spoiled {
            not_ours(files.get_mut(&right).unwrap());
        }
        let storage = storage_of(&files);
        let opened = open(&storage, &key(), options(CorruptionPolicy::Error), 0).unwrap();
        let Opened::Refused(view, report) = opened else { panic!("{opened:#?}") };
        let found = told(&report);
        let doubled: Vec<_> =
            found.iter().filter(|told| matches!(told.1, ErrorKind::Doubled { .. })).collect();
        let [(at, ..)] = &doubled[..] else { panic!("{found:?}") };
        if spoiled {
            // The first of two of which neither is right.
            assert_eq!(at, right.as_str().max(&wrong));
        } else {
            assert_eq!(*at, wrong);
            assert_reads(&view.unwrap(), &log);
        }
    }
}

/// Without an index most of the segments decide, and of equals the first.
#[test]
fn the_incarnation_is_the_one_of_most_segments() {
    let ours = StreamId::new([7; 16]);
    let cases = [
        (&[OTHER, ours, ours][..], &[0][..]),
        (&[ours, OTHER, ours], &[1]),
        (&[ours, ours, OTHER], &[2]),
        (&[OTHER, ours, ours, OTHER, ours], &[0, 3]),
        (&[ours, OTHER], &[1]),
        (&[ours, OTHER, OTHER, ours], &[1, 2]),
    ];
    for (ids, strangers) in cases {
        let files = ids.iter().zip(0..).map(|(id, n)| (named(0, n), header_of(0, n, *id)));
        let report = refused(&files.collect(), CorruptionPolicy::Error);
        let found = told(&report);
        let foreign = found.iter().filter(|told| matches!(told.1, ErrorKind::Foreign));
        let foreign: Vec<_> = foreign.map(|(name, ..)| name.clone()).collect();
        let expected: Vec<_> = strangers.iter().map(|n| named(0, *n)).collect();
        assert_eq!(foreign, expected, "{ids:?}: {found:?}");
    }
}

#[test]
fn each_segment_that_is_not_ours_is_told_where_nothing_tells_the_incarnation() {
    for is_last_headless in [false, true] {
        let (mut files, _) = filled(9);
        files.remove(INDEX_FILE);
        for ordinal in 0..3 {
            not_ours(segment(&mut files, ordinal));
        }
        if is_last_headless {
            segment(&mut files, 2).truncate(8);
        }
        let report = refused(&files, CorruptionPolicy::Error);
        let mut names: Vec<_> = told(&report).into_iter().map(|(name, ..)| name).collect();
        names.sort();
        let count = if is_last_headless { 2 } else { 3 };
        let expected: Vec<_> = (0..count).map(|n| name_of(&files, n)).collect();
        assert_eq!(names, expected);
    }
}

/// Without a start record a stream keeps its first segment: an index that is right tells that it is gone,
/// one that is not may only have lost the start record.
#[test]
fn a_first_segment_is_missed_by_an_index_that_is_right() {
    let (mut files, log) = filled(9);
    let sealed = read_index(&files[INDEX_FILE]).unwrap().records[1];
    files.remove(&name_of(&files, 0));
    files.insert(INDEX_FILE.to_owned(), index_of(&[]));
    let report = refused(&files, CorruptionPolicy::Error);
    let found = told(&report);
    assert!(matches!(&found[..], [(_, ErrorKind::Missing, 0, 3)]), "{found:?}");
    files.insert(INDEX_FILE.to_owned(), bad_index(sealed));
    let mut kept = log;
    kept.entries.drain(..3);
    kept.first = 3;
    assert_sound(&files, &kept);
}

/// A record tells its length, but nothing is written behind it: it is looked at whole.
#[test]
fn the_last_segment_that_is_there_is_scanned_though_a_record_tells_its_length() {
    let (mut files, _) = filled(9);
    files.remove(&name_of(&files, 2));
    turn_bit(&mut files, 1, 1);
    let report = refused(&files, CorruptionPolicy::Error);
    let found = told(&report);
    let frame = found.iter().find(|told| matches!(told.1, ErrorKind::Frame { .. }));
    assert_eq!(frame.map(|(name, ..)| name), Some(&name_of(&files, 1)), "{found:?}");
}

/// Somebody's directory, whose name could be a stream's, is told from what is left of a stream.
#[test]
fn a_directory_with_nothing_but_strange_names_is_not_ours() {
    let torn = torn_file_name(SequenceNumber::ZERO, Ordinal::ZERO, 0);
    let strange = "notes.txt";
    let cases = [
        (&[][..], false),
        (&[strange], true),
        (&[strange, &torn], false),
        (&[&torn], false),
        (&[strange, INDEX_TEMP_FILE], false),
        (&[INDEX_TEMP_FILE], false),
    ];
    for (names, is_not_ours) in cases {
        let files: BTreeMap<_, _> =
            names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        for policy in BOTH {
            let report = refused(&files, policy);
            let [damage] = &report.damage[..] else { panic!("{names:?}: {report:#?}") };
            let kind = damage.error.kind();
            let is_told = if is_not_ours {
                matches!(kind, ErrorKind::NotOurs)
            } else {
                matches!(kind, ErrorKind::Missing)
            };
            assert!(is_told, "{names:?}: {kind:?}");
        }
    }
    // A twin is ours, too, and so is an index that cannot be read.
    let (mut files, _) = filled(9);
    files.retain(|name, _| name == INDEX_FILE);
    files.insert(strange.to_owned(), Vec::new());
    files.insert(INDEX_FILE.to_owned(), vec![0x33; 8]);
    let report = refused(&files, CorruptionPolicy::Error);
    assert!(matches!(told(&report)[..], [(_, ErrorKind::Missing, ..)]), "{report:#?}");
}

/// No record names it but the one in front, and not by this base: a crash may have left it, and it is told
/// alone.
#[test]
fn a_last_segment_under_another_base_than_the_one_before_tells_is_told_alone() {
    let (mut files, _) = filled(9);
    let last = name_of(&files, 2);
    let mut bytes = files.remove(&last).unwrap();
    not_ours(&mut bytes);
    files.insert(named(7, 2), bytes);
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    assert!(matches!(&told[..], [(_, ErrorKind::NotOurs, 6, 7)]), "{told:?}");
}

/// The floor of the segment that took its place says nothing of a segment without entries.
#[test]
fn a_floor_is_of_one_ordinal_though_another_has_the_same_base() {
    let (mut files, mut log) = filled(0);
    segment(&mut files, 0).extend([0x55; 40]);
    let storage = storage_of(&files);
    let (mut stream, _) = opened(&storage, CorruptionPolicy::Error);
    append(&mut stream, &mut log, "new", 2);
    drop(stream);
    drop(opened(&storage, CorruptionPolicy::Error));
    let files = files_of(&storage);
    assert_eq!(last_ordinal(&files), 1);
    assert_sound(&files, &log);
}

/// A disk with one thing wrong with it, which counts what is synced.
#[derive(Debug)]
struct Odd {
    storage: Arc<dyn Storage>,
    /// The file that has it.
    name: String,
    what: Oddity,
    dir_syncs: AtomicUsize,
    root_syncs: AtomicUsize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Oddity {
    None,
    Unopened,
    Unread,
    TooLong,
}

impl Odd {
    fn of(files: &Files, name: &str, what: Oddity) -> Arc<Self> {
        let (storage, name) = (storage_of(files), name.to_owned());
        let [dir_syncs, root_syncs] = [AtomicUsize::new(0), AtomicUsize::new(0)];
        Arc::new(Self { storage, name, what, dir_syncs, root_syncs })
    }

    fn syncs(&self) -> (usize, usize) {
        (self.dir_syncs.load(Ordering::Relaxed), self.root_syncs.load(Ordering::Relaxed))
    }
}

impl Storage for Odd {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let is_it = path.file_name() == Some(self.name.as_str());
        if is_it && self.what == Oddity::Unopened {
            return Err(io::Error::other("not opened"));
        }
        let file = self.storage.open(path, mode)?;
        let what = if is_it { self.what } else { Oddity::None };
        Ok(Arc::new(OddFile { file, what }))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.storage.create_dir(path)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.storage.remove_dir(path)
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        self.storage.rename(from, to)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.storage.unlink(path)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        self.storage.list(dir)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        let is_root = dir.names().next().is_none();
        let count = if is_root { &self.root_syncs } else { &self.dir_syncs };
        count.fetch_add(1, Ordering::Relaxed);
        self.storage.sync_dir(dir)
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.storage.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.storage.display(path)
    }
}

#[derive(Debug)]
struct OddFile {
    file: Arc<dyn StorageFile>,
    what: Oddity,
}

impl StorageFile for OddFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // The header is read, and what is behind it is not.
        if self.what == Oddity::Unread && offset > 0 {
            return Err(io::Error::other("not read"));
        }
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn file_len(&self) -> io::Result<u64> {
        let len = self.file.file_len()?;
        Ok(if self.what == Oddity::TooLong { u64::MAX / 2 } else { len })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn map(&self, len: u64) -> io::Result<bytes::Bytes> {
        self.file.map(len)
    }
}

/// The next opening may come to a verdict: there is none now.
#[test]
fn what_the_disk_does_not_give_is_an_error_and_no_finding() {
    let (files, _) = filled(9);
    for (ordinal, what) in
        [(1, Oddity::Unopened), (2, Oddity::Unopened), (2, Oddity::Unread), (2, Oddity::TooLong)]
    {
        let odd = Odd::of(&files, &name_of(&files, ordinal), what);
        let storage: Arc<dyn Storage> = Arc::<Odd>::clone(&odd);
        for policy in BOTH {
            let opened = open(&storage, &key(), options(policy), 0);
            if what == Oddity::TooLong {
                // No segment is that long: this is one.
                assert!(matches!(&opened, Ok(Opened::Refused(..))), "{opened:#?}");
                continue;
            }
            let error = opened.expect_err("there is no verdict");
            assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{what:?}: {error:#?}");
        }
        assert_eq!(files_of(&odd.storage), files);
    }
}

/// The directory, unless it was closed and nothing was truncated or set aside; the root where no entry was ever durable.
#[test]
fn an_opening_syncs_the_names_that_nothing_proves() {
    let [(new, _), (open, _)] = [0, 9].map(filled);
    let (closed, _) = closed(9);
    let start = StartRecord { base: SequenceNumber::ZERO, ordinal: Ordinal::ZERO };
    let records = read_index(&closed[INDEX_FILE]).unwrap().records;
    let records: Vec<_> = [IndexRecord::Start(start)].into_iter().chain(records).collect();
    let mut started = closed.clone();
    started.insert(INDEX_FILE.to_owned(), index_of(&records));
    let mut set_aside = closed.clone();
    set_aside.insert(torn_file_name(SequenceNumber::new(9), Ordinal::new(9), 0), vec![0; 9]);
    // An index that is replaced takes a sync of the directory by itself.
    let cases = [
        ("new", new, (2, 1)),
        ("open", open, (2, 0)),
        ("closed", closed, (0, 0)),
        ("started", started, (1, 0)),
        ("set aside", set_aside, (1, 0)),
    ];
    for (what, files, syncs) in cases {
        let odd = Odd::of(&files, "", Oddity::None);
        let storage: Arc<dyn Storage> = Arc::<Odd>::clone(&odd);
        drop(opened(&storage, CorruptionPolicy::Error));
        assert_eq!(odd.syncs(), syncs, "{what}");
    }
}

/// A bad index may have lost the start record: that the first segment is gone is no loss.
#[test]
fn where_nothing_is_left_but_a_bad_index_what_that_tells_of_is_missing_and_no_more() {
    let floor = IndexRecord::Floor(record(9, 12, 2));
    let files = Files::from([(INDEX_FILE.to_owned(), bad_index(floor))]);
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    assert!(
        matches!(&told[..], [(at, ErrorKind::Missing, 9, 12)] if *at == named(9, 2)),
        "{told:?}"
    );
}

/// Nothing writes such an index: the record in front counts.
#[test]
fn a_floor_of_another_base_than_the_record_in_front_tells_is_of_no_segment() {
    let (mut files, _) = filled(9);
    files.remove(&name_of(&files, 2));
    let mut records = read_index(&files[INDEX_FILE]).unwrap().records;
    records.truncate(2);
    records.push(IndexRecord::Floor(record(7, 9, 2)));
    files.insert(INDEX_FILE.to_owned(), index_of(&records));
    let report = refused(&files, CorruptionPolicy::Error);
    let told = told(&report);
    assert!(
        matches!(&told[..], [(at, ErrorKind::Missing, 6, 7)] if *at == named(6, 2)),
        "{told:?}"
    );
}
