//! The arithmetic of the CPU kernel: the few functions it needs, written without branches or calls
//! in f32 so that the compiler turns loops over them into vector code. f64 takes the standard
//! library's: it serves tests and is not meant to be fast.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::torch::Element;

/// A float the kernel computes with. `FUSED` says whether the code is compiled for a processor with
/// fused multiply-add; without it the fused form would be a slow library call.
pub(super) trait Real:
    Element
    + Copy
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    const ONE: Self;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    /// self * factor + term.
    fn times_plus<const FUSED: bool>(self, factor: Self, term: Self) -> Self;
    fn tanh<const FUSED: bool>(self) -> Self;
    /// 1 / (1 + e^-self).
    fn sigmoid<const FUSED: bool>(self) -> Self;
    /// log2 of a normal positive number; NaN of NaN.
    fn log2<const FUSED: bool>(self) -> Self;
}

impl Real for f64 {
    const ONE: Self = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn times_plus<const FUSED: bool>(self, factor: Self, term: Self) -> Self {
        if FUSED { self.mul_add(factor, term) } else { self * factor + term }
    }

    #[inline(always)]
    fn tanh<const FUSED: bool>(self) -> Self {
        f64::tanh(self)
    }

    #[inline(always)]
    fn sigmoid<const FUSED: bool>(self) -> Self {
        1.0 / (1.0 + (-self).exp())
    }

    #[inline(always)]
    fn log2<const FUSED: bool>(self) -> Self {
        f64::log2(self)
    }
}

impl Real for f32 {
    const ONE: Self = 1.0;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn times_plus<const FUSED: bool>(self, factor: Self, term: Self) -> Self {
        if FUSED { self.mul_add(factor, term) } else { self * factor + term }
    }

    /// tanh |x| = -m / (m + 2) with m = e^(-2|x|) - 1: right to a few units in the last place at
    /// both ends, since m is computed without cancellation.
    #[inline(always)]
    fn tanh<const FUSED: bool>(self) -> Self {
        let y = -2.0 * self.abs();
        // Beyond -40 the answer is 1 in f32. Written so that NaN passes through.
        let y = if y < -40.0 { -40.0 } else { y };
        let (power, rest) = split_exp::<FUSED>(y);
        let m = power.times_plus::<FUSED>(rest, power - 1.0);
        (-m / (m + 2.0)).copysign(self)
    }

    #[inline(always)]
    fn sigmoid<const FUSED: bool>(self) -> Self {
        // e^87 is the last that fits; sigmoid(-87) is 1.6e-38.
        let y = -self;
        let y = if y > 87.0 { 87.0 } else { y };
        let y = if y < -87.0 { -87.0 } else { y };
        let (power, rest) = split_exp::<FUSED>(y);
        1.0 / (1.0 + power.times_plus::<FUSED>(rest, power))
    }

    /// The exponent plus log2 of a mantissa m in [sqrt(1/2), sqrt(2)), the latter by the series
    /// 2/ln 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1) / (m + 1), |s| < 0.172.
    #[inline(always)]
    fn log2<const FUSED: bool>(self) -> Self {
        const SQRT_HALF: u32 = std::f32::consts::FRAC_1_SQRT_2.to_bits();
        let shifted = self.to_bits().wrapping_sub(SQRT_HALF);
        let exponent = (shifted as i32) >> 23;
        let mantissa = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF));
        let s = (mantissa - 1.0) / (mantissa + 1.0);
        let s2 = s * s;
        let series = (1.0f32 / 9.0).times_plus::<FUSED>(s2, 1.0 / 7.0);
        let series = series.times_plus::<FUSED>(s2, 1.0 / 5.0);
        let series = series.times_plus::<FUSED>(s2, 1.0 / 3.0);
        let series = series.times_plus::<FUSED>(s2, 1.0);
        let two_over_ln2 = 2.0 * std::f32::consts::LOG2_E;
        // The last term is 0, or NaN where the bits above would have hidden it.
        (s * two_over_ln2).times_plus::<FUSED>(series, exponent as f32) + self * 0.0
    }
}

