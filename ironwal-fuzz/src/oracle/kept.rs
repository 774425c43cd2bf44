//! What has to be on the disk still after a recovery, and what must not be there any more.

use std::collections::BTreeMap;

use ironwal_format::names::{RootName, StreamFileName, StreamKey};
use ironwal_format::{Ordinal, SequenceNumber};

use crate::invariant::Invariant;
use crate::model::{Model, Violation};
use crate::tally;

/// Every file by its path, every directory by its path and a `/`.
type Files = BTreeMap<String, Vec<u8>>;

/// Looks at what a recovery did to the files that it found.
///
/// Each is there with the same bytes under the same name; but for a segment that was set aside, whose name
/// is another one then, the index, and what a truncation or a deletion had removed already. Of what that
/// left there is nothing any more, and of what was being made neither, but for files that are not the log's.
///
/// # Errors
///
/// I14, or I7.
pub(crate) fn check_kept(before: &Files, after: &Files, model: &Model) -> Result<(), Violation> {
    if let Some(path) = first_lost(before, after, model) {
        let what = format!("{path}: the bytes that were there are not");
        return Err(Violation::new(Invariant::I14, what));
    }
    tally::checked(Invariant::I14);
    for path in after.keys() {
        if let Some(left) = unfinished(path, after) {
            let what = format!("{left}: an opening does not finish what was interrupted");
            return Err(Violation::new(Invariant::I7, what));
        }
    }
    Ok(())
}

/// The first file that is not there any more, or has other bytes, though an opening has to leave it.
pub(crate) fn first_lost<'a>(before: &'a Files, after: &Files, model: &Model) -> Option<&'a str> {
    let lost = before.iter().find(|(path, bytes)| !is_kept(path, bytes, after, model));
    lost.map(|(path, _)| path.as_str())
}

fn is_kept(path: &str, bytes: &[u8], after: &Files, model: &Model) -> bool {
    let is_same = |path: &str| after.get(path).is_some_and(|found| found == bytes);
    let Some((dir, name)) = path.split_once('/') else { return is_same(path) };
    let is_gone = |base: SequenceNumber, ordinal| {
        let Ok(key) = StreamKey::decode_dir_name(dir) else { return false };
        let may_be = |seq| model.may_be_truncated(key.as_str(), seq);
        // One without entries has the base of the next, and goes with what is in front of it; at number 0 that
        // is nothing.
        let is_empty =
            || first_segment(dir, after).is_some_and(|(at, first)| ordinal < at && base == first);
        let was_truncated = || model.was_truncated(key.as_str());
        may_be(base.get())
            || base.get().checked_sub(1).map_or_else(was_truncated, may_be) && is_empty()
    };
    let (is_stream, name) = match RootName::of(dir) {
        RootName::Stream(_) => (true, StreamFileName::of(name)),
        RootName::New | RootName::Trash => (false, StreamFileName::of(name)),
        RootName::Lock | RootName::Foreign => return is_same(path),
    };
    match name {
        // The directory itself, or what is not ours.
        StreamFileName::Foreign => path.ends_with('/') && !is_stream || is_same(path),
        _ if !is_stream => true,
        StreamFileName::Index | StreamFileName::IndexTemp => true,
        StreamFileName::Torn { base, ordinal, .. } => is_same(path) || is_gone(base, ordinal),
        StreamFileName::Segment { base, ordinal } => {
            let aside = format!("{path}.torn");
            let named_so =
                after.range(aside.clone()..).take_while(|(at, _)| at.starts_with(&aside));
            is_same(path)
                || named_so.into_iter().any(|(_, found)| found == bytes)
                || is_gone(base, ordinal)
        }
    }
}

/// The first segment of a stream.
fn first_segment(dir: &str, files: &Files) -> Option<(Ordinal, SequenceNumber)> {
    let names = files.keys().filter_map(|path| path.strip_prefix(dir)?.strip_prefix('/'));
    let segments = names.filter_map(|name| match StreamFileName::of(name) {
        StreamFileName::Segment { base, ordinal } => Some((ordinal, base)),
        StreamFileName::Index
        | StreamFileName::IndexTemp
        | StreamFileName::Torn { .. }
        | StreamFileName::Foreign => None,
    });
    segments.min()
}

