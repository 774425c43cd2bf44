//! Everything outside the log that it depends on: the disk, random ids, the clock, how many threads
//! to recover, sync and close with.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use ironwal_segment::storage::{Storage, open_file_limit};

use crate::sync::FileArc;

/// How many threads recover, where enough files can be open at once.
///
/// They wait for the disk, and the file system shares commits among those who wait, so the number of
/// processors says nothing: 3,000 streams of a killed process took 23 s with 2 threads, 2.8 s with 8
/// and 1.5 s with 32, on two processors.
const RECOVERY_THREAD_COUNT: u64 = 16;

/// What a log runs on. With a simulated one, the same calls give the same operations.
#[derive(Clone, Debug)]
pub struct Environment {
    pub(crate) storage: FileArc<dyn Storage>,
    pub(crate) host: FileArc<dyn Host>,
    pub(crate) recovery_threads: NonZeroUsize,
}

/// Where random ids and the time come from.
pub trait Host: fmt::Debug + Send + Sync + 'static {
    /// Random bytes, for the id of a new stream: no two streams may ever have the same.
    ///
    /// # Errors
    ///
    /// Those of the source; the stream is not made then.
    fn random_id(&self) -> io::Result<[u8; 16]>;

    /// Nanoseconds since 1970-01-01 UTC. It is written into new segments for people to see; no
    /// decision looks at it, so it may be wrong, or go back.
    fn unix_nanos(&self) -> u64;
}

impl Environment {
    /// The operating system's randomness and clock, and this storage; what is done to several streams
    /// at once uses 16 threads, or fewer where the process may have few files open.
    pub fn new(storage: FileArc<dyn Storage>) -> Self {
        Self { storage, host: FileArc::new(SystemHost), recovery_threads: recovery_threads() }
    }

    /// Takes random ids and the time from `host`.
    #[must_use]
    pub fn with_host(self, host: FileArc<dyn Host>) -> Self {
        Self { host, ..self }
    }

    /// Recovers, syncs and closes with this many threads, where that is done to several streams at once.
    #[must_use]
    pub fn with_recovery_threads(self, recovery_threads: NonZeroUsize) -> Self {
        Self { recovery_threads, ..self }
    }
}

/// Each recovery has a handful of files open at once.
fn recovery_threads() -> NonZeroUsize {
    let affordable = open_file_limit().map_or(RECOVERY_THREAD_COUNT, |limit| limit / 16);
    let count = usize::try_from(affordable.min(RECOVERY_THREAD_COUNT)).unwrap_or(1);
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

/// The operating system.
#[derive(Debug)]
struct SystemHost;

impl Host for SystemHost {
    fn random_id(&self) -> io::Result<[u8; 16]> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(io::Error::from)?;
        Ok(id)
    }

    fn unix_nanos(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}
