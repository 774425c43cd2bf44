//! How far the reading of a stream has come, for whoever waits for it.

use std::vec;

use ironwal_segment::StreamDir;
use ironwal_segment::storage::OpenMode;
use ironwal_stream::ClosedSegment;

/// How far a verification of one stream has come. It never goes back, and ends with all bytes read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// How many bytes were read and checked, or passed over because they are not to be read.
    pub read_len: u64,
    /// How many there are: the bytes of all segments that count, as far as their lengths can be told
    /// when reading begins.
    pub byte_len: u64,
}

/// Tells how far the reading is.
pub(super) struct Meter<'a> {
    progress: Progress,
    /// How many bytes of each segment count, of the one that is read and of those behind it.
    lens: vec::IntoIter<u64>,
    /// The bytes of the segments before the one that is read.
    passed_len: u64,
    show: &'a mut dyn FnMut(Progress),
}

impl<'a> Meter<'a> {
    /// A meter of these segments, which tells at once how much there is.
    pub(super) fn new(
        dir: &StreamDir,
        segments: &[ClosedSegment],
        show: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let lens: Vec<_> = segments.iter().map(|segment| known_len(dir, *segment)).collect();
        let progress = Progress { read_len: 0, byte_len: lens.iter().sum() };
        show(progress);
        Self { progress, lens: lens.into_iter(), passed_len: 0, show }
    }

    /// The segment is read up to this offset.
    pub(super) fn at(&mut self, offset: u64) {
        self.reach(self.passed_len.saturating_add(offset));
    }

    /// The segment is done with; the next one follows.
    pub(super) fn passed(&mut self) {
        self.passed_len += self.lens.next().unwrap_or(0);
        self.reach(self.passed_len);
    }

    fn reach(&mut self, len: u64) {
        let len = len.min(self.progress.byte_len);
        if len > self.progress.read_len {
            self.progress.read_len = len;
            (self.show)(self.progress);
        }
    }
}

/// How many bytes of a segment count; none of one that cannot be opened, which reading will tell of.
fn known_len(dir: &StreamDir, ClosedSegment { name, len, .. }: ClosedSegment) -> u64 {
    if len < u64::MAX {
        return len;
    }
    let file = dir.open_segment(name, OpenMode::Read);
    file.ok().and_then(|file| file.file_len().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use ironwal_segment::storage::{MemStorage, Storage, StoragePath};

    use crate::sync::FileArc;
    use crate::{Environment, ReaderOptions, Wal, WalOptions, WalReader};

    /// Also where a segment is missing, one is cut short, and a writer is at work.
    #[test]
    fn progress_rises_from_nothing_to_all_that_there_is_and_changes_no_finding() {
        let storage: FileArc<dyn Storage> = FileArc::new(MemStorage::new());
        let environment = || Environment::new(FileArc::clone(&storage));
        let options = WalOptions::new().max_segment_size(1000);
        let wal = Wal::open_in(environment(), options).unwrap();
        for _ in 0..100 {
            wal.append("s", [7; 100]).unwrap();
        }
        let reader = WalReader::open_in(environment(), ReaderOptions::new());
        let dir = StoragePath::new("s");
        let mut names: Vec<_> = storage.list(dir).unwrap().into_iter().map(|f| f.name).collect();
        names.retain(|name| name.starts_with("0000"));
        names.sort();
        for harm in 0..3 {
            match harm {
                1 => storage.unlink(dir.join(&names[2])).unwrap(),
                2 => {
                    let mode = ironwal_segment::storage::OpenMode::ReadWrite;
                    storage.open(dir.join(&names[4]), mode).unwrap().set_len(300).unwrap();
                }
                _ => {}
            }
            let mut shown = Vec::new();
            let verification = reader.verify_with("s", &mut |now| shown.push(now)).unwrap();
            let plain = reader.verify("s").unwrap();
            assert_eq!(format!("{verification:?}"), format!("{plain:?}"));
            let verification = verification.unwrap();
            let byte_len = shown[0].byte_len;
            assert!(byte_len >= verification.byte_len && byte_len > 10_000, "{harm}: {byte_len}");
            assert!(shown.len() as u64 > verification.frame_count, "at each frame");
            assert!(shown.is_sorted_by(|a, b| a.read_len < b.read_len), "{harm}");
            assert!(shown.iter().all(|now| now.byte_len == byte_len));
            assert_eq!((shown[0].read_len, shown[shown.len() - 1].read_len), (0, byte_len));
        }
        let mut shown = Vec::new();
        assert!(reader.verify_with("t", &mut |now| shown.push(now)).unwrap().is_none());
        assert_eq!(shown.len(), 0);
    }
}
