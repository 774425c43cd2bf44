//! All small worlds: each plan is compared with another statement of the rules, number by number,
//! and carried out, after which the log must be the same and clean.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use super::cuts::proven_number;
use super::*;
use crate::index::{IndexKnowledge, IndexRecord};

/// A segment of a small world: what was written to it, and what is left.
#[derive(Clone, Copy, Debug)]
struct Segment {
    ordinal: u32,
    base: u64,
    /// How many entries it held when it was sealed or last synced.
    written_count: u64,
    index: Index,
    file: File,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Index {
    Silent,
    /// A sealed record with this end.
    Sealed(u64),
    /// A floor behind so many frames.
    Floor(u64),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum File {
    Missing,
    /// Only its length was looked at, and it is right.
    Whole,
    Short,
    Scanned(Frames),
    /// Its header is not valid, as a crash may leave it.
    Headless(Frames),
    /// Its header is of a newer version.
    Newer,
}

impl Segment {
    const fn frames(&self) -> Option<Frames> {
        match self.file {
            File::Missing | File::Whole | File::Short => None,
            File::Scanned(frames) | File::Headless(frames) => Some(frames),
            File::Newer => Some(Frames::newer(0)),
        }
    }

    const fn sealed_len(&self) -> u64 {
        end_of(self.written_count) + SEAL_LEN
    }

    /// What the index says of it: the end of its entries, and of its bytes.
    const fn vouched(&self) -> Option<(u64, u64)> {
        match self.index {
            Index::Silent => None,
            Index::Sealed(end) => Some((end, self.sealed_len())),
            Index::Floor(count) => Some((self.base + count, end_of(count))),
        }
    }

    /// The number from which on its seal or its record gives it up: the base of the next one.
    fn given_up_from(&self) -> u64 {
        match (self.index, self.frames().map(|frames| frames.end)) {
            (Index::Sealed(next_base), _) | (_, Some(FramesEnd::Seal(next_base))) => next_base,
            (Index::Silent | Index::Floor(_), _) => u64::MAX,
        }
    }

    fn is_newer(&self) -> bool {
        self.file == File::Newer
            || self.frames().is_some_and(|frames| frames.end == FramesEnd::Newer)
    }

    fn is_headless(&self) -> bool {
        matches!(self.file, File::Headless(_) | File::Newer)
    }

    fn facts(&self, limit: SequenceNumber) -> SegmentFacts {
        let scan = || self.frames().unwrap().scan(self.base, limit);
        let file = match self.file {
            File::Missing => FileFacts::Missing,
            File::Whole => FileFacts::Recorded { len: self.sealed_len() },
            File::Short => FileFacts::Recorded { len: self.sealed_len() - 1 },
            File::Scanned(_) => FileFacts::Scanned(scan()),
            File::Headless(_) => FileFacts::Headless(SegmentHeaderError::Absent, scan()),
            File::Newer => FileFacts::Headless(SegmentHeaderError::Newer { version: 2 }, scan()),
        };
        let of_index = self.vouched().map(|(end, len)| vouched(self.base, end, len));
        let is_record = matches!(self.index, Index::Sealed(_));
        let (record, floor) = if is_record { (of_index, None) } else { (None, of_index) };
        SegmentFacts { record, floor, ..facts(self.ordinal, self.base, file) }
    }
}

/// The facts of a world, as they are gathered: scanned from the last segment to the first, up to the
/// lowest base of those that are known to have a header.
fn gather(world: &[Segment]) -> Vec<SegmentFacts> {
    let mut limit = SequenceNumber::MAX;
    let mut facts: Vec<_> = world
        .iter()
        .rev()
        .map(|segment| {
            let facts = segment.facts(limit);
            if !segment.is_headless() && segment.file != File::Missing {
                limit = limit.min(seq(segment.base));
            }
            facts
        })
        .collect();
    facts.reverse();
    facts
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The log goes on in the last segment.
    Open,
    /// It has to be ended by a new segment, but is not torn.
    Ended,
    Torn,
    Damaged,
}

/// What a world must come to.
#[derive(Debug)]
struct Outcome {
    state: State,
    /// Each number of the log, and the segment that it is read from.
    log: Vec<(u64, u32)>,
    end: u64,
    set_aside: Option<u32>,
    /// Segment, start and end of what is to be written again.
    rewrite: Vec<(u32, u64, u64)>,
    /// Numbers that evidence covers and that cannot be read.
    lost: Vec<u64>,
    /// The number at which the first damage is.
    damaged_from: Option<u64>,
    /// Whether some of what is damaged is of a newer version.
    is_newer: bool,
}

/// The rules, for each number on its own.
struct Rules<'a>(&'a [Segment]);

impl Rules<'_> {
    /// Whether a segment proves that everything before it was durable: what it holds, or that a later
    /// one was made.
    fn is_proof(&self, at: usize) -> bool {
        let segment = &self.0[at];
        let is_synced = segment.frames().is_some_and(|frames| frames.synced_len > 0);
        let was_made = |later: usize| !self.0[later].is_headless() || self.is_vouched(later);
        is_synced
            || segment.index != Index::Silent
            || segment.is_newer()
            || (at + 1..self.0.len()).any(was_made)
    }

