//! The moment that a leader gives to those who are on their way: the decisions, as functions of
//! values.
//!
//! A sync costs the same for one and for many, and those whom the last sync answered are likely to
//! be back soon. So a leader gives way a few times before it syncs, where that pays. Invariants: a
//! caller who is alone never gives way; no gathering lasts much longer than a sync; where gathering
//! turns out dear (on a busy machine giving way once may cost a time slice of somebody else's, many
//! times a sync) it is tried again only rarely.
//!
//! What it deliberately does not do: it yields nothing and reads no clock, and no answer to a
//! commit depends on it.

use std::time::Duration;

use crate::sync::MAX_YIELDS;

/// How many syncs' time a gathering may take before it counts as dear.
///
/// With one, sixteen callers on two cores would not find together, who then do about a third more;
/// with eight, a busy machine would not be noticed.
const DEAR: u32 = 2;

/// How many leads in a row go without gathering, at most.
const MAX_PAUSE: u32 = 255;

/// What the leads so far have taught.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// How many commits the last sync answered.
    last_group: usize,
    /// How long the last sync took.
    last_sync: Duration,
    /// How many leads go without gathering after the next one that gathers.
    pause: u32,
    /// How many leads still go without.
    skips: u32,
}

/// What a leader sees around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// The commits that wait for an answer, the leader's own among them.
    pub(super) arrived: usize,
    /// The commits that were announced and have not arrived.
    pub(super) on_way: usize,
    /// How often the leader gave way already.
    pub(super) yields: u32,
    /// How long that took.
    pub(super) spent: Duration,
}

/// Whether a leader gives way once more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gather {
    Wait,
    Go,
}

impl Gathering {
    /// Decides whether a leader waits for more callers.
    pub(super) fn decide(&self, seen: Seen) -> Gather {
        let expects_more = seen.arrived < self.last_group || seen.on_way > 0;
        let may_wait = self.skips == 0 && seen.yields < MAX_YIELDS && !self.is_dear(seen.spent);
        if expects_more && may_wait { Gather::Wait } else { Gather::Go }
    }

    /// Learns from a lead: after gathering for `gathered`, a sync of `synced` answered `answered`
    /// commits.
    pub(super) fn learn(&mut self, answered: usize, gathered: Duration, synced: Duration) {
        self.last_group = answered;
        self.last_sync = synced;
        if gathered.is_zero() {
            self.skips = self.skips.saturating_sub(1);
            return;
        }
        // Slow to forget: where every third gathering is dear, three in a row are no proof.
        self.pause = if self.is_dear(gathered) {
            (2 * self.pause + 1).min(MAX_PAUSE)
        } else {
            self.pause.saturating_sub(1)
        };
        self.skips = self.pause;
    }

    fn is_dear(&self, gathered: Duration) -> bool {
        gathered > DEAR * self.last_sync
    }
}

#[cfg(all(test, not(ironwal_loom)))]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(100);
    const CHEAP: Duration = Duration::from_micros(30);
    const COSTLY: Duration = Duration::from_millis(3);

    fn seen(arrived: usize, on_way: usize) -> Seen {
        Seen { arrived, on_way, yields: 0, spent: Duration::ZERO }
    }

    #[test]
    fn a_leader_waits_for_as_many_as_last_time_or_announced() {
        for last_group in 0..5 {
            let mut gathering = Gathering::default();
            gathering.learn(last_group, Duration::ZERO, SYNC);
            for arrived in 1..6 {
                for on_way in 0..3 {
                    let expected = arrived < last_group || on_way > 0;
                    let decision = gathering.decide(seen(arrived, on_way));
                    assert_eq!(decision == Gather::Wait, expected);
                }
            }
        }
    }

    #[test]
    fn a_caller_who_is_alone_never_waits() {
        let mut gathering = Gathering::default();
        for _ in 0..3 {
            assert_eq!(gathering.decide(seen(1, 0)), Gather::Go);
            gathering.learn(1, Duration::ZERO, SYNC);
        }
    }

    #[test]
    fn nobody_waits_often_or_long() {
        let mut gathering = Gathering::default();
        gathering.learn(8, Duration::ZERO, SYNC);
        let decide = |yields, spent| gathering.decide(Seen { yields, spent, ..seen(1, 1) });
        assert_eq!(decide(MAX_YIELDS - 1, SYNC), Gather::Wait);
        assert_eq!(decide(MAX_YIELDS, SYNC), Gather::Go);
        assert_eq!(decide(1, COSTLY), Gather::Go);
        assert_eq!(decide(1, DEAR * SYNC), Gather::Wait);
        assert_eq!(decide(1, DEAR * SYNC + Duration::from_nanos(1)), Gather::Go);
    }

    #[test]
    fn the_first_leader_waits_for_whoever_is_announced() {
        assert_eq!(Gathering::default().decide(seen(1, 1)), Gather::Wait);
    }

    #[test]
    fn what_was_dear_is_tried_ever_more_rarely_and_again_in_the_end() {
        let mut gathering = Gathering::default();
        gathering.learn(8, Duration::ZERO, SYNC);
        let mut leads_between = |price: Duration| {
            gathering.learn(8, price, SYNC);
            let mut leads = 0;
            while gathering.decide(seen(1, 0)) == Gather::Go {
                gathering.learn(8, Duration::ZERO, SYNC);
                leads += 1;
                assert!(leads < 1000, "gathering is never tried again");
            }
            leads
        };
        assert_eq!(leads_between(CHEAP), 0);
        let pauses: Vec<u32> = (0..9).map(|_| leads_between(COSTLY)).collect();
        assert_eq!(pauses, [1, 3, 7, 15, 31, 63, 127, 255, 255]);
        assert_eq!(leads_between(CHEAP), 254);
        assert_eq!((0..254).map(|_| leads_between(CHEAP)).last(), Some(0));
    }
}
