//! The control chart for individual values.

/// The limits within which a stable process stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ControlLimits {
    /// The mean of the baseline.
    pub centre: f64,
    /// The lower limit.
    pub lower: f64,
    /// The upper limit.
    pub upper: f64,
}

impl ControlLimits {
    /// Whether `x` lies beyond a limit.
    pub fn signals(&self, x: f64) -> bool {
        x < self.lower || x > self.upper
    }
}

/// The limits of an individuals chart: mean plus and minus `sigmas` times the mean moving range over
/// d2 = 1.128 (Shewhart 1931; NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2). The moving
/// range, unlike the standard deviation, is hardly widened by a drift within the baseline.
///
/// `None` with fewer than two values, one that is not finite, or a width that is not above 0.
pub fn individuals_chart(baseline: &[f64], sigmas: f64) -> Option<ControlLimits> {
    const D2: f64 = 1.128;
    let sound = baseline.len() >= 2 && sigmas > 0.0 && baseline.iter().all(|value| value.is_finite());
    if !sound {
        return None;
    }
    let centre = baseline.iter().sum::<f64>() / baseline.len() as f64;
    let ranges: f64 = baseline.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum();
    let sigma = ranges / (baseline.len() - 1) as f64 / D2;
    Some(ControlLimits { centre, lower: centre - sigmas * sigma, upper: centre + sigmas * sigma })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The flow-rate example of the NIST handbook, 6.3.2.2: mean 50.81, mean moving range 1.8778.
    #[test]
    fn the_flow_rates_of_the_handbook() {
        let flow = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1];
        let limits = individuals_chart(&flow, 3.0).unwrap();
        assert!((limits.centre - 50.81).abs() < 1e-9);
        assert!((limits.upper - 55.804_1).abs() < 1e-3, "{limits:?}");
        assert!((limits.lower - 45.815_9).abs() < 1e-3, "{limits:?}");
        assert!(limits.signals(56.0) && !limits.signals(50.0));
    }

    #[test]
    fn one_value_or_a_hole_has_no_limits() {
        assert_eq!(individuals_chart(&[1.0], 3.0), None);
        assert_eq!(individuals_chart(&[1.0, f64::NAN], 3.0), None);
        assert_eq!(individuals_chart(&[1.0, 2.0], 0.0), None);
    }
}
