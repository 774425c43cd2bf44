//! What a stream shows.

use std::sync::Arc;

use ironwal_format::SequenceNumber;
use ironwal_format::walk::Bounds;
use ironwal_stream::{CursorItem, Error, ReadSegment, StreamView};

use super::history::Found;

/// Every entry that a view shows, with its number.
pub(super) fn read_all(view: &StreamView) -> Result<Found, Error> {
    let mut found = Found { first: view.first.get(), next: view.next.get(), entries: Vec::new() };
    let closed =
        view.closed.iter().map(|segment| ReadSegment::closed(Arc::clone(&view.dir), *segment));
    let active = view.active.iter().map(|active| ReadSegment {
        dir: Arc::clone(&view.dir),
        name: active.name,
        bounds: Bounds { len: active.len, until: view.next },
        bytes: None,
    });
    for segment in closed.chain(active) {
        let mut cursor = segment.cursor(segment.place(None))?;
        loop {
            match cursor.read()? {
                CursorItem::Frame(frame) => {
                    for seq in frame.base().get()..frame.end().get() {
                        let offset = frame.offset();
                        let entry = frame.entry(SequenceNumber::new(seq));
                        let entry = entry.map_err(|error| segment.damaged(offset, error))?;
                        found.entries.push((seq, entry));
                    }
                }
                CursorItem::Lost(error, _) => return Err(error),
                CursorItem::End => break,
            }
        }
    }
    Ok(found)
}
