//! The log, followed from segment to segment.

use alloc::vec::Vec;

use super::standing::{Standing, Trust};
use super::{Damage, DamageKind, FileFacts, LiveSegment, Rewrite, SegmentFacts};
use crate::frame::MAX_SEGMENT_FILE_LEN;
use crate::ids::{Ordinal, SequenceNumber};
use crate::scan::{Scan, ScanEnd};
use crate::seal::Seal;
use crate::verdict::{Tear, Verdict, judge};

/// The log as far as it was followed.
pub(super) struct Walk {
    pub(super) next: SequenceNumber,
    pub(super) live: Vec<LiveSegment>,
    pub(super) damage: Vec<Damage>,
    pub(super) rewrite: Vec<Rewrite>,
    pub(super) torn: Option<(Ordinal, Tear)>,
    /// The segment that the log ends in, if appends could go on there.
    pub(super) open: Option<Ordinal>,
}

impl Walk {
    /// Follows the log from its first number, as far as anything tells of it.
    pub(super) fn along(standings: &[Standing<'_>], first: SequenceNumber) -> Self {
        let mut walk = Self {
            next: first,
            live: Vec::new(),
            damage: Vec::new(),
            rewrite: Vec::new(),
            torn: None,
            open: None,
        };
        for standing in standings.iter().filter(|standing| !standing.is_dead(first)) {
            let SegmentFacts { base, ref file, .. } = *standing.segment;
            if standing.trust == Trust::None && (base > walk.next || file.is_headless()) {
                break;
            }
            walk.visit(standing);
        }
        walk
    }

    fn visit(&mut self, standing: &Standing<'_>) {
        let Standing { segment, limit, .. } = *standing;
        self.open = None;
        if segment.base > self.next {
            let before = Ordinal::new(segment.ordinal.get().saturating_sub(1));
            self.lose(before, self.next, DamageKind::Missing, segment.base);
            self.next = segment.base;
        }
        let SegmentFacts { ordinal, base, .. } = *segment;
        let evidence = standing.evidence();
        let recorded_end =
            segment.record.map_or(evidence.until, |record| record.end.min(limit)).max(base);
        match &segment.file {
            FileFacts::Missing => {
                self.lose(ordinal, base, DamageKind::Missing, recorded_end.max(self.next));
                self.next = recorded_end.max(self.next);
            }
            FileFacts::Recorded { len } => {
                if *len < evidence.len {
                    let kind = DamageKind::Short { len: *len, expected: evidence.len };
                    self.lose(ordinal, base, kind, recorded_end);
                }
                self.enter(segment, recorded_end, evidence.len.min(*len));
            }
            FileFacts::Scanned(scan) => self.visit_scanned(standing, scan),
            FileFacts::Headless(error, scan) => {
                // The frames behind the header are judged, and lost, on their own.
                self.lose(ordinal, base, DamageKind::Header(*error), self.next);
                self.visit_scanned(standing, scan);
            }
        }
        // Where later segments prove more than this one has, one between them is gone.
        if let Some(proven) = standing.later.map(|later| later.min(limit))
            && proven > self.next
        {
            let behind = Ordinal::new(ordinal.get().saturating_add(1));
            self.lose(behind, self.next, DamageKind::Missing, proven);
            self.next = proven;
        }
    }

    fn visit_scanned(&mut self, standing: &Standing<'_>, scan: &Scan) {
        let Standing { segment, limit, later, .. } = *standing;
        let SegmentFacts { ordinal, base, .. } = *segment;
        let evidence = standing.evidence();
        let next = match scan.end {
            ScanEnd::Sealed { next_base } => scan.next.min(next_base),
            ScanEnd::Clean | ScanEnd::Limit | ScanEnd::Broken(_) | ScanEnd::Unsupported { .. } => {
                scan.next
            }
        };
        // Where the first number lies within the first segment, nothing below it is lost any more.
        let next = next.min(limit).max(self.next);
        // A scan may have gone on where a later segment without a header cuts this one short. And
        // nothing can be lost behind the last number.
        let verdict = if scan.next >= limit { Verdict::Clean } else { judge(scan, evidence) };
        let kind = match verdict {
            Verdict::Clean | Verdict::Torn(_) => {
                self.enter(segment, next, scan.valid_end);
                // A later proof covers the segment whole, its seal too.
                let from = scan.evidence_len.max(evidence.len);
                if later.is_none() && from < scan.valid_end {
                    self.rewrite.push(Rewrite { ordinal, from, until: scan.valid_end });
                }
                if let Verdict::Torn(tear) = verdict {
                    self.torn = Some((ordinal, tear));
                }
                // A segment in which no seal fits any more is not gone on with.
                let sealed_len = scan.valid_end + Seal::frame_len(scan.table.points().len() + 1);
                let goes_on = matches!(scan.end, ScanEnd::Clean)
                    && scan.next == next
                    && sealed_len <= MAX_SEGMENT_FILE_LEN;
                self.open = goes_on.then_some(ordinal);
                return;
            }
            Verdict::Damaged { offset, error } => DamageKind::Frame { offset, error },
            Verdict::Unsupported { offset, error } => DamageKind::Unsupported { offset, error },
        };
        // The segment reaches as far as anything is known of entries in it.
        let behind = match scan.end {
            ScanEnd::Broken(found) => found.end_behind.unwrap_or(next),
            ScanEnd::Clean
            | ScanEnd::Limit
            | ScanEnd::Sealed { .. }
            | ScanEnd::Unsupported { .. } => next,
        };
        let until = match limit {
            SequenceNumber::MAX => behind.max(evidence.until),
            limit => limit,
        };
        let until = until.max(next);
        self.enter(segment, until, u64::MAX);
        let lost_from = next;
        self.damage.push(Damage { ordinal, base, kind, lost_from, lost_until: until });
    }

    fn enter(&mut self, segment: &SegmentFacts, until: SequenceNumber, len: u64) {
        let SegmentFacts { ordinal, base, .. } = *segment;
        self.live.push(LiveSegment { ordinal, base, until, len });
        self.next = until.max(self.next);
    }

    fn lose(
        &mut self,
        ordinal: Ordinal,
        base: SequenceNumber,
        kind: DamageKind,
        lost_until: SequenceNumber,
    ) {
        let lost_from = self.next.min(lost_until);
        self.damage.push(Damage { ordinal, base, kind, lost_from, lost_until });
    }
}
