//! What is in the directory of a stream, by the names alone.

use std::io;

use ironwal_format::Ordinal;
use ironwal_format::names::StreamFileName;
use ironwal_segment::SegmentName;
use ironwal_segment::storage::{EntryKind, Storage, StoragePath};

/// The files of a stream.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// The segments, in the order of ordinals.
    pub(crate) segments: Vec<SegmentName>,
    /// Segments that have the ordinal of another: which of them counts cannot be told.
    pub(crate) doubled: Vec<SegmentName>,
    /// Whether there is an index.
    pub(crate) index: Presence,
    /// Whether there is an index that was to take the place of the index.
    pub(crate) index_temp: Presence,
    /// How often segments were set aside, by their names.
    pub(crate) torn: Vec<String>,
    /// What is not ours, left alone.
    pub(crate) foreign: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Presence {
    #[default]
    Absent,
    Present,
}

impl Layout {
    /// The names of all segments below an ordinal, also of those that were set aside, in the order of
    /// ordinals.
    pub(crate) fn before(&self, ordinal: Ordinal) -> Vec<String> {
        let segments = self.segments.iter().chain(&self.doubled).map(|name| name.file_name());
        let mut names: Vec<_> = segments
            .chain(self.torn.iter().cloned())
            .filter_map(|name| match StreamFileName::of(&name) {
                StreamFileName::Segment { ordinal: found, .. }
                | StreamFileName::Torn { ordinal: found, .. } => {
                    (found < ordinal).then_some((found, name))
                }
                StreamFileName::Index | StreamFileName::IndexTemp | StreamFileName::Foreign => None,
            })
            .collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }
}

/// Lists the directory of a stream.
///
/// # Errors
///
/// Those of [`Storage::list`]: `NotFound` when there is no such stream.
pub(crate) fn list(storage: &dyn Storage, dir: StoragePath<'_>) -> io::Result<Layout> {
    let mut layout = Layout::default();
    for entry in storage.list(dir)? {
        match StreamFileName::of(&entry.name) {
            StreamFileName::Segment { base, ordinal } => {
                layout.segments.push(SegmentName { base, ordinal });
            }
            StreamFileName::Index => layout.index = Presence::Present,
            StreamFileName::IndexTemp => layout.index_temp = Presence::Present,
            StreamFileName::Torn { .. } if entry.kind == EntryKind::File => {
                layout.torn.push(entry.name);
            }
            StreamFileName::Torn { .. } | StreamFileName::Foreign => {
                layout.foreign.push(entry.name);
            }
        }
    }
    layout.segments.sort_unstable_by_key(|segment| (segment.ordinal, segment.base));
    let mut ordinals = Vec::with_capacity(layout.segments.len());
    for segment in layout.segments.drain(..) {
        match ordinals.last() {
            Some(SegmentName { ordinal, .. }) if *ordinal == segment.ordinal => {
                layout.doubled.push(segment);
            }
            Some(_) | None => ordinals.push(segment),
        }
    }
    layout.segments = ordinals;
    layout.foreign.sort_unstable();
    layout.torn.sort_unstable();
    Ok(layout)
}
