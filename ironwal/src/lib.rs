//! An embedded write-ahead log for thousands of independent streams.
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
mod report;
#[cfg(not(all(test, ironwal_loom)))]
mod state;
#[cfg(not(all(test, ironwal_loom)))]
mod stream;
mod stream_map;
mod sync;
#[cfg(not(all(test, ironwal_loom)))]
mod view;
#[cfg(not(all(test, ironwal_loom)))]
mod wal;

#[cfg(not(all(test, ironwal_loom)))]
pub use self::{
    environment::{Environment, Host},
    error::{
        DamageReason, Error, ErrorKind, FenceCause, IoOp, KeyError, Outcome, Result, TooLarge,
    },
    iter::{Entry, Iter},
    options::WalOptions,
    report::{Damage, IndexFinding, RecoveryReport, TornTail},
    stream::Stream,
    wal::Wal,
};
