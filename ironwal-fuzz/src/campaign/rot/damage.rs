//! One way to damage a copy of the disk, and what has to be said of it.

use std::collections::BTreeMap;

use ironwal::IndexFinding;
use ironwal_format::names::{SEGMENT_SUFFIX, segment_file_name};
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::io::write_all;
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};

use super::bytes::damaged;
use super::index;
use super::kind::Kind;
use super::made::{Life, Made};
use super::theory::{Index, Said, Scene, Theory};
use crate::random::SplitMix64;
use crate::sim_storage::SimStorage;

/// What has to be found of a stream.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    /// This.
    Exactly(Theory, IndexFinding),
    /// No wrong entry; and where one is not there, or none behind it, that is told, of those below this.
    Told { below: u64 },
}

/// Files that are others, or are not there.
pub(super) type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// What was done to the disk.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    pub(super) kind: Kind,
    pub(super) story: String,
    pub(super) changes: Changes,
    /// What has to be found of the streams that it may touch, by their place among the lives; of the others,
    /// that nothing is wrong.
    pub(super) expected: BTreeMap<usize, Expected>,
    /// The place of the segment among those of its stream, if it is one.
    pub(super) segment: Option<usize>,
    pub(super) index: Index,
}

/// Picks a damage; nothing, if there is no place for what was picked.
pub(super) fn pick(made: &Made, random: &mut SplitMix64) -> Option<Damage> {
    let kind = if !made.buried.is_empty() && random.chance(1, 8) {
        Kind::OtherLife
    } else {
        Kind::CHOICES.get(random.below(Kind::CHOICES.len())).copied()?
    };
    let at = random.below(made.lives.len().max(1));
    let life = made.lives.get(at)?;
    let mut damage = Damage {
        kind,
        story: String::new(),
        changes: Changes::new(),
        expected: BTreeMap::new(),
        segment: None,
        index: Index::Kept,
    };
    match kind {
        Kind::Bit
        | Kind::Byte
        | Kind::HeaderBit
        | Kind::Padding
        | Kind::ZeroSector
        | Kind::GarbledSector
        | Kind::OlderSector
        | Kind::FramesSwapped
        | Kind::Cut
        | Kind::CutAtFrame
        | Kind::IndexMissing => damage.in_segment(at, made, random)?,
        Kind::FileMissing => damage.missing(at, life, random)?,
        Kind::FilesSwapped | Kind::FilesSwappedBetween => damage.swapped(at, made, random)?,
        Kind::IndexCut | Kind::IndexGarbled | Kind::IndexOld | Kind::IndexForged => {
            let (bytes, story, expected) = index::damaged(kind, life, made, random)?;
            damage.story = story;
            damage.changes.insert(life.stream.index(), Some(bytes));
            damage.expected.insert(at, expected);
        }
        Kind::IndexAhead => damage.ahead(at, made, random)?,
        Kind::ForeignUnknown | Kind::ForeignNamed => damage.foreign(at, made, random)?,
        Kind::CopyWhileWriting => damage.copied(made, random)?,
        Kind::OtherLife => damage.of_other_life(at, made, random)?,
    }
    let is_other =
        |(path, bytes): (&String, &Option<Vec<u8>>)| made.files.get(path) != bytes.as_ref();
    damage.changes.iter().any(is_other).then_some(damage)
}

