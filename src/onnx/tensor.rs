//! Tensors as an ONNX file holds them: a shape and the elements of one data type.
//!
//! No arithmetic happens here, and no type is converted behind the caller's back.

use std::sync::Arc;

use half::{bf16, f16};

/// An ONNX element type. The numbers are those of `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[allow(missing_docs)] // the names are the format's own
pub enum DType {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    U16 = 4,
    I16 = 5,
    I32 = 6,
    I64 = 7,
    String = 8,
    Bool = 9,
    F16 = 10,
    F64 = 11,
    U32 = 12,
    U64 = 13,
    Complex64 = 14,
    Complex128 = 15,
    BF16 = 16,
    F8E4M3FN = 17,
    F8E4M3FNUZ = 18,
    F8E5M2 = 19,
    F8E5M2FNUZ = 20,
    U4 = 21,
    I4 = 22,
    F4E2M1 = 23,
    F8E8M0 = 24,
    U2 = 25,
    I2 = 26,
}

use DType::*;

/// Every type with its name in ONNX's text form.
const NAMES: [(DType, &str); 26] = [
    (F32, "float32"),
    (U8, "uint8"),
    (I8, "int8"),
    (U16, "uint16"),
    (I16, "int16"),
    (I32, "int32"),
    (I64, "int64"),
    (String, "string"),
    (Bool, "bool"),
    (F16, "float16"),
    (F64, "float64"),
    (U32, "uint32"),
    (U64, "uint64"),
    (Complex64, "complex64"),
    (Complex128, "complex128"),
    (BF16, "bfloat16"),
    (F8E4M3FN, "float8e4m3fn"),
    (F8E4M3FNUZ, "float8e4m3fnuz"),
    (F8E5M2, "float8e5m2"),
    (F8E5M2FNUZ, "float8e5m2fnuz"),
    (U4, "uint4"),
    (I4, "int4"),
    (F4E2M1, "float4e2m1"),
    (F8E8M0, "float8e8m0"),
    (U2, "uint2"),
    (I2, "int2"),
];

impl DType {
    /// The type with this number in the format, if there is one.
    pub fn from_code(code: i32) -> Option<Self> {
        NAMES.iter().map(|(dtype, _)| *dtype).find(|dtype| *dtype as i32 == code)
    }

    /// The name in ONNX's text form, such as `float32`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(dtype, _)| *dtype == self).map_or("unknown", |(_, name)| name)
    }

    /// Bits that one element takes in `raw_data`; `None` for strings.
    pub fn bits(self) -> Option<usize> {
        match self {
            U2 | I2 => Some(2),
            U4 | I4 | F4E2M1 => Some(4),
            U8 | I8 | Bool | F8E4M3FN | F8E4M3FNUZ | F8E5M2 | F8E5M2FNUZ | F8E8M0 => Some(8),
            U16 | I16 | F16 | BF16 => Some(16),
            F32 | I32 | U32 => Some(32),
            F64 | I64 | U64 | Complex64 => Some(64),
            Complex128 => Some(128),
            String => None,
        }
    }

    /// Whether the type holds (real) floating-point numbers that gradients can flow through.
    pub fn is_float(self) -> bool {
        matches!(self, F32 | F64 | F16 | BF16)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The elements of a tensor, in row-major order. Clones share the storage.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each variant is the `DType` of its name
pub enum Data {
    F32(Arc<[f32]>),
    F64(Arc<[f64]>),
    F16(Arc<[f16]>),
    BF16(Arc<[bf16]>),
    I8(Arc<[i8]>),
    I16(Arc<[i16]>),
    I32(Arc<[i32]>),
    I64(Arc<[i64]>),
    U8(Arc<[u8]>),
    U16(Arc<[u16]>),
    U32(Arc<[u32]>),
    U64(Arc<[u64]>),
    Bool(Arc<[bool]>),
    String(Arc<[Vec<u8>]>),
    /// A type this project carries along and never computes with, as its `raw_data`.
    Packed(DType, Arc<[u8]>),
}

impl Data {
    /// The element type.
    pub fn dtype(&self) -> DType {
        match self {
            Data::F32(_) => F32,
            Data::F64(_) => F64,
            Data::F16(_) => F16,
            Data::BF16(_) => BF16,
            Data::I8(_) => I8,
            Data::I16(_) => I16,
            Data::I32(_) => I32,
            Data::I64(_) => I64,
            Data::U8(_) => U8,
            Data::U16(_) => U16,
            Data::U32(_) => U32,
            Data::U64(_) => U64,
            Data::Bool(_) => Bool,
            Data::String(_) => String,
            Data::Packed(dtype, _) => *dtype,
        }
    }
}

/// A tensor whose shape and number of elements agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

/// A shape and a number of elements that do not belong together.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("shape {shape:?} does not hold {elements} elements")]
pub struct SizeMismatch {
    shape: Vec<usize>,
    elements: usize,
}

/// The number of elements of a shape, or `None` where it does not fit in memory's address space.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim))
}

