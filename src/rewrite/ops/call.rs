//! A node seen with what is known of its inputs: what type inference reads.

use super::super::types::TensorType;
use crate::onnx::{Attribute, DType, Node, Tensor};

/// One application of an operator.
#[derive(Debug)]
pub struct Call<'a> {
    node: &'a Node,
    inputs: Vec<Option<&'a TensorType>>,
    constants: Vec<Option<&'a Tensor>>,
    opset: i64,
}

type Result<T> = std::result::Result<T, String>;

impl<'a> Call<'a> {
    /// A node, the types of its inputs and the tensors behind those that are constant.
    pub fn new(
        node: &'a Node,
        inputs: Vec<Option<&'a TensorType>>,
        constants: Vec<Option<&'a Tensor>>,
        opset: i64,
    ) -> Self {
        Self { node, inputs, constants, opset }
    }

    /// The types of the inputs, as far as they are known.
    pub fn inputs(&self) -> &[Option<&'a TensorType>] {
        &self.inputs
    }

    /// The node's operator.
    pub fn op(&self) -> &'a str {
        &self.node.op
    }

    /// The standard operator set in use.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// How many inputs the node names, left-out ones included.
    pub fn input_count(&self) -> usize {
        self.node.inputs.len()
    }

    /// How many outputs the node names.
    pub fn output_count(&self) -> usize {
        self.node.outputs.len()
    }

    /// Whether the node leaves input `index` out.
    pub fn is_left_out(&self, index: usize) -> bool {
        self.node.input(index).is_none()
    }

    /// An attribute as it is.
    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attributes.get(name)
    }

    /// The type of input `index`.
    pub fn input(&self, index: usize) -> Result<&'a TensorType> {
        self.optional(index)?.ok_or_else(|| format!("lacks its input {index}"))
    }

    /// The type of input `index`, or `None` where the node leaves it out.
    pub fn optional(&self, index: usize) -> Result<Option<&'a TensorType>> {
        match (self.node.input(index), self.inputs.get(index)) {
            (None, _) => Ok(None),
            (Some(_), Some(Some(ty))) => Ok(Some(ty)),
            (Some(name), _) => Err(format!("reads `{name}`, whose type is not known")),
        }
    }

    /// The tensor behind input `index`, which must not depend on the image.
    pub fn constant(&self, index: usize) -> Result<&'a Tensor> {
        let tensor = self.constants.get(index).copied().flatten();
        tensor.ok_or_else(|| {
            let name = self.node.input(index).unwrap_or("?");
            format!("reads `{name}` as its input {index}, which is computed and should be constant")
        })
    }

    /// The integers behind constant input `index`; `None` where the node leaves it out.
    pub fn constant_ints(&self, index: usize) -> Result<Option<Vec<i64>>> {
        if self.node.input(index).is_none() {
            return Ok(None);
        }
        let tensor = self.constant(index)?;
        let narrow = || tensor.as_i32().map(|values| values.iter().map(|&value| i64::from(value)).collect());
        let values = tensor.as_i64().map(<[i64]>::to_vec).or_else(narrow);
        values.map(Some).ok_or_else(|| format!("needs integers as its input {index}, not {}", tensor.dtype()))
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(value)) => Ok(*value),
            Some(other) => Err(wrong_kind(name, "an integer", other)),
        }
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        match self.node.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(other) => Err(wrong_kind(name, "integers", other)),
        }
    }

    /// A float attribute.
    pub fn float(&self, name: &str, default: f32) -> Result<f32> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Float(value)) => Ok(*value),
            Some(other) => Err(wrong_kind(name, "a float", other)),
        }
    }

    /// A string attribute.
    pub fn text(&self, name: &str, default: &'a str) -> Result<&'a str> {
        match self.node.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::String(bytes)) => {
                std::str::from_utf8(bytes).map_err(|_| format!("has an attribute `{name}` that is not text"))
            }
            Some(other) => Err(wrong_kind(name, "a string", other)),
        }
    }

    /// The axis `value` of a tensor of rank `rank`, counted from the end where it is negative.
    pub fn axis(&self, value: i64, rank: usize) -> Result<usize> {
        let from_start = if value < 0 { value + rank as i64 } else { value };
        let axis = usize::try_from(from_start).ok().filter(|&axis| axis < rank);
        axis.ok_or_else(|| format!("has axis {value}, and its input has rank {rank}"))
    }
}

fn wrong_kind(name: &str, wanted: &str, found: &Attribute) -> String {
    format!("has an attribute `{name}` that should be {wanted} and is {}", found.kind())
}

/// One output of the same type as the first input.
pub fn same_as_input(call: &Call<'_>) -> Result<Vec<TensorType>> {
    Ok(vec![call.input(0)?.clone()])
}

/// One output of the inputs' common element type, broadcast together (NumPy's rule).
pub fn broadcast_inputs(call: &Call<'_>) -> Result<Vec<TensorType>> {
    let first = call.input(0)?;
    let mut shape = first.shape.clone();
    for index in 1..call.input_count() {
        let other = call.input(index)?;
        same_dtype(first.dtype, other.dtype)?;
        shape = broadcast(&shape, &other.shape)?;
    }
    Ok(vec![TensorType::new(first.dtype, shape)])
}

/// Fails unless two element types are the same.
pub fn same_dtype(a: DType, b: DType) -> Result<()> {
    if a == b { Ok(()) } else { Err(format!("mixes {a} and {b}; its inputs should have one element type")) }
}

/// The shape of two shapes broadcast together.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        (axis + shape.len()).checked_sub(rank).and_then(|axis| shape.get(axis)).copied().unwrap_or(1)
    };
    let pairs = (0..rank).map(|axis| match (size(a, axis), size(b, axis)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        _ => Err(format!("cannot broadcast {a:?} with {b:?}")),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Ok(vec![2, 3, 4]));
        assert_eq!(broadcast(&[], &[3]), Ok(vec![3]));
        assert_eq!(broadcast(&[0, 2], &[1, 2]), Ok(vec![0, 2]));
        assert!(broadcast(&[2], &[3]).is_err());
    }
}
