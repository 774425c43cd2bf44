//! A caller of the log that does as it is told, and keeps the history of it.

mod call;
mod ends;
mod files;
mod held;
mod proven;
mod reads;
mod refusals;
mod setup;
mod strangers;

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use ironwal::{SyncMode, Wal, WalOptions};
use ironwal_segment::storage::Storage;

pub use self::call::Call;
pub use self::refusals::Refusals;
pub use self::setup::Setup;
use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::model::{Frame, Means, Model, Promise, Violation};
use crate::oracle::{check_after_recovery, open, read_all, told};
use crate::sim_storage::SimStorage;
use crate::watched::WatchedStorage;
use crate::world::held::Held;
use crate::world::strangers::Strangers;

/// Whether calls may fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// Nothing is wrong with the machine: each call has to succeed.
    None,
    /// Something is: calls may fail, but what they say has to be so.
    Expected,
}

/// Whether a stream could be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Looked {
    Well,
    Not,
}

/// A log, the machine it is on, and what was done with it.
#[derive(Debug)]
pub struct World {
    storage: Arc<dyn Storage>,
    options: WalOptions,
    mode: SyncMode,
    /// The mode of the log that is open.
    open_mode: SyncMode,
    model: Model,
    trouble: Trouble,
    /// Where nothing is wrong but that its power is cut at some time.
    powered: Option<SimStorage>,
    host: Arc<CountingHost>,
    wal: Option<Wal>,
    entry_count: u64,
    refusals: Refusals,
    /// What callers hold on to while the log goes on.
    held: Held,
    /// What the log holds of the machine, and is told by it.
    watched: WatchedStorage,
    refused_cuts: u64,
    /// How many files may be held by a log that is opened now, and by the one that is open.
    limit: Option<u64>,
    open_limit: Option<u64>,
    strangers: Strangers,
    /// A stream that could not be opened anew: the next call that uses it recovers it.
    unsettled: Option<String>,
}

impl World {
    /// A world without a log yet; the first call opens it.
    pub fn new(storage: Arc<dyn Storage>, options: WalOptions, trouble: Trouble) -> Self {
        World {
            watched: WatchedStorage::new(Arc::clone(&storage)),
            refused_cuts: 0,
            limit: None,
            open_limit: None,
            strangers: Strangers::default(),
            storage,
            options,
            mode: SyncMode::Strict,
            open_mode: SyncMode::Strict,
            model: Model::new(),
            trouble,
            powered: None,
            host: CountingHost::starting_at(1),
            wal: None,
            entry_count: 0,
            refusals: Refusals::default(),
            held: Held::default(),
            unsettled: None,
        }
    }

    /// The same, in another mode than [`SyncMode::Strict`].
    #[must_use]
    pub fn in_mode(mut self, mode: SyncMode) -> Self {
        self.set_mode(mode);
        self
    }

    /// Goes on with the history of another world, of which this is the `generation`-th successor: no
    /// id and no entry comes twice.
    #[must_use]
    pub fn after(self, model: Model, generation: u64) -> Self {
        let host = CountingHost::starting_at(generation << 32);
        World { model, host, entry_count: generation * 1_000_000, ..self }
    }

    /// The key of a stream.
    pub fn key(stream: usize) -> String {
        format!("stream/{stream}")
    }

    /// What was issued and acknowledged.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The options of the next opening.
    pub fn options(&self) -> &WalOptions {
        &self.options
    }

    /// From the next opening on, these are the options, the mode apart.
    pub fn set_options(&mut self, options: WalOptions) {
        self.options = options.sync_mode(self.mode);
        self.limit = None;
    }

    /// From the next opening on, these are the options.
    pub fn set_up(&mut self, setup: Setup) {
        self.mode = setup.mode;
        self.options = setup.options();
        self.limit = Some(setup.max_open_segments);
    }

    /// From the next opening on, this is the mode.
    pub fn set_mode(&mut self, mode: SyncMode) {
        self.mode = mode;
        self.options = self.options.clone().sync_mode(mode);
    }

    /// The power was cut: what was only written may be lost.
    pub fn power_was_cut(&mut self) {
        self.model.forget_written();
    }

