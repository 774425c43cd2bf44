//! The first cases of each campaign, so that a change is met by them at once; the runner has the rest.

use ironwal_fuzz::campaign;
use ironwal_fuzz::runner::run_case;
use ironwal_fuzz::tally::{self, Group};

fn run(name: &str, cases: u64) {
    let found = campaign::ALL.into_iter().find(|campaign| campaign.name() == name).unwrap();
    tally::take();
    for case in 0..cases {
        run_case(found, case).unwrap_or_else(|failure| panic!("{name}:{case}: {failure}"));
    }
    let tally = tally::take();
    let unreached = found.must_reach().iter().filter(|what| tally.get(Group::Reached, what) == 0);
    println!("{name}: {cases} cases, not reached: {:?}", unreached.collect::<Vec<_>>());
}

#[test]
fn what_is_encoded_is_decoded_and_nothing_else_is() {
    run("codec", 200);
}

#[test]
fn a_segment_gives_what_was_written_whatever_is_cut_or_turned() {
    run("segment", 60);
}

#[test]
fn a_stream_gives_what_was_written_wherever_it_is_cut_off() {
    run("stream", 300);
}

#[test]
fn a_machine_that_fails_loses_nothing_that_was_acknowledged() {
    run("faults", 600);
}
