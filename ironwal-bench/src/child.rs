//! Measurements in processes of their own.

use std::process::{Command, Stdio};

use crate::contender::Result;
use crate::sample::Sample;

/// Runs it to its end; gives what it printed.
pub(crate) fn output(mut command: Command, who: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.is_empty()).unwrap_or("it said nothing");
    Err(format!("{who}: {}: {last}", output.status).into())
}

/// The same, of one that prints a sample.
pub(crate) fn sample(command: Command, who: &str) -> Result<Sample> {
    let output = output(command, who)?;
    // Some of them print what nobody asked for.
    let line = output.lines().rev().find(|line| line.starts_with('{')).ok_or("it said nothing")?;
    Ok(serde_json::from_str(line)?)
}