    fn is_vouched(&self, at: usize) -> bool {
        let world = self.0;
        let is_named = at > 0
            && world[at - 1].ordinal + 1 == world[at].ordinal
            && world[at - 1].index == Index::Sealed(world[at].base);
        let is_alone = at > 0 && world[at - 1].ordinal + 1 < world[at].ordinal;
        at == 0 || is_named || is_alone || self.is_proof(at)
    }

    fn is_set_aside(&self, at: usize) -> bool {
        at + 1 == self.0.len() && self.0[at].is_headless() && !self.is_vouched(at)
    }

    fn is_dead(&self, at: usize, number: u64) -> bool {
        let later = at + 1..self.0.len();
        later.filter(|later| !self.is_set_aside(*later)).any(|later| self.0[later].base <= number)
    }

    /// How many entries of a segment are readable from its start on, those cut off by a later one
    /// too.
    fn readable_count(&self, at: usize) -> u64 {
        let segment = &self.0[at];
        let count = match segment.file {
            File::Missing | File::Newer => 0,
            File::Whole | File::Short => segment.written_count,
            File::Scanned(frames) | File::Headless(frames) => frames.valid_count,
        };
        count.min(segment.given_up_from().saturating_sub(segment.base))
    }

    fn is_readable(&self, at: usize, number: u64) -> bool {
        let segment = &self.0[at];
        let is_there = (segment.base..segment.base + self.readable_count(at)).contains(&number);
        is_there && !self.is_dead(at, number)
    }

    fn is_durable(&self, at: usize, number: u64) -> bool {
        let segment = &self.0[at];
        let later = at + 1..self.0.len();
        number >= segment.base
            && !self.is_dead(at, number)
            && (segment.vouched().is_some_and(|(end, _)| number < end.min(segment.given_up_from()))
                || later
                    .filter(|later| self.is_proof(*later))
                    .any(|later| number < self.0[later].base))
    }

    /// Whether durable bytes of the segment are not there. Past its dead entries nobody looks.
    fn has_lost_bytes(&self, at: usize) -> bool {
        let segment = &self.0[at];
        let Some(frames) = segment.frames() else { return segment.file == File::Short };
        let by_index = segment.vouched().map_or(0, |(_, len)| len);
        let durable_len = by_index.max(frames.synced_len);
        frames.valid_end() < durable_len && !self.is_dead(at, segment.base + frames.valid_count)
    }

    /// Up to which number evidence covers all that is not dead.
    fn proven_end(&self) -> u64 {
        let world = self.0;
        let covered = world.iter().enumerate().flat_map(|(at, segment)| {
            let by_headers = segment.frames().map_or(0, |frames| frames.synced_len);
            (segment.base..segment.base + 10).filter(move |number| {
                let is_synced = end_of(number + 1 - segment.base) <= by_headers;
                let is_given_up = *number >= segment.given_up_from();
                let is_synced = is_synced && !is_given_up && !self.is_dead(at, *number);
                is_synced || self.is_durable(at, *number)
            })
        });
        covered.map(|number| number + 1).max().unwrap_or(world[0].base)
    }

