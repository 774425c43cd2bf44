//! Model L8: the committed mark, between the leader who publishes it and those who read.

use super::{Disk, Stop};
use crate::{
    commit::GroupCommit,
    sync::{Arc, RwLock, thread},
};

/// A stream as a reader sees it: the view is behind a lock of its own, which is held for no I/O.
struct Stream {
    disk: Disk,
    group: GroupCommit<(), Stop>,
    view: RwLock<View>,
}

/// What readers may see; in a stream, with the list of segments.
#[derive(Clone, Copy)]
struct View {
    committed: u64,
}

impl Stream {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            disk: Disk::new(),
            group: GroupCommit::new(0, ()),
            view: RwLock::new(View { committed: 0 }),
        })
    }

    /// Appends; the leader shows the entries to readers when they are durable and before anybody is
    /// told so.
    fn append(&self) {
        let end = self.disk.write();
        let sync = |(): &mut ()| {
            let covered = self.disk.lead();
            self.view.write().committed = covered;
            Ok(covered)
        };
        assert_eq!(self.group.commit(end, sync), Ok(()));
        // Who appended sees the entry.
        assert!(end <= self.read(), "{end} was acknowledged and cannot be seen");
    }

    /// Reads the mark, and everything below it is there.
    fn read(&self) -> u64 {
        let view = *self.view.read();
        self.disk.assert_synced(view.committed);
        view.committed
    }
}

/// L8: a reader never sees what is not durable, its mark never goes back, and who appended sees its
/// own entry.
///
/// Catches: publishing the view before the sync; publishing it after the commit returned.
#[test]
fn the_committed_mark_is_synced_never_goes_back_and_shows_what_was_acknowledged() {
    loom::model(|| {
        let stream = Stream::new();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let stream = Arc::clone(&stream);
                thread::spawn(move || stream.append())
            })
            .collect();
        let first = stream.read();
        let second = stream.read();
        assert!(first <= second, "the mark went from {first} back to {second}");
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(stream.read(), 2);
    });
}
