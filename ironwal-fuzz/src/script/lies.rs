//! What may be demanded where a disk has lied, or takes no change: no other bytes than were written.

use std::sync::Arc;

use ironwal::{Environment, ReaderOptions, Wal, WalOptions, WalReader};
use ironwal_segment::storage::Storage;

use crate::host::CountingHost;
use crate::invariant::Invariant;
use crate::model::{Model, Violation};
use crate::oracle::{open, told};
use crate::sim_storage::SimStorage;
use crate::tally;

/// More items than any stream of a script can have.
const MAX_ITEMS: usize = 1 << 16;

/// Opens what a crash left of a disk that lied: an error or a shorter log, but never bytes that were not
/// written under their number.
///
/// # Errors
///
/// I6, and I21 where reading does not end.
pub(super) fn check_bytes(
    disk: &SimStorage,
    model: &Model,
    options: &WalOptions,
) -> Result<(), Violation> {
    let host = CountingHost::starting_at(1 << 40);
    let Ok(wal) = open(Arc::new(disk.clone()), &host, options) else { return Ok(()) };
    drop(wal.recover_all());
    for key in model.keys() {
        check_stream(&wal, model, key)?;
    }
    tally::checked(Invariant::I6);
    tally::checked(Invariant::I21);
    Ok(())
}

fn check_stream(wal: &Wal, model: &Model, key: &str) -> Result<(), Violation> {
    let Ok(entries) = wal.iter(key, ..) else { return Ok(()) };
    for (number, entry) in entries.enumerate() {
        if number > MAX_ITEMS {
            let what = format!("{key}: reading does not end");
            return Err(Violation::new(Invariant::I21, what));
        }
        let Ok(entry) = entry else { continue };
        model.judge(key, |history| {
            if history.may_have_held(entry.seq, &entry.data) {
                return Ok(());
            }
            let what = format!("{key}: entry {} is {:?}", entry.seq, entry.data);
            Err(Violation::new(Invariant::I6, what))
        })?;
    }
    Ok(())
}

/// Row 28: a reader needs nothing but to read, and shows what was promised.
///
/// # Errors
///
/// The first promise that is broken.
pub(super) fn check_reader(storage: Arc<dyn Storage>, model: &Model) -> Result<(), Violation> {
    let reader = WalReader::open_in(Environment::new(storage), ReaderOptions::new());
    for key in model.keys() {
        let promised = model.committed_count(key);
        let failed = |error: ironwal::Error| {
            Violation::new(Invariant::I18, told("reading where nothing can be written", &error))
        };
        let found = match reader.stream(key).and_then(|stream| stream.next_seq()) {
            Ok(next) => next,
            Err(_) if promised == 0 => continue,
            Err(error) => return Err(failed(error)),
        };
        if found < promised {
            let what = format!("{key}: a reader sees {found} entries of {promised}");
            return Err(Violation::new(Invariant::I1, what));
        }
    }
    Ok(())
}
