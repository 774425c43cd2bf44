//! The opening of a stream, which recovers it, and its making.

use ironwal_format::StreamId;
use ironwal_stream::{OpenStream, Opened, StreamReport};

use super::{Live, StreamState, ViewSlot, WriteSlot, pack};
use crate::budget::weak;
use crate::commit::GroupCommit;
use crate::environment::Environment;
use crate::error::{Error, IoOp, Result};
use crate::report::RecoveryReport;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::view::View;

impl StreamState {
    /// Opens the stream if it was not, and makes it if there is none.
    #[inline]
    pub(super) fn open_for_append(self: &Arc<Self>, slot: &mut WriteSlot) -> Result<()> {
        self.open_if_unopened(slot)?;
        if !matches!(slot, WriteSlot::Absent) {
            return Ok(());
        }
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(self.closed());
        }
        let Environment { storage, host, .. } = &self.shared.environment;
        let random = host
            .random_id()
            .map_err(|source| Error::of_stream_io(self.name(), IoOp::Random, source));
        let created = random.and_then(|id| {
            let (id, options) = (StreamId::new(id), self.shared.options.stream);
            ironwal_stream::create(storage, &self.key, id, options, host.unix_nanos())
                .map_err(|error| self.below(&error))
        });
        match created {
            Ok(stream) => {
                self.install(stream, slot);
                Ok(())
            }
            Err(error) => {
                // An empty stream may be there: the next call looks again.
                *slot = WriteSlot::Unopened;
                *self.view.write() = ViewSlot::Unopened;
                Err(error)
            }
        }
    }

    /// Opens the stream, and so recovers it, if it was not.
    #[inline]
    pub(super) fn open_if_unopened(self: &Arc<Self>, slot: &mut WriteSlot) -> Result<()> {
        if !matches!(slot, WriteSlot::Unopened) {
            return Ok(());
        }
        if self.shared.closed.load(Ordering::SeqCst) {
            return Err(self.closed());
        }
        let Environment { storage, host, .. } = &self.shared.environment;
        let options = self.shared.options.stream;
        let opened = ironwal_stream::open(storage, &self.key, options, host.unix_nanos())
            .map_err(|error| self.below(&error))?;
        match opened {
            Opened::Absent => {
                *slot = WriteSlot::Absent;
                *self.view.write() = ViewSlot::Absent;
            }
            Opened::Ready(stream, report) => {
                self.keep(report);
                self.install(*stream, slot);
            }
            Opened::Refused(view, report) => {
                let report = self.keep(report);
                let found = report.damage.first().map(|damage| damage.error.clone());
                let error = found.expect("a stream is refused for damage");
                *self.view.write() = match view {
                    Some(view) => ViewSlot::Open(Box::new(View::new(view))),
                    None => ViewSlot::Unreadable(error.clone()),
                };
                *slot = WriteSlot::Refused(error);
            }
        }
        Ok(())
    }

    fn install(self: &Arc<Self>, stream: OpenStream, slot: &mut WriteSlot) {
        let OpenStream { write, sync, view } = stream;
        let group = GroupCommit::new(view.next.get(), sync);
        let mark = AtomicU64::new(pack(write.written_mark()));
        let installed = self.live.set(Live { group, mark });
        assert!(installed.is_ok(), "a stream is opened once in the life of its state");
        *self.view.write() = ViewSlot::Open(Box::new(View::new(view)));
        self.used.store(true, Ordering::Relaxed);
        self.shared.reading.files.taken(weak(self));
        *slot = WriteSlot::Open(Box::new(write));
    }

    fn keep(&self, report: StreamReport) -> &RecoveryReport {
        self.report.get_or_init(|| Box::new(RecoveryReport::new(report)))
    }
}