    fn outcome(&self) -> Outcome {
        let world = self.0;
        let first = world[0].base;
        let mut outcome = Outcome {
            state: State::Ended,
            log: Vec::new(),
            end: first,
            set_aside: None,
            rewrite: Vec::new(),
            lost: Vec::new(),
            damaged_from: None,
            is_newer: false,
        };
        let last = world.len() - 1;
        if self.is_set_aside(last) {
            outcome.set_aside = Some(world[last].ordinal);
        }
        for (at, segment) in world.iter().enumerate() {
            let mut damaged = |number: u64| {
                let earlier = outcome.damaged_from.unwrap_or(number);
                outcome.damaged_from = Some(earlier.min(number));
            };
            if self.is_dead(at, segment.base) {
                continue;
            }
            let is_sound = segment.base <= outcome.end && !segment.is_headless();
            if !is_sound && !self.is_vouched(at) {
                break;
            }
            if segment.base > outcome.end {
                damaged(outcome.end);
                outcome.lost.extend(outcome.end..segment.base);
                outcome.end = segment.base;
            }
            let is_cut = self.is_dead(at, segment.base + self.readable_count(at));
            // A short file was not looked into.
            if segment.is_headless() || matches!(segment.file, File::Missing | File::Short) {
                damaged(segment.base);
            }
            if (segment.is_newer() && !is_cut) || self.has_lost_bytes(at) {
                damaged(segment.base + self.readable_count(at));
            }
            outcome.is_newer |= segment.is_newer() && !is_cut;
            let numbers = segment.base..segment.base + 10;
            let lost = numbers.filter(|n| self.is_durable(at, *n) && !self.is_readable(at, *n));
            let lost: Vec<_> = lost.collect();
            lost.iter().copied().for_each(damaged);
            while self.is_readable(at, outcome.end) {
                outcome.log.push((outcome.end, segment.ordinal));
                outcome.end += 1;
            }
            outcome.end = lost.iter().map(|n| n + 1).chain([outcome.end]).max().unwrap();
            outcome.lost.extend(lost);
            let File::Scanned(frames) = segment.file else { continue };
            let is_proven = (at + 1..world.len()).any(|later| self.is_proof(later));
            let by_index = segment.vouched().map_or(0, |(_, len)| len);
            let from = frames.synced_len.max(by_index);
            let until = gather(world)[at].file.scan().unwrap().valid_end;
            if !is_proven && from < until {
                outcome.rewrite.push((segment.ordinal, from, until));
            }
            if frames.end == FramesEnd::Garbage && !is_cut {
                outcome.state = State::Torn;
            }
            if at == last && frames.end == FramesEnd::Zeros {
                outcome.state = State::Open;
            }
        }
        if outcome.damaged_from.is_some() {
            outcome.state = State::Damaged;
        }
        outcome
    }
}

/// Each number of the log that a plan describes, and the segment that it is read from.
fn log_of(plan: &Plan) -> Vec<(u64, u32)> {
    let segments = plan.live.iter();
    segments
        .flat_map(|live| (live.base.get()..live.until.get()).map(|n| (n, live.ordinal.get())))
        .collect()
}

