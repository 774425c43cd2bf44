//! How many files the log holds open, and whether the machine's refusal to cut one is told.

use std::sync::Arc;

use ironwal::SyncMode;

use super::{Trouble, World};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::tally;
use crate::watched::WatchedStorage;

/// What a stream holds beside its file while the end of a segment awaits its sync: the file of that segment,
/// and the index.
const HELD_FOR_A_SYNC: u64 = 2;

impl World {
    /// The log that was open before has let go of all files; from here on those of another are counted.
    ///
    /// # Errors
    ///
    /// I21.
    pub(super) fn watch_anew(&mut self) -> Result<(), Violation> {
        self.check_let_go()?;
        self.watched = WatchedStorage::new(Arc::clone(&self.storage));
        Ok(())
    }

    /// A log that is closed holds no file, whoever has a handle of it still.
    ///
    /// # Errors
    ///
    /// I21.
    pub(super) fn check_let_go(&mut self) -> Result<(), Violation> {
        // What was read ahead is read from files that stay open for it.
        self.held.let_go_of_iterators();
        match self.watched.held_count() {
            0 => Ok(()),
            held => {
                let what = format!("a log that was closed holds {held} files");
                Err(Violation::new(Invariant::I21, what))
            }
        }
    }

    /// While no call runs, a log holds no more files than its options say: and where segments are ended before
    /// they are durable, what the next sync needs.
    ///
    /// # Errors
    ///
    /// I21.
    pub(super) fn check_held(&self) -> Result<(), Violation> {
        let is_sound = match (&self.powered, self.trouble) {
            (_, Trouble::None) => true,
            (Some(disk), Trouble::Expected) => !disk.is_power_cut(),
            (None, Trouble::Expected) => false,
        };
        let (Some(limit), Some(_), true) = (self.open_limit, &self.wal, is_sound) else {
            return Ok(());
        };
        let is_loose = self.open_mode != SyncMode::Strict;
        let loose = self.model.keys().filter(|_| is_loose);
        let awaiting = loose.map(|_| HELD_FOR_A_SYNC).sum::<u64>();
        let limit = limit.saturating_add(awaiting + self.held.iterator_count());
        let held = u64::try_from(self.watched.held_count()).unwrap_or(u64::MAX);
        if held > limit {
            let what = format!("{held} files are held where no call runs, not {limit}");
            return Err(Violation::new(Invariant::I21, what));
        }
        tally::checked(Invariant::I21);
        Ok(())
    }

    /// A call that the machine did not let cut a file does not say that all is well.
    ///
    /// # Errors
    ///
    /// I18.
    pub(super) fn check_told<T>(&self, answer: &ironwal::Result<T>) -> Result<(), Violation> {
        if self.watched.refused_cut_count() > self.refused_cuts && answer.is_ok() {
            let what = "a file could not be cut, and nobody was told";
            return Err(Violation::new(Invariant::I18, what));
        }
        Ok(())
    }
}
