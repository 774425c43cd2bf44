//! Looking at a stream that somebody else may be writing, from the outside.
//!
//! Beside a live writer a look may meet a moment that never was on disk as a whole: the list of files
//! from before a rotation and the index from behind it, or a frame that was half written when it was
//! passed and proven durable a moment later. No such finding is the same in two looks, since the
//! second one begins when all that the first one saw was written. So a finding counts if two looks, one
//! after the other, agree on it. What is cut at the live end is a torn tail to every look: nothing
//! tells a frame that is being written from one that never will be.

use std::io;
use std::path::PathBuf;

use ironwal_format::names::StreamKey;
use ironwal_segment::storage::Storage;
use ironwal_stream::{
    DamageReport, Error as StreamError, ErrorKind as StreamErrorKind, StreamReport, StreamView,
    inspect,
};

use crate::error::{Error, Result};
use crate::sync::FileArc;

/// How often a stream is looked at, at most, until two looks agree. Each look has its own chance to
/// meet a rotation, which is a small one unless segments hold but a few entries.
pub(super) const MAX_LOOKS: usize = 100;

/// What one look at a stream saw.
pub(crate) struct Look {
    pub(crate) view: Option<StreamView>,
    pub(crate) report: StreamReport,
}

/// Looks at a stream until two looks agree on what is wrong with it; `None` if there is no such stream.
pub(super) fn look(storage: &FileArc<dyn Storage>, key: &StreamKey) -> Result<Option<Look>> {
    let mut seen = look_once(storage, key);
    let mut before = sightings(&seen);
    for _ in 1..MAX_LOOKS {
        if before.is_empty() {
            break;
        }
        seen = look_once(storage, key);
        let now = sightings(&seen);
        if now.iter().all(|sighting| before.contains(sighting)) {
            break;
        }
        keep_seen_twice(&mut seen, &before);
        before = now;
    }
    seen.map_err(|error| Error::below(key.as_str(), &error))
}

pub(super) fn look_once(
    storage: &FileArc<dyn Storage>,
    key: &StreamKey,
) -> Result<Option<Look>, StreamError> {
    let seen = inspect(storage, key)?;
    Ok(seen.map(|(view, report)| Look { view, report }))
}

/// A finding, as far as it has to be the same in two looks: which file, and where in it.
type Sighting = (PathBuf, Option<u64>);

/// What may be wrong with a stream, or may only have looked so.
fn sightings(seen: &Result<Option<Look>, StreamError>) -> Vec<Sighting> {
    match seen {
        Ok(Some(look)) => look.report.damage.iter().map(sighting).collect(),
        // A file that was listed has got another name: a writer has opened the stream meanwhile.
        Err(error) if is_gone(error) => vec![(error.path().to_path_buf(), None)],
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn sighting(damage: &DamageReport) -> Sighting {
    (damage.error.path().to_path_buf(), offset(&damage.error))
}

/// Where in its file a finding is.
pub(crate) fn offset(error: &StreamError) -> Option<u64> {
    if let StreamErrorKind::Frame { offset, .. }
    | StreamErrorKind::MissingFeature { offset, .. }
    | StreamErrorKind::Short { len: offset, .. } = error.kind()
    {
        return Some(*offset);
    }
    matches!(error.kind(), StreamErrorKind::Header { .. }).then_some(0)
}

fn is_gone(error: &StreamError) -> bool {
    matches!(
        error.kind(),
        StreamErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::NotFound
    )
}

/// Drops the findings that the look before did not have, and what readers would be told of them,
/// unless nothing of the stream was readable.
fn keep_seen_twice(seen: &mut Result<Option<Look>, StreamError>, before: &[Sighting]) {
    let Ok(Some(Look { view: Some(view), report })) = seen else { return };
    let was_seen =
        |error: &StreamError| before.contains(&(error.path().to_path_buf(), offset(error)));
    report.damage.retain(|damage| was_seen(&damage.error));
    view.missing.retain(|missing| was_seen(&missing.error));
    let held = view.closed.iter().map(|segment| segment.until);
    let missing = view.missing.iter().map(|missing| missing.until);
    let end = held.chain(missing).max().unwrap_or(view.first);
    view.next = view.next.min(end);
    report.next = view.next;
}
