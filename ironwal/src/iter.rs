//! Iteration over the entries of a stream.

use std::fmt;
use std::iter::FusedIterator;

use bytes::Bytes;
use ironwal_format::{SequenceNumber, StreamId};
use ironwal_stream::{Cursor, CursorItem, Error as StreamError, Frame};

use crate::error::{Error, ErrorKind, Result};
use crate::segment_cache::Reading;
use crate::sync::FileArc as Arc;
use crate::view::{Part, Snapshot};

/// One entry of a stream.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its sequence number.
    pub seq: u64,
    /// Its bytes.
    pub data: Bytes,
}

/// The number and the length: entry bytes are the caller's, and not for logs.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("seq", &self.seq).field("len", &self.data.len()).finish()
    }
}

/// The entries of a range of a stream, in order.
///
/// Its end was fixed when it was made: entries that are committed later are not among what it yields.
/// It needs no handle of the stream, and may be sent to another thread.
///
/// Entries that are damaged are one error for each frame, segment or gap that is lost, and then the
/// next readable entry. Where a truncation has overtaken it, it says [`ErrorKind::Truncated`] once,
/// and goes on with the first entry that there is. A failure of the operating system is one error, and
/// the end; so is [`ErrorKind::Deleted`].
#[derive(Debug)]
pub struct Iter {
    stream: Arc<str>,
    reading: Reading,
    /// Who knows what became of the stream meanwhile.
    origin: Option<Arc<dyn Origin>>,
    snapshot: Option<Snapshot>,
    /// Told before anything else.
    first_error: Option<Error>,
    at: SequenceNumber,
    until: SequenceNumber,
    /// The end of what counts of the segment that the cursor reads: what its frames hold behind that
    /// is dead.
    part_until: SequenceNumber,
    cursor: Option<Cursor>,
    frame: Option<Frame>,
    /// Whether it was asked what became of the stream, since the last segment was begun.
    asked: Asked,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Yes,
    No,
}

/// Where an iterator comes from.
pub(crate) trait Origin: fmt::Debug + Send + Sync {
    /// The number of the first entry that there is at this moment; that the stream was deleted, if what
    /// there is now is not the incarnation `life` of it.
    fn first_now(&self, life: StreamId) -> Result<SequenceNumber>;
}

impl Iter {
    pub(crate) fn new(
        stream: &str,
        reading: Reading,
        snapshot: Option<Snapshot>,
        (at, until): (SequenceNumber, SequenceNumber),
    ) -> Self {
        let stream = stream.into();
        Self {
            stream,
            reading,
            origin: None,
            snapshot,
            first_error: None,
            at,
            until,
            part_until: until,
            cursor: None,
            frame: None,
            asked: Asked::No,
        }
    }

    /// Lets the iterator start with the error that entries before `first` were removed.
    pub(crate) fn with_truncated(mut self, first: SequenceNumber) -> Self {
        let kind = ErrorKind::Truncated { first_seq: first.get() };
        self.first_error = Some(Error::of(&self.stream, kind));
        self
    }

    /// Lets the iterator ask what became of the stream, where a segment is gone.
    pub(crate) fn with_origin(mut self, origin: Arc<dyn Origin>) -> Self {
        self.origin = Some(origin);
        self
    }

