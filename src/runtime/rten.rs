//! rten, a runtime in Rust alone: the only file that names it. Built with the feature `rten`.
//!
//! Of an operator that it lacks a part of, it may compute something near: `faults` has the rows. Deliberately absent:
//! types other than float32 at a model's border, which no session carries.

use ::rten::{ModelOptions, NodeId, Value, ValueOrView};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use super::failure::{LOAD, RUN, guarded};
use super::kind::Settings;
use super::signature::{Signature, load_failed, without_idle_inputs};
use super::table::Row;
use super::{Kind, Runtime, RuntimeError, Session};
use crate::onnx::{self, Model};

/// The version of rten this program is built with; a test holds it to `Cargo.lock`.
const VERSION: &str = "0.27.0";

pub(super) const ROW: Row = Row {
    name: "rten",
    help: "rten, part of this program",
    settings: &[],
    short: &[],
    audits_by_default: false,
    open,
};

fn open(kind: Kind, _: &Settings) -> Result<Box<dyn Runtime>, RuntimeError> {
    Ok(Box::new(Rten { kind }))
}

/// rten on the processor.
struct Rten {
    kind: Kind,
}

impl Runtime for Rten {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    /// It turns float16 weights into float32.
    fn half_precision(&self) -> bool {
        false
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError> {
        let kind = self.kind;
        let signature = Signature::of(model, kind)?;
        let bytes = onnx::to_bytes(&labelled(&without_idle_inputs(model)));
        let model = guarded(kind, LOAD, told, || ModelOptions::with_all_ops().load(bytes))?;
        let inputs = signature.inputs.iter().map(|input| {
            let found = model.find_node(&input.name);
            found.ok_or_else(|| load_failed(kind, format!("it lost the input `{}`", input.name)))
        });
        let inputs = inputs.collect::<Result<_, _>>()?;
        Ok(Box::new(Prepared { kind, inputs, model, signature }))
    }
}

/// The model with nodes named as errors name them: their operator, too. rten tells the name and no more.
fn labelled(model: &Model) -> Model {
    let mut model = model.clone();
    model.graph.nodes.iter_mut().for_each(|node| node.name = node.label());
    model
}

struct Prepared {
    kind: Kind,
    /// The nodes of the signature's inputs.
    inputs: Vec<NodeId>,
    model: ::rten::Model,
    signature: Signature,
}

impl Session for Prepared {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        self.signature.check(inputs)?;
        let outputs = guarded(self.kind, RUN, told, || self.compute(inputs))?;
        let named = self.signature.outputs.iter().zip(outputs);
        named.map(|(name, output)| self.array(name, output)).collect()
    }
}

impl Prepared {
    fn compute(&self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<Value>, ::rten::RunError> {
        let dense: Vec<_> = inputs.iter().map(|input| input.as_standard_layout()).collect();
        let fed = self.inputs.iter().zip(&dense).map(|(&node, dense)| {
            let values = dense.as_slice().unwrap_or_default();
            (node, ValueOrView::from(TensorView::from_data(dense.shape(), values)))
        });
        self.model.run(fed.collect(), self.model.output_ids(), None)
    }

    fn array(&self, name: &str, value: Value) -> Result<ArrayD<f32>, RuntimeError> {
        let failed = |reason: String| RuntimeError::Failed { kind: self.kind, action: RUN, reason };
        let tensor: Tensor<f32> =
            value.try_into().map_err(|_| failed(format!("output `{name}` is not float32")))?;
        let (shape, values) = (IxDyn(tensor.shape()), tensor.to_vec());
        ArrayD::from_shape_vec(shape, values).map_err(|error| failed(error.to_string()))
    }
}

/// An error with its causes, in one line.
fn told(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text += &format!(": {next}");
        cause = next.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_locked() {
        let lock = include_str!("../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"rten\"\nversion = \"{VERSION}\"\n")));
    }
}
