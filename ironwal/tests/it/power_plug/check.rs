//! What must hold of each case, by the verdict that it should get.

use std::ops::Range;

use ironwal::{DamageReason, Error, ErrorKind, Outcome, RecoveryReport, Wal, WalOptions};

use super::world::{Home, INDEX, Image, OTHER, STREAM, World};

/// How much is looked at: every case is judged, some are followed through later lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effort {
    Verdict,
    Lives,
}

/// A torn end.
#[derive(Clone, Debug)]
pub(super) struct Tear {
    /// How many entries stand before it.
    pub(super) next: u64,
    pub(super) path: String,
    pub(super) offset: usize,
    pub(super) rest_len: u64,
    pub(super) turned_bit: Option<u64>,
}

/// Why a stream is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    /// Damaged at this offset.
    Damaged(usize),
    /// The header of the segment.
    Header,
    Short,
    Missing,
    Foreign,
    NotOurs,
    Newer,
}

impl Why {
    pub(super) fn of(error: &Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds are no refusals")]
        match error.kind() {
            ErrorKind::Damaged { reason: DamageReason::SegmentHeader(_), offset: 0 } => {
                Self::Header
            }
            ErrorKind::Damaged { reason: DamageReason::Short { .. }, .. } => Self::Short,
            ErrorKind::Damaged { offset, .. } => Self::Damaged(usize::try_from(*offset).unwrap()),
            ErrorKind::MissingSegment => Self::Missing,
            ErrorKind::Foreign => Self::Foreign,
            ErrorKind::NotOurs => Self::NotOurs,
            ErrorKind::NewerVersion => Self::Newer,
            kind => panic!("not a reason to refuse a stream: {kind:?}"),
        }
    }
}

/// A stream that takes no appends.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Which file.
    pub(super) path: String,
    pub(super) why: Why,
    /// How many entries the stream is known to have had; all that it had, where this is not said.
    pub(super) known: Option<u64>,
    /// The entries that cannot be read; an iterator has one error for all of them.
    pub(super) lost: Range<u64>,
}

pub(super) fn report(wal: &Wal) -> RecoveryReport {
    let reports = wal.recovery_reports();
    reports.into_iter().find(|report| report.stream == STREAM).expect("the stream was opened")
}

/// That the stream has these entries, by every way of reading them, and no more.
pub(super) fn assert_holds(wal: &Wal, entries: &[Vec<u8>], what: &str) {
    let stream = wal.stream(STREAM).unwrap();
    let next = entries.len() as u64;
    assert_eq!(stream.first_seq().unwrap(), 0, "{what}");
    assert_eq!(stream.next_seq().unwrap(), next, "{what}");
    for (seq, entry) in (0..).zip(entries) {
        assert_eq!(stream.get(seq).unwrap().as_deref(), Some(&entry[..]), "{what}: entry {seq}");
    }
    assert_eq!(stream.get(next).unwrap(), None, "{what}");
    let mut read = stream.iter(..).unwrap();
    for (seq, entry) in (0..).zip(entries) {
        let found = read.next().unwrap().unwrap();
        assert_eq!((found.seq, &found.data[..]), (seq, &entry[..]), "{what}");
    }
    assert!(read.next().is_none(), "{what}");
}

/// That every file of the stream but the index is still there, whole: under its name or set aside.
pub(super) fn assert_kept(before: &Image, after: &Image, what: &str) {
    for (path, bytes) in before.dir(STREAM) {
        let aside = format!("{path}.torn");
        let kept = |(name, found): (&String, &Vec<u8>)| {
            (name == path || name.starts_with(&aside)) && found == bytes
        };
        let is_index = path.starts_with(INDEX);
        assert!(is_index || after.0.iter().any(kept), "{what}: {path} was changed");
    }
}

/// That another stream is as it was, and goes on.
fn assert_other_goes_on(wal: &Wal, world: &World, what: &str) {
    let other = wal.stream(OTHER).unwrap();
    let next = world.frames.len() as u64;
    let all: Vec<_> = other.iter(..).unwrap().map(|entry| entry.unwrap().data).collect();
    assert_eq!(all, vec!["other"; world.frames.len()], "{what}");
    assert_eq!(other.append("goes on").unwrap(), next, "{what}");
}

