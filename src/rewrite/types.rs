//! Types of values at a fixed size: every dimension is a number.
//!
//! A dynamic model is first given its input's size ([`super::specialise`]); nothing here is
//! symbolic.

use std::collections::HashMap;

use super::error::RewriteError;
use super::ops::{self, Call};
use crate::limits::Limit;
use crate::onnx::{Attribute, DType, Dim, Model, Node, Problem, SizeMismatch, Tensor, ValueInfo};

/// An element type and a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The sizes; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorType {
    /// A type.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// The type of a tensor at hand.
    pub fn of(tensor: &Tensor) -> Self {
        Self::new(tensor.dtype(), tensor.shape())
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether a value of this type has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// As a graph's input or output states it.
    pub fn info(&self, name: &str) -> ValueInfo {
        ValueInfo::tensor(name, self.dtype, self.shape.iter().map(|&size| Dim::Known(size)))
    }
}

impl std::fmt::Display for TensorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        write!(f, "{}[{}]", self.dtype, sizes.join(","))
    }
}

/// What is known of every value of a graph.
#[derive(Clone, Debug, Default)]
pub struct Types {
    types: HashMap<String, TensorType>,
    constants: HashMap<String, Tensor>,
    opset: i64,
    /// Elements that folding may still read and write.
    folds_left: u64,
}

impl Types {
    /// What is known of a model's inputs, which have fixed sizes, and of its weights.
    pub fn open(model: &Model) -> Result<Self, RewriteError> {
        Self::at(model, model.graph.required_inputs())
    }

    /// As [`Types::open`], with inputs whose sizes are fixed elsewhere.
    pub fn at<'a>(
        model: &Model,
        inputs: impl IntoIterator<Item = &'a ValueInfo>,
    ) -> Result<Self, RewriteError> {
        let weights: usize = model.graph.initializers.values().map(Tensor::len).sum();
        let folds_left = Limit::Folded.get().saturating_add(weights as u64);
        let mut types = Types { opset: model.opset(), folds_left, ..Default::default() };
        types.types.reserve(model.graph.nodes.len() + model.graph.initializers.len());
        for (name, tensor) in &model.graph.initializers {
            types.put_constant(name, tensor);
        }
        for input in inputs {
            types.types.insert(input.name.clone(), fixed(input)?);
        }
        Ok(types)
    }

    /// The type of a value.
    pub fn get(&self, name: &str) -> Option<&TensorType> {
        self.types.get(name)
    }

    /// The tensor behind a value that no input changes.
    pub fn constant(&self, name: &str) -> Option<&Tensor> {
        self.constants.get(name)
    }

    /// The version of the standard operator set in use.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// Notes the type of a value.
    pub fn put(&mut self, name: &str, ty: TensorType) {
        self.types.insert(name.to_owned(), ty);
    }

    /// Notes a constant.
    pub fn put_constant(&mut self, name: &str, tensor: &Tensor) {
        self.types.insert(name.to_owned(), TensorType::of(tensor));
        self.constants.insert(name.to_owned(), tensor.clone());
    }

    /// Infers and notes the types of what `node` writes.
    pub fn apply(&mut self, node: &Node) -> Result<(), RewriteError> {
        if node.op == "Constant" && node.domain.is_empty() {
            let tensor = constant(node).map_err(|reason| RewriteError::at(node, &[], reason))?;
            node.outputs.iter().for_each(|name| self.put_constant(name, &tensor));
            return Ok(());
        }
        let (types, folded) = self.results(node)?;
        if folded.is_some() {
            self.folds_left = self.folds_left.saturating_sub(self.work(node, &types));
        }
        let named = node.outputs.iter().zip(types).filter(|(name, _)| !name.is_empty());
        self.types.extend(named.map(|(name, ty)| (name.clone(), ty)));
        for (name, tensor) in node.outputs.iter().zip(folded.unwrap_or_default()) {
            self.put_constant(name, &tensor);
        }
        Ok(())
    }

    /// The types of a node's outputs, and the outputs themselves where they are constant and worth their
    /// work. A constant beyond that is computed by the runtime, as any other value.
    fn results(&self, node: &Node) -> Result<(Vec<TensorType>, Option<Vec<Tensor>>), RewriteError> {
        let call = self.call(node);
        let fail = |reason: String| RewriteError::at(node, call.inputs(), reason);
        let operator = ops::find(node, self.opset).map_err(fail)?;
        let types = (operator.infer)(&call).map_err(fail)?;
        if let Some(large) = types.iter().find(|ty| !is_plausible(ty)) {
            return Err(fail(format!("its result {large} {}", Limit::Elements.exceeded())));
        }
        let affordable = self.work(node, &types) <= self.folds_left;
        let folded = match operator.fold.filter(|_| affordable) {
            Some(fold) => fold(&call).map_err(fail)?,
            None => None,
        };
        Ok((types, folded))
    }

    /// Elements that folding a node would read and write.
    fn work(&self, node: &Node, results: &[TensorType]) -> u64 {
        let read = node.inputs.iter().filter_map(|name| self.constants.get(name)).map(Tensor::len);
        read.chain(results.iter().map(TensorType::len)).map(|count| count as u64).sum()
    }

    /// A node together with what is known of its inputs.
    pub fn call<'a>(&'a self, node: &'a Node) -> Call<'a> {
        let inputs = node.inputs.iter().map(|name| self.types.get(name)).collect();
        let constants = node.inputs.iter().map(|name| self.constants.get(name)).collect();
        Call::new(node, inputs, constants, self.opset)
    }
}

