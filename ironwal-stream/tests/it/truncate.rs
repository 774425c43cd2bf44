//! Damaged streams, opened with each policy side by side: with `Error` not one byte changes, with
//! `Truncate` the log ends before the first lost number, and stays so.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ironwal_format::checksum::Salt;
use ironwal_format::frame::{Placement, PreparedFrame};
use ironwal_format::index::{
    IndexRecord, SegmentRecord, StartRecord, encode_header, encode_record, read_index,
};
use ironwal_format::names::{INDEX_FILE, INDEX_TEMP_FILE, StreamFileName, segment_file_name};
use ironwal_format::payload::{Compression, EntryLimits, prepare_entry};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber, StreamId, StreamKey};
use ironwal_segment::storage::{MemStorage, OpenMode, Storage, StoragePath};
use ironwal_stream::{
    Admission, CorruptionPolicy, ErrorKind, OpenStream, Opened, ReadSegment, StreamOptions,
    StreamReport, StreamView, create, inspect, open,
};

use crate::support::sync;

const LIMITS: EntryLimits = EntryLimits::new(1 << 20, 1 << 20);
const ID: StreamId = StreamId::new([7; 16]);
pub(crate) const DIR: &str = "s";
pub(crate) const BOTH: [CorruptionPolicy; 2] =
    [CorruptionPolicy::Error, CorruptionPolicy::Truncate];
/// Three entries fit into a segment.
const MAX_SEGMENT_LEN: u64 = 320;

/// The files of a stream.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A log that must be there: the number of its first entry, and all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) first: u64,
    pub(crate) entries: Vec<String>,
}

impl Log {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn before(&self, end: u64) -> Self {
        let mut entries = self.entries.clone();
        entries.truncate(usize::try_from(end - self.first).unwrap());
        Self { first: self.first, entries }
    }
}

pub(crate) fn key() -> StreamKey {
    StreamKey::new(DIR).unwrap()
}

pub(crate) fn header_len() -> usize {
    usize::try_from(SegmentHeader::len_for(&key())).unwrap()
}

pub(crate) fn options(corruption: CorruptionPolicy) -> StreamOptions {
    StreamOptions {
        preallocation: ironwal_stream::Preallocation::Reserve,
        entries: LIMITS,
        max_segment_len: MAX_SEGMENT_LEN,
        max_segment_entry_count: 3,
        corruption,
    }
}

pub(crate) fn storage_of(files: &Files) -> Arc<dyn Storage> {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    storage.create_dir(StoragePath::new(DIR)).unwrap();
    for (name, bytes) in files {
        let path = StoragePath::new(DIR).join(name);
        let file = storage.open(path, OpenMode::CreateNew).unwrap();
        ironwal_segment::io::write_all(&*file, bytes, 0).unwrap();
    }
    storage
}

pub(crate) fn files_of(storage: &Arc<dyn Storage>) -> Files {
    let mut files = Files::new();
    for entry in storage.list(StoragePath::new(DIR)).unwrap() {
        let path = StoragePath::new(DIR).join(&entry.name);
        let file = storage.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; usize::try_from(file.file_len().unwrap()).unwrap()];
        let read = ironwal_segment::io::read_up_to(&*file, &mut bytes, 0).unwrap();
        assert_eq!(read, bytes.len());
        files.insert(entry.name, bytes);
    }
    files
}

fn ordinal_of(name: &str) -> Option<u32> {
    match StreamFileName::of(name) {
        StreamFileName::Segment { ordinal, .. } => Some(ordinal.get()),
        StreamFileName::Index
        | StreamFileName::IndexTemp
        | StreamFileName::Torn { .. }
        | StreamFileName::Foreign => None,
    }
}

/// The name of the segment file with this ordinal.
pub(crate) fn name_of(files: &Files, ordinal: u32) -> String {
    files.keys().find(|name| ordinal_of(name) == Some(ordinal)).unwrap().clone()
}

pub(crate) fn segment(files: &mut Files, ordinal: u32) -> &mut Vec<u8> {
    let name = name_of(files, ordinal);
    files.get_mut(&name).unwrap()
}

pub(crate) fn last_ordinal(files: &Files) -> u32 {
    files.keys().filter_map(|name| ordinal_of(name)).max().unwrap()
}

pub(crate) fn index_of(records: &[IndexRecord]) -> Vec<u8> {
    let mut bytes = encode_header(&key(), ID);
    for record in records {
        let offset = bytes.len() as u64;
        bytes.extend_from_slice(&encode_record(*record, ID, offset));
    }
    bytes
}

