//! Entries that are found without a walk: the answers are those of a walk, whatever the sizes and whatever
//! is damaged.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ironwal::{CompressionType, ReadStrategy, Stream, SyncMode, Wal, WalOptions, WalReader};
use ironwal_format::checksum::{Salt, crc32};
use ironwal_format::frame::Placement;
use ironwal_format::payload::{Compression, EntryLimits, prepare_entry};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber};

use crate::files;

const STRATEGIES: [ReadStrategy; 2] = [ReadStrategy::Mmap, ReadStrategy::StandardIo];

/// Which segment holds the entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Active,
    Sealed,
    /// Sealed before the log was opened.
    Reopened,
}

const PLACES: [Place; 3] = [Place::Active, Place::Sealed, Place::Reopened];

const FRAME_LEN: u64 = 160;
const ENTRY_LEN: usize = 128;
const HEADER_LEN: u64 = 32;

/// Three stretches and a bit.
const COUNT: u64 = 90;

fn noise(seed: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |n: u64| {
        let mixed = (seed << 20 ^ n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
    })
}

fn entry(seed: u64, len: usize) -> Vec<u8> {
    noise(seed).flat_map(u64::to_le_bytes).take(len).collect()
}

/// One segment of a stream, and the truth about it.
struct Log {
    root: tempfile::TempDir,
    _wal: Wal,
    stream: Stream,
    entries: Vec<Vec<u8>>,
}

impl Log {
    fn new(
        strategy: ReadStrategy,
        place: Place,
        fill: impl FnOnce(&Path, &Stream) -> Vec<Vec<u8>>,
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = WalOptions::new().sync_mode(SyncMode::Async).read_strategy(strategy);
        let options = options.compression(CompressionType::None);
        let mut wal = Wal::open(root.path(), options.clone()).unwrap();
        let mut stream = wal.stream("s").unwrap();
        let entries = fill(root.path(), &stream);
        if place != Place::Active {
            stream.rotate().unwrap();
        }
        if place == Place::Reopened {
            wal.close().unwrap();
            wal = Wal::open(root.path(), options).unwrap();
            stream = wal.stream("s").unwrap();
        }
        Self { root, _wal: wal, stream, entries }
    }

    /// Entries of one length.
    fn even(strategy: ReadStrategy, place: Place) -> Self {
        Self::new(strategy, place, |_, stream| {
            let entries: Vec<_> = (0..COUNT).map(|seq| entry(seq, ENTRY_LEN)).collect();
            for entry in &entries {
                stream.append(entry).unwrap();
            }
            entries
        })
    }

    fn file(&self) -> PathBuf {
        files::segments(&self.root.path().join("s")).swap_remove(0)
    }

    /// Reads everything, more than once: what is learnt by the first reads serves the others.
    fn check(&self, what: &str) {
        for round in 0..3 {
            for (seq, entry) in (0..).zip(&self.entries) {
                let read = self.stream.get(seq).unwrap().unwrap();
                assert!(read == *entry, "{what}, {round}: entry {seq}");
            }
        }
    }

    fn get(&self, seq: u64) -> Result<Bytes, String> {
        told(self.stream.get(seq))
    }

    /// What somebody reads who has read nothing before.
    fn get_cold(&self, seq: u64) -> Result<Bytes, String> {
        let reader = WalReader::open(self.root.path()).unwrap();
        told(reader.stream("s").unwrap().get(seq))
    }

    /// Runs `look` while these bytes of the segment are others.
    fn with_damage(&self, offset: u64, bytes: &[u8], look: impl FnOnce()) {
        let file = self.file();
        let at = usize::try_from(offset).unwrap();
        let before = files::read(&file)[at..at + bytes.len()].to_vec();
        files::write_at(&file, bytes, offset);
        look();
        files::write_at(&file, &before, offset);
    }
}

fn told(read: ironwal::Result<Option<Bytes>>) -> Result<Bytes, String> {
    read.map(Option::unwrap).map_err(|error| {
        assert!(error.is_damage(), "{error}");
        format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
    })
}

/// The header of the first segment, and its length.
fn header(root: &Path) -> (SegmentHeader, u64) {
    let file = files::segments(&root.join("s")).swap_remove(0);
    let header = SegmentHeader::decode(&files::read(&file)).unwrap();
    let len = SegmentHeader::len_for(&header.key);
    (header, len)
}

fn salt(root: &Path) -> Salt {
    Salt::of(header(root).0.id, Ordinal::ZERO)
}

/// A frame with one entry that is right by all its checksums.
fn forged(salt: Salt, offset: u64, seq: u64) -> Vec<u8> {
    let limits = EntryLimits::new(1000, 1000);
    let mut frame = prepare_entry(&[b'!'; ENTRY_LEN], limits, Compression::None).unwrap();
    let base = SequenceNumber::new(seq);
    frame.place(Placement { salt, offset, base, synced_len: 0 }).to_vec()
}

