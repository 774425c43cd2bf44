//! An embedded write-ahead log for thousands of independent streams.
//!
//! A program that must remember what happened appends it here before it acts. A [`Wal`] is a
//! directory of [streams](Stream), one for each user, account, game or Raft group; a stream is a
//! sequence of entries, numbered from 0 without gaps.
//!
//! ```
//! use ironwal::{Wal, WalOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = tempfile::tempdir()?;
//! let wal = Wal::open(root.path(), WalOptions::new())?;
//! let account = wal.stream("account/4711")?;
//! assert_eq!(account.append("deposit 100")?, 0);
//! assert_eq!(account.append_batch(["fee 1", "withdrawal 20"])?, 1..3);
//! let second = account.get(1)?;
//! assert_eq!(second.as_deref(), Some(&b"fee 1"[..]));
//! wal.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Durability
//!
//! An append has returned `Ok`: its entries are *committed*. In [`SyncMode::Strict`], the default, they
//! are durable then, and survive a power cut; the other modes trade that for speed, as the table of
//! [`SyncMode`] says, and [`Stream::sync`] makes up for it. Threads that append to one stream at the same
//! time share syncs; streams do not wait for one another. Entries of a batch are there together or not
//! at all. Readers see entries when they are committed, and never wait for a sync.
//!
//! An append has returned an error: [`Error::outcome`] tells whether its entries may be there
//! nevertheless. After a failed sync the stream is fenced, until [`Wal::reopen`] has recovered it.
//!
//! # Reading
//!
//! [`Stream::get`], [`Stream::get_many`] and [`Stream::iter`] give [`Bytes`](bytes::Bytes) that share a
//! memory map of their segment, or with [`ReadStrategy::StandardIo`] the memory they were read into.
//! They stay valid whatever becomes of the segment, the stream and the log.
//!
//! # Recovery
//!
//! A stream is recovered when it is first used, or by [`Wal::recover_all`]. What a crash left behind
//! the last whole entry is passed over, and told in a [`RecoveryReport`]. What is damaged is an
//! error that names file and offset: then nothing on disk is changed, appends to that stream fail,
//! what is undamaged can be read, and all other streams work; unless [`CorruptionPolicy::Truncate`] asks
//! to go on in front of it.
//!
//! # For a long time
//!
//! [`Stream::truncate_before`] removes old entries by whole segments, [`Stream::rotate`] ends a segment
//! for that, [`Wal::delete_stream`] removes a stream. Idle streams hold no file, within
//! [`WalOptions::max_open_segments`]; [`Stream::stats`] and [`Wal::stats`] tell what is going on.
//!
//! # Looking without touching
//!
//! [`WalReader`] reads a log beside the process that writes it, and changes nothing; a [`StreamReader`]
//! follows what is appended.
//!
//! # Features
//!
//! - `lz4` (default): frames are compressed, and compressed ones can be read.
//! - `cli`: the command `ironwal`.
#![forbid(unsafe_code)]

#[cfg(not(all(test, ironwal_loom)))]
mod batch;
#[cfg(not(all(test, ironwal_loom)))]
mod budget;
mod commit;
#[cfg(not(all(test, ironwal_loom)))]
mod environment;
#[cfg(not(all(test, ironwal_loom)))]
mod error;
#[cfg(not(all(test, ironwal_loom)))]
mod iter;
#[cfg(all(test, ironwal_loom))]
mod loom_tests;
#[cfg(not(all(test, ironwal_loom)))]
mod options;
#[cfg(not(all(test, ironwal_loom)))]
mod reader;
#[cfg(not(all(test, ironwal_loom)))]
mod report;
#[cfg(not(all(test, ironwal_loom)))]
mod root_latch;
#[cfg(not(all(test, ironwal_loom)))]
mod segment_cache;
#[cfg(not(all(test, ironwal_loom)))]
mod spare;
#[cfg(not(all(test, ironwal_loom)))]
mod state;
#[cfg(not(all(test, ironwal_loom)))]
mod stats;
#[cfg(not(all(test, ironwal_loom)))]
mod stream;
mod stream_map;
mod sync;
#[cfg(not(all(test, ironwal_loom)))]
mod verify;
#[cfg(not(all(test, ironwal_loom)))]
mod view;
#[cfg(not(all(test, ironwal_loom)))]
mod wal;

/// The door to the disk, for an [`Environment`] on another storage.
#[cfg(not(all(test, ironwal_loom)))]
pub use ironwal_segment::storage;

#[cfg(not(all(test, ironwal_loom)))]
pub use self::{
    batch::Batch,
    environment::{Environment, Host},
    error::{
        DamageReason, Error, ErrorKind, FenceCause, IoOp, KeyError, Outcome, Result, TooLarge,
    },
    iter::{Entry, Iter},
    options::{
        CompressionType, CorruptionPolicy, Preallocation, ReadStrategy, SyncMode, WalOptions,
    },
    reader::{ReaderOptions, StreamReader, Visibility, WalReader},
    report::{Damage, IndexFinding, RecoveryReport, TornTail},
    stats::{Counts, StreamStats, WalStats},
    stream::Stream,
    verify::{Finding, FindingKind, Progress, Verification},
    wal::Wal,
};

/// The reasons in [`ErrorKind`], [`FenceCause`] and [`DamageReason`] that come from the layers below.
#[cfg(not(all(test, ironwal_loom)))]
pub mod reasons {
    pub use ironwal_format::frame::FrameError;
    pub use ironwal_format::segment_header::SegmentHeaderError;
    pub use ironwal_stream::{Error as StreamError, ErrorKind as StreamErrorKind};
}

/// Handles go where their users go.
#[cfg(not(all(test, ironwal_loom)))]
const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    const fn sent<T: Send + 'static>() {}
    shared::<Wal>();
    shared::<Stream>();
    shared::<WalReader>();
    shared::<StreamReader>();
    shared::<Error>();
    sent::<Iter>();
};

/// The quick start of the README, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
