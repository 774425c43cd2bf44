//! What the figures were measured on.

use std::path::Path;

use serde::Serialize;

use crate::contender::Result;

/// A machine, as far as figures depend on it.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    core_count: usize,
    memory_len: u64,
    kernel: String,
    file_system: String,
    options: String,
}

impl Machine {
    /// The machine this runs on, and the file system below a path.
    pub(crate) fn look(dir: &Path) -> Result<Self> {
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = kib.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let (file_system, options) = mount(&dir.canonicalize()?).unwrap_or_default();
        Ok(Self {
            processor: model.map_or("unknown", |(_, model)| model).to_owned(),
            core_count: std::thread::available_parallelism()?.get(),
            memory_len: kib.unwrap_or(0) << 10,
            kernel: kernel.trim().to_owned(),
            file_system,
            options,
        })
    }

    /// In one sentence.
    pub(crate) fn describe(&self) -> String {
        let Self { processor, core_count, memory_len, kernel, file_system, options } = self;
        let memory = memory_len.div_ceil(1 << 30);
        format!(
            "{processor}, {core_count} cores, {memory} GiB, Linux {kernel}, {file_system} ({options})"
        )
    }
}

/// The kind and the options of the file system that a path is on.
fn mount(path: &Path) -> Option<(String, String)> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (at, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        path.starts_with(at).then_some((at.len(), kind, options))
    });
    // Of two at one place the later one is seen.
    let (_, kind, options) = mounts.max_by_key(|(len, ..)| *len)?;
    Some((kind.to_owned(), options.to_owned()))
}
