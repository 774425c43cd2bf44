//! The reading of all segments of one stream, and the merging of what that and recovery found.

use std::io;
use std::ops::Range;
use std::path::Path;

use ironwal_format::SequenceNumber;
use ironwal_format::frame::FrameError;
use ironwal_format::names::INDEX_FILE;
use ironwal_format::scan::{Break, ScanEnd, ScanFrom, scan};
use ironwal_format::walk::{Bounds, Place};
use ironwal_segment::storage::{OpenMode, Storage, StorageFile, StoragePath};
use ironwal_segment::{
    ErrorKind as SegmentErrorKind, FileSource, Frame, Read, SCAN_WINDOW_LEN, SegmentBytes,
    SegmentReader, StreamDir, check_identity,
};
use ironwal_stream::{
    ClosedSegment, Error as StreamError, ErrorKind as StreamErrorKind, IoOp, StreamReport,
    StreamView,
};

use super::progress::Meter;
use super::{Finding, FindingKind, Progress, Verification};
use crate::error::{Error, Result};
use crate::reader::{Look, offset};
use crate::report::IndexFinding;
use crate::sync::{Arc, FileArc};

/// Reads all that one look saw, and shows how far it is.
///
/// # Errors
///
/// What the operating system says.
pub(crate) fn verify(
    storage: &dyn Storage,
    look: Look,
    show: &mut dyn FnMut(Progress),
) -> Result<Verification> {
    let Look { view, report } = look;
    let key = report.key.as_str().to_owned();
    let mut check = Check {
        findings: Vec::new(),
        lost_end: false,
        verification: Verification {
            stream: key.clone(),
            first_seq: report.first.get(),
            next_seq: report.next.get(),
            entry_count: 0,
            frame_count: 0,
            segment_count: 0,
            byte_len: 0,
            findings: Vec::new(),
        },
    };
    check.losses(&report);
    if let Some(view) = view {
        let segments: Vec<_> = segments(&view).collect();
        let mut meter = Meter::new(&view.dir, &segments, show);
        for segment in segments {
            check
                .segment(&view.dir, segment, &mut meter)
                .map_err(|error| Error::below(&key, &error))?;
            meter.passed();
        }
    }
    let Check { mut verification, findings, .. } = check;
    let losses = findings.into_iter().map(|Loss { error, lost }| Finding {
        path: error.path().to_path_buf(),
        offset: offset(&error),
        kind: FindingKind::Loss(Error::below(&key, &error)),
        lost: lost.start.get()..lost.end.get(),
    });
    verification.findings = losses.chain(remarks(storage, &report)).collect();
    verification.findings.sort_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
    Ok(verification)
}

/// All segments that hold entries, the last one as far as it was looked at.
fn segments(view: &StreamView) -> impl Iterator<Item = ClosedSegment> + '_ {
    let last = view.active.as_ref();
    let last = last.map(|last| ClosedSegment { name: last.name, until: view.next, len: last.len });
    view.closed.iter().copied().chain(last)
}

/// What an opening would mend, or leave alone.
fn remarks(storage: &dyn Storage, report: &StreamReport) -> Vec<Finding> {
    let dir_name = report.key.dir_name();
    let dir = StoragePath::new(&dir_name);
    let remark = |path, offset, kind| Finding { path, offset, kind, lost: 0..0 };
    let mut remarks = Vec::new();
    if let Some((path, tear)) = &report.torn {
        let kind = FindingKind::Torn { rest_len: tear.rest_len, turned_bit: tear.turned_bit };
        remarks.push(remark(path.clone(), Some(tear.offset), kind));
    }
    if let Some(path) = &report.set_aside {
        remarks.push(remark(path.clone(), Some(0), FindingKind::Unfinished));
    }
    let index = match report.index {
        IndexFinding::Missing => Some(FindingKind::IndexMissing),
        IndexFinding::Wrong => Some(FindingKind::IndexWrong),
        // The kinds are those of a crate of this workspace.
        IndexFinding::Sound | _ => None,
    };
    let index = index.map(|kind| remark(storage.display(dir.join(INDEX_FILE)), None, kind));
    remarks.extend(index);
    for name in &report.foreign_names {
        remarks.push(remark(storage.display(dir.join(name)), None, FindingKind::Stray));
    }
    remarks
}

