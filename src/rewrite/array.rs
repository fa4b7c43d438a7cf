//! Constant tensors as arrays to compute with, for folding.
//!
//! Integers are computed in i64 and floats in f64, then rounded to the tensor's own type; one
//! rounding of +, -, *, / and sqrt in f64 gives what f32 arithmetic gives. Speed does not matter
//! here: what is folded is shape arithmetic and weights.

use half::f16;
use ndarray::{ArrayD, IxDyn};

use crate::onnx::{DType, Data, Tensor};

/// A constant array.
#[derive(Clone, Debug)]
pub enum Array {
    /// Any integer type.
    Int(DType, ArrayD<i64>),
    /// Any float type.
    Float(DType, ArrayD<f64>),
    /// Truth values.
    Bool(ArrayD<bool>),
}

impl Array {
    /// The array of a tensor; `None` for strings and packed types.
    pub fn of(tensor: &Tensor) -> Option<Self> {
        let dtype = tensor.dtype();
        let ints = |values: Vec<i64>| shaped(tensor, values).map(|array| Array::Int(dtype, array));
        let floats = |values: Vec<f64>| shaped(tensor, values).map(|array| Array::Float(dtype, array));
        match tensor.data() {
            Data::I8(v) => ints(v.iter().map(|&v| v.into()).collect()),
            Data::I16(v) => ints(v.iter().map(|&v| v.into()).collect()),
            Data::I32(v) => ints(v.iter().map(|&v| v.into()).collect()),
            Data::I64(v) => ints(v.to_vec()),
            Data::U8(v) => ints(v.iter().map(|&v| v.into()).collect()),
            Data::U16(v) => ints(v.iter().map(|&v| v.into()).collect()),
            Data::U32(v) => ints(v.iter().map(|&v| v.into()).collect()),
            Data::U64(v) => ints(v.iter().map(|&v| i64::try_from(v).ok()).collect::<Option<_>>()?),
            Data::F16(v) => floats(v.iter().map(|&v| v.into()).collect()),
            Data::BF16(v) => floats(v.iter().map(|&v| v.into()).collect()),
            Data::F32(v) => floats(v.iter().map(|&v| v.into()).collect()),
            Data::F64(v) => floats(v.to_vec()),
            Data::Bool(v) => shaped(tensor, v.to_vec()).map(Array::Bool),
            Data::String(_) | Data::Packed(..) => None,
        }
    }

    /// The tensor of the array, its elements rounded to (floats) or wrapped into (integers) its
    /// type, as a cast does.
    pub fn tensor(&self) -> Option<Tensor> {
        let shape = self.shape().to_vec();
        let tensor = match self {
            Array::Bool(array) => Tensor::bool(&shape, array.iter().copied().collect::<Vec<_>>()),
            Array::Int(dtype, array) => {
                let v = array.iter().copied();
                match dtype {
                    DType::I8 => Tensor::i8(&shape, v.map(|v| v as i8).collect::<Vec<_>>()),
                    DType::I16 => Tensor::i16(&shape, v.map(|v| v as i16).collect::<Vec<_>>()),
                    DType::I32 => Tensor::i32(&shape, v.map(|v| v as i32).collect::<Vec<_>>()),
                    DType::U8 => Tensor::u8(&shape, v.map(|v| v as u8).collect::<Vec<_>>()),
                    DType::U16 => Tensor::u16(&shape, v.map(|v| v as u16).collect::<Vec<_>>()),
                    DType::U32 => Tensor::u32(&shape, v.map(|v| v as u32).collect::<Vec<_>>()),
                    DType::U64 => Tensor::u64(&shape, v.map(|v| v as u64).collect::<Vec<_>>()),
                    _ => Tensor::i64(&shape, v.collect::<Vec<_>>()),
                }
            }
            Array::Float(dtype, array) => {
                let v = array.iter().copied();
                match dtype {
                    DType::F16 => Tensor::f16(&shape, v.map(f16::from_f64).collect::<Vec<_>>()),
                    DType::BF16 => Tensor::bf16(&shape, v.map(half::bf16::from_f64).collect::<Vec<_>>()),
                    DType::F64 => Tensor::f64(&shape, v.collect::<Vec<_>>()),
                    _ => Tensor::f32(&shape, v.map(|v| v as f32).collect::<Vec<_>>()),
                }
            }
        };
        tensor.ok()
    }

