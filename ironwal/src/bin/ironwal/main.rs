//! The command `ironwal`: appends to, prints, lists, measures and checks the streams of a log, and takes
//! segment files apart.
//!
//! Only `append` opens the log for writing; all else takes no lock and changes nothing. What was asked
//! for goes to standard output, everything that is said about it to standard error.
#![forbid(unsafe_code)]

mod append;
mod args;
mod cat;
mod dump;
mod failure;
mod hex;
mod ls;
mod output;
mod progress;
mod segments;
mod stat;
mod table;
mod utc;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::output::{Format, tell};

fn main() -> ExitCode {
    let Args { json, command } = Args::parse();
    let format = if json { Format::Json } else { Format::Text };
    let done = match &command {
        Command::Append(args) => append::run(args, format),
        Command::Cat(args) => cat::run(args, format),
        Command::Ls(args) => ls::run(args, format),
        Command::Stat(args) => stat::run(args, format),
        Command::Dump(args) => dump::run(args, format),
        Command::Verify(args) => verify::run(args, format),
    };
    match done {
        Ok(code) => code.into(),
        Err(failure) => {
            tell(&failure);
            failure.code().into()
        }
    }
}
