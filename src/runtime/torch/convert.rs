//! Tensors of an ONNX file to libtorch's and back.
//!
//! Every floating-point type becomes the program's one kind (a float16 model is computed in float32
//! on the CPU, a whole model in float64 for finite differences). 64-bit integers are shapes and
//! axes: they stay on the CPU, where they are read, and everything else goes to the device.

use super::refusal::Refusal;
use crate::onnx::{self, DType, Data};
use crate::torch::{self, Device, Kind, Tensor, no_grad};

/// Where a program's values live and in which kind its floating-point numbers are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub device: Device,
    /// `Float`, `Double` or `BFloat16`.
    pub kind: Kind,
}

impl Place {
    /// The kind that stands for an ONNX element type.
    pub fn kind_of(self, dtype: DType) -> Result<Kind, Refusal> {
        match dtype {
            dtype if dtype.is_float() => Ok(self.kind),
            DType::Bool => Ok(Kind::Bool),
            DType::U8 => Ok(Kind::Uint8),
            DType::I8 => Ok(Kind::Int8),
            DType::I16 => Ok(Kind::Int16),
            DType::I32 => Ok(Kind::Int),
            DType::I64 => Ok(Kind::Int64),
            other => Err(Refusal::new(format!("libtorch does not compute with {other}"))),
        }
    }

    /// The value as `kind`, on the device where that kind lives.
    pub fn hold(self, value: &Tensor, kind: Kind) -> Result<Tensor, Refusal> {
        let device = if kind == Kind::Int64 { Device::Cpu } else { self.device };
        Ok(value.f_to_device(device)?.f_to_kind(kind)?)
    }

    /// A tensor of a model file.
    pub fn import(self, tensor: &onnx::Tensor) -> Result<Tensor, Refusal> {
        let flat = match tensor.data() {
            Data::F32(values) => Tensor::from_slice(values),
            Data::F64(values) => Tensor::from_slice(values),
            Data::F16(values) => from_iter(values.iter().map(|value| value.to_f32())),
            Data::BF16(values) => from_iter(values.iter().map(|value| value.to_f32())),
            Data::I8(values) => Tensor::from_slice(values),
            Data::I16(values) => Tensor::from_slice(values),
            Data::I32(values) => Tensor::from_slice(values),
            Data::I64(values) => Tensor::from_slice(values),
            Data::U8(values) => Tensor::from_slice(values),
            Data::Bool(values) => Tensor::from_slice(values),
            _ => Tensor::new(),
        };
        let kind = self.kind_of(tensor.dtype())?;
        let shape: Vec<i64> = tensor.shape().iter().map(|&dim| dim as i64).collect();
        self.hold(&flat.f_view(shape.as_slice())?, kind)
    }
}

fn from_iter(values: impl Iterator<Item = f32>) -> Tensor {
    Tensor::from_slice(&values.collect::<Vec<_>>())
}

/// The values as a floating-point tensor of a model file, in the type and shape of `like`.
pub(super) fn export(value: &Tensor, like: &onnx::Tensor) -> Result<onnx::Tensor, Refusal> {
    let values = no_grad(|| torch::to_vec::<f64>(value))?;
    let shape = like.shape();
    let narrow = || values.iter().map(|&value| value as f32);
    let exported = match like.dtype() {
        DType::F32 => onnx::Tensor::f32(shape, narrow().collect::<Vec<_>>()),
        DType::F16 => onnx::Tensor::f16(shape, narrow().map(half::f16::from_f32).collect::<Vec<_>>()),
        DType::BF16 => onnx::Tensor::bf16(shape, narrow().map(half::bf16::from_f32).collect::<Vec<_>>()),
        DType::F64 => onnx::Tensor::f64(shape, values),
        other => return Err(Refusal::new(format!("{other} tensors are not trained"))),
    };
    exported.map_err(|error| Refusal::new(error.to_string()))
}
