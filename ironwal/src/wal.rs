//! The log: many streams under one root.

use std::io;
use std::ops::{Range, RangeBounds};
use std::path::Path;

use bytes::Bytes;
use ironwal_format::names::{LOCK_FILE, RootName, StreamKey};
use ironwal_segment::storage::{EntryKind, StdStorage, Storage, StorageLock, StoragePath};
use ironwal_stream::Deleted;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, IoOp, Outcome, Result};
use crate::iter::Iter;
use crate::options::WalOptions;
use crate::report::RecoveryReport;
use crate::root_latch::RootLatch;
use crate::segment_cache::Reading;
use crate::state::{Death, Shared, StreamState};
use crate::stats::{Counters, Counts, WalStats};
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
    /// Held while the state of a stream is replaced or removed, and when the log lets go of its lock: the
    /// state that the map has is never a dead one then. It is taken before all other locks.
    exchanges: Mutex<()>,
    /// Held from opening to closing.
    lock: Mutex<Option<Box<dyn StorageLock>>>,
}

impl Wal {
    /// Opens the log in the directory `root`, which is made, durably and with all directories above it,
    /// if it is not there. Nothing of any stream is read: a stream is recovered when it is first used, or
    /// by [`recover_all`](Self::recover_all).
    ///
    /// Whatever else is in the directory is left alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Locked`] at once if another writer holds it, in this process or another;
    /// [`ErrorKind::InvalidOption`]; and what the operating system says.
    pub fn open(root: impl AsRef<Path>, options: WalOptions) -> Result<Self> {
        // Before anything is made.
        options.check()?;
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
            reading: Reading::new(options.read_strategy, options.max_open_segments),
            closed: AtomicBool::new(false),
            retired: Counters::default(),
            environment,
        });
        let inner = Inner {
            shared,
            streams: StreamStateMap::new(),
            exchanges: Mutex::new(()),
            lock: Mutex::new(Some(lock)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A handle of the stream with this key. Nothing is read or written.
    ///
    /// A key is any text that is not empty and has at most 240 bytes when it is encoded as the name of a
    /// directory: `a-z`, `0-9`, `-`, `_` and `.` take one byte, `A-Z` two, and every other byte of its UTF-8
    /// three, as a dot at either end does. Keys differ also where they differ in case alone. Each that is
    /// used takes a little memory until the log is closed.
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

    /// The number of the first entry of a stream: see [`Stream::first_seq`].
    ///
    /// # Errors
    ///
    /// As [`Stream::first_seq`], and [`ErrorKind::InvalidKey`].
    pub fn first_seq(&self, key: &str) -> Result<u64> {
        self.stream(key)?.first_seq()
    }

    /// One past the last committed entry of a stream: see [`Stream::next_seq`].
    ///
    /// # Errors
    ///
    /// As [`Stream::next_seq`], and [`ErrorKind::InvalidKey`].
    pub fn next_seq(&self, key: &str) -> Result<u64> {
        self.stream(key)?.next_seq()
    }

    /// The first number of a stream that is not known to be durable: see [`Stream::durable_seq`].
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
    /// A stream that works is left as it is, and the report is that of its opening.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`], [`ErrorKind::Closed`], and what the operating system says; then the
    /// next call that uses the stream tries again. Damage is told in the report.
    pub fn reopen(&self, key: &str) -> Result<RecoveryReport> {
        let state = self.fresh_state(key)?;
        let stream = Stream::new(Arc::clone(&self.inner), Arc::clone(&state));
        let (first_seq, next_seq) = match (stream.first_seq(), stream.next_seq()) {
            (Ok(first), Ok(next)) => (first, next),
            // Refused and unreadable: the report says why.
            (Err(error), _) | (_, Err(error)) => match state.report() {
                Some(report) => return Ok(report.clone()),
                None => return Err(error),
            },
        };
        let made_now = || RecoveryReport::of_new(key, first_seq..next_seq);
        Ok(state.report().cloned().unwrap_or_else(made_now))
    }

    /// The state of a stream, a new one if the one that there is takes no appends.
    fn fresh_state(&self, key: &str) -> Result<Arc<StreamState>> {
        let exchange = self.inner.exchanges.lock();
        let old = self.state(key)?;
        if !old.is_stopped() {
            return Ok(old);
        }
        let debt = old.retire(Death::Replaced);
        let new = Arc::new(old.successor(debt));
        let replaced = self.inner.streams.replace(key, &old, Arc::clone(&new));
        assert!(replaced == Exchange::Done, "nobody else replaces states meanwhile");
        drop(exchange);
        Ok(new)
    }

    /// Makes everything durable that was appended to any stream before: when this returns it survives a
    /// power cut. Several streams are synced at a time.
    ///
    /// That is what was appended since the log was opened. What a process that was killed has left in a
    /// stream becomes durable when the stream is first used, or by [`recover_all`](Self::recover_all).
    ///
    /// # Errors
    ///
    /// The first failure, after all streams were tried; as [`Stream::sync`], but streams that are damaged
    /// are passed over. [`ErrorKind::Closed`].
    pub fn sync(&self) -> Result<()> {
        self.inner.check_open()?;
        let thread_count = self.inner.shared.environment.recovery_threads.get();
        let states = {
            // None of them is about to be replaced.
            let exchange = self.inner.exchanges.lock();
            let states = self.inner.streams.snapshot();
            drop(exchange);
            states
        };
        let states: Vec<_> = states.into_iter().filter(|state| state.may_need_sync()).collect();
        side_by_side(thread_count, &states, |state| self.sync_state(state))
    }

    /// Syncs a stream, whatever state has taken the place of this one meanwhile.
    fn sync_state(&self, state: &Arc<StreamState>) -> Result<()> {
        let mut state = Arc::clone(state);
        loop {
            let error = match state.sync() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // It was deleted or replaced: before this began, or while it waited for a leader.
            let is_retired = matches!(error.kind(), ErrorKind::Deleted | ErrorKind::Closed);
            if (is_retired || error.outcome() == Outcome::NotWritten) && state.is_dead() {
                // Until whoever does that is done.
                drop(self.inner.exchanges.lock());
                match self.inner.streams.get(state.key().as_str()) {
                    Some(next) if !Arc::ptr_eq(&next, &state) => state = next,
                    Some(_) | None => return Ok(()),
                }
                continue;
            }
            // A handle of what is no stream, as of a file that stands in the root.
            if state.debt().is_none() && state.is_absent().unwrap_or(false) {
                return Ok(());
            }
            // It takes no appends; if all that was acknowledged is durable, who had to be told was.
            let is_stopped = state.is_refused() || error.is_fenced();
            let is_told = is_stopped && error.outcome() == Outcome::NotWritten;
            return if is_told && state.debt().is_none() { Ok(()) } else { Err(error) };
        }
    }

    /// Deletes a stream, durably when this returns. Gives whether there was one. What is read of it
    /// already stays readable for whoever holds it; all handles of it say [`ErrorKind::Deleted`] from
    /// now on, also when a stream with the same key is made anew, which begins with number 0.
    ///
    /// Its directory is renamed, then its files are removed. Files in it that are not the log's are left
    /// in the renamed directory, whose name begins with `.trash-`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`], [`ErrorKind::Closed`], and what the operating system says. Handles
    /// that were got before are dead then too; whether the stream is still there, and whether all of
    /// its files are gone, a new handle and the next opening will tell.
    pub fn delete_stream(&self, key: &str) -> Result<bool> {
        let exchange = self.inner.exchanges.lock();
        let state = self.state(key)?;
        if state.is_absent()? {
            // An earlier deletion may have failed to make itself durable.
            sync_root(&*self.inner.shared.environment.storage)?;
            return Ok(false);
        }
        let debt = state.retire(Death::Deleted);
        let deleted = state.delete_files();
        let removed = match debt {
            // It may still be there.
            Some(_) if deleted.is_err() => {
                self.inner.streams.replace(key, &state, Arc::new(state.successor(debt)))
            }
            Some(_) | None => self.inner.streams.remove(key, &state),
        };
        assert!(removed == Exchange::Done, "nobody else removes states meanwhile");
        drop(exchange);
        Ok(deleted? == Deleted::Yes)
    }

    /// What is known of the log, at about one moment. Nothing is read for it.
    pub fn stats(&self) -> WalStats {
        let Shared { reading, retired, .. } = &*self.inner.shared;
        let states = self.inner.streams.snapshot();
        let counts = states.iter().map(|state| state.counters().read());
        WalStats {
            used_stream_count: states.len(),
            open_segment_count: reading.files.count(),
            mapped_segment_count: reading.maps.count(),
            counts: counts.fold(retired.read(), Counts::plus),
        }
    }

    /// Recovers all streams that were not used yet, several at a time; gives what was found of each
    /// stream, in the order of keys.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`], what the operating system says when streams are listed, and its first
    /// failure with a stream, after all were tried. Damage is told in the reports.
    pub fn recover_all(&self) -> Result<Vec<RecoveryReport>> {
        self.inner.check_open()?;
        let environment = &self.inner.shared.environment;
        let keys = stream_keys(&*environment.storage)?;
        side_by_side(environment.recovery_threads.get(), &keys, |key| {
            let opened = self.state(key.as_str()).and_then(|state| state.open());
            // Damage is in the report.
            opened.or_else(|error| if error.io_error().is_some() { Err(error) } else { Ok(()) })
        })?;
        Ok(self.recovery_reports())
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
    /// again, unless entries of them were acknowledged as written and never became durable.
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
        // Whoever replaces a state has done so, or will find that the log is closed.
        let exchange = self.exchanges.lock();
        let thread_count = self.shared.environment.recovery_threads.get();
        let result = side_by_side(thread_count, &self.streams.snapshot(), |state| state.close());
        self.shared.reading.clear();
        drop(self.lock.lock().take());
        drop(exchange);
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

/// Removes streams whose making was interrupted, of which nobody was told, and finishes interrupted
/// deletions.
///
/// The renaming of what is to be deleted is made durable first: it may be that of a process that was killed
/// before it did so, and with a power cut the stream would come back without what was removed.
fn remove_unfinished(storage: &dyn Storage) -> Result<()> {
    let entries = list_root(storage)?;
    if entries.iter().any(|entry| matches!(RootName::of(&entry.name), RootName::Trash)) {
        sync_root(storage)?;
    }
    for entry in entries {
        let is_unfinished = matches!(RootName::of(&entry.name), RootName::New | RootName::Trash);
        if entry.kind == EntryKind::Dir && is_unfinished {
            ironwal_stream::remove_remains(storage, &entry.name)
                .map_err(|error| Error::below_root(&error))?;
        }
    }
    Ok(())
}

/// Does something with all items, several at a time; gives the first failure after all were tried.
fn side_by_side<T: Sync>(
    thread_count: usize,
    items: &[T],
    run: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = run(item) {
                failure.lock().get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..thread_count.min(items.len()) {
            // Where none can be had, whoever calls does it all.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    failure.into_inner().map_or(Ok(()), Err)
}

fn sync_root(storage: &dyn Storage) -> Result<()> {
    let root = StoragePath::ROOT;
    let failed = |source| Error::of_root(&storage.display(root), IoOp::SyncDir, source);
    storage.sync_dir(root).map_err(failed)
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
    ironwal_stream::holds_ours(storage, path).map_err(|error| Error::below(key.as_str(), &error))
}
