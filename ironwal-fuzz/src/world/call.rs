//! What a caller of the log does.

use super::Setup;

/// One thing to do.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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
    /// Make a stream durable.
    Sync {
        /// Which stream.
        stream: usize,
    },
    /// Make all streams durable.
    SyncAll,
    /// End the active segment of a stream.
    Rotate {
        /// Of which stream.
        stream: usize,
    },
    /// Remove what is below an entry.
    Truncate {
        /// Of which stream.
        stream: usize,
        /// The entry with this number, counted around.
        at: u64,
    },
    /// Delete a stream.
    Delete {
        /// Which stream.
        stream: usize,
    },
    /// Somebody else puts files into the directory of a stream.
    Visit {
        /// Of which stream.
        stream: usize,
    },
    /// Close the log and open it again, with other options.
    Reconfigure(Setup),
}

impl Call {
    /// Whether it is about all streams that are open, and begins by using none of them.
    pub(super) fn is_of_all(&self) -> bool {
        matches!(self, Call::SyncAll | Call::Close | Call::Drop | Call::Reconfigure(_))
    }
}
