//! What a gradient is held to, by the arithmetic that the model's own outputs are computed in.
//!
//! A difference says something only where it is larger than the arithmetic's rounding: the steps of a test
//! follow from the resolution. Deliberately absent: allowances of the reach test, which has none.

use crate::oracle::Oracle;

/// What a gradient is held to near a point.
pub struct Standard {
    /// Steps of the central difference, on [0, 1], tried in this order.
    pub steps: [f32; 4],
    /// The largest relative error of the best of these differences.
    pub slope: f64,
    /// The largest error of a slope along random signs, as a share of the gradient's length: that is
    /// how large such a slope usually is.
    pub random: f64,
    /// The largest relative distance between two runtimes' gradients. Each rounds some inputs of a Relu
    /// to another side of its kink: 2e-2 was met on smooth images, where the gradient is small.
    pub agreement: f64,
    /// Whether differences are taken along the gradient's sign itself, and not half of it: where little but
    /// the steepest slope rises above the rounding.
    pub steepest: bool,
}

/// For a derivative in float32. Small steps come first: one that carries Relus over their kink is off, by 30%
/// at 3e-3 on CARN, where 3e-5 is off by 0.2%. Float32 hardly disturbs them, as the outputs' rounding
/// errors average out. Larger ones serve models that round more. On few pixels single kinks weigh: on 16 x 16 pixels
/// of Set5 the best difference of a perceptual network (NomosUni) was off by 5.03%.
pub const SINGLE: Standard =
    Standard { steps: [3e-5, 1e-4, 3e-4, 1e-3], slope: 0.1, random: 0.15, agreement: 0.05, steepest: false };

/// For a derivative whose model computes in float16, whose neighbours lie 1/2048 apart near 1: an image moved
/// by less is the same image, and outputs are rounded as coarsely. Steps of half a level (4 spacings) and
/// more are resolved. Along random signs rounding still shows.
const HALF: Standard = Standard {
    steps: [5e-4, 2.5e-4, 1e-3, 2e-3],
    slope: 0.15,
    random: f64::INFINITY,
    agreement: 0.05,
    steepest: false,
};

/// For the gradient of a quantised model, which takes its roundings for what they round: an estimate
/// of where the steps lead, not a derivative. It must be right about what steps of about one level
/// along it do: on 28 quantised networks it promised 0.6 to 1.8 times the rise. Along random signs
/// there is mostly rounding to be seen, so nothing is asked of it there. Runtimes that round one value
/// in another way were 0.53 apart on one of them.
const STRAIGHT_THROUGH: Standard = Standard {
    steps: [1.0 / 255.0, 0.5 / 255.0, 2.0 / 255.0, 4.0 / 255.0],
    slope: 0.6,
    random: f64::INFINITY,
    agreement: 0.7,
    steepest: true,
};

/// The standard for a model on its runtime.
pub fn standard(oracle: &Oracle) -> &'static Standard {
    if oracle.is_quantised() {
        &STRAIGHT_THROUGH
    } else if oracle.computes_in_half() {
        &HALF
    } else {
        &SINGLE
    }
}
