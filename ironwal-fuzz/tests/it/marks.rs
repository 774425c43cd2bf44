//! What frames and marks say is durable, against what the disk knows was synced (I17), in each mode.

use ironwal_fuzz::campaign;
use ironwal_fuzz::runner::run_case;
use ironwal_fuzz::tally::{self, Group};

#[test]
fn frames_and_marks_claim_what_returned_syncs_cover_and_no_less() {
    let marks = campaign::ALL.into_iter().find(|campaign| campaign.name() == "marks").unwrap();
    tally::take();
    for case in 0..300 {
        run_case(marks, case).unwrap_or_else(|failure| panic!("{case}: {failure}"));
    }
    let tally = tally::take();
    let claiming = tally.get(Group::Reached, "rule: a frame claims what is synced");
    let silent = tally.get(Group::Reached, "rule: a frame claims nothing");
    println!("{claiming} frames claim something, {silent} nothing");
    assert!(claiming > 1000 && silent > 100);
}
