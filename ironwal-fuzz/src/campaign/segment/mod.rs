//! One segment file: frames are written, synced, cut and turned, and what is found is what was written.

mod harm;

use std::sync::Arc;

use bytes::Bytes;
use ironwal_format::payload::{Compression, EntryLimits, prepare_batch, prepare_entry};
use ironwal_format::scan::Scan;
use ironwal_format::verdict::{Evidence, Verdict, judge};
use ironwal_format::walk::Bounds;
use ironwal_format::{Ordinal, SequenceNumber, StreamId, StreamKey, cast};
use ironwal_segment::recover::{rewrite, scan_segment};
use ironwal_segment::storage::{OpenMode, Storage, StorageFile, StoragePath};
use ironwal_segment::{
    FrameAt, LOOKUP_WINDOW_LEN, Preallocation, Read, SegmentBytes, SegmentName, SegmentReader,
    SegmentWriter, StreamDir,
};

use super::{Campaign, Failure, Layer};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::sim_storage::{CrashChoice, SimStorage};
use crate::tally::{self, Group};

/// A segment of a few frames, and every harm to the last of them.
#[derive(Debug)]
pub(super) struct Segment;

const LIMITS: EntryLimits = EntryLimits::new(1 << 20, 1 << 20);
const MAX_LEN: u64 = 1 << 20;

impl Campaign for Segment {
    fn name(&self) -> &'static str {
        "segment"
    }

    fn layer(&self) -> Layer {
        Layer::Segment
    }

    fn about(&self) -> &'static str {
        "one file: power cuts, every cut and turned bits of its last frame, against what was written"
    }

    fn fixed_count(&self) -> u64 {
        800
    }

    fn must_reach(&self) -> &'static [&'static str] {
        &[
            "rule: torn",
            "rule: torn, the turned bit is told",
            "rule: damaged by evidence",
            "rule: a sealed segment",
            "rule: a frame behind a broken one",
        ]
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let mut random = SplitMix64::new(case);
        let mut world = World::new(&mut random)?;
        world.write(&mut random)?;
        world.check_crashes(&mut random)?;
        world.check_cuts()?;
        world.check_bits(&mut random)?;
        Ok(())
    }
}

/// A frame that was written: its entries, and where it ends.
#[derive(Debug)]
struct Written {
    entries: Vec<Bytes>,
    start: u64,
    end: u64,
}

#[derive(Debug)]
struct World {
    disk: SimStorage,
    dir: Arc<StreamDir>,
    name: SegmentName,
    writer: SegmentWriter,
    file: Arc<dyn StorageFile>,
    frames: Vec<Written>,
    synced_len: u64,
    compression: Compression,
}

/// A failure of the disk, which has none.
fn failed(error: impl std::fmt::Debug) -> Violation {
    Violation::new(Invariant::I11, format!("{error:?}"))
}

fn count_of(entries: &[Bytes]) -> u64 {
    cast::u64_from(entries.len())
}

