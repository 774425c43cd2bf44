//! Runs campaigns, side by side, for so long or so many cases, and says what came of it.

mod report;
mod watch;

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub use self::report::{Outcome, Report, State};
use self::watch::Watch;
use crate::campaign::{Campaign, Failure};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::tally::{self, Group, Tally};

/// How much is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Volume {
    /// The cases that each campaign counts to its fixed part.
    Fixed,
    /// So many cases of each campaign, or fewer where it has fewer.
    Cases(u64),
    /// What the time is enough for; campaigns that have an end are run once.
    For(Duration),
}

/// What is run, and how.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Which campaigns.
    pub campaigns: Vec<&'a dyn Campaign>,
    /// How much of them.
    pub volume: Volume,
    /// The number of the first case of those that have no end.
    pub seed: u64,
    /// On how many threads.
    pub threads: usize,
    /// A case that takes longer breaks a promise.
    pub patience: Duration,
}

/// Far longer than any case takes, on a machine that others use as well.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A worker takes cases of one campaign for about so long, so that short ones are not all overhead.
const TURN: Duration = Duration::from_millis(50);

/// How one campaign stands.
#[derive(Debug)]
struct Course<'a> {
    campaign: &'a dyn Campaign,
    next: u64,
    /// One past the last case.
    end: Option<u64>,
    outcome: Outcome,
}

impl Course<'_> {
    fn is_over(&self) -> bool {
        self.outcome.failure.is_some()
            || self.outcome.skipped.is_some()
            || self.end.is_some_and(|end| self.next >= end)
    }

    /// What it had of the time, by its weight.
    fn share(&self) -> Duration {
        self.outcome.busy / self.campaign.weight().max(1)
    }
}

impl Plan<'_> {
    /// Runs it all. `progress` is called every now and then with what was done so far.
    ///
    /// Nothing can end a case that hangs: `progress` is told by [`State::Hung`], and has to end the process.
    /// Where it does not, this returns when the case does.
    pub fn run(&self, progress: &(dyn Fn(&Report) + Sync)) -> Report {
        let begun = Instant::now();
        let courses = Mutex::new(self.courses());
        let watch = Watch::new(self.patience);
        let hook = panic::take_hook();
        // A panic is a violation, which is told once and with its case.
        panic::set_hook(Box::new(|_| ()));
        thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| self.work(&courses, (begun, &watch)));
            }
            loop {
                thread::sleep(self.patience.min(Duration::from_millis(250)));
                let report = {
                    let mut courses = courses.lock().unwrap_or_else(PoisonError::into_inner);
                    let hung = watch.hung();
                    for &(at, case) in &hung {
                        if let Some(course) = courses.get_mut(at) {
                            course.outcome.failure.get_or_insert((case, watch.failure()));
                        }
                    }
                    let report = self.report(&courses, begun);
                    if hung.is_empty() { report } else { Report { state: State::Hung, ..report } }
                };
                progress(&report);
                if report.state == State::Over {
                    break;
                }
            }
        });
        panic::set_hook(hook);
        self.report(&courses.into_inner().unwrap_or_else(PoisonError::into_inner), begun)
    }

    /// What came of it before anything was run.
    pub fn begun(&self) -> Report {
        self.report(&self.courses(), Instant::now())
    }

    fn courses(&self) -> Vec<Course<'_>> {
        let course = |campaign: &&'_ dyn Campaign| {
            let skipped = campaign.unavailable();
            let whole = campaign.case_count();
            let first = if whole.is_some() { 0 } else { self.seed };
            let end = match self.volume {
                Volume::Fixed => {
                    let count = whole.unwrap_or(u64::MAX).min(campaign.fixed_count());
                    Some(first.saturating_add(count))
                }
                Volume::Cases(count) => {
                    Some(first.saturating_add(whole.unwrap_or(u64::MAX).min(count)))
                }
                Volume::For(_) => whole,
            };
            (first, end, skipped)
        };
        self.campaigns
            .iter()
            .map(|campaign| {
                let (next, end, skipped) = course(campaign);
                let outcome = Outcome { skipped, ..Outcome::new(*campaign) };
                Course { campaign: *campaign, next, end, outcome }
            })
            .collect()
    }

    fn report(&self, courses: &[Course<'_>], begun: Instant) -> Report {
        let is_over = courses.iter().all(|course| course.is_over() && course.outcome.running == 0)
            || self.is_late(begun) && courses.iter().all(|course| course.outcome.running == 0);
        Report {
            outcomes: courses.iter().map(|course| course.outcome.clone()).collect(),
            elapsed: begun.elapsed(),
            state: if is_over { State::Over } else { State::Running },
            seed: self.seed,
            threads: self.threads,
            volume: self.volume,
        }
    }

    fn is_late(&self, begun: Instant) -> bool {
        matches!(self.volume, Volume::For(time) if begun.elapsed() >= time)
    }

    fn work(&self, courses: &Mutex<Vec<Course<'_>>>, (begun, watch): (Instant, &Watch)) {
        let all = || courses.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let turn = {
                let mut courses = all();
                let open = courses.iter_mut().enumerate().filter(|(_, course)| !course.is_over());
                match open.min_by_key(|(_, course)| course.share()) {
                    Some((at, course)) if !self.is_late(begun) => {
                        course.outcome.running += 1;
                        (at, course.campaign)
                    }
                    Some(_) | None => return,
                }
            };
            let (at, campaign) = turn;
            let turn_begun = Instant::now();
            let mut has_failed = false;
            while turn_begun.elapsed() < TURN && !has_failed {
                let case = {
                    let mut courses = all();
                    let Some(course) = courses.get_mut(at).filter(|course| !course.is_over())
                    else {
                        break;
                    };
                    course.next += 1;
                    course.next - 1
                };
                let (case_begun, cpu_begun) = (Instant::now(), cpu_time());
                let failure = watch.over((at, case), || run_case(campaign, case).err());
                let cpu = cpu_time().saturating_sub(cpu_begun);
                let (took, tally) = ((case_begun.elapsed(), cpu), tally::take());
                has_failed = failure.is_some();
                if let Some(course) = all().get_mut(at) {
                    course.outcome.note(case, took, &tally, failure);
                }
            }
            if let Some(course) = all().get_mut(at) {
                course.outcome.running -= 1;
            }
        }
    }
}

