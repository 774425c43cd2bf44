//! The stream, the disk that it is on, and what is done with it.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use ironwal_format::frame::PreparedFrame;
use ironwal_format::payload::{Compression, EntryLimits, prepare_batch, prepare_entry};
use ironwal_format::{StreamId, StreamKey};
use ironwal_segment::SegmentName;
use ironwal_segment::storage::Storage;
use ironwal_stream::{
    Admission, CorruptionPolicy, Deleted, IndexFinding, OpenStream, Opened, Preallocation,
    StreamOptions, SyncedMark, Truncation, create, delete, open, remove_remains,
};

use super::history::{Existence, History};
use super::read::read_all;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::sim_storage::{CrashChoice, SimStorage};
use crate::tally::{self, Group};

const LIMITS: EntryLimits = EntryLimits::new(1 << 20, 1 << 20);

/// So many other disks are looked at that the same end may leave.
const MAX_SUBSETS: u64 = 1 << 4;

/// Whether the power is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Power {
    On,
    Off,
}

impl Power {
    pub(super) fn is_on(self) -> bool {
        self == Power::On
    }
}

#[derive(Debug)]
pub(super) struct World {
    disk: SimStorage,
    key: Option<StreamKey>,
    options: StreamOptions,
    open: Option<Box<OpenStream>>,
    mark: Option<SyncedMark>,
    /// What readers were told of, as a view would keep it.
    closed: Vec<SegmentName>,
    history: History,
    entry_count: u64,
    id: u8,
}

/// What a call did: or that the power went, which it may not say otherwise.
type Did<T> = Result<Option<T>, Violation>;

impl World {
    pub(super) fn new(random: &mut SplitMix64) -> Self {
        let space = [Preallocation::Reserve, Preallocation::Zeros, Preallocation::Off];
        let options = StreamOptions {
            entries: LIMITS,
            max_segment_len: 200 + random.below(500) as u64,
            max_segment_entry_count: 1 + random.below(8) as u64,
            preallocation: space.get(random.below(3)).copied().unwrap_or_default(),
            corruption: CorruptionPolicy::Error,
        };
        World {
            disk: SimStorage::new(),
            key: StreamKey::new("s").ok(),
            options,
            open: None,
            mark: None,
            closed: Vec::new(),
            history: History::new(Existence::No),
            entry_count: 0,
            id: 0,
        }
    }

    pub(super) fn cut_at(&self, operations: u64) {
        self.disk.crash_at(self.disk.operation_count() + operations);
    }

    fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.disk.clone())
    }

    fn key(&self) -> Result<StreamKey, Violation> {
        self.key.clone().ok_or_else(|| Violation::new(Invariant::I21, "no key"))
    }

    /// An error is only ever the power that went.
    fn did<T>(&self, doing: &'static str, answer: Result<T, impl std::fmt::Debug>) -> Did<T> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.disk.is_power_cut() => {
                tally::count(Group::Reached, doing);
                Ok(None)
            }
            Err(error) => Err(Violation::new(Invariant::I11, format!("{doing}: {error:?}"))),
        }
    }

    /// Does one thing, to a stream that is opened or made before if it has to be.
    pub(super) fn step(
        &mut self,
        random: &mut SplitMix64,
        story: &mut String,
    ) -> Result<Power, Violation> {
        if self.open.is_none() && !self.begin()?.is_on() {
            return Ok(Power::Off);
        }
        let what = random.below(16);
        write!(story, "{what} ").unwrap_or_default();
        let done = match what {
            0..8 => self.append(random)?,
            8 | 9 => self.sync()?,
            10 | 11 => self.rotate()?,
            12 | 13 => self.truncate(random)?,
            14 => self.delete()?,
            _ => self.close(random)?,
        };
        Ok(if done.is_some() { Power::On } else { Power::Off })
    }

    /// Opens the stream, or makes it.
    fn begin(&mut self) -> Result<Power, Violation> {
        let opened = open(&self.storage(), &self.key()?, self.options, 0);
        let Some(opened) = self.did("rule: a recovery is cut off", opened)? else {
            return Ok(Power::Off);
        };
        let stream = match opened {
            Opened::Absent => {
                self.history.settle(None)?;
                self.id += 1;
                self.history.existence = Existence::Perhaps;
                let id = StreamId::new([self.id; 16]);
                let made = create(&self.storage(), &self.key()?, id, self.options, 0);
                let Some(made) = self.did("rule: a creation is cut off", made)? else {
                    return Ok(Power::Off);
                };
                self.history.existence = Existence::Yes;
                Box::new(made)
            }
            Opened::Ready(stream, report) => {
                if report.index != IndexFinding::Sound || !report.damage.is_empty() {
                    return Err(Violation::new(Invariant::I12, format!("{report:?}")));
                }
                let found = read_all(&stream.view);
                let Some(found) = self.did("rule: a recovery is cut off", found)? else {
                    return Ok(Power::Off);
                };
                self.history.settle(Some(&found))?;
                if found.first > 0 {
                    tally::checked(Invariant::I7);
                }
                stream
            }
            Opened::Refused(_, report) => {
                return Err(Violation::new(Invariant::I12, format!("{report:?}")));
            }
        };
        self.mark = Some(stream.write.written_mark());
        self.closed = stream.view.closed.iter().map(|segment| segment.name).collect();
        self.open = Some(stream);
        Ok(Power::On)
    }

    fn frame(&mut self, random: &mut SplitMix64) -> Result<(Vec<Bytes>, PreparedFrame), Violation> {
        let count = 1 + random.below(6).saturating_sub(3);
        let entries: Vec<Bytes> = (0..count)
            .map(|_| {
                self.entry_count += 1;
                let text = format!("{}.", self.entry_count);
                let len = text.len() + random.below(80);
                Bytes::from(format!("{text:x<len$}"))
            })
            .collect();
        let compression = match random.below(2) {
            0 => Compression::None,
            _ => Compression::Lz4 { min_len: 32 },
        };
        let prepared = match entries.as_slice() {
            [entry] => prepare_entry(entry, LIMITS, compression).map(Some),
            several => prepare_batch(several, LIMITS, compression),
        };
        match prepared {
            Ok(Some(frame)) => Ok((entries, frame)),
            other => Err(Violation::new(Invariant::I11, format!("{other:?}"))),
        }
    }

    fn append(&mut self, random: &mut SplitMix64) -> Did<()> {
        let (entries, mut frame) = self.frame(random)?;
        let (Some(stream), Some(mark)) = (&mut self.open, self.mark) else { return Ok(None) };
        if stream.write.admission(&frame, mark) == Admission::AfterSync && self.sync()?.is_none() {
            return Ok(None);
        }
        let (Some(stream), Some(mark)) = (&mut self.open, self.mark) else { return Ok(None) };
        let answer = stream.write.append(&mut frame, mark, || 0);
        self.history.frames.push(entries);
        let Some(end) = self.did("rule: an append is cut off", answer)? else { return Ok(None) };
        if end.get() != self.history.next() {
            let what = format!("{end} is next, not {}", self.history.next());
            return Err(Violation::new(Invariant::I4, what));
        }
        self.note_rotation()
    }

    /// Takes note of what readers are told.
    fn note_rotation(&mut self) -> Did<()> {
        let Some(stream) = &mut self.open else { return Ok(None) };
        let change = stream.write.take_change();
        let change = self.did("rule: a change is cut off", change)?;
        let Some(change) = change else { return Ok(None) };
        if let Some(rotated) = change.rotated {
            self.closed.push(rotated.closed.name);
        }
        Ok(Some(()))
    }

    fn sync(&mut self) -> Did<()> {
        let Some(stream) = &mut self.open else { return Ok(None) };
        let work = stream.write.take_work();
        let synced = work.and_then(|work| stream.sync.sync(work));
        let Some(synced) = self.did("rule: a sync is cut off", synced)? else { return Ok(None) };
        if synced.next.get() != self.history.next() {
            let what = format!("synced before {}, not {}", synced.next, self.history.next());
            return Err(Violation::new(Invariant::I17, what));
        }
        self.mark = Some(synced.mark);
        self.history.synced();
        Ok(Some(()))
    }

    fn rotate(&mut self) -> Did<()> {
        let (Some(stream), Some(mark)) = (&mut self.open, self.mark) else { return Ok(None) };
        let is_late = stream.write.rotation_admission(mark) == Admission::AfterSync;
        if is_late && self.sync()?.is_none() {
            return Ok(None);
        }
        let (Some(stream), Some(mark)) = (&mut self.open, self.mark) else { return Ok(None) };
        let rotated = stream.write.rotate(mark, || 0);
        if self.did("rule: a rotation is cut off", rotated)?.is_none() {
            return Ok(None);
        }
        self.note_rotation()
    }

    fn truncate(&mut self, random: &mut SplitMix64) -> Did<()> {
        if self.sync()?.is_none() {
            return Ok(None);
        }
        let Some(stream) = &mut self.open else { return Ok(None) };
        let floor = stream.write.floor();
        let active = SegmentName { base: floor.base, ordinal: floor.ordinal };
        let at = random.below(self.closed.len() + 1);
        let first = self.closed.get(at).copied().unwrap_or(active);
        if stream.sync.starts_at(first.ordinal) {
            return Ok(Some(()));
        }
        self.history.first_max = first.base.get();
        stream.write.hold_rotations();
        let truncated = stream.sync.truncate(Truncation { first, floor }, || ());
        stream.write.allow_rotations();
        if self.did("rule: a truncation is cut off", truncated)?.is_none() {
            return Ok(None);
        }
        self.history.first = first.base.get();
        drop(self.closed.drain(..at));
        Ok(Some(()))
    }

    fn delete(&mut self) -> Did<()> {
        self.open = None;
        self.history.existence = Existence::Perhaps;
        let trash = [self.id; 16];
        let deleted = delete(&self.disk, &self.key()?, trash);
        match self.did("rule: a deletion is cut off", deleted)? {
            None => Ok(None),
            Some(Deleted::Absent) => Err(Violation::new(Invariant::I1, "there was none to delete")),
            Some(Deleted::Yes) => {
                self.history = History::new(Existence::No);
                Ok(Some(()))
            }
        }
    }

    /// Syncs, writes the floor and lets go; or just lets go.
    fn close(&mut self, random: &mut SplitMix64) -> Did<()> {
        if random.chance(2, 3) {
            if self.sync()?.is_none() {
                return Ok(None);
            }
            let Some(stream) = &mut self.open else { return Ok(None) };
            let floor = stream.write.floor();
            let written = stream.sync.write_floor(floor);
            if self.did("rule: a closing is cut off", written)?.is_none() {
                return Ok(None);
            }
            tally::count(Group::Reached, "rule: a stream is closed");
        }
        self.open = None;
        Ok(Some(()))
    }

    /// The machine ends, by this choice, or the process alone. Looks at what else may be left, and goes on
    /// with what is.
    pub(super) fn end(
        &mut self,
        choice: Option<CrashChoice>,
        random: &mut SplitMix64,
    ) -> Result<(), Violation> {
        let systematic = CrashChoice::systematic(self.disk.pending_count(), MAX_SUBSETS);
        let seeded = (0..3).map(|_| CrashChoice::Seeded(random.next_u64()));
        for other in systematic.into_iter().chain(seeded) {
            self.judge(self.disk.crash(other)).map_err(|violation| {
                let what = format!("{other}: {}", violation.what);
                Violation::new(violation.invariant, what)
            })?;
        }
        let left = choice.map_or_else(|| self.disk.kill(), |choice| self.disk.crash(choice));
        if choice.is_none() {
            tally::count(Group::Reached, "rule: a stream is killed");
        }
        self.judge(left.kill())?;
        self.open = None;
        self.disk = left;
        remove_remains(&self.disk, ".new-s")
            .map_err(|error| Violation::new(Invariant::I11, format!("removing remains: {error:?}")))
    }

    /// Recovers the stream on another disk, and after a second power cut again: the same is there.
    fn judge(&self, disk: SimStorage) -> Result<(), Violation> {
        tally::count(Group::Work, "crash images");
        let mut other = World {
            disk,
            key: self.key.clone(),
            options: self.options,
            open: None,
            mark: None,
            closed: Vec::new(),
            history: self.history.clone(),
            entry_count: self.entry_count + 1_000_000,
            id: self.id,
        };
        // What is found there is durable from then on, and what is made new as well.
        let mut random = SplitMix64::new(self.entry_count);
        let is_done = other.begin()?.is_on()
            && other.append(&mut random)?.is_some()
            && other.sync()?.is_some();
        other.open = None;
        other.disk = other.disk.crash(CrashChoice::Nothing);
        if !is_done || !other.begin()?.is_on() {
            // Nothing cuts the power here.
            return Err(Violation::new(Invariant::I11, "a recovered stream cannot be used"));
        }
        tally::checked(Invariant::I10);
        tally::checked(Invariant::I11);
        Ok(())
    }
}