/// Something that is lost, or foreign.
struct Loss {
    error: StreamError,
    lost: Range<SequenceNumber>,
}

struct Check {
    verification: Verification,
    findings: Vec<Loss>,
    /// Whether the end of the segment that is read is lost.
    lost_end: bool,
}

impl Check {
    /// Takes over what recovery found. A file that is refused for what it is leaves a gap where its
    /// segment should be: that is one finding, not two.
    fn losses(&mut self, report: &StreamReport) {
        for damage in &report.damage {
            let lost = damage.lost_from..damage.lost_until;
            let found = Loss { error: damage.error.clone(), lost };
            let refused = self.findings.iter_mut().find(|loss| {
                loss.error.path() == found.error.path() && offset(&loss.error).is_none()
            });
            match refused {
                Some(loss) if matches!(found.error.kind(), StreamErrorKind::Missing) => {
                    loss.lost = found.lost;
                }
                Some(_) | None => self.findings.push(found),
            }
        }
    }

    /// Adds what was found in reading, or what that tells of a finding that is there already.
    fn found(&mut self, error: StreamError, lost: Range<SequenceNumber>) {
        let known = self.findings.iter_mut().find(|loss| {
            loss.error.path() == error.path() && offset(&loss.error) == offset(&error)
        });
        match known {
            Some(loss) => loss.lost = lost,
            None => self.findings.push(Loss { error, lost }),
        }
    }

    /// Reads one segment.
    fn segment(
        &mut self,
        dir: &Arc<StreamDir>,
        segment: ClosedSegment,
        meter: &mut Meter<'_>,
    ) -> Result<(), StreamError> {
        let ClosedSegment { name, until, len } = segment;
        let all = name.base..until;
        let path = dir.display(&name.file_name());
        let file = match dir.open_segment(name, OpenMode::Read) {
            Ok(file) => file,
            Err(error) => {
                let Some(kind) = refusal(error.kind()) else { return Err(error.into()) };
                self.found(StreamError::new(path, kind), all);
                return Ok(());
            }
        };
        let file_len = file
            .file_len()
            .map_err(|source| StreamError::io(path.as_path(), IoOp::Read, source))?;
        if let Err(error) = check_identity(dir, name, &*file).map_err(StreamError::from) {
            if !error.is_finding() {
                return Err(error);
            }
            if !matches!(error.kind(), StreamErrorKind::Header { .. }) {
                self.found(error, all);
                return Ok(());
            }
            // Each frame proves by itself that it belongs here. What an opening finds of it, which may
            // be that it held entries, stays.
            let is_known = self.findings.iter().any(|loss| {
                loss.error.path() == error.path() && offset(&loss.error) == offset(&error)
            });
            if !is_known {
                self.found(error, name.base..name.base);
            }
        }
        self.verification.segment_count += 1;
        self.lost_end = false;
        self.verification.byte_len += len.min(file_len);
        let bounds = Bounds { len, until };
        let mut reader = SegmentReader::new(
            Arc::clone(dir),
            name,
            SegmentBytes::File(FileArc::clone(&file)),
            bounds,
            SCAN_WINDOW_LEN,
        )?;
        let at = self.frames(&mut reader, &path, until, meter)?;
        self.narrow_short(&path, at.seq, until);
        // Behind the entries of a sealed segment is the seal; a damaged one may have anything there.
        if len < u64::MAX && at.seq == until && at.offset < len {
            self.seal(dir, segment, file, at)?;
        }
        Ok(())
    }

