//! Confidence intervals of means over images, by the bootstrap (Efron 1979): images are drawn anew, with
//! replacement, and the middle 95% of the means are kept. Nothing is assumed of how PSNRs are spread.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::Serialize;

/// How often the images are drawn anew.
const DRAWS: usize = 1000;
/// The share of means below the interval, and above it.
const TAIL: f64 = 0.025;

/// The interval that holds a mean in 95 of 100 such audits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// The interval of the mean of values that are finite; `None` for fewer than three, of which there
    /// is too little to be said.
    pub fn of_mean(values: &[f64]) -> Option<Self> {
        let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        if values.len() < 3 {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut mean = || {
            let drawn = (0..values.len()).map(|_| values[rng.random_range(0..values.len())]);
            drawn.sum::<f64>() / values.len() as f64
        };
        let mut means: Vec<f64> = (0..DRAWS).map(|_| mean()).collect();
        means.sort_by(f64::total_cmp);
        let cut = (DRAWS as f64 * TAIL) as usize;
        Some(Self { low: means[cut], high: means[DRAWS - 1 - cut] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_many_normal_values_is_that_of_the_textbook() {
        // 400 quantiles of a normal distribution of deviation 2: the mean's deviation is 2 / 20.
        let uniform = |index: i32| (f64::from(index) + 0.5) / 400.0;
        // The logistic curve is within 2% of the normal one: Phi^-1(u) is about log(u / (1 - u)) / 1.702.
        let values: Vec<f64> =
            (0..400).map(|i| 30.0 + 2.0 * (uniform(i) / (1.0 - uniform(i))).ln() / 1.702).collect();
        let Interval { low, high } = Interval::of_mean(&values).unwrap();
        assert!((low - (30.0 - 0.196)).abs() < 0.04 && (high - (30.0 + 0.196)).abs() < 0.04, "{low} {high}");
    }

    #[test]
    fn little_and_no_spread_are_what_they_are() {
        assert_eq!(Interval::of_mean(&[30.0, 31.0]), None);
        assert_eq!(Interval::of_mean(&[30.0, 31.0, f64::INFINITY]), None);
        assert_eq!(Interval::of_mean(&[5.0; 4]), Some(Interval { low: 5.0, high: 5.0 }));
    }
}