impl Damage {
    fn in_segment(&mut self, at: usize, made: &Made, random: &mut SplitMix64) -> Option<()> {
        let life = made.lives.get(at)?;
        let stream = &life.stream;
        let count = stream.segments.len();
        let place = if random.chance(1, 2) { count - 1 } else { random.below(count) };
        let segment = stream.segments.get(place)?;
        let before = made.files.get(&segment.path)?;
        let mut after = before.clone();
        if self.kind != Kind::IndexMissing {
            let (bytes, story) = damaged(self.kind, (segment, before), made, random)?;
            after.clone_from(&bytes);
            self.changes.insert(segment.path.clone(), Some(bytes));
            self.story = format!("{}: {story}", segment.path);
        }
        let has_index = made.files.contains_key(&stream.index());
        if self.kind == Kind::IndexMissing || random.chance(1, 3) || !has_index {
            self.index = Index::Missing;
            self.changes.insert(stream.index(), None);
            self.story.push_str(" and the index is missing");
        }
        let index = self.index;
        let theory = Scene { stream, at: place, segment, before, after: &after, index }.theory();
        let found = match index {
            Index::Kept => IndexFinding::Sound,
            Index::Missing => IndexFinding::Missing,
        };
        self.segment = (self.kind != Kind::IndexMissing).then_some(place);
        self.expected.insert(at, Expected::Exactly(theory, found));
        Some(())
    }

    fn missing(&mut self, at: usize, life: &Life, random: &mut SplitMix64) -> Option<()> {
        let place = random.below(life.stream.segments.len());
        let path = life.stream.segments.get(place)?.path.clone();
        let theory = Theory::without(&life.stream, place)?;
        self.story = format!("{path} is missing");
        self.changes.insert(path, None);
        self.segment = Some(place);
        self.expected.insert(at, Expected::Exactly(theory, IndexFinding::Sound));
        Some(())
    }

    fn swapped(&mut self, at: usize, made: &Made, random: &mut SplitMix64) -> Option<()> {
        let is_within = self.kind == Kind::FilesSwapped;
        let other = if is_within { at } else { random.below(made.lives.len()) };
        let path = |at: usize, random: &mut SplitMix64| {
            let segments = &made.lives.get(at)?.stream.segments;
            segments.get(random.below(segments.len().max(1))).map(|segment| segment.path.clone())
        };
        let (one, two) = (path(at, random)?, path(other, random)?);
        self.story = format!("swapped the contents of {one} and {two}");
        self.changes.insert(one.clone(), made.files.get(&two).cloned());
        self.changes.insert(two, made.files.get(&one).cloned());
        for at in [at, other] {
            let below = made.lives.get(at)?.stream.entries.end;
            self.expected.insert(at, Expected::Told { below });
        }
        Some(())
    }

    fn ahead(&mut self, at: usize, made: &Made, random: &mut SplitMix64) -> Option<()> {
        let stream = &made.lives.get(at)?.stream;
        let earlier = made.earlier.get(random.below(made.earlier.len().max(1)))?;
        for segment in &stream.segments {
            let older = earlier.get(&segment.path);
            let now = made.files.get(&segment.path)?;
            if older.is_some_and(|older| older.get(48..64) != now.get(48..64)) {
                return None;
            }
            self.changes.insert(segment.path.clone(), older.cloned());
        }
        self.story = format!("the segments of {} are of an earlier time", stream.dir);
        let told = stream.sealed.values().map(|record| record.end);
        let told = told.chain(stream.floor.map(|(_, floor)| floor.end));
        self.expected.insert(at, Expected::Told { below: told.max().unwrap_or_default() });
        Some(())
    }

    fn foreign(&mut self, at: usize, made: &Made, random: &mut SplitMix64) -> Option<()> {
        let stream = &made.lives.get(at)?.stream;
        let last = stream.segments.last()?;
        let mut theory = Theory::sound(stream);
        let garbage: Vec<u8> =
            (0..random.below(200)).flat_map(|_| random.next_u64().to_le_bytes()).collect();
        let (name, bytes) = if self.kind == Kind::ForeignUnknown {
            let names = ["notes.txt", "segments.idx.bak", "1-1.wal", "lost+found"];
            ((*names.get(random.below(names.len()))?).to_owned(), garbage)
        } else {
            let base = SequenceNumber::new(stream.entries.end);
            let name = segment_file_name(base, Ordinal::new(last.ordinal + 1));
            let path = format!("{}/{name}", stream.dir);
            let bytes = match random.below(3) {
                0 => vec![0; random.below(600)],
                1 => [b"not a log".to_vec(), vec![b'-'; 40], garbage].concat(),
                _ => made.files.get(&last.path)?.clone(),
            };
            let is_empty = bytes.iter().all(|byte| *byte == 0);
            theory.said = if is_empty { Said::SetAside { path } } else { Said::Refused { path } };
            (name, bytes)
        };
        let path = format!("{}/{name}", stream.dir);
        self.story = format!("a stranger made {path}, of {} bytes", bytes.len());
        self.changes.insert(path, Some(bytes));
        self.expected.insert(at, Expected::Exactly(theory, IndexFinding::Sound));
        Some(())
    }