pub(crate) fn append(stream: &mut OpenStream, log: &mut Log, what: &str, count: usize) {
    let mut mark = stream.write.written_mark();
    for _ in 0..count {
        let entry = format!("{what} {:03}", log.end());
        let mut frame: PreparedFrame =
            prepare_entry(entry.as_bytes(), LIMITS, Compression::None).unwrap();
        if stream.write.admission(&frame, mark) == Admission::AfterSync {
            mark = sync(stream);
        }
        stream.write.append(&mut frame, mark, || 0).unwrap();
        mark = sync(stream);
        log.entries.push(entry);
    }
}

/// A stream of so many entries, three to a segment, that was not closed.
pub(crate) fn filled(count: usize) -> (Files, Log) {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut stream = create(&storage, &key(), ID, options(CorruptionPolicy::Error), 0).unwrap();
    let mut log = Log::default();
    append(&mut stream, &mut log, "old", count);
    drop(stream);
    (files_of(&storage), log)
}

pub(crate) fn opened(
    storage: &Arc<dyn Storage>,
    policy: CorruptionPolicy,
) -> (OpenStream, StreamReport) {
    match open(storage, &key(), options(policy), 0).unwrap() {
        Opened::Ready(stream, report) => (*stream, report),
        other @ (Opened::Absent | Opened::Refused(..)) => panic!("{policy:?}: {other:#?}"),
    }
}

pub(crate) fn refused(files: &Files, policy: CorruptionPolicy) -> StreamReport {
    let storage = storage_of(files);
    let opened = open(&storage, &key(), options(policy), 0).unwrap();
    let Opened::Refused(_, report) = opened else { panic!("{policy:?}: {opened:#?}") };
    assert_eq!(files_of(&storage), *files, "{policy:?}: a byte was changed");
    assert_eq!(report.given_up, None);
    report
}

pub(crate) fn assert_reads(view: &StreamView, log: &Log) {
    assert_eq!((view.first.get(), view.next.get()), (log.first, log.end()), "{view:#?}");
    let closed =
        view.closed.iter().map(|closed| ReadSegment::closed(Arc::clone(&view.dir), *closed));
    let active = view.active.iter().map(|active| {
        let (until, len) = (view.next, active.len);
        let name = active.name;
        let closed = ironwal_stream::ClosedSegment { name, until, len };
        ReadSegment::closed(Arc::clone(&view.dir), closed)
    });
    let segments: Vec<_> = closed.chain(active).collect();
    for (n, expected) in (log.first..).zip(&log.entries) {
        let seq = SequenceNumber::new(n);
        let holds = |segment: &&ReadSegment| segment.name.base <= seq && seq < segment.bounds.until;
        let segment = segments.iter().find(holds).unwrap();
        let (frame, _) = segment.find(None, seq).unwrap();
        assert_eq!(frame.into_entry(seq).unwrap(), expected.as_bytes(), "entry {n}");
    }
}

/// Sees to it that a stream is sound, whoever opens it, and opened again.
pub(crate) fn assert_sound(files: &Files, log: &Log) {
    for policy in BOTH {
        let storage = storage_of(files);
        for _ in 0..2 {
            let (stream, report) = opened(&storage, policy);
            assert!(report.damage.is_empty() && report.given_up.is_none(), "{report:#?}");
            assert!(report.torn.is_none() && report.set_aside.is_none(), "{report:#?}");
            assert_reads(&stream.view, log);
        }
    }
}

/// As [`assert_sound`], with the index, without it, and with one that says nothing.
fn assert_sound_with_any_index(files: &Files, log: &Log) {
    assert_sound(files, log);
    let mut lost = files.clone();
    let index = lost.remove(INDEX_FILE).unwrap();
    let has_start = index.as_chunks::<32>().0.iter().any(|record| record[4..8] == [2, 0, 0, 0]);
    if !has_start {
        assert_sound(&lost, log);
        lost.insert(INDEX_FILE.to_owned(), index_of(&[]));
        assert_sound(&lost, log);
    }
}

