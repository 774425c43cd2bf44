//! One stream, without locks and threads around it: what is appended, rotated, truncated and deleted, cut
//! off anywhere, against a model.

mod history;
mod read;
mod world;

use std::fmt::Write as _;

use self::world::World;
use super::{Campaign, Failure, Layer};
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::sim_storage::CrashChoice;

/// A few lives of a stream, each cut off by a power cut, a kill or nothing.
#[derive(Debug)]
pub(super) struct Stream;

impl Campaign for Stream {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn layer(&self) -> Layer {
        Layer::Stream
    }

    fn about(&self) -> &'static str {
        "one stream by its write side and sync side: every call, cut off anywhere, against a model"
    }

    fn fixed_count(&self) -> u64 {
        4000
    }

    fn must_reach(&self) -> &'static [&'static str] {
        &[
            "rule: a creation is cut off",
            "rule: a deletion is cut off",
            "rule: a truncation is cut off",
            "rule: a rotation is cut off",
            "rule: an append is cut off",
            "rule: a recovery is cut off",
            "rule: a stream is closed",
            "rule: a stream is killed",
        ]
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let mut story = String::new();
        run(case, &mut story).map_err(|violation| Failure { violation, story })
    }
}

fn run(seed: u64, story: &mut String) -> Result<(), Violation> {
    let mut random = SplitMix64::new(seed);
    let mut world = World::new(&mut random);
    for _ in 0..=random.below(4) {
        let is_cut = random.chance(3, 4);
        if is_cut {
            let span = if random.chance(1, 4) { 16 } else { 120 };
            world.cut_at(random.below(span) as u64);
        }
        for _ in 0..random.below(16) {
            if !world.step(&mut random, story)?.is_on() {
                break;
            }
        }
        let end = match random.below(4) {
            0 if !is_cut => None,
            1 => Some(CrashChoice::Nothing),
            _ => Some(CrashChoice::Seeded(random.next_u64())),
        };
        writeln!(story, "end {end:?}").unwrap_or_default();
        world.end(end, &mut random)?;
    }
    Ok(())
}
