//! Reading of a log that someone else may be writing.
//!
//! A reader takes no lock, makes nothing and changes nothing. Each call looks at the files anew and
//! comes to the verdict that an opening would come to; it keeps nothing from one call to the next.
//!
//! Beside a live writer a look may meet a moment that never was on disk as a whole: the list of files
//! from before a rotation and the index from behind it, or a frame that was half written when it was
//! passed and proven durable a moment later. No such finding is the same in two looks, since the
//! second one begins when all that the first one saw was written. So a finding counts if two looks, one
//! after the other, agree on it. What is cut at the live end is a torn tail to every look: nothing
//! tells a frame that is being written from one that never will be.

use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ironwal_format::SequenceNumber;
use ironwal_format::names::StreamKey;
use ironwal_segment::storage::StdStorage;
use ironwal_stream::{
    DamageReport, Error as StreamError, ErrorKind as StreamErrorKind, StreamReport, StreamView,
    inspect,
};

use crate::environment::Environment;
use crate::error::{Error, IoOp, Result};
use crate::iter::Iter;
use crate::report::RecoveryReport;
use crate::stream::{bounds, snapshot};
use crate::sync::FileArc;
use crate::verify::{Verification, verify};
use crate::view::View;
use crate::wal::{is_stream, parse_key, stream_keys};

/// How often a stream is looked at, at most, until two looks agree. Each look has its own chance to
/// meet a rotation, which is a small one unless segments hold but a few entries.
const MAX_LOOKS: usize = 100;

/// A log of many streams in one directory, open for reading only: there is no lock, so a writer may be
/// at work, in this process or another, and nothing on disk is ever changed.
///
/// It sees all whole frames, as an opening of the log would: also such as the writer has not yet
/// promised to be durable, and which a power cut may undo. Each call looks at the files of the stream
/// anew, and reads its last segment for that; who reads much makes one [`Iter`].
#[derive(Clone, Debug)]
pub struct WalReader {
    environment: Environment,
}

/// What one look at a stream saw.
pub(crate) struct Look {
    pub(crate) view: Option<StreamView>,
    pub(crate) report: StreamReport,
}

impl WalReader {
    /// Opens the log in the directory `root`, which must be there. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        let root = root.as_ref();
        let storage =
            StdStorage::open(root).map_err(|source| Error::of_root(root, IoOp::Open, source))?;
        Ok(Self::open_in(Environment::new(FileArc::new(storage))))
    }

    /// Opens the log in an environment of the caller's: another storage.
    pub const fn open_in(environment: Environment) -> Self {
        Self { environment }
    }

    /// The keys of all streams that there are, in order.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn streams(&self) -> Result<Vec<String>> {
        let keys = stream_keys(&*self.environment.storage)?;
        Ok(keys.iter().map(|key| key.as_str().to_owned()).collect())
    }

    /// Whether there is a stream with this key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey), and what the operating system says.
    pub fn contains(&self, key: &str) -> Result<bool> {
        is_stream(&*self.environment.storage, &parse_key(key)?)
    }

    /// Reads one entry; `None` if it is not there yet, or there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`Stream::get`](crate::Stream::get), and
    /// [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey).
    pub fn get(&self, key: &str, seq: u64) -> Result<Option<Bytes>> {
        let Some(view) = self.view(key)? else { return Ok(None) };
        let seq = SequenceNumber::new(seq);
        view.locate(seq).get(key, seq)
    }

    /// The entries of a range of a stream, in order, as they are now: what is written later is not
    /// among them. There are none if there is no such stream.
    ///
    /// If the range starts before the first entry that there is, the first item is the error
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey), what the operating system says, and
    /// damage if nothing of the stream can be read. What is wrong with entries is an item of the
    /// iterator.
    pub fn iter(&self, key: &str, range: impl RangeBounds<u64>) -> Result<Iter> {
        let (start, end) = bounds(&range);
        Ok(snapshot(key, self.view(key)?.as_ref(), start, end))
    }

    /// The number of the first entry of a stream; 0 if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`iter`](Self::iter).
    pub fn first_seq(&self, key: &str) -> Result<u64> {
        Ok(self.view(key)?.map_or(0, |view| view.first().get()))
    }

    /// One past the last entry of a stream; 0 if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`iter`](Self::iter).
    pub fn next_seq(&self, key: &str) -> Result<u64> {
        Ok(self.view(key)?.map_or(0, |view| view.next().get()))
    }

    /// What an opening of the stream for writing would find; `None` if there is no such stream.
    ///
    /// A last segment that it would set aside is told by the name that it has. Segments that the index
    /// vouches for are not read: that is for [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey), and what the operating system says.
    /// Damage is told in the report.
    pub fn report(&self, key: &str) -> Result<Option<RecoveryReport>> {
        Ok(self.look(&parse_key(key)?)?.map(|look| RecoveryReport::new(look.report)))
    }

    /// Reads and checks every byte of a stream that counts; `None` if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn verify(&self, key: &str) -> Result<Option<Verification>> {
        let look = self.look(&parse_key(key)?)?;
        look.map(|look| verify(&*self.environment.storage, look)).transpose()
    }

    fn view(&self, key: &str) -> Result<Option<View>> {
        let Some(Look { view, report }) = self.look(&parse_key(key)?)? else { return Ok(None) };
        match (view, report.damage.first()) {
            (Some(view), _) => Ok(Some(View::new(view))),
            (None, Some(damage)) => Err(Error::below(key, &damage.error)),
            (None, None) => unreachable!("a stream is unreadable for damage"),
        }
    }

    /// Looks at a stream until two looks agree on what is wrong with it.
    fn look(&self, key: &StreamKey) -> Result<Option<Look>> {
        let mut seen = self.look_once(key);
        let mut before = sightings(&seen);
        for _ in 1..MAX_LOOKS {
            if before.is_empty() {
                break;
            }
            seen = self.look_once(key);
            let now = sightings(&seen);
            if now.iter().all(|sighting| before.contains(sighting)) {
                break;
            }
            keep_seen_twice(&mut seen, &before);
            before = now;
        }
        seen.map_err(|error| Error::below(key.as_str(), &error))
    }

    fn look_once(&self, key: &StreamKey) -> Result<Option<Look>, StreamError> {
        let seen = inspect(&self.environment.storage, key)?;
        Ok(seen.map(|(view, report)| Look { view, report }))
    }
}

