//! Group commit with real threads. What no schedule may break is tried in `loom_tests`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use crate::sync::atomic::{AtomicBool, AtomicU64};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    Sync,
    Write,
    Gone,
    Closed,
}

impl From<LeaderGone> for Stop {
    fn from(LeaderGone: LeaderGone) -> Self {
        Self::Gone
    }
}

impl From<GroupClosed> for Stop {
    fn from(GroupClosed: GroupClosed) -> Self {
        Self::Closed
    }
}

/// A sync side that tells when it is dropped.
#[derive(Debug)]
struct Side<'a>(&'a AtomicBool);

impl Drop for Side<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn never<S>(_: &mut S) -> Result<u64, Stop> {
    panic!("no sync was called for");
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Waits in a sync until `count` commits wait for an answer, the leader's own among them.
fn until_pending<S>(group: &GroupCommit<S, Stop>, count: usize) {
    until(|| group.state.lock().pending.len() == count);
}

/// The sync side, if nobody leads.
fn idle_side<S: Copy>(group: &GroupCommit<S, Stop>) -> Option<S> {
    match &group.state.lock().phase {
        Phase::Idle(side) => Some(*side),
        Phase::Led { .. } | Phase::Stopped(_) => None,
    }
}

#[test]
fn one_sync_commits_all_that_it_covered() {
    let group = GroupCommit::<_, Stop>::new(3, 0_u32);
    assert_eq!(group.commit(3, never), Ok(()));
    let sync = |side: &mut u32| {
        *side += 1;
        Ok(8)
    };
    assert_eq!(group.commit(5, sync), Ok(()));
    assert_eq!(group.durable(), 8);
    assert_eq!(group.commit(8, never), Ok(()));
    assert_eq!(idle_side(&group), Some(1));
    assert_eq!(group.fenced(), None);
}

/// While all who are not done wait, each commit is answered by the sync that runs when it arrives
/// or by the next: two syncs for each of a thread's commits, however many threads there are.
#[test]
fn callers_who_come_during_a_sync_share_the_next() {
    const THREADS: usize = 8;
    const COMMITS: usize = 50;
    let group = GroupCommit::<_, Stop>::new(0, 0_usize);
    let (written, synced) = (Mutex::new(0), AtomicU64::new(0));
    let unfinished = AtomicUsize::new(THREADS);
    let append = || {
        let on_way = group.approach();
        let mut state = written.lock();
        *state += 1;
        let end = *state;
        drop(state);
        on_way.commit(end, |syncs| {
            let covered = *written.lock();
            *syncs += 1;
            until(|| group.state.lock().pending.len() == unfinished.load(Ordering::Acquire));
            synced.store(covered, Ordering::Release);
            Ok(covered)
        })?;
        assert!(end <= synced.load(Ordering::Acquire), "{end} was acknowledged and not synced");
        Ok::<(), Stop>(())
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..COMMITS {
                    append().unwrap();
                }
                unfinished.fetch_sub(1, Ordering::Release);
            });
        }
    });
    assert_eq!(group.durable(), 400);
    let syncs = idle_side(&group).unwrap();
    assert!(syncs <= 2 * COMMITS + 1, "{syncs} syncs");
    assert_eq!(group.on_way.load(Ordering::Relaxed), 0);
}

#[test]
fn a_failed_sync_fails_all_who_wait_and_all_who_come_later() {
    let dropped = AtomicBool::new(false);
    let group = GroupCommit::new(1, Side(&dropped));
    let fail = |_: &mut Side<'_>| {
        until_pending(&group, 3);
        Err(Stop::Sync)
    };
    thread::scope(|scope| {
        let commit = |end| group.commit(end, fail);
        let threads = [2, 3, 4].map(|end| scope.spawn(move || commit(end)));
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Err(Stop::Sync));
        }
    });
    assert!(dropped.load(Ordering::Acquire));
    assert_eq!(group.commit(2, never), Err(Stop::Sync));
    assert_eq!(group.commit(1, never), Ok(()));
    assert_eq!(group.fenced(), Some(Stop::Sync));
    assert_eq!(group.close(never), Err(Stop::Sync));
}

#[test]
fn a_leader_that_panics_fences_the_group_and_wakes_all() {
    let group = GroupCommit::<_, Stop>::new(0, ());
    thread::scope(|scope| {
        let leader = scope.spawn(|| {
            catch_unwind(AssertUnwindSafe(|| {
                group.commit(1, |()| {
                    until_pending(&group, 2);
                    resume_unwind(Box::new("the disk is gone"))
                })
            }))
        });
        until_pending(&group, 1);
        assert_eq!(group.commit(2, never), Err(Stop::Gone));
        assert!(leader.join().unwrap().is_err());
    });
    assert_eq!(group.fenced(), Some(Stop::Gone));
}

