//! `dump`: the frames of one segment file, whatever its state.
//!
//! The file is read through a window, once, and what is behind the first broken frame a few times. Only
//! payloads up to [`MAX_UNPACKED_LEN`] are in memory as a whole.

mod headerless;
mod payload;
mod print;

use std::io;
use std::path::Path;
use std::sync::Arc;

use ironwal::storage::{OpenMode, StdStorage, Storage, StorageFile, StoragePath};
use ironwal_format::SequenceNumber;
use ironwal_format::cast::usize_from;
use ironwal_format::checksum::Salt;
use ironwal_format::frame::{FRAME_HEADER_LEN, FrameError, FrameHeader, HEADER_LEN};
use ironwal_format::scan::{Scan, ScanEnd, ScanFrom, scan};
use ironwal_format::seal::Seal;
use ironwal_format::segment_header::SegmentHeader;
use ironwal_format::verdict::{Evidence, Verdict, judge};
use ironwal_format::walk::{Bounds, Place, Step, step};
use ironwal_segment::io::read_up_to;
use ironwal_segment::{FileSource, SCAN_WINDOW_LEN, read_header};

use self::payload::{Payload, payload};
use self::print::{End, Hole, Line, Lost, Printer};
use crate::args::Dump;
use crate::failure::{Code, Failure};
use crate::output::{Format, Reader};
use crate::segments::seal_offset;

/// Payloads up to this length, and those that unpack to no more, are looked into.
const MAX_UNPACKED_LEN: u64 = 64 << 20;

pub(crate) fn run(args: &Dump, format: Format) -> Result<Code, Failure> {
    let file = open(&args.file)?;
    let failed = |source| Failure::machine("read", &args.file, &source);
    let len = file.file_len().map_err(failed)?;
    let mut printer = Printer::new(&args.file, len, format);
    let code = match read_header(&*file).map_err(failed)? {
        Ok(header) => {
            let mut segment = Segment::new(file, len, &header);
            match segment.dump(&header, &mut printer) {
                Ok(code) => code,
                Err(Stop::Machine(source)) => return Err(failed(source)),
                Err(Stop::Output(failure)) => return Err(failure),
            }
        }
        Err(error) => {
            let (end, code) = headerless::judge(&file, len, error).map_err(failed)?;
            printer.end(&end)?;
            code
        }
    };
    printer.finish()?;
    Ok(code)
}

/// Opens a file, wherever it is and whatever it is called.
fn open(path: &Path) -> Result<Arc<dyn StorageFile>, Failure> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::InvalidInput {
            let path = path.display();
            return Failure::error(format!("{path} is not a regular file: give a segment file"));
        }
        Failure::machine("open", path, &source)
    };
    // A link is followed here, and nowhere else.
    let real = path.canonicalize().map_err(failed)?;
    let (Some(dir), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let Some(name) = name.to_str() else {
        let path = path.display();
        return Err(Failure::error(format!(
            "the name of {path} is not UTF-8: give the file a hard link with another name"
        )));
    };
    let storage = StdStorage::open(dir).map_err(failed)?;
    storage.open(StoragePath::new(name), OpenMode::Read).map_err(failed)
}

/// Why there is no more to print.
enum Stop {
    Machine(io::Error),
    Output(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Machine(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Output(failure)
    }
}

/// A segment file with a header.
struct Segment {
    file: Arc<dyn StorageFile>,
    source: FileSource,
    salt: Salt,
    start: Place,
    len: u64,
    /// How many of the bytes were durable once, by the valid frames.
    durable_len: u64,
    /// How many frames have right checksums and are wrong inside.
    wrong_count: u64,
}

impl Segment {
    fn new(file: Arc<dyn StorageFile>, len: u64, header: &SegmentHeader) -> Self {
        let source = FileSource::new(Arc::clone(&file), len, SCAN_WINDOW_LEN);
        let salt = Salt::of(header.id, header.ordinal);
        let start = Place { offset: SegmentHeader::len_for(&header.key), seq: header.base };
        Self { file, source, salt, start, len, durable_len: 0, wrong_count: 0 }
    }

    fn dump(&mut self, header: &SegmentHeader, printer: &mut Printer) -> Result<Code, Stop> {
        printer.segment(header)?;
        if let Ok(frame) = self.frame_header(Salt::NONE, 0)? {
            let plain_len = Some(u64::from(frame.payload_len()));
            printer.line(&Line { plain_len, ..Line::whole(0, frame) })?;
        }
        let Some((at, found)) = self.valid_frames(printer)? else { return Ok(Code::Fine) };
        let verdict = judge(&found, Evidence { len: self.durable_len, ..Evidence::default() });
        match found.end {
            ScanEnd::Sealed { .. } => self.seal(at.offset, printer)?,
            ScanEnd::Clean | ScanEnd::Limit => {}
            ScanEnd::Broken(_) | ScanEnd::Unsupported { .. } => {
                self.frames_behind(at, verdict, printer)?;
            }
        }
        let end = End::of(&found, verdict, self.len, self.wrong_count);
        printer.end(&end)?;
        Ok(match verdict {
            Verdict::Clean | Verdict::Torn(_) if self.wrong_count == 0 => Code::Fine,
            Verdict::Clean
            | Verdict::Torn(_)
            | Verdict::Damaged { .. }
            | Verdict::Unsupported { .. } => Code::Damage,
        })
    }