/// What is left of a making or a deletion, if it is ours; a directory is, unless anything else is in it.
fn unfinished<'a>(path: &'a str, files: &Files) -> Option<&'a str> {
    let (dir, name) = path.split_once('/')?;
    if !matches!(RootName::of(dir), RootName::New | RootName::Trash) {
        return None;
    }
    let is_needed = name.is_empty()
        && files
            .range(format!("{path}\0")..)
            .next()
            .is_some_and(|(next, _)| next.starts_with(path));
    let is_ours = name.is_empty() || !matches!(StreamFileName::of(name), StreamFileName::Foreign);
    (is_ours && !is_needed).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Promise;

    fn files(paths: &[&str]) -> Files {
        // What stands in front of an `=` is the path of what stands behind it.
        let parts =
            |path: &&str| path.split_once('=').map(|(path, held)| (path.to_owned(), held.into()));
        paths.iter().map(|path| parts(path).unwrap_or(((*path).to_owned(), Vec::new()))).collect()
    }

    fn check(before: &[&str], after: &[&str]) -> Result<(), Invariant> {
        check_with(&Model::new(), before, after)
    }

    fn check_with(model: &Model, before: &[&str], after: &[&str]) -> Result<(), Invariant> {
        check_kept(&files(before), &files(after), model).map_err(|violation| violation.invariant)
    }

    /// Of the stream `s`, with as many entries as both segments have.
    fn truncated(first: u64) -> Model {
        let mut model = Model::new();
        let frame = vec![bytes::Bytes::from_static(b"x"); 8];
        model.note("s", &frame, &Ok(0..8), Promise::Durable).unwrap();
        model.truncated("s", first, &Ok(first)).unwrap();
        model
    }

    const FIRST: &str = "s/00000000000000000000-0000000000.wal";
    const SECOND: &str = "s/00000000000000000007-0000000001.wal";

    #[test]
    fn a_segment_may_be_set_aside_or_lie_below_the_first() {
        let [aside, other] = [format!("{FIRST}.torn.1"), format!("{FIRST}.torn.1=other")];
        let second = format!("{SECOND}=x");
        assert_eq!(check(&[FIRST], &[&aside]), Ok(()));
        assert_eq!(check(&[FIRST], &[&other]), Err(Invariant::I14));
        assert_eq!(check(&[FIRST], &[]), Err(Invariant::I14));
        assert_eq!(check(&[FIRST, &second], &[&second]), Err(Invariant::I14), "nobody truncated");
        assert_eq!(check_with(&truncated(7), &[FIRST, &second], &[&second]), Ok(()));
        let next = "s/00000000000000000000-0000000001.wal";
        assert_eq!(check(&[FIRST, next], &[next]), Err(Invariant::I14), "nobody truncated");
        let gone = check_with(&truncated(0), &[FIRST, next], &[next]);
        assert_eq!(gone, Ok(()), "it holds nothing");
        let torn = format!("{SECOND}.torn");
        for kept in [FIRST, &torn] {
            let lost = check_with(&truncated(7), &[kept, &second], &[kept]);
            assert_eq!(lost, Err(Invariant::I14), "it is the first");
        }
    }

    #[test]
    fn what_was_set_aside_and_what_is_not_ours_stays() {
        let torn = format!("{FIRST}.torn=old");
        assert_eq!(check(&[&torn], &[&torn, SECOND]), Ok(()));
        assert_eq!(check(&[&torn], &[SECOND]), Err(Invariant::I14), "nobody truncated");
        let gone = check_with(&truncated(7), &[&torn], &[SECOND]);
        assert_eq!(gone, Ok(()), "it goes with its segment");
        assert_eq!(check(&[&torn], &[FIRST, &format!("{FIRST}.torn=new")]), Err(Invariant::I14));
        for path in
            ["s/notes=x", ".trash-1/notes=x", ".new-s/notes=x", "Foreign/notes=x", "notes=x"]
        {
            assert_eq!(check(&[path], &[path]), Ok(()));
            assert_eq!(check(&[path], &[]), Err(Invariant::I14), "{path}");
        }
        assert_eq!(
            check(&["s/segments.idx=x", "s/segments.idx.new=x"], &["s/segments.idx=y"]),
            Ok(())
        );
    }

    #[test]
    fn nothing_of_ours_is_left_of_what_was_interrupted() {
        let left = [".trash-1/", ".trash-1/segments.idx"];
        assert_eq!(check(&left, &[]), Ok(()));
        assert_eq!(check(&left, &left), Err(Invariant::I7));
        assert_eq!(check(&left, &[".trash-1/"]), Err(Invariant::I7));
        assert_eq!(check(&left, &[".trash-1/", ".trash-1/notes"]), Ok(()));
        assert_eq!(check(&[".new-s/"], &[".new-s/"]), Err(Invariant::I7));
    }
}