/// The tensor of a Constant node, in whichever of its forms.
fn constant(node: &Node) -> Result<Tensor, String> {
    let Some((name, value)) = node.attributes.first() else { return Err("holds no value".into()) };
    let failed = |error: SizeMismatch| error.to_string();
    match (name.as_str(), value) {
        ("value", Attribute::Tensor(tensor)) => Ok(tensor.clone()),
        ("value_float", Attribute::Float(value)) => Ok(Tensor::scalar(*value)),
        ("value_floats", Attribute::Floats(values)) => {
            Tensor::f32(&[values.len()], values.clone()).map_err(failed)
        }
        ("value_int", Attribute::Int(value)) => Tensor::i64(&[], vec![*value]).map_err(failed),
        ("value_ints", Attribute::Ints(values)) => Ok(Tensor::ints(values)),
        ("value_string", Attribute::String(value)) => {
            Tensor::strings(&[], vec![value.clone()]).map_err(failed)
        }
        ("value_strings", Attribute::Strings(values)) => {
            Tensor::strings(&[values.len()], values.clone()).map_err(failed)
        }
        (name, value) => Err(format!("holds its value as `{name}`, {}, which is not read", value.kind())),
    }
}

fn is_plausible(ty: &TensorType) -> bool {
    let count = ty.shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    count.is_some_and(|count| count as u64 <= Limit::Elements.get())
}

/// Infers the type of every value of a model whose inputs have fixed sizes.
pub fn infer(model: &Model) -> Result<Types, RewriteError> {
    let mut types = Types::open(model)?;
    for node in &model.graph.nodes {
        types.apply(node)?;
    }
    Ok(types)
}

/// The type of an input whose every dimension is fixed.
fn fixed(input: &ValueInfo) -> Result<TensorType, Problem> {
    let place = format!("input `{}`", input.name);
    let Some((dtype, dims)) = input.dims() else {
        return Err(Problem::new(place, "is not a tensor of known rank"));
    };
    let shape: Option<Vec<usize>> = dims.iter().map(Dim::known).collect();
    let ty =
        TensorType::new(dtype, shape.ok_or_else(|| Problem::new(&place, "has no fixed size; give one"))?);
    if !is_plausible(&ty) {
        return Err(Problem::new(place, format!("of {ty} {}", Limit::Elements.exceeded())));
    }
    Ok(ty)
}
