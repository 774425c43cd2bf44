//! What a measurement gives.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What one run of a workload by one contender gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// In the unit of the workload.
    pub value: f64,
    /// How long single calls took, where that was measured.
    pub latency: Option<Latency>,
    /// What else was seen, by name.
    pub facts: BTreeMap<String, f64>,
}

/// How long calls took, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Half of them took no longer.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

impl Sample {
    /// A value alone.
    pub const fn new(value: f64) -> Self {
        Sample { value, latency: None, facts: BTreeMap::new() }
    }

    /// With how long calls took, given in nanoseconds.
    #[must_use]
    pub fn timed(mut self, nanos: &Histogram<u64>) -> Self {
        if !nanos.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "no call takes 2^52 nanoseconds")]
            let micros = |nanos: u64| nanos as f64 / 1e3;
            self.latency = Some(Latency {
                p50: micros(nanos.value_at_quantile(0.5)),
                p99: micros(nanos.value_at_quantile(0.99)),
                p99_9: micros(nanos.value_at_quantile(0.999)),
                max: micros(nanos.max()),
            });
        }
        self
    }

    /// With something else that was seen.
    #[must_use]
    pub fn with(mut self, fact: &str, value: f64) -> Self {
        self.facts.insert(fact.to_owned(), value);
        self
    }
}

/// The middle one, or the mean of the two in the middle; nothing of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// The lowest and the highest; nothing of nothing.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let both = values.into_iter().map(|value| (value, value));
    both.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_goes_from_the_lowest_to_the_highest() {
        assert_eq!(range([4.0, -1.0, 3.0]), Some((-1.0, 4.0)));
        assert_eq!(range([]), None);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median([9.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn latencies_are_told_in_microseconds() {
        let mut nanos = Histogram::new(3).expect("three digits");
        (1..=1000).for_each(|n| nanos.record(n * 1_000).expect("it grows"));
        let latency = Sample::new(0.0).timed(&nanos).latency.expect("there are some");
        assert!((latency.p50 - 500.0).abs() < 1.0, "{latency:?}");
        assert!((latency.p99_9 - 999.0).abs() < 1.0, "{latency:?}");
        assert!(
            Sample::new(0.0).timed(&Histogram::new(3).expect("three digits")).latency.is_none()
        );
    }
}
