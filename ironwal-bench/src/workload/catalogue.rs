//! All workloads, each with what this log is to reach.

use super::open::Left;
use super::{Appends, Goal, Than, Unit, Work, Workload};
use crate::contender::Contender::{
    Growing, Mapped, Memory, Okaywal, Ours, OursPread, OursZeros, PeerIronwal, PeerIronwalMmap,
    Pread, RaftEngine, Reserved, RocksDb, Syncfs, WalDb, Walrus, Zeroed,
};
use crate::contender::{Contender, Durability, SEGMENT_LEN};

const STRICT_PEERS: &[Contender] = &[
    Growing,
    Reserved,
    Zeroed,
    Ours,
    OursZeros,
    Okaywal,
    RaftEngine,
    WalDb,
    Walrus,
    RocksDb,
    PeerIronwal,
];
const SHARED: &[Contender] =
    &[Ours, OursZeros, Okaywal, RaftEngine, WalDb, Walrus, RocksDb, PeerIronwal];
const OWN_FILES: &[Contender] =
    &[Reserved, Zeroed, Ours, OursZeros, Okaywal, RaftEngine, WalDb, RocksDb, PeerIronwal];
/// With so many files, one sync of the whole file system may be less than one of each.
const MANY_FILES: &[Contender] =
    &[Reserved, Zeroed, Syncfs, Ours, OursZeros, Okaywal, RaftEngine, WalDb, RocksDb, PeerIronwal];
const ASYNC: &[Contender] =
    &[Memory, Growing, Ours, RaftEngine, WalDb, Walrus, RocksDb, PeerIronwal];
const ASYNC_WRITERS: &[Contender] =
    &[Growing, Ours, RaftEngine, WalDb, Walrus, RocksDb, PeerIronwal];

const fn strict(thread_count: usize, stream_count: usize, batch: usize) -> Work {
    let durability = Durability::Strict;
    Work::Append(Appends { durability, thread_count, stream_count, batch, count: None })
}

const fn relaxed(thread_count: usize, count: u64) -> Work {
    Work::Append(Appends {
        durability: Durability::Async,
        thread_count,
        stream_count: thread_count,
        batch: 1,
        count: Some(count),
    })
}

const fn goal(who: Contender, factor: f64, than: Than) -> Goal {
    Goal { who, factor, than }
}

const OVER_MANY_FILES: &[Goal] =
    &[goal(Ours, 1.15, Than::BestOfOwnFiles), goal(Ours, 1.0, Than::BestOfSharedLogs)];
const AS_FAST_AS_WRITING: &[Goal] = &[goal(Ours, 0.95, Than::One(Growing))];
const RANDOM_GETS: &[Goal] =
    &[goal(Ours, 1.0 / 1.5, Than::One(Mapped)), goal(OursPread, 1.0 / 1.3, Than::One(Pread))];

