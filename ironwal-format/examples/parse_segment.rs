//! Prints the frames of one segment file, with nothing but `ironwal-format` and a file read whole.
//!
//! `cargo run -p ironwal-format --example parse_segment -- <file>`
//!
//! It ends with 0 if the segment is clean, or torn where a crash may have cut it; with 1 if the file
//! cannot be read, is no segment, or is of a newer version; with 3 if it is damaged. It looks at this
//! one file only: the index and later segments may prove more.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use ironwal_format::SequenceNumber;
use ironwal_format::cast;
use ironwal_format::checksum::Salt;
use ironwal_format::compress::{plain_len, unpack_lz4};
use ironwal_format::frame::{Encoding, FRAME_HEADER_LEN, FrameError, FrameHeader, FrameKind};
use ironwal_format::payload::entry_range;
use ironwal_format::scan::{ScanEnd, ScanFrom, scan};
use ironwal_format::seal::Seal;
use ironwal_format::segment_header::{SegmentHeader, SegmentHeaderError};
use ironwal_format::verdict::{Evidence, Verdict, judge};
use ironwal_format::walk::{Bounds, Place, Step, step};

/// What became of a file.
#[derive(Clone, Copy)]
enum Finding {
    Sound,
    Damaged,
}

fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        eprintln!("usage: parse_segment <file>");
        return ExitCode::from(1);
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::from(1);
        }
    };
    match parse(&bytes) {
        Ok(Finding::Sound) => ExitCode::SUCCESS,
        Ok(Finding::Damaged) => ExitCode::from(3),
        Err(error) => {
            eprintln!("{}: {}", path.display(), Chain(&*error));
            ExitCode::from(1)
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

fn parse(bytes: &[u8]) -> Result<Finding, Box<dyn Error>> {
    let header = match SegmentHeader::decode(bytes) {
        Ok(header) => header,
        // Without the header nothing tells which frames belong here.
        Err(error @ (SegmentHeaderError::Frame(_) | SegmentHeaderError::Fields))
            if !error.is_unsupported() =>
        {
            println!("{}", Chain(&error));
            return Ok(Finding::Damaged);
        }
        Err(error) => return Err(error.into()),
    };
    let SegmentHeader { base, ordinal, id, ref key, created_unix_nanos } = header;
    println!("stream `{key}`, id {id}, segment {ordinal}, base {base}, made {created_unix_nanos}");

    let salt = Salt::of(id, ordinal);
    let offset = SegmentHeader::len_for(key);
    let mut source = bytes;
    let limit = SequenceNumber::MAX;
    let Ok(found) = scan(&mut source, ScanFrom { salt, base, offset, limit });
    let mut finding = print_frames(bytes, salt, Place { offset, seq: base })?;

    if let ScanEnd::Sealed { next_base } = found.end {
        print_seal(bytes, found.valid_end, next_base)?;
    }
    match judge(&found, Evidence::default()) {
        Verdict::Clean => println!("clean, {} bytes", found.valid_end),
        Verdict::Torn(tear) => {
            println!("torn at byte {}, {} bytes follow", tear.offset, tear.rest_len);
            if let Some(bit) = tear.turned_bit {
                println!("bit {bit} of them, turned, would make the next frame valid");
            }
            finding = Finding::Sound;
        }
        Verdict::Damaged { offset, error } => {
            println!("damaged at byte {offset}: {error}");
            finding = Finding::Damaged;
        }
        Verdict::Unsupported { offset, error } => {
            println!("newer at byte {offset}");
            return Err(error.into());
        }
    }
    Ok(finding)
}

/// Prints all frames of entries that can be found, and what is lost between them.
fn print_frames(bytes: &[u8], salt: Salt, start: Place) -> Result<Finding, Box<dyn Error>> {
    let bounds = Bounds { len: u64::MAX, until: SequenceNumber::MAX };
    let mut finding = Finding::Sound;
    let mut source = bytes;
    let mut at = start;
    loop {
        let next: Result<Step, Infallible> = step(&mut source, salt, at, bounds);
        let Ok(next) = next;
        at = match next {
            Step::Frame { offset, header, next } => {
                let (base, end, synced) = (header.base(), header.end(), header.synced_len());
                match payload_of(bytes, offset, &header) {
                    Ok(Payload { stored, lens: Some(lens) }) => println!(
                        "{offset:>10}  entries {base}..{end} of {lens:?} bytes, {stored}, synced {synced}",
                    ),
                    Ok(Payload { stored, lens: None }) => println!(
                        "{offset:>10}  entries {base}..{end}, {stored}, synced {synced}; {}",
                        FrameError::Lz4Missing,
                    ),
                    Err(error) => {
                        println!("{offset:>10}  {error}");
                        finding = Finding::Damaged;
                    }
                }
                next
            }
            // Behind the last entry stands a seal, or nothing.
            Step::Hole { next, .. } if next.seq == bounds.until => return Ok(finding),
            Step::Hole { offset, error, next } => {
                println!("{offset:>10}  {error}; entries {}..{} are lost", at.seq, next.seq);
                finding = Finding::Damaged;
                next
            }
            Step::End => return Ok(finding),
        };
    }
}

/// What a payload holds, and how.
struct Payload {
    stored: String,
    /// The lengths of the entries; `None` where this build cannot read them.
    lens: Option<Vec<usize>>,
}

/// The payload of a frame, if it is what was written.
fn payload_of(bytes: &[u8], offset: u64, header: &FrameHeader) -> Result<Payload, FrameError> {
    let payload = payload_at(bytes, offset, header);
    header.check_payload(payload)?;
    let payload = payload.get(..cast::usize_from_u32(header.payload_len())).unwrap_or_default();
    match header.encoding() {
        Encoding::Raw => {
            let lens = Some(entry_lens(payload, header)?);
            Ok(Payload { stored: "raw".to_owned(), lens })
        }
        Encoding::Lz4 => {
            let stored = format!("lz4 {} of {}", payload.len(), plain_len(payload)?);
            let lens = match unpack_lz4(payload) {
                Ok(plain) => Some(entry_lens(&plain, header)?),
                Err(error) if error.is_missing_feature() => None,
                Err(error) => return Err(error),
            };
            Ok(Payload { stored, lens })
        }
    }
}

/// The lengths of the entries of a plain payload.
fn entry_lens(plain: &[u8], header: &FrameHeader) -> Result<Vec<usize>, FrameError> {
    (0..header.entry_count())
        .map(|index| Ok(entry_range(plain, header.entry_count(), index)?.len()))
        .collect()
}

/// Payload and padding, as far as the file has them.
fn payload_at<'a>(bytes: &'a [u8], offset: u64, header: &FrameHeader) -> &'a [u8] {
    let from = cast::usize_from(offset) + FRAME_HEADER_LEN;
    let rest = bytes.get(from..).unwrap_or_default();
    rest.get(..cast::usize_from(header.padded_len())).unwrap_or(rest)
}

fn print_seal(bytes: &[u8], end: u64, next_base: SequenceNumber) -> Result<(), Box<dyn Error>> {
    // The last 24 bytes say where the seal starts; the scan has found it valid.
    let totals = bytes.get(..cast::usize_from(end)).and_then(<[u8]>::last_chunk);
    let offset = totals.and_then(|totals| Seal::offset_from_totals(totals, end));
    let offset = offset.ok_or(FrameError::Kind)?;
    let payload = bytes.get(cast::usize_from(offset) + FRAME_HEADER_LEN..cast::usize_from(end));
    let seal = Seal::decode(payload.unwrap_or_default())?;
    println!(
        "{offset:>10}  {:?} of {} entries in {} frames, {} points; the next segment starts at {next_base}",
        FrameKind::Seal,
        seal.entry_count,
        seal.frame_count,
        seal.table.points().len(),
    );
    Ok(())
}
