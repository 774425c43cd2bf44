//! What one second was like.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ironwal::Wal;
use serde::Serialize;

use super::load::Load;
use crate::contender::Result;
use crate::process;
use crate::report::number_of;

/// What was seen at its end. What is counted is counted from the beginning.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Second {
    /// Seconds since the beginning.
    pub at: f64,
    /// Bytes of memory, pages of files included.
    pub resident_len: f64,
    /// Bytes of memory that are no pages of files.
    pub anonymous_len: f64,
    pub handles: f64,
    /// Segments that the log says it keeps mapped.
    pub mapped: f64,
    /// Bytes of the disk.
    pub disk_len: f64,
    /// Appends of this second alone; the next three are how long they took, in microseconds.
    pub appends: f64,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    pub entries: f64,
    pub gets: f64,
    pub iterated: f64,
    pub overtaken: f64,
    pub removed: f64,
}

impl Second {
    pub(super) fn look(at: Duration, wal: (&Wal, &Path), load: &Load) -> Result<Self> {
        let (wal, dir) = wal;
        #[expect(clippy::cast_precision_loss, reason = "there is not 2^52 of anything")]
        let float = |number: u64| number as f64;
        let read = |counter: &std::sync::atomic::AtomicU64| float(counter.load(Ordering::Relaxed));
        let (latencies, counters) = (load.latencies()?, load.counters());
        let micros = |nanos: u64| float(nanos) / 1e3;
        Ok(Self {
            at: at.as_secs_f64(),
            resident_len: float(process::resident_len()?),
            anonymous_len: float(process::anonymous_len()?),
            handles: float(process::open_handle_count()? as u64),
            mapped: float(wal.stats().mapped_segment_count as u64),
            disk_len: float(process::used_len(dir)?),
            appends: float(latencies.len()),
            p50: micros(latencies.value_at_quantile(0.5)),
            p99: micros(latencies.value_at_quantile(0.99)),
            max: micros(latencies.max()),
            entries: read(&counters.entries),
            gets: read(&counters.gets),
            iterated: read(&counters.iterated),
            overtaken: read(&counters.overtaken),
            removed: read(&counters.removed),
        })
    }

    /// In one line.
    pub(super) fn describe(&self) -> String {
        format!(
            "  {:4.0} s: {} appends/s, p50 {} us, p99 {} us, {} MB resident, {} open files, {} MB on disk",
            self.at,
            number_of(self.appends),
            number_of(self.p50),
            number_of(self.p99),
            number_of(self.resident_len / 1e6),
            self.handles,
            number_of(self.disk_len / 1e6),
        )
    }
}
