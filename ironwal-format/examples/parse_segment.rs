//! Prints what is in one segment file, whatever that is, with nothing but `ironwal-format`.
//!
//! `cargo run -p ironwal-format --example parse_segment -- <file>`
//!
//! It ends with 0 if the segment is clean, or torn where a crash may have cut it; with 1 if the file
//! cannot be read, is not ours, or is of a newer version; with 3 if it is damaged or has no valid header.
//! It judges this one file: the index and later segments may prove more. Only where the header does not
//! tell which frames belong here, the name of the file and the index beside it are asked.

use std::env;
use std::error::Error;
use std::fmt::{self, Write};
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

use ironwal_format::cast;
use ironwal_format::checksum::Salt;
use ironwal_format::compress::{plain_len, unpack_lz4};
use ironwal_format::frame::{
    Encoding, FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind, HEADER_LEN,
};
use ironwal_format::index::read_index;
use ironwal_format::names::{INDEX_FILE, StreamFileName};
use ironwal_format::payload::entry_range;
use ironwal_format::scan::{ScanFrom, scan};
use ironwal_format::seal::Seal;
use ironwal_format::segment_header::{MAX_SEGMENT_HEADER_LEN, SegmentHeader, SegmentHeaderError};
use ironwal_format::verdict::{Evidence, Verdict, judge};
use ironwal_format::walk::{Bounds, Place, Step, step};
use ironwal_format::{Ordinal, SequenceNumber, StreamId, StreamKey};

/// Of how many entries of a batch the lengths are printed.
const SHOWN_LEN_COUNT: usize = 8;

fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        return fail(&"usage: parse_segment <file>");
    };
    let path = Path::new(&path);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return fail(&format_args!("{}: {error}", path.display())),
    };
    let (text, finding) = parse(&bytes, || Identity::beside(path));
    // Whoever closes the pipe has seen enough.
    drop(io::stdout().write_all(text.as_bytes()));
    ExitCode::from(match finding {
        Finding::Sound => 0,
        Finding::Refused => 1,
        Finding::Damaged => 3,
    })
}

fn fail(why: &dyn fmt::Display) -> ExitCode {
    drop(writeln!(io::stderr(), "{why}"));
    ExitCode::from(1)
}

/// What a file is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Finding {
    /// Clean, or torn.
    Sound,
    /// Damaged, or without a valid header.
    Damaged,
    /// Not ours, or of a newer version.
    Refused,
}

/// Which segment it is.
struct Identity {
    base: SequenceNumber,
    ordinal: Ordinal,
    id: StreamId,
    key: StreamKey,
}

impl Identity {
    /// By the name of the file and the index beside it, which is how recovery knows a segment whose
    /// header is lost.
    fn beside(path: &Path) -> Option<Self> {
        let (base, ordinal) = match StreamFileName::of(path.file_name()?.to_str()?) {
            StreamFileName::Segment { base, ordinal }
            | StreamFileName::Torn { base, ordinal, .. } => (base, ordinal),
            StreamFileName::Index | StreamFileName::IndexTemp | StreamFileName::Foreign => {
                return None;
            }
        };
        let index = std::fs::read(path.with_file_name(INDEX_FILE)).ok()?;
        let header = read_index(&index).ok()?.header;
        Some(Self { base, ordinal, id: header.id(), key: header.key().clone() })
    }
}

/// Describes a file. `beside` is asked if its header is not valid.
fn parse(bytes: &[u8], beside: impl FnOnce() -> Option<Identity>) -> (String, Finding) {
    let mut out = String::new();
    let start_len = bytes.len().min(cast::usize_from(MAX_SEGMENT_HEADER_LEN));
    let header = SegmentHeader::decode(bytes.get(..start_len).unwrap_or_default());
    let described = match header {
        Ok(header) => {
            let SegmentHeader { base, ordinal, id, key, created_unix_nanos } = header;
            let (secs, nanos) =
                (created_unix_nanos / 1_000_000_000, created_unix_nanos % 1_000_000_000);
            let identity = Identity { base, ordinal, id, key };
            segment(&mut out, bytes, &identity, |out| {
                writeln!(out, "made {secs}.{nanos:09} s after 1970-01-01 UTC")
            })
        }
        Err(error) => without_header(&mut out, bytes, error, beside),
    };
    (out, described.expect("strings take everything"))
}

