//! Harm done to the bytes of a segment: where it is cut, and bits that are turned.

use bytes::Bytes;
use ironwal_format::scan::{Scan, ScanEnd, ScanFrom, scan};
use ironwal_format::verdict::{Evidence, Verdict, judge};
use ironwal_format::walk::Bounds;
use ironwal_format::{SequenceNumber, cast};
use ironwal_segment::SegmentBytes;

use super::{World, failed, read_all};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::tally::{self, Group};

/// Every so many-th bit is turned, so that one case is short.
const BIT_STEP: usize = 3;

impl World {
    /// The file as it is, without what was reserved behind it.
    fn bytes(&self) -> Result<Vec<u8>, Violation> {
        let mut bytes = vec![0; cast::usize_from(self.writer.position())];
        ironwal_segment::io::read_up_to(&*self.file, &mut bytes, 0).map_err(failed)?;
        Ok(bytes)
    }

    fn scan(&self, bytes: &[u8]) -> Scan {
        let mut source = bytes;
        let from = ScanFrom {
            salt: self.dir.salt(self.name.ordinal),
            base: self.name.base,
            offset: self.dir.header_len(),
            limit: SequenceNumber::MAX,
        };
        let Ok(found) = scan(&mut source, from);
        found
    }

    /// Cut anywhere in the last frame, or behind it: all in front is there, and nothing of it.
    pub(super) fn check_cuts(&self) -> Result<(), Violation> {
        let bytes = self.bytes()?;
        let Some(last) = self.frames.last() else { return Ok(()) };
        for len in cast::usize_from(last.start)..=bytes.len() {
            let found = self.scan(bytes.get(..len).unwrap_or_default());
            let whole = self.whole(&found)?;
            if whole != self.whole_until(cast::u64_from(len)) {
                let what = format!("{whole} frames are found in {len} bytes");
                return Err(Violation::new(Invariant::I3, what));
            }
            if cast::u64_from(len) < last.end {
                let until = self.next();
                let evidence = Evidence { len: last.end, until };
                let Verdict::Damaged { offset, .. } = judge(&found, evidence) else {
                    let what = format!("{len} bytes are not damage, of {} durable ones", last.end);
                    return Err(Violation::new(Invariant::I13, what));
                };
                if offset != last.start {
                    let what = format!("damage is told at {offset}, not {}", last.start);
                    return Err(Violation::new(Invariant::I13, what));
                }
                tally::count(Group::Reached, "rule: damaged by evidence");
            }
        }
        tally::checked(Invariant::I3);
        Ok(())
    }

    /// A turned bit ends the log in front of its frame, or loses that frame to readers, and no other.
    pub(super) fn check_bits(&self, random: &mut SplitMix64) -> Result<(), Violation> {
        let bytes = self.bytes()?;
        let begin = cast::usize_from(self.dir.header_len()) * 8;
        let end = self.frames.last().map_or(begin, |last| cast::usize_from(last.end) * 8);
        let last = self.frames.last().map_or(begin, |last| cast::usize_from(last.start) * 8);
        let last = last.max(end.saturating_sub(600 * 8));
        let step = 1 + random.below(BIT_STEP);
        let earlier: Vec<_> = (0..40).map(|_| begin + random.below(end - begin)).collect();
        for bit in (last..end).step_by(step).chain(earlier) {
            self.check_bit(&bytes, bit)?;
        }
        tally::checked(Invariant::I13);
        Ok(())
    }

    fn check_bit(&self, bytes: &[u8], bit: usize) -> Result<(), Violation> {
        let mut harmed = bytes.to_vec();
        if let Some(byte) = harmed.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        let at = self.whole_until(cast::u64_from(bit / 8));
        let Some(hit) = self.frames.get(at) else { return Ok(()) };
        let found = self.scan(&harmed);
        let told = |what: String| Violation::new(Invariant::I13, format!("bit {bit}: {what}"));
        if self.whole(&found)? != at {
            return Err(told(format!("the frame at {} is not lost: {found:?}", hit.start)));
        }
        let ScanEnd::Broken(broken) = found.end else {
            return Err(told(format!("{:?}", found.end)));
        };
        let in_frame = cast::u64_from(bit) - hit.start * 8;
        if broken.turned_bit == Some(in_frame) {
            tally::count(Group::Reached, "rule: torn, the turned bit is told");
        } else {
            return Err(told(format!("told as bit {:?} of the frame", broken.turned_bit)));
        }
        if let Some(end) = broken.end_behind {
            if end > self.next() {
                return Err(told(format!("headers behind it end at {end}")));
            }
            tally::count(Group::Reached, "rule: a frame behind a broken one");
        }
        let bounds = Bounds { len: self.writer.position(), until: self.next() };
        let mapped = SegmentBytes::Mapped(Bytes::from(harmed));
        let (entries, _) = read_all(&self.dir, self.name, mapped, bounds)?;
        let all = self.entries(0, self.frames.len());
        if !entries.iter().all(|entry| all.contains(entry)) {
            return Err(Violation::new(Invariant::I6, format!("bit {bit}: {entries:?}")));
        }
        let whole = all.len() - hit.entries.len();
        if entries.len() != whole {
            return Err(told(format!("{} entries are read, not {whole}", entries.len())));
        }
        Ok(())
    }
}
