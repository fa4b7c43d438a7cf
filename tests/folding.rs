//! What is computed before anything runs is what libtorch computes.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used)] // helpers of tests are tests

use temper::onnx::{Attribute, DType, Graph, Model, Node, Tensor, ValueInfo};
use temper::rewrite::{Array, infer};
use temper::runtime::{self, Kind};

/// A node over constants.
struct Case {
    op: &'static str,
    inputs: Vec<Option<Tensor>>,
    attributes: Vec<(&'static str, Attribute)>,
}

fn case(op: &'static str, inputs: impl IntoIterator<Item = Tensor>) -> Case {
    Case { op, inputs: inputs.into_iter().map(Some).collect(), attributes: vec![] }
}

impl Case {
    fn with(mut self, name: &'static str, value: impl Into<Attribute>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    fn model(&self) -> Model {
        let mut graph = Graph::default();
        let mut node = Node { op: self.op.into(), outputs: vec!["y".into()], ..Default::default() };
        for (index, input) in self.inputs.iter().enumerate() {
            let name = input.as_ref().map_or(String::new(), |_| format!("c{index}"));
            if let Some(tensor) = input {
                graph.initializers.insert(name.clone(), tensor.clone());
            }
            node.inputs.push(name);
        }
        node.attributes =
            self.attributes.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        graph.nodes.push(node);
        graph.outputs.push(ValueInfo { ty: None, ..ValueInfo::tensor("y", DType::F32, []) });
        Model { opsets: [(String::new(), 17)].into(), graph, ..Default::default() }
    }

    /// Folds it, runs it, and compares.
    fn check(&self) {
        let model = self.model();
        let types = infer(&model).unwrap();
        let folded = types.constant("y");
        assert!(folded.is_some(), "{} is not folded", self.op);
        let folded = folded.unwrap();
        let run = runtime::open(Kind::TORCH).unwrap().load(&model).unwrap().run(&[]).unwrap().remove(0);
        assert_eq!(folded.shape(), run.shape(), "{}", self.op);
        assert_eq!(types.get("y").map(|ty| ty.shape.as_slice()), Some(run.shape()), "{}", self.op);
        let folded = Array::of(folded).unwrap().to_float();
        let close = |(a, b): (&f64, &f32)| (a - f64::from(*b)).abs() <= 1e-6 * a.abs().max(1.0);
        assert!(folded.iter().zip(&run).all(close), "{}: {folded} against {run}", self.op);
    }
}

fn floats() -> Tensor {
    Tensor::f32(&[2, 3], vec![0.5, -1.5, 2.0, 3.0, -0.25, 0.75]).unwrap()
}

fn row() -> Tensor {
    Tensor::f32(&[3], vec![1.0, -1.0, 0.5]).unwrap()
}

#[test]
fn functions_of_one_number() {
    for op in
        ["Abs", "Neg", "Exp", "Reciprocal", "Sin", "Cos", "Tan", "Atan", "Sigmoid", "Tanh", "Relu", "Dropout"]
    {
        case(op, [floats()]).check();
    }
    for op in ["Log", "Sqrt"] {
        case(op, [Tensor::f32(&[2], vec![0.5, 3.0]).unwrap()]).check();
    }
    case("Abs", [Tensor::ints(&[-3, 4])]).check();
    case("Neg", [Tensor::ints(&[-3, 4])]).check();
}

#[test]
fn many_become_one() {
    for op in ["Sum", "Mean", "Max", "Min"] {
        case(op, [floats(), row(), Tensor::scalar(0.25)]).check();
        case(op, [floats()]).check();
    }
    for op in ["Max", "Min"] {
        case(op, [Tensor::ints(&[1, 5]), Tensor::ints(&[3])]).check();
    }
}

#[test]
fn powers() {
    case("Pow", [floats(), Tensor::scalar(2.0)]).check();
    case("Pow", [floats(), Tensor::ints(&[3])]).check();
    case("Pow", [Tensor::ints(&[2, 3]), Tensor::ints(&[10])]).check();
}

#[test]
fn limits() {
    case("Clip", [floats(), Tensor::scalar(-1.0), Tensor::scalar(1.0)]).check();
    case("Clip", [Tensor::ints(&[-3, 4]), Tensor::i64(&[], vec![0]).unwrap()]).check();
    let from_above =
        Case { inputs: vec![Some(floats()), None, Some(Tensor::scalar(0.6))], ..case("Clip", []) };
    from_above.check();
}

#[test]
fn reductions() {
    let all =
        ["ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"];
    for op in all {
        case(op, [floats()]).check();
        case(op, [floats()]).with("axes", vec![-1]).with("keepdims", 0).check();
        let cube =
            Tensor::f32(&[2, 2, 3], (1..=12).map(|value| value as f32 / 5.0).collect::<Vec<_>>()).unwrap();
        case(op, [cube]).with("axes", vec![2, 0]).check();
    }
    case("ReduceSum", [floats(), Tensor::ints(&[0])]).check();
    case("ReduceProd", [Tensor::ints(&[2, 3, 4])]).with("keepdims", 0).check();
    case("ReduceMax", [Tensor::ints(&[2, 9, 4])]).check();
}
