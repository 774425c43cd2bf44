//! What is measured: this log, others in the place of it, and files written by hand.
//!
//! Every contender is set up as its own documentation says for the guarantee that a workload asks for.

mod by_hand;
mod ours;

#[cfg(feature = "peers")]
mod peer_ironwal;
#[cfg(feature = "peers")]
mod peer_okaywal;
#[cfg(feature = "peers")]
mod peer_raft_engine;
#[cfg(feature = "rocksdb")]
mod peer_rocksdb;
#[cfg(feature = "peers")]
mod peer_wal_db;
#[cfg(feature = "peers")]
mod peer_walrus;

use std::error::Error;
use std::path::PathBuf;

use self::by_hand::ByHand;
pub use self::by_hand::{HEADER_LEN, create_streams_by_hand, create_streams_together};
use crate::ENTRY_LEN;

/// What goes wrong is told, and ends the measurement.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Something that entries can be appended to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contender {
    /// `pwrite` and `fdatasync` on a file that grows.
    Growing,
    /// The same, on a file whose space is reserved ahead.
    Reserved,
    /// The same, on a file that was filled with zeros before.
    Zeroed,
    /// The frame and its checksum made in memory, and written nowhere.
    Memory,
    /// The file mapped, and the checksum of what is read: no log at all, only what the machine takes.
    Mapped,
    /// The same by `pread`.
    Pread,
    /// Files filled with zeros before, and one `syncfs` for all threads that wait.
    Syncfs,
    /// This log as it comes.
    Ours,
    /// This log, its segments extended with zeros.
    OursZeros,
    /// This log, its segments read by positioned reads.
    OursPread,
    /// okaywal 0.3; a log for each stream.
    Okaywal,
    /// raft-engine 0.4: one log that all streams share.
    RaftEngine,
    /// wal-db 1.1; a log for each stream.
    WalDb,
    /// walrus-rust 0.2.
    Walrus,
    /// `RocksDB`, with compaction that only removes files.
    RocksDb,
    /// The crate of the same name in the registry, 0.6.9.
    PeerIronwal,
    /// The same, read through memory maps.
    PeerIronwalMmap,
}

/// What kind of contender it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// What the machine can do.
    Limit,
    /// This log.
    Ours,
    /// Another log.
    Peer,
}

impl Contender {
    /// All there are, also those that were not built in.
    pub const ALL: [Self; 17] = [
        Self::Growing,
        Self::Reserved,
        Self::Zeroed,
        Self::Memory,
        Self::Mapped,
        Self::Pread,
        Self::Syncfs,
        Self::Ours,
        Self::OursZeros,
        Self::OursPread,
        Self::Okaywal,
        Self::RaftEngine,
        Self::WalDb,
        Self::Walrus,
        Self::RocksDb,
        Self::PeerIronwal,
        Self::PeerIronwalMmap,
    ];

