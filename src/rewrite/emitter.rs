//! Adds typed nodes to a graph of fixed size: what gradient rules and objectives write with.

use std::collections::HashMap;

use super::error::RewriteError;
use super::naming::name_outputs;
use super::passes::fold;
use super::passes::fuse;
use super::passes::prune;
use super::types::{TensorType, Types, infer};
use crate::onnx::{Attribute, DType, GraphBuilder, Model, Node, Problem, Tensor, ValueInfo};

/// A value of the graph with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TensorType,
}

impl Value {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }
}

/// A model of fixed size that grows node by node, each checked and typed as it is added.
#[derive(Debug)]
pub struct Emitter {
    model: Model,
    graph: GraphBuilder,
    types: Types,
    shared: HashMap<String, Value>,
}

impl Emitter {
    /// Opens a model of fixed size.
    pub fn open(mut model: Model) -> Result<Self, RewriteError> {
        let types = infer(&model)?;
        let graph = GraphBuilder::from_graph(std::mem::take(&mut model.graph));
        Ok(Self { model, graph, types, shared: HashMap::new() })
    }

    /// The nodes so far, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.graph.graph().nodes
    }

    /// What is known of the values so far.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// The outputs that the model had when it was opened.
    pub fn outputs(&self) -> &[ValueInfo] {
        &self.graph.graph().outputs
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Result<Value, RewriteError> {
        match self.types.get(name) {
            Some(ty) => Ok(Value { name: name.to_owned(), ty: ty.clone() }),
            None => Err(Problem::new(format!("value `{name}`"), "is not in the graph").into()),
        }
    }

    /// Adds an input that a caller feeds.
    pub fn input(&mut self, hint: &str, ty: TensorType) -> Result<Value, RewriteError> {
        let name = self.graph.fresh(hint);
        self.graph.input(ty.info(&name));
        self.types.put(&name, ty);
        self.value(&name)
    }

    /// Adds a node with one output, named after `hint`.
    pub fn emit<const N: usize>(
        &mut self,
        op: &str,
        hint: &str,
        inputs: &[&Value],
        attributes: [(&str, Attribute); N],
    ) -> Result<Value, RewriteError> {
        let inputs: Vec<&str> = inputs.iter().map(|value| value.name.as_str()).collect();
        let output = self.graph.node(op, hint, &inputs, attributes);
        if let Some(node) = self.graph.graph().nodes.last() {
            self.types.apply(node)?;
        }
        self.value(&output)
    }

    /// Adds a constant tensor.
    pub fn constant(&mut self, hint: &str, tensor: Tensor) -> Value {
        let ty = TensorType::of(&tensor);
        let name = self.graph.initializer(hint, tensor.clone());
        self.types.put_constant(&name, &tensor);
        Value { name, ty }
    }

    /// A float32 scalar; equal ones are stored once.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.share(format!("scalar_{value:e}"), || Tensor::scalar(value))
    }

    /// An int64 vector; equal ones are stored once.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        let words: Vec<_> = values.iter().map(ToString::to_string).collect();
        self.share(format!("ints_{}", words.join("_")), || Tensor::ints(values))
    }

    fn share(&mut self, key: String, tensor: impl FnOnce() -> Tensor) -> Value {
        if let Some(value) = self.shared.get(&key) {
            return value.clone();
        }
        let value = self.constant(&key, tensor());
        self.shared.insert(key, value.clone());
        value
    }

    /// Sums over `axes` (all where empty). `op` is a reduction of the standard domain: those other
    /// than ReduceSum take their axes as an attribute before opset 18 and as an input since.
    pub fn reduce(
        &mut self,
        op: &str,
        hint: &str,
        value: &Value,
        axes: &[i64],
        keep: bool,
    ) -> Result<Value, RewriteError> {
        let keepdims = ("keepdims", Attribute::Int(i64::from(keep)));
        if axes.is_empty() {
            return self.emit(op, hint, &[value], [keepdims]);
        }
        let as_input_since = if op == "ReduceSum" { 13 } else { 18 };
        if self.types.opset() >= as_input_since {
            let axes = self.ints(axes);
            return self.emit(op, hint, &[value, &axes], [keepdims]);
        }
        self.emit(op, hint, &[value], [keepdims, ("axes", Attribute::Ints(axes.to_vec()))])
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, hint: &str, value: &Value, shape: &[usize]) -> Result<Value, RewriteError> {
        if value.shape() == shape {
            return Ok(value.clone());
        }
        let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let sizes = self.ints(&sizes);
        self.emit("Reshape", hint, &[value, &sizes], [])
    }

    /// Undoes broadcasting: sums `value` down to `shape`, from which it was stretched.
    pub fn unbroadcast(&mut self, hint: &str, value: &Value, shape: &[usize]) -> Result<Value, RewriteError> {
        let extra = value.shape().len().saturating_sub(shape.len());
        let stretched = |(axis, &size): (usize, &usize)| {
            let summed = axis < extra || (shape[axis - extra] == 1 && size != 1);
            summed.then_some(axis as i64)
        };
        let axes: Vec<i64> = value.shape().iter().enumerate().filter_map(stretched).collect();
        if axes.is_empty() {
            return self.reshape(hint, value, shape);
        }
        let summed = self.reduce("ReduceSum", hint, value, &axes, true)?;
        self.reshape(hint, &summed, shape)
    }

    /// Whether values of this type can carry a gradient.
    pub fn carries_gradient(ty: &TensorType) -> bool {
        matches!(ty.dtype, DType::F32 | DType::F64)
    }

    /// Closes the model with `outputs` alone, each under the name given beside it, and drops
    /// what they do not need.
    pub fn finish(mut self, outputs: &[(&str, &Value)]) -> Result<Model, RewriteError> {
        let mut named = Vec::new();
        for (name, value) in outputs {
            let name = self.graph.fresh(name);
            self.graph.push(Node {
                op: "Identity".into(),
                name: name.clone(),
                inputs: vec![value.name.clone()],
                outputs: vec![name.clone()],
                ..Default::default()
            });
            named.push(value.ty.info(&name));
        }
        let mut graph = self.graph.finish();
        graph.outputs = named;
        graph.values.clear();
        fold(&mut graph, &self.types);
        fuse(&mut graph);
        prune(&mut graph);
        name_outputs(&mut graph);
        self.model.graph = graph;
        Ok(self.model)
    }
}