fn check(world: &[Segment]) {
    let found = plan(&gather(world), None);
    let expected = Rules(world).outcome();
    let is_damaged = !found.damage.is_empty();
    assert_eq!(proven_number(&gather(world)), Rules(world).proven_end(), "{world:#?}");
    assert_eq!(
        is_damaged,
        expected.state == State::Damaged,
        "{world:#?}\n{expected:#?}\n{found:#?}"
    );
    assert_eq!(found.set_aside.map(Ordinal::get), expected.set_aside, "{world:#?}");
    if is_damaged {
        assert_ne!(found.continuation, Continuation::Append, "{world:#?}");
        for number in &expected.lost {
            let is_told = found
                .damage
                .iter()
                .any(|damage| (damage.lost_from..damage.lost_until).contains(&seq(*number)));
            assert!(is_told, "{number} is not among the lost\n{world:#?}\n{found:#?}");
        }
        // What is in front of all that may be lost is read as if nothing had happened.
        let front = found.damage.iter().map(|damage| damage.lost_from.get()).min().unwrap();
        let in_front = |log: Vec<(u64, u32)>| log.into_iter().filter(move |(n, _)| *n < front);
        let expected_in_front = in_front(expected.log.clone());
        assert!(in_front(log_of(&found)).eq(expected_in_front), "{world:#?}\n{found:#?}");
        check_cut(world, &found, &expected);
        return;
    }
    assert_eq!(log_of(&found), expected.log, "{world:#?}\n{found:#?}");
    assert_eq!(found.end, seq(expected.end), "{world:#?}\n{found:#?}");
    assert_eq!(found.torn.is_some(), expected.state == State::Torn, "{world:#?}");
    let is_open = found.continuation == Continuation::Append;
    assert_eq!(is_open, expected.state == State::Open, "{world:#?}");
    let rewrite = found.rewrite.iter();
    let rewrite: Vec<_> = rewrite.map(|part| (part.ordinal.get(), part.from, part.until)).collect();
    assert_eq!(rewrite, expected.rewrite, "{world:#?}");
    check_repaired(world, &found);
}

/// Gives up what is damaged, and looks again: at what a crash in the middle leaves, and when it is done.
fn check_cut(world: &[Segment], found: &Plan, expected: &Outcome) {
    let ended = plan_cut(&gather(world), None);
    if expected.is_newer {
        assert_eq!((&ended.damage, &ended.cut), (&found.damage, &None), "{world:#?}");
        return;
    }
    let from = expected.damaged_from.unwrap();
    let log = || expected.log.iter().copied().filter(|(number, _)| *number < from);
    assert_eq!(ended.damage, [], "{world:#?}\n{ended:#?}");
    assert!(log_of(&ended).into_iter().eq(log()), "{world:#?}\n{ended:#?}");
    assert_eq!((ended.first, ended.end), (found.first, seq(from)), "{world:#?}");
    let cut = ended.cut.as_ref().unwrap();
    assert_eq!((&cut.damage, cut.from), (&found.damage, seq(from)), "{world:#?}");
    assert!(cut.until >= found.end && expected.lost.iter().all(|lost| seq(*lost) < cut.until));
    let Continuation::NewSegment(number) = ended.continuation else { panic!("{world:#?}") };
    let highest = world.iter().filter(|segment| Some(segment.ordinal) != expected.set_aside);
    assert_eq!(Some(number.get()), highest.map(|segment| segment.ordinal + 1).max(), "{world:#?}");
    // What is kept is written again as if there were no damage.
    let rewrite = ended.rewrite.iter().map(|part| (part.ordinal.get(), part.from, part.until));
    let is_kept = |part: &&(u32, u64, u64)| ended.live.iter().any(|l| l.ordinal.get() == part.0);
    assert!(rewrite.eq(expected.rewrite.iter().filter(is_kept).copied()), "{world:#?}\n{ended:#?}");
    check_repaired(world, &ended);

    // Killed before the index is replaced: with the new segment, or with what is left of it.
    let left = |file| {
        let kept = world.iter().filter(|segment| Some(segment.ordinal) != expected.set_aside);
        let (ordinal, base) = (number.get(), from);
        let last = Segment { ordinal, base, written_count: 0, index: Index::Silent, file };
        gather(&kept.copied().chain([last]).collect::<Vec<_>>())
    };
    let made = left(File::Scanned(Frames::open(0)));
    for after in [plan(&made, None), plan_cut(&made, None)] {
        assert_eq!((&after.damage, &after.cut), (&Vec::new(), &None), "{world:#?}\n{after:#?}");
        assert_eq!((after.first, after.end), (ended.first, ended.end), "{world:#?}");
        assert!(log_of(&after).into_iter().eq(log()), "{world:#?}");
        assert_eq!(after.continuation, Continuation::Append, "{world:#?}");
        // A scan that knew no limit came further.
        let bounds = |plan: &Plan| -> Vec<_> {
            plan.records.iter().map(|record| (record.ordinal, record.base, record.end)).collect()
        };
        assert_eq!(bounds(&after), bounds(&ended), "{world:#?}");
    }
    let torn = left(File::Headless(Frames::open(0)));
    let again = plan_cut(&torn, None);
    assert_eq!((&again.live, again.end), (&ended.live, ended.end), "{world:#?}");
    // A record that names a segment other than the one that was there names this one.
    let before = world.iter().rfind(|segment| segment.ordinal < number.get()).unwrap();
    if before.index != Index::Sealed(from) {
        assert_eq!(plan(&torn, None).damage, found.damage, "{world:#?}");
        assert_eq!((again.set_aside, again.continuation), (Some(number), ended.continuation));
        assert_eq!((again.rewrite, again.records), (ended.rewrite, ended.records), "{world:#?}");
    }
}