impl World {
    fn new(random: &mut SplitMix64) -> Result<Self, Violation> {
        let disk = SimStorage::new();
        let dir = Arc::new(dir_on(&disk)?);
        let name = SegmentName {
            base: SequenceNumber::new(random.next_u64() >> (1 + random.below(63))),
            ordinal: Ordinal::new(3),
        };
        let space = [Preallocation::Reserve, Preallocation::Zeros, Preallocation::Off];
        let space = space.get(random.below(3)).copied().unwrap_or_default();
        let file = dir.create_segment(name, 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        disk.sync_dir(StoragePath::ROOT).map_err(failed)?;
        dir.sync().map_err(failed)?;
        let writer = SegmentWriter::new(&dir, name, MAX_LEN, space);
        let compression = match random.below(2) {
            0 => Compression::None,
            _ => Compression::Lz4 { min_len: 16 },
        };
        let synced_len = dir.header_len();
        Ok(World { disk, dir, name, writer, file, frames: Vec::new(), synced_len, compression })
    }

    fn next(&self) -> SequenceNumber {
        let count: u64 = self.frames.iter().map(|frame| count_of(&frame.entries)).sum();
        SequenceNumber::new(self.name.base.get() + count)
    }

    fn at(&self) -> FrameAt {
        FrameAt { base: self.next(), synced_len: self.synced_len }
    }

    fn append(&mut self, entries: Vec<Bytes>) -> Result<(), Violation> {
        let mut frame = match entries.as_slice() {
            [entry] => prepare_entry(entry, LIMITS, self.compression).map_err(failed)?,
            several => prepare_batch(several, LIMITS, self.compression)
                .map_err(failed)?
                .ok_or_else(|| failed("a batch of nothing"))?,
        };
        let (at, start) = (self.at(), self.writer.position());
        let written = self.writer.append(&self.dir, &*self.file, &mut frame, at).map_err(failed)?;
        self.frames.push(Written { entries, start, end: written.end });
        Ok(())
    }

    fn write(&mut self, random: &mut SplitMix64) -> Result<(), Violation> {
        for number in 0..=random.below(10) {
            let count = 1 + random.below(4).saturating_sub(1);
            let max_len = if random.chance(1, 12) { 6000 } else { 60 };
            let entries = (0..count).map(|place| {
                let text = format!("{number}.{place}.");
                let len = random.below(max_len);
                Bytes::from(text.bytes().cycle().take(len).collect::<Vec<_>>())
            });
            let entries = entries.collect();
            self.append(entries)?;
            if random.chance(1, 3) {
                self.file.sync_data().map_err(failed)?;
                self.synced_len = self.writer.position();
            }
        }
        if random.chance(1, 4) {
            let at = self.at();
            self.writer.seal(&self.dir, &*self.file, at).map_err(failed)?;
            self.writer.trim(&self.dir, &*self.file).map_err(failed)?;
            tally::count(Group::Reached, "rule: a sealed segment");
        }
        Ok(())
    }

    /// How many frames end at or before this offset.
    fn whole_until(&self, len: u64) -> usize {
        self.frames.iter().take_while(|frame| frame.end <= len).count()
    }

    fn end_of(&self, frames: usize) -> SequenceNumber {
        let count: u64 = self.frames.iter().take(frames).map(|one| count_of(&one.entries)).sum();
        SequenceNumber::new(self.name.base.get() + count)
    }

    /// Whatever the power cut leaves: frames from the first on, all that were synced, and never damage.
    fn check_crashes(&mut self, random: &mut SplitMix64) -> Result<(), Violation> {
        let seeds = [random.next_u64(), random.next_u64(), random.next_u64()];
        let choices = CrashChoice::systematic(self.disk.pending_count(), 1 << 6);
        for choice in choices.into_iter().chain(seeds.map(CrashChoice::Seeded)) {
            let disk = self.disk.crash(choice);
            tally::count(Group::Work, "crash images");
            let dir = Arc::new(StreamDir::new(
                Arc::new(disk.clone()),
                "s",
                self.dir.key().clone(),
                self.dir.id(),
            ));
            let file = dir.open_segment(self.name, OpenMode::ReadWrite).map_err(failed)?;
            let found =
                scan_segment(&dir, self.name, &file, SequenceNumber::MAX).map_err(failed)?;
            let whole = self.whole(&found).map_err(|violation| {
                Violation::new(violation.invariant, format!("{choice}: {}", violation.what))
            })?;
            if whole < self.whole_until(self.synced_len) {
                let what = format!("{choice}: {whole} frames are left, more were synced");
                return Err(Violation::new(Invariant::I1, what));
            }
            let until = self.end_of(self.whole_until(self.synced_len));
            let evidence = Evidence { len: self.synced_len, until };
            match judge(&found, evidence) {
                Verdict::Clean => {}
                Verdict::Torn(_) => tally::count(Group::Reached, "rule: torn"),
                verdict @ (Verdict::Damaged { .. } | Verdict::Unsupported { .. }) => {
                    let what = format!("{choice}: a power cut is told as {verdict:?}");
                    return Err(Violation::new(Invariant::I12, what));
                }
            }
            self.read_back(&dir, &file, &found, whole)?;
            let before = disk.contents();
            rewrite(&dir, self.name, &file, &found, 0).map_err(failed)?;
            if disk.contents() != before {
                return Err(Violation::new(Invariant::I8, "what was verified was changed"));
            }
            tally::checked(Invariant::I2);
            tally::checked(Invariant::I12);
        }
        Ok(())
    }

    /// How many frames a scan found: those that were written, from the first on, and whole.
    fn whole(&self, found: &Scan) -> Result<usize, Violation> {
        let whole = self.whole_until(found.valid_end);
        let frames = cast::usize_from_u32(found.frame_count);
        if frames != whole || found.next != self.end_of(whole) {
            let what = format!("{found:?}, which is not {whole} of {:?}", self.frames);
            return Err(Violation::new(Invariant::I2, what));
        }
        Ok(whole)
    }

    fn read_back(
        &self,
        dir: &Arc<StreamDir>,
        file: &Arc<dyn StorageFile>,
        found: &Scan,
        whole: usize,
    ) -> Result<(), Violation> {
        let len = found.valid_end;
        let mapped = file.map(len).map_err(failed)?;
        let ways = [SegmentBytes::File(Arc::clone(file)), SegmentBytes::Mapped(mapped)];
        for bytes in ways {
            let bounds = Bounds { len, until: found.next };
            let (entries, lost) = read_all(dir, self.name, bytes, bounds)?;
            let expected = self.entries(0, whole);
            if entries != expected || lost > 0 {
                let what = format!("{} entries were read of {}", entries.len(), expected.len());
                return Err(Violation::new(Invariant::I6, what));
            }
        }
        tally::checked(Invariant::I6);
        Ok(())
    }

    fn entries(&self, from: usize, until: usize) -> Vec<(u64, Bytes)> {
        let frames = self.frames.get(from..until).unwrap_or_default();
        let base = self.end_of(from).get();
        (base..).zip(frames.iter().flat_map(|frame| frame.entries.iter().cloned())).collect()
    }
}

fn dir_on(disk: &SimStorage) -> Result<StreamDir, Violation> {
    let key = StreamKey::new("s").map_err(failed)?;
    disk.create_dir(StoragePath::new("s")).map_err(failed)?;
    Ok(StreamDir::new(Arc::new(disk.clone()), "s", key, StreamId::new([7; 16])))
}

/// Every entry that can be read, with its number, and how many frames were lost.
fn read_all(
    dir: &Arc<StreamDir>,
    name: SegmentName,
    bytes: SegmentBytes,
    bounds: Bounds,
) -> Result<(Vec<(u64, Bytes)>, usize), Violation> {
    let opened = SegmentReader::new(Arc::clone(dir), name, bytes, bounds, LOOKUP_WINDOW_LEN);
    let mut reader = opened.map_err(failed)?;
    let (mut at, mut entries, mut lost) = (reader.start(), Vec::new(), 0);
    loop {
        match reader.read(at).map_err(failed)? {
            Read::Frame(frame, next) => {
                for seq in frame.base().get()..frame.end().get() {
                    entries.push((seq, frame.entry(SequenceNumber::new(seq)).map_err(failed)?));
                }
                at = next;
            }
            Read::Lost(_, next) => {
                lost += 1;
                at = next;
            }
            Read::End => return Ok((entries, lost)),
        }
    }
}
