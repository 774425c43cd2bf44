//! Damage of every kind to copies of logs, judged by what evidence there is of what was lost.

mod bytes;
mod damage;
mod index;
mod judge;
mod kind;
mod made;
mod parse;
mod reads;
mod rebuilt;
mod rows;
mod theory;
mod verdict;

use ironwal::ReadStrategy;

use self::judge::{Effort, Trial};
use self::kind::Kind;
use super::{Campaign, Failure, Layer};
use crate::invariant::Invariant;
use crate::model::Violation;
use crate::random::SplitMix64;
use crate::tally::{self, Group};

/// How many copies of each log are damaged.
const DAMAGES: usize = 40;

/// Logs of seeds, and copies of them that are damaged.
#[derive(Debug)]
pub(super) struct Rot;

impl Campaign for Rot {
    fn name(&self) -> &'static str {
        "rot"
    }

    fn layer(&self) -> Layer {
        Layer::Facade
    }

    fn about(&self) -> &'static str {
        "damaged copies of random logs: what evidence proves is told, the rest stays readable"
    }

    fn fixed_count(&self) -> u64 {
        1000
    }

    fn weight(&self) -> u32 {
        2
    }

    fn must_reach(&self) -> &'static [&'static str] {
        &rows::MUST_REACH
    }

    fn run(&self, case: u64) -> Result<(), Failure> {
        let mut random = SplitMix64::new(case ^ 0x0072_6F74_0000_0000);
        let made = made::make(case, &mut random)?;
        for _ in 0..DAMAGES {
            let Some(damage) = damage::pick(&made, &mut random) else { continue };
            tally::count(Group::Work, "damaged images");
            tally::count(Group::Fault, damage.kind.name());
            let effort = if random.chance(1, 4) { Effort::Lives } else { Effort::Verdict };
            let mut reads = [ReadStrategy::Mmap, ReadStrategy::StandardIo];
            if random.chance(1, 2) {
                reads.reverse();
            }
            let failed = |violation| {
                let story = format!("{}# on a copy of the disk: {}\n", made.script, damage.story);
                Failure { violation, story }
            };
            let image = damage.apply(&made.disk);
            let image = image.map_err(|error| {
                failed(Violation::new(Invariant::I21, format!("damaging a copy: {error}")))
            })?;
            let trial = Trial { made: &made, damage: &damage, image, effort };
            trial.run(reads).map_err(failed)?;
            if damage.kind == Kind::IndexMissing {
                rebuilt::check(&made, &trial.image).map_err(failed)?;
            }
            rows::note(&made, &damage);
        }
        Ok(())
    }
}