/// What a file holds of which only the length was looked at.
fn as_scanned(world: &[Segment], at: usize) -> File {
    let segment = world[at];
    match segment.file {
        File::Whole => {
            let Index::Sealed(end) = segment.index else { panic!("{segment:?}") };
            File::Scanned(Frames::sealed(segment.written_count, end))
        }
        File::Missing | File::Short | File::Scanned(_) | File::Headless(_) | File::Newer => {
            segment.file
        }
    }
}

/// Carries a plan out and looks again: with the index that it asks for, and with that one lost.
fn check_repaired(world: &[Segment], before: &Plan) {
    let mut repaired: Vec<_> = (0..world.len())
        .map(|at| Segment { file: as_scanned(world, at), index: Index::Silent, ..world[at] })
        .filter(|segment| before.set_aside != Some(ordinal(segment.ordinal)))
        .collect();
    if let Continuation::NewSegment(ordinal) = before.continuation {
        assert!(repaired.iter().all(|segment| segment.ordinal < ordinal.get()), "{world:#?}");
        repaired.push(Segment {
            ordinal: ordinal.get(),
            base: before.end.get(),
            written_count: 0,
            index: Index::Silent,
            file: File::Scanned(Frames::open(0)),
        });
    }
    let last = *repaired.last().unwrap();
    let File::Scanned(frames) = last.file else { panic!("{world:#?}\n{before:#?}") };
    let floor = SegmentRecord {
        base: seq(last.base),
        end: before.end,
        len: u32::try_from(frames.valid_end()).unwrap(),
        ordinal: ordinal(last.ordinal),
    };
    let sealed = before.records.iter().copied().map(IndexRecord::Sealed);
    let records: Vec<_> = sealed.chain([IndexRecord::Floor(floor)]).collect();
    let known = IndexKnowledge::of(&records);
    let with_index = |segment: &Segment| {
        let of_index = known.sealed.get(&ordinal(segment.ordinal)).copied();
        let mut facts = segment.facts(SequenceNumber::MAX);
        let as_vouched = |record: SegmentRecord| {
            vouched(record.base.get(), record.end.get(), u64::from(record.len))
        };
        facts.record = of_index.map(as_vouched);
        if segment.ordinal == last.ordinal {
            facts.floor = known.floor.map(as_vouched);
        } else if facts.record.is_some() && segment.file != File::Missing {
            let len = segment.frames().map_or(segment.sealed_len() - 1, Frames::valid_end);
            facts.file = FileFacts::Recorded { len };
        }
        facts
    };
    let limit = SequenceNumber::MAX;
    let indexed: Vec<_> = repaired.iter().map(with_index).collect();
    let after = plan(&indexed, None);
    let same = |after: &Plan| {
        assert_eq!(after.damage, [], "{world:#?}\n{before:#?}\n{after:#?}");
        assert_eq!((after.first, after.end), (before.first, before.end), "{world:#?}");
        assert_eq!(log_of(after), log_of(before), "{world:#?}\n{after:#?}");
        assert_eq!((after.torn, after.set_aside), (None, None), "{world:#?}\n{after:#?}");
        assert_eq!(after.continuation, Continuation::Append, "{world:#?}\n{after:#?}");
    };
    same(&after);
    assert_eq!(after.rewrite, [], "{world:#?}\n{before:#?}\n{after:#?}");
    assert_eq!(after.records, before.records, "{world:#?}");
    // What was dead stays dead, whatever is appended.
    let grown = |facts: &[SegmentFacts]| {
        let (last, others) = facts.split_last().unwrap();
        let count = frames.valid_count + 2;
        let scan = Frames::open(count).synced(end_of(count)).scan(last.base.get(), limit);
        let last = SegmentFacts { file: FileFacts::Scanned(scan), ..last.clone() };
        let grown = plan(&[others, &[last]].concat(), None);
        let expected = before.end.get()..before.end.get() + 2;
        let expected = expected.map(|number| (number, floor.ordinal.get()));
        assert_eq!(grown.damage, [], "{world:#?}\n{grown:#?}");
        assert!(log_of(&grown).into_iter().eq(log_of(before).into_iter().chain(expected)));
    };
    grown(&indexed);
    // A file that is missing without a record of it is no fact.
    repaired.retain(|segment| segment.file != File::Missing);
    let gathered = gather(&repaired);
    same(&plan(&gathered, None));
    grown(&gathered);
}

