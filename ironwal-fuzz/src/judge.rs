//! Judges what crashes left, many of them: each that is another one once.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::num::NonZeroUsize;

use ironwal::{IndexFinding, RecoveryReport, WalOptions};

use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::model::{Model, Violation};
use crate::oracle::{check_after_recovery, check_kept, check_unchanged, check_usable, open_sim};
use crate::reach;
use crate::sim_storage::{CrashChoice, SimStorage};
use crate::tally::{self, Group};
use crate::world::Setup;

/// What it judged before, so that it need not again: opening a log depends on the bytes on the disk, the
/// options and nothing else.
#[derive(Debug, Default)]
pub struct Judge {
    setup: Option<Setup>,
    images: Seen,
    recovered: Seen,
}

/// A recovery leaves little pending: of so many subsets each is judged.
const MAX_SUBSET_COUNT: u64 = 1 << 4;
/// One image in so many is recovered by several threads.
const SHARED_IN: u64 = 32;
const SEVERAL: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

type Seen = HashSet<u64, BuildHasherDefault<DefaultHasher>>;

/// Whether an index may have been found wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Index {
    /// Crashes alone leave it right.
    Sound,
    /// A sync failed before: it may have a hole, which is reported and mended.
    Any,
}

impl Judge {
    /// A judge who has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Recovers a log on what a crash left, again after another crash, appends, reads, closes and opens.
    /// Gives the
    /// history that has to be there from then on, or nothing if the same was judged before.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn judge(
        &mut self,
        image: &SimStorage,
        model: &Model,
        (setup, index): (&Setup, Index),
    ) -> Result<Option<Model>, Violation> {
        if self.setup.replace(*setup) != Some(*setup) {
            self.images.clear();
            self.recovered.clear();
        }
        // What depends on the disk alone: the same disk is judged in the same way.
        let seed = image.fingerprint();
        let first = if seed.is_multiple_of(4) { setup.other(seed) } else { *setup };
        let options = [first, setup.other(!seed)].map(|setup| setup.options());
        self.judge_by(image, model, &options, index)
    }

    /// As [`judge`](Self::judge), with options that are those of all that this judge is shown.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn judge_with(
        &mut self,
        image: &SimStorage,
        model: &Model,
        (options, index): (&WalOptions, Index),
    ) -> Result<Option<Model>, Violation> {
        self.judge_by(image, model, &[options.clone(), options.clone()], index)
    }

    /// The first recovery has the first of the options, the next ones have the second.
    fn judge_by(
        &mut self,
        image: &SimStorage,
        model: &Model,
        [options, next_options]: &[WalOptions; 2],
        index: Index,
    ) -> Result<Option<Model>, Violation> {
        tally::count(Group::Work, "crash images");
        // What is pending is not in the fingerprint.
        let is_durable = image.pending_count() == 0;
        if is_durable && !see(&mut self.images, image, model, index) {
            return Ok(None);
        }
        tally::count(Group::Work, "crash images, distinct");
        let before = image.contents();
        let host = CountingHost::starting_at(1 << 40);
        let mut settled = model.clone();
        // Whatever the order in which several threads recover the streams, each comes to be the same.
        let is_shared = image.fingerprint() % SHARED_IN == SHARED_IN - 1;
        let threads = if is_shared { SEVERAL } else { NonZeroUsize::MIN };
        let wal = open_sim(image, &host, (options, threads))?;
        let reports = check_after_recovery(&wal, &mut settled)?;
        note_verdicts(&reports);
        reach::note(&before, &reports);
        let is_wrong = |report: &&RecoveryReport| report.index != IndexFinding::Sound;
        if let (Index::Sound, Some(report)) = (index, reports.iter().find(is_wrong)) {
            let what = format!("the index is said to be wrong: {report:?}");
            return Err(Violation::new(Invariant::I12, what));
        }
        let operations = image.operation_count();
        check_bound(operations, &before, model)?;
        let after = image.contents();
        check_kept(&before, &after, model)?;
        if !is_durable {
            let killed = image.kill();
            let second = open_sim(&killed, &host, (next_options, threads))?;
            let reports = check_after_recovery(&second, &mut settled.clone())
                .map_err(|violation| lost(&violation))?;
            check_unchanged(&reports, &after, &killed.contents())?;
        }
        // What is durable is what counts, whatever else a power cut leaves.
        for choice in CrashChoice::systematic(image.pending_count(), MAX_SUBSET_COUNT) {
            let cut = image.crash(choice);
            if !see(&mut self.recovered, &cut, &settled, index) {
                continue;
            }
            tally::count(Group::Work, "recovered states, distinct");
            let second = open_sim(&cut, &host, (next_options, threads))?;
            let reports = check_after_recovery(&second, &mut settled.clone())
                .map_err(|violation| lost(&violation))?;
            if is_durable {
                check_unchanged(&reports, &after, &cut.contents())?;
            }
            tally::checked(Invariant::I10);
            check_usable(&cut, &second, &settled, next_options)?;
            tally::checked(Invariant::I11);
        }
        Ok(Some(settled))
    }
}

fn see(seen: &mut Seen, disk: &SimStorage, model: &Model, index: Index) -> bool {
    let hash = seen.hasher().hash_one((disk.fingerprint(), model, index));
    seen.insert(hash)
}

fn lost(violation: &Violation) -> Violation {
    Violation::new(Invariant::I10, violation.to_string())
}

/// I21: recovering and reading takes a number of calls that files and entries bound.
fn check_bound(
    operations: u64,
    before: &BTreeMap<String, Vec<u8>>,
    model: &Model,
) -> Result<(), Violation> {
    let files = before.len() as u64;
    let issued: u64 =
        model.keys().map(|key| model.history(key).issued().map(|_| 1).sum::<u64>()).sum();
    let streams = model.keys().map(|_| 1).sum::<u64>();
    let bound = 100 + 60 * files + 30 * streams + 6 * issued;
    if operations > bound {
        let what =
            format!("{operations} calls to recover and read {files} files, {issued} entries");
        return Err(Violation::new(Invariant::I21, what));
    }
    tally::checked(Invariant::I21);
    Ok(())
}

/// Counts what recoveries said.
pub fn note_verdicts(reports: &[RecoveryReport]) {
    for report in reports {
        let verdict = match report {
            RecoveryReport { given_up: Some(_), .. } => "damaged, given up",
            RecoveryReport { damage, .. } if !damage.is_empty() => "damaged",
            RecoveryReport { torn: Some(torn), .. } if torn.turned_bit.is_some() => "torn, one bit",
            RecoveryReport { torn: Some(_), .. } => "torn",
            RecoveryReport { set_aside: Some(_), .. } => "set aside",
            _ => "clean",
        };
        tally::count(Group::Verdict, verdict);
        tally::count(
            Group::Verdict,
            match report.index {
                IndexFinding::Sound => "index sound",
                IndexFinding::Missing => "index missing",
                IndexFinding::Wrong | _ => "index wrong",
            },
        );
        if report.rewritten_len > 0 {
            tally::count(Group::Verdict, "rewritten");
        }
    }
}
