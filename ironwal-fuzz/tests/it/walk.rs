//! Every crash point of a script, and crash points of the recoveries from them.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use ironwal::{SyncMode, WalOptions};
use ironwal_fuzz::host::CountingHost;
use ironwal_fuzz::model::Model;
use ironwal_fuzz::oracle::{check_disk, check_losses, open};
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage};
use ironwal_fuzz::world::{Call, Trouble, World};

/// What was looked at.
#[derive(Debug, Default)]
struct Reached {
    points: usize,
    images: usize,
    nested_images: usize,
    distinct: HashSet<u64, BuildHasherDefault<DefaultHasher>>,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Breadth {
    /// At each crash point all subsets of what is pending, if they are no more than this.
    pub(crate) max_subset_count: u64,
    /// Random choices at each crash point.
    pub(crate) seed_count: u64,
    /// How often the recovery from a crash is cut off as well.
    pub(crate) depth: usize,
}

/// As much as there is.
pub(crate) const BROAD: Breadth = Breadth { max_subset_count: 1 << 10, seed_count: 40, depth: 2 };

/// For scripts that are long.
pub(crate) const NARROW: Breadth = Breadth { max_subset_count: 1 << 5, seed_count: 8, depth: 2 };

struct Walk<'a> {
    options: &'a WalOptions,
    mode: SyncMode,
    breadth: Breadth,
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
        let mut world =
            World::new(Arc::new(disk.clone()), self.options.clone(), trouble).in_mode(self.mode);
        world
            .run_on(&disk, calls)
            .unwrap_or_else(|violation| panic!("before {point:?}: {violation}"));
        let model = world.model().clone();
        // What is done when the log is dropped belongs to the run.
        drop(world);
        (disk, model)
    }

    fn is_new(&mut self, image: &SimStorage, model: &Model) -> bool {
        let promised = model.total_durable_count();
        let issued: usize = model.keys().map(|key| model.history(key).issued().count()).sum();
        let committed: u64 = model.keys().map(|key| model.committed_count(key)).sum();
        let firsts: u64 = model.keys().map(|key| model.history(key).first()).sum();
        let seen = (image.contents(), promised, issued, committed, firsts);
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
        if depth == self.breadth.depth {
            check_losses(&made(), model, self.options)
                .unwrap_or_else(|violation| panic!("{violation}"));
        }
        if depth == 0 {
            return;
        }
        // What an undisturbed recovery reached has to be reached by any other as well; unless it saw
        // what was only in the cache.
        let settled = if is_durable { settled } else { model.after_power_cut() };
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
                self.judge(&|| nested.crash(choice), &settled, depth - 1);
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
pub(crate) fn walk(
    name: &str,
    options: &WalOptions,
    mode: SyncMode,
    breadth: Breadth,
    calls: &[Call],
) {
    let options = &options.clone().sync_mode(mode);
    let mut walk = Walk { options, mode, breadth, reached: Reached::default() };
    let (whole, _) = walk.run_until(calls, None);
    for point in whole.crash_points() {
        let (disk, model) = walk.run_until(calls, Some(point));
        walk.reached.points += 1;
        walk.judge(&|| disk.kill(), &model, breadth.depth);
        let cut = model.after_power_cut();
        let choices = CrashChoice::systematic(disk.pending_count(), breadth.max_subset_count);
        let seeds = (0..breadth.seed_count).map(|seed| CrashChoice::Seeded(point << 8 | seed));
        for choice in choices.into_iter().chain(seeds) {
            walk.reached.images += 1;
            walk.judge(&|| disk.crash(choice), &cut, breadth.depth);
        }
    }
    let Reached { points, images, nested_images, distinct } = walk.reached;
    println!(
        "{name}: {points} crash points, {images} images, {nested_images} of recoveries, {} distinct",
        distinct.len()
    );
    assert!(points > 5 && images > 20 && (nested_images > 20 || breadth.depth == 0));
}
