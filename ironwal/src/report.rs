//! What recovery found and did, for people and programs.

use std::ops::Range;
use std::path::PathBuf;

pub use ironwal_stream::IndexFinding;
use ironwal_stream::StreamReport;

use crate::error::Error;

/// What was found when a stream was opened, and what was done about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The key of the stream.
    pub stream: String,
    /// The number of its first entry.
    pub first_seq: u64,
    /// One past its last entry.
    pub next_seq: u64,
    /// How many segments hold its entries.
    pub segment_count: usize,
    /// Where the log was torn, if it was.
    pub torn: Option<TornTail>,
    /// By which name the last segment is kept, if it had no valid header and nothing on disk showed
    /// that it ever had: it held nothing that was acknowledged.
    pub set_aside: Option<PathBuf>,
    /// How many bytes were written again and synced because nothing on disk proved them durable.
    pub rewritten_len: u64,
    /// What was found of the index.
    pub index: IndexFinding,
    /// What is damaged, missing, foreign, or of a newer version. If there is any, and nothing was given
    /// up for it, nothing on disk was changed, appends to the stream fail, and what is undamaged can be
    /// read.
    pub damage: Vec<Damage>,
    /// The numbers that were given up by [`CorruptionPolicy::Truncate`](crate::CorruptionPolicy): the
    /// log ends in front of them, and gives them out again. What could be read of them is still in its
    /// files, but not of the log any more.
    pub given_up: Option<Range<u64>>,
    /// Names in the directory of the stream that are not the log's; they are left alone.
    pub foreign_names: Vec<String>,
}

/// An end of the log that a crash left behind. Nothing on disk shows that bytes from there on were
/// ever durable; they are still there, and will never be read as entries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TornTail {
    /// The segment file.
    pub path: PathBuf,
    /// Where in it the first frame starts that is not whole.
    pub offset: u64,
    /// How many bytes there are from there to the last that is not zero.
    pub rest_len: u64,
    /// The bit that would have to be turned to make the frame whole, counted from the lowest bit of
    /// its first byte, if one does: a hint that this is no tear, but rot in an entry that was last.
    pub turned_bit: Option<u64>,
}

/// One thing that keeps a stream from being appended to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Damage {
    /// Which file, where, and what is wrong.
    pub error: Error,
    /// The sequence numbers that may be lost; empty when none is.
    pub lost: Range<u64>,
}

impl RecoveryReport {
    pub(crate) fn new(report: StreamReport) -> Self {
        let stream = report.key.as_str().to_owned();
        let damage = report.damage.iter().map(|damage| Damage {
            error: Error::below(&stream, &damage.error),
            lost: damage.lost_from.get()..damage.lost_until.get(),
        });
        Self {
            first_seq: report.first.get(),
            next_seq: report.next.get(),
            segment_count: report.segment_count,
            torn: report.torn.map(|(path, tear)| TornTail {
                path,
                offset: tear.offset,
                rest_len: tear.rest_len,
                turned_bit: tear.turned_bit,
            }),
            set_aside: report.set_aside,
            rewritten_len: report.rewritten_len,
            index: report.index,
            damage: damage.collect(),
            given_up: report.given_up.map(|range| range.start.get()..range.end.get()),
            foreign_names: report.foreign_names,
            stream,
        }
    }

    /// The report of a stream that was not there before.
    pub(crate) fn of_new(stream: &str, entries: Range<u64>) -> Self {
        Self {
            stream: stream.to_owned(),
            first_seq: entries.start,
            next_seq: entries.end,
            segment_count: 0,
            torn: None,
            set_aside: None,
            rewritten_len: 0,
            index: IndexFinding::Sound,
            damage: Vec::new(),
            given_up: None,
            foreign_names: Vec::new(),
        }
    }

    /// Whether the stream is whole: not torn, not damaged, its index right.
    pub fn is_clean(&self) -> bool {
        self.torn.is_none()
            && self.set_aside.is_none()
            && self.damage.is_empty()
            && self.index == IndexFinding::Sound
    }
}
