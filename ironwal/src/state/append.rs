//! Appending to a stream: placing a frame, committing it, and publishing what is committed.

use ironwal_format::SequenceNumber;
use ironwal_format::frame::PreparedFrame;
use ironwal_stream::{Admission, AppendError, SyncSide, ViewChange, WriteSide};

use super::{Death, Live, StreamState, ViewSlot, WriteSlot, pack};
use crate::commit::OnWay;
use crate::error::{Error, Result, Stop};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

/// When entries are committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Commit {
    /// When they are durable.
    Durable,
    /// When they are written.
    Written,
}

/// What came of placing a frame.
enum Placed {
    /// It is committed, and readers see it.
    Committed,
    /// The same, and whoever rotates makes that durable, so that an idle stream holds one file.
    CommittedInNext,
    /// It is committed when it is durable.
    AwaitsSync,
}

impl StreamState {
    /// Appends the entries of a frame; they are committed when this returns. Gives one past the last.
    pub(crate) fn append(
        self: &Arc<Self>,
        frame: &mut PreparedFrame,
        commit: Commit,
    ) -> Result<SequenceNumber> {
        let reading = &self.shared.reading;
        let appended = reading.files.with_room(|| self.append_and_commit(frame, commit));
        reading.settle();
        // Somebody may have removed the directory.
        appended.map_err(|error| self.explain(error, None))
    }

    #[inline]
    fn append_and_commit(
        self: &Arc<Self>,
        frame: &mut PreparedFrame,
        commit: Commit,
    ) -> Result<SequenceNumber> {
        // Before the lock, so that whoever leads knows of us.
        let announced = || self.live.get().map(|live| live.group.approach());
        let mut on_way = if commit == Commit::Durable { announced() } else { None };
        let (end, live) = loop {
            let mut slot = self.write.lock();
            self.open_for_append(&mut slot)?;
            let write = self.writable(&mut slot)?;
            let live = self.live.get().expect("a stream that is open for appending has a group");
            if let Some(stop) = live.group.fenced() {
                return Err(Error::before_write(self.name(), stop));
            }
            match write.admission(frame, live.mark()) {
                Admission::Now => {
                    let end = self.place(write, live, frame)?;
                    match self.publish_written(write, live, commit)? {
                        Placed::Committed => return Ok(end),
                        Placed::CommittedInNext => {
                            drop(slot);
                            // What was promised is so, whatever comes of this: a failure fences the
                            // stream, and is told to its next caller.
                            drop(self.commit(live, live.group.approach(), end));
                            return Ok(end);
                        }
                        Placed::AwaitsSync => {
                            on_way = on_way.or_else(|| Some(live.group.approach()));
                            break (end, live);
                        }
                    }
                }
                Admission::AfterSync => {
                    let written = write.next();
                    drop(slot);
                    drop(on_way.take());
                    self.await_rotation(live, written)?;
                }
            }
        };
        let on_way = on_way.unwrap_or_else(|| live.group.approach());
        self.commit(live, on_way, end).map_err(|stop| Error::after_write(self.name(), stop))?;
        Ok(end)
    }

    /// Waits until a rotation may be made: syncs what is written, or waits for whoever replaces the index.
    pub(super) fn await_rotation(&self, live: &Live, written: SequenceNumber) -> Result<()> {
        let done = if live.durable() < written {
            self.commit(live, live.group.approach(), written)
        } else {
            live.group.exclusive(|sync| self.lead(live, sync))
        };
        done.map_err(|stop| Error::before_write(self.name(), stop))
    }

    /// Writes a frame.
    fn place(
        self: &Arc<Self>,
        write: &mut WriteSide,
        live: &Live,
        frame: &mut PreparedFrame,
    ) -> Result<SequenceNumber> {
        let now = || self.shared.environment.host.unix_nanos();
        let placed = self.noting_use(write, |write| write.append(frame, live.mark(), now));
        let end = placed.map_err(|error| self.not_placed(live, error))?;
        self.counters.count_append(u64::from(frame.entry_count()), frame.frame_len());
        Ok(end)
    }

    /// Tells what came of a write that failed, and fences the stream if it could not be undone.
    pub(super) fn not_placed(&self, live: &Live, error: AppendError) -> Error {
        match error {
            AppendError::NotWritten(error) => self.below(&error),
            AppendError::Broken(error) => {
                live.group.fence(Stop::Failed(error.clone()));
                Error::after_write(self.name(), Stop::Failed(error))
            }
        }
    }

    /// Shows readers what was written, if that is all that committing it takes and nothing in front of
    /// it is to become durable first.
    fn publish_written(
        &self,
        write: &mut WriteSide,
        live: &Live,
        commit: Commit,
    ) -> Result<Placed> {
        if commit == Commit::Durable || !write.may_show(live.durable()) {
            write.withhold();
            return Ok(Placed::AwaitsSync);
        }
        let change = write.take_change().map_err(|error| self.below(&error))?;
        self.publish(change);
        Ok(if write.is_rotation_due() { Placed::CommittedInNext } else { Placed::Committed })
    }

    #[inline]
    pub(super) fn publish(&self, change: ViewChange) {
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.apply(change);
        }
    }

    /// Commits everything before `end`, leading if nobody else does.
    pub(super) fn commit(
        &self,
        live: &Live,
        on_way: OnWay<'_, SyncSide, Stop>,
        end: SequenceNumber,
    ) -> Result<(), Stop> {
        on_way.commit(end.get(), |sync| self.lead(live, sync))
    }

    /// Makes durable, and publishes, everything that is written when this begins. Gives one past the
    /// last entry that is durable.
    pub(super) fn lead(&self, live: &Live, sync: &mut SyncSide) -> Result<u64, Stop> {
        let (work, withheld) = {
            let mut slot = self.write.lock();
            // A file that was let go of for that is not opened again.
            if let Some(stop) = live.group.fenced() {
                return Err(stop);
            }
            match &mut *slot {
                WriteSlot::Open(write) | WriteSlot::Closing(write) => {
                    if write.is_synced(live.mark()) {
                        return Ok(live.group.durable());
                    }
                    let change = write.take_change()?;
                    let withheld = if write.may_show(live.durable()) {
                        // Whoever writes while this syncs tells readers of it at once: this has to come
                        // before that.
                        self.publish(change);
                        None
                    } else {
                        Some(change)
                    };
                    (write.take_work()?, withheld)
                }
                WriteSlot::Dead(Death::Deleted) => return Err(Stop::Deleted),
                WriteSlot::Dead(Death::Replaced)
                | WriteSlot::Unopened
                | WriteSlot::Absent
                | WriteSlot::Refused(_)
                | WriteSlot::Closed => return Err(Stop::Closed),
            }
        };
        let synced = sync.sync(work)?;
        self.counters.count_sync();
        // Whoever undoes a failed write holds the slot, and syncs the same file: a failure is told once
        // for each open file, so theirs may be what this sync should have told. And nobody parks the
        // file between the mark and the view.
        let slot = self.write.lock();
        if let Some(stop) = live.group.fenced() {
            return Err(stop);
        }
        live.mark.store(pack(synced.mark), Ordering::Release);
        if let Some(change) = withheld {
            self.publish(change);
        }
        drop(slot);
        Ok(synced.next.get())
    }
}