/// Runs one case; a panic in it is a broken promise as well.
///
/// # Errors
///
/// The first promise that is broken.
pub fn run_case(campaign: &dyn Campaign, case: u64) -> Result<(), Failure> {
    tally::count(Group::Work, "cases");
    let caught = panic::catch_unwind(AssertUnwindSafe(|| campaign.run(case)));
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(Violation::new(Invariant::I21, format!("panicked: {text}")).into())
    })
}

/// How long this thread has had a core.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The counts of all campaigns together.
pub(crate) fn together(outcomes: &[Outcome]) -> Tally {
    let mut all = Tally::default();
    for outcome in outcomes {
        all.absorb(&outcome.tally);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Layer;

    /// Case 3 breaks a promise, in one of three ways or not at all.
    #[derive(Debug)]
    enum Told {
        Well,
        Broken,
        Panics,
        Hangs,
    }

    impl Campaign for Told {
        fn name(&self) -> &'static str {
            "told"
        }

        fn layer(&self) -> Layer {
            Layer::Codec
        }

        fn about(&self) -> &'static str {
            "what a test says"
        }

        fn case_count(&self) -> Option<u64> {
            Some(10)
        }

        fn fixed_count(&self) -> u64 {
            10
        }

        fn must_reach(&self) -> &'static [&'static str] {
            &["the last case"]
        }

        fn run(&self, case: u64) -> Result<(), Failure> {
            match (self, case) {
                (Told::Broken, 3) => Err(Violation::new(Invariant::I5, "it came back").into()),
                (Told::Panics, 3) => panic!("case {case}"),
                (Told::Hangs, 3) => {
                    thread::sleep(10 * SHORT);
                    Ok(())
                }
                (_, 9) => {
                    tally::count(Group::Reached, "the last case");
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }

    const SHORT: Duration = Duration::from_millis(100);

    fn plan(campaign: &Told, volume: Volume) -> Plan<'_> {
        Plan { campaigns: vec![campaign], volume, seed: 0, threads: 2, patience: PATIENCE }
    }

    fn run(campaign: &Told, volume: Volume) -> Report {
        plan(campaign, volume).run(&|_| ())
    }

    #[test]
    fn a_case_that_hangs_is_told_while_it_does() {
        let told = Mutex::new(Vec::new());
        let plan = Plan { patience: SHORT, ..plan(&Told::Hangs, Volume::Fixed) };
        let report = plan.run(&|report| {
            if report.state == State::Hung {
                told.lock().unwrap().push(report.to_string());
            }
        });
        assert!(!report.is_good());
        let told = told.into_inner().unwrap();
        let text = told.first().unwrap();
        assert!(text.contains("FAILED: told case 3: I21: not done after 0 s"), "{text}");
        assert!(text.contains("nightly --replay told:3"), "{text}");
    }

    #[test]
    fn every_case_is_run_once_and_what_must_be_reached_is() {
        let report = run(&Told::Well, Volume::Fixed);
        assert!(report.is_good(), "{report}");
        assert_eq!(report.outcomes[0].cases, 10);
        let timed = run(&Told::Well, Volume::For(Duration::from_mins(1)));
        assert_eq!(timed.outcomes[0].cases, 10, "a campaign that has an end is run once");
    }

    #[test]
    fn a_broken_promise_is_told_with_its_case_and_the_command_that_runs_it_again() {
        let broken = [(Told::Broken, "I5: it came back"), (Told::Panics, "I21: panicked: case 3")];
        for (campaign, what) in broken {
            let report = run(&campaign, Volume::Fixed);
            assert!(!report.is_good());
            let text = report.to_string();
            assert!(text.contains(&format!("FAILED: told case 3: {what}")), "{text}");
            assert!(text.contains("nightly --replay told:3"), "{text}");
            assert_eq!(report.to_json()["campaigns"][0]["failure"]["case"], 3);
        }
    }

    #[test]
    fn what_was_not_reached_fails_a_run_of_the_fixed_part_only() {
        let report = run(&Told::Well, Volume::Cases(5));
        assert!(report.is_good());
        let mut report = run(&Told::Well, Volume::Fixed);
        report.outcomes[0].tally = Tally::default();
        assert!(!report.is_good());
        assert!(report.to_string().contains("NOT REACHED: told: the last case"));
    }
}