/// What can be left of a segment of `written_count` entries whose successor begins at `next_base`.
fn states(base: u64, written_count: u64, next_base: u64) -> Vec<(Index, File)> {
    let whole = written_count;
    let record = Index::Sealed(next_base.min(base + whole));
    let seal = Frames::sealed(whole, next_base.min(base + whole));
    let scanned = [
        Frames::open(whole),
        Frames::open(whole).synced(end_of(whole - 1)),
        Frames::open(1),
        Frames::open(1).synced(end_of(1)),
        Frames::open(0),
        Frames::torn(whole),
        Frames::torn(1),
        Frames::torn(1).synced(end_of(1)),
        Frames::torn(1).synced(end_of(whole)),
        seal,
        seal.synced(end_of(whole)),
        Frames::newer(1),
    ];
    let headless = [
        Frames::open(0),
        Frames::torn(0),
        Frames::open(whole),
        Frames::torn(1).synced(end_of(1)),
        seal,
    ];
    let mut states = vec![
        (record, File::Missing),
        (Index::Silent, File::Missing),
        (record, File::Whole),
        (record, File::Short),
        (record, File::Scanned(seal)),
        (record, File::Scanned(Frames::open(1))),
        (record, File::Scanned(Frames::torn(1))),
        (record, File::Headless(seal)),
        (Index::Silent, File::Newer),
    ];
    states.extend(scanned.map(|frames| (Index::Silent, File::Scanned(frames))));
    states.extend(headless.map(|frames| (Index::Silent, File::Headless(frames))));
    states
}

/// What a floor can add to the last segment.
fn with_floors((index, file): (Index, File)) -> Vec<(Index, File)> {
    let floors = [0, 1, 2].map(|count| (Index::Floor(count), file));
    match index {
        Index::Silent => [(index, file)].into_iter().chain(floors).collect(),
        Index::Sealed(_) | Index::Floor(_) => vec![(index, file)],
    }
}

/// How one segment can follow another of so many entries: how much higher its ordinal is, and where
/// it begins.
fn links(base: u64, written_count: u64) -> [(u32, u64); 5] {
    let end = base + written_count;
    // In turn, behind a rotation; behind one that is gone; a rollback into this one, to its start,
    // and to below it.
    [(1, end), (2, end + 1), (1, end - 1), (1, base), (1, base - 1)]
}

const WRITTEN_COUNT: u64 = 2;