    fn copied(&mut self, made: &Made, random: &mut SplitMix64) -> Option<()> {
        if made.earlier.is_empty() {
            return None;
        }
        for (at, life) in made.lives.iter().enumerate() {
            let prefix = format!("{}/", life.stream.dir);
            let now = made.files.keys();
            let then = made.earlier.iter().flat_map(BTreeMap::keys);
            let paths = now
                .chain(then)
                .filter(|path| path.strip_prefix(&prefix).is_some_and(|name| !name.is_empty()));
            let paths: Vec<&String> = paths.collect();
            let id = life.stream.segments.first().and_then(|first| made.files.get(&first.path));
            let id = id.and_then(|bytes| bytes.get(48..64));
            for path in paths {
                let taken = made.earlier.get(random.below(made.earlier.len() + 1));
                let bytes = taken.unwrap_or(&made.files).get(path);
                let is_segment = path.strip_suffix(SEGMENT_SUFFIX).is_some();
                if is_segment && bytes.is_some_and(|bytes| bytes.get(48..64) != id) {
                    return None;
                }
                self.changes.insert(path.clone(), bytes.cloned());
            }
            self.expected.insert(at, Expected::Told { below: 0 });
        }
        "each file is as it was at a moment of its own".clone_into(&mut self.story);
        Some(())
    }

    fn of_other_life(&mut self, at: usize, made: &Made, random: &mut SplitMix64) -> Option<()> {
        let stream = &made.lives.get(at)?.stream;
        let buried = made.buried.get(random.below(made.buried.len().max(1)))?;
        let prefix = format!("{}/", stream.dir);
        let id = |bytes: &Vec<u8>| bytes.get(48..64).map(<[u8]>::to_vec);
        let own =
            stream.segments.first().and_then(|first| made.files.get(&first.path)).and_then(id);
        let files = buried.iter().filter(|(path, bytes)| {
            let name = path.strip_prefix(&prefix);
            name.is_some_and(|name| name.strip_suffix(SEGMENT_SUFFIX).is_some()) && id(bytes) != own
        });
        let files: Vec<_> = files.collect();
        let (path, bytes) = files.get(random.below(files.len().max(1)))?;
        self.changes.insert((*path).clone(), Some((*bytes).clone()));
        self.story = format!("{path} is of the life that was deleted");
        self.expected.insert(at, Expected::Told { below: stream.entries.end });
        Some(())
    }

    /// A copy of the disk with this damage.
    pub(super) fn apply(&self, disk: &SimStorage) -> std::io::Result<SimStorage> {
        let copy = disk.kill();
        for (path, bytes) in &self.changes {
            let Some((dir, name)) = path.split_once('/') else { continue };
            let path = StoragePath::new(dir).join(name);
            let file = match copy.open(path, OpenMode::ReadWrite) {
                Ok(_) if bytes.is_none() => {
                    copy.unlink(path)?;
                    continue;
                }
                Err(_) if bytes.is_none() => continue,
                Ok(file) => file,
                Err(_) => copy.open(path, OpenMode::CreateNew)?,
            };
            file.set_len(0)?;
            write_all(&*file, bytes.as_deref().unwrap_or_default(), 0)?;
        }
        Ok(copy)
    }
}
