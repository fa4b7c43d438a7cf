//! The largest value that a bounded quantity can take, from the largest of several samples of it: the
//! reverse Weibull distribution, to which maxima of bounded quantities tend (Fisher and Tippett 1928), as
//! CLEVER fits it (Weng et al., ICLR 2018).

/// A reverse Weibull distribution, P(X < x) = exp(-((bound - x) / scale)^shape) below `bound`, fitted by
/// maximum likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseWeibull {
    /// The largest value that can occur.
    pub bound: f64,
    /// How far below the bound maxima lie.
    pub scale: f64,
    /// How they are spread.
    pub shape: f64,
    /// The Kolmogorov-Smirnov distance between the samples and the fit, in [0, 1].
    pub distance: f64,
    /// The share of samples drawn from the fit itself that would lie farther from it: small where the fit
    /// is bad.
    pub p_value: f64,
}

/// Bounds tried between the largest sample and `WIDEST` times the samples' spread above it.
const BOUNDS: usize = 400;
const WIDEST: f64 = 100.0;
/// Fewer maxima say too little of a distribution with three parameters: eight once doubled the index.
const FEWEST: usize = 16;

impl ReverseWeibull {
    /// The fit to `maxima`; `None` for fewer than sixteen, or where they are all equal or not finite.
    pub fn fit(maxima: &[f64]) -> Option<Self> {
        let largest = maxima.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = maxima.iter().copied().fold(f64::INFINITY, f64::min);
        let spread = largest - least;
        if maxima.len() < FEWEST || !spread.is_finite() || spread <= 0.0 {
            return None;
        }
        // The likelihood for a bound, over all scales and shapes, is smooth in the bound's logarithm. A
        // shape below 1 lets it grow without end as the bound nears the largest sample: not taken.
        let nearest = 1.0 / maxima.len() as f64 / 10.0;
        let bounds = (0..BOUNDS).map(|index| {
            let along = index as f64 / (BOUNDS - 1) as f64;
            largest + spread * nearest * (WIDEST / nearest).powf(along)
        });
        let fits = bounds.filter_map(|bound| Some((Self::below(bound, maxima)?, bound)));
        let best = fits.filter(|((_, _, shape), _)| *shape >= 1.0).max_by(|a, b| a.0.0.total_cmp(&b.0.0));
        let ((_, scale, shape), bound) = best?;
        let fit = Self { bound, scale, shape, distance: 0.0, p_value: 1.0 };
        let distance = fit.distance_to(maxima);
        Some(Self { distance, p_value: kolmogorov(distance, maxima.len()), ..fit })
    }

    /// The likelihood's logarithm, the scale and the shape of the best fit below a bound. Of
    /// y = bound - x, which is Weibull: the shape k solves sum y^k ln y / sum y^k - 1/k = mean ln y, whose
    /// left side rises with k.
    fn below(bound: f64, maxima: &[f64]) -> Option<(f64, f64, f64)> {
        let logs: Vec<f64> = maxima.iter().map(|x| (bound - x).ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        // Scaled by the mean, so that no power overflows.
        let weighted = |shape: f64| {
            let powers = logs.iter().map(|log| ((log - mean) * shape).exp());
            let (sum, with_log) = powers.zip(&logs).fold((0.0, 0.0), |(s, l), (p, log)| (s + p, l + p * log));
            (sum, with_log / sum - 1.0 / shape - mean)
        };
        let (mut low, mut high) = (1e-3, 1e3);
        for _ in 0..100 {
            let middle = f64::sqrt(low * high);
            if weighted(middle).1 < 0.0 { low = middle } else { high = middle }
        }
        let shape = f64::sqrt(low * high);
        let scale = (mean + (weighted(shape).0 / count).ln() / shape).exp();
        let likelihood = count * (shape.ln() - shape * scale.ln() - 1.0) + (shape - 1.0) * mean * count;
        likelihood.is_finite().then_some((likelihood, scale, shape))
    }

    /// P(X < x).
    pub fn below_or_at(&self, x: f64) -> f64 {
        if x >= self.bound { 1.0 } else { (-((self.bound - x) / self.scale).powf(self.shape)).exp() }
    }

    fn distance_to(&self, samples: &[f64]) -> f64 {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let gap = |(index, &x): (usize, &f64)| {
            let expected = self.below_or_at(x);
            (expected - index as f64 / count).max((index as f64 + 1.0) / count - expected)
        };
        sorted.iter().enumerate().map(gap).fold(0.0, f64::max)
    }
}

/// The share of samples of this size farther than `distance` from their own distribution (Kolmogorov 1933,
/// with Stephens' correction for small samples).
fn kolmogorov(distance: f64, count: usize) -> f64 {
    let root = (count as f64).sqrt();
    let x = distance * (root + 0.12 + 0.11 / root);
    if x < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k * k) * x * x).exp()
    };
    (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quantiles of a reverse Weibull distribution.
    fn quantiles(bound: f64, scale: f64, shape: f64, count: usize) -> Vec<f64> {
        let at = |index: usize| (index as f64 + 0.5) / count as f64;
        (0..count).map(|index| bound - scale * (-at(index).ln()).powf(1.0 / shape)).collect()
    }

    #[test]
    fn a_known_distribution_is_found_again() {
        for (bound, scale, shape) in [(10.0, 2.0, 3.0), (1e4, 300.0, 2.0), (0.5, 0.01, 5.0)] {
            let fit = ReverseWeibull::fit(&quantiles(bound, scale, shape, 400)).unwrap();
            assert!((fit.bound - bound).abs() < 0.15 * scale, "{fit:?}");
            assert!((fit.shape - shape).abs() < 0.2 * shape, "{fit:?}");
            assert!(fit.distance < 0.01 && fit.p_value > 0.99, "{fit:?}");
        }
    }

    #[test]
    fn what_is_far_from_any_is_a_bad_fit() {
        let two_heaps: Vec<f64> =
            (0..200).map(|i| if i % 2 == 0 { 1.0 } else { 2.0 } + 1e-3 * f64::from(i)).collect();
        assert!(ReverseWeibull::fit(&two_heaps).unwrap().p_value < 1e-3);
    }

    #[test]
    fn too_little_is_no_fit() {
        assert_eq!(ReverseWeibull::fit(&[1.0; 20]), None);
        assert_eq!(ReverseWeibull::fit(&[1.0, 2.0, 3.0]), None);
        assert_eq!(ReverseWeibull::fit(&[f64::NAN; 20]), None);
    }

    #[test]
    fn the_kolmogorov_distribution_has_its_published_quantiles() {
        // 1.36 / sqrt(n) at 5% and 1.63 / sqrt(n) at 1%, for large n.
        for (quantile, p) in [(1.358, 0.05), (1.628, 0.01)] {
            let n = 1_000_000;
            assert!((kolmogorov(quantile / 1000.0, n) - p).abs() < 1e-3);
        }
    }
}
