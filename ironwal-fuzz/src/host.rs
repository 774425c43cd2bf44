//! A host whose ids are counted and whose clock stands still: the same calls make the same bytes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ironwal::Host;

/// Gives out ids one after the other, and always the same time.
#[derive(Debug)]
pub struct CountingHost {
    next_id: AtomicU64,
}

impl CountingHost {
    /// A host whose first id is this one.
    pub fn starting_at(first: u64) -> Arc<Self> {
        Arc::new(CountingHost { next_id: AtomicU64::new(first) })
    }
}

impl Host for CountingHost {
    fn random_id(&self) -> io::Result<[u8; 16]> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Ok(u128::from(id).to_le_bytes())
    }

    fn unix_nanos(&self) -> u64 {
        1_700_000_000_000_000_000
    }
}
