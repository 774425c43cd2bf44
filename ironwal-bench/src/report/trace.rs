//! Counts system calls: whether a log syncs when it says so, and how many calls an operation takes.

use std::process::Command;

use serde::Serialize;

use super::strace::{self, Counted};
use super::{Settings, command, say};
use crate::child;
use crate::contender::{Contender, Result};
use crate::workload::{Work, Workload};

/// The system calls of one contender in one workload, for each operation.
#[derive(Debug, Serialize)]
pub(super) struct Calls {
    pub workload: &'static str,
    #[serde(serialize_with = "by_name")]
    pub contender: Contender,
    /// Calls that make durable, for each operation.
    pub syncs: f64,
    /// Writes that are durable when they return.
    pub synced_writes: f64,
    /// Calls that write.
    pub writes: f64,
    /// Calls that let the kernel do what is not seen.
    pub hiding: f64,
    /// Calls of any kind.
    pub all: f64,
}

impl Calls {
    /// How often an append made something durable.
    pub(super) fn durable(&self) -> f64 {
        self.syncs + self.synced_writes
    }

    /// Whether it made something durable for each append.
    pub(super) fn has_synced(&self) -> bool {
        self.durable() >= 0.99
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
    let each = |field: fn(Counted) -> u64| {
        #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 calls")]
        let each = field(many).saturating_sub(field(few)) as f64 / 1000.0;
        each
    };
    Ok(Calls {
        workload: workload.id,
        contender,
        syncs: each(|counted| counted.syncs),
        synced_writes: each(|counted| counted.synced_writes),
        writes: each(|counted| counted.writes),
        hiding: each(|counted| counted.hiding),
        all: each(|counted| counted.all),
    })
}

/// The system calls of a process that appends so often.
fn one(
    settings: &Settings,
    workload: &'static Workload,
    contender: Contender,
    count: u64,
) -> Result<Counted> {
    let dir = tempfile::tempdir_in(&settings.dir)?;
    let log = tempfile::NamedTempFile::new()?;
    // Files are called by the names that they are opened with.
    let at = dir.path().canonicalize()?;
    let measured = command(settings, (workload, contender), &at, &["--count", &count.to_string()])?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "0", "-o"]).arg(log.path()).arg(measured.get_program());
    strace.args(measured.get_args());
    strace.envs(measured.get_envs().filter_map(|(name, value)| Some((name, value?))));
    child::output(strace, contender.name())?;
    Ok(strace::count(&String::from_utf8_lossy(&std::fs::read(log.path())?)))
}
