//! The straight line that is closest to some points.

/// How steep the line of the least squares is; nothing where there are not two points that are apart.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = f64::from(u32::try_from(points.len()).ok()?);
    let sum = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (mean_x, mean_y) = (sum(|point| point.0) / count, sum(|point| point.1) / count);
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let common: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (spread > 0.0).then(|| common / spread)
}

/// The power of `x` that `y` grows with: the slope of the logarithms.
pub(crate) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    slope(&logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_is_found_and_a_constant_has_none() {
        let points = |of: fn(f64) -> f64| [1.0, 10.0, 100.0, 1000.0].map(|x| (x, of(x)));
        let found = exponent(&points(|x| 3.0 * x.sqrt())).expect("they are apart");
        assert!((found - 0.5).abs() < 1e-9, "{found}");
        let found = exponent(&points(|_| 7.0)).expect("they are apart");
        assert!(found.abs() < 1e-9, "{found}");
        let found = slope(&[(0.0, 1.0), (1.0, 4.0), (2.0, 4.0)]).expect("they are apart");
        assert!((found - 1.5).abs() < 1e-9, "{found}");
    }

    #[test]
    fn one_point_has_no_line() {
        assert_eq!(slope(&[(1.0, 1.0)]), None);
        assert_eq!(slope(&[]), None);
        assert_eq!(slope(&[(2.0, 1.0), (2.0, 5.0)]), None);
    }
}