/// Describes a file that is no segment, or has lost its header.
fn without_header(
    out: &mut String,
    bytes: &[u8],
    error: SegmentHeaderError,
    beside: impl FnOnce() -> Option<Identity>,
) -> Result<Finding, fmt::Error> {
    if error == SegmentHeaderError::NotOurs || error.is_unsupported() {
        writeln!(out, "{}; {} bytes", Chain(&error), bytes.len())?;
        return Ok(Finding::Refused);
    }
    let Some(identity) = beside() else {
        writeln!(out, "{}; {} bytes", Chain(&error), bytes.len())?;
        writeln!(out, "which frames belong here can be told from a segment's name and its index")?;
        return Ok(Finding::Damaged);
    };
    let finding = segment(out, bytes, &identity, |out| {
        writeln!(out, "by the name of the file and the index beside it; {}", Chain(&error))
    })?;
    writeln!(out, "without a valid header: damage, unless nothing vouches for the segment")?;
    Ok(if finding == Finding::Sound { Finding::Damaged } else { finding })
}

/// Describes a segment: which it is, its frames, the verdict.
fn segment(
    out: &mut String,
    bytes: &[u8],
    identity: &Identity,
    remark: impl FnOnce(&mut String) -> fmt::Result,
) -> Result<Finding, fmt::Error> {
    let Identity { base, ordinal, id, key } = identity;
    writeln!(out, "stream `{key}`, id {id}")?;
    writeln!(out, "segment {ordinal}, base {base}")?;
    remark(out)?;
    writeln!(out, "\n{:>10} {:>10} {:>10}  frame", "offset", "length", "synced")?;

    let salt = Salt::of(*id, *ordinal);
    let offset = SegmentHeader::len_for(key);
    let listed = frames(out, bytes, salt, Place { offset, seq: *base })?;

    let limit = SequenceNumber::MAX;
    let mut source = bytes;
    let Ok(found) = scan(&mut source, ScanFrom { salt, base: *base, offset, limit });
    write!(out, "\n{} of {} bytes, next number {}: ", found.valid_end, bytes.len(), found.next)?;
    match judge(&found, Evidence::default()) {
        Verdict::Clean => writeln!(out, "clean")?,
        Verdict::Torn(tear) => {
            write!(out, "torn at byte {}, {} bytes follow", tear.offset, tear.rest_len)?;
            if let Some(bit) = tear.turned_bit {
                write!(out, "; with bit {bit} of them turned the frame there were whole")?;
            }
            writeln!(out)?;
            return Ok(Finding::Sound);
        }
        Verdict::Damaged { offset, .. } => {
            writeln!(out, "damaged at byte {offset}")?;
            return Ok(Finding::Damaged);
        }
        Verdict::Unsupported { offset, .. } => {
            writeln!(out, "newer at byte {offset}")?;
            return Ok(Finding::Refused);
        }
    }
    Ok(listed)
}

/// Lists all frames that can be found, and what is between them.
fn frames(out: &mut String, bytes: &[u8], salt: Salt, start: Place) -> Result<Finding, fmt::Error> {
    let bounds = Bounds { len: u64::MAX, until: SequenceNumber::MAX };
    let mut finding = Finding::Sound;
    let mut source = bytes;
    let mut at = start;
    loop {
        let Ok(found) = step(&mut source, salt, at, bounds);
        at = match found {
            Step::Frame { offset, header, next } => {
                row(out, offset, &header)?;
                if let Err(error) = entries(out, bytes, offset, &header)? {
                    writeln!(out, "; {error}")?;
                    // A payload that this build cannot read is none the worse for it.
                    if !error.is_missing_feature() {
                        finding = Finding::Damaged;
                    }
                }
                next
            }
            // Behind the last entry stands a seal, or what a crash has left, or nothing.
            Step::Hole { offset, error, next } if next.seq == bounds.until => {
                return rest(out, bytes, salt, (offset, error)).map(|()| finding);
            }
            Step::Hole { offset, error, next } => {
                let len = next.offset - offset;
                writeln!(
                    out,
                    "{offset:>10} {len:>10} {:>10}  {error}; lost: {}",
                    "",
                    Numbers(at.seq..next.seq)
                )?;
                finding = Finding::Damaged;
                next
            }
            Step::End => return Ok(finding),
        };
    }
}

