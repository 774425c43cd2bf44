//! Whether the segments that a log has written keep the limits that it was given.

use std::collections::BTreeMap;

use ironwal_format::names::{RootName, StreamFileName};

use crate::invariant::Invariant;
use crate::model::Violation;
use crate::tally;
use crate::world::Setup;

/// The header of a frame.
const HEADER_LEN: usize = 32;
/// Frames of entries.
const ENTRIES: u8 = 1;

/// Looks at the segments that were written to between two moments, with these options all the time: each is
/// within both limits, unless a single frame of entries has it alone. What was there before counts, but need
/// not have been within.
///
/// # Errors
///
/// I21.
pub(crate) fn check_limits(
    before: &BTreeMap<String, Vec<u8>>,
    after: &BTreeMap<String, Vec<u8>>,
    setup: &Setup,
) -> Result<(), Violation> {
    for (path, bytes) in after {
        let Some((dir, name)) = path.split_once('/') else { continue };
        let is_segment = matches!(StreamFileName::of(name), StreamFileName::Segment { .. })
            && matches!(RootName::of(dir), RootName::Stream(_));
        if !is_segment {
            continue;
        }
        let earlier = before.get(path).filter(|earlier| is_same_life(earlier, bytes));
        if earlier == Some(bytes) {
            continue;
        }
        let held = Contents::of(bytes);
        let earlier = earlier.map_or(Contents::default(), |bytes| Contents::of(bytes));
        if held.frame_count < 2 || held.frame_count == earlier.frame_count {
            continue;
        }
        let Contents { len, entry_count, .. } = held;
        if len > setup.max_segment_size || entry_count > setup.max_segment_entries {
            let what = format!("{path}: {entry_count} entries in {len} bytes with {setup}");
            return Err(Violation::new(Invariant::I21, what));
        }
        tally::checked(Invariant::I21);
    }
    Ok(())
}

/// Whether a file has grown from another: it begins with the same frame, which names stream and segment.
fn is_same_life(earlier: &[u8], later: &[u8]) -> bool {
    let len = frame_len(later, 0);
    len.is_some_and(|len| earlier.get(..len) == later.get(..len))
}

/// What the frames of a segment hold.
#[derive(Clone, Copy, Debug, Default)]
struct Contents {
    /// Frames of entries.
    frame_count: u64,
    entry_count: u64,
    /// The end of the last frame of any kind.
    len: u64,
}

impl Contents {
    /// Believes the lengths that it finds: whatever was written to this file was admitted to it.
    fn of(bytes: &[u8]) -> Self {
        let mut found = Contents::default();
        let mut at = 0;
        while let Some(len) = frame_len(bytes, at) {
            if bytes.get(at + 1).is_some_and(|kind| kind & 15 == ENTRIES) {
                found.frame_count += 1;
                found.entry_count += u64::from(u32_at(bytes, at + 16));
            }
            at += len;
        }
        found.len = u64::try_from(at).unwrap_or(u64::MAX);
        found
    }
}

/// How long the frame is that begins here, if one does, and all of it is there.
fn frame_len(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..).filter(|rest| rest.first() == Some(&0xA7))?;
    let payload_len = usize::try_from(u32_at(rest, 20)).ok()?;
    let len = HEADER_LEN + payload_len.checked_next_multiple_of(8)?;
    (len <= rest.len()).then_some(len)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_le_bytes(found.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment with its header and frames of so many entries and bytes each.
    fn segment(frames: &[(u8, u8)]) -> Vec<u8> {
        let frame = |kind: u8, count: u8, len: u8| {
            let mut frame = vec![0; HEADER_LEN + usize::from(len).next_multiple_of(8)];
            (frame[0], frame[1], frame[16], frame[20]) = (0xA7, kind, count, len);
            frame
        };
        let header = frame(0, 0, 8);
        frames
            .iter()
            .fold(header, |segment, (count, len)| [segment, frame(ENTRIES, *count, *len)].concat())
    }

    #[test]
    fn a_frame_may_be_too_large_alone_and_not_behind_another() {
        let name = "s/00000000000000000000-0000000000.wal".to_owned();
        let files = |frames: &[(u8, u8)]| BTreeMap::from([(name.clone(), segment(frames))]);
        let setup = Setup { max_segment_size: 200, max_segment_entries: 3, ..Setup::DEFAULT };
        let none = BTreeMap::new();
        let check = |before: &BTreeMap<_, _>, frames| {
            check_limits(before, &files(frames), &setup).map_err(|violation| violation.invariant)
        };
        assert_eq!(check(&none, &[(1, 200)]), Ok(()));
        assert_eq!(check(&none, &[(9, 100)]), Ok(()));
        assert_eq!(check(&none, &[(1, 40), (2, 40)]), Ok(()));
        assert_eq!(check(&none, &[(1, 40), (3, 40)]), Err(Invariant::I21));
        assert_eq!(check(&none, &[(1, 40), (1, 90)]), Err(Invariant::I21));
        let before = files(&[(1, 40), (3, 40)]);
        assert_eq!(check(&before, &[(1, 40), (3, 40)]), Ok(()), "nothing was written to it");
        assert_eq!(check(&before, &[(1, 40), (3, 40), (1, 1)]), Err(Invariant::I21));
    }
}
