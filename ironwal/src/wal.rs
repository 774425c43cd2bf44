//! The log: many streams under one root.

use std::io;
use std::ops::{Range, RangeBounds};
use std::path::Path;

use bytes::Bytes;
use ironwal_format::names::{LOCK_FILE, RootName, StreamFileName, StreamKey};
use ironwal_segment::storage::{EntryKind, StdStorage, Storage, StorageLock, StoragePath};

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, IoOp, Result};
use crate::iter::Iter;
use crate::open_files::OpenFiles;
use crate::options::WalOptions;
use crate::report::RecoveryReport;
use crate::root_latch::RootLatch;
use crate::state::{Shared, StreamState};
use crate::stream::Stream;
use crate::stream_map::{Exchange, StreamStateMap};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, FileArc, Mutex, thread};

/// A log of many streams in one directory, open for writing.
///
/// It is cheap to clone, and all clones are one log. Streams do not wait for one another. When the last
/// clone and the last handle of a stream are dropped the log is closed as well as that goes;
/// [`close`](Self::close) says how it went.
///
/// A process that forks must not use the log in the child.
#[derive(Clone, Debug)]
pub struct Wal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    streams: StreamStateMap<StreamState>,
    /// Held from opening to closing.
    lock: Mutex<Option<Box<dyn StorageLock>>>,
}

impl Wal {
    /// Opens the log in the directory `root`, which is made, durably, if it is not there. Nothing of
    /// any stream is read: a stream is recovered when it is first used, or by
    /// [`recover_all`](Self::recover_all).
    ///
    /// Whatever else is in the directory is left alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`] at once if another writer holds it, in this process or another;
    /// [`ErrorKind::InvalidOption`]; and what the operating system says.
    pub fn open(root: impl AsRef<Path>, options: WalOptions) -> Result<Self> {
        let root = root.as_ref();
        let storage = StdStorage::create(root)
            .map_err(|source| Error::of_root(root, IoOp::CreateDir, source))?;
        Self::open_in(Environment::new(FileArc::new(storage)), options)
    }

    /// Opens the log in an environment of the caller's: another storage, randomness or clock.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    #[expect(clippy::needless_pass_by_value, reason = "options are made for the call")]
    pub fn open_in(environment: Environment, options: WalOptions) -> Result<Self> {
        let options = options.check()?;
        let storage = FileArc::new(RootLatch::new(environment.storage));
        let environment = Environment { storage, ..environment };
        let storage = &*environment.storage;
        let lock = storage.lock(StoragePath::new(LOCK_FILE)).map_err(|source| {
            let path = storage.display(StoragePath::new(LOCK_FILE));
            if source.kind() == io::ErrorKind::WouldBlock {
                Error::locked(&path)
            } else {
                Error::of_root(&path, IoOp::Lock, source)
            }
        })?;
        remove_unfinished(storage)?;
        let shared = Arc::new(Shared {
            options,
            open_files: OpenFiles::new(options.max_open_segments),
            closed: AtomicBool::new(false),
            environment,
        });
        let lock = Mutex::new(Some(lock));
        Ok(Self { inner: Arc::new(Inner { shared, streams: StreamStateMap::new(), lock }) })
    }

    /// A handle of the stream with this key. Nothing is read or written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`], [`ErrorKind::Closed`].
    pub fn stream(&self, key: &str) -> Result<Stream> {
        Ok(Stream::new(Arc::clone(&self.inner), self.state(key)?))
    }

    /// Appends an entry to a stream: see [`Stream::append`].
    ///
    /// # Errors
    ///
    /// As [`Stream::append`], and [`ErrorKind::InvalidKey`].
    pub fn append(&self, key: &str, entry: impl AsRef<[u8]>) -> Result<u64> {
        self.stream(key)?.append(entry)
    }

