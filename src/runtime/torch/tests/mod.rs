//! The interpreter against values worked out by hand, and its gradients against finite differences.

mod normalisation;
mod operators;
mod program;

use ndarray::ArrayD;

use super::*;
use crate::onnx::{Attribute, DType, Node, Tensor as Weights, ValueInfo};

/// One operator on given inputs.
struct Case {
    node: Node,
    opset: i64,
    inputs: Vec<Option<Weights>>,
}

fn case(op: &str, opset: i64) -> Case {
    let node = Node { op: op.into(), name: "n".into(), outputs: vec!["y0".into()], ..Default::default() };
    Case { node, opset, inputs: Vec::new() }
}

fn floats(shape: &[usize], values: &[f32]) -> Weights {
    Weights::f32(shape, values).unwrap()
}

/// 0, 1, 2, ... in a shape.
fn count(shape: &[usize]) -> Weights {
    floats(shape, &(0..shape.iter().product()).map(|value: usize| value as f32).collect::<Vec<_>>())
}

impl Case {
    fn input(mut self, tensor: Weights) -> Self {
        self.inputs.push(Some(tensor));
        self
    }

    fn left_out(mut self) -> Self {
        self.inputs.push(None);
        self
    }

    fn with(mut self, name: &str, attribute: impl Into<Attribute>) -> Self {
        self.node.attributes.insert(name.into(), attribute.into());
        self
    }

    fn outputs(mut self, number: usize) -> Self {
        self.node.outputs = (0..number).map(|index| format!("y{index}")).collect();
        self
    }

    /// The inputs as initializers, so that any element type can be given.
    fn model(&self) -> Model {
        let mut model = Model { opsets: [(String::new(), self.opset)].into(), ..Default::default() };
        let mut node = self.node.clone();
        for (index, input) in self.inputs.iter().enumerate() {
            let name = input.as_ref().map_or(String::new(), |_| format!("x{index}"));
            if let Some(tensor) = input {
                model.graph.initializers.insert(name.clone(), tensor.clone());
            }
            node.inputs.push(name);
        }
        let output = |name: &String| ValueInfo { ty: None, ..ValueInfo::tensor(name, DType::F32, []) };
        model.graph.outputs = node.outputs.iter().map(output).collect();
        model.graph.nodes = vec![node];
        model
    }

    fn run(&self) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        Torch::new(Device::Cpu).load(&self.model())?.run(&[])
    }

    fn refusal(&self) -> String {
        self.run().unwrap_err().to_string()
    }

    #[track_caller]
    fn gives(&self, shape: &[usize], values: &[f32]) {
        let outputs = self.run().unwrap();
        assert_output(&outputs[0], shape, values);
    }
}

#[track_caller]
fn assert_output(output: &ArrayD<f32>, shape: &[usize], values: &[f32]) {
    assert_eq!(output.shape(), shape);
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
    assert!(output.iter().zip(values).all(close), "{output} against {values:?}");
    assert_eq!(output.len(), values.len());
}
