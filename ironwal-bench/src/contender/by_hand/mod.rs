//! Files written and read as a program would that needs no log: what the machine can do.
#![expect(clippy::disallowed_methods, reason = "goes past the log on purpose")]

mod create;
mod shared_sync;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use ironwal::storage::{OpenMode, StdStorage, Storage, StoragePath};

pub use self::create::{create_streams_by_hand, create_streams_together};
use self::shared_sync::SharedSync;
use super::{Contender, Durability, Log, Plan, Result};

/// As long as the header that this log writes in front of each entry.
pub const HEADER_LEN: usize = 32;

/// The longest frame that is read by `pread`.
const MAX_READ_LEN: usize = 1024;

/// A file for each stream.
#[derive(Debug)]
pub(super) struct ByHand {
    contender: Contender,
    plan: Plan,
    files: Vec<OnceLock<Mutex<Growing>>>,
    /// The directory of all of them, where one sync serves whoever waits.
    together: Option<(File, SharedSync)>,
    mapped: OnceLock<Bytes>,
    reader: OnceLock<File>,
}

#[derive(Debug)]
struct Growing {
    file: File,
    at: u64,
    frame: Vec<u8>,
}

impl ByHand {
    pub(super) fn open(contender: Contender, plan: &Plan) -> Result<Self> {
        std::fs::create_dir_all(&plan.dir)?;
        let files: Vec<_> = (0..plan.stream_count).map(|_| OnceLock::new()).collect();
        let shares = (contender == Contender::Syncfs).then(|| File::open(&plan.dir)).transpose()?;
        Ok(ByHand {
            contender,
            plan: plan.clone(),
            files,
            together: shares.map(|dir| (dir, SharedSync::default())),
            mapped: OnceLock::new(),
            reader: OnceLock::new(),
        })
    }

    fn file(&self, stream: usize) -> Result<&Mutex<Growing>> {
        let place = self.files.get(stream).ok_or("no such stream")?;
        if let Some(file) = place.get() {
            return Ok(file);
        }
        let path = self.plan.dir.join(format!("stream-{stream}"));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let len = self.plan.stream_len;
        let at = file.metadata()?.len();
        if at == 0 && self.plan.durability == Durability::Strict {
            if self.contender == Contender::Reserved {
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len)?;
            }
            if matches!(self.contender, Contender::Zeroed | Contender::Syncfs) {
                let zeros = vec![0; 1 << 20];
                let mut at = 0;
                while at < len {
                    let now = usize::try_from(len - at)?.min(zeros.len());
                    file.write_all_at(zeros.get(..now).unwrap_or_default(), at)?;
                    at += now as u64;
                }
            }
            file.sync_all()?;
        }
        let growing = Growing { file, at, frame: Vec::new() };
        Ok(place.get_or_init(|| Mutex::new(growing)))
    }

    fn write(&self, stream: usize, fill: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut growing = self.file(stream)?.lock().unwrap_or_else(PoisonError::into_inner);
        let Growing { file, at, frame } = &mut *growing;
        frame.clear();
        fill(frame);
        if self.contender == Contender::Memory {
            std::hint::black_box(crc32fast::hash(frame));
            return Ok(());
        }
        let end = *at + frame.len() as u64;
        let is_strict = self.plan.durability == Durability::Strict;
        let is_ready = self.contender != Contender::Growing;
        if is_ready && is_strict && end > self.plan.stream_len {
            return Err(
                "more was written than there is space made ready for: take fewer seconds".into()
            );
        }
        file.write_all_at(frame, *at)?;
        *at = end;
        match &self.together {
            _ if !is_strict => Ok(()),
            None => Ok(file.sync_data()?),
            Some((dir, shared)) => {
                // Others may write to the file while this thread waits.
                drop(growing);
                shared.wait(|| Ok(rustix::fs::syncfs(dir)?))
            }
        }
    }

    fn reader(&self, stream: usize) -> Result<&File> {
        if let Some(file) = self.reader.get() {
            return Ok(file);
        }
        let file = File::open(self.plan.dir.join(format!("stream-{stream}")))?;
        Ok(self.reader.get_or_init(|| file))
    }

    fn mapped(&self, stream: usize) -> Result<&Bytes> {
        if let Some(mapped) = self.mapped.get() {
            return Ok(mapped);
        }
        let storage = StdStorage::open(&self.plan.dir)?;
        let name = format!("stream-{stream}");
        let file = storage.open(StoragePath::new(&name), OpenMode::Read)?;
        let mapped = file.map(file.file_len()?)?;
        Ok(self.mapped.get_or_init(|| mapped))
    }

    fn frame_len(&self) -> usize {
        HEADER_LEN + self.plan.entry_len
    }
}

impl Log for ByHand {
    fn append(&self, stream: usize, entry: &[u8]) -> Result<()> {
        self.write(stream, |frame| {
            frame.extend_from_slice(&[0x77; HEADER_LEN]);
            frame.extend_from_slice(entry);
        })
    }

    fn append_batch(&self, stream: usize, entries: &[&[u8]]) -> Result<()> {
        self.write(stream, |frame| {
            frame.extend_from_slice(&[0x77; HEADER_LEN]);
            for entry in entries {
                frame.extend_from_slice(&[0x77; 4]);
                frame.extend_from_slice(entry);
            }
        })
    }

    /// All frames have one length.
    fn get(&self, stream: usize, number: u64) -> Result<usize> {
        let len = self.frame_len();
        let at = number * len as u64;
        let crc = if self.contender == Contender::Pread {
            let mut frame = [0; MAX_READ_LEN];
            let frame = frame.get_mut(..len).ok_or("too long an entry")?;
            self.reader(stream)?.read_exact_at(frame, at)?;
            crc32fast::hash(frame)
        } else {
            let at = usize::try_from(at)?;
            crc32fast::hash(self.mapped(stream)?.get(at..at + len).ok_or("no such entry")?)
        };
        std::hint::black_box(crc);
        Ok(len - HEADER_LEN)
    }

    fn scan(&self, stream: usize) -> Result<u64> {
        let len = self.frame_len();
        let mapped = self.mapped(stream)?;
        let mut read = 0;
        for frame in mapped.chunks_exact(len) {
            std::hint::black_box(crc32fast::hash(frame));
            read += (len - HEADER_LEN) as u64;
        }
        Ok(read)
    }
}
