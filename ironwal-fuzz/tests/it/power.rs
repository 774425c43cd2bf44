//! Power cuts below real file systems, a few: `IRONWAL_POWER_CUTS` says how many.

use std::io::Write;
use std::path::PathBuf;

use ironwal_fuzz::power::{FileSystem, Plan, Ran, run};

fn cut_again_and_again(file_system: FileSystem) {
    let plan = Plan {
        cut_count: std::env::var("IRONWAL_POWER_CUTS").map_or(20, |count| count.parse().unwrap()),
        seed: 1,
        dir: std::env::temp_dir(),
        program: PathBuf::from(env!("CARGO_BIN_EXE_ironwal-fuzz")),
    };
    match run(file_system, &plan).unwrap_or_else(|failure| panic!("{failure}")) {
        Ran::Through(outcome) => {
            println!("{file_system}: {outcome}");
            assert!(outcome.promised > 0 && outcome.found > 0, "{outcome}");
        }
        // Past what the test harness keeps to itself: nobody is to believe that this was tested.
        Ran::Skipped(skipped) => writeln!(std::io::stderr(), "{skipped}").unwrap(),
    }
}

#[test]
fn what_was_promised_survives_power_cuts_below_ext4() {
    cut_again_and_again(FileSystem::Ext4);
}

#[test]
fn what_was_promised_survives_power_cuts_below_xfs() {
    cut_again_and_again(FileSystem::Xfs);
}

#[test]
fn what_was_promised_survives_power_cuts_below_btrfs() {
    cut_again_and_again(FileSystem::Btrfs);
}
