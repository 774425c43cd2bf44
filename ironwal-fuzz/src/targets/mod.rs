//! The bodies of the fuzz targets: functions of bytes, which panic where a promise is broken.
//!
//! A fuzzer knows nothing of checksums. So each target begins with a byte of switches, some of which have
//! the checksums made right before anything is decoded: what is behind them is reached as well.

pub mod directory;
pub mod frame;
pub mod index;
mod input;
pub mod lz4;
mod mend;
pub mod operations;
pub mod segment_scan;
pub mod stream_key;

/// A target: it panics where a promise is broken.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const ALL: &[(&str, Target)] = &[
    ("directory", directory::run),
    ("frame", frame::run),
    ("index", index::run),
    ("lz4", lz4::run),
    ("operations", operations::run),
    ("segment_scan", segment_scan::run),
    ("stream_key", stream_key::run),
];