/// A finding, as far as it has to be the same in two looks: which file, and where in it.
type Sighting = (PathBuf, Option<u64>);

/// What may be wrong with a stream, or may only have looked so.
fn sightings(seen: &Result<Option<Look>, StreamError>) -> Vec<Sighting> {
    match seen {
        Ok(Some(look)) => look.report.damage.iter().map(sighting).collect(),
        // A file that was listed has got another name: a writer has opened the stream meanwhile.
        Err(error) if is_gone(error) => vec![(error.path().to_path_buf(), None)],
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn sighting(damage: &DamageReport) -> Sighting {
    (damage.error.path().to_path_buf(), offset(&damage.error))
}

/// Where in its file a finding is.
pub(crate) fn offset(error: &StreamError) -> Option<u64> {
    if let StreamErrorKind::Frame { offset, .. }
    | StreamErrorKind::MissingFeature { offset, .. }
    | StreamErrorKind::Short { len: offset, .. } = error.kind()
    {
        return Some(*offset);
    }
    matches!(error.kind(), StreamErrorKind::Header { .. }).then_some(0)
}

fn is_gone(error: &StreamError) -> bool {
    matches!(
        error.kind(),
        StreamErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::NotFound
    )
}

/// Drops the findings that the look before did not have, and what readers would be told of them,
/// unless nothing of the stream was readable.
fn keep_seen_twice(seen: &mut Result<Option<Look>, StreamError>, before: &[Sighting]) {
    let Ok(Some(Look { view: Some(view), report })) = seen else { return };
    let was_seen =
        |error: &StreamError| before.contains(&(error.path().to_path_buf(), offset(error)));
    report.damage.retain(|damage| was_seen(&damage.error));
    view.missing.retain(|missing| was_seen(&missing.error));
    let held = view.closed.iter().map(|segment| segment.until);
    let missing = view.missing.iter().map(|missing| missing.until);
    let end = held.chain(missing).max().unwrap_or(view.first);
    view.next = view.next.min(end);
    report.next = view.next;
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use ironwal_segment::storage::{
        DirEntry, MemStorage, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
    };

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
        fn open(
            &self,
            path: StoragePath<'_>,
            mode: OpenMode,
        ) -> io::Result<FileArc<dyn StorageFile>> {
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
            if self
                .left
                .try_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
            {
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
        (WalReader::open_in(Environment::new(FileArc::new(racing))), inner)
    }

    #[test]
    fn a_rotation_in_the_middle_of_a_look_is_no_damage() {
        let (reader, _) = racing(1);
        let look = reader.look_once(&parse_key("s").unwrap()).unwrap().unwrap();
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
}