    /// The sizes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Array::Int(_, array) => array.shape(),
            Array::Float(_, array) => array.shape(),
            Array::Bool(array) => array.shape(),
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Array::Int(dtype, _) | Array::Float(dtype, _) => *dtype,
            Array::Bool(_) => DType::Bool,
        }
    }

    /// The same elements as floats.
    pub fn to_float(&self) -> ArrayD<f64> {
        match self {
            Array::Int(_, array) => array.mapv(|v| v as f64),
            Array::Float(_, array) => array.clone(),
            Array::Bool(array) => array.mapv(|v| f64::from(u8::from(v))),
        }
    }

    /// The same elements in another type, as ONNX's Cast converts them.
    pub fn cast(&self, to: DType) -> Option<Self> {
        let ints = || match self {
            Array::Int(_, array) => array.clone(),
            Array::Float(_, array) => array.mapv(|v| v.trunc() as i64),
            Array::Bool(array) => array.mapv(i64::from),
        };
        match to {
            DType::Bool => Some(Array::Bool(match self {
                Array::Bool(array) => array.clone(),
                Array::Int(_, array) => array.mapv(|v| v != 0),
                Array::Float(_, array) => array.mapv(|v| v != 0.0),
            })),
            dtype if dtype.is_float() => Some(Array::Float(dtype, self.to_float())),
            DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32
            | DType::U64 => Some(Array::Int(to, ints())),
            _ => None,
        }
    }
}

fn shaped<T>(tensor: &Tensor, values: Vec<T>) -> Option<ArrayD<T>> {
    ArrayD::from_shape_vec(IxDyn(tensor.shape()), values).ok()
}

/// Applies the same code to whichever element type an array has, and gives it the same type back.
macro_rules! same_type {
    ($array:expr, $inner:ident => $body:expr) => {
        match $array {
            $crate::rewrite::Array::Int(dtype, $inner) => $crate::rewrite::Array::Int(*dtype, $body),
            $crate::rewrite::Array::Float(dtype, $inner) => $crate::rewrite::Array::Float(*dtype, $body),
            $crate::rewrite::Array::Bool($inner) => $crate::rewrite::Array::Bool($body),
        }
    };
}

pub(super) use same_type;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_survives_the_way_there_and_back() {
        let tensors = [
            Tensor::f32(&[2], vec![0.1, -3.5]).unwrap(),
            Tensor::ints(&[1, -2, i64::MAX]),
            Tensor::bool(&[1, 1], vec![true]).unwrap(),
            Tensor::u8(&[2], vec![0, 255]).unwrap(),
            Tensor::f16(&[1], vec![f16::from_f32(0.1)]).unwrap(),
        ];
        for tensor in tensors {
            assert_eq!(Array::of(&tensor).unwrap().tensor().unwrap(), tensor);
        }
    }

    #[test]
    fn casts_truncate_and_wrap() {
        let floats = Array::of(&Tensor::f32(&[3], vec![1.9, -1.9, 300.0]).unwrap()).unwrap();
        let cast = |to| floats.cast(to).unwrap().tensor().unwrap();
        assert_eq!(cast(DType::I64).as_i64().unwrap(), [1, -1, 300]);
        assert_eq!(cast(DType::U8).as_u8().unwrap()[2], 44);
        assert_eq!(cast(DType::Bool).as_bool().unwrap(), [true, true, true]);
    }
}
