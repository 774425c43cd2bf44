//! Memory for the frame of one entry, kept by each thread from one append to the next.
//!
//! What it deliberately does not do: it keeps no more than what frames of usual entries need, so that
//! threads that once appended something large, or many threads, do not hold on to much.

use std::cell::Cell;

/// How much memory a thread keeps at most, in bytes.
const MAX_KEPT_LEN: usize = 64 << 10;

thread_local! {
    static KEPT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Memory to prepare a frame in: that of the last one of this thread, if it was kept.
#[inline]
pub(crate) fn take() -> Vec<u8> {
    // Of a thread that is ending nothing is kept.
    KEPT.try_with(Cell::take).unwrap_or_default()
}

/// Keeps memory for the next frame of this thread.
#[inline]
pub(crate) fn keep(memory: Vec<u8>) {
    if memory.capacity() <= MAX_KEPT_LEN {
        KEPT.try_with(|kept| kept.set(memory)).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_taken_once_and_nothing_large_is_kept() {
        keep(Vec::with_capacity(100));
        assert!(take().capacity() >= 100);
        assert_eq!(take().capacity(), 0);
        keep(Vec::with_capacity(MAX_KEPT_LEN + 1));
        assert_eq!(take().capacity(), 0);
    }
}
