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
//! An append has returned `Ok`: its entries survive a killed process and a power cut. Threads that
//! append to one stream at the same time share syncs; streams do not wait for one another. Entries
//! of a batch are there together or not at all. Readers see entries when they are durable, and never
//! wait for a sync.
//!
//! An append has returned an error: [`Error::outcome`] tells whether its entries may be there
//! nevertheless. After a failed sync the stream is fenced, until [`Wal::reopen`] has recovered it.
//!
//! # Recovery
//!
//! A stream is recovered when it is first used, or by [`Wal::recover_all`]. What a crash left behind
//! the last whole entry is passed over, and told in a [`RecoveryReport`]. What is damaged is an
//! error that names file and offset: then nothing on disk is changed, appends to that stream fail,
//! what is undamaged can be read, and all other streams work.
//!
//! # Looking without touching
//!
//! [`WalReader`] reads a log beside the process that writes it, and changes nothing.
#![forbid(unsafe_code)]

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
mod open_files;
#[cfg(not(all(test, ironwal_loom)))]
mod options;
#[cfg(not(all(test, ironwal_loom)))]
mod reader;
#[cfg(not(all(test, ironwal_loom)))]
mod report;
#[cfg(not(all(test, ironwal_loom)))]
mod root_latch;
#[cfg(not(all(test, ironwal_loom)))]
mod state;
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
    environment::{Environment, Host},
    error::{
        DamageReason, Error, ErrorKind, FenceCause, IoOp, KeyError, Outcome, Result, TooLarge,
    },
    iter::{Entry, Iter},
    options::WalOptions,
    reader::WalReader,
    report::{Damage, IndexFinding, RecoveryReport, TornTail},
    stream::Stream,
    verify::{Finding, FindingKind, Verification},
    wal::Wal,
};

/// Handles go where their users go.
#[cfg(not(all(test, ironwal_loom)))]
const _: () = {
    const fn shared<T: Clone + Send + Sync + 'static>() {}
    const fn sent<T: Send + 'static>() {}
    shared::<Wal>();
    shared::<Stream>();
    shared::<WalReader>();
    shared::<Error>();
    sent::<Iter>();
};

/// The quick start of the README, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