fn each_log(check: impl Fn(ReadStrategy, Place)) {
    for strategy in STRATEGIES {
        for place in PLACES {
            check(strategy, place);
        }
    }
}

/// Every turned byte of the frames at and behind the start of the second stretch.
#[test]
fn damage_takes_its_frame_and_no_other_also_where_no_walk_is_made() {
    each_log(|strategy, place| {
        let log = Log::even(strategy, place);
        log.check("before");
        let (_, start) = header(log.root.path());
        let original = files::read(&log.file());
        for frame in [25, 26, 27, 40] {
            for within in 0..FRAME_LEN {
                let offset = start + frame * FRAME_LEN + within;
                let turned = original[usize::try_from(offset).unwrap()] ^ 1 << (within % 8);
                log.with_damage(offset, &[turned], || {
                    for seq in frame - 1..frame + 3 {
                        let what =
                            format!("{strategy:?}, {place:?}: {seq}, byte {within} of {frame}");
                        let read = log.get(seq);
                        let expected = &log.entries[usize::try_from(seq).unwrap()];
                        assert_eq!(read.is_ok(), seq != frame, "{what}");
                        if let Ok(read) = &read {
                            assert!(read == expected, "{what}");
                        }
                        // An active segment that is damaged ends the log for who looks at it first.
                        if within % 20 == 4 && place != Place::Active {
                            assert_eq!(read, log.get_cold(seq), "{what}");
                        }
                    }
                });
            }
        }
        log.check("after");
    });
}

/// Sound frames in the place of others: what they say of themselves is not what is looked for.
#[test]
fn a_frame_that_is_right_by_its_checksums_but_another_is_not_taken_for_it() {
    each_log(|strategy, place| {
        let log = Log::even(strategy, place);
        log.check("before");
        let (salt, (_, start)) = (salt(log.root.path()), header(log.root.path()));
        let other = Salt::of(header(log.root.path()).0.id, Ordinal::new(1));
        let frame = 30;
        let offset = start + frame * FRAME_LEN;
        let mut sealed = forged(salt, offset, frame);
        recast(&mut sealed, salt, offset, |header| (header[1], header[16]) = (2, 0));
        let mut two = forged(salt, offset, frame);
        recast(&mut two, salt, offset, |header| header[16] = 2);
        let mut short = forged(salt, offset, frame);
        recast(&mut short, salt, offset, |header| header[20] = 64);
        let frames = [
            forged(salt, offset, frame - 1),
            forged(salt, offset, frame + 1),
            forged(salt, offset, 0),
            forged(salt, offset + 8, frame),
            forged(other, offset, frame),
            sealed,
            two,
            short,
        ];
        for (which, bytes) in frames.iter().enumerate() {
            log.with_damage(offset, bytes, || {
                for seq in frame - 2..frame + 4 {
                    let what = format!("{strategy:?}, {place:?}: {seq}, forged frame {which}");
                    let read = log.get(seq);
                    if let Ok(read) = &read {
                        assert!(read == &log.entries[usize::try_from(seq).unwrap()], "{what}");
                    }
                    assert!(read.is_ok() || seq >= frame, "{what}");
                    if place != Place::Active {
                        let cold = log.get_cold(seq);
                        // A walk may be led past frames that are whole.
                        assert!(read == cold || read.is_ok() && cold.is_err(), "{what}: {cold:?}");
                    }
                }
            });
        }
        log.check("after");
    });
}

