//! What has to be said of a damaged stream, by the rules of evidence alone.
//!
//! The rules are those of FORMAT.md. A frame counts as valid if none of its bytes was changed, whatever
//! its checksums say: that is known from the copy that is whole. So nothing here can be misled by bytes that
//! pass for a frame.

use std::ops::Range;

use super::parse::{Frame, HEADER_LEN, MAGIC, Segment, Stream, is_header_whole};

/// Whether the index is there beside the damage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Index {
    Kept,
    Missing,
}

/// What an opening has to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Said {
    /// Nothing is wrong.
    Nothing,
    /// The log was torn there; the bit is the one that was turned, if it was one.
    Torn { path: String, offset: u64, rest_len: u64, turned_bit: Option<u64> },
    /// The last segment never was there.
    SetAside { path: String },
    /// Damage, and where: `None` is a file that is missing.
    Damaged { path: String, offset: Option<u64> },
    /// A file that is not to be judged.
    Refused { path: String },
}

/// Entries that cannot be read, and the error that says so.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) entries: Range<u64>,
    pub(super) path: String,
    /// In what part of the file the error has to be; `None` where the whole file is lost.
    pub(super) place: Option<Range<u64>>,
}

/// How far a stream can be seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sight {
    Whole,
    /// Bytes that count were changed in what an opening does not look at.
    Hidden,
    /// Nothing of the stream can be read.
    Unreadable,
}

/// What has to be found.
#[derive(Clone, Debug)]
pub(super) struct Theory {
    pub(super) said: Said,
    /// The end of what can be read: entries from here on are not there.
    pub(super) end: u64,
    pub(super) losses: Vec<Loss>,
    /// With `Truncate`, the log ends here.
    pub(super) cut: Option<u64>,
    /// How far it can be seen.
    pub(super) sight: Sight,
}

/// What became of the header of a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Header {
    Whole,
    Torn,
    Foreign,
}

/// How far the frames of a segment go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Clean,
    Torn,
    Lost,
}

fn len_of(bytes: &[u8]) -> u64 {
    number(bytes.len())
}

fn number(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Looks at one segment, before and after it was damaged; all other files but the index are whole.
pub(super) struct Scene<'a> {
    pub(super) stream: &'a Stream,
    pub(super) at: usize,
    pub(super) segment: &'a Segment,
    pub(super) before: &'a [u8],
    pub(super) after: &'a [u8],
    pub(super) index: Index,
}

/// Whether the segment behind this one is the last, and nothing proves any of it: behind a gap it counts as
/// what a crash left.
fn is_end_behind(stream: &Stream, at: usize, index: Index) -> bool {
    let (Some(here), Some(behind)) = (stream.segments.get(at), stream.segments.get(at + 1)) else {
        return false;
    };
    if index == Index::Kept && stream.sealed.contains_key(&here.ordinal) {
        return false;
    }
    let is_last = at + 2 == stream.segments.len();
    let floor = stream.floor.filter(|_| index == Index::Kept);
    let is_told = floor.is_some_and(|(ordinal, _)| ordinal == behind.ordinal);
    is_last && !is_told && behind.frames.iter().all(|frame| frame.synced == 0)
}

impl Theory {
    /// That of a stream in which nothing that counts was changed.
    pub(super) fn sound(stream: &Stream) -> Self {
        Theory {
            said: Said::Nothing,
            end: stream.entries.end,
            losses: Vec::new(),
            cut: None,
            sight: Sight::Whole,
        }
    }

    /// The same, where what lies behind a number is not read.
    pub(super) fn ending_at(self, end: u64) -> Self {
        Theory { end, losses: Vec::new(), ..self }
    }

    /// That of a stream of which a segment is missing; its index is as it was.
    pub(super) fn without(stream: &Stream, at: usize) -> Option<Self> {
        let segment = stream.segments.get(at)?;
        let base = segment.entries.start;
        let told = |ordinal: &u32| {
            stream.sealed.contains_key(ordinal)
                || stream.floor.is_some_and(|(floor, _)| floor == *ordinal)
        };
        let before = at.checked_sub(1).and_then(|before| stream.segments.get(before));
        let is_named = before.is_none_or(|before| {
            stream.sealed.get(&before.ordinal).is_some_and(|record| record.end == base)
        });
        let is_last = at + 1 == stream.segments.len();
        let sound = Self::sound(stream);
        if is_last && !told(&segment.ordinal) && !is_named {
            return Some(Theory { end: base, ..sound });
        }
        if !is_last && segment.entries.is_empty() {
            // Nothing of it counts, so nothing is lost with it.
            return Some(sound);
        }
        let path = segment.path.clone();
        let entries = segment.entries.clone();
        let losses = vec![Loss { entries, path: path.clone(), place: None }];
        let said = Said::Damaged { path, offset: None };
        let theory = Theory { said, losses, cut: Some(base), ..sound };
        let ends = is_end_behind(stream, at, Index::Kept);
        Some(if ends { theory.ending_at(base) } else { theory })
    }
}

