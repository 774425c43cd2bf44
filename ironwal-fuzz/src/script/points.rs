//! Where a script may be cut.

use std::sync::Arc;

use super::{End, Failure, Generation, Script};
use crate::sim_storage::SimStorage;
use crate::world::{Call, Setup, Trouble, World};

impl Script {
    /// The operations in the last call of the last generation, counted from the beginning of that, before
    /// which a cut leads to different disks. All other generations end by a close, or are killed where they
    /// are cut.
    ///
    /// # Errors
    ///
    /// The first promise that is broken without one.
    pub fn crash_points(&self) -> Result<Vec<u64>, Box<Failure>> {
        let failed = |violation| Box::new(Failure { violation, script: self.clone() });
        let mut disk = SimStorage::new();
        let options = Setup::DEFAULT.options();
        let mut world = World::new(Arc::new(disk.clone()), options, Trouble::None);
        let (mut begun, mut last_begun) = (0, 0);
        for Generation { setup, calls, cut, end, .. } in &self.generations {
            world.set_up(*setup);
            begun = disk.operation_count();
            if let (Some(count), End::Kill) = (cut, end) {
                disk.crash_at(begun + count);
                world.fails_with(&disk);
                world.run_on(&disk, calls).map_err(failed)?;
                disk = disk.kill();
                world.leave(Arc::new(disk.clone()));
                world.set_trouble(Trouble::None);
                continue;
            }
            last_begun = begun;
            if let [before @ .., last] = calls.as_slice() {
                if !before.is_empty() {
                    world.run_on(&disk, before).map_err(failed)?;
                    last_begun = disk.operation_count();
                }
                world.call(last).map_err(failed)?;
            }
            if *end == End::Close {
                world.call(&Call::Close).map_err(failed)?;
            }
        }
        drop(world);
        let points = disk.crash_points().into_iter().filter(|point| *point >= last_begun);
        Ok(points.filter_map(|point| point.checked_sub(begun)).collect())
    }
}
