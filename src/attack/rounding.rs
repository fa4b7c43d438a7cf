//! float32 values rounded so that a bound holds exactly, not only up to rounding.

/// sgn, with sgn(0) = 0.
pub fn sign(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

/// The least float32 that is at most `radius` below. The difference of two float32 in [0, 1] is
/// exact in f64 wherever it could decide.
pub(super) fn lowest(x0: f32, radius: f64) -> f32 {
    let low = (f64::from(x0) - radius) as f32;
    if f64::from(x0) - f64::from(low) > radius { low.next_up() } else { low }
}

pub(super) fn highest(x0: f32, radius: f64) -> f32 {
    let high = (f64::from(x0) + radius) as f32;
    if f64::from(high) - f64::from(x0) > radius { high.next_down() } else { high }
}

/// The float32 nearest to x0 + `by` that is no farther from x0.
pub(super) fn towards(x0: f32, by: f64) -> f32 {
    let x = (f64::from(x0) + by) as f32;
    if (f64::from(x) - f64::from(x0)).abs() <= by.abs() {
        x
    } else if by > 0.0 {
        x.next_down()
    } else {
        x.next_up()
    }
}