    /// Prints the valid frames; gives where they end, and what a scan finds there. `None` if nobody
    /// reads on.
    fn valid_frames(&mut self, printer: &mut Printer) -> Result<Option<(Place, Scan)>, Stop> {
        let mut at = self.start;
        let mut doubted = None;
        while printer.reader() == Reader::There {
            if let Step::Frame { offset, header, next } = self.step(at)? {
                let payload = payload(&self.source, offset, &header)?;
                if !matches!(payload, Payload::Broken(_)) {
                    self.durable_len = self.durable_len.max(header.synced_len());
                    self.frame(offset, header, payload, printer)?;
                    at = next;
                    continue;
                }
            }
            let found = self.scan(at)?;
            // A writer may write the frame that is looked at, and more behind it before that is looked
            // at. So nothing is called broken until it was looked at twice.
            let is_sure = !matches!(found.end, ScanEnd::Broken(_)) || doubted == Some(at);
            if found.frame_count == 0 && is_sure {
                return Ok(Some((at, found)));
            }
            doubted = Some(at);
            self.source = FileSource::new(Arc::clone(&self.file), self.len, SCAN_WINDOW_LEN);
        }
        Ok(None)
    }

    /// Prints what is behind the valid frames.
    fn frames_behind(
        &mut self,
        mut at: Place,
        verdict: Verdict,
        printer: &mut Printer,
    ) -> Result<(), Stop> {
        let seal = seal_offset(&*self.file, self.salt, self.len)?;
        let seal = seal.filter(|seal| *seal >= at.offset);
        while printer.reader() == Reader::There {
            at = match self.step(at)? {
                Step::End => break,
                Step::Frame { offset, header, next } => {
                    let payload = payload(&self.source, offset, &header)?;
                    // Readers pass over damage, but the log ends where it is torn.
                    if matches!(verdict, Verdict::Damaged { .. }) {
                        self.frame(offset, header, payload, printer)?;
                    } else {
                        printer.line(&Line::dead(offset, header, payload))?;
                    }
                    next
                }
                Step::Hole { offset, .. } if Some(offset) == seal => break,
                Step::Hole { offset, error, next } => {
                    let is_last = next.seq == MAX_SEQ;
                    if is_last && seal.is_none() && self.is_zero_from(at)? {
                        break;
                    }
                    let (end, until) = match seal {
                        _ if !is_last => (next.offset, Some(next.seq)),
                        Some(seal) => (seal, self.next_base(seal)?),
                        None => (self.len, None),
                    };
                    let len = end.saturating_sub(offset);
                    let lost = Lost { from: at.seq, until: until.filter(|end| *end >= at.seq) };
                    let lost = matches!(verdict, Verdict::Damaged { .. }).then_some(lost);
                    printer.hole(&Hole { offset, len, error, lost })?;
                    next
                }
            };
        }
        seal.map_or(Ok(()), |seal| self.seal(seal, printer))
    }

    /// Prints a frame of entries that counts.
    fn frame(
        &mut self,
        offset: u64,
        header: FrameHeader,
        payload: Payload,
        printer: &mut Printer,
    ) -> Result<(), Stop> {
        if matches!(payload, Payload::Wrong(_)) {
            self.wrong_count += 1;
        }
        Ok(printer.line(&Line::of(offset, header, payload))?)
    }

    /// Prints the seal at a place where one was found.
    fn seal(&mut self, offset: u64, printer: &mut Printer) -> Result<(), Stop> {
        let Ok(header) = self.frame_header(self.salt, offset)? else { return Ok(()) };
        // Eight bytes for each 4 KiB of the file, as far as the seal can be right.
        let mut padded = vec![0; usize_from(header.padded_len().min(self.len))];
        let read = read_up_to(&*self.file, &mut padded, offset + HEADER_LEN)?;
        padded.truncate(read);
        let seal = header.check_payload(&padded).and_then(|()| Seal::decode(&padded));
        match seal {
            Ok(seal) => {
                let plain_len = Some(u64::from(header.payload_len()));
                printer.line(&Line { plain_len, ..Line::whole(offset, header) })?;
                printer.seal(&seal, header.base())?;
            }
            Err(error) => printer.line(&Line::of(offset, header, Payload::Broken(error)))?,
        }
        Ok(())
    }

    /// The base of the next segment, as the seal at this offset says.
    fn next_base(&self, seal: u64) -> io::Result<Option<SequenceNumber>> {
        Ok(self.frame_header(self.salt, seal)?.ok().map(|header| header.base()))
    }

    fn frame_header(&self, salt: Salt, offset: u64) -> io::Result<Result<FrameHeader, FrameError>> {
        let mut bytes = [0; FRAME_HEADER_LEN];
        read_up_to(&*self.file, &mut bytes, offset)?;
        Ok(FrameHeader::decode(&bytes, salt, offset))
    }

    /// Whether there is nothing from a place on but zeros.
    fn is_zero_from(&mut self, at: Place) -> io::Result<bool> {
        Ok(self.scan(at)?.end == ScanEnd::Clean)
    }

    fn scan(&mut self, at: Place) -> io::Result<Scan> {
        let Place { offset, seq: base } = at;
        scan(&mut self.source, ScanFrom { salt: self.salt, base, offset, limit: MAX_SEQ })
    }

    fn step(&mut self, at: Place) -> io::Result<Step> {
        step(&mut self.source, self.salt, at, Bounds { len: self.len, until: MAX_SEQ })
    }
}

const MAX_SEQ: SequenceNumber = SequenceNumber::MAX;
