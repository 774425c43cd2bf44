//! The writer: a process of its own, since it has to be gone when its file system is unmounted, whatever it
//! was doing.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use ironwal::Wal;

use super::disk::failed;
use super::events::Event;
use super::script::{KEYS, Kind, Op, Style, WRITER_COUNT};
use super::{Failure, Result};

/// So many operations a life has at most, so that the disk does not get full.
const OP_COUNT: u64 = 20_000;

type ChildResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What a writer is told when it is started.
#[derive(Debug)]
pub(super) struct Orders {
    pub(super) style: Style,
    pub(super) first_op: u64,
    /// In which of its lives each stream is: deleting it ends one.
    pub(super) lives: [u64; KEYS.len()],
}

impl Orders {
    /// Starts the program `program` as a writer.
    pub(super) fn start(&self, program: &Path, root: &Path) -> Result<Child> {
        Command::new(program)
            .arg("writer")
            .arg(root)
            .args([self.style.0, self.first_op].map(|number| number.to_string()))
            .args(self.lives.map(|life| life.to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(program.display(), &error))
    }

    fn parse(args: &[OsString]) -> Option<Self> {
        let numbers = args.iter().map(|arg| arg.to_str()?.parse::<u64>().ok());
        let [style, first_op, lives @ ..] = &*numbers.collect::<Option<Vec<_>>>()? else {
            return None;
        };
        Some(Self { style: Style(*style), first_op: *first_op, lives: lives.try_into().ok()? })
    }
}

/// Is the writer, with the arguments that stand behind its name, until it is killed.
///
/// # Errors
///
/// Anything that the log says, since nothing is wrong with the machine; and that the parent is gone.
pub fn run(args: &[OsString]) -> ChildResult {
    let [root, orders @ ..] = args else { return Err("no root".into()) };
    let orders = Orders::parse(orders).ok_or("these are no orders of a writer")?;
    let wal = Wal::open(root, orders.style.options())?;
    let writer = Writer { wal, lives: orders.lives.map(RwLock::new) };
    let (next, stopped) = (AtomicU64::new(orders.first_op), AtomicBool::new(false));
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..WRITER_COUNT {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    let op = Op(next.fetch_add(1, Ordering::Relaxed));
                    let done = if op.0 < orders.first_op + OP_COUNT {
                        writer.perform(op)
                    } else {
                        // Tells whether there still is somebody to kill us.
                        thread::sleep(Duration::from_millis(20));
                        say("\n")
                    };
                    if let Err(error) = done {
                        let told = format!("{op:?}, {:?}: {error}", op.kind());
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(told);
                        stopped.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), |told| Err(told.into()))
}

fn say(line: &str) -> ChildResult {
    Ok(io::stdout().lock().write_all(line.as_bytes())?)
}

fn tell(event: Event) -> ChildResult {
    event.line().map_or(Ok(()), |line| say(&line))
}

struct Writer {
    wal: Wal,
    /// Held for reading by whoever uses a stream, for writing by whoever deletes it: so it is known of each
    /// entry in which life of its stream it was.
    lives: [RwLock<u64>; KEYS.len()],
}

impl Writer {
    fn perform(&self, op: Op) -> ChildResult {
        let stream = op.stream();
        let (Some(key), Some(life)) = (KEYS.get(stream), self.lives.get(stream)) else {
            return Err("no such stream".into());
        };
        match op.kind() {
            Kind::Pause => {
                thread::sleep(Duration::from_micros(op.detail(3_000) as u64));
                return Ok(());
            }
            Kind::SyncAll => {
                tell(Event::Issued { op, life: 0, at: 0 })?;
                self.wal.sync()?;
                return tell(Event::Acknowledged { op, start: 0, end: 0 });
            }
            Kind::Delete => {
                let mut life = life.write().unwrap_or_else(PoisonError::into_inner);
                tell(Event::Issued { op, life: *life, at: 0 })?;
                self.wal.delete_stream(key)?;
                *life += 1;
                return tell(Event::Acknowledged { op, start: 0, end: 0 });
            }
            Kind::Single | Kind::Batch | Kind::SyncStream | Kind::Rotate | Kind::Truncate => {}
        }
        let life = life.read().unwrap_or_else(PoisonError::into_inner);
        self.use_stream(op, key, *life)?;
        // Until then the stream must not be deleted.
        drop(life);
        Ok(())
    }

    fn use_stream(&self, op: Op, key: &str, life: u64) -> ChildResult {
        let stream = self.wal.stream(key)?;
        let at = if op.kind() == Kind::Truncate {
            let next = stream.next_seq()?;
            next.saturating_sub(op.detail(20) as u64)
        } else {
            0
        };
        tell(Event::Issued { op, life, at })?;
        let (start, end) = match op.kind() {
            Kind::Single => {
                let seq = stream.append(op.entry(0))?;
                (seq, seq + 1)
            }
            Kind::Batch => {
                let seqs = stream.append_batch((0..op.count()).map(|part| op.entry(part)))?;
                (seqs.start, seqs.end)
            }
            Kind::Rotate => (stream.rotate()?, 0),
            Kind::Truncate => (stream.truncate_before(at)?, 0),
            Kind::SyncStream | Kind::SyncAll | Kind::Delete | Kind::Pause => {
                stream.sync()?;
                (0, 0)
            }
        };
        tell(Event::Acknowledged { op, start, end })
    }
}

/// A writer that is killed when nobody wants it any more.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
}

impl Running {
    /// Kills it, and waits until all that it held is free.
    pub(super) fn end(&mut self) -> Result<()> {
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| failed("the writer", &error))
    }

    /// Why it ended by itself.
    pub(super) fn reason(&mut self) -> Failure {
        let mut told = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            drop(io::Read::read_to_string(&mut pipe, &mut told));
        }
        Failure::Writer(told.trim().to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it is gone already this fails, and that is well.
        drop(self.end());
    }
}
