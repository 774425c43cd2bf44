//! Letting go of the file of an idle stream.

use ironwal_stream::WriteSide;

use super::{Live, StreamState, ViewSlot, WriteSlot};
use crate::budget::{Release, Released, weak};
use crate::sync::Arc;
use crate::sync::atomic::Ordering;

impl StreamState {
    /// Runs what may open the file of the stream, and lets the budget count it if it did.
    pub(super) fn noting_use<R>(
        self: &Arc<Self>,
        write: &mut WriteSide,
        run: impl FnOnce(&mut WriteSide) -> R,
    ) -> R {
        let held_before = write.holds_file();
        let result = run(write);
        self.used.store(true, Ordering::Relaxed);
        if !held_before && write.holds_file() {
            self.shared.reading.files.taken(weak(self));
        }
        result
    }

    /// Lets go of the file if that needs no sync and no floor is due; `None` if either does.
    fn try_park_at_once(&self, live: &Live) -> Option<Released> {
        let Some(mut slot) = self.write.try_lock() else { return Some(Released::No) };
        let WriteSlot::Open(write) = &mut *slot else {
            // Whoever closes the stream, or has made it dead, lets go of everything.
            return Some(Released::Yes);
        };
        if live.group.fenced().is_some() {
            // Nothing of it will be synced any more.
            write.abandon();
            self.park_view();
            return Some(Released::Yes);
        }
        if !write.holds_file() {
            return Some(Released::Yes);
        }
        None
    }

    fn park_view(&self) {
        if let ViewSlot::Open(view) = &mut *self.view.write() {
            view.park();
        }
    }
}

impl Release for StreamState {
    /// Closes the file, unless somebody is using it.
    ///
    /// 1. Take the sync side, if nobody leads: from here on nobody else syncs.
    /// 2. Sync what was written since the last sync. If that fails the stream is fenced, which is what
    ///    its next caller is told.
    /// 3. If much was made durable since the last floor, open the index for another, and sync the one that
    ///    was noted before.
    /// 4. Take the write slot, if nobody has it. If something was written meanwhile, leave it at that:
    ///    a file with unsynced bytes is never closed.
    /// 5. Close the file, of writers and readers, and write the floor, unsynced. One that cannot be
    ///    written, or is lost, harms nothing: all it would vouch for is durable.
    fn try_release(&self) -> Released {
        if self.used.swap(false, Ordering::Relaxed) {
            return Released::No;
        }
        let Some(live) = self.live.get() else { return Released::Yes };
        if let Some(released) = self.try_park_at_once(live) {
            return released;
        }
        let mut released = Released::No;
        let done = live.group.try_exclusive(|sync| {
            let durable = self.lead(live, sync)?;
            let floor = sync.prepare_floor(live.mark())?;
            let Some(mut slot) = self.write.try_lock() else { return Ok(durable) };
            let WriteSlot::Open(write) = &mut *slot else { return Ok(durable) };
            write.park(live.mark());
            if !write.holds_file() {
                released = Released::Yes;
                self.park_view();
                if let Some(room) = floor {
                    sync.note_floor(&room, write.floor());
                }
            }
            Ok(durable)
        });
        match done {
            Some(Ok(())) | None => released,
            // Fenced, and so told to the next caller: nothing of it will be synced any more.
            Some(Err(_)) => self.try_park_at_once(live).unwrap_or(Released::No),
        }
    }
}
