//! Counts system calls: whether a log syncs when it says so, and how many calls an operation takes.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Serialize;

use super::{Settings, child, output, say};
use crate::contender::{Contender, Kind, Result};
use crate::workload::{Work, Workload};

/// The system calls of one contender in one workload, for each operation.
#[derive(Debug, Serialize)]
pub(super) struct Calls {
    pub workload: &'static str,
    #[serde(serialize_with = "by_name")]
    pub contender: Contender,
    /// Calls that make durable, for each operation.
    pub syncs: f64,
    /// Calls that write.
    pub writes: f64,
    /// Calls of any kind.
    pub all: f64,
}

impl Calls {
    /// Whether it said of appends that they were durable, and made fewer syncs.
    pub(super) fn is_lax(&self) -> bool {
        let is_strict = Workload::find(self.workload).is_some_and(Workload::is_strict);
        is_strict && self.contender.kind() != Kind::Limit && self.syncs < 0.99
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn by_name<S: serde::Serializer>(
    contender: &Contender,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(contender.name())
}

/// What is traced: appends and batches of one thread.
const TRACED: &[&str] = &["W1", "W5", "W6"];
const SYNCS: &[&str] = &["fsync", "fdatasync", "msync", "sync_file_range", "syncfs"];
const WRITES: &[&str] = &["write", "pwrite64", "writev", "pwritev", "pwritev2"];

/// Runs each of [`TRACED`] twice below `strace`, with 200 appends and with 1,200, so that opening is left out.
pub(super) fn count(settings: &Settings) -> Vec<Calls> {
    if Command::new("strace").arg("-V").output().is_err() {
        say("skipped: no strace");
        return Vec::new();
    }
    let mut all = Vec::new();
    for workload in settings.workloads.iter().filter(|workload| TRACED.contains(&workload.id)) {
        for contender in workload.contenders.iter().filter(|contender| contender.is_built()) {
            match traced(settings, workload, *contender) {
                Ok(calls) => all.push(calls),
                Err(error) => say(&format!("  {error}")),
            }
        }
    }
    all
}

fn traced(settings: &Settings, workload: &'static Workload, contender: Contender) -> Result<Calls> {
    let Work::Append(_) = workload.work else { return Err("no appends".into()) };
    let (few, many) =
        (one(settings, workload, contender, 200)?, one(settings, workload, contender, 1200)?);
    let each = |names: Option<&[&str]>| {
        let sum = |calls: &BTreeMap<String, u64>| {
            let counted = calls
                .iter()
                .filter(|(name, _)| names.is_none_or(|names| names.contains(&name.as_str())));
            counted.map(|(_, count)| count).sum::<u64>()
        };
        #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 calls")]
        let each = sum(&many).saturating_sub(sum(&few)) as f64 / 1000.0;
        each
    };
    Ok(Calls {
        workload: workload.id,
        contender,
        syncs: each(Some(SYNCS)),
        writes: each(Some(WRITES)),
        all: each(None),
    })
}

/// How often each system call was made.
fn one(
    settings: &Settings,
    workload: &'static Workload,
    contender: Contender,
    count: u64,
) -> Result<BTreeMap<String, u64>> {
    let dir = tempfile::tempdir_in(&settings.dir)?;
    let log = tempfile::NamedTempFile::new()?;
    let measured =
        child(settings, (workload, contender), dir.path(), &["--count", &count.to_string()])?;
    let mut command = Command::new("strace");
    command
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(log.path())
        .arg(measured.get_program());
    command.args(measured.get_args());
    command.envs(measured.get_envs().filter_map(|(name, value)| Some((name, value?))));
    output(command, contender)?;
    let text = std::fs::read_to_string(log.path())?;
    let counted = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let count = words.next()?.parse().ok()?;
        Some((words.next()?.to_owned(), count))
    });
    Ok(counted.filter(|(name, _)| name != "total").collect())
}
