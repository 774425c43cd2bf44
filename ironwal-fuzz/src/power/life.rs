//! One life of the writer: the power is cut some times while it runs, and each of the disks that come of it
//! is judged when it is dead.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use ironwal::Wal;

use super::disk::{self, Area, failed, open, remove};
use super::events::{Event, Listener};
use super::judge::{self, Found, Told};
use super::promises::{Moment, Promises};
use super::script::{KEYS, Style};
use super::writer::{Orders, Running};
use super::{Failure, FileSystem, Outcome, Result};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::random::SplitMix64;

/// A disk whose power was cut.
#[derive(Debug)]
struct Cut {
    image: PathBuf,
    moment: Moment,
    /// When the power is cut again, from the beginning of the recovery.
    again_after: Duration,
    /// As it is told when something is wrong.
    name: String,
}

/// A disk on which writers live, one after the other, and what was done with it.
#[derive(Debug)]
pub(super) struct Disk<'a> {
    pub(super) area: &'a Area,
    pub(super) file_system: FileSystem,
    /// Where in the area it is.
    pub(super) image: PathBuf,
    /// What the log on it is known to hold.
    pub(super) history: Vec<Event>,
}

/// A life to be lived.
#[derive(Debug)]
pub(super) struct Life<'a> {
    pub(super) number: u64,
    pub(super) program: &'a Path,
    pub(super) cut_count: usize,
    pub(super) mount_options: &'static str,
    pub(super) style: Style,
}