/// All worlds of so many segments; `keep` thins the states out.
fn walk(
    world: &mut Vec<Segment>,
    count: usize,
    keep: &dyn Fn(&(Index, File)) -> bool,
    visited: &mut BTreeMap<(bool, usize), u64>,
) {
    let (ordinal, base) = world.last().map_or((3, 10), |last| (last.ordinal, last.base));
    let places = if world.is_empty() {
        vec![(ordinal, base)]
    } else {
        links(base, WRITTEN_COUNT).map(|(step, base)| (ordinal + step, base)).to_vec()
    };
    for (ordinal, base) in places {
        let is_last = world.len() + 1 == count;
        // Where the next one begins is known when that one is placed: here, in turn or lower.
        let mut all = states(base, WRITTEN_COUNT, base + WRITTEN_COUNT);
        let lower = states(base, WRITTEN_COUNT, base + 1).into_iter();
        let lower: Vec<_> = lower.filter(|state| !all.contains(state)).collect();
        all.extend(lower);
        all.retain(keep);
        if is_last {
            all = all.into_iter().flat_map(with_floors).collect();
        }
        for (index, file) in all {
            world.push(Segment { ordinal, base, written_count: WRITTEN_COUNT, index, file });
            if !is_last {
                walk(world, count, keep, visited);
            } else if is_possible(world) {
                check(world);
                let is_damaged = Rules(world).outcome().state == State::Damaged;
                *visited.entry((is_damaged, count)).or_default() += 1;
            }
            world.pop();
        }
    }
}

/// Worlds that can be told of at all. A missing file is a fact by its record or by the one before it.
/// What has a record has a next segment, be it missing. Seals and records name the base of that, or
/// are older than a rollback to below the segment.
fn is_possible(world: &[Segment]) -> bool {
    let told = |at: usize| {
        let segment = &world[at];
        let before = at.checked_sub(1).map(|before| &world[before]);
        let is_named = before.is_some_and(|before| {
            before.ordinal + 1 == segment.ordinal && before.index == Index::Sealed(segment.base)
        });
        segment.file != File::Missing || segment.index != Index::Silent || is_named
    };
    let agrees = |at: usize| {
        let segment = &world[at];
        let named = segment.given_up_from();
        match world.get(at + 1) {
            Some(next) if next.ordinal == segment.ordinal + 1 => {
                named == u64::MAX || next.base == named || next.base < segment.base
            }
            Some(_) | None => !matches!(segment.index, Index::Sealed(_)),
        }
    };
    // No rollback goes below the first number.
    let first = world[0].base;
    (0..world.len()).all(|at| told(at) && agrees(at) && world[at].base >= first)
}

fn walk_all(count: usize, keep: &dyn Fn(&(Index, File)) -> bool) -> (u64, u64) {
    let mut visited = BTreeMap::new();
    walk(&mut Vec::new(), count, keep, &mut visited);
    let count_of = |is_damaged| visited.get(&(is_damaged, count)).copied().unwrap_or(0);
    (count_of(false), count_of(true))
}

#[test]
fn every_world_of_one_or_two_segments_is_planned_by_the_rules_and_its_repair_is_clean() {
    for count in [1, 2] {
        let (sound, damaged) = walk_all(count, &|_| true);
        assert!(sound > 10 && damaged > 10, "{count}: {sound} sound, {damaged} damaged");
    }
}

#[test]
fn every_world_of_three_segments_is_planned_by_the_rules_and_its_repair_is_clean() {
    let (sound, damaged) = walk_all(3, &|_| true);
    assert!(sound > 10_000 && damaged > 10_000, "{sound} sound, {damaged} damaged");
}

/// The states that differ most, in worlds of four segments.
#[test]
fn every_coarse_world_of_four_segments_is_planned_by_the_rules_and_its_repair_is_clean() {
    let kept = |(index, file): &(Index, File)| match (index, file) {
        (Index::Sealed(_), File::Whole) => true,
        (Index::Silent, File::Headless(frames)) => *frames == Frames::open(0),
        (Index::Silent, File::Scanned(frames)) => {
            let is_coarse = frames.end != FramesEnd::Newer && frames.valid_count > 0;
            is_coarse && frames.synced_len == 0
        }
        (Index::Silent | Index::Sealed(_) | Index::Floor(_), _) => false,
    };
    let (sound, damaged) = walk_all(4, &kept);
    assert!(sound > 10_000 && damaged > 10_000, "{sound} sound, {damaged} damaged");
}