/// Opens a damaged stream both ways, and what a kill in the middle leaves; goes on behind. Gives the
/// files and the log then.
fn check(files: &Files, log: &Log, given_up: Range<u64>) -> (Files, Log) {
    let error = refused(files, CorruptionPolicy::Error);
    assert!(!error.damage.is_empty(), "{error:#?}");
    let log = log.before(given_up.start);

    let storage = storage_of(files);
    let (mut stream, report) = opened(&storage, CorruptionPolicy::Truncate);
    let told = report.given_up.clone().unwrap();
    assert_eq!(told.start.get()..told.end.get(), given_up, "{report:#?}");
    assert!(!report.is_clean() && !report.damage.is_empty());
    assert_eq!((report.first.get(), report.next.get()), (log.first, log.end()));
    assert_reads(&stream.view, &log);
    let ended = files_of(&storage);
    let is_kept = |(name, bytes): (&String, &Vec<u8>)| {
        let is_there = ended.get(name) == Some(bytes);
        let is_torn = |name: &str| matches!(StreamFileName::of(name), StreamFileName::Torn { .. });
        let mut torn = ended.iter().filter(|(name, _)| is_torn(name));
        is_there || name == INDEX_FILE || torn.any(|(_, kept)| kept == bytes)
    };
    assert!(files.iter().all(is_kept), "bytes were changed");
    let floors = read_index(&ended[INDEX_FILE]).unwrap().records.into_iter();
    let floors = floors.filter(|record| matches!(record, IndexRecord::Floor(_)));
    let floors: Vec<_> = floors.map(|floor| floor.ordinal().get()).collect();
    assert_eq!(floors, [last_ordinal(&ended)]);
    assert_sound_with_any_index(&ended, &log);
    check_kills(files, &ended, &log);

    let mut log = log;
    append(&mut stream, &mut log, "new", 5);
    drop(stream);
    let grown = files_of(&storage);
    assert_sound_with_any_index(&grown, &log);
    (grown, log)
}

/// What a kill leaves between `before` and `ended`: with the old index, and some of the new segment.
fn check_kills(before: &Files, ended: &Files, log: &Log) {
    let is_new =
        |name: &&String| ordinal_of(name).is_some() && before.get(*name) != ended.get(*name);
    let new = ended.keys().rfind(is_new).unwrap();
    for len in [0, 8, header_len() - 8, header_len()] {
        let mut killed = ended.clone();
        killed.insert(INDEX_FILE.to_owned(), Vec::new());
        match before.get(INDEX_FILE) {
            Some(index) => killed.insert(INDEX_FILE.to_owned(), index.clone()),
            None => killed.remove(INDEX_FILE),
        };
        killed.insert(INDEX_TEMP_FILE.to_owned(), ended[INDEX_FILE].clone());
        killed.get_mut(new).unwrap().truncate(len);
        if len == header_len() {
            assert_sound(&killed, log);
        } else {
            let before = refused(before, CorruptionPolicy::Error);
            let again = refused(&killed, CorruptionPolicy::Error);
            assert_eq!(format!("{:?}", again.damage), format!("{:?}", before.damage));
        }
        let storage = storage_of(&killed);
        let (stream, report) = opened(&storage, CorruptionPolicy::Truncate);
        assert_eq!(report.given_up.is_some(), len < header_len(), "{report:#?}");
        assert_reads(&stream.view, log);
        drop(stream);
        assert_sound_with_any_index(&files_of(&storage), log);
    }
}

/// Turns a bit in the entry with this number of a segment.
pub(crate) fn turn_bit(files: &mut Files, ordinal: u32, nth: usize) {
    let at = header_len() + nth * 40 + 33;
    segment(files, ordinal)[at] ^= 4;
}

fn behead(files: &mut Files, ordinal: u32) {
    segment(files, ordinal)[24] ^= 4;
}

fn without_index(mut files: Files) -> Files {
    files.remove(INDEX_FILE);
    files
}

#[test]
fn rot_in_the_active_segment_ends_the_log_at_the_frame() {
    for nth in [0, 1] {
        let (mut files, log) = filled(3);
        turn_bit(&mut files, 0, nth);
        check(&files, &log, nth as u64..3);
        let (mut files, log) = filled(9);
        turn_bit(&mut files, 2, nth);
        check(&files, &log, 6 + nth as u64..9);
        // What no crash left behind the damage is given up with it.
        segment(&mut files, 2).extend([0x55; 40]);
        let (grown, _) = check(&files, &log, 6 + nth as u64..9);
        assert_eq!(last_ordinal(&grown), 4);
    }
}