    /// Reads all frames; gives the place behind the last.
    fn frames(
        &mut self,
        reader: &mut SegmentReader,
        path: &Path,
        until: SequenceNumber,
        meter: &mut Meter<'_>,
    ) -> Result<Place, StreamError> {
        let mut at = reader.start();
        loop {
            meter.at(at.offset);
            match reader.read(at)? {
                Read::Frame(frame, next) => {
                    match first_bad(&frame) {
                        None => {
                            let end = frame.end().min(until);
                            self.verification.frame_count += 1;
                            self.verification.entry_count += end.since(frame.base());
                        }
                        Some(source) => {
                            let kind = StreamErrorKind::Frame { offset: frame.offset(), source };
                            self.found(StreamError::new(path, kind), at.seq..next.seq.min(until));
                        }
                    }
                    at = next;
                }
                Read::Lost(error, next) => {
                    self.lost(error.into(), at.seq..next.seq, until);
                    at = next;
                }
                Read::End => return Ok(at),
            }
        }
    }

    /// Adds a frame that is not there. Where recovery found that the file is short, and this is what
    /// is gone with its end, that is the finding.
    fn lost(&mut self, error: StreamError, lost: Range<SequenceNumber>, until: SequenceNumber) {
        let short = self.findings.iter_mut().find(|loss| {
            loss.error.path() == error.path()
                && matches!(loss.error.kind(), StreamErrorKind::Short { .. })
        });
        match short {
            Some(loss) if lost.end == until => {
                loss.lost = lost;
                self.lost_end = true;
            }
            Some(_) | None => self.found(error, lost),
        }
    }

    /// Where a short file has all its entries nevertheless, none is lost with its end.
    fn narrow_short(&mut self, path: &Path, read_until: SequenceNumber, until: SequenceNumber) {
        let short = self.findings.iter_mut().find(|loss| {
            loss.error.path() == path && matches!(loss.error.kind(), StreamErrorKind::Short { .. })
        });
        if let Some(loss) = short
            && read_until == until
            && !self.lost_end
        {
            loss.lost = until..until;
        }
    }

    /// Checks that behind the last entry of a segment that has more bytes stands its seal. What is
    /// there if not that, but is a frame, is dead.
    fn seal(
        &mut self,
        dir: &StreamDir,
        segment: ClosedSegment,
        file: FileArc<dyn StorageFile>,
        at: Place,
    ) -> Result<(), StreamError> {
        let ClosedSegment { name, len, .. } = segment;
        let path = dir.display(&name.file_name());
        let from = ScanFrom {
            salt: dir.salt(name.ordinal),
            base: at.seq,
            offset: at.offset,
            limit: SequenceNumber::MAX,
        };
        let scanned = scan(&mut FileSource::new(file, len, SCAN_WINDOW_LEN), from)
            .map_err(|source| StreamError::io(path.as_path(), IoOp::Read, source))?;
        let source = match scanned.end {
            _ if scanned.frame_count > 0 => return Ok(()),
            ScanEnd::Sealed { .. } => return Ok(()),
            ScanEnd::Clean | ScanEnd::Limit => {
                FrameError::Cut { available: 0, needed: len - at.offset }
            }
            ScanEnd::Broken(Break { error, .. }) | ScanEnd::Unsupported { error, .. } => error,
        };
        let is_short = self.findings.iter().any(|loss| {
            loss.error.path() == path && matches!(loss.error.kind(), StreamErrorKind::Short { .. })
        });
        if !is_short {
            let kind = StreamErrorKind::Frame { offset: at.offset, source };
            self.found(StreamError::new(path, kind), at.seq..at.seq);
        }
        Ok(())
    }
}

/// What is wrong inside a frame whose checksums are right.
fn first_bad(frame: &Frame) -> Option<FrameError> {
    let entries = frame.base().get()..frame.end().get();
    entries.into_iter().find_map(|seq| frame.entry(SequenceNumber::new(seq)).err())
}

/// What a file is that cannot be opened as a segment; `None` for a failure of the machine.
fn refusal(kind: &SegmentErrorKind) -> Option<StreamErrorKind> {
    let SegmentErrorKind::Io { source, .. } = kind else { return None };
    if source.kind() == io::ErrorKind::NotFound {
        return Some(StreamErrorKind::Missing);
    }
    // A link, a directory, a FIFO with the name of a segment.
    (source.kind() == io::ErrorKind::InvalidInput).then_some(StreamErrorKind::NotOurs)
}