macro_rules! plain_types {
    ($($variant:ident $type:ty, $new:ident, $get:ident;)*) => {
        impl Tensor {
            $(
                #[doc = concat!("A tensor of `", stringify!($type), "`.")]
                pub fn $new(shape: &[usize], data: impl Into<Arc<[$type]>>) -> Result<Self, SizeMismatch> {
                    let data = data.into();
                    Self::checked(shape, data.len(), Data::$variant(data))
                }

                #[doc = concat!("The elements, if they are `", stringify!($type), "`.")]
                pub fn $get(&self) -> Option<&[$type]> {
                    match &self.data {
                        Data::$variant(data) => Some(data),
                        _ => None,
                    }
                }
            )*
        }
    };
}

plain_types! {
    F32 f32, f32, as_f32;
    F64 f64, f64, as_f64;
    F16 f16, f16, as_f16;
    BF16 bf16, bf16, as_bf16;
    I8 i8, i8, as_i8;
    I16 i16, i16, as_i16;
    I32 i32, i32, as_i32;
    I64 i64, i64, as_i64;
    U8 u8, u8, as_u8;
    U16 u16, u16, as_u16;
    U32 u32, u32, as_u32;
    U64 u64, u64, as_u64;
    Bool bool, bool, as_bool;
    String Vec<u8>, strings, as_strings;
}

impl Tensor {
    /// A tensor of a type that is carried along as raw bytes.
    pub fn packed(shape: &[usize], dtype: DType, bytes: Arc<[u8]>) -> Result<Self, SizeMismatch> {
        let bits = dtype.bits().unwrap_or(8);
        let expected = element_count(shape).and_then(|n| n.checked_mul(bits)).map(|n| n.div_ceil(8));
        let elements = if expected == Some(bytes.len()) { element_count(shape) } else { None };
        Self::checked(shape, elements.unwrap_or(bytes.len()), Data::Packed(dtype, bytes))
    }

    /// A float32 scalar (rank 0).
    pub fn scalar(value: f32) -> Self {
        Self { shape: Vec::new(), data: Data::F32(Arc::new([value])) }
    }

    /// An int64 vector (rank 1), as shapes and axes are given.
    pub fn ints(values: &[i64]) -> Self {
        Self { shape: vec![values.len()], data: Data::I64(values.into()) }
    }

    fn checked(shape: &[usize], elements: usize, data: Data) -> Result<Self, SizeMismatch> {
        if element_count(shape) == Some(elements) {
            Ok(Self { shape: shape.to_vec(), data })
        } else {
            Err(SizeMismatch { shape: shape.to_vec(), elements })
        }
    }

    /// The dimensions; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        element_count(&self.shape).unwrap_or(0)
    }

    /// Whether the tensor has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same elements under another shape.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self, SizeMismatch> {
        Self::checked(shape, self.len(), self.data.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_elements_must_agree() {
        assert!(Tensor::f32(&[2, 3], vec![0.0; 6]).is_ok());
        assert!(Tensor::f32(&[2, 3], vec![0.0; 5]).is_err());
        assert!(Tensor::f32(&[usize::MAX, 2], vec![0.0; 2]).is_err());
    }

    #[test]
    fn packed_types_count_bits() {
        assert!(Tensor::packed(&[3], U4, Arc::new([0x21, 0x03])).is_ok());
        assert!(Tensor::packed(&[5], U4, Arc::new([0x21, 0x03])).is_err());
    }

    #[test]
    fn every_type_is_found_by_its_number() {
        for (dtype, name) in NAMES {
            assert_eq!(DType::from_code(dtype as i32), Some(dtype));
            assert_eq!(dtype.name(), name);
        }
        assert_eq!(DType::from_code(0), None);
        assert_eq!(DType::from_code(99), None);
    }
}