#[test]
fn rot_in_a_segment_that_is_scanned_gives_up_what_is_readable_behind_it() {
    let (files, log) = filled(9);
    for (ordinal, nth) in [(0, 0), (0, 2), (1, 0), (1, 1)] {
        let mut files = without_index(files.clone());
        turn_bit(&mut files, ordinal, nth);
        check(&files, &log, u64::from(ordinal) * 3 + nth as u64..9);
        // And beside it a torn tail.
        segment(&mut files, 2).extend([0x55; 40]);
        let storage = storage_of(&files);
        let (_, report) = opened(&storage, CorruptionPolicy::Truncate);
        assert!(report.torn.is_some());
        check(&files, &log, u64::from(ordinal) * 3 + nth as u64..9);
    }
}

#[test]
fn a_missing_segment_ends_the_log_at_its_base() {
    let (files, log) = filled(9);
    for ordinal in 0..3 {
        let mut harmed = files.clone();
        harmed.remove(&name_of(&files, ordinal));
        let until = if ordinal == 2 { 7 } else { 9 };
        let (grown, _) = check(&harmed, &log, u64::from(ordinal) * 3..until);
        assert!(!grown.contains_key(&name_of(&files, ordinal)));
        // With what a rotation left behind it.
        if ordinal < 2 {
            let name = segment_file_name(SequenceNumber::new(9), Ordinal::new(3));
            harmed.insert(name, vec![0xA7, 0, 0]);
            check(&harmed, &log, u64::from(ordinal) * 3..9);
        }
    }
}

#[test]
fn a_segment_without_header_ends_the_log_at_its_base_though_its_entries_are_whole() {
    let (files, log) = filled(9);
    for ordinal in 0..3 {
        let mut harmed = without_index(files.clone());
        behead(&mut harmed, ordinal);
        check(&harmed, &log, u64::from(ordinal) * 3..9);
    }
    let mut harmed = files;
    behead(&mut harmed, 2);
    check(&harmed, &log, 6..9);
}

/// No more is given up than is lost, though a file that is too short is refused whole.
#[test]
fn a_short_file_ends_the_log_where_it_ends() {
    let (files, log) = filled(9);
    for ordinal in 0..2 {
        for kept in 0..3 {
            let mut harmed = files.clone();
            segment(&mut harmed, ordinal).truncate(header_len() + kept * 40 + 20);
            check(&harmed, &log, u64::from(ordinal) * 3 + kept as u64..9);
        }
        // The seal alone.
        let mut harmed = files.clone();
        segment(&mut harmed, ordinal).truncate(header_len() + 3 * 40);
        refused(&harmed, CorruptionPolicy::Error);
        let storage = storage_of(&harmed);
        let (stream, report) = opened(&storage, CorruptionPolicy::Truncate);
        assert!(report.given_up.is_none() && !report.is_clean(), "{report:#?}");
        let [damage] = &report.damage[..] else { panic!("{report:#?}") };
        assert!(matches!(damage.error.kind(), ErrorKind::Short { .. }));
        assert_eq!(damage.lost_from, damage.lost_until);
        drop(stream);
        assert_sound_with_any_index(&files_of(&storage), &log);
        // The same where the index says that the stream was closed.
        let (stream, _) = opened(&storage_of(&files), CorruptionPolicy::Error);
        drop(stream);
        let closed = storage_of(&files);
        drop(opened(&closed, CorruptionPolicy::Error));
        let mut closed = files_of(&closed);
        segment(&mut closed, ordinal).truncate(header_len() + 3 * 40);
        let storage = storage_of(&closed);
        drop(opened(&storage, CorruptionPolicy::Truncate));
        assert_sound_with_any_index(&files_of(&storage), &log);
    }
}

fn with_start(files: &Files, start: StartRecord) -> Files {
    let mut files = files.clone();
    let storage = storage_of(&files);
    drop(opened(&storage, CorruptionPolicy::Error));
    let contents = read_index(&files_of(&storage)[INDEX_FILE]).unwrap();
    let kept = contents.records.into_iter().filter(|record| record.ordinal() >= start.ordinal);
    let records: Vec<_> = [IndexRecord::Start(start)].into_iter().chain(kept).collect();
    files.insert(INDEX_FILE.to_owned(), index_of(&records));
    files.retain(|name, _| ordinal_of(name).is_none_or(|ordinal| ordinal >= start.ordinal.get()));
    files
}

