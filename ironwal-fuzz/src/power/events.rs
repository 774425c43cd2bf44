//! What a writer tells its parent, and in which order.

use std::io::{self, Read};
use std::process::ChildStdout;

use rustix::fs::OFlags;

use super::Failure;
use super::disk::failed;
use super::script::Op;

/// One thing that was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// Told before the call. `at` is what a truncation was given.
    Issued { op: Op, life: u64, at: u64 },
    /// Told after the call has returned: which numbers the entries have, or what a truncation gave.
    Acknowledged { op: Op, start: u64, end: u64 },
    /// Not told, but found by a recovery before this life of the writer began: the entries of a stream
    /// that there are, all durable.
    Found { stream: usize, life: u64, first: u64, next: u64 },
}

impl Event {
    /// As a line, which is short enough to get into a pipe as a whole. `None` for what is not told.
    pub(super) fn line(self) -> Option<String> {
        match self {
            Self::Issued { op, life, at } => Some(format!("issued {} {life} {at}\n", op.0)),
            Self::Acknowledged { op, start, end } => {
                Some(format!("acknowledged {} {start} {end}\n", op.0))
            }
            Self::Found { .. } => None,
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let what = words.next()?;
        let mut number = || words.next()?.parse().ok();
        let (op, first, second) = (Op(number()?), number()?, number()?);
        match what {
            "issued" => Some(Self::Issued { op, life: first, at: second }),
            "acknowledged" => Some(Self::Acknowledged { op, start: first, end: second }),
            _ => None,
        }
    }
}

/// The end of the pipe at which the parent listens.
#[derive(Debug)]
pub(super) struct Listener {
    pipe: ChildStdout,
    /// A line of which the end has not come yet.
    begun: Vec<u8>,
    pub(super) events: Vec<Event>,
    /// Whether the writer is gone.
    pub(super) ended: bool,
}

impl Listener {
    /// Goes on with a history.
    pub(super) fn new(pipe: ChildStdout, events: Vec<Event>) -> Result<Self, Failure> {
        rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)
            .map_err(|error| failed("the pipe", &error.into()))?;
        Ok(Self { pipe, begun: Vec::new(), events, ended: false })
    }

    /// Takes all that has been told up to now.
    pub(super) fn drain(&mut self) -> Result<(), Failure> {
        let mut buffer = vec![0; 1 << 16];
        while !self.ended {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(len) => self.take(buffer.get(..len).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("the pipe", &error)),
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.begun.extend(bytes);
        let Some(end) = self.begun.iter().rposition(|&byte| byte == b'\n') else { return Ok(()) };
        let rest = self.begun.split_off(end + 1);
        let lines = std::mem::replace(&mut self.begun, rest);
        for line in String::from_utf8_lossy(&lines).lines().filter(|line| !line.is_empty()) {
            let event = Event::parse(line);
            let event = event.ok_or_else(|| Failure::Machine(format!("the writer said {line}")))?;
            self.events.push(event);
        }
        Ok(())
    }
}