#[test]
fn a_sync_that_claims_too_little_fences_the_group() {
    for claim in [4, 6] {
        let group = GroupCommit::<_, Stop>::new(5, ());
        let caught = catch_unwind(AssertUnwindSafe(|| group.commit(7, |()| Ok(claim))));
        assert!(caught.is_err());
        assert_eq!(group.fenced(), Some(Stop::Gone));
        assert!(group.durable() >= 5);
    }
}

/// The fence comes while a leader is out: what its sync covered is durable, and everything else
/// fails.
#[test]
fn a_fence_during_a_sync_spares_what_the_sync_covered_and_nothing_else() {
    let dropped = AtomicBool::new(false);
    let group = GroupCommit::new(0, Side(&dropped));
    thread::scope(|scope| {
        let leader = scope.spawn(|| {
            group.commit(1, |_| {
                until(|| group.fenced().is_some());
                until_pending(&group, 3);
                Ok(2)
            })
        });
        until_pending(&group, 1);
        let covered = scope.spawn(|| group.commit(2, never));
        until_pending(&group, 2);
        group.fence(Stop::Write);
        group.fence(Stop::Sync);
        assert_eq!(group.commit(3, never), Err(Stop::Write));
        assert_eq!(leader.join().unwrap(), Ok(()));
        assert_eq!(covered.join().unwrap(), Ok(()));
    });
    assert_eq!(group.durable(), 2);
    assert_eq!(group.fenced(), Some(Stop::Write));
    assert!(dropped.load(Ordering::Acquire));
}

#[test]
fn of_two_who_want_the_sync_side_alone_one_waits_or_is_told_so() {
    let group = GroupCommit::<_, Stop>::new(1, 0_u32);
    let done = group.try_exclusive(|syncs| {
        *syncs += 1;
        assert!(group.try_exclusive(never).is_none());
        Ok(2)
    });
    assert_eq!((done, group.durable(), idle_side(&group)), (Some(Ok(())), 2, Some(1)));
    group.fence(Stop::Write);
    assert_eq!(group.try_exclusive(never), Some(Err(Stop::Write)));
    assert_eq!(group.exclusive(never), Err(Stop::Write));
}

#[test]
fn a_fence_takes_effect_at_once_where_nobody_leads() {
    let dropped = AtomicBool::new(false);
    let group = GroupCommit::new(1, Side(&dropped));
    group.fence(Stop::Write);
    group.fence(Stop::Sync);
    assert!(dropped.load(Ordering::Acquire));
    assert_eq!(group.fenced(), Some(Stop::Write));
    assert_eq!(group.commit(1, never), Ok(()));
    assert_eq!(group.commit(2, never), Err(Stop::Write));
}

#[test]
fn closing_answers_all_who_wait_by_what_the_last_sync_covered() {
    let dropped = AtomicBool::new(false);
    let group = GroupCommit::new(0, Side(&dropped));
    thread::scope(|scope| {
        let close = scope.spawn(|| {
            group.close(|_| {
                until_pending(&group, 2);
                Ok(1)
            })
        });
        until(|| matches!(group.state.lock().phase, Phase::Led { .. }));
        let covered = scope.spawn(|| group.commit(1, never));
        assert_eq!(group.commit(2, never), Err(Stop::Closed));
        assert_eq!(covered.join().unwrap(), Ok(()));
        assert_eq!(close.join().unwrap(), Ok(()));
    });
    assert!(dropped.load(Ordering::Acquire));
    assert_eq!(group.commit(1, never), Ok(()));
    assert_eq!(group.commit(2, never), Err(Stop::Closed));
    assert_eq!(group.close(never), Err(Stop::Closed));
}

#[test]
fn closing_waits_for_the_leader() {
    let group = GroupCommit::<_, Stop>::new(0, 0_u32);
    let closing = AtomicBool::new(false);
    thread::scope(|scope| {
        let leader = scope.spawn(|| {
            group.commit(1, |syncs| {
                until(|| closing.load(Ordering::Acquire));
                *syncs += 1;
                Ok(1)
            })
        });
        until_pending(&group, 1);
        closing.store(true, Ordering::Release);
        let close = group.close(|syncs| {
            assert_eq!(*syncs, 1);
            Ok(2)
        });
        assert_eq!(close, Ok(()));
        assert_eq!(leader.join().unwrap(), Ok(()));
    });
    assert_eq!(group.durable(), 2);
}

#[test]
fn a_failed_last_sync_is_the_reason_that_stays() {
    let group = GroupCommit::<_, Stop>::new(0, ());
    assert_eq!(group.close(|()| Err(Stop::Sync)), Err(Stop::Sync));
    assert_eq!(group.fenced(), Some(Stop::Sync));
}