/// Every workload, in the order of the report.
pub const ALL: &[Workload] = &[
    Workload {
        id: "W1",
        title: "Strict, 1 thread, 1 stream",
        unit: Unit::Rate,
        contenders: STRICT_PEERS,
        goals: &[
            goal(Ours, 0.95, Than::One(Reserved)),
            goal(OursZeros, 0.95, Than::One(Zeroed)),
            goal(OursZeros, 1.0, Than::BestPeer),
            goal(Ours, 1.6, Than::One(PeerIronwal)),
        ],
        work: strict(1, 1, 1),
    },
    Workload {
        id: "W2",
        title: "Strict, 16 threads, 1 stream",
        unit: Unit::Rate,
        contenders: SHARED,
        goals: &[goal(Ours, 1.5, Than::BestPeer)],
        work: strict(16, 1, 1),
    },
    Workload {
        id: "W2-64",
        title: "Strict, 64 threads, 1 stream",
        unit: Unit::Rate,
        contenders: SHARED,
        goals: &[goal(Ours, 1.5, Than::BestPeer)],
        work: strict(64, 1, 1),
    },
    Workload {
        id: "W3",
        title: "Strict, 16 threads, 16 streams",
        unit: Unit::Rate,
        contenders: OWN_FILES,
        goals: &[goal(Ours, 1.2, Than::BestPeer), goal(OursZeros, 0.95, Than::One(Zeroed))],
        work: strict(16, 16, 1),
    },
    Workload {
        id: "W4",
        title: "Strict, 16 threads over 1,024 streams",
        unit: Unit::Rate,
        contenders: MANY_FILES,
        goals: OVER_MANY_FILES,
        work: strict(16, 1024, 1),
    },
    Workload {
        id: "W4-64",
        title: "Strict, 64 threads over 1,024 streams",
        unit: Unit::Rate,
        contenders: MANY_FILES,
        goals: OVER_MANY_FILES,
        work: strict(64, 1024, 1),
    },
    Workload {
        id: "W5",
        title: "Strict, batches of 100, 1 thread (batches per second)",
        unit: Unit::Rate,
        contenders: STRICT_PEERS,
        goals: &[
            goal(Ours, 0.95, Than::One(Reserved)),
            goal(OursZeros, 0.95, Than::One(Zeroed)),
            goal(OursZeros, 1.0, Than::BestPeer),
        ],
        work: strict(1, 1, 100),
    },
    Workload {
        id: "W6",
        title: "Async, 1 thread",
        unit: Unit::Rate,
        contenders: ASYNC,
        goals: &[goal(Ours, 1.0, Than::BestPeer), goal(Ours, 0.95, Than::One(Growing))],
        work: relaxed(1, 1_000_000),
    },
    Workload {
        id: "W7-2",
        title: "Async, 2 threads, a stream each",
        unit: Unit::Rate,
        contenders: ASYNC,
        goals: AS_FAST_AS_WRITING,
        work: relaxed(2, 500_000),
    },
    Workload {
        id: "W7-4",
        title: "Async, 4 threads, a stream each",
        unit: Unit::Rate,
        contenders: ASYNC,
        goals: AS_FAST_AS_WRITING,
        work: relaxed(4, 250_000),
    },
    Workload {
        id: "W7-8",
        title: "Async, 8 threads, a stream each",
        unit: Unit::Rate,
        contenders: ASYNC,
        goals: AS_FAST_AS_WRITING,
        work: relaxed(8, 120_000),
    },
    Workload {
        id: "W7-16",
        title: "Async, 16 threads, a stream each",
        unit: Unit::Rate,
        contenders: ASYNC,
        goals: AS_FAST_AS_WRITING,
        work: relaxed(16, 60_000),
    },
    Workload {
        id: "W8",
        title: "random get, 1,000,000 entries in one stream",
        unit: Unit::Nanoseconds,
        contenders: &[
            Mapped,
            Pread,
            Ours,
            OursPread,
            RaftEngine,
            RocksDb,
            PeerIronwal,
            PeerIronwalMmap,
        ],
        goals: RANDOM_GETS,
        work: Work::Get { entry_count: 1_000_000, segment_len: SEGMENT_LEN },
    },
    Workload {
        id: "W8-active",
        title: "random get, 1,000,000 entries in the active segment",
        unit: Unit::Nanoseconds,
        contenders: &[Mapped, Pread, Ours, OursPread],
        goals: RANDOM_GETS,
        work: Work::Get { entry_count: 1_000_000, segment_len: 1 << 30 },
    },
    Workload {
        id: "W9",
        title: "scan of 1 GiB in entries of 1 KiB",
        unit: Unit::Gigabytes,
        contenders: &[Mapped, Ours, RaftEngine, WalDb, Walrus, RocksDb, PeerIronwalMmap],
        goals: &[goal(Ours, 0.8, Than::One(Mapped)), goal(Ours, 1.0, Than::BestPeer)],
        work: Work::Scan { entry_count: 1 << 20, entry_len: 1024 },
    },
    Workload {
        id: "W10a",
        title: "open 1,000 segments, until the first append",
        unit: Unit::Milliseconds,
        contenders: &[Ours, PeerIronwal],
        goals: &[goal(Ours, 1.0, Than::Value(0.8))],
        work: Work::Open(Left::Segments(1_000)),
    },
    Workload {
        id: "W10b",
        title: "open 10,000 streams, until the first append",
        unit: Unit::Milliseconds,
        contenders: &[Ours, RaftEngine, RocksDb, PeerIronwal],
        goals: &[goal(Ours, 1.0, Than::Value(20.0))],
        work: Work::Open(Left::Streams(10_000)),
    },
    Workload {
        id: "W10c",
        title: "open 64 MiB in the active segment of a killed process, until the first append",
        unit: Unit::Milliseconds,
        contenders: &[Mapped, Ours, RaftEngine, PeerIronwal],
        goals: &[goal(Ours, 1.0 / 1.3, Than::One(Mapped))],
        work: Work::Open(Left::Active(64 << 20)),
    },
    Workload {
        id: "W11",
        title: "bytes to the device, 100 MB in Strict batches of 100",
        unit: Unit::Ratio,
        contenders: STRICT_PEERS,
        goals: &[goal(Ours, 1.0 / 1.05, Than::One(Growing))],
        work: Work::Bytes { payload_len: 100_000_000, batch: 100, durability: Durability::Strict },
    },
    Workload {
        id: "W11-async",
        title: "bytes to the device, 100 MB in Async batches of 100",
        unit: Unit::Ratio,
        contenders: ASYNC_WRITERS,
        goals: &[goal(Ours, 1.0 / 1.05, Than::One(Growing))],
        work: Work::Bytes { payload_len: 100_000_000, batch: 100, durability: Durability::Async },
    },
    Workload {
        id: "W12",
        title: "memory of 10,000 open streams, 100 of them busy",
        unit: Unit::Megabytes,
        contenders: &[Ours, RaftEngine, RocksDb, PeerIronwal],
        goals: &[goal(Ours, 1.0, Than::Value(10.0))],
        work: Work::Memory { stream_count: 10_000, busy_count: 100 },
    },
    Workload {
        id: "W13",
        title: "make 10,000 streams durably, an entry in each, 16 threads",
        unit: Unit::Rate,
        contenders: &[Growing, Syncfs, Ours, WalDb, RaftEngine, RocksDb, PeerIronwal],
        goals: &[goal(Ours, 0.9, Than::BestLimit)],
        work: Work::Create { stream_count: 10_000, thread_count: 16 },
    },
];
