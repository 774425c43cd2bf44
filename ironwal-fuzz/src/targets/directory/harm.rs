//! What bad disks, bad people and bad luck do to the files of a log.

use ironwal_format::cast;
use ironwal_format::checksum::Salt;
use ironwal_format::index::{RECORD_LEN, decode_header};
use ironwal_format::names::{INDEX_FILE, INDEX_TEMP_FILE, segment_file_name, torn_file_name};
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::{Ordinal, SequenceNumber};

use super::super::input::Input;
use super::super::mend::{self, Mended, Numbers, put};
use super::Files;

/// How often one log is harmed at most, and how long a file becomes.
const MAX_HARMS: usize = 12;
const MAX_FILE_LEN: usize = 1 << 16;

/// Does what the input says.
pub(super) fn harm(files: &mut Files, input: &mut Input<'_>) {
    for _ in 0..MAX_HARMS {
        if input.is_empty() {
            return;
        }
        harm_once(files, input);
    }
}

fn harm_once(files: &mut Files, input: &mut Input<'_>) {
    let what = input.byte();
    let at = usize::from(what >> 4);
    // The lock says nothing.
    let is_file = |path: &&String| path.contains('/') && !path.ends_with('/');
    let paths: Vec<String> = files.keys().filter(is_file).cloned().collect();
    let Some(path) = at.checked_rem(paths.len()).and_then(|at| paths.get(at)) else { return };
    let Some(bytes) = files.get_mut(path) else { return };
    match what & 15 {
        0 => {
            let at = cast::usize_from_u32(u32::from(input.u16()));
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (input.byte() & 7));
        }
        1 => {
            let (at, count) = (usize::from(input.u16()), usize::from(input.byte()));
            let patch = input.bytes(count);
            let behind = bytes.get_mut(at..).unwrap_or_default();
            behind.iter_mut().zip(patch).for_each(|(to, from)| *to = *from);
        }
        2 => {
            let (at, count) = (usize::from(input.u16()), usize::from(input.u16()));
            let end = at.saturating_add(count).min(bytes.len());
            bytes.get_mut(at..end).unwrap_or_default().fill(0);
        }
        3 => bytes.truncate(usize::from(input.u16())),
        4 => bytes.resize((bytes.len() + usize::from(input.u16())).min(MAX_FILE_LEN), 0),
        5 => {
            let count = usize::from(input.byte());
            bytes.extend_from_slice(input.bytes(count));
        }
        6 => drop(files.remove(path)),
        7 => {
            // The files of two names change places.
            let other = paths.get(input.below(paths.len())).and_then(|path| files.get(path));
            let (Some(one), Some(other)) = (files.get(path).cloned(), other.cloned()) else {
                return;
            };
            let to = paths.get(input.below(paths.len())).unwrap_or(path).clone();
            files.insert(path.clone(), other);
            files.insert(to, one);
        }
        8 => {
            let Some(bytes) = files.get(path).cloned() else { return };
            add(files, path, input, bytes);
        }
        9 => {
            let Some(bytes) = files.remove(path) else { return };
            add(files, path, input, bytes);
        }
        10 => {
            let count = usize::from(input.byte());
            let bytes = input.bytes(count).to_vec();
            add(files, path, input, bytes);
        }
        11 => mended(path, bytes, (Mended::Headers, Numbers::Kept)),
        12 => mended(path, bytes, (Mended::Frames, Numbers::Kept)),
        13 => mended(path, bytes, (Mended::Frames, Numbers::Following)),
        _ => field(path, bytes, input),
    }
}

/// Gives a file another name in the directory that `beside` is in.
fn add(files: &mut Files, beside: &str, input: &mut Input<'_>, bytes: Vec<u8>) {
    let base = SequenceNumber::new(u64::from(input.byte()));
    let ordinal = Ordinal::new(u32::from(input.byte() & 7));
    let name = match input.below(8) {
        0..=3 => segment_file_name(base, ordinal),
        4 => torn_file_name(base, ordinal, 0),
        5 => INDEX_FILE.to_owned(),
        6 => INDEX_TEMP_FILE.to_owned(),
        _ => "notes".to_owned(),
    };
    let dir = beside.split_once('/').map_or("s", |(dir, _)| dir);
    files.insert(format!("{dir}/{name}"), bytes);
}

/// Makes the checksums of a file right, whatever it is by its name.
fn mended(path: &str, bytes: &mut [u8], (mended, numbers): (Mended, Numbers)) {
    if path.ends_with(INDEX_FILE) {
        mend::index_header(bytes);
        if let Ok(header) = decode_header(bytes) {
            mend::index_records(bytes, header.id(), header.records_offset());
        }
    } else {
        mend::segment(bytes, mended, numbers);
    }
}

/// Changes one field of one frame or record, and makes its checksum right.
fn field(path: &str, bytes: &mut [u8], input: &mut Input<'_>) {
    let (number, which, value) = (input.below(16), input.byte(), input.byte());
    // Small numbers, those at the end of the numbering, and those of 32 bits.
    let value = match which >> 6 {
        0 => u64::from(value),
        1 => u64::MAX - u64::from(value),
        2 => u64::from(u32::MAX - u32::from(value)),
        _ => u64::from(value) << 3,
    };
    let [v0, v1, v2, v3, ..] = value.to_le_bytes();
    let short = [v0, v1, v2, v3];
    if path.ends_with(INDEX_FILE) {
        let Ok(header) = decode_header(bytes) else { return };
        let start = header.records_offset();
        let at = cast::usize_from(start) + RECORD_LEN * number;
        match which & 7 {
            0 => put(bytes, at + 4, [v0 & 3]),
            1 | 2 => put(bytes, at + 8, value.to_le_bytes()),
            3 | 4 => put(bytes, at + 16, value.to_le_bytes()),
            5 => put(bytes, at + 24, short),
            6 => put(bytes, at + 28, short),
            _ => put(bytes, at + 5, [v0]),
        }
        mend::index_records(bytes, header.id(), start);
        return;
    }
    let Some(header) = SegmentHeader::decode(bytes).ok() else { return };
    let Some(at) = nth_frame(bytes, number) else { return };
    match which & 7 {
        0 => put(bytes, at + 1, [v0]),
        1 | 2 => put(bytes, at + 8, value.to_le_bytes()),
        3 => put(bytes, at + 16, short),
        4 => put(bytes, at + 20, short),
        5 | 6 => put(bytes, at + 28, short),
        _ => put(bytes, at + 32, short),
    }
    let salt = if at == 0 { Salt::NONE } else { Salt::of(header.id, header.ordinal) };
    let frame = bytes.get_mut(at..).unwrap_or_default();
    mend::frame(frame, salt, cast::u64_from(at), Mended::Frames);
}

/// Where the frame with this number starts, by what the headers before it say.
fn nth_frame(bytes: &[u8], number: usize) -> Option<usize> {
    let mut at = 0;
    for _ in 0..number {
        let header = bytes.get(at..)?.first_chunk()?;
        at += usize::try_from(mend::claimed_len(header)).ok()?;
    }
    bytes.get(at..)?.first_chunk::<RECORD_LEN>().map(|_| at)
}