#[test]
fn a_log_whose_first_kept_segment_is_gone_goes_on_at_its_start() {
    let (files, log) = filled(9);
    // At the base of a segment, and within it.
    for first in [3, 4] {
        let start = StartRecord { base: SequenceNumber::new(first), ordinal: Ordinal::new(1) };
        let started = with_start(&files, start);
        let entries = log.entries[usize::try_from(first).unwrap()..].to_vec();
        let log = Log { first, entries };
        assert_sound(&started, &log);
        let mut harmed = started.clone();
        harmed.remove(&name_of(&files, 1));
        check(&harmed, &log, first..9);
        harmed.remove(&name_of(&files, 2));
        check(&harmed, &log, first..9);
        let mut short = started.clone();
        segment(&mut short, 1).truncate(header_len() + 20);
        check(&short, &log, first..9);
        // Nothing tells of any segment but the start itself.
        let mut alone = harmed.clone();
        alone.insert(INDEX_FILE.to_owned(), index_of(&[IndexRecord::Start(start)]));
        check(&alone, &log, first..first + 1);
    }
}

#[test]
fn a_log_that_was_given_up_is_given_up_again_in_front_at_and_behind() {
    let (mut files, log) = filled(9);
    turn_bit(&mut files, 2, 1);
    let (once, log) = check(&files, &log, 7..9);
    assert_eq!(last_ordinal(&once), 4, "three new entries, and two");
    // In front of the first cut, at it, behind it; with the index and without.
    let mut in_front = once.clone();
    segment(&mut in_front, 1).truncate(header_len() + 60);
    let mut at = without_index(once.clone());
    behead(&mut at, 3);
    let mut gone = once.clone();
    gone.remove(&name_of(&once, 3));
    let mut behind = once.clone();
    turn_bit(&mut behind, 4, 0);
    for (harmed, given_up) in [(in_front, 4..12), (at, 7..12), (gone, 7..12), (behind, 10..12)] {
        let (twice, log) = check(&harmed, &log, given_up.clone());
        let mut thrice = without_index(twice);
        let last = last_ordinal(&thrice);
        turn_bit(&mut thrice, last, 0);
        check(&thrice, &log, given_up.start + 3..given_up.start + 5);
    }
}

#[test]
fn what_is_not_to_be_judged_is_refused_by_both_policies_and_nothing_is_changed() {
    let (files, _) = filled(9);
    let mut damaged = files.clone();
    turn_bit(&mut damaged, 2, 0);
    let mut newer = damaged.clone();
    segment(&mut newer, 2)[header_len() - 8..].fill(0);
    let last = segment(&mut newer, 2);
    // The format version.
    last[40..42].copy_from_slice(&[9, 0]);
    let mut not_ours = damaged.clone();
    segment(&mut not_ours, 2)[32..40].copy_from_slice(b"\x7fELF1234");
    segment(&mut not_ours, 2)[..32].fill(0x7F);
    let mut foreign = damaged.clone();
    let other = segment(&mut foreign, 0).clone();
    foreign.insert(segment_file_name(SequenceNumber::new(9), Ordinal::new(3)), other);
    let mut doubled = damaged.clone();
    let twin = segment(&mut doubled, 1).clone();
    doubled.insert(segment_file_name(SequenceNumber::new(5), Ordinal::new(1)), twin);
    let mut newer_index = damaged.clone();
    newer_index.get_mut(INDEX_FILE).unwrap()[8] = 9;
    let cases = [
        ("newer", newer),
        ("not ours", not_ours),
        ("foreign", foreign),
        ("doubled", doubled),
        ("newer index", newer_index),
    ];
    for (what, harmed) in cases {
        for policy in BOTH {
            let report = refused(&harmed, policy);
            let kinds: Vec<_> = report.damage.iter().map(|damage| damage.error.kind()).collect();
            let is_told = kinds.iter().any(|kind| match what {
                "newer" | "newer index" => matches!(kind, ErrorKind::Unsupported),
                "not ours" => matches!(kind, ErrorKind::NotOurs),
                "foreign" => matches!(kind, ErrorKind::Foreign),
                _ => matches!(kind, ErrorKind::Doubled { .. }),
            });
            assert!(is_told, "{what}: {kinds:?}");
        }
    }
}

#[test]
fn without_an_ordinal_left_nothing_is_given_up() {
    let (ordinal, base) = (Ordinal::new(u32::MAX), SequenceNumber::ZERO);
    let floor = SegmentRecord { base, end: SequenceNumber::new(3), len: 220, ordinal };
    let files = Files::from([
        (INDEX_FILE.to_owned(), index_of(&[IndexRecord::Floor(floor)])),
        (segment_file_name(base, ordinal), vec![0x55; 8]),
    ]);
    let count = |policy| refused(&files, policy).damage.len();
    assert_eq!(count(CorruptionPolicy::Truncate), count(CorruptionPolicy::Error) + 1);
    let report = refused(&files, CorruptionPolicy::Truncate);
    let last = report.damage.last().unwrap();
    assert!(matches!(last.error.kind(), ErrorKind::Exhausted), "{report:#?}");
}

