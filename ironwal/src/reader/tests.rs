//! A reader beside a writer that rotates at the worst moments.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ironwal_format::SequenceNumber;
use ironwal_segment::storage::{
    DirEntry, MemStorage, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

use super::look::{MAX_LOOKS, look_once};
use super::*;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::{ErrorKind, Wal, WalOptions};

/// A storage whose writer rotates right after the reader has listed a stream.
struct Racing {
    inner: FileArc<dyn Storage>,
    writer: Wal,
    /// How many rotations there will be.
    left: AtomicUsize,
}

impl fmt::Debug for Racing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Racing").finish_non_exhaustive()
    }
}

impl Storage for Racing {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<FileArc<dyn StorageFile>> {
        assert_eq!(mode, OpenMode::Read);
        self.inner.open(path, mode)
    }

    fn create_dir(&self, _: StoragePath<'_>) -> io::Result<()> {
        panic!("a reader makes nothing")
    }

    fn remove_dir(&self, _: StoragePath<'_>) -> io::Result<()> {
        panic!("a reader removes nothing")
    }

    fn rename(&self, _: StoragePath<'_>, _: StoragePath<'_>) -> io::Result<()> {
        panic!("a reader renames nothing")
    }

    fn unlink(&self, _: StoragePath<'_>) -> io::Result<()> {
        panic!("a reader removes nothing")
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        let listed = self.inner.list(dir);
        if self.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            self.writer.append("s", "x").unwrap();
        }
        listed
    }

    fn sync_dir(&self, _: StoragePath<'_>) -> io::Result<()> {
        panic!("a reader syncs nothing")
    }

    fn lock(&self, _: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        panic!("a reader takes no lock")
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}

/// A reader of a stream with five entries, each in a segment alone, whose writer will rotate in
/// the middle of so many looks.
fn racing(rotation_count: usize) -> (WalReader, FileArc<dyn Storage>) {
    let inner: FileArc<dyn Storage> = FileArc::new(MemStorage::new());
    let options = WalOptions::new().max_segment_entries(1);
    let writer = Wal::open_in(Environment::new(FileArc::clone(&inner)), options).unwrap();
    for _ in 0..5 {
        writer.append("s", "x").unwrap();
    }
    let left = AtomicUsize::new(rotation_count);
    let racing = Racing { inner: FileArc::clone(&inner), writer, left };
    (WalReader::open_in(Environment::new(FileArc::new(racing)), ReaderOptions::new()), inner)
}

#[test]
fn a_rotation_in_the_middle_of_a_look_is_no_damage() {
    let (reader, _) = racing(1);
    let look =
        look_once(&reader.shared.environment.storage, &parse_key("s").unwrap()).unwrap().unwrap();
    assert_eq!(look.report.damage.len(), 1, "one look alone is led astray");
    for rotation_count in [1, 2, 3, MAX_LOOKS - 1, MAX_LOOKS, 2 * MAX_LOOKS] {
        let (reader, _) = racing(rotation_count);
        let report = reader.report("s").unwrap().unwrap();
        assert!(report.damage.is_empty(), "{rotation_count}: {:?}", report.damage);
        assert!(report.next_seq >= 5);
        let (reader, _) = racing(rotation_count);
        let entries: Vec<_> = reader.iter("s", ..).unwrap().collect();
        assert!(entries.len() >= 5, "{rotation_count}: {} entries", entries.len());
        assert!(entries.iter().all(Result::is_ok), "{rotation_count}: {entries:?}");
    }
}

#[test]
fn damage_is_found_once_however_often_the_writer_rotates_meanwhile() {
    for rotation_count in [0, 1, 2, 3, 2 * MAX_LOOKS] {
        let (reader, storage) = racing(rotation_count);
        let name = ironwal_format::names::segment_file_name(
            SequenceNumber::new(2),
            ironwal_format::Ordinal::new(2),
        );
        storage.unlink(StoragePath::new("s").join(&name)).unwrap();
        let verification = reader.verify("s").unwrap().unwrap();
        let [finding] = &verification.findings[..] else { panic!("{verification:?}") };
        assert_eq!((finding.verdict(), &finding.lost), ("missing", &(2..3)));
        let lost = reader.get("s", 2).unwrap_err();
        assert!(matches!(lost.kind(), ErrorKind::MissingSegment));
        assert_eq!(reader.get("s", 3).unwrap().unwrap(), "x");
    }
}

#[test]
fn a_reader_sees_what_a_living_writer_has_appended() {
    let (reader, storage) = racing(0);
    assert_eq!(reader.streams().unwrap(), ["s"]);
    assert!(reader.contains("s").unwrap() && !reader.contains("t").unwrap());
    assert_eq!((reader.first_seq("s").unwrap(), reader.next_seq("s").unwrap()), (0, 5));
    assert_eq!(reader.get("s", 5).unwrap(), None);
    assert_eq!(reader.iter("s", 1..=3).unwrap().count(), 3);
    assert!(matches!(reader.get("", 0).unwrap_err().kind(), ErrorKind::InvalidKey(_)));
    // Of a stream that is not there nothing is seen, and nothing made.
    assert_eq!((reader.next_seq("t").unwrap(), reader.get("t", 0).unwrap()), (0, None));
    assert!(reader.report("t").unwrap().is_none() && reader.verify("t").unwrap().is_none());
    assert_eq!(reader.iter("t", ..).unwrap().count(), 0);
    assert!(storage.open(StoragePath::new("t"), OpenMode::Read).is_err());
}
