//! How a script is run, and what is looked at on the way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::armed::{Armed, Outcome};
use super::lies::check_bytes;
use super::{End, Generation, Script};
use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::judge::{Index, Judge};
use crate::model::{Model, Violation};
use crate::oracle::{check_limits, check_losses, check_removed, open};
use crate::random::SplitMix64;
use crate::reach;
use crate::sim_storage::{CrashChoice, SimStorage, SyncFailure};
use crate::tally::{self, Group};
use crate::world::{Call, Setup, Trouble, World};

/// How much is looked at beside what the script says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Effort {
    /// Where the power is cut: all subsets of what is pending, if they are no more than this, else the
    /// telling ones.
    pub max_subset_count: u64,
    /// Random choices beside them.
    pub seed_count: usize,
    /// Of the recoveries from these, one in so many is cut off as well, at each point; 0 is none.
    pub nested_in: usize,
    /// So many recoveries are cut off, one in the other.
    pub depth: usize,
    /// Of these disks, one in so many loses each of its files, one at a time; 0 is none.
    pub losses_in: usize,
}

impl Effort {
    /// The script alone.
    pub const NONE: Effort =
        Effort { max_subset_count: 0, seed_count: 0, nested_in: 0, depth: 0, losses_in: 0 };
}

/// A promise that was not kept, and the shortest script known that shows it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which, and how.
    pub violation: Violation,
    /// What was done.
    pub script: Script,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.violation, self.script)
    }
}

struct Run<'a> {
    script: &'a Script,
    effort: Effort,
    random: SplitMix64,
    judge: &'a mut Judge,
    /// Whether what is on the disk may have a hole in the index,
    index: Index,
    /// and whether the machine was started anew since: until then the cache may hide that.
    started: Started,
    honesty: Honesty,
    /// The largest limits that segments had so far.
    widest: Option<Setup>,
    /// What was acknowledged when the generation ended, if its log was open by then.
    acknowledged: Option<Model>,
    /// How the generation before ended.
    last_end: Option<End>,
    /// How many calls failed so far, as far as anyone may have noticed.
    noticed: u64,
    trace: Trace,
}

/// Of each generation how many operations it took, and what is on the disk at its end.
type Trace = Vec<(u64, u64)>;

/// Whether the power was cut since a sync failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Started {
    Before,
    Since,
}

/// Whether syncs did what they said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Honesty {
    Honest,
    /// One did not: after a power cut nothing may be demanded but that no other bytes are there than
    /// were written.
    Lied,
    /// The power was cut since.
    Over,
}

/// A violation, how the generation ended that was run last, and what came after it.
struct Broken {
    violation: Violation,
    end: Option<End>,
    then: Vec<Generation>,
}

impl From<Violation> for Box<Broken> {
    fn from(violation: Violation) -> Self {
        Box::new(Broken { violation, end: None, then: Vec::new() })
    }
}

impl Script {
    /// Runs the script on an empty disk. At each sudden end what is left is judged: the disk of the script's
    /// choice, which the next generation goes on with, and as many others as `effort` says.
    ///
    /// # Errors
    ///
    /// The first promise that is broken, with the part of the script that breaks it.
    pub fn run(&self, effort: Effort) -> Result<(), Box<Failure>> {
        self.run_before(&mut Judge::new(), effort)
    }

    /// As [`run`](Self::run), before a judge who need not judge again what other scripts left.
    ///
    /// # Errors
    ///
    /// The first promise that is broken, with the part of the script that breaks it.
    pub fn run_before(&self, judge: &mut Judge, effort: Effort) -> Result<(), Box<Failure>> {
        self.traced(judge, effort, 0).map(drop)
    }

    /// As [`run_before`](Self::run_before), with effort for the end of the last generation only.
    ///
    /// # Errors
    ///
    /// The first promise that is broken, with the part of the script that breaks it.
    pub fn run_last(&self, judge: &mut Judge, effort: Effort) -> Result<(), Box<Failure>> {
        self.traced(judge, effort, self.generations.len().saturating_sub(1)).map(drop)
    }