    /// Appends entries to a stream as one: see [`Stream::append_batch`].
    ///
    /// # Errors
    ///
    /// As [`Stream::append_batch`], and [`ErrorKind::InvalidKey`].
    pub fn append_batch<I>(&self, key: &str, entries: I) -> Result<Range<u64>>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.stream(key)?.append_batch(entries)
    }

    /// Reads one entry of a stream: see [`Stream::get`].
    ///
    /// # Errors
    ///
    /// As [`Stream::get`], and [`ErrorKind::InvalidKey`].
    pub fn get(&self, key: &str, seq: u64) -> Result<Option<Bytes>> {
        self.stream(key)?.get(seq)
    }

    /// The entries of a range of a stream: see [`Stream::iter`].
    ///
    /// # Errors
    ///
    /// As [`Stream::iter`], and [`ErrorKind::InvalidKey`].
    pub fn iter(&self, key: &str, range: impl RangeBounds<u64>) -> Result<Iter> {
        self.stream(key)?.iter(range)
    }

    /// The number of the first entry of a stream.
    ///
    /// # Errors
    ///
    /// As [`Stream::first_seq`], and [`ErrorKind::InvalidKey`].
    pub fn first_seq(&self, key: &str) -> Result<u64> {
        self.stream(key)?.first_seq()
    }

    /// One past the last committed entry of a stream.
    ///
    /// # Errors
    ///
    /// As [`Stream::next_seq`], and [`ErrorKind::InvalidKey`].
    pub fn next_seq(&self, key: &str) -> Result<u64> {
        self.stream(key)?.next_seq()
    }

    /// The first number of a stream that is not known to be durable.
    ///
    /// # Errors
    ///
    /// As [`Stream::durable_seq`], and [`ErrorKind::InvalidKey`].
    pub fn durable_seq(&self, key: &str) -> Result<u64> {
        self.stream(key)?.durable_seq()
    }

    /// The keys of all streams that there are, in order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`], and what the operating system says.
    pub fn streams(&self) -> Result<Vec<String>> {
        self.inner.check_open()?;
        let keys = stream_keys(&*self.inner.shared.environment.storage)?;
        Ok(keys.iter().map(|key| key.as_str().to_owned()).collect())
    }

    /// Whether there is a stream with this key. It is not recovered for that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`], [`ErrorKind::Closed`], and what the operating system says.
    pub fn contains(&self, key: &str) -> Result<bool> {
        self.inner.check_open()?;
        let key = parse_key(key)?;
        is_stream(&*self.inner.shared.environment.storage, &key)
    }

    /// Opens a stream anew that takes no appends: fenced by a failure, or refused for damage that was
    /// mended meanwhile. Gives what was found. Handles that were got before stay dead; get new ones.
    ///
    /// A stream that works is left as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`], [`ErrorKind::Closed`], and what the operating system says; then the
    /// next call that uses the stream tries again. Damage is told in the report.
    pub fn reopen(&self, key: &str) -> Result<RecoveryReport> {
        loop {
            let old = self.state(key)?;
            if old.is_stopped() {
                old.retire();
                let new = StreamState::new(old.key().clone(), Arc::clone(&self.inner.shared));
                match self.inner.streams.replace(key, &old, Arc::new(new)) {
                    // Whoever was faster has made the new one: look at that.
                    Exchange::Done | Exchange::Stale => continue,
                }
            }
            let stream = Stream::new(Arc::clone(&self.inner), Arc::clone(&old));
            let (first_seq, next_seq) = match (stream.first_seq(), stream.next_seq()) {
                (Ok(first), Ok(next)) => (first, next),
                // Refused and unreadable: the report says why.
                (Err(error), _) | (_, Err(error)) => match old.report() {
                    Some(report) => return Ok(report.clone()),
                    None => return Err(error),
                },
            };
            let made_now = || RecoveryReport::of_new(key, first_seq..next_seq);
            return Ok(old.report().cloned().unwrap_or_else(made_now));
        }
    }

    /// Recovers all streams that were not used yet, several at a time; gives what was found of each
    /// stream, in the order of keys.
    ///
    /// # Errors
    ///
    /// The first failure of the operating system, after all streams were tried. Damage is told in the
    /// reports.
    pub fn recover_all(&self) -> Result<Vec<RecoveryReport>> {
        self.inner.check_open()?;
        let environment = &self.inner.shared.environment;
        let keys = stream_keys(&*environment.storage)?;
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let recover = || {
            while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
                let opened = self.state(key.as_str()).and_then(|state| state.open());
                if let Err(error) = opened
                    && error.io_error().is_some()
                {
                    failure.lock().get_or_insert(error);
                }
            }
        };
        thread::scope(|scope| {
            let helpers = environment.recovery_threads.get().min(keys.len()).saturating_sub(1);
            for _ in 0..helpers {
                scope.spawn(recover);
            }
            recover();
        });
        match failure.into_inner() {
            Some(error) => Err(error),
            None => Ok(self.recovery_reports()),
        }
    }

    /// What was found of each stream that was recovered so far, in the order of keys. Streams that were
    /// made since the log was opened are not among them.
    pub fn recovery_reports(&self) -> Vec<RecoveryReport> {
        let states = self.inner.streams.snapshot();
        let mut reports: Vec<_> =
            states.iter().filter_map(|state| state.report().cloned()).collect();
        reports.sort_by(|a, b| a.stream.cmp(&b.stream));
        reports
    }

    /// Closes the log: waits for running appends, makes everything durable, and records how far that
    /// is, so that the next opening finds nothing to repair. Every later call on any clone or handle
    /// gets the error [`ErrorKind::Closed`].
    ///
    /// # Errors
    ///
    /// The first failure, after all streams were tried and the lock was let go of;
    /// [`ErrorKind::Closed`] if the log was closed before. Streams that were fenced are not told of
    /// again.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }

    fn state(&self, key: &str) -> Result<Arc<StreamState>> {
        self.inner.check_open()?;
        if let Some(state) = self.inner.streams.get(key) {
            return Ok(state);
        }
        let parsed = parse_key(key)?;
        let shared = &self.inner.shared;
        Ok(self.inner.streams.get_or_create(key, || StreamState::new(parsed, Arc::clone(shared))))
    }
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed));
        }
        Ok(())
    }

    fn close(&self) -> Result<()> {
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed));
        }
        // A stream that is opened from here on sees that the log is closed; all others are here.
        let mut result = Ok(());
        for state in self.streams.snapshot() {
            let closed = state.close();
            if result.is_ok() {
                result = closed;
            }
        }
        drop(self.lock.lock().take());
        result
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to tell of a failure, and nothing that was promised depends on it.
        drop(self.close());
    }
}

