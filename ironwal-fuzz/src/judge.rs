//! Judges what crashes left, many of them: each that is another one once.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use ironwal::{IndexFinding, RecoveryReport, WalOptions};

use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::model::{Model, Violation};
use crate::oracle::{check_after_recovery, check_unchanged, check_usable, open_sim};
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
        self.judge_with(image, model, (&setup.options(), index))
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
        let wal = open_sim(image, &host, options)?;
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
        // What is durable is what counts.
        let cut = image.crash(CrashChoice::Nothing);
        if !is_durable {
            let killed = image.kill();
            let second = open_sim(&killed, &host, options)?;
            let reports = check_after_recovery(&second, &mut settled.clone())
                .map_err(|violation| lost(&violation))?;
            check_unchanged(&reports, &image.contents(), &killed.contents())?;
        }
        if see(&mut self.recovered, &cut, &settled, index) {
            tally::count(Group::Work, "recovered states, distinct");
            let before = is_durable.then(|| image.contents());
            let second = open_sim(&cut, &host, options)?;
            let reports = check_after_recovery(&second, &mut settled.clone())
                .map_err(|violation| lost(&violation))?;
            if let Some(before) = before {
                check_unchanged(&reports, &before, &cut.contents())?;
            }
            tally::checked(Invariant::I10);
            check_usable(&cut, &second, &settled, options)?;
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
