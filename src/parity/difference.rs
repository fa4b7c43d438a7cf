//! How two values differ: a pure function of their elements.
//!
//! An element that is NaN on one side is a difference whatever the tolerance. NaN on both sides, and the same
//! infinity on both, is none; both are counted, so that a report can say so.

use serde::Serialize;

use super::value::Value;

/// How a value differs from its reference.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// The shapes, where they differ; nothing else is compared then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shapes: Option<[Vec<usize>; 2]>,
    /// The largest |a - b| of elements that are finite on both sides.
    pub max: f64,
    /// The mean of |a - b| over them.
    pub mean: f64,
    /// `max` as a share of the reference's largest absolute element.
    pub relative: f64,
    /// The index of the largest difference, or of the first element that is no number on one side.
    pub at: Vec<usize>,
    /// The most float32 steps between two elements.
    pub ulp: u64,
    /// 10 log10 of the reference's squared range over the mean squared error, in dB; `None` where they are equal.
    pub psnr: Option<f64>,
    /// The cosine of the angle between the two; 1 where both are zero.
    pub cosine: f64,
    /// Elements that are NaN or infinite on the reference's side alone, or are other infinities.
    pub not_finite_in_reference: usize,
    /// The same on the other side alone.
    pub not_finite_in_candidate: usize,
    /// Elements that are the same NaN or infinity on both sides.
    pub not_finite_in_both: usize,
    /// The largest absolute element of the reference.
    pub scale: f64,
    /// The reference's least and largest finite element.
    pub range: [f64; 2],
}

/// Sums that a walk over the elements adds up.
#[derive(Default)]
struct Sums {
    absolute: f64,
    squared: f64,
    products: [f64; 3],
    finite: usize,
    worst: Option<usize>,
    odd: Option<usize>,
    range: Option<[f64; 2]>,
}

impl Difference {
    /// Compares a value with its reference.
    pub fn of(reference: &Value, candidate: &Value) -> Self {
        if reference.shape() != candidate.shape() {
            let shapes = [reference.shape().to_vec(), candidate.shape().to_vec()];
            return Self {
                shapes: Some(shapes),
                max: f64::INFINITY,
                relative: f64::INFINITY,
                ..Self::default()
            };
        }
        let (mut found, mut sums) = (Self::default(), Sums::default());
        for (index, (a, b)) in reference.elements().zip(candidate.elements()).enumerate() {
            found.add(index, a, b, &mut sums);
        }
        found.conclude(&sums, reference.shape());
        found
    }

    fn add(&mut self, index: usize, a: f64, b: f64, sums: &mut Sums) {
        match (a.is_finite(), b.is_finite()) {
            (true, true) => {}
            (false, false) if a == b || a.is_nan() && b.is_nan() => {
                self.not_finite_in_both += 1;
                return;
            }
            (a_is, _) => {
                let side =
                    if a_is { &mut self.not_finite_in_candidate } else { &mut self.not_finite_in_reference };
                *side += 1;
                sums.odd.get_or_insert(index);
                return;
            }
        }
        let off = (a - b).abs();
        if off > self.max {
            (self.max, sums.worst) = (off, Some(index));
        }
        self.ulp = self.ulp.max(steps_between(a as f32, b as f32));
        self.scale = self.scale.max(a.abs());
        sums.absolute += off;
        sums.squared += off * off;
        let products = [a * a, b * b, a * b];
        sums.products.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
        sums.range = Some(sums.range.map_or([a, a], |[low, high]| [low.min(a), high.max(a)]));
        sums.finite += 1;
    }

    fn conclude(&mut self, sums: &Sums, shape: &[usize]) {
        let count = sums.finite.max(1) as f64;
        self.mean = sums.absolute / count;
        // A reference of zeros has no scale; any difference from it is beyond all measure.
        self.relative = if self.max == 0.0 { 0.0 } else { self.max / self.scale };
        self.at = place(sums.odd.or(sums.worst).unwrap_or(0), shape);
        self.range = sums.range.unwrap_or_default();
        let [low, high] = self.range;
        let range = if high > low { high - low } else { self.scale };
        self.psnr = (sums.squared > 0.0).then(|| 10.0 * (range * range * count / sums.squared).log10());
        let [aa, bb, ab] = sums.products;
        self.cosine = match (aa > 0.0, bb > 0.0) {
            (true, true) => ab / (aa * bb).sqrt(),
            (false, false) => 1.0,
            _ => 0.0,
        };
    }

    /// Whether an element is no finite number on one side alone.
    pub fn is_one_sided(&self) -> bool {
        self.not_finite_in_reference + self.not_finite_in_candidate > 0
    }
}

/// The index of an element, from its place in row-major order.
fn place(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let here = index % size.max(1);
            index /= size.max(1);
            here
        })
        .collect();
    at.reverse();
    at
}

/// Steps from one float32 to another, over zero where their signs differ.
fn steps_between(a: f32, b: f32) -> u64 {
    let ordered = |value: f32| {
        let bits = i64::from(value.to_bits() as i32);
        if bits < 0 { i64::from(i32::MIN) - bits } else { bits }
    };
    ordered(a).abs_diff(ordered(b))
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};

    use super::*;
    use crate::onnx::DType;

    fn value(elements: &[f32]) -> Value {
        Value::new(DType::F32, ArrayD::from_shape_vec(IxDyn(&[elements.len()]), elements.to_vec()).unwrap())
    }

    fn of(a: &[f32], b: &[f32]) -> Difference {
        Difference::of(&value(a), &value(b))
    }

    #[test]
    fn errors_are_measured_and_placed() {
        let found = of(&[1.0, -4.0, 2.0], &[1.0, -4.5, 2.25]);
        assert_eq!((found.max, found.mean, found.relative), (0.5, 0.25, 0.125));
        assert_eq!((found.at.as_slice(), found.scale), (&[1][..], 4.0));
        let squared: f64 = (0.25 + 0.0625) / 3.0;
        assert!((found.psnr.unwrap() - 10.0 * (36.0 / squared).log10()).abs() < 1e-9);
        assert_eq!(of(&[1.0, 2.0], &[1.0, 2.0]).psnr, None);
        assert_eq!(place(7, &[2, 3, 2]), [1, 0, 1]);
    }

    #[test]
    fn a_nan_on_one_side_is_a_difference_and_on_both_is_counted() {
        let found = of(&[f32::NAN, 1.0, 2.0], &[f32::NAN, f32::NAN, 2.0]);
        assert_eq!((found.not_finite_in_both, found.not_finite_in_candidate), (1, 1));
        assert!(found.is_one_sided() && found.at == [1]);
        let infinities = of(&[f32::INFINITY, f32::INFINITY], &[f32::INFINITY, f32::NEG_INFINITY]);
        assert_eq!((infinities.not_finite_in_both, infinities.not_finite_in_reference), (1, 1));
    }

    #[test]
    fn shapes_that_differ_are_said() {
        let found = of(&[1.0], &[1.0, 2.0]);
        assert_eq!(found.shapes, Some([vec![1], vec![2]]));
    }

    #[test]
    fn steps_are_counted_across_zero() {
        assert_eq!(steps_between(1.0, 1.0 + f32::EPSILON), 1);
        assert_eq!(steps_between(0.0, -0.0), 0);
        assert_eq!(steps_between(f32::from_bits(1), -f32::from_bits(1)), 2);
    }
}
