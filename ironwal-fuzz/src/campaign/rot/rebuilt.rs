//! An index that is made again from the segments says what the lost one said.

use std::sync::Arc;

use super::made::Made;
use super::parse::{Stream, stream};
use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::{open, told};
use crate::sim_storage::SimStorage;
use crate::tally;

/// What an index says: of each segment its ordinal, end and length, and where the stream begins.
type Says = (Vec<(u32, u64, u64)>, Option<u32>);

/// Opens both disks, closes them, and compares what their indexes say then. Not compared is what is said of
/// segments of which nothing counts: how long these were is in no other place.
pub(super) fn check(made: &Made, without: &SimStorage) -> Result<(), Violation> {
    let (whole, rebuilt) = (closed(made, &made.disk.kill())?, closed(made, &without.kill())?);
    for (whole, rebuilt) in whole.iter().zip(&rebuilt) {
        let (expected, found) = (says(whole), says(rebuilt));
        if expected != found {
            let what = format!("{}: the index says {found:?}, it said {expected:?}", whole.key);
            return Err(Violation::new(Invariant::I16, what));
        }
        tally::checked(Invariant::I16);
    }
    Ok(())
}

fn says(stream: &Stream) -> Says {
    let floor = stream.floor.map(|(ordinal, told)| (ordinal, told.end, told.len));
    let sealed = stream.sealed.iter().map(|(ordinal, told)| (*ordinal, told.end, told.len));
    let counts = |ordinal: u32| {
        let at = stream.segments.iter().position(|segment| segment.ordinal == ordinal);
        let segment = at.and_then(|at| Some((stream.segments.get(at)?, stream.limit(at))));
        segment
            .is_some_and(|(segment, limit)| limit.is_none_or(|limit| segment.entries.start < limit))
    };
    let all = sealed.chain(floor).filter(|(ordinal, ..)| counts(*ordinal));
    (all.collect(), stream.start)
}

fn closed(made: &Made, disk: &SimStorage) -> Result<Vec<Stream>, Violation> {
    let failed = |error| Violation::new(Invariant::I11, told("close", &error));
    let host = CountingHost::starting_at(1 << 40);
    let wal = open(Arc::new(disk.clone()), &host, &made.options).map_err(failed)?;
    wal.recover_all().map_err(failed)?;
    wal.close().map_err(failed)?;
    let files = disk.contents();
    Ok(made.lives.iter().filter_map(|life| stream(&files, &life.stream.key)).collect())
}
