//! A storage in memory that writes down what is called and can refuse it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ironwal_format::names::StreamFileName;
use ironwal_segment::storage::{
    DirEntry, MemStorage, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

/// A storage above another.
#[derive(Clone, Debug)]
pub(crate) struct Traced {
    inner: Arc<dyn Storage>,
    trace: Arc<Mutex<Trace>>,
}

#[derive(Debug, Default)]
struct Trace {
    calls: Vec<String>,
    refused: Option<(String, i32)>,
}

#[derive(Debug)]
struct TracedFile {
    inner: Arc<dyn StorageFile>,
    traced: Traced,
    path: String,
}

impl Traced {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(MemStorage::new()), trace: Arc::default() }
    }

    /// The same, for what opens streams.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// What was called since this was asked last, without looks at what is there: `call path`, where a
    /// segment is named by its ordinal alone.
    pub(crate) fn changes(&self) -> Vec<String> {
        let calls = std::mem::take(&mut self.trace.lock().unwrap().calls);
        let is_look = |call: &String| {
            ["open ", "read ", "len ", "list ", "map "].iter().any(|look| call.starts_with(look))
        };
        calls.into_iter().filter(|call| !is_look(call)).collect()
    }

    /// Answers a call, named as in [`changes`](Self::changes), with an error number, until another is
    /// refused.
    pub(crate) fn refuse(&self, call: &str, errno: i32) {
        self.trace.lock().unwrap().refused = Some((call.to_owned(), errno));
    }

    /// Refuses nothing any more.
    pub(crate) fn grant(&self) {
        self.trace.lock().unwrap().refused = None;
    }

    fn call(&self, call: &str, path: &str) -> io::Result<()> {
        let mut trace = self.trace.lock().unwrap();
        let call = format!("{call} {path}");
        let refused = trace.refused.as_ref().filter(|(refused, _)| *refused == call);
        let answer = refused.map_or(Ok(()), |(_, errno)| Err(io::Error::from_raw_os_error(*errno)));
        trace.calls.push(call);
        answer
    }
}

fn joined(path: StoragePath<'_>) -> String {
    let short = |name: &str| match StreamFileName::of(name) {
        StreamFileName::Segment { ordinal, .. } => ordinal.to_string(),
        StreamFileName::Index
        | StreamFileName::IndexTemp
        | StreamFileName::Torn { .. }
        | StreamFileName::Foreign => name.to_owned(),
    };
    path.names().map(short).collect::<Vec<_>>().join("/")
}

impl Storage for Traced {
    fn open(&self, path: StoragePath<'_>, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let name = joined(path);
        self.call(if mode == OpenMode::CreateNew { "create" } else { "open" }, &name)?;
        let inner = self.inner.open(path, mode)?;
        Ok(Arc::new(TracedFile { inner, traced: self.clone(), path: name }))
    }

    fn create_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.call("create_dir", &joined(path))?;
        self.inner.create_dir(path)
    }

    fn remove_dir(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.call("remove_dir", &joined(path))?;
        self.inner.remove_dir(path)
    }

    fn rename(&self, from: StoragePath<'_>, to: StoragePath<'_>) -> io::Result<()> {
        self.call("rename", &joined(to))?;
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: StoragePath<'_>) -> io::Result<()> {
        self.call("unlink", &joined(path))?;
        self.inner.unlink(path)
    }

    fn list(&self, dir: StoragePath<'_>) -> io::Result<Vec<DirEntry>> {
        self.call("list", &joined(dir))?;
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: StoragePath<'_>) -> io::Result<()> {
        self.call("sync_dir", &joined(dir))?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: StoragePath<'_>) -> io::Result<Box<dyn StorageLock>> {
        self.inner.lock(path)
    }

    fn display(&self, path: StoragePath<'_>) -> PathBuf {
        self.inner.display(path)
    }
}

impl StorageFile for TracedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.traced.call("read", &self.path)?;
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.traced.call("write", &self.path)?;
        self.inner.write_at(bytes, offset)
    }

    fn file_len(&self) -> io::Result<u64> {
        self.traced.call("len", &self.path)?;
        self.inner.file_len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.traced.call("set_len", &self.path)?;
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.traced.call("allocate", &self.path)?;
        self.inner.allocate(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.traced.call("sync", &self.path)?;
        self.inner.sync_data()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.traced.call("map", &self.path)?;
        self.inner.map(len)
    }
}