/// e^y as (2^n, e^r - 1) with |r| <= ln(2)/2, so that e^y = 2^n * second + 2^n, for |y| <= 87.
#[inline(always)]
fn split_exp<const FUSED: bool>(y: f32) -> (f32, f32) {
    // Adding 1.5 * 2^23 leaves a float no room for a fraction: it rounds to an integer, which can
    // then be read off the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts; the first has few bits, so that n times it is exact.
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = (std::f64::consts::LN_2 - LN2_HIGH as f64) as f32;
    let rounded = y.times_plus::<FUSED>(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = (-n).times_plus::<FUSED>(LN2_HIGH, y);
    let r = (-n).times_plus::<FUSED>(LN2_LOW, r);
    let series = (1.0f32 / 5040.0).times_plus::<FUSED>(r, 1.0 / 720.0);
    let series = series.times_plus::<FUSED>(r, 1.0 / 120.0);
    let series = series.times_plus::<FUSED>(r, 1.0 / 24.0);
    let series = series.times_plus::<FUSED>(r, 1.0 / 6.0);
    let series = series.times_plus::<FUSED>(r, 0.5);
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    (power, (series * r).times_plus::<FUSED>(r, r))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest distance over `inputs`, in units of the last place of the true value.
    fn worst(inputs: &[f32], ours: fn(f32) -> f32, truth: fn(f64) -> f64) -> f64 {
        let distance = |&x: &f32| {
            let exact = truth(f64::from(x));
            let unit = f64::from(((exact as f32).abs()).next_up()) - exact.abs();
            let unit = unit.max(f64::from(f32::MIN_POSITIVE) * f64::from(f32::EPSILON));
            (f64::from(ours(x)) - exact).abs() / unit.max(exact.abs() * f64::from(f32::EPSILON) / 2.0)
        };
        inputs.iter().map(distance).fold(0.0, f64::max)
    }

    fn both_signs(largest: f32) -> Vec<f32> {
        let steps = 200_000;
        let uniform = (-steps..=steps).map(|i| largest * i as f32 / steps as f32);
        let tiny = (0..100).flat_map(|i| [1.5f32.powi(-i), -1.5f32.powi(-i)]);
        uniform.chain(tiny).collect()
    }

    #[test]
    fn tanh_is_right_to_a_few_units_in_the_last_place() {
        let inputs = both_signs(20.0);
        for ours in [<f32 as Real>::tanh::<true>, <f32 as Real>::tanh::<false>] {
            let ulps = worst(&inputs, ours, f64::tanh);
            assert!(ulps <= 4.0, "{ulps}");
        }
        assert_eq!(<f32 as Real>::tanh::<true>(1e30), 1.0);
        assert_eq!(<f32 as Real>::tanh::<true>(f32::NEG_INFINITY), -1.0);
        assert_eq!(<f32 as Real>::tanh::<true>(-0.0).to_bits(), (-0.0f32).to_bits());
    }

    #[test]
    fn sigmoid_is_right_to_a_few_units_in_the_last_place() {
        let inputs = both_signs(80.0);
        for ours in [<f32 as Real>::sigmoid::<true>, <f32 as Real>::sigmoid::<false>] {
            let ulps = worst(&inputs, ours, |x| 1.0 / (1.0 + (-x).exp()));
            assert!(ulps <= 4.0, "{ulps}");
        }
        assert_eq!(<f32 as Real>::sigmoid::<true>(1e30), 1.0);
        assert!(<f32 as Real>::sigmoid::<true>(-1e30) < 2e-38);
    }

    #[test]
    fn log2_is_right_to_1e_7_bits_or_a_few_units() {
        let inputs: Vec<f32> = (0..400_000).map(|i| (i as f32 * -5e-5).exp2()).collect();
        for x in inputs {
            let error = (f64::from(Real::log2::<true>(x)) - f64::from(x).log2()).abs();
            assert!(error <= 1e-7 + f64::from(x).log2().abs() * 2e-7, "{x}: {error}");
        }
        assert_eq!(Real::log2::<false>(1.0f32), 0.0);
    }

    #[test]
    fn nan_passes_through_everything() {
        assert!(<f32 as Real>::tanh::<true>(f32::NAN).is_nan());
        assert!(<f32 as Real>::sigmoid::<true>(f32::NAN).is_nan());
        assert!(<f32 as Real>::log2::<true>(f32::NAN).is_nan());
    }
}
