//! What is asked of a stream beside appending and reading: to sync, to rotate, to let go of its first
//! entries, and to tell of itself.

use ironwal_format::SequenceNumber;
use ironwal_format::index::SegmentRecord;
use ironwal_stream::{Admission, SegmentName, SyncSide, TruncateError, Truncation, WriteSide};

use super::{Live, StreamState, ViewSlot, WriteSlot};
use crate::error::{Error, Result, Stop};
use crate::stats::StreamStats;
use crate::sync::Arc;
use crate::view::View;

impl StreamState {
    /// Makes everything durable that was appended before, also by a process that was killed: that is what
    /// opening the stream does.
    pub(crate) fn sync(self: &Arc<Self>) -> Result<()> {
        self.open()?;
        let synced = self.sync_written();
        self.shared.reading.settle();
        synced
    }

    fn sync_written(&self) -> Result<()> {
        let written = match &mut *self.write.lock() {
            WriteSlot::Open(write) => write.next(),
            WriteSlot::Unopened | WriteSlot::Absent => return Ok(()),
            WriteSlot::Refused(error) => return Err(error.clone()),
            WriteSlot::Closing(_) | WriteSlot::Closed => return Err(self.closed()),
            WriteSlot::Dead(death) => return Err(self.dead(*death)),
        };
        let Some(live) = self.live.get() else { return Ok(()) };
        if let Some(stop) = live.group.fenced() {
            return Err(Error::before_write(self.name(), stop));
        }
        let synced = self.commit(live, live.group.approach(), written);
        synced.map_err(|stop| Error::after_write(self.name(), stop))
    }

    /// Ends the active segment, durably, if it holds anything. Gives the number that the next append gets.
    pub(crate) fn rotate(self: &Arc<Self>) -> Result<SequenceNumber> {
        let reading = &self.shared.reading;
        let rotated = reading.files.with_room(|| self.rotate_and_sync());
        reading.settle();
        rotated.map_err(|error| self.explain(error, None))
    }

    fn rotate_and_sync(self: &Arc<Self>) -> Result<SequenceNumber> {
        loop {
            let mut slot = self.write.lock();
            self.open_if_unopened(&mut slot)?;
            if matches!(&*slot, WriteSlot::Absent) {
                return Ok(SequenceNumber::ZERO);
            }
            let write = self.writable(&mut slot)?;
            let live = self.live.get().expect("a stream that is open for appending has a group");
            if let Some(stop) = live.group.fenced() {
                return Err(Error::before_write(self.name(), stop));
            }
            let next = write.next();
            if write.rotation_admission(live.mark()) == Admission::AfterSync {
                drop(slot);
                self.await_rotation(live, next)?;
                continue;
            }
            let now = || self.shared.environment.host.unix_nanos();
            let rotated = self.noting_use(write, |write| write.rotate(live.mark(), now));
            rotated.map_err(|error| self.not_placed(live, error))?;
            // Else nothing was written since it was parked, and its file stays closed.
            if write.holds_file() && write.may_show(live.durable()) {
                let change = write.take_change().map_err(|error| self.below(&error))?;
                self.publish(change);
            }
            drop(slot);
            let synced = live.group.exclusive(|sync| self.lead(live, sync));
            synced.map_err(|stop| Error::after_write(self.name(), stop))?;
            return Ok(next);
        }
    }

    /// Removes the segments that hold only entries below `seq`. Gives the number of the first entry that
    /// is left.
    pub(crate) fn truncate_before(self: &Arc<Self>, seq: SequenceNumber) -> Result<SequenceNumber> {
        let reading = &self.shared.reading;
        let truncated = reading.files.with_room(|| self.truncate(seq));
        reading.settle();
        truncated.map_err(|error| self.explain(error, None))
    }