    /// From here on, calls may fail, or may not.
    pub fn set_trouble(&mut self, trouble: Trouble) {
        self.trouble = trouble;
        self.powered = None;
    }

    /// From here on, calls may fail once the power of this disk is cut, and not before.
    pub fn fails_with(&mut self, disk: &SimStorage) {
        self.trouble = Trouble::Expected;
        self.powered = Some(disk.clone());
    }

    /// How many appends were refused so far.
    pub fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// The log, if it is open.
    pub fn wal(&self) -> Option<&Wal> {
        self.wal.as_ref()
    }

    /// Lets go of the log, and goes on with another disk; the next call opens the log on it.
    pub fn leave(&mut self, storage: Arc<dyn Storage>) {
        self.wal = None;
        self.held = Held::default();
        self.unsettled = None;
        self.storage = storage;
    }

    /// Opens the log if it is not, and compares what is there with what was issued.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn open(&mut self) -> Result<(), Violation> {
        if self.wal.is_some() {
            return Ok(());
        }
        self.unsettled = None;
        if self.trouble == Trouble::Expected {
            self.model.forget_written();
        }
        self.watch_anew()?;
        match open(Arc::new(self.watched.clone()), &self.host, &self.options) {
            Ok(wal) => {
                self.open_mode = self.mode;
                self.open_limit = self.limit;
                match check_after_recovery(&wal, &mut self.model) {
                    // A machine that fails may keep streams from being read.
                    Err(Violation { invariant: Invariant::I11, .. })
                        if self.trouble == Trouble::Expected =>
                    {
                        return Ok(());
                    }
                    checked => checked.map(drop)?,
                }
                self.wal = Some(wal);
                Ok(())
            }
            Err(error) => self.failed("open", &error),
        }
    }

    /// Does one thing.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn call(&mut self, call: &Call) -> Result<(), Violation> {
        self.perform(call)?;
        self.check_held()
    }

    fn perform(&mut self, call: &Call) -> Result<(), Violation> {
        if !call.is_of_all() {
            self.settle_reopened()?;
        }
        self.open()?;
        let Some(wal) = self.wal.clone() else { return Ok(()) };
        self.refused_cuts = self.watched.refused_cut_count();
        match call {
            Call::Append { stream, len } => self.append(&wal, *stream, *len),
            Call::Batch { stream, lens } => self.append_batch(&wal, *stream, lens),
            Call::Get { stream, at } => self.get(&wal, *stream, *at),
            Call::Iterate { stream, from } => {
                self.iterate(&wal, *stream, *from)?;
                self.hold(&wal, *stream)
            }
            Call::Close => self.close(wal),
            Call::Reconfigure(setup) => {
                self.set_up(*setup);
                self.close(wal)
            }
            Call::Drop => {
                drop(wal);
                self.wal = None;
                self.open()
            }
            Call::Reopen { stream } => self.reopen(&wal, *stream),
            Call::Sync { stream } => {
                let key = Self::key(*stream);
                let answer = wal.stream(&key).and_then(|stream| stream.sync());
                self.model.synced(&key, &answer)?;
                self.answered("sync", answer)
            }
            Call::SyncAll => {
                match wal.sync() {
                    Ok(()) => self.model.all_synced(),
                    Err(error) => self.failed("sync", &error)?,
                }
                self.settle_reopened()
            }
            Call::Rotate { stream } => {
                let key = Self::key(*stream);
                let answer = wal.stream(&key).and_then(|stream| stream.rotate());
                self.check_told(&answer)?;
                self.model.rotated(&key, &answer)?;
                self.answered("rotate", answer)
            }
            Call::Truncate { stream, at } => {
                let key = Self::key(*stream);
                let seq = at % (self.model.committed_count(&key) + 2);
                let overtaken = self.begin_overtaken(&wal, &key)?;
                let answer = wal.stream(&key).and_then(|stream| stream.truncate_before(seq));
                Self::finish_overtaken(overtaken)?;
                self.model.truncated(&key, seq, &answer)?;
                self.answered("truncate", answer)
            }
            Call::Delete { stream } => self.delete(wal, *stream),
            Call::Visit { stream } => self.visit(*stream),
        }
    }

    fn append(&mut self, wal: &Wal, stream: usize, len: usize) -> Result<(), Violation> {
        let entry = self.entry(len);
        let answer = wal.append(&Self::key(stream), &entry).map(|seq| seq..seq + 1);
        let is_durable = self.open_mode == SyncMode::Strict;
        let promise = if is_durable { Promise::Durable } else { Promise::Written };
        self.noted(stream, &vec![entry], &answer, promise)
    }

    fn append_batch(&mut self, wal: &Wal, stream: usize, lens: &[usize]) -> Result<(), Violation> {
        let frame: Frame = lens.iter().map(|&len| self.entry(len)).collect();
        let answer = wal.append_batch(&Self::key(stream), &frame);
        if frame.is_empty() {
            return answer.map(drop).or_else(|error| self.failed("append", &error));
        }
        let is_durable = self.open_mode != SyncMode::Async;
        let promise = if is_durable { Promise::Durable } else { Promise::Written };
        self.noted(stream, &frame, &answer, promise)
    }

    /// Does all of it.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn run(&mut self, calls: &[Call]) -> Result<(), Violation> {
        calls.iter().try_for_each(|call| self.call(call))
    }

    /// Does all of it, or so much as there is power for.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn run_on(&mut self, disk: &SimStorage, calls: &[Call]) -> Result<(), Violation> {
        self.open()?;
        for call in calls {
            if disk.is_power_cut() {
                break;
            }
            self.call(call)?;
        }
        Ok(())
    }

    /// Bytes of this length that no other entry has; a few more if that takes more, none for 0.
    pub fn entry(&mut self, len: usize) -> Bytes {
        if len == 0 {
            return Bytes::new();
        }
        let mut text = String::new();
        self.entry_count += 1;
        write!(text, "{}.", self.entry_count).unwrap_or_default();
        while text.len() < len {
            text.push('x');
        }
        Bytes::from(text)
    }

    fn noted(
        &mut self,
        stream: usize,
        frame: &Frame,
        answer: &ironwal::Result<std::ops::Range<u64>>,
        promise: Promise,
    ) -> Result<(), Violation> {
        let key = Self::key(stream);
        self.check_told(answer)?;
        self.model.note(&key, frame, answer, promise)?;
        let Err(error) = answer else { return Ok(()) };
        self.refusals.note(error, self.model.committed_count(&key));
        self.failed("append", error)
    }

    fn answered<T>(&self, doing: &str, answer: ironwal::Result<T>) -> Result<(), Violation> {
        answer.map(drop).or_else(|error| self.failed(doing, &error))
    }

    /// Compares what readers see of a stream that may have been recovered, if it can be read.
    fn settle(&mut self, wal: &Wal, key: &str) -> Result<Looked, Violation> {
        match read_all(wal, key) {
            Ok((found, _)) => {
                // Where nothing is shown that is not durable, it is durable again.
                let is_durable = self.open_mode == SyncMode::Strict;
                let means = if is_durable { Means::ReadDurable } else { Means::Read };
                self.model.settle(key, &found, means).map(|()| Looked::Well)
            }
            Err(violation) if violation.invariant == Invariant::I11 => match self.trouble {
                Trouble::None => Err(violation),
                Trouble::Expected => Ok(Looked::Not),
            },
            Err(violation) => Err(violation),
        }
    }

    /// Whether a call may have failed, and in this way.
    fn failed(&self, doing: &str, error: &ironwal::Error) -> Result<(), Violation> {
        if error.is_damage() || error.is_foreign() {
            return Err(Violation::new(Invariant::I18, told(doing, error)));
        }
        match self.trouble {
            Trouble::None => Err(Violation::new(Invariant::I11, told(doing, error))),
            Trouble::Expected => match &self.powered {
                Some(disk) if !disk.is_power_cut() => {
                    Err(Violation::new(Invariant::I11, told(doing, error)))
                }
                Some(_) | None => Ok(()),
            },
        }
    }
}
