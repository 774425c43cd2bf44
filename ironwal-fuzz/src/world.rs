//! A caller of the log that does as it is told, and keeps the history of it.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use ironwal::{Wal, WalOptions};
use ironwal_segment::storage::Storage;

use crate::host::CountingHost;
use crate::model::{Frame, Model, Violation};
use crate::oracle::{check_after_recovery, check_readers, open, told};

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Call {
    /// Append an entry of this length.
    Append {
        /// To which stream.
        stream: usize,
        /// Of how many bytes.
        len: usize,
    },
    /// Append entries of these lengths together.
    Batch {
        /// To which stream.
        stream: usize,
        /// Of how many bytes each.
        lens: Vec<usize>,
    },
    /// Read one entry.
    Get {
        /// Of which stream.
        stream: usize,
        /// The entry with this number, counted around.
        at: u64,
    },
    /// Read from an entry on.
    Iterate {
        /// Of which stream.
        stream: usize,
        /// From the entry with this number on, counted around.
        from: u64,
    },
    /// Close the log and open it again.
    Close,
    /// Drop the log and open it again.
    Drop,
    /// Reopen a stream.
    Reopen {
        /// Which stream.
        stream: usize,
    },
}

/// Whether calls may fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// Nothing is wrong with the machine: each call has to succeed.
    None,
    /// Something is: calls may fail, but what they say has to be so.
    Expected,
}

/// A log, the machine it is on, and what was done with it.
#[derive(Debug)]
pub struct World {
    storage: Arc<dyn Storage>,
    options: WalOptions,
    model: Model,
    trouble: Trouble,
    host: Arc<CountingHost>,
    wal: Option<Wal>,
    entry_count: u64,
}

impl World {
    /// A world without a log yet; the first call opens it.
    pub fn new(storage: Arc<dyn Storage>, options: WalOptions, trouble: Trouble) -> Self {
        World {
            storage,
            options,
            model: Model::new(),
            trouble,
            host: CountingHost::starting_at(1),
            wal: None,
            entry_count: 0,
        }
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

    /// From the next opening on, these are the options.
    pub fn set_options(&mut self, options: WalOptions) {
        self.options = options;
    }

    /// From here on, calls may fail, or may not.
    pub fn set_trouble(&mut self, trouble: Trouble) {
        self.trouble = trouble;
    }

    /// The log, if it is open.
    pub fn wal(&self) -> Option<&Wal> {
        self.wal.as_ref()
    }

    /// Lets go of the log, and goes on with another disk; the next call opens the log on it.
    pub fn leave(&mut self, storage: Arc<dyn Storage>) {
        self.wal = None;
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
        match open(Arc::clone(&self.storage), &self.host, &self.options) {
            Ok(wal) => {
                match check_after_recovery(&wal, &mut self.model) {
                    // A machine that fails may keep streams from being read.
                    Err(Violation { invariant: "I11", .. })
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
        self.open()?;
        let Some(wal) = self.wal.clone() else { return Ok(()) };
        match call {
            Call::Append { stream, len } => {
                let entry = self.entry(*len);
                let answer = wal.append(&Self::key(*stream), &entry).map(|seq| seq..seq + 1);
                self.noted(*stream, vec![entry], &answer)
            }
            Call::Batch { stream, lens } => {
                let frame: Frame = lens.iter().map(|&len| self.entry(len)).collect();
                let answer = wal.append_batch(&Self::key(*stream), &frame);
                if frame.is_empty() {
                    return answer.map(drop).or_else(|error| self.failed("append", &error));
                }
                self.noted(*stream, frame, &answer)
            }
            Call::Get { stream, at } => self.get(&wal, *stream, *at),
            Call::Iterate { stream, from } => self.iterate(&wal, *stream, *from),
            Call::Close => {
                if self.trouble == Trouble::None {
                    check_readers(&wal, &self.model)?;
                }
                let closed = wal.close();
                drop(wal);
                self.wal = None;
                closed.or_else(|error| self.failed("close", &error))?;
                self.open()
            }
            Call::Drop => {
                drop(wal);
                self.wal = None;
                self.open()
            }
            Call::Reopen { stream } => {
                let key = Self::key(*stream);
                match wal.reopen(&key) {
                    Ok(report) if report.damage.is_empty() => self.settle(&wal, &key),
                    Ok(report) => Err(Violation::new("I12", format!("reopening found {report:?}"))),
                    Err(error) => self.failed("reopen", &error),
                }
            }
        }
    }

    /// Does all of it.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn run(&mut self, calls: &[Call]) -> Result<(), Violation> {
        calls.iter().try_for_each(|call| self.call(call))
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
        frame: Frame,
        answer: &ironwal::Result<std::ops::Range<u64>>,
    ) -> Result<(), Violation> {
        self.model.note(&Self::key(stream), frame, answer)?;
        match answer {
            Ok(_) => Ok(()),
            Err(error) => self.failed("append", error),
        }
    }

    fn settle(&mut self, wal: &Wal, key: &str) -> Result<(), Violation> {
        let entries = match wal.iter(key, ..) {
            Ok(entries) => entries,
            Err(error) => return self.failed("iterate", &error),
        };
        let mut found = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => found.push(entry.data),
                Err(error) => return self.failed("read", &error),
            }
        }
        self.model.settle(key, &found)
    }

    fn get(&self, wal: &Wal, stream: usize, at: u64) -> Result<(), Violation> {
        let key = Self::key(stream);
        let history = self.model.history(&key);
        let durable = self.model.durable_count(&key);
        let seq = at % (durable + 2);
        match wal.get(&key, seq) {
            Ok(found) => {
                let expected = usize::try_from(seq).ok().and_then(|seq| history.durable().nth(seq));
                if found.as_ref() == expected {
                    return Ok(());
                }
                Err(Violation::new("I6", format!("{key}: entry {seq} is {found:?}")))
            }
            Err(error) => self.failed("get", &error),
        }
    }

    fn iterate(&self, wal: &Wal, stream: usize, from: u64) -> Result<(), Violation> {
        let key = Self::key(stream);
        let history = self.model.history(&key);
        let start = from % (self.model.durable_count(&key) + 2);
        let entries = match wal.iter(&key, start..) {
            Ok(entries) => entries,
            Err(error) => return self.failed("iterate", &error),
        };
        let mut expected = (0..).zip(history.durable()).filter(|(seq, _)| *seq >= start);
        for entry in entries {
            match entry {
                Ok(entry) if expected.next() == Some((entry.seq, &entry.data)) => {}
                Ok(entry) => {
                    return Err(Violation::new("I6", format!("{key}: came upon {entry:?}")));
                }
                Err(error) => return self.failed("read", &error),
            }
        }
        match expected.next() {
            None => Ok(()),
            Some((seq, _)) => Err(Violation::new("I6", format!("{key}: ended before {seq}"))),
        }
    }

    /// Whether a call may have failed, and in this way.
    fn failed(&self, doing: &str, error: &ironwal::Error) -> Result<(), Violation> {
        if error.is_damage() || error.is_foreign() {
            return Err(Violation::new("I18", told(doing, error)));
        }
        match self.trouble {
            Trouble::None => Err(Violation::new("I11", told(doing, error))),
            Trouble::Expected => Ok(()),
        }
    }
}