/// Changes a header and makes its checksum right again.
fn recast(frame: &mut [u8], salt: Salt, offset: u64, change: impl FnOnce(&mut [u8])) {
    change(frame);
    let covered =
        [&salt.get().to_le_bytes()[..], &offset.to_le_bytes(), &frame[..4], &frame[8..32]];
    let crc = crc32(&covered);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// The bytes of entries are the caller's, who may know the salt: where frames of other lengths add up
/// to what even ones would, a frame in an entry where an even one would start is not come upon.
#[test]
fn sizes_that_add_up_to_even_ones_are_not_taken_for_them() {
    each_log(|strategy, place| {
        let long = 5;
        let log = Log::new(strategy, place, |root, stream| {
            let mut entries = vec![entry(0, ENTRY_LEN)];
            stream.append(&entries[0]).unwrap();
            let (salt, (_, start)) = (salt(root), header(root));
            for seq in 1..COUNT {
                let mut entry = match seq {
                    // One is longer by 160 bytes, five are shorter by 32.
                    _ if seq > long && seq <= long + 5 => entry(seq, ENTRY_LEN - 32),
                    _ => entry(seq, ENTRY_LEN),
                };
                if seq == long {
                    entry.extend(forged(salt, start + (seq + 1) * FRAME_LEN, seq + 1));
                }
                stream.append(&entry).unwrap();
                entries.push(entry);
            }
            entries
        });
        let (_, start) = header(log.root.path());
        let at = usize::try_from(start + (long + 1) * FRAME_LEN).unwrap();
        let expected = forged(salt(log.root.path()), start + (long + 1) * FRAME_LEN, long + 1);
        assert!(files::read(&log.file())[at..].starts_with(&expected));
        log.check(&format!("{strategy:?}, {place:?}"));
    });
}

/// Where a length lies: the frame that it leads to is in an entry, and says what is looked for.
#[test]
fn a_length_that_lies_leads_nowhere() {
    each_log(|strategy, place| {
        let inside = 40;
        let log = Log::new(strategy, place, |root, stream| {
            let first = entry(0, ENTRY_LEN);
            stream.append(&first).unwrap();
            let (salt, (_, start)) = (salt(root), header(root));
            let rest = (1..COUNT).map(|seq| {
                let mut entry = entry(seq, ENTRY_LEN);
                if seq == inside {
                    let at = start + seq * FRAME_LEN + HEADER_LEN;
                    entry.extend(forged(salt, at + 128, seq - 1));
                }
                stream.append(&entry).unwrap();
                entry
            });
            std::iter::once(first).chain(rest.collect::<Vec<_>>()).collect()
        });
        let (_, start) = header(log.root.path());
        for is_warm in [false, true] {
            if is_warm {
                log.check("before");
            }
            // The one before the last in front of it is said to end in it.
            let offset = start + (inside - 2) * FRAME_LEN + 20;
            let len = u32::try_from(2 * FRAME_LEN + HEADER_LEN + 128 - HEADER_LEN).unwrap();
            log.with_damage(offset, &len.to_le_bytes(), || {
                for seq in (inside - 4..inside + 4).rev() {
                    let read = log.get(seq);
                    let what = format!("{strategy:?}, {place:?}, {is_warm}: {seq}");
                    assert_eq!(read.is_ok(), seq != inside - 2, "{what}");
                    if let Ok(read) = read {
                        assert!(read == log.entries[usize::try_from(seq).unwrap()], "{what}");
                    }
                }
            });
        }
    });
}

/// Runs of one length, of many, batches, batches of the same length, long entries, with and without LZ4,
/// in segments that hold a few stretches each: in any order and again, until all is learnt.
#[test]
fn all_sizes_and_batches_read_alike_however_often() {
    for seed in 0..12 {
        let strategy = STRATEGIES[usize::from(seed % 2 == 1)];
        let root = tempfile::tempdir().unwrap();
        let compression =
            if seed % 3 == 0 { CompressionType::None } else { CompressionType::default() };
        let options = WalOptions::new().sync_mode(SyncMode::Async).read_strategy(strategy);
        let options = options.compression(compression).max_segment_size(24 << 10);
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        let mut random = noise(1000 + seed);
        let mut draw =
            |range: Range<u64>| range.start + random.next().unwrap() % (range.end - range.start);
        let mut entries: Vec<Vec<u8>> = Vec::new();
        while entries.len() < 1200 {
            let (what, run, len) = (draw(0..5), draw(1..80), draw(0..400));
            for _ in 0..run {
                let len = if what == 1 { draw(0..400) } else { len };
                let len = usize::try_from(if what == 4 { 10 * len } else { len }).unwrap();
                let first = u64::try_from(entries.len()).unwrap();
                let count = if what < 3 { 1 } else { draw(1..4) };
                let batch: Vec<_> = (first..first + count)
                    .map(|seq| if seq % 2 == 0 { entry(seq, len) } else { vec![b'x'; len] })
                    .collect();
                assert_eq!(stream.append_batch(&batch).unwrap(), first..first + count);
                entries.extend(batch);
            }
        }
        let check = |stream: &Stream| {
            let count = u64::try_from(entries.len()).unwrap();
            for step in [1, 7, 11, 13] {
                for n in 0..count {
                    let seq = n * step % count;
                    let read = stream.get(seq).unwrap().unwrap();
                    assert!(read == entries[usize::try_from(seq).unwrap()], "{seed}: entry {seq}");
                }
            }
        };
        check(&stream);
        drop(stream);
        wal.close().unwrap();
        let wal = Wal::open(root.path(), options).unwrap();
        check(&wal.stream("s").unwrap());
        assert_eq!(
            wal.stream("s").unwrap().get(u64::try_from(entries.len()).unwrap()).unwrap(),
            None
        );
    }
}