    fn truncate(self: &Arc<Self>, seq: SequenceNumber) -> Result<SequenceNumber> {
        self.open()?;
        {
            let mut slot = self.write.lock();
            if matches!(&*slot, WriteSlot::Absent) {
                return Ok(SequenceNumber::ZERO);
            }
            self.writable(&mut slot)?;
        }
        let Some(live) = self.live.get() else { return Ok(SequenceNumber::ZERO) };
        let mut failure = None;
        let done = live.group.exclusive(|sync| {
            // Not an error of the group: whoever closes the stream has its last sync to make.
            let Some(held) = self.hold_rotations() else { return Ok(live.group.durable()) };
            let durable = self.lead(live, sync)?;
            let first = self.peek(|view| view.first_kept(seq)).flatten();
            let first = first.filter(|first| !sync.starts_at(first.ordinal));
            let floor = held.floor(live, SequenceNumber::new(durable));
            failure = match (first, floor) {
                (Some(first), Some(floor)) => {
                    self.remove_in_front(sync, Truncation { first, floor })?
                }
                (Some(_) | None, _) => self.removed(sync.remove_gone())?,
            };
            Ok(durable)
        });
        done.map_err(|stop| Error::before_write(self.name(), stop))?;
        match failure {
            Some(error) => Err(error),
            // Or that the stream was closed, or deleted, before anything was done.
            None => self.read(|view| view.map_or(SequenceNumber::ZERO, View::first)),
        }
    }

    /// Removes segments; gives the failure that left everything as it was, or files behind, for the next
    /// truncation or opening to remove.
    fn remove_in_front(
        &self,
        sync: &mut SyncSide,
        truncation: Truncation,
    ) -> Result<Option<Error>, Stop> {
        let publish = || self.truncate_view(truncation.first);
        self.removed(sync.truncate(truncation, publish))
    }

    fn removed(&self, removed: Result<(), TruncateError>) -> Result<Option<Error>, Stop> {
        match removed {
            Ok(()) => Ok(None),
            Err(TruncateError::NotBegun(error) | TruncateError::NotRemoved(error)) => {
                Ok(Some(self.below(&error)))
            }
            Err(TruncateError::Unknown(error)) => Err(Stop::Failed(error)),
        }
    }

    fn truncate_view(&self, first: SegmentName) {
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.truncate(first);
        }
    }

    /// Lets no rotation begin until what this gives is dropped; `None` if the stream takes no appends.
    fn hold_rotations(&self) -> Option<HeldRotations<'_>> {
        let mut slot = self.write.lock();
        self.writable(&mut slot).ok()?.hold_rotations();
        Some(HeldRotations(self))
    }

    /// What is to be told of a stream.
    pub(crate) fn stats(self: &Arc<Self>) -> Result<StreamStats> {
        let mut stats = self.read(|view| {
            view.map_or_else(StreamStats::default, |view| StreamStats {
                first_seq: view.first().get(),
                next_seq: view.next().get(),
                segment_count: view.segment_count(),
                byte_len: view.byte_len(),
                ..StreamStats::default()
            })
        })?;
        stats.durable_seq = self.durable()?.get().min(stats.next_seq);
        stats.counts = self.counters.read();
        Ok(stats)
    }
}

/// The right to replace the index: while it lives, no rotation begins.
struct HeldRotations<'a>(&'a StreamState);

impl HeldRotations<'_> {
    /// How much of the active segment is durable.
    fn floor(&self, live: &Live, durable: SequenceNumber) -> Option<SegmentRecord> {
        self.with_write(|write| write.floor_at(live.mark(), durable))
    }

    fn with_write<R>(&self, run: impl FnOnce(&mut WriteSide) -> R) -> Option<R> {
        match &mut *self.0.write.lock() {
            WriteSlot::Open(write) | WriteSlot::Closing(write) => Some(run(write)),
            WriteSlot::Unopened
            | WriteSlot::Absent
            | WriteSlot::Refused(_)
            | WriteSlot::Closed
            | WriteSlot::Dead(_) => None,
        }
    }
}

impl Drop for HeldRotations<'_> {
    fn drop(&mut self) {
        self.with_write(WriteSide::allow_rotations);
    }
}
