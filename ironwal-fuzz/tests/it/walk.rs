//! Every crash point of a script, and crash points of the recoveries from them.

use ironwal::SyncMode;
use ironwal_fuzz::judge::Judge;
use ironwal_fuzz::script::{Effort, End, Generation, Script};
use ironwal_fuzz::sim_storage::CrashChoice;
use ironwal_fuzz::tally::{self, Group};
use ironwal_fuzz::world::{Call, Setup};

/// As much as there is.
pub(crate) const BROAD: Effort =
    Effort { max_subset_count: 1 << 10, seed_count: 40, nested_in: 1, depth: 2, losses_in: 1 };

/// For scripts that are long.
pub(crate) const NARROW: Effort = Effort { max_subset_count: 1 << 5, seed_count: 8, ..BROAD };

/// Cuts the power at every point of a run of these calls.
pub(crate) fn walk(name: &str, setup: &Setup, mode: SyncMode, effort: Effort, calls: &[Call]) {
    let setup = Setup { mode, ..*setup };
    let script = |calls: &[Call], cut, end| Script {
        generations: vec![Generation {
            setup,
            calls: calls.to_vec(),
            cut,
            faults: Vec::new(),
            end,
        }],
    };
    tally::take();
    let (mut judge, mut point_count) = (Judge::new(), 0);
    for len in 1..=calls.len() {
        let beginning = &calls[..len];
        let points = script(beginning, None, End::Drop).crash_points();
        for point in points.unwrap_or_else(|failure| panic!("{name}: {failure}")) {
            let cut = script(beginning, Some(point), End::Crash(CrashChoice::Nothing));
            cut.run_before(&mut judge, effort)
                .unwrap_or_else(|failure| panic!("{name}: {failure}"));
            point_count += 1;
        }
    }
    let count = |what| tally::take().get(Group::Work, what);
    let images = count("crash images");
    println!("{name}: {point_count} crash points, {images} images");
    assert!(point_count > 5 && images > 20);
}
