//! Models L5, L6, L7 and L13: group commit.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Disk, Stop};
use crate::{
    commit::GroupCommit,
    sync::{Arc, thread},
};

/// A stream of which only group commit is real.
struct Stream<S> {
    disk: Disk,
    group: GroupCommit<S, Stop>,
}

impl<S> Stream<S> {
    fn new(side: S) -> Arc<Self> {
        Arc::new(Self { disk: Disk::new(), group: GroupCommit::new(0, side) })
    }

    /// Appends as a stream does, and holds what it is told against the disk.
    fn append(&self) -> Result<(), Stop> {
        let end = self.disk.write();
        self.group.commit(end, |_| Ok(self.disk.lead()))?;
        self.disk.assert_synced(end);
        Ok(())
    }
}

/// L5: each of three appenders is acknowledged only after a sync that began after its write, and
/// each is acknowledged. (That there is one leader is the compiler's doing: the sync side is
/// moved.)
///
/// Catches: taking the covered end after the sync; publishing it before the sync; not waking those
/// who wait; waking one of them only; a durable end that is told to nobody without the lock.
#[test]
fn each_append_is_acknowledged_after_a_sync_that_began_after_its_write() {
    loom::model(|| {
        let stream = Stream::new(());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let stream = Arc::clone(&stream);
                thread::spawn(move || stream.append().and_then(|()| stream.append()))
            })
            .collect();
        assert_eq!(stream.append(), Ok(()));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Ok(()));
        }
        assert_eq!(stream.group.durable(), 5);
    });
}

/// L5 with announcements: a leader who waits for those on their way neither misses them nor waits
/// for ever for who does not come.
///
/// Catches: waiting for announced callers without a limit; as the model before.
#[test]
fn gathering_delays_nobody_for_ever() {
    loom::model(|| {
        let stream = Stream::new(());
        let leaver = Arc::clone(&stream);
        let thread = thread::spawn(move || {
            // A caller whose write failed.
            drop(leaver.group.approach());
            let on_way = leaver.group.approach();
            let end = leaver.disk.write();
            let answer = on_way.commit(end, |()| Ok(leaver.disk.lead()));
            leaver.disk.assert_synced(end);
            answer
        });
        assert_eq!(stream.append(), Ok(()));
        assert_eq!(stream.append(), Ok(()));
        assert_eq!(thread.join().unwrap(), Ok(()));
    });
}

/// L6: after a failed sync nobody gets `Ok`, and nobody syncs again: a second sync would report
/// success for pages that the first has lost.
///
/// Catches: giving the sync side back after a failure; telling only the leader; a failure that nobody
/// sees without the lock.
#[test]
fn a_failed_sync_is_everybodys_error_and_the_last_sync() {
    loom::model(|| {
        let stream = Stream::new(0_u32);
        let append = |stream: &Stream<u32>| {
            let end = stream.disk.write();
            stream.group.commit(end, |syncs| {
                *syncs += 1;
                assert_eq!(*syncs, 1, "a sync after one that failed");
                Err(Stop::Sync)
            })
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let stream = Arc::clone(&stream);
                thread::spawn(move || append(&stream))
            })
            .collect();
        assert_eq!(append(&stream), Err(Stop::Sync));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Err(Stop::Sync));
        }
        assert_eq!(stream.group.fenced(), Some(Stop::Sync));
        assert_eq!(stream.group.durable(), 0);
    });
}

/// L6 from outside: a fence that comes while a leader is out stays, whatever becomes of its sync,
/// and what the sync covered is acknowledged, also to those who only waited.
///
/// Catches: a success that lifts the fence; answering those who wait before the leader has ended; a
/// fence that is lost if a leader is out, or that nobody sees without the lock.
#[test]
fn a_fence_stays_and_what_a_sync_covered_is_acknowledged() {
    loom::model(|| {
        let stream = Stream::new(());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let stream = Arc::clone(&stream);
                thread::spawn(move || {
                    let end = stream.disk.write();
                    let answer = stream.group.commit(end, |()| Ok(stream.disk.lead()));
                    (end, answer)
                })
            })
            .collect();
        stream.group.fence(Stop::Write);
        for thread in threads {
            let (end, answer) = thread.join().unwrap();
            match answer {
                Ok(()) => stream.disk.assert_synced(end),
                Err(reason) => {
                    assert_eq!(reason, Stop::Write);
                    stream.disk.assert_not_covered(end);
                }
            }
        }
        assert_eq!(stream.group.fenced(), Some(Stop::Write));
        let end = stream.disk.write();
        assert_eq!(
            stream.group.commit(end, |()| panic!("a sync of a fenced stream")),
            Err(Stop::Write)
        );
    });
}

/// L7: when the leader panics in the sync, the group is fenced, and who waits is told so.
///
/// Catches: a lead that ends nothing when it unwinds; one that wakes nobody then.
#[test]
fn a_panic_in_the_sync_fences_and_wakes() {
    loom::model(|| {
        let stream = Stream::new(());
        let append = |stream: &Stream<()>| {
            let end = stream.disk.write();
            catch_unwind(AssertUnwindSafe(|| {
                stream.group.commit(end, |()| resume_unwind(Box::new("the disk is gone")))
            }))
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let stream = Arc::clone(&stream);
                thread::spawn(move || append(&stream))
            })
            .collect();
        let mut answers = vec![append(&stream)];
        for thread in threads {
            answers.push(thread.join().unwrap());
        }
        // One led and is gone; the others were told.
        assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
        assert!(answers.iter().flatten().all(|answer| *answer == Err(Stop::Gone)));
        assert_eq!(stream.group.fenced(), Some(Stop::Gone));
    });
}

/// L13: closing waits for the leader, and answers all: `Ok` if a sync covered them, `Closed` if
/// not.
///
/// Catches: closing that does not wait for the leader; closing that wakes nobody; a last sync whose
/// end is not published.
#[test]
fn closing_answers_all_and_only_what_is_durable_with_success() {
    loom::model(|| {
        let stream = Stream::new(());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let stream = Arc::clone(&stream);
                thread::spawn(move || {
                    let end = stream.disk.write();
                    let answer = stream.group.commit(end, |()| Ok(stream.disk.lead()));
                    (end, answer)
                })
            })
            .collect();
        assert_eq!(stream.group.close(|()| Ok(stream.disk.lead())), Ok(()));
        for thread in threads {
            let (end, answer) = thread.join().unwrap();
            match answer {
                Ok(()) => stream.disk.assert_synced(end),
                Err(reason) => {
                    assert_eq!(reason, Stop::Closed);
                    stream.disk.assert_not_covered(end);
                }
            }
        }
        assert_eq!(stream.group.fenced(), Some(Stop::Closed));
    });
}
