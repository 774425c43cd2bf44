//! The end of a state: the log is closed, the stream is reopened or deleted.

use ironwal_stream::Deleted;

use super::{Death, Live, StreamState, ViewSlot, WriteSlot};
use crate::error::{Error, IoOp, Result, Stop};
use crate::view::View;
use crate::wal::is_stream;

impl StreamState {
    /// Makes everything durable, records how far that is, and lets go of everything. Later calls get
    /// the error that the log is closed.
    pub(crate) fn close(&self) -> Result<()> {
        // Of a state that is open, its last sync will tell.
        let debt = self.debt();
        let is_open = {
            let mut slot = self.write.lock();
            match std::mem::replace(&mut *slot, WriteSlot::Closed) {
                WriteSlot::Open(write) => {
                    *slot = WriteSlot::Closing(write);
                    true
                }
                dead @ WriteSlot::Dead(_) => {
                    *slot = dead;
                    return Ok(());
                }
                WriteSlot::Unopened
                | WriteSlot::Absent
                | WriteSlot::Closing(_)
                | WriteSlot::Refused(_)
                | WriteSlot::Closed => false,
            }
        };
        let result = match debt {
            _ if is_open => self.close_group(),
            Some(stop) => Err(Error::after_write(self.name(), stop)),
            None => Ok(()),
        };
        let ended = std::mem::replace(&mut *self.write.lock(), WriteSlot::Closed);
        drop(ended);
        *self.view.write() = ViewSlot::Closed;
        result
    }

    /// Whether reopening would change anything: the stream is fenced, or was refused, or this state is
    /// dead already.
    pub(crate) fn is_stopped(&self) -> bool {
        if self.live.get().is_some_and(|live| live.group.fenced().is_some()) {
            return true;
        }
        matches!(&*self.write.lock(), WriteSlot::Refused(_) | WriteSlot::Dead(_))
    }

    /// Whether anything may be written that is not durable.
    pub(crate) fn may_need_sync(&self) -> bool {
        if self.debt().is_some() {
            return true;
        }
        match (&*self.write.lock(), self.live.get()) {
            (WriteSlot::Open(write), Some(live)) => !write.is_synced(live.mark()),
            // Of a dead one the state in its place tells, and of a closed one nothing is known here: its
            // last sync may have failed.
            (
                WriteSlot::Closing(_)
                | WriteSlot::Unopened
                | WriteSlot::Dead(_)
                | WriteSlot::Closed,
                _,
            ) => true,
            (WriteSlot::Open(_) | WriteSlot::Absent | WriteSlot::Refused(_), _) => false,
        }
    }

    /// Whether the stream was refused for what was found when it was opened.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(&*self.write.lock(), WriteSlot::Refused(_))
    }

    /// Why entries that were acknowledged may not be durable, if so.
    pub(crate) fn debt(&self) -> Option<Stop> {
        let Some(live) = self.live.get() else {
            let is_absent = matches!(&*self.write.lock(), WriteSlot::Absent);
            return self.debt.clone().filter(|_| !is_absent);
        };
        let is_owing = self.peek(View::next).is_some_and(|next| next > live.durable());
        is_owing.then(|| match live.group.fenced() {
            Some(stop @ (Stop::Failed(_) | Stop::Panicked)) => stop,
            Some(Stop::Closed | Stop::Deleted) | None => Stop::Closed,
        })
    }

    /// Whether another state has taken the place of this one, or will.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(&*self.write.lock(), WriteSlot::Dead(_))
    }

    /// Makes this state dead, so that another can take its place; waits for whoever leads. Gives what it
    /// owes.
    pub(crate) fn retire(&self, death: Death) -> Option<Stop> {
        let ended = std::mem::replace(&mut *self.write.lock(), WriteSlot::Dead(death));
        drop(ended);
        if let Some(live) = self.live.get() {
            let stop = match death {
                Death::Replaced => Stop::Closed,
                Death::Deleted => Stop::Deleted,
            };
            // The group is stopped or will never be used again: nobody waits for its answer.
            drop(live.group.close(|_| Err(stop)));
        }
        // Nothing is acknowledged any more, and what was is still to be seen.
        let debt = self.debt();
        *self.view.write() = ViewSlot::Dead(death);
        self.shared.retired.add(&self.counters);
        debt
    }

    /// Whether there is no such stream.
    pub(crate) fn is_absent(&self) -> Result<bool> {
        let slot = self.write.lock();
        if !matches!(&*slot, WriteSlot::Unopened | WriteSlot::Absent) {
            return Ok(false);
        }
        Ok(!is_stream(&*self.shared.environment.storage, &self.key)?)
    }

    /// Removes the stream from the disk. This state is dead, and still stands in the place of its key, so
    /// that nobody makes the stream anew meanwhile.
    pub(crate) fn delete_files(&self) -> Result<Deleted> {
        let environment = &self.shared.environment;
        let id = environment
            .host
            .random_id()
            .map_err(|source| Error::of_stream_io(self.name(), IoOp::Random, source))?;
        ironwal_stream::delete(&*environment.storage, &self.key, id)
            .map_err(|error| self.below(&error))
    }

    /// The last sync of the stream, and its floor.
    fn close_group(&self) -> Result<()> {
        let Some(live) = self.live.get() else { return Ok(()) };
        let mut floor_written = Ok(());
        let mut was_stopped = true;
        let closed = live.group.close(|sync| {
            was_stopped = false;
            let durable = self.lead(live, sync)?;
            if let Some(floor) = self.closing_floor(live) {
                floor_written = sync.write_floor(floor);
            }
            Ok(durable)
        });
        match closed {
            Ok(()) => floor_written.map_err(|error| self.below(&error)),
            // There is nothing any more that could be made durable.
            Err(Stop::Deleted) => Ok(()),
            // It was fenced before: all who waited were told, unless their entries were only written.
            Err(_) if was_stopped && self.debt().is_none() => Ok(()),
            Err(stop) => Err(Error::after_write(self.name(), stop)),
        }
    }

    fn closing_floor(&self, live: &Live) -> Option<ironwal_format::index::SegmentRecord> {
        match &*self.write.lock() {
            WriteSlot::Closing(write) if write.is_synced(live.mark()) => Some(write.floor()),
            WriteSlot::Closing(_)
            | WriteSlot::Unopened
            | WriteSlot::Absent
            | WriteSlot::Open(_)
            | WriteSlot::Refused(_)
            | WriteSlot::Closed
            | WriteSlot::Dead(_) => None,
        }
    }
}
