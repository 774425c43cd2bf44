//! Every crash point of small scripts, and crash points of the recoveries from them.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use ironwal::WalOptions;
use ironwal_fuzz::host::CountingHost;
use ironwal_fuzz::model::Model;
use ironwal_fuzz::oracle::{check_disk, check_losses, open};
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};
use ironwal_fuzz::world::{Call, Trouble, World};

const TINY: WalOptions = WalOptions::new().max_segment_size(400);

fn append(stream: usize) -> Call {
    Call::Append { stream, len: 20 }
}

fn batch(stream: usize, lens: &[usize]) -> Call {
    Call::Batch { stream, lens: lens.to_vec() }
}

/// What was looked at.
#[derive(Debug, Default)]
struct Reached {
    points: usize,
    images: usize,
    nested_images: usize,
    distinct: HashSet<u64, BuildHasherDefault<DefaultHasher>>,
}

struct Walk<'a> {
    options: &'a WalOptions,
    reached: Reached,
}

impl Walk<'_> {
    /// Runs the calls until the power is cut before operation `point`.
    fn run_until(&self, calls: &[Call], point: Option<u64>) -> (SimStorage, Model) {
        let disk = SimStorage::new();
        if let Some(point) = point {
            disk.crash_at(point);
        }
        let trouble = if point.is_some() { Trouble::Expected } else { Trouble::None };
        let mut world = World::new(Arc::new(disk.clone()), self.options.clone(), trouble);
        world.run(calls).unwrap_or_else(|violation| panic!("before {point:?}: {violation}"));
        let model = world.model().clone();
        // What is done when the log is dropped belongs to the run.
        drop(world);
        (disk, model)
    }

    fn is_new(&mut self, image: &SimStorage, model: &Model) -> bool {
        let promised = model.total_durable_count();
        let issued: usize = model.keys().map(|key| model.history(key).issued().count()).sum();
        let seen = (image.contents(), promised, issued);
        let hash = self.reached.distinct.hasher().hash_one(&seen);
        self.reached.distinct.insert(hash)
    }

    /// Judges what `made` makes; then cuts the power in the recovery from it.
    fn judge(&mut self, made: &dyn Fn() -> SimStorage, model: &Model, depth: usize) {
        let image = made();
        let is_durable = image.pending_count() == 0;
        if is_durable && !self.is_new(&image, model) {
            return;
        }
        let settled = check_disk(&image, model, self.options)
            .unwrap_or_else(|violation| panic!("{violation}, at depth {depth}"));
        if depth == 2 {
            check_losses(&made(), model, self.options)
                .unwrap_or_else(|violation| panic!("{violation}"));
        }
        if depth == 0 {
            return;
        }
        // What an undisturbed recovery reached has to be reached by any other as well; unless it saw
        // what was only in the cache.
        let settled = if is_durable { &settled } else { model };
        for point in self.recover(&made()) {
            let nested = made();
            nested.crash_at(point);
            self.recover(&nested);
            let choices = if depth > 1 {
                CrashChoice::systematic(nested.pending_count(), 1 << 4)
            } else {
                vec![CrashChoice::Nothing, CrashChoice::Everything]
            };
            let seeds = (0..4).map(|seed| CrashChoice::Seeded(point << 8 | seed));
            for choice in choices.into_iter().chain(seeds) {
                self.reached.nested_images += 1;
                self.judge(&|| nested.crash(choice), settled, depth - 1);
            }
        }
    }

    /// Opens everything; gives the points where that changed something.
    fn recover(&self, disk: &SimStorage) -> Vec<u64> {
        let host = CountingHost::starting_at(1 << 50);
        if let Ok(wal) = open(Arc::new(disk.clone()), &host, self.options) {
            drop(wal.recover_all());
        }
        disk.crash_points()
    }
}

/// Cuts the power at every point of a run of these calls.
fn walk(name: &str, options: &WalOptions, calls: &[Call]) {
    let mut walk = Walk { options, reached: Reached::default() };
    let (whole, _) = walk.run_until(calls, None);
    for point in whole.crash_points() {
        let (disk, model) = walk.run_until(calls, Some(point));
        walk.reached.points += 1;
        walk.judge(&|| disk.kill(), &model, 2);
        let choices = CrashChoice::systematic(disk.pending_count(), 1 << 10);
        let seeds = (0..40).map(|seed| CrashChoice::Seeded(point << 8 | seed));
        for choice in choices.into_iter().chain(seeds) {
            walk.reached.images += 1;
            walk.judge(&|| disk.crash(choice), &model, 2);
        }
    }
    let Reached { points, images, nested_images, distinct } = walk.reached;
    println!(
        "{name}: {points} crash points, {images} images, {nested_images} of recoveries, {} distinct",
        distinct.len()
    );
    assert!(points > 5 && images > 20 && nested_images > 20);
}

#[test]
fn a_crash_in_the_making_of_a_stream_leaves_it_whole_or_absent() {
    walk("creation", &TINY, &[append(0)]);
}

#[test]
fn a_crash_among_appends_keeps_what_was_acknowledged() {
    walk("appends", &WalOptions::new(), &[append(0), append(0), append(0)]);
}

#[test]
fn a_crash_in_a_batch_that_rotates_leaves_all_of_it_or_nothing() {
    walk("batch that rotates", &TINY, &[append(0), append(0), batch(0, &[60, 0, 60, 60])]);
}

#[test]
fn a_crash_in_a_batch_larger_than_a_segment_leaves_all_of_it_or_nothing() {
    walk("large batch", &TINY, &[append(0), batch(0, &[300, 300, 700]), append(0)]);
}

#[test]
fn a_crash_among_rotations_keeps_what_was_acknowledged() {
    let calls: Vec<_> = (0..9).map(|_| append(0)).collect();
    walk("rotations", &TINY.max_segment_entries(2), &calls);
}

#[test]
fn a_crash_around_a_clean_close_keeps_what_was_acknowledged() {
    let calls = [append(0), append(0), Call::Close, append(0), Call::Close, Call::Drop, append(0)];
    walk("close and reopen", &TINY.max_segment_entries(2), &calls);
}

#[test]
fn a_crash_keeps_what_was_acknowledged_of_each_of_two_streams() {
    let calls = [append(0), append(1), append(0), batch(1, &[90, 90]), append(0), append(1)];
    walk("two streams", &TINY.max_segment_entries(2), &calls);
}