impl Disk<'_> {
    /// Lets a writer live and die; goes on with a disk whose power was cut.
    pub(super) fn live(
        &mut self,
        life: &Life<'_>,
        random: &mut SplitMix64,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let (cuts, events) = self.write_and_cut(life, random)?;
        remove(&self.image)?;
        let last = cuts.len().saturating_sub(1);
        for (index, cut) in cuts.iter().enumerate() {
            let next = (index == last).then(|| self.area.image(&format!("next-{}", life.number)));
            let found = self.judge(life, (cut, &events), next.as_deref(), outcome);
            let place = || format!("power cut {}, {}", outcome.cuts, cut.name);
            let found = found.map_err(|failure| failure.at(&place(), life.style))?;
            remove(&cut.image)?;
            if let Some(next) = next {
                self.history = judge::history(&found);
                self.image = next;
            }
        }
        outcome.lives += 1;
        Ok(())
    }

    /// Runs a writer, and cuts the power again and again.
    fn write_and_cut(
        &self,
        life: &Life<'_>,
        random: &mut SplitMix64,
    ) -> Result<(Vec<Cut>, Vec<Event>)> {
        let mounted = self.area.mount(&self.image, self.file_system, life.mount_options)?;
        let orders = Orders {
            style: life.style,
            // Numbers of operations never come twice, and differ from seed to seed.
            first_op: (life.number << 44) | ((random.next_u64() >> 36) << 16),
            lives: lives_after(&self.history),
        };
        let child = orders.start(life.program, &mounted.path().join("root"))?;
        let mut running = Running { child };
        let pipe = running.child.stdout.take();
        let pipe = pipe.ok_or_else(|| Failure::Machine("the writer has no pipe".to_owned()))?;
        let mut listener = Listener::new(pipe, self.history.clone())?;
        let mut cuts = Vec::new();
        for index in 0..life.cut_count {
            listen(&mut listener, random.below(if index == 0 { 20_000 } else { 60_000 }))?;
            let stirring = random.chance(1, 3).then(|| stir(mounted.path())).transpose()?;
            if stirring.is_some() {
                listen(&mut listener, random.below(3_000))?;
            }
            listener.drain()?;
            let before = listener.events.len();
            let image = self.area.image(&format!("cut-{}-{index}", life.number));
            disk::cut(&self.image, &image)?;
            listener.drain()?;
            let moment = Moment { before, after: listener.events.len() };
            if let Some(stirring) = stirring {
                let stirred = stirring.join();
                let stirred = stirred.map_err(|_panic| Failure::Machine("no sync".to_owned()))?;
                stirred.map_err(|error| failed("syncfs", &error.into()))?;
            }
            if listener.ended {
                return Err(running.reason().at("the writer", life.style));
            }
            let name = format!(
                "{}, life {}, cut {index} after {before} events, mounted {:?}",
                self.file_system, life.number, life.mount_options
            );
            let again_after = Duration::from_micros(random.below(8_000) as u64);
            cuts.push(Cut { image, moment, again_after, name });
        }
        running.end()?;
        listener.drain()?;
        mounted.unmount()?;
        Ok((cuts, listener.events))
    }

    /// Mounts a disk whose power was cut, recovers the log there, and compares; and cuts the power again
    /// while it is being recovered. A copy of the disk that comes of that, not yet looked at, is
    /// made at `next`.
    fn judge(
        &self,
        life: &Life<'_>,
        (cut, events): (&Cut, &[Event]),
        next: Option<&Path>,
        outcome: &mut Outcome,
    ) -> Result<Found> {
        let promises = Promises::at(cut.moment, events, life.style.mode());
        outcome.cuts += 1;
        outcome.promised += promises.durable_count();
        let again = self.area.image("again");
        let found = {
            let mounted = self.area.mount(&cut.image, self.file_system, life.mount_options)?;
            let root = mounted.path().join("root");
            let recovered = Mutex::new(None);
            let (opened, cut_again) = thread::scope(|scope| {
                let cutter = scope.spawn(|| {
                    thread::sleep(cut.again_after);
                    let recovered = *recovered.lock().unwrap_or_else(PoisonError::into_inner);
                    disk::cut(&cut.image, &again).map(|()| recovered)
                });
                let mut told = Told::default();
                let opened = judge::open(&root, &life.style.options(), &mut told);
                *recovered.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
                let cut_again = cutter.join();
                (opened.map(|wal| (wal, told)), cut_again)
            });
            let cut_again = cut_again.map_err(|_panic| Failure::Machine("no copy".to_owned()))?;
            outcome.cut_recoveries += u64::from(cut_again?.is_none());
            let (wal, mut told) = opened?;
            let found = judge::compare(&wal, &promises, &mut told)?;
            outcome.add(&told, &found, &promises);
            judge::go_on(wal, &root, &life.style.options(), &found)?;
            mounted.unmount()?;
            found
        };
        if let Some(next) = next {
            disk::cut(&again, next)?;
        }
        self.judge_again(life, &again, &promises, &found)?;
        outcome.recoveries += 2;
        remove(&again)?;
        Ok(found)
    }

    /// A recovery in the middle of which the power was cut has to come to what it would have come to.
    fn judge_again(
        &self,
        life: &Life<'_>,
        image: &Path,
        promises: &Promises,
        found: &Found,
    ) -> Result<()> {
        let mounted = self.area.mount(image, self.file_system, life.mount_options)?;
        let root = mounted.path().join("root");
        let mut told = Told::default();
        let wal: Wal = judge::open(&root, &life.style.options(), &mut told)?;
        let again = judge::compare(&wal, promises, &mut told)?;
        if again != *found {
            let what = format!("first {found:?}, then, cut while recovering, {again:?}");
            return Err(Violation::new(Invariant::I9, what).into());
        }
        wal.close().map_err(|error| Violation::new(Invariant::I11, error.to_string()))?;
        drop(wal);
        mounted.unmount()
    }
}

/// Listens for a while.
fn listen(listener: &mut Listener, micros: usize) -> Result<()> {
    let until = Instant::now() + Duration::from_micros(micros as u64);
    loop {
        listener.drain()?;
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() || listener.ended {
            return Ok(());
        }
        thread::sleep(rest.min(Duration::from_micros(500)));
    }
}

/// Has the file system write back what it holds, so that the power may be cut in the middle of that: else
/// nearly all of what nobody synced would be lost as a whole.
fn stir(at: &Path) -> Result<thread::JoinHandle<rustix::io::Result<()>>> {
    let dir = open(at)?;
    let stir = move || rustix::fs::syncfs(&dir);
    thread::Builder::new().spawn(stir).map_err(|error| failed("a thread", &error))
}

/// In which life each stream is that a writer finds: what is not there begins a new one.
fn lives_after(history: &[Event]) -> [u64; KEYS.len()] {
    std::array::from_fn(|index| {
        let life = history.iter().find_map(|event| match *event {
            Event::Found { stream, life, .. } if stream == index => Some(life),
            Event::Found { .. } | Event::Issued { .. } | Event::Acknowledged { .. } => None,
        });
        life.unwrap_or(0)
    })
}
