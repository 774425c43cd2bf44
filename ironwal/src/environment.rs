//! Everything outside the log that it depends on: the disk, random ids, the clock, how many threads
//! to recover with.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use ironwal_segment::storage::Storage;

use crate::sync::FileArc;

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
    /// The operating system's randomness and clock, and this storage; recovery uses as many threads
    /// as there are processors.
    pub fn new(storage: FileArc<dyn Storage>) -> Self {
        let recovery_threads =
            crate::sync::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { storage, host: FileArc::new(SystemHost), recovery_threads }
    }

    /// Takes random ids and the time from `host`.
    #[must_use]
    pub fn with_host(self, host: FileArc<dyn Host>) -> Self {
        Self { host, ..self }
    }

    /// Recovers with this many threads, where several streams are recovered at once.
    #[must_use]
    pub fn with_recovery_threads(self, recovery_threads: NonZeroUsize) -> Self {
        Self { recovery_threads, ..self }
    }
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