impl Scene<'_> {
    /// What has to be found.
    pub(super) fn theory(&self) -> Theory {
        let sound = Theory::sound(self.stream);
        if self.before == self.after && self.index == Index::Kept {
            return sound;
        }
        let header = self.header();
        let path = self.segment.path.clone();
        let is_last = self.at + 1 == self.stream.segments.len();
        let record = self.stream.sealed.get(&self.segment.ordinal).copied();
        let record = record.filter(|_| self.index == Index::Kept && !is_last);
        let is_alone = self.stream.segments.len() == 1 && self.index == Index::Missing;
        let alone = if is_alone { Sight::Unreadable } else { Sight::Whole };
        if self.is_left_out() {
            // Nothing of it counts, so nothing is lost with it; but what says that it is not ours is told
            // wherever it is read.
            let is_refused = header == Header::Foreign && record.is_none();
            let said = if is_refused { Said::Refused { path } } else { Said::Nothing };
            return Theory { said, ..sound };
        }
        let whole = Theory { losses: self.losses(), ..sound };
        if header == Header::Foreign {
            let entries = self.segment.entries.clone();
            let losses = vec![Loss { entries, path: path.clone(), place: None }];
            let said = if record.is_some() { Said::Nothing } else { Said::Refused { path } };
            let sight = if record.is_some() { Sight::Hidden } else { alone };
            let theory = Theory { said, losses, sight, ..whole };
            // The seal in front of it tells of it, where that was read and there is one. Else a segment that
            // is not the next is behind what is lost, and was not left by a crash.
            let before = self.at.checked_sub(1).and_then(|before| self.stream.segments.get(before));
            let is_gap = self.index == Index::Missing && before.is_some_and(Segment::is_sealed);
            let ends = is_gap && is_end_behind(self.stream, self.at, self.index);
            return if ends { theory.ending_at(self.segment.entries.start) } else { theory };
        }
        if let Some(record) = record {
            let len = len_of(self.after);
            if len < record.len {
                let said = Said::Damaged { path, offset: Some(len) };
                let base = self.segment.entries.start;
                let next = if header == Header::Torn { base } else { self.valid_end().1 };
                let is_lost = next < record.end || header == Header::Torn;
                return Theory { said, cut: is_lost.then_some(next), ..whole };
            }
            let counted = usize::try_from(record.len).unwrap_or(usize::MAX);
            let is_hidden = self.before.get(..counted) != self.after.get(..counted);
            return Theory { sight: if is_hidden { Sight::Hidden } else { Sight::Whole }, ..whole };
        }
        if header == Header::Torn {
            return self.headless(whole, alone);
        }
        let (offset, next) = self.valid_end();
        match self.end() {
            End::Lost => Theory {
                said: Said::Damaged { path, offset: Some(number(offset)) },
                cut: Some(next),
                ..whole
            },
            End::Clean if self.stream.limit(self.at).is_some_and(|limit| next >= limit) => whole,
            End::Clean => Theory { end: next, losses: Vec::new(), ..whole },
            End::Torn => {
                let rest_len = number(self.rest_len(offset));
                let turned_bit = self.turned_bit(offset);
                let said = Said::Torn { path, offset: number(offset), rest_len, turned_bit };
                Theory { said, end: next, losses: Vec::new(), ..whole }
            }
        }
    }

    /// Whether all that is in it, or would be, is dead.
    fn is_left_out(&self) -> bool {
        self.stream.limit(self.at).is_some_and(|limit| self.segment.entries.start >= limit)
    }

    /// The header is not there, and nothing tells that the file is another's.
    fn headless(&self, whole: Theory, sight: Sight) -> Theory {
        let path = self.segment.path.clone();
        let base = self.segment.entries.start;
        let before = self.at.checked_sub(1).and_then(|before| self.stream.segments.get(before));
        let is_named = before.is_none_or(|before| {
            let record = self.stream.sealed.get(&before.ordinal);
            self.index == Index::Kept && record.is_some_and(|record| record.end == base)
        });
        let is_last = self.at + 1 == self.stream.segments.len();
        let (len, until) = self.told();
        let is_proven = len > 0 || until > 0 || self.evidence_len() > 0;
        if is_last && !is_named && !is_proven {
            return Theory {
                said: Said::SetAside { path },
                end: base,
                losses: Vec::new(),
                ..whole
            };
        }
        let said = Said::Damaged { path, offset: Some(0) };
        // Where nothing tells which life of the stream it is, nothing can end it.
        let cut = Some(base).filter(|_| sight != Sight::Unreadable);
        let theory = Theory { said, cut, sight, ..whole };
        let next = self.valid_end().1;
        let is_dead_behind = self.stream.limit(self.at).is_some_and(|limit| next >= limit);
        if self.end() == End::Lost || is_dead_behind {
            return theory;
        }
        Theory { end: next, losses: Vec::new(), ..theory }
    }

    fn header(&self) -> Header {
        let len = self.segment.header_len;
        if self.after.get(..len).is_some_and(|found| Some(found) == self.before.get(..len)) {
            return Header::Whole;
        }
        let magic = self.after.get(HEADER_LEN..).unwrap_or_default();
        let version = self.after.get(40..42).map(|version| version != [0, 0] && version != [1, 0]);
        if magic.starts_with(&MAGIC) && version == Some(true) {
            return Header::Foreign;
        }
        let is_ours = magic.iter().zip(MAGIC).all(|(found, ours)| *found == ours || *found == 0);
        if is_ours || is_header_whole(0, self.before, self.after) {
            Header::Torn
        } else {
            Header::Foreign
        }
    }

    /// Where the valid frames end, and the number that comes next.
    fn valid_end(&self) -> (usize, u64) {
        let whole = self.segment.frames.iter().take_while(|frame| self.is_whole(frame));
        let last = whole.last().map(|last| (last.at.end, last.entries.end));
        last.unwrap_or((self.segment.header_len, self.segment.entries.start))
    }

    fn is_whole(&self, frame: &Frame) -> bool {
        frame.is_whole(self.before, self.after)
    }

    /// How much of the segment its own headers prove.
    fn evidence_len(&self) -> u64 {
        let frames = self.segment.frames.iter().map(|frame| (frame.at.start, frame.synced));
        let all = frames.chain(self.segment.dead.iter().copied());
        let whole = all.filter(|(at, _)| is_header_whole(*at, self.before, self.after));
        whole.map(|(_, synced)| synced).max().unwrap_or_default()
    }

    /// The length and the end that the index tells of.
    fn told(&self) -> (u64, u64) {
        if self.index == Index::Missing {
            return (0, 0);
        }
        let ordinal = self.segment.ordinal;
        let floor = self.stream.floor.filter(|(floor, _)| *floor == ordinal).map(|(_, told)| told);
        let told = self.stream.sealed.get(&ordinal).copied().or(floor);
        let limit = self.stream.limit(self.at).unwrap_or(u64::MAX);
        told.map_or((0, 0), |told| (told.len, told.end.min(limit)))
    }

    /// Below which number later segments prove everything.
    fn proven_by_later(&self) -> u64 {
        let floor = self.stream.floor.map(|(ordinal, _)| ordinal);
        let last = self.stream.segments.last().map(|last| last.ordinal);
        let later = self.stream.segments.iter().skip(self.at + 1).filter(|later| {
            let is_told =
                self.stream.sealed.contains_key(&later.ordinal) || floor == Some(later.ordinal);
            // One was made behind it, and only when all before it was durable.
            Some(later.ordinal) != last
                || self.index == Index::Kept && is_told
                || later.frames.iter().any(|frame| frame.synced > 0)
                || later.dead.iter().any(|(_, synced)| *synced > 0)
        });
        later.map(|later| later.entries.start).max().unwrap_or_default()
    }

    fn end(&self) -> End {
        let (offset, next) = self.valid_end();
        let limit = self.stream.limit(self.at);
        let is_sealed = self
            .segment
            .frames
            .last()
            .is_some_and(|last| last.entries.is_empty() && last.at.end == offset);
        if limit.is_some_and(|limit| next >= limit) || is_sealed {
            return End::Clean;
        }
        let (len, until) = self.told();
        let len = len.max(self.evidence_len());
        let later = self.proven_by_later().min(limit.unwrap_or(u64::MAX));
        if number(offset) < len || next < until.max(later) {
            return End::Lost;
        }
        if self.rest_len(offset) > 0 { End::Torn } else { End::Clean }
    }

    /// How many bytes there are up to the last that is not zero.
    fn rest_len(&self, offset: usize) -> usize {
        let rest = self.after.get(offset..).unwrap_or_default();
        rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
    }

    /// The bit that was turned in the frame at `offset`, if no other was.
    fn turned_bit(&self, offset: usize) -> Option<u64> {
        let frame = self.segment.frames.iter().find(|frame| frame.at.start == offset)?;
        let before = self.before.get(frame.at.clone())?;
        let after = self.after.get(frame.at.clone())?;
        let mut turned = before.iter().zip(after).enumerate().filter(|(_, (old, new))| old != new);
        let (byte, (old, new)) = turned.next()?;
        let bits = old ^ new;
        let is_one = bits.is_power_of_two() && turned.next().is_none();
        is_one.then(|| number(byte) * 8 + u64::from(bits.trailing_zeros()))
    }

    /// What readers cannot read: each run of frames that are not whole.
    fn losses(&self) -> Vec<Loss> {
        let mut losses: Vec<Loss> = Vec::new();
        let mut broken_from = (self.header() != Header::Whole).then_some(0);
        for frame in &self.segment.frames {
            if self.is_whole(frame) {
                broken_from = None;
                continue;
            }
            let entries = frame.entries.clone();
            let (start, end) = (number(frame.at.start), number(frame.at.end));
            if let (Some(loss), Some(from)) = (losses.last_mut(), broken_from)
                && loss.entries.end == entries.start
            {
                loss.entries.end = entries.end;
                loss.place = Some(from..end);
                continue;
            }
            let from = broken_from.unwrap_or(start);
            broken_from = Some(from);
            let path = self.segment.path.clone();
            losses.push(Loss { entries, path, place: Some(from..end) });
        }
        losses.retain(|loss| !loss.entries.is_empty());
        losses
    }
}
