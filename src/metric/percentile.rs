//! What samples say of the percentiles of where they come from, without a word on its shape: order statistics
//! and the binomial distribution (Clopper and Pearson 1934).
//!
//! Deliberately absent: estimates; only bounds that hold with a stated confidence.

/// P(X <= x) of a standard normal X, by the series 1/2 + phi(x) (x + x^3/3 + x^5/(3 5) + ...): within 1e-15 on
/// [-6, 6], and 0 or 1 outside.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut sum, mut term, mut odd) = (0.0, x, 1.0);
    while sum + term != sum {
        sum += term;
        odd += 2.0;
        term *= x * x / odd;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// P(X <= k) of a binomial X of `n` tries that each succeed with probability `p`.
fn binomial_cdf(k: usize, n: usize, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    let odds = p.ln() - (-p).ln_1p();
    let mut logarithm = n as f64 * (-p).ln_1p();
    let mut sum = logarithm.exp();
    for successes in 1..=k {
        logarithm += ((n - successes + 1) as f64 / successes as f64).ln() + odds;
        sum += logarithm.exp();
    }
    sum.min(1.0)
}

/// Which of `n` samples in rising order, counted from 1, is at most the `p`-percentile in all but a share
/// `risk` of cases, and is the largest that is; `None` where `n` samples are too few to have one.
#[must_use]
pub fn rank_below(n: usize, p: f64, risk: f64) -> Option<usize> {
    // The k-th is above the percentile where fewer than k samples are at or below it.
    let holds = |k: usize| binomial_cdf(k - 1, n, p) <= risk;
    let (mut below, mut above) = (0, n + 1);
    while above - below > 1 {
        let middle = below.midpoint(above);
        if holds(middle) { below = middle } else { above = middle }
    }
    (below > 0).then_some(below)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_normal_distribution_has_its_tabulated_values() {
        let table = [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (1.96, 0.975_002_104_851_779_5),
            (-1.0, 0.158_655_253_931_457_05),
            (-2.0, 0.022_750_131_948_179_21),
            (-4.0, 3.167_124_183_311_992e-5),
            (5.0, 0.999_999_713_348_428),
        ];
        for (x, expected) in table {
            assert!((normal_cdf(x) - expected).abs() < 1e-14, "{x}: {}", normal_cdf(x));
        }
        assert_eq!((normal_cdf(-40.0), normal_cdf(40.0)), (0.0, 1.0));
    }

    #[test]
    fn the_binomial_distribution_has_its_tabulated_values() {
        let table =
            [(2, 10, 0.5, 56.0 / 1024.0), (0, 5, 0.5, 1.0 / 32.0), (1, 3, 0.1, 0.972), (3, 3, 0.1, 1.0)];
        for (k, n, p, expected) in table {
            assert!((binomial_cdf(k, n, p) - expected).abs() < 1e-12);
        }
        // Where 0.5^n underflows, too: symmetric about the middle.
        assert!((binomial_cdf(4999, 9999, 0.5) - 0.5).abs() < 1e-9);
    }

    /// The textbook's intervals of the median: ranks (2, 9) of 10, (6, 15) of 20, (40, 61) of 100.
    #[test]
    fn ranks_of_medians_are_the_tables() {
        for (n, rank) in [(6, 1), (10, 2), (20, 6), (100, 40)] {
            assert_eq!(rank_below(n, 0.5, 0.025), Some(rank), "{n}");
        }
        assert_eq!(rank_below(5, 0.5, 0.025), None);
        assert_eq!(rank_below(1000, 0.001, 0.001), None);
    }

    /// Of many samples of a known distribution, the bound lies above the percentile about as often as it may.
    #[test]
    fn a_bound_fails_no_more_often_than_its_risk() {
        const TRIALS: usize = 4000;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for (n, p, risk) in [(200, 0.3, 0.05), (500, 0.022_750_131_948, 0.02), (100, 0.5, 0.1)] {
            let rank = rank_below(n, p, risk).unwrap();
            let mut failed = 0;
            for _ in 0..TRIALS {
                // Uniform on [0, 1): the p-percentile is p.
                let mut samples: Vec<f64> = (0..n).map(|_| rng.random()).collect();
                samples.sort_by(f64::total_cmp);
                failed += usize::from(samples[rank - 1] > p);
            }
            let share = failed as f64 / TRIALS as f64;
            let slack = 3.0 * (risk * (1.0 - risk) / TRIALS as f64).sqrt();
            assert!(share <= risk + slack && share > 0.25 * risk, "{share} of {risk}");
        }
    }
}