    /// Runs the script twice: the same seed has to give the same operations, and the same disk.
    ///
    /// # Errors
    ///
    /// I22, or what [`run`](Self::run) gives.
    pub fn run_twice(&self) -> Result<(), Box<Failure>> {
        let traced = || self.traced(&mut Judge::new(), Effort::NONE, 0);
        let (first, second) = (traced()?, traced()?);
        if first != second {
            let what = format!("{first:?} operations and disks, then {second:?}");
            let violation = Violation::new(Invariant::I22, what);
            return Err(Box::new(Failure { violation, script: self.clone() }));
        }
        tally::checked(Invariant::I22);
        Ok(())
    }

    fn traced(
        &self,
        judge: &mut Judge,
        effort: Effort,
        from: usize,
    ) -> Result<Trace, Box<Failure>> {
        let mut run = Run {
            script: self,
            effort: Effort::NONE,
            random: SplitMix64::new(self.generations.len() as u64),
            judge,
            index: Index::Sound,
            started: Started::Since,
            honesty: Honesty::Honest,
            widest: None,
            last_end: None,
            acknowledged: None,
            noticed: 0,
            trace: Trace::new(),
        };
        let mut at = 0;
        let ran = run.run(&mut at, (from, effort));
        ran.map(|()| run.trace).map_err(|broken| {
            let mut generations: Vec<_> = self.generations.iter().take(at + 1).cloned().collect();
            if let (Some(last), Some(end)) = (generations.last_mut(), broken.end) {
                last.end = end;
            }
            generations.extend(broken.then);
            Box::new(Failure { violation: broken.violation, script: Script { generations } })
        })
    }
}