    /// How it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Growing => "by hand, growing",
            Self::Reserved => "by hand, reserved",
            Self::Zeroed => "by hand, zeros",
            Self::Memory => "by hand, in memory",
            Self::Mapped => "by hand, mapped",
            Self::Pread => "by hand, pread",
            Self::Syncfs => "by hand, syncfs",
            Self::Ours => "IronWal",
            Self::OursZeros => "IronWal, zeros",
            Self::OursPread => "IronWal, pread",
            Self::Okaywal => "okaywal",
            Self::RaftEngine => "raft-engine",
            Self::WalDb => "wal-db",
            Self::Walrus => "walrus",
            Self::RocksDb => "RocksDB",
            Self::PeerIronwal => "ironwal 0.6.9",
            Self::PeerIronwalMmap => "ironwal 0.6.9, mmap",
        }
    }

    /// Whether it is a limit, this log, or another.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Growing
            | Self::Reserved
            | Self::Zeroed
            | Self::Memory
            | Self::Mapped
            | Self::Pread
            | Self::Syncfs => Kind::Limit,
            Self::Ours | Self::OursZeros | Self::OursPread => Kind::Ours,
            Self::Okaywal
            | Self::RaftEngine
            | Self::WalDb
            | Self::Walrus
            | Self::RocksDb
            | Self::PeerIronwal
            | Self::PeerIronwalMmap => Kind::Peer,
        }
    }

    /// Whether all streams are in one log, or each in files of its own.
    pub const fn has_shared_log(self) -> bool {
        matches!(self, Self::RaftEngine | Self::RocksDb | Self::Walrus)
    }

    /// Whether this build has it.
    pub const fn is_built(self) -> bool {
        if matches!(self, Self::RocksDb) {
            return cfg!(feature = "rocksdb");
        }
        !matches!(self.kind(), Kind::Peer) || cfg!(feature = "peers")
    }

    /// Opens it, or makes it where there is nothing yet.
    ///
    /// # Errors
    ///
    /// Its own; and where it was not built, or cannot do what is asked.
    pub fn open(self, plan: &Plan) -> Result<Box<dyn Log>> {
        match self {
            Self::Growing
            | Self::Reserved
            | Self::Zeroed
            | Self::Memory
            | Self::Mapped
            | Self::Pread
            | Self::Syncfs => Ok(Box::new(ByHand::open(self, plan)?)),
            Self::Ours | Self::OursZeros | Self::OursPread => {
                Ok(Box::new(ours::Ours::open(self, plan)?))
            }
            #[cfg(feature = "peers")]
            Self::Okaywal => Ok(Box::new(peer_okaywal::Okaywal::open(plan)?)),
            #[cfg(feature = "peers")]
            Self::RaftEngine => Ok(Box::new(peer_raft_engine::RaftEngine::open(plan)?)),
            #[cfg(feature = "peers")]
            Self::WalDb => Ok(Box::new(peer_wal_db::WalDb::open(plan)?)),
            #[cfg(feature = "peers")]
            Self::Walrus => Ok(Box::new(peer_walrus::Walrus::open(plan)?)),
            #[cfg(feature = "rocksdb")]
            Self::RocksDb => Ok(Box::new(peer_rocksdb::RocksDb::open(plan)?)),
            #[cfg(feature = "peers")]
            Self::PeerIronwal | Self::PeerIronwalMmap => {
                Ok(Box::new(peer_ironwal::PeerIronwal::open(self, plan)?))
            }
            #[cfg(not(all(feature = "peers", feature = "rocksdb")))]
            _ => Err(format!("{} was not built in", self.name()).into()),
        }
    }
}

/// What is durable when an append returns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// The entry: it outlives a power cut.
    Strict,
    /// Nothing; but the entry outlives the process.
    Async,
}

/// How long a segment is, unless a workload is about that.
pub const SEGMENT_LEN: u64 = 64 << 20;

/// What a log is opened for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it is.
    pub dir: PathBuf,
    /// What its appends promise.
    pub durability: Durability,
    /// How many streams there are at most, numbered from 0.
    pub stream_count: usize,
    /// How long a segment gets, in bytes, where that can be said.
    pub segment_len: u64,
    /// How many bytes will be written durably to each stream at most: files by hand are made that long.
    pub stream_len: u64,
    /// How long entries are, where all of them have one length.
    pub entry_len: usize,
}

impl Plan {
    /// One stream of entries of [`ENTRY_LEN`] bytes, of which one segment of [`SEGMENT_LEN`] is written.
    pub fn new(dir: impl Into<PathBuf>, durability: Durability) -> Self {
        Plan {
            dir: dir.into(),
            durability,
            stream_count: 1,
            segment_len: SEGMENT_LEN,
            stream_len: SEGMENT_LEN,
            entry_len: ENTRY_LEN,
        }
    }
}

/// A log that is open.
pub trait Log: Send + Sync {
    /// Appends an entry.
    ///
    /// # Errors
    ///
    /// Those of the log.
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()>;

    /// Appends entries so that all or none of them are there after a crash.
    ///
    /// # Errors
    ///
    /// Those of the log.
    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()>;

    /// Reads the entry of a number, counted from 0 in each stream; gives how long it is.
    ///
    /// # Errors
    ///
    /// Those of the log, also where the entry is missing or the log cannot read one by its number.
    fn get(&self, _stream: usize, _number: u64) -> Result<usize> {
        Err("does not read single entries".into())
    }

    /// Reads all entries of a stream; gives how many bytes they have.
    ///
    /// # Errors
    ///
    /// Those of the log, also where it cannot do that.
    fn scan(&self, _stream: usize) -> Result<u64> {
        Err("does not read streams".into())
    }
}
