//! Things that are timed in turn, so that what the machine does beside them meets all of them alike.
//!
//! A ratio of two figures from different minutes says little on a shared disk. Here every round times a
//! stretch of each contender, beginning with another one each time. The ratio that is given is the
//! median of the rounds' own ratios.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::sample::{self, range};

/// How much is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scale {
    /// As much as the figures need.
    Full,
    /// As little as shows that the benchmark runs.
    Quick,
}

/// What the command line asks for: `cargo bench -p ironwal-bench --bench NAME [-- [--test] [TITLE]]`.
#[derive(Clone, Debug)]
pub struct Request {
    scale: Scale,
    title: Option<String>,
}

/// Something that is timed beside others.
pub struct Contender<'a> {
    name: String,
    run: Box<dyn FnMut(u64) -> io::Result<()> + 'a>,
}

/// What came of timing some contenders in turn.
#[derive(Clone, Debug)]
#[must_use]
pub struct Comparison {
    title: String,
    round_len: u64,
    round_count: usize,
    results: Vec<Measured>,
}

/// What came of timing one contender.
#[derive(Clone, Debug)]
pub struct Measured {
    name: String,
    /// How long an operation took in each round, in nanoseconds.
    nanos: Vec<f64>,
    /// How many times as long as one of the first contender, in each round.
    ratios: Vec<f64>,
}

impl Scale {
    /// One or the other.
    pub const fn pick(self, full: u64, quick: u64) -> u64 {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

impl Request {
    /// What this process was asked for. It is quick with `--test`, and without `--bench`, which
    /// `cargo bench` gives and `cargo test` does not.
    pub fn from_args() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        let scale = if has("--bench") && !has("--test") { Scale::Full } else { Scale::Quick };
        let title = args.iter().find(|arg| !arg.starts_with('-')).cloned();
        Self { scale, title }
    }

    /// How much is measured.
    pub const fn scale(&self) -> Scale {
        self.scale
    }

    /// Whether a comparison with this title is asked for.
    pub fn wants(&self, title: &str) -> bool {
        self.title.as_ref().is_none_or(|part| title.contains(part.as_str()))
    }

    /// Times so many operations of each contender in turn, for 45 rounds after one that does not count.
    ///
    /// # Errors
    ///
    /// The first of a contender.
    pub fn compare(
        &self,
        title: &str,
        round_len: u64,
        contenders: &mut [Contender<'_>],
    ) -> io::Result<Comparison> {
        let round_count = self.scale.pick(45, 1);
        let mut nanos = vec![Vec::new(); contenders.len()];
        for round in 0..=round_count {
            let mut order: Vec<_> = contenders.iter_mut().zip(&mut nanos).collect();
            let shift = usize::try_from(round).unwrap_or(0) % order.len().max(1);
            order.rotate_left(shift);
            for (contender, nanos) in order {
                let begun = Instant::now();
                (contender.run)(round_len)?;
                let elapsed = begun.elapsed();
                if round > 0 {
                    nanos.push(per_operation(elapsed, round_len));
                }
            }
        }
        let first = nanos.first().cloned().unwrap_or_default();
        let results = contenders.iter().zip(nanos).map(|(contender, nanos)| {
            let ratios = nanos.iter().zip(&first).map(|(nanos, first)| nanos / first).collect();
            Measured { name: contender.name.clone(), nanos, ratios }
        });
        Ok(Comparison {
            title: title.to_owned(),
            round_len,
            round_count: first.len(),
            results: results.collect(),
        })
    }
}

impl<'a> Contender<'a> {
    /// Something that is called with a number of operations to do.
    pub fn new(name: impl Into<String>, run: impl FnMut(u64) -> io::Result<()> + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, round_len, round_count, results } = self;
        writeln!(f, "\n{title} ({round_count} rounds of {round_len})")?;
        writeln!(
            f,
            "  {:<36} {:>12} {:>12} {:>12} {:>12} {:>8}",
            "", "median", "fastest", "slowest", "a second", "ratio"
        )?;
        for Measured { name, nanos, ratios } in results {
            let values = || nanos.iter().copied();
            let (fastest, slowest) = range(values()).unwrap_or((f64::NAN, f64::NAN));
            let median = sample::median(values()).unwrap_or(f64::NAN);
            let ratio = sample::median(ratios.iter().copied()).unwrap_or(f64::NAN);
            writeln!(
                f,
                "  {name:<36} {:>12} {:>12} {:>12} {:>12.0} {ratio:>8.2}",
                Nanos(median),
                Nanos(fastest),
                Nanos(slowest),
                1e9 / median,
            )?;
        }
        Ok(())
    }
}

/// A time as people read it.
pub(crate) struct Nanos(pub(crate) f64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            nanos if nanos < 1e3 => format!("{nanos:.1} ns"),
            nanos if nanos < 1e6 => format!("{:.2} us", nanos / 1e3),
            nanos => format!("{:.2} ms", nanos / 1e6),
        };
        f.pad(&text)
    }
}

fn per_operation(elapsed: Duration, count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of operations are small")]
    let count = count.max(1) as f64;
    elapsed.as_secs_f64() * 1e9 / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_runs_as_often_as_the_others_and_the_first_is_the_measure() {
        let (mut first, mut second) = (0, 0);
        let request = Request { scale: Scale::Full, title: None };
        let mut contenders = [
            Contender::new("first", |count| {
                first += count;
                Ok(())
            }),
            Contender::new("second", |count| {
                second += count;
                Ok(())
            }),
        ];
        let done = request.compare("both", 10, &mut contenders).unwrap();
        drop(contenders);
        assert_eq!((first, second), (460, 460));
        assert!(done.results[0].ratios.iter().all(|ratio| (ratio - 1.0).abs() < 1e-9));
        assert!(done.to_string().contains("45 rounds of 10"));
    }
}