impl Run<'_> {
    fn run(&mut self, at: &mut usize, (from, effort): (usize, Effort)) -> Result<(), Box<Broken>> {
        let mut disk = SimStorage::new();
        let mut world = World::new(Arc::new(disk.clone()), Setup::DEFAULT.options(), Trouble::None);
        for (number, generation) in self.script.generations.iter().enumerate() {
            *at = number;
            if number >= from {
                self.effort = effort;
            }
            if let Some(left) = self.generation(generation, &disk, &mut world)? {
                world.leave(Arc::new(left.clone()));
                world.set_trouble(Trouble::None);
                disk = left;
            }
            if self.honesty == Honesty::Over {
                return Ok(());
            }
        }
        world.open()?;
        self.trace.push((disk.operation_count(), disk.fingerprint()));
        if self.honesty == Honesty::Lied {
            return Ok(());
        }
        let left = (disk.kill(), world.model().clone());
        let setup = self.script.generations.last().map_or(Setup::DEFAULT, |last| last.setup);
        self.judge.judge(&left.0, &left.1, (&setup, self.index))?;
        Ok(())
    }

    /// Runs a generation; gives the disk that the next one begins with, if it is another one.
    fn generation(
        &mut self,
        generation: &Generation,
        disk: &SimStorage,
        world: &mut World,
    ) -> Result<Option<SimStorage>, Box<Broken>> {
        let Generation { setup, calls, cut, end, .. } = generation;
        world.set_up(*setup);
        let was_killed = self.last_end == Some(End::Kill);
        let armed = Armed::new(generation, disk, world);
        if let Some(armed) = &armed {
            world.leave(armed.storage());
            world.set_trouble(armed.trouble());
        }
        if let (Some(count), true) = (cut, end.is_sudden()) {
            // Also in the middle of the recovery from the last generation.
            disk.crash_at(disk.operation_count() + count);
            match armed {
                Some(_) => world.set_trouble(Trouble::Expected),
                None => world.fails_with(disk),
            }
        }
        if let Some(armed) = &armed {
            armed.open(disk, world)?;
        }
        let blamed = |violation| match &armed {
            Some(armed) => armed.blamed(violation),
            None => violation,
        };
        let before = disk.contents();
        world.run_on(disk, calls).map_err(blamed)?;
        self.finish(generation, disk, (world, &before))?;
        self.trace.push((disk.operation_count(), disk.fingerprint()));
        match &armed {
            Some(armed) => self.note(armed.end(disk, world, *end)?),
            // All streams were recovered, and with them the index.
            None if cut.is_none() && self.started == Started::Since => self.index = Index::Sound,
            None => {}
        }
        let choice = match end {
            // What was armed is left behind, with the log that has met it.
            End::Close | End::Drop => return Ok(armed.map(|_| disk.kill())),
            End::Kill => {
                tally::count(Group::Reached, reach::KILLED);
                None
            }
            End::Crash(choice) | End::CloseThenCrash(choice) => Some(*choice),
        };
        // What is only seen to be durable may be so before the index knows of it: if a file is lost then,
        // nothing tells.
        self.acknowledged = world.wal().map(|_| world.model().clone());
        if self.honesty == Honesty::Honest {
            let told = if armed.is_some() { Trouble::Expected } else { Trouble::None };
            world.show_proven(disk, told)?;
        }
        self.look_around(generation, disk, world.model())?;
        if choice.is_some() {
            if was_killed && !calls.is_empty() && world.wal().is_some() {
                tally::count(Group::Reached, reach::CUT_BEHIND_KILL);
            }
            world.power_was_cut();
        }
        let left = choice.map_or_else(|| disk.kill(), |choice| disk.crash(choice));
        world.forget_strangers(&left);
        self.look(generation, || left.kill(), world.model(), *end)?;
        if choice.is_some() {
            self.started = Started::Since;
        }
        if self.honesty == Honesty::Lied && choice.is_some() {
            self.honesty = Honesty::Over;
        }
        Ok(Some(left))
    }

    /// Ends what a generation does where that is orderly, and looks at the files that are there.
    fn finish(
        &mut self,
        Generation { setup, calls, end, .. }: &Generation,
        disk: &SimStorage,
        (world, before): (&mut World, &BTreeMap<String, Vec<u8>>),
    ) -> Result<(), Violation> {
        match end {
            End::Close => world.call(&Call::Close)?,
            End::Drop => world.call(&Call::Drop)?,
            End::CloseThenCrash(_) => world.shut_down()?,
            End::Kill | End::Crash(_) => {}
        }
        // Options last until the log is opened anew, which may be never.
        let still_open = matches!(self.last_end, Some(End::Close | End::Drop));
        let before_these = self.widest.filter(|_| still_open).unwrap_or(*setup).at_least(setup);
        let others = calls.iter().filter_map(|call| {
            if let Call::Reconfigure(setup) = call { Some(setup) } else { None }
        });
        let widest = others.fold(before_these, Setup::at_least);
        check_limits(before, &disk.contents(), &widest)?;
        self.widest = Some(widest);
        self.last_end = Some(*end);
        if disk.failed_sync_count(SyncFailure::DropCache) > 0 {
            world.forget_strangers(disk);
        }
        world.check_strangers(disk)
    }

    fn note(&mut self, outcome: Outcome) {
        self.noticed += outcome.noticed;
        if outcome.unsynced > 0 {
            self.index = Index::Any;
            self.started = Started::Before;
        }
        if outcome.lies > 0 {
            self.honesty = Honesty::Lied;
        }
    }

    /// Judges other disks that the same end may leave.
    fn look_around(
        &mut self,
        generation: &Generation,
        disk: &SimStorage,
        model: &Model,
    ) -> Result<(), Box<Broken>> {
        let end = generation.end;
        let Effort { max_subset_count, seed_count, .. } = self.effort;
        if max_subset_count == 0 {
            return Ok(());
        }
        let cut = model.after_power_cut();
        if let End::Crash(_) = end {
            self.look(generation, || disk.kill(), model, End::Kill)?;
        }
        let seeds: Vec<_> = (0..seed_count).map(|_| self.random.next_u64()).collect();
        let systematic = CrashChoice::systematic(disk.pending_count(), max_subset_count);
        for choice in systematic.into_iter().chain(seeds.into_iter().map(CrashChoice::Seeded)) {
            self.look(generation, || disk.crash(choice), &cut, end.leaving(choice))?;
        }
        Ok(())
    }

    /// Judges one disk, and perhaps the crashes of the recovery from it.
    fn look(
        &mut self,
        generation: &Generation,
        made: impl Fn() -> SimStorage,
        model: &Model,
        end: End,
    ) -> Result<(), Box<Broken>> {
        let options = generation.setup.options();
        let broken = |violation| Box::new(Broken { violation, end: Some(end), then: Vec::new() });
        if self.honesty != Honesty::Honest {
            if end.choice().is_some() {
                check_bytes(&made(), model, &options).map_err(broken)?;
                tally::count(Group::Reached, "row 60: the disk lied, and the power was cut");
            }
            return Ok(());
        }
        let judged = self.judge.judge(&made(), model, (&generation.setup, self.index));
        let Some(settled) = judged.map_err(broken)? else { return Ok(()) };
        if self.index == Index::Sound
            && self.is_chosen(self.effort.losses_in)
            && let Some(acknowledged) = &self.acknowledged
        {
            check_losses(&made(), acknowledged, &options).map_err(broken)?;
        }
        if self.noticed > 0 && model.has_removed() {
            check_removed(&made(), model, &options).map_err(broken)?;
        }
        let is_durable = made().pending_count() == 0;
        // What an undisturbed recovery reached has to be reached by any other as well; unless it saw
        // what was only in the cache.
        let settled = if is_durable { settled } else { model.after_power_cut() };
        self.look_into(generation, &made, &settled, self.effort.depth).map_err(|mut broken| {
            broken.end = Some(end);
            broken.then.reverse();
            broken
        })
    }

    fn is_chosen(&mut self, one_in: usize) -> bool {
        one_in > 0 && self.random.below(one_in) == 0
    }

    /// Cuts off the recovery from a disk, perhaps, and judges what that leaves.
    fn look_into(
        &mut self,
        generation: &Generation,
        made: &dyn Fn() -> SimStorage,
        settled: &Model,
        depth: usize,
    ) -> Result<(), Box<Broken>> {
        if depth == 0 || !self.is_chosen(self.effort.nested_in) {
            return Ok(());
        }
        let options = generation.setup.options();
        for point in recover(&made(), &options) {
            let nested = made();
            nested.crash_at(point);
            recover(&nested, &options);
            let seeds = [self.random.next_u64(), self.random.next_u64()];
            let choices = CrashChoice::systematic(nested.pending_count(), 1 << 3);
            for choice in choices.into_iter().chain(seeds.map(CrashChoice::Seeded)) {
                tally::count(Group::Work, "crash images of recoveries");
                tally::count(Group::Reached, reach::KILLED_AGAIN);
                let image = nested.crash(choice);
                let cut_off = Generation {
                    calls: Vec::new(),
                    cut: Some(point),
                    faults: Vec::new(),
                    end: End::Crash(choice),
                    ..generation.clone()
                };
                let judged = self.judge.judge(&image, settled, (&generation.setup, self.index));
                let judged = judged.map_err(|violation| {
                    let violation = Violation::new(Invariant::I9, violation.to_string());
                    Box::new(Broken { violation, end: None, then: vec![cut_off.clone()] })
                })?;
                if let Some(settled) = judged {
                    tally::checked(Invariant::I9);
                    let made = || nested.crash(choice);
                    let deeper = self.look_into(generation, &made, &settled, depth - 1);
                    deeper.map_err(|mut broken| {
                        broken.then.push(cut_off);
                        broken
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// Opens everything; gives the points where that changed something.
fn recover(disk: &SimStorage, options: &ironwal::WalOptions) -> Vec<u64> {
    let host = CountingHost::starting_at(1 << 50);
    if let Ok(wal) = open(Arc::new(disk.clone()), &host, options) {
        drop(wal.recover_all());
    }
    disk.crash_points()
}