/// That the log is whole, and appends go on in it.
pub(super) fn assert_clean(before: &Image, world: &World, next: u64, effort: Effort, what: &str) {
    let entries = &world.entries[..usize::try_from(next).unwrap()];
    let home = Home::memory(before);
    let wal = home.open(&world.options);
    assert_holds(&wal, entries, what);
    let report = report(&wal);
    assert!(report.is_clean(), "{what}: {report:?}");
    assert_eq!(report.next_seq, next, "{what}");
    assert_lives(&home, &wal, entries, effort, what);
    assert_recovering_again_changes_nothing(before, world, effort, what);
}

/// That the log ends at the tear and the report says so; that appends go on with the right number,
/// nothing that was cut off comes back, and no byte is destroyed.
pub(super) fn assert_torn(before: &Image, world: &World, tear: &Tear, effort: Effort, what: &str) {
    assert_torn_in(&Home::memory(before), world, tear, effort, what);
    assert_recovering_again_changes_nothing(before, world, effort, what);
}

pub(super) fn assert_torn_in(home: &Home, world: &World, tear: &Tear, effort: Effort, what: &str) {
    let before = home.image();
    let entries = &world.entries[..usize::try_from(tear.next).unwrap()];
    let wal = home.open(&world.options);
    assert_holds(&wal, entries, what);
    let report = report(&wal);
    let torn = report.torn.as_ref().unwrap_or_else(|| panic!("{what}: not torn: {report:?}"));
    assert!(torn.path.ends_with(&tear.path), "{what}: {report:?}");
    let found = (torn.offset, torn.rest_len, torn.turned_bit);
    assert_eq!(found, (tear.offset as u64, tear.rest_len, tear.turned_bit), "{what}");
    assert!(report.damage.is_empty() && !report.is_clean(), "{what}: {report:?}");
    assert_eq!(report.next_seq, tear.next, "{what}");
    assert_kept(&before, &home.image(), what);
    assert_lives(home, &wal, entries, effort, what);
    assert_kept(&before, &home.image(), what);
    if effort == Effort::Lives {
        let wal = home.open(&world.options);
        assert_other_goes_on(&wal, world, what);
    }
}

/// That appends go on behind these entries, now and after three more openings.
fn assert_lives(home: &Home, wal: &Wal, entries: &[Vec<u8>], effort: Effort, what: &str) {
    let mut entries = entries.to_vec();
    let append = |wal: &Wal, entries: &mut Vec<Vec<u8>>| {
        for n in 0..2 {
            let entry = format!("appended as {} {n}", entries.len()).into_bytes();
            assert_eq!(wal.append(STREAM, &entry).unwrap(), entries.len() as u64, "{what}");
            entries.push(entry);
        }
    };
    append(wal, &mut entries);
    if effort == Effort::Verdict {
        return;
    }
    assert_holds(wal, &entries, what);
    // Killed, closed, killed.
    let mut image = home.image();
    wal.close().unwrap();
    for life in 0..3 {
        home.put(&image);
        let wal = home.open(&WalOptions::new().max_segment_size(400));
        let what = format!("{what}, life {life}");
        assert_holds(&wal, &entries, &what);
        assert!(report(&wal).is_clean(), "{what}: {:?}", report(&wal));
        append(&wal, &mut entries);
        image = home.image();
        wal.close().unwrap();
        if life == 0 {
            image = home.image();
        }
    }
    home.put(&image);
}

/// That recovering twice is recovering once.
pub(super) fn assert_recovering_again_changes_nothing(
    before: &Image,
    world: &World,
    effort: Effort,
    what: &str,
) {
    if effort == Effort::Verdict {
        return;
    }
    let home = Home::memory(before);
    let recover = || {
        let wal = home.open(&world.options);
        let next = wal.next_seq(STREAM).unwrap();
        let killed = home.image();
        wal.close().unwrap();
        (next, report(&wal), killed, home.image())
    };
    let (next, _, killed, once) = recover();
    let (again, report, _, twice) = recover();
    assert_eq!(next, again, "{what}");
    assert!(report.is_clean() && report.rewritten_len == 0, "{what}: {report:?}");
    assert_eq!(once.dir(STREAM), twice.dir(STREAM), "{what}");
    // The same if the one that recovered is killed.
    home.put(&killed);
    let (again, report, _, twice) = recover();
    assert_eq!(next, again, "{what}");
    assert!(report.is_clean(), "{what}: {report:?}");
    assert_eq!(once.dir(STREAM), twice.dir(STREAM), "{what}");
}