/// A log that is torn would be sound, were there an ordinal for the segment that ends it.
#[test]
fn without_an_ordinal_left_a_torn_log_is_refused_and_its_entries_are_read() {
    for torn in [false, true] {
        let (files, log, mut last) = in_last_segment();
        if torn {
            last.extend([0x55; 8]);
        }
        let name = segment_file_name(SequenceNumber::ZERO, Ordinal::new(u32::MAX));
        let files = Files::from([(INDEX_FILE.to_owned(), files), (name, last)]);
        for policy in BOTH {
            if !torn {
                let storage = storage_of(&files);
                let (mut stream, report) = opened(&storage, policy);
                assert!(report.damage.is_empty(), "{report:#?}");
                // It can be appended to until it is full.
                let mark = stream.write.written_mark();
                let mut frame = prepare_entry(b"more", LIMITS, Compression::None).unwrap();
                assert_eq!(stream.write.append(&mut frame, mark, || 0).unwrap().get(), 3);
                let mark = sync(&mut stream);
                let before = files_of(&storage);
                let error = stream.write.append(&mut frame, mark, || 0).unwrap_err();
                assert!(format!("{error:?}").contains("NotWritten"), "{error:?}");
                assert!(format!("{error:?}").contains("Exhausted"), "{error:?}");
                assert!(stream.write.rotate(mark, || 0).is_err());
                assert_eq!(files_of(&storage), before);
                continue;
            }
            let report = refused(&files, policy);
            let [damage] = &report.damage[..] else { panic!("{report:#?}") };
            assert!(matches!(damage.error.kind(), ErrorKind::Exhausted), "{report:#?}");
            let opened = open(&storage_of(&files), &key(), options(policy), 0).unwrap();
            let Opened::Refused(Some(view), _) = opened else { panic!("{opened:#?}") };
            assert_reads(&view, &log);
        }
    }
}

/// The index and the only segment of a log of two entries, whose ordinal is the last that there is.
fn in_last_segment() -> (Vec<u8>, Log, Vec<u8>) {
    let ordinal = Ordinal::new(u32::MAX);
    let base = SequenceNumber::ZERO;
    let header = SegmentHeader { base, ordinal, id: ID, key: key(), created_unix_nanos: 0 };
    let (mut bytes, mut log) = (header.encode(), Log::default());
    for n in 0..2 {
        let entry = format!("old {n:03}");
        let mut frame = prepare_entry(entry.as_bytes(), LIMITS, Compression::None).unwrap();
        let offset = bytes.len() as u64;
        let (salt, base) = (Salt::of(ID, ordinal), SequenceNumber::new(n));
        bytes.extend(frame.place(Placement { salt, offset, base, synced_len: 0 }));
        log.entries.push(entry);
    }
    // What lies before it is gone: it is the first.
    (index_of(&[IndexRecord::Start(StartRecord { base, ordinal })]), log, bytes)
}

/// With `Truncate` a short segment is looked into: one of another stream is not to be judged.
#[test]
fn a_short_segment_of_another_stream_is_refused_and_nothing_is_given_up() {
    let (files, _) = filled(9);
    let mut foreign = files.clone();
    let other = segment(&mut foreign, 0).clone();
    *segment(&mut foreign, 1) = other[..header_len() + 40].to_vec();
    let [not_looked_into, looked_into] = BOTH.map(|policy| refused(&foreign, policy));
    let short = not_looked_into.damage.iter().map(|damage| damage.error.kind());
    assert!(short.clone().any(|kind| matches!(kind, ErrorKind::Short { .. })));
    let mut told = looked_into.damage.iter().map(|damage| damage.error.kind());
    assert!(told.any(|kind| matches!(kind, ErrorKind::Foreign)), "{looked_into:#?}");
}

#[test]
fn a_look_at_a_damaged_stream_gives_nothing_up() {
    let (mut files, log) = filled(3);
    turn_bit(&mut files, 0, 1);
    let storage = storage_of(&files);
    let (view, report) = inspect(&storage, &key()).unwrap().unwrap();
    assert_eq!((view.unwrap().next.get(), report.given_up), (log.end(), None));
    assert_eq!(files_of(&storage), files);
}
