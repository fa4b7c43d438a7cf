//! Values of any element type, carried as float32.
//!
//! Runtimes here take and give float32. A type that float32 holds exactly is carried as one array; a wider
//! one (int32, int64, float64) as the nearest float32 and what that leaves, which together hold 48 bits.

use ndarray::{ArrayD, IxDyn};

use crate::onnx::{DType, Tensor};

/// A tensor that a node read or wrote.
#[derive(Clone, Debug)]
pub struct Value {
    /// The element type that the graph has it in.
    pub dtype: DType,
    /// The elements, rounded to float32.
    pub high: ArrayD<f32>,
    /// What the rounding left, of a type wider than float32.
    pub low: Option<ArrayD<f32>>,
}

impl Value {
    /// A value of a type that float32 holds.
    pub fn new(dtype: DType, high: ArrayD<f32>) -> Self {
        Self { dtype, high, low: None }
    }

    /// A tensor; `None` for a type that is not carried.
    pub fn of(tensor: &Tensor) -> Option<Self> {
        use crate::rewrite::Array;
        let dtype = tensor.dtype();
        let elements: Vec<f64> = match Array::of(tensor).filter(|_| is_carried(dtype))? {
            Array::Int(_, values) => values.iter().map(|&value| value as f64).collect(),
            Array::Float(_, values) => values.iter().copied().collect(),
            Array::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
        };
        let array = |elements: Vec<f32>| ArrayD::from_shape_vec(IxDyn(tensor.shape()), elements).ok();
        let high = array(elements.iter().map(|&value| value as f32).collect())?;
        let left = |&value: &f64| (value - f64::from(value as f32)) as f32;
        // Nothing is left of what is no finite number.
        let low = elements.iter().map(left).map(|left| if left.is_finite() { left } else { 0.0 }).collect();
        Some(Self { dtype, high, low: if is_wide(dtype) { Some(array(low)?) } else { None } })
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        self.high.shape()
    }

    /// The elements, in the order of the shape.
    pub fn elements(&self) -> impl Iterator<Item = f64> + '_ {
        let low = self.low.iter().flat_map(|low| low.iter().copied()).chain(std::iter::repeat(0.0));
        self.high.iter().zip(low).map(|(&high, low)| {
            // What a value that is no finite number leaves is no number.
            if high.is_finite() && low.is_finite() {
                f64::from(high) + f64::from(low)
            } else {
                f64::from(high)
            }
        })
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        4 * (self.high.len() + self.low.as_ref().map_or(0, ArrayD::len))
    }

    /// As a tensor of its own type, to stand in a graph; `None` for a type that is not computed with here.
    pub fn tensor(&self) -> Option<Tensor> {
        use crate::rewrite::Array;
        let values = ArrayD::from_shape_vec(IxDyn(self.shape()), self.elements().collect()).ok()?;
        Array::Float(DType::F64, values).cast(self.dtype)?.tensor()
    }
}

/// Whether float32 leaves out digits of a type.
pub fn is_wide(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::I64 | DType::I32 | DType::U32 | DType::U64)
}

/// Whether a value of this type can be carried at all.
pub fn is_carried(dtype: DType) -> bool {
    let narrow =
        [DType::F32, DType::F16, DType::BF16, DType::U8, DType::I8, DType::U16, DType::I16, DType::Bool];
    is_wide(dtype) || narrow.contains(&dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_integers_keep_their_digits() {
        let high = ArrayD::from_elem(IxDyn(&[1]), 16_777_216.0_f32);
        let value = Value { dtype: DType::I64, high, low: Some(ArrayD::from_elem(IxDyn(&[1]), 1.0)) };
        assert_eq!(value.elements().collect::<Vec<_>>(), [16_777_217.0]);
        assert_eq!(value.tensor().unwrap().as_i64().unwrap(), [16_777_217]);
    }

    #[test]
    fn what_is_not_finite_stays_what_it_is() {
        let high = ArrayD::from_elem(IxDyn(&[1]), f32::INFINITY);
        let value = Value { dtype: DType::F64, high, low: Some(ArrayD::from_elem(IxDyn(&[1]), f32::NAN)) };
        assert_eq!(value.elements().collect::<Vec<_>>(), [f64::INFINITY]);
    }
}
