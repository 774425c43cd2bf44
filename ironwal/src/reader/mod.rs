//! Reading of a log that someone else may be writing.
//!
//! A reader takes no lock, makes nothing and changes nothing. A [`StreamReader`] looks at the whole of a
//! stream once, as an opening would, and then follows what is appended to it.

mod look;
mod stream_reader;

use std::ops::RangeBounds;
use std::path::Path;

use bytes::Bytes;
use ironwal_segment::storage::StdStorage;

pub(crate) use self::look::{Look, offset};
pub use self::stream_reader::StreamReader;
use crate::environment::Environment;
use crate::error::{Error, IoOp, Result};
use crate::iter::Iter;
use crate::options::{ReadStrategy, default_open_segments};
use crate::report::RecoveryReport;
use crate::segment_cache::Reading;
use crate::sync::FileArc;
use crate::verify::{Progress, Verification};
use crate::wal::{is_stream, parse_key, stream_keys};

/// What a reader is shown of a log that is being written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Visibility {
    /// All whole frames, as an opening of the log would see them: also such as their writer was not yet
    /// told of to be durable, and which a power cut may undo. Their numbers are then used again.
    #[default]
    Valid,
    /// Only what something on disk proves to have been durable. The entries that were made durable last
    /// may not be among them: what proves them is written with what follows, or when the log is closed.
    /// Each look reads the last segment whole.
    Proven,
}

/// The options of a reader.
///
/// ```
/// use ironwal::{ReadStrategy, ReaderOptions};
///
/// let options = ReaderOptions::new().read_strategy(ReadStrategy::StandardIo);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
#[non_exhaustive]
pub struct ReaderOptions {
    read_strategy: ReadStrategy,
    visibility: Visibility,
}

impl ReaderOptions {
    /// The default options.
    pub const fn new() -> Self {
        Self { read_strategy: ReadStrategy::Mmap, visibility: Visibility::Valid }
    }

    /// How segments are read: by default through memory maps, [`ReadStrategy::Mmap`].
    pub const fn read_strategy(mut self, strategy: ReadStrategy) -> Self {
        self.read_strategy = strategy;
        self
    }

    /// What is shown of a log that is being written: by default all whole frames,
    /// [`Visibility::Valid`].
    pub const fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }
}

/// A log of many streams in one directory, open for reading only: there is no lock, so a writer may be
/// at work, in this process or another, and nothing on disk is ever changed.
///
/// To who reads entries, what is cut at the end of a log that is being written is not there yet, and no
/// error; [`report`](Self::report) and [`verify`](Self::verify) may call it torn, as an opening at this
/// moment would, but never damaged. The calls that take a key look at the whole stream each time, and read
/// its last segment for that: who reads more than once gets a [`StreamReader`] by
/// [`stream`](Self::stream).
#[derive(Clone, Debug)]
pub struct WalReader {
    shared: FileArc<Shared>,
}

/// What the readers of all streams have in common.
#[derive(Debug)]
struct Shared {
    environment: Environment,
    reading: Reading,
    visibility: Visibility,
}

impl WalReader {
    /// Opens the log in the directory `root`, which must be there, with the default options. Nothing is
    /// read yet.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn open(root: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(root, ReaderOptions::new())
    }

    /// Opens the log in the directory `root`, which must be there. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn open_with(root: impl AsRef<Path>, options: ReaderOptions) -> Result<Self> {
        let root = root.as_ref();
        let storage =
            StdStorage::open(root).map_err(|source| Error::of_root(root, IoOp::Open, source))?;
        Ok(Self::open_in(Environment::new(FileArc::new(storage)), options))
    }

    /// Opens the log in an environment of the caller's: another storage.
    pub fn open_in(environment: Environment, options: ReaderOptions) -> Self {
        let ReaderOptions { read_strategy, visibility } = options;
        let max_open_segments = usize::try_from(default_open_segments()).unwrap_or(usize::MAX);
        let reading = Reading::new(read_strategy, max_open_segments);
        Self { shared: FileArc::new(Shared { environment, reading, visibility }) }
    }

    /// A handle of the stream with this key, which may not exist yet. Nothing is read. Keys are those of
    /// [`Wal::stream`](crate::Wal::stream).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey).
    pub fn stream(&self, key: &str) -> Result<StreamReader> {
        Ok(StreamReader::new(FileArc::clone(&self.shared), parse_key(key)?))
    }

    /// The keys of all streams that there are, in order.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn streams(&self) -> Result<Vec<String>> {
        let keys = stream_keys(&*self.shared.environment.storage)?;
        Ok(keys.iter().map(|key| key.as_str().to_owned()).collect())
    }

    /// Whether there is a stream with this key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey), and what the operating system says.
    pub fn contains(&self, key: &str) -> Result<bool> {
        is_stream(&*self.shared.environment.storage, &parse_key(key)?)
    }

    /// Reads one entry: see [`StreamReader::get`].
    ///
    /// # Errors
    ///
    /// As [`StreamReader::get`], and [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey).
    pub fn get(&self, key: &str, seq: u64) -> Result<Option<Bytes>> {
        self.stream(key)?.get(seq)
    }

    /// The entries of a range of a stream: see [`StreamReader::iter`].
    ///
    /// # Errors
    ///
    /// As [`StreamReader::iter`], and [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey).
    pub fn iter(&self, key: &str, range: impl RangeBounds<u64>) -> Result<Iter> {
        self.stream(key)?.iter(range)
    }

    /// The number of the first entry of a stream; 0 if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`iter`](Self::iter).
    pub fn first_seq(&self, key: &str) -> Result<u64> {
        self.stream(key)?.first_seq()
    }

    /// One past the last entry of a stream; 0 if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`iter`](Self::iter).
    pub fn next_seq(&self, key: &str) -> Result<u64> {
        self.stream(key)?.next_seq()
    }

    /// What an opening of the stream for writing would find: see [`StreamReader::report`].
    ///
    /// # Errors
    ///
    /// As [`StreamReader::report`], and [`ErrorKind::InvalidKey`](crate::ErrorKind::InvalidKey).
    pub fn report(&self, key: &str) -> Result<Option<RecoveryReport>> {
        self.stream(key)?.report()
    }

    /// Reads and checks every byte of a stream that counts: see [`StreamReader::verify`].
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn verify(&self, key: &str) -> Result<Option<Verification>> {
        self.stream(key)?.verify()
    }

    /// As [`verify`](Self::verify), and calls `show` with how far it is: see
    /// [`StreamReader::verify_with`].
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn verify_with(
        &self,
        key: &str,
        show: &mut dyn FnMut(Progress),
    ) -> Result<Option<Verification>> {
        self.stream(key)?.verify_with(show)
    }
}

#[cfg(test)]
mod tests;
