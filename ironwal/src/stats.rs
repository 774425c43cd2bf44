//! What is counted, all the time: a few plain additions for each append.

use crate::sync::atomic::{AtomicU64, Ordering};

/// What was done since the log was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// How many appends were written: single ones and batches, each one frame.
    pub append_count: u64,
    /// How many entries they had.
    pub entry_count: u64,
    /// How many bytes of frames were written for them: headers, payloads as they are on disk, padding.
    pub written_len: u64,
    /// How many times the stream was synced: what many appends shared counts once.
    pub sync_count: u64,
}

/// What is known of a stream, at about one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct StreamStats {
    /// The number of the first entry.
    pub first_seq: u64,
    /// One past the last committed entry.
    pub next_seq: u64,
    /// The first number that is not known to be durable.
    pub durable_seq: u64,
    /// How many segments hold its entries, the active one included.
    pub segment_count: usize,
    /// How many bytes of the segment files hold them, headers and seals included. Of damaged segments
    /// nothing is counted.
    pub byte_len: u64,
    /// What was done to it since it was first used in this opening.
    pub counts: Counts,
}

/// What is known of a log, at about one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct WalStats {
    /// How many streams were used since the log was opened.
    pub used_stream_count: usize,
    /// How many segment files are held open while no call uses them.
    pub open_segment_count: usize,
    /// How many segments are kept mapped.
    pub mapped_segment_count: usize,
    /// What was done to all streams since the log was opened.
    pub counts: Counts,
}

/// [`Counts`] that are read at any time.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    appends: AtomicU64,
    entries: AtomicU64,
    written: AtomicU64,
    syncs: AtomicU64,
}

impl Counters {
    /// Counts an append. The caller holds the write slot, so that nobody else counts one.
    pub(crate) fn count_append(&self, entry_count: u64, len: u64) {
        for (counter, more) in
            [(&self.appends, 1), (&self.entries, entry_count), (&self.written, len)]
        {
            counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_sync(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counts {
        Counts {
            append_count: self.appends.load(Ordering::Relaxed),
            entry_count: self.entries.load(Ordering::Relaxed),
            written_len: self.written.load(Ordering::Relaxed),
            sync_count: self.syncs.load(Ordering::Relaxed),
        }
    }

    /// Adds what another has counted: by any thread, so nobody counts appends here.
    pub(crate) fn add(&self, other: &Self) {
        let Counts { append_count, entry_count, written_len, sync_count } = other.read();
        self.appends.fetch_add(append_count, Ordering::Relaxed);
        self.entries.fetch_add(entry_count, Ordering::Relaxed);
        self.written.fetch_add(written_len, Ordering::Relaxed);
        self.syncs.fetch_add(sync_count, Ordering::Relaxed);
    }
}

impl Counts {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            append_count: self.append_count + other.append_count,
            entry_count: self.entry_count + other.entry_count,
            written_len: self.written_len + other.written_len,
            sync_count: self.sync_count + other.sync_count,
        }
    }
}
