//! Iteration over the entries of a stream.

use std::iter::FusedIterator;

use bytes::Bytes;
use ironwal_format::SequenceNumber;
use ironwal_stream::{Cursor, CursorItem, Error as StreamError, Frame};

use crate::error::{Error, ErrorKind, Result};
use crate::open_files::MAX_TRIES;
use crate::state::Shared;
use crate::sync::Arc;
use crate::view::{Part, Snapshot};

/// One entry of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its sequence number.
    pub seq: u64,
    /// Its bytes.
    pub data: Bytes,
}

/// The entries of a range of a stream, in order.
///
/// What it yields was fixed when it was made: entries that are committed later are not among them. It
/// needs no lock and no handle of the stream, and may be sent to another thread.
///
/// Entries that are damaged are one error for each frame, segment or gap that is lost, and then the
/// next readable entry. A failure of the operating system is one error, and the end.
#[derive(Debug)]
pub struct Iter {
    stream: Arc<str>,
    /// Who to ask to hold fewer files open, where there are none to be had.
    room: Option<Arc<Shared>>,
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
}

impl Iter {
    pub(crate) fn new(
        stream: &str,
        snapshot: Option<Snapshot>,
        at: SequenceNumber,
        until: SequenceNumber,
    ) -> Self {
        let stream = stream.into();
        Self {
            stream,
            room: None,
            snapshot,
            first_error: None,
            at,
            until,
            part_until: until,
            cursor: None,
            frame: None,
        }
    }

    /// Lets the iterator start with the error that entries before `first` were removed.
    pub(crate) fn with_truncated(mut self, first: SequenceNumber) -> Self {
        let kind = ErrorKind::Truncated { first_seq: first.get() };
        self.first_error = Some(Error::of(&self.stream, kind));
        self
    }

    /// Lets the iterator have other streams give up their files, where there are none to be had.
    pub(crate) fn with_room(mut self, shared: Arc<Shared>) -> Self {
        self.room = Some(shared);
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
            match self.read_with_room() {
                Ok(CursorItem::Frame(frame)) => self.frame = Some(frame),
                Ok(CursorItem::Lost(error, next)) => {
                    let lost = next > self.at;
                    self.at = self.at.max(next);
                    if lost {
                        return Some(Err(Error::below(&self.stream, &error)));
                    }
                }
                Ok(CursorItem::End) => self.cursor = None,
                Err(error) => {
                    self.until = self.at;
                    return Some(Err(Error::below(&self.stream, &error)));
                }
            }
        }
    }

    /// As [`read`](Self::read); again, with fewer files held open, where there are none to be had.
    fn read_with_room(&mut self) -> Result<CursorItem, StreamError> {
        let mut tries = 0;
        loop {
            let error = match self.read() {
                Ok(item) => return Ok(item),
                Err(error) => error,
            };
            let room = self.room.as_ref().map(|shared| &shared.open_files);
            let is_out_of_files = Error::below(&self.stream, &error).is_out_of_files();
            tries += 1;
            if !is_out_of_files
                || tries > MAX_TRIES
                || room.is_none_or(|room| room.make_room() == 0)
            {
                return Err(error);
            }
        }
    }

    /// Reads the next frame, out of the segment that holds the next entry.
    fn read(&mut self) -> Result<CursorItem, StreamError> {
        if let Some(cursor) = &mut self.cursor {
            return cursor.read();
        }
        let part = self.snapshot.as_ref().map_or(Part::End, |snapshot| snapshot.part(self.at));
        let (opened, end) = match part {
            Part::Active(segment, place) => (segment.cursor(place), self.until),
            Part::Closed(segment, closed, range) => {
                let is_inside = self.at > range.start;
                let point = if is_inside { closed.point(&segment, self.at) } else { Ok(None) };
                (point.and_then(|point| segment.cursor(segment.place(point))), range.end)
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