/// The first columns: where a frame is, and what its header says is synced.
fn row(out: &mut String, offset: u64, header: &FrameHeader) -> fmt::Result {
    write!(out, "{offset:>10} {:>10} {:>10}  ", header.frame_len(), header.synced_len())
}

/// Describes a frame of entries, all of the line but an error.
fn entries(
    out: &mut String,
    bytes: &[u8],
    offset: u64,
    header: &FrameHeader,
) -> Result<Result<(), FrameError>, fmt::Error> {
    write!(out, "{}", Numbers(header.base()..header.end()))?;
    let from = cast::usize_from(offset).saturating_add(FRAME_HEADER_LEN);
    let padded = from.checked_add(cast::usize_from(header.padded_len()));
    let padded = padded.and_then(|end| bytes.get(from..end)).unwrap_or_default();
    if let Err(error) = header.check_payload(padded) {
        return Ok(Err(error));
    }
    let payload = padded.get(..cast::usize_from_u32(header.payload_len())).unwrap_or_default();
    let unpacked = match header.encoding() {
        Encoding::Raw => None,
        Encoding::Lz4 => match plain_len(payload) {
            Ok(plain_len) => {
                write!(out, ", lz4 {} of {plain_len}", payload.len())?;
                Some(unpack_lz4(payload))
            }
            Err(error) => return Ok(Err(error)),
        },
    };
    let plain = match &unpacked {
        None => payload,
        Some(Ok(plain)) => plain,
        Some(Err(error)) => return Ok(Err(*error)),
    };
    let count = header.entry_count();
    let lens = (0..count).map(|index| entry_range(plain, count, index).map(|range| range.len()));
    match lens.collect::<Result<Vec<_>, _>>() {
        Ok(lens) => write_lens(out, &lens).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

fn write_lens(out: &mut String, lens: &[usize]) -> fmt::Result {
    for (at, len) in lens.iter().take(SHOWN_LEN_COUNT).enumerate() {
        write!(out, "{}{len}", if at == 0 { ": " } else { " + " })?;
    }
    writeln!(out, "{} bytes", if lens.len() > SHOWN_LEN_COUNT { " + ..." } else { "" })
}

/// Describes what is behind the last frame of entries, where the next one would start.
fn rest(
    out: &mut String,
    bytes: &[u8],
    salt: Salt,
    (offset, error): (u64, FrameError),
) -> fmt::Result {
    let file_len = cast::u64_from(bytes.len());
    let rest = bytes.get(cast::usize_from(offset)..).unwrap_or_default();
    // The last bytes of a sealed file say where its seal starts; what is there has to confirm it.
    let totals = rest.last_chunk();
    let seal = totals.and_then(|totals| Seal::offset_from_totals(totals, file_len));
    let seal =
        seal.filter(|seal| *seal >= offset).and_then(|at| Some((at, seal_at(bytes, salt, at)?)));
    let end = seal.as_ref().map_or(file_len, |(at, _)| *at);
    let len = end.saturating_sub(offset);
    let between = rest.get(..cast::usize_from(len)).unwrap_or_default();
    if between.iter().any(|byte| *byte != 0) {
        writeln!(out, "{offset:>10} {len:>10} {:>10}  {error}", "")?;
    } else if len > 0 {
        writeln!(out, "{offset:>10} {len:>10} {:>10}  zeros", "")?;
    }
    let Some((at, (header, seal))) = seal else { return Ok(()) };
    row(out, at, &header)?;
    let (entry_count, frame_count) = (seal.entry_count, seal.frame_count);
    write!(out, "seal: {entry_count} entries in {frame_count} frames; points")?;
    for point in seal.table.points() {
        write!(out, " +{} at {}", point.entry, point.offset)?;
    }
    writeln!(out, "; the next segment starts at {}", header.base())
}

/// The seal at this place, if there is one to the end of the file.
fn seal_at(bytes: &[u8], salt: Salt, offset: u64) -> Option<(FrameHeader, Seal)> {
    let (header, payload) = bytes.get(cast::usize_from(offset)..)?.split_first_chunk()?;
    let header = FrameHeader::decode(header, salt, offset).ok()?;
    let fits = header.kind() == FrameKind::Seal
        && cast::u64_from(payload.len()) + HEADER_LEN == header.frame_len();
    header.check_payload(payload).ok()?;
    Some((header, Seal::decode(payload).ok()?)).filter(|_| fits)
}

/// The numbers of some entries.
struct Numbers(Range<SequenceNumber>);

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.0;
        if end.since(start) == 1 {
            write!(f, "entry {start}")
        } else {
            write!(f, "entries {start}..{end}")
        }
    }
}

