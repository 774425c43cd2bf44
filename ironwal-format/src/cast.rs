//! The two conversions between `usize` and `u64` that our targets make lossless, in one place.

const _: () = assert!(usize::BITS == 64, "IronWal runs on 64-bit targets");

/// A length in memory, as a length on disk.
pub const fn u64_from(len: usize) -> u64 {
    // `usize` has 64 bits, asserted above.
    len as u64
}

/// A length on disk, as a length in memory.
#[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits, asserted above")]
pub const fn usize_from(len: u64) -> usize {
    len as usize
}

/// A 32-bit length on disk, as a length in memory.
pub const fn usize_from_u32(len: u32) -> usize {
    len as usize
}
