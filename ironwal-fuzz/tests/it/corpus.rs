//! The fuzz targets without a fuzzer: on all that is kept in the repository, and on changes of it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ironwal_fuzz::random::SplitMix64;
use ironwal_fuzz::targets::{ALL, Target};

/// The committed inputs of a target, in the order of their names; none where there is no folder.
fn inputs(folder: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join(target);
    #[expect(clippy::disallowed_methods, reason = "what is read is no log")]
    let Ok(entries) = fs::read_dir(&dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs one input, and tells which it was when it fails.
fn run(name: &str, target: Target, input: &[u8], which: &dyn std::fmt::Debug) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(outcome.is_ok(), "target {name} fails on {which:?}: {input:?}");
}

#[test]
fn every_committed_input_keeps_every_promise() {
    for (name, target) in ALL {
        let corpus = inputs("corpus", name);
        assert!(!corpus.is_empty(), "target {name} has no corpus");
        for (path, input) in corpus.iter().chain(&inputs("regressions", name)) {
            run(name, *target, input, path);
        }
        println!("{name}: {} inputs", corpus.len());
    }
}

/// A few hundred inputs that are the same each time: noise, and inputs of the corpus with bytes changed,
/// taken away, put in, and joined.
#[test]
fn changed_inputs_keep_every_promise_too() {
    const NOISE_COUNT: usize = 100;
    const CHANGED_COUNT: usize = 300;
    for (name, target) in ALL {
        let corpus: Vec<_> = inputs("corpus", name).into_iter().map(|(_, input)| input).collect();
        assert!(!corpus.is_empty(), "target {name} has no corpus");
        let mut random = SplitMix64::new(7);
        for number in 0..NOISE_COUNT + CHANGED_COUNT {
            let input = if number < NOISE_COUNT {
                noise(&mut random, 400)
            } else {
                changed(&corpus, &mut random)
            };
            run(name, *target, &input, &number);
        }
    }
}

fn noise(random: &mut SplitMix64, end: usize) -> Vec<u8> {
    (0..random.below(end)).map(|_| random.next_u64().to_le_bytes()[0]).collect()
}

fn changed(corpus: &[Vec<u8>], random: &mut SplitMix64) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(5) {
            0 => input.truncate(at),
            1 => drop(input.splice(at..at, noise(random, 9))),
            2 => drop(input.drain(at..(at + random.below(9)).min(input.len()))),
            3 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.iter_mut().skip(at).take(1).for_each(|byte| {
                *byte ^= random.next_u64().to_le_bytes()[0];
            }),
        }
    }
    input
}
