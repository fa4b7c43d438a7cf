//! Every objective has one gradient: by the graph on ONNX Runtime and tract, by libtorch's autograd, and
//! by a central difference in f64; and one value: in the graph, and in f64 from the output.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests

use std::sync::Arc;

use ndarray::{Array4, ArrayD, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::Model;
use temper::oracle::{Objective, Oracle, objective_model};
use temper::runtime::torch::Program;
use temper::runtime::{self, Kind};
use temper::torch::{Device, Kind as Number, Tensor};
use temper::zoo::Edsr;

/// Two gradients agree when they differ by at most this share of the larger one's length.
const TOLERANCE: f64 = 1e-5;

fn network() -> Model {
    Edsr { features: 8, blocks: 2, scale: 2 }.build(3).unwrap()
}

/// Every objective, features of one tap and of two.
fn objectives(model: &Model) -> Vec<Objective> {
    let tap = model.metadata["temper.tap"].clone();
    let first = model.graph.nodes.iter().find(|node| node.op == "Conv").unwrap().outputs[0].clone();
    vec![
        Objective::Distance,
        Objective::L1,
        Objective::Luma,
        Objective::Targeted,
        Objective::Cosine,
        Objective::Features(vec![tap.clone()]),
        Objective::Features(vec![first, tap]),
    ]
}

/// Images, and images of the output's size that are not the network's output.
fn question(batch: usize) -> (Array4<f32>, Array4<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut draw = |shape| Array4::from_shape_simple_fn(shape, || rng.random_range(0.05_f32..0.95));
    (draw((batch, 3, 11, 14)), draw((batch, 3, 22, 28)))
}

fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn apart(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    let difference = length(a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / length(b.iter().map(|b| f64::from(*b)))
}

/// The slope of the objective, summed over the batch, along `direction`.
fn slope(
    model: &Model,
    objective: &Objective,
    (x, target): (&Array4<f32>, &Array4<f32>),
    along: &[f64],
) -> f64 {
    const STEP: f64 = 1e-6;
    let graph = objective_model(model, objective, x.shape()).unwrap();
    let program = Program::compile(&graph, Device::Cpu, Number::Double).unwrap();
    let tensor = |values: Vec<f64>, like: &Array4<f32>| {
        let shape: Vec<i64> = like.shape().iter().map(|&size| size as i64).collect();
        Tensor::from_slice(&values).view(shape.as_slice())
    };
    let at = |step: f64| {
        let moved = x.iter().zip(along).map(|(&x, d)| f64::from(x) + step * d).collect();
        let target = tensor(target.iter().map(|&value| value.into()).collect(), target);
        let inputs = [tensor(moved, x), target];
        let inputs = if objective.takes_target() { &inputs[..] } else { &inputs[..1] };
        program.run(inputs).unwrap()[0].double_value(&[])
    };
    (at(STEP) - at(-STEP)) / (2.0 * STEP)
}

#[test]
fn every_objective_has_one_gradient() {
    let model = network();
    for (objective, batch) in objectives(&model).into_iter().flat_map(|of| [(of.clone(), 1), (of, 3)]) {
        let (x, target) = question(batch);
        let ask = |kind| {
            let runtime = Arc::from(runtime::open(kind).ok()?);
            let mut oracle = Oracle::new(runtime, Arc::new(model.clone()), objective.clone());
            Some(oracle.value_and_gradient(x.view(), target.view()).unwrap())
        };
        let (values, gradient) = ask(Kind::TORCH).unwrap();
        assert_eq!(values.len(), batch);
        for kind in [Kind::ORT, Kind::TRACT] {
            let Some((found, other)) = ask(kind) else { continue };
            let error = apart(&other, &gradient);
            println!("{objective:?}, {batch} image(s), {kind}: {error:.1e} from autograd");
            assert!(error <= TOLERANCE, "{objective:?} on {kind}: {error:e}");
            for (a, b) in found.iter().zip(&values) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{objective:?} on {kind}: {a}, not {b}");
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let along: Vec<f64> = x.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        let expected = slope(&model, &objective, (&x, &target), &along);
        let found: f64 = gradient.iter().zip(&along).map(|(&g, d)| f64::from(g) * d).sum();
        let error = (found - expected).abs() / expected.abs();
        println!("{objective:?}, {batch} image(s): slope {expected:.6e}, off by {error:.1e}");
        assert!(error <= 1e-4, "{objective:?}: difference {expected:e}, gradient {found:e}");
    }
}

#[test]
fn every_objective_has_one_value() {
    let model = network();
    for objective in objectives(&model).into_iter().filter(Objective::takes_target) {
        let (x, target) = question(3);
        let runtime = Arc::from(runtime::open(Kind::TRACT).unwrap());
        let mut oracle = Oracle::new(runtime, Arc::new(model.clone()), objective.clone());
        let in_graph = oracle.value_and_gradient(x.view(), target.view()).unwrap().0;
        let from_output = oracle.values(x.view(), target.view()).unwrap();
        for (a, b) in in_graph.iter().zip(&from_output) {
            assert!((a - b).abs() <= 1e-5 * b.abs(), "{objective:?}: {a} in the graph, {b} from the output");
        }
        assert_eq!(oracle.effort().gradients, 3);
    }
}

/// A feature's value needs a graph of its own, and no gradient.
#[test]
fn features_have_a_value_without_a_gradient() {
    let model = network();
    let objective = objectives(&model).pop().unwrap();
    let (x, target) = question(2);
    let runtime = Arc::from(runtime::open(Kind::TRACT).unwrap());
    let mut oracle = Oracle::new(runtime, Arc::new(model), objective);
    let (with, _) = oracle.value_and_gradient(x.view(), target.view()).unwrap();
    let gradients = oracle.effort().gradients;
    let without = oracle.values(x.view(), target.view()).unwrap();
    for (a, b) in with.iter().zip(&without) {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a}, not {b}");
    }
    assert_eq!(oracle.effort().gradients, gradients);
}

/// Where every channel is the same, nothing lies above or below the mean, and there is still a number.
#[test]
fn features_of_one_channel_are_no_nan() {
    let mut graph = temper::onnx::GraphBuilder::new("g");
    let dims = || [1, 1, 4, 4].map(temper::onnx::Dim::Known);
    let x = graph.input(temper::onnx::ValueInfo::tensor("x", temper::onnx::DType::F32, dims()));
    let y = graph.node("Relu", "y", &[&x], []);
    graph.output(temper::onnx::ValueInfo::tensor(y, temper::onnx::DType::F32, dims()));
    let opsets = [(String::new(), 17)].into();
    let model = Model { ir_version: 8, opsets, graph: graph.finish(), ..Default::default() };
    let objective = Objective::Features(vec!["y".into()]);
    let mut session = {
        let graph = temper::oracle::gradient_model(&model, &objective, &[1, 1, 4, 4]).unwrap().0;
        runtime::open(Kind::TRACT).unwrap().load(&graph).unwrap()
    };
    let image = ArrayD::from_elem(vec![1, 1, 4, 4], 0.5_f32);
    let outputs = session.run(&[image.view()]).unwrap();
    assert_eq!(outputs[0].iter().copied().collect::<Vec<_>>(), [0.0]);
    assert!(outputs[1].iter().all(|value| *value == 0.0));
    assert_eq!(outputs[1].len_of(Axis(2)), 4);
}