/// An error and its sources, in one line.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.0.source().map_or(Ok(()), |source| write!(f, ": {}", Chain(source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment of the golden logs of the workspace.
    fn golden(path: &str) -> (Vec<u8>, impl Fn() -> Option<Identity> + use<>) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ironwal/tests/golden/v1");
        let path = root.join(path);
        (std::fs::read(&path).unwrap(), move || Identity::beside(&path))
    }

    const SEALED: &str = "lz4/s/00000000000000000000-0000000000.wal";
    const OPEN: &str = "killed/s/00000000000000000000-0000000000.wal";

    #[test]
    fn each_segment_is_what_it_is() {
        let first = "s/00000000000000000000-0000000000.wal";
        for (log, expected, word) in [
            ("strict", Finding::Sound, "clean"),
            ("rotated", Finding::Sound, "points +0 at 88 +2 at 4264"),
            ("killed", Finding::Sound, "zeros"),
            ("torn", Finding::Sound, "torn at byte 248, 48 bytes follow"),
            ("damaged", Finding::Damaged, "damaged at byte 168"),
        ] {
            let (bytes, beside) = golden(&format!("{log}/{first}"));
            let (text, finding) = parse(&bytes, beside);
            assert!(finding == expected && text.contains(word), "{log}: {finding:?}\n{text}");
        }
        let newer = "newer/frame/00000000000000000000-0000000000.wal";
        let (bytes, beside) = golden(newer);
        assert_eq!(parse(&bytes, beside).1, Finding::Refused);
        assert_eq!(parse(b"", || None).1, Finding::Damaged);
        assert_eq!(parse(&[b'#'; 200], || None).1, Finding::Refused);
    }

    /// Cut anywhere, with any bit turned, with and without a header that tells what it is.
    #[test]
    fn no_cut_and_no_turned_bit_is_too_much() {
        for path in [SEALED, OPEN] {
            let (bytes, beside) = golden(path);
            for cut in 0..=bytes.len() {
                let (text, _) = parse(&bytes[..cut], &beside);
                assert!(text.ends_with('\n'));
            }
            for bit in 0..bytes.len() * 8 {
                let mut turned = bytes.clone();
                turned[bit / 8] ^= 1 << (bit % 8);
                let (with, _) = parse(&turned, &beside);
                let (without, _) = parse(&turned, || None);
                assert!(with.ends_with('\n') && without.ends_with('\n'));
            }
        }
    }

    #[test]
    fn a_lost_header_hides_no_frame() {
        let (mut bytes, beside) = golden(SEALED);
        bytes[..88].fill(0);
        let (text, finding) = parse(&bytes, beside);
        assert_eq!(finding, Finding::Damaged);
        assert!(text.contains("entries 1..3: 3 + 3 bytes") && text.contains("seal"), "{text}");
    }

    /// Bytes without sense: from the start, and behind a header.
    #[test]
    fn random_bytes_are_described() {
        let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
        let (segment, _) = golden(OPEN);
        for case in 0..2000_usize {
            let mut bytes = segment[..(case % 3) * 44].to_vec();
            for _ in 0..case % 300 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                bytes.push(if state >> 63 == 0 { 0xA7 } else { state.to_le_bytes()[6] });
            }
            let (text, _) = parse(&bytes, || None);
            assert!(text.ends_with('\n'));
        }
    }
}
