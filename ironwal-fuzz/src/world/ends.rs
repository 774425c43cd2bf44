//! Calls that end something: the log, a stream, or the life of its state.

use ironwal::{RecoveryReport, Wal};

use super::{Looked, Trouble, World, held};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::oracle::check_readers;

impl World {
    pub(super) fn reopen(&mut self, wal: &Wal, stream: usize) -> Result<(), Violation> {
        let key = Self::key(stream);
        match wal.reopen(&key) {
            Ok(report) if report.damage.is_empty() => {
                if self.trouble == Trouble::Expected {
                    self.model.forget_written_of(&key);
                }
                if self.settle(wal, &key)? == Looked::Not {
                    self.wal = None;
                    return Ok(());
                }
                self.is_reported(wal, &report)
            }
            Ok(report) => {
                Err(Violation::new(Invariant::I12, format!("reopening found {report:?}")))
            }
            Err(error) => {
                self.failed("reopen", &error)?;
                self.unsettled = Some(key);
                Ok(())
            }
        }
    }

    /// What was found when a stream was opened, perhaps long ago, is not more than what is there.
    fn is_reported(&self, wal: &Wal, report: &RecoveryReport) -> Result<(), Violation> {
        let RecoveryReport { stream, first_seq, next_seq, .. } = report;
        let marks = wal.first_seq(stream).and_then(|first| Ok((first, wal.next_seq(stream)?)));
        match marks {
            Ok((first, next)) if *first_seq <= first && *next_seq <= next => Ok(()),
            Ok((first, next)) => {
                let what = format!("{stream}: {report:?} of what is {first} to {next}");
                Err(Violation::new(Invariant::I4, what))
            }
            Err(error) => self.failed("marks", &error),
        }
    }

    /// Recovers the stream that could not be opened anew, if there is one, and compares what is there. What
    /// it owes is owed until then: whoever syncs or closes the log before this has to be told.
    pub(super) fn settle_reopened(&mut self) -> Result<(), Violation> {
        let (Some(key), Some(wal)) = (self.unsettled.take(), self.wal.clone()) else {
            return Ok(());
        };
        self.model.forget_written_of(&key);
        if self.settle(&wal, &key)? == Looked::Not {
            self.wal = None;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, wal: Wal) -> Result<(), Violation> {
        self.end(wal)?;
        self.open()
    }

    /// Closes the log, and does not open it again.
    ///
    /// # Errors
    ///
    /// The first promise that is broken.
    pub fn shut_down(&mut self) -> Result<(), Violation> {
        self.open()?;
        self.wal.clone().map_or(Ok(()), |wal| self.end(wal))
    }

    fn end(&mut self, wal: Wal) -> Result<(), Violation> {
        if self.trouble == Trouble::None {
            check_readers(&wal, &self.model)?;
        }
        let closed = wal.close();
        self.check_let_go()?;
        drop(wal);
        self.wal = None;
        match closed {
            Ok(()) => self.model.all_synced(),
            Err(error) => self.failed("close", &error)?,
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, wal: Wal, stream: usize) -> Result<(), Violation> {
        let key = Self::key(stream);
        let before = wal.stream(&key);
        let overtaken = self.begin_overtaken(&wal, &key)?;
        let answer = wal.delete_stream(&key);
        Self::finish_overtaken(overtaken)?;
        self.model.deleted(&key, &answer)?;
        let error = match (answer, before) {
            (Ok(true), Ok(before)) => return held::check_dead(&before),
            (Ok(_), _) => return Ok(()),
            (Err(error), _) => error,
        };
        self.failed("delete", &error)?;
        // What is there now was recovered, if anything is.
        self.model.forget_written_of(&key);
        if self.settle(&wal, &key)? == Looked::Not {
            drop(wal);
            self.wal = None;
        }
        Ok(())
    }
}
