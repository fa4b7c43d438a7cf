//! What a model takes and gives, checked the same way for every runtime.
//!
//! A runtime would find most of these mistakes too, each in its own words and some only by
//! crashing. What the operators inside make of the tensors is not known here.

use std::borrow::Cow;

use ndarray::ArrayViewD;

use super::failure::{LOAD, RUN};
use super::{Kind, RuntimeError};
use crate::onnx::{DType, Model, ValueInfo, ValueType};

/// The inputs that a caller feeds and the outputs it gets, of one model on one runtime.
#[derive(Debug)]
pub(super) struct Signature {
    kind: Kind,
    /// In the graph's order.
    pub inputs: Vec<Input>,
    /// Names, in the graph's order.
    pub outputs: Vec<String>,
}

/// A float32 input of fixed size.
#[derive(Debug)]
pub(super) struct Input {
    pub name: String,
    pub shape: Vec<usize>,
}

impl Signature {
    /// Reads the signature; refuses what [`super::Session`] cannot carry: anything but float32
    /// tensors whose input sizes are fixed.
    pub fn of(model: &Model, kind: Kind) -> Result<Self, RuntimeError> {
        let inputs = model.graph.required_inputs().map(|info| input(info, kind));
        let inputs = inputs.collect::<Result<_, _>>()?;
        for output in &model.graph.outputs {
            if let Some(found) = not_float32(output) {
                return Err(load_failed(kind, format!("output `{}` is {found}, not float32", output.name)));
            }
        }
        let outputs = model.graph.outputs.iter().map(|output| output.name.clone()).collect();
        Ok(Self { kind, inputs, outputs })
    }

    /// Holds what a caller feeds to what the model states.
    pub fn check(&self, inputs: &[ArrayViewD<'_, f32>]) -> Result<(), RuntimeError> {
        let failed = |reason| RuntimeError::Failed { kind: self.kind, action: RUN, reason };
        if inputs.len() != self.inputs.len() {
            let names: Vec<_> = self.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
            return Err(failed(format!(
                "the model takes {} input(s) ({}), and {} came",
                names.len(),
                names.join(", "),
                inputs.len()
            )));
        }
        for (input, given) in self.inputs.iter().zip(inputs) {
            if given.shape() != input.shape {
                let (name, shape) = (&input.name, &input.shape);
                return Err(failed(format!(
                    "input `{name}` is prepared for the shape {shape:?}, and {:?} came",
                    given.shape()
                )));
            }
        }
        Ok(())
    }
}

/// A model that a runtime would not take.
pub(super) fn load_failed(kind: Kind, reason: String) -> RuntimeError {
    RuntimeError::Failed { kind, action: LOAD, reason }
}

/// The model without the initializers that it also lists as inputs: runtimes take those for
/// values that may change from run to run, and optimise far less. Before IR version 4 the format
/// demands the listing, and runtimes know that it means nothing.
pub(super) fn without_idle_inputs(model: &Model) -> Cow<'_, Model> {
    let required = model.graph.required_inputs().count();
    if model.ir_version < 4 || required == model.graph.inputs.len() {
        return Cow::Borrowed(model);
    }
    let mut model = model.clone();
    model.graph.inputs = model.graph.required_inputs().cloned().collect();
    Cow::Owned(model)
}

fn input(info: &ValueInfo, kind: Kind) -> Result<Input, RuntimeError> {
    let name = info.name.clone();
    if let Some(found) = not_float32(info) {
        return Err(load_failed(kind, format!("input `{name}` is {found}, not float32")));
    }
    let Some((_, dims)) = info.dims() else {
        return Err(load_failed(kind, format!("input `{name}` states no shape; give it a fixed one")));
    };
    let dims_in_words = || dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match dims.iter().map(|dim| dim.known()).collect() {
        Some(shape) => Ok(Input { name, shape }),
        None => {
            let reason =
                format!("input `{name}` has the open shape [{}]; give it a fixed one", dims_in_words());
            Err(load_failed(kind, reason))
        }
    }
}

/// What a value is, where the file says that it is not a float32 tensor.
fn not_float32(info: &ValueInfo) -> Option<&'static str> {
    match &info.ty {
        Some(ValueType::Tensor { dtype: DType::F32, .. }) | None => None,
        Some(ValueType::Tensor { dtype, .. }) => Some(dtype.name()),
        Some(ValueType::Other { kind, .. }) => Some(kind),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn};

    use super::*;
    use crate::onnx::{Dim, Graph, Tensor};

    /// A model with these inputs and one output.
    fn model(inputs: Vec<ValueInfo>, output: DType) -> Model {
        let outputs = vec![ValueInfo::tensor("y", output, [Dim::Unknown])];
        Model { ir_version: 8, graph: Graph { inputs, outputs, ..Default::default() }, ..Default::default() }
    }

    fn float(name: &str, dims: &[Dim]) -> ValueInfo {
        ValueInfo::tensor(name, DType::F32, dims.to_vec())
    }

    fn refusal(inputs: Vec<ValueInfo>, output: DType) -> String {
        Signature::of(&model(inputs, output), Kind::TRACT).unwrap_err().to_string()
    }

    #[test]
    fn what_a_session_cannot_carry_is_refused_by_name() {
        let start = "runtime tract failed to load the model: ";
        let half = ValueInfo::tensor("x", DType::F16, [Dim::Known(1)]);
        assert_eq!(refusal(vec![half], DType::F16), format!("{start}input `x` is float16, not float32"));
        assert_eq!(refusal(vec![], DType::U8), format!("{start}output `y` is uint8, not float32"));
        let open = float("x", &[Dim::Known(1), Dim::from("H"), Dim::Unknown]);
        let told = format!("{start}input `x` has the open shape [1, H, ?]; give it a fixed one");
        assert_eq!(refusal(vec![open], DType::F32), told);
    }

    #[test]
    fn tensors_are_held_to_the_inputs() {
        let inputs = vec![float("a", &[Dim::Known(2)]), float("b", &[Dim::Known(1), Dim::Known(3)])];
        let signature = Signature::of(&model(inputs, DType::F32), Kind::ORT).unwrap();
        let (a, b) = (ArrayD::zeros(IxDyn(&[2])), ArrayD::zeros(IxDyn(&[1, 3])));
        assert!(signature.check(&[a.view(), b.view()]).is_ok());
        let one = signature.check(&[a.view()]).unwrap_err().to_string();
        assert!(one.ends_with("the model takes 2 input(s) (`a`, `b`), and 1 came"), "{one}");
        let swapped = signature.check(&[b.view(), a.view()]).unwrap_err().to_string();
        assert!(swapped.ends_with("input `a` is prepared for the shape [2], and [1, 3] came"), "{swapped}");
    }

    #[test]
    fn initializers_are_no_inputs_since_ir_version_4() {
        let inputs = vec![float("x", &[Dim::Known(1)]), float("w", &[Dim::Known(1)])];
        let mut model = model(inputs, DType::F32);
        model.graph.initializers.insert("w".into(), Tensor::scalar(1.0));
        assert_eq!(without_idle_inputs(&model).graph.inputs.len(), 1);
        assert_eq!(Signature::of(&model, Kind::ORT).unwrap().inputs.len(), 1);
        model.ir_version = 3;
        assert_eq!(without_idle_inputs(&model).graph.inputs.len(), 2);
    }
}
