//! What a gradient rule works with: the node, the cotangents of what it wrote, and an emitter.
//!
//! VJP: vector-Jacobian product. A rule is given the gradient of the objective with respect to
//! the node's outputs and gives it with respect to those inputs that want one. A rule does not
//! undo broadcasting; the reverse pass does, in one place.

use super::super::emitter::{Emitter, Value};
use super::super::error::RewriteError;
use super::call::Call;
use crate::onnx::{Attribute, Node, Tensor};

type Result<T> = std::result::Result<T, RewriteError>;

/// One step of the reverse pass.
#[derive(Debug)]
pub struct Vjp<'a> {
    emitter: &'a mut Emitter,
    node: &'a Node,
    cotangents: Vec<Option<Value>>,
    wanted: Vec<bool>,
    given: Vec<Option<Value>>,
    constant: Vec<usize>,
}

impl<'a> Vjp<'a> {
    /// A step back through `node`; `wanted` says which inputs depend on the image.
    pub fn new(
        emitter: &'a mut Emitter,
        node: &'a Node,
        cotangents: Vec<Option<Value>>,
        wanted: Vec<bool>,
    ) -> Self {
        let given = vec![None; wanted.len()];
        Self { emitter, node, cotangents, wanted, given, constant: Vec::new() }
    }

    /// The gradients with respect to the inputs.
    ///
    /// # Errors
    /// A floating-point input that wants a gradient was neither given one nor said to count as constant: a gradient that
    /// misses a part in silence is worse than none.
    pub fn finish(self) -> Result<Vec<Option<Value>>> {
        for (index, name) in self.node.inputs.iter().enumerate() {
            let settled = self.given[index].is_some() || self.constant.contains(&index);
            if !settled && self.wants(index) && Emitter::carries_gradient(&self.emitter.value(name)?.ty) {
                return Err(self.fail(format!("cannot be differentiated by `{name}`, its input {index}")));
            }
        }
        Ok(self.given)
    }

    /// Says that input `index` has no gradient, or counts as constant by what the rule's module says.
    pub fn counts_as_constant(&mut self, index: usize) {
        self.constant.push(index);
    }

    /// The gradient with respect to the first output.
    pub fn cotangent(&self) -> Result<Value> {
        self.cotangent_of(0)?.ok_or_else(|| self.fail("has no gradient with respect to its first output"))
    }

    /// The gradient with respect to output `index`, where the objective depends on it.
    pub fn cotangent_of(&self, index: usize) -> Result<Option<Value>> {
        Ok(self.cotangents.get(index).cloned().flatten())
    }

    /// Whether input `index` wants a gradient.
    pub fn wants(&self, index: usize) -> bool {
        self.wanted.get(index).copied().unwrap_or(false)
    }

    /// Gives the gradient with respect to input `index`, as broadcasting left it.
    pub fn give(&mut self, index: usize, gradient: Value) {
        if let Some(slot) = self.given.get_mut(index) {
            *slot = Some(gradient);
        }
    }

    /// The node's input `index`.
    pub fn input(&self, index: usize) -> Result<Value> {
        let name = self.node.input(index).ok_or_else(|| self.fail("lacks an input that its rule needs"))?;
        self.emitter.value(name)
    }

    /// The node's output `index`.
    pub fn output(&self, index: usize) -> Result<Value> {
        let name =
            self.node.outputs.get(index).ok_or_else(|| self.fail("lacks an output that its rule needs"))?;
        self.emitter.value(name)
    }

    /// The tensor behind input `index`, which must not depend on the image.
    pub fn constant(&self, index: usize) -> Result<Tensor> {
        self.read(|call| call.constant(index).cloned())
    }

    /// The tensor behind a value, where no input changes it.
    pub fn known(&self, value: &Value) -> Option<Tensor> {
        self.emitter.types().constant(&value.name).cloned()
    }

    /// Reads attributes and input types.
    pub fn read<T>(&self, read: impl FnOnce(&Call<'_>) -> std::result::Result<T, String>) -> Result<T> {
        let call = self.emitter.types().call(self.node);
        read(&call).map_err(|reason| RewriteError::at(self.node, call.inputs(), reason))
    }

    /// An error at this node.
    pub fn fail(&self, reason: impl Into<String>) -> RewriteError {
        let call = self.emitter.types().call(self.node);
        RewriteError::at(self.node, call.inputs(), reason)
    }

    /// Emits a node, named after the one being differentiated.
    pub fn emit<const N: usize>(
        &mut self,
        op: &str,
        inputs: &[&Value],
        attributes: [(&str, Attribute); N],
    ) -> Result<Value> {
        let hint = self.hint(op);
        self.emitter.emit(op, &hint, inputs, attributes)
    }

    /// Emits a reduction (see [`Emitter::reduce`]).
    pub fn reduce(&mut self, op: &str, value: &Value, axes: &[i64], keep: bool) -> Result<Value> {
        let hint = self.hint(op);
        self.emitter.reduce(op, &hint, value, axes, keep)
    }

    /// The same elements under another shape.
    pub fn reshape(&mut self, value: &Value, shape: &[usize]) -> Result<Value> {
        let hint = self.hint("Reshape");
        self.emitter.reshape(&hint, value, shape)
    }

    /// The entries `start..end` of one axis.
    pub fn slice(&mut self, value: &Value, axis: usize, start: usize, end: usize) -> Result<Value> {
        if start == 0 && value.shape().get(axis) == Some(&end) {
            return Ok(value.clone());
        }
        let one = |entry: usize| [entry as i64];
        let (start, end, axis) = (self.ints(&one(start)), self.ints(&one(end)), self.ints(&one(axis)));
        self.emit("Slice", &[value, &start, &end, &axis], [])
    }

    /// A constant tensor.
    pub fn tensor(&mut self, hint: &str, tensor: Tensor) -> Value {
        let hint = self.hint(hint);
        self.emitter.constant(&hint, tensor)
    }

    /// A float32 scalar.
    pub fn scalar(&mut self, value: f32) -> Value {
        self.emitter.scalar(value)
    }

    /// An int64 vector.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        self.emitter.ints(values)
    }

    fn hint(&self, op: &str) -> String {
        let name = self.node.outputs.first().map_or("", String::as_str);
        format!("grad/{name}/{op}")
    }
}