/// That the stream takes no appends, says why, changes nothing, and reads what can be read.
pub(super) fn assert_refused(
    before: &Image,
    world: &World,
    refusal: &Refusal,
    effort: Effort,
    what: &str,
) {
    assert_refused_in(&Home::memory(before), world, refusal, effort, what);
}

pub(super) fn assert_refused_in(
    home: &Home,
    world: &World,
    refusal: &Refusal,
    effort: Effort,
    what: &str,
) {
    let before = home.image();
    let wal = home.open(&world.options);
    let Refusal { path, why, .. } = refusal;
    for _ in 0..2 {
        let error = wal.append(STREAM, "refused").unwrap_err();
        assert_eq!(Why::of(&error), *why, "{what}: {error:?}");
        assert!(error.path().unwrap().ends_with(path), "{what}: {error}");
        assert_eq!(error.stream(), Some(STREAM), "{what}");
        assert_eq!(error.outcome(), Outcome::NotWritten, "{what}");
    }
    let report = report(&wal);
    assert!(!report.is_clean() && report.torn.is_none(), "{what}: {report:?}");
    let named = |error: &Error| Why::of(error) == *why && error.path().unwrap().ends_with(path);
    assert!(report.damage.iter().any(|damage| named(&damage.error)), "{what}: {report:?}");
    if let Why::Damaged(_) = why {
        assert_eq!(report.damage.len(), 1, "{what}: {report:?}");
        let lost = &report.damage[0].lost;
        assert!(lost.start == refusal.lost.start && lost.end >= refusal.lost.end, "{what}");
    }
    let known = refusal.known.unwrap_or(world.next());
    let entries = &world.entries[..usize::try_from(known).unwrap()];
    assert_eq!(wal.next_seq(STREAM).unwrap(), known, "{what}: {report:?}");
    assert_eq!((report.first_seq, report.next_seq), (0, known), "{what}");
    assert_read_around(&wal, entries, &refusal.lost, effort, what);
    assert_eq!(wal.get(STREAM, known).unwrap(), None, "{what}");
    if effort == Effort::Lives {
        assert_other_goes_on(&wal, world, what);
    }
    wal.close().unwrap();
    assert_eq!(home.image().dir(STREAM), before.dir(STREAM), "{what}: something was changed");
}

/// That all entries but the lost ones are read, and those are one error to an iterator, from
/// wherever it starts.
pub(super) fn assert_read_around(
    wal: &Wal,
    entries: &[Vec<u8>],
    lost: &Range<u64>,
    effort: Effort,
    what: &str,
) {
    let stream = wal.stream(STREAM).unwrap();
    let next = entries.len() as u64;
    for (seq, entry) in (0..).zip(entries) {
        let got = stream.get(seq);
        if lost.contains(&seq) {
            let error = got.expect_err(&format!("{what}: entry {seq} is lost"));
            assert!(error.is_damage() || error.is_foreign(), "{what}: {error}");
        } else {
            let got = got.unwrap_or_else(|error| panic!("{what}: entry {seq}: {error}"));
            assert_eq!(got.as_deref(), Some(&entry[..]), "{what}: entry {seq}");
        }
    }
    let last_start = if effort == Effort::Verdict { 0 } else { next };
    for start in 0..=last_start {
        let mut expected = start;
        let mut told = 0;
        for item in stream.iter(start..next).unwrap() {
            match item {
                Ok(entry) => {
                    if expected == lost.start.max(start) && told == 1 {
                        expected = lost.end;
                    }
                    assert_eq!(entry.seq, expected, "{what}, from {start}");
                    let index = usize::try_from(entry.seq).unwrap();
                    assert_eq!(entry.data, entries[index], "{what}, from {start}");
                    expected += 1;
                }
                Err(error) => {
                    assert!(error.is_damage() || error.is_foreign(), "{what}: {error}");
                    assert_eq!(expected, lost.start.max(start), "{what}, from {start}: {error}");
                    told += 1;
                }
            }
        }
        if told == 1 && expected == lost.start.max(start) {
            expected = lost.end;
        }
        assert_eq!(expected, next.max(start), "{what}, from {start}: ended early");
        assert_eq!(told, u32::from(start < lost.end && !lost.is_empty()), "{what}, from {start}");
    }
}