pub(crate) fn parse_key(key: &str) -> Result<StreamKey> {
    StreamKey::new(key).map_err(|error| Error::of(key, ErrorKind::InvalidKey(error)))
}

/// Removes streams whose making was interrupted: nobody was told of them.
fn remove_unfinished(storage: &dyn Storage) -> Result<()> {
    for entry in list_root(storage)? {
        if entry.kind == EntryKind::Dir && matches!(RootName::of(&entry.name), RootName::New) {
            match ironwal_stream::remove_new(storage, &entry.name) {
                Err(error) if is_not_empty(&error) => {}
                removed => removed.map_err(|error| Error::below_root(&error))?,
            }
        }
    }
    Ok(())
}

/// Whether a directory holds what is not ours, and so is left alone.
fn is_not_empty(error: &ironwal_stream::Error) -> bool {
    matches!(
        error.kind(),
        ironwal_stream::ErrorKind::Io { source, .. }
            if source.kind() == io::ErrorKind::DirectoryNotEmpty
    )
}

fn list_root(storage: &dyn Storage) -> Result<Vec<ironwal_segment::storage::DirEntry>> {
    storage
        .list(StoragePath::ROOT)
        .map_err(|source| Error::of_root(&storage.display(StoragePath::ROOT), IoOp::List, source))
}

/// The keys of all streams, in order.
pub(crate) fn stream_keys(storage: &dyn Storage) -> Result<Vec<StreamKey>> {
    let mut keys = Vec::new();
    for entry in list_root(storage)? {
        if entry.kind == EntryKind::Dir
            && let RootName::Stream(key) = RootName::of(&entry.name)
            && is_stream(storage, &key)?
        {
            keys.push(key);
        }
    }
    keys.sort_unstable();
    Ok(keys)
}

/// Whether a directory holds a stream: anything that has a name of ours.
pub(crate) fn is_stream(storage: &dyn Storage, key: &StreamKey) -> Result<bool> {
    let dir_name = key.dir_name();
    let path = StoragePath::new(&dir_name);
    let entries = match storage.list(path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(false);
        }
        listed => {
            listed.map_err(|source| Error::of_root(&storage.display(path), IoOp::List, source))?
        }
    };
    let is_ours = |name: &str| !matches!(StreamFileName::of(name), StreamFileName::Foreign);
    Ok(entries.iter().any(|entry| is_ours(&entry.name)))
}