    fn advance(&mut self) -> Option<Result<Entry>> {
        loop {
            if self.at >= self.until {
                return None;
            }
            let part_until = self.part_until;
            if self.at >= part_until {
                (self.cursor, self.frame) = (None, None);
            }
            if let Some(frame) = self.frame.take_if(|frame| self.at < frame.end()) {
                let (seq, offset) = (self.at, frame.offset());
                let end = frame.end().min(part_until);
                let next = seq.checked_add(1).unwrap_or(SequenceNumber::MAX);
                let data = if next < end {
                    let data = frame.entry(seq);
                    self.frame = Some(frame);
                    data
                } else {
                    frame.into_entry(seq)
                };
                return Some(match data {
                    Ok(data) => {
                        self.at = next;
                        Ok(Entry { seq: seq.get(), data })
                    }
                    Err(source) => {
                        // One error for the whole frame.
                        self.at = end;
                        let cursor = self.cursor.as_ref().expect("a frame is a cursor's");
                        Err(Error::below(&self.stream, &cursor.damaged(offset, source)))
                    }
                });
            }
            match self.read() {
                Ok(CursorItem::Frame(frame)) => self.frame = Some(frame),
                Ok(CursorItem::Lost(error, next)) => {
                    // What was truncated or deleted is no damage, nor is what has come in its place. That
                    // is asked once for each segment: what is open is not taken away.
                    if std::mem::replace(&mut self.asked, Asked::Yes) == Asked::No
                        && let Some(overtaken) = self.overtaken()
                    {
                        return Some(Err(overtaken));
                    }
                    let lost = next > self.at;
                    self.at = self.at.max(next);
                    if lost {
                        return Some(Err(Error::below(&self.stream, &error)));
                    }
                }
                Ok(CursorItem::End) => self.cursor = None,
                Err(error) => {
                    self.until = self.at;
                    return Some(Err(error));
                }
            }
        }
    }

    /// The error that tells what became of the stream, if that is why a segment is gone. The iterator
    /// goes on with what is left.
    fn overtaken(&mut self) -> Option<Error> {
        let life = self.snapshot.as_ref()?.life();
        match self.origin.as_ref()?.first_now(life) {
            Ok(first) if first > self.at => {
                self.at = first.min(self.until);
                let kind = ErrorKind::Truncated { first_seq: first.get() };
                Some(Error::of(&self.stream, kind))
            }
            Err(error) if error.is_deleted() => {
                self.until = self.at;
                Some(error)
            }
            // Nobody knows of anything that explains it.
            Ok(_) | Err(_) => None,
        }
    }

    /// Reads the next frame, out of the segment that holds the next entry.
    #[inline]
    fn read(&mut self) -> Result<CursorItem> {
        match &mut self.cursor {
            // What it reads from is open.
            Some(cursor) => cursor.read().map_err(|error| Error::below(&self.stream, &error)),
            None => self.read_with_room(),
        }
    }

    /// As [`read_next_segment`](Self::read_next_segment); again, with fewer files held open, where there
    /// are none to be had.
    fn read_with_room(&mut self) -> Result<CursorItem> {
        let files = Arc::clone(&self.reading.files);
        let read = files.with_room(|| {
            self.read_next_segment().map_err(|error| Error::below(&self.stream, &error))
        });
        self.reading.settle();
        read
    }

    /// Opens the segment that holds the next entry, and reads the first frame.
    fn read_next_segment(&mut self) -> Result<CursorItem, StreamError> {
        self.asked = Asked::No;
        let part = self.snapshot.as_ref().map_or(Part::End, |snapshot| snapshot.part(self.at));
        let (opened, end) = match part {
            Part::Active(segment, place, cache) => {
                let ready = self.reading.ready(segment, &cache);
                (ready.and_then(|segment| segment.cursor(place)), self.until)
            }
            Part::Closed(segment, cache, range) => {
                let ready = self.reading.ready(segment, &cache);
                let opened = ready.and_then(|segment| {
                    let is_inside = self.at > range.start;
                    let stretch = if is_inside { cache.stretch(&segment, self.at)? } else { None };
                    segment.cursor(segment.place(stretch.map(|stretch| stretch.from)))
                });
                (opened, range.end)
            }
            Part::Missing(error, next) => return Ok(CursorItem::Lost(error, next)),
            Part::End => {
                self.at = self.until;
                return Ok(CursorItem::End);
            }
        };
        match opened {
            Ok(mut cursor) => {
                self.part_until = end;
                let read = cursor.read();
                self.cursor = Some(cursor);
                read
            }
            // A file that is gone, or is something else, is lost as a whole.
            Err(error) if error.is_finding() => Ok(CursorItem::Lost(error, end)),
            Err(error) => Err(error),
        }
    }
}

impl Iterator for Iter {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.first_error.take() {
            return Some(Err(error));
        }
        let item = self.advance();
        if item.is_none() {
            // Nothing more will come: let go of files.
            self.until = self.at;
            self.cursor = None;
            self.frame = None;
            self.snapshot = None;
        }
        item
    }
}

impl FusedIterator for Iter {}
