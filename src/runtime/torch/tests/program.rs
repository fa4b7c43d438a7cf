//! Programs of a whole network: gradients, taps, weights written back, half precision.

use super::*;
use crate::onnx::{Dim, GraphBuilder};
use crate::torch::Kind as Elements;
use crate::zoo::{Edsr, TAP};

/// `sum(weights * S(x))` of a small EDSR: a scalar that depends on every part of the network.
fn objective() -> Model {
    let mut model = Edsr { features: 4, blocks: 2, scale: 2 }.build(3).unwrap();
    let output = model.graph.outputs.remove(0).name;
    let mut graph = GraphBuilder::from_graph(std::mem::take(&mut model.graph));
    let values: Vec<f32> = (0..3 * 10 * 14).map(|index| (index as f32 * 0.37).sin()).collect();
    let weights = graph.constant("weights", Weights::f32(&[1, 3, 10, 14], values).unwrap());
    let product = graph.node("Mul", "product", &[&output, &weights], []);
    let sum = graph.node("ReduceSum", "sum", &[&product], [("keepdims", Attribute::Int(0))]);
    graph.output(ValueInfo::tensor(sum, DType::F32, []));
    model.graph = graph.finish();
    model
}

fn image(kind: Elements) -> Tensor {
    let values: Vec<f64> = (0..3 * 5 * 7).map(|index| 0.5 + 0.4 * (index as f64 * 0.71).sin()).collect();
    Tensor::from_slice(&values).view([1, 3, 5, 7]).to_kind(kind)
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).sum(Elements::Double).double_value(&[])
}

#[test]
fn the_gradient_by_the_image_and_by_every_weight_agrees_with_finite_differences() {
    let mut program = Program::compile(&objective(), Device::Cpu, Elements::Double).unwrap();
    program.set_trainable(true);
    let x = image(Elements::Double).set_requires_grad(true);
    let value = || program.run(&[x.shallow_clone()]).unwrap().remove(0);
    let mut leaves = program.parameters();
    assert_eq!(leaves.len(), 2 * (1 + 4 + 1 + 1 + 1));
    leaves.push(("image".into(), x.shallow_clone()));
    let handles: Vec<&Tensor> = leaves.iter().map(|(_, leaf)| leaf).collect();
    let gradients = Tensor::run_backward(&[value()], &handles, false, false);
    let step = 1e-6;
    for ((name, leaf), gradient) in leaves.iter().zip(&gradients) {
        let direction = (leaf.detach() * 7.3 + 0.4).sin();
        let shift = |by: f64| no_grad(|| drop(leaf.shallow_clone().g_add_(&(&direction * by))));
        let at = |by| {
            shift(by);
            let found = no_grad(|| value().double_value(&[]));
            shift(-by);
            found
        };
        let numeric = (at(step) - at(-step)) / (2.0 * step);
        let analytic = dot(gradient, &direction);
        assert!((numeric - analytic).abs() <= 1e-6 * numeric.abs().max(1.0), "{name}: {numeric} {analytic}");
    }
}

#[test]
fn the_autograd_session_gives_value_and_gradient() {
    let model = objective();
    let x = image(Elements::Float);
    let mut session = Torch::new(Device::Cpu).autograd(&model, "image").unwrap().unwrap();
    let found = session.run(&[torch::to_ndarray(&x).unwrap().view()]).unwrap();
    assert_eq!(found[1].shape(), [1, 3, 5, 7]);

    let double = Program::compile(&model, Device::Cpu, Elements::Double).unwrap();
    let x = image(Elements::Double).set_requires_grad(true);
    let value = double.run(&[x.shallow_clone()]).unwrap().remove(0);
    let gradient = gradient(&value, &x).unwrap();
    let error = (torch::from_ndarray(found[1].view()) - &gradient).norm().double_value(&[]);
    assert!(error < 1e-5 * gradient.norm().double_value(&[]), "{error}");
    assert!((f64::from(found[0][[]]) - value.double_value(&[])).abs() < 1e-3);

    let Some(Err(error)) = Torch::new(Device::Cpu).autograd(&model, "picture") else {
        panic!("no such input")
    };
    assert!(error.to_string().contains("no input `picture`"));
}

#[test]
fn a_tap_replaces_a_value_for_everything_downstream() {
    let model = Edsr { features: 4, blocks: 1, scale: 2 }.build(0).unwrap();
    let program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    let x = [image(Elements::Float)];
    let plain = program.run(&x).unwrap().remove(0);
    let mut seen = Vec::new();
    let mut tapped = |tap: &str, by: f64| {
        let run = program.run_tapped::<RuntimeError>(&x, tap, &mut |phi| {
            seen.push(phi.size());
            Ok(phi + by)
        });
        run.map(|mut outputs| outputs.remove(0))
    };
    assert_eq!(tapped(&model.metadata[TAP], 0.0).unwrap(), plain);
    assert_ne!(tapped(&model.metadata[TAP], 1.0).unwrap(), plain);
    assert_ne!(tapped("image", 1.0).unwrap(), plain);
    assert!(tapped("nowhere", 0.0).unwrap_err().to_string().contains("`nowhere`"));
    assert!(tapped("head.weight", 0.0).unwrap_err().to_string().contains("is a weight"));
    assert_eq!(seen, [[1, 4, 5, 7], [1, 4, 5, 7], [1, 3, 5, 7]]);
}

#[test]
fn trained_weights_go_back_into_the_graph() {
    let mut model = Edsr { features: 4, blocks: 1, scale: 2 }.build(0).unwrap();
    let original = model.clone();
    let program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    program.write_back(&mut model).unwrap();
    assert_eq!(model, original);
    for (_, parameter) in program.parameters() {
        let _ = parameter.shallow_clone().g_mul_scalar_(0.5);
    }
    program.write_back(&mut model).unwrap();
    let x = image(Elements::Float);
    let again = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    let run = |program: &Program| program.run(&[x.shallow_clone()]).unwrap().remove(0);
    assert_eq!(run(&program), run(&again));
    model.graph.initializers.shift_remove("head.bias");
    assert!(program.write_back(&mut model).unwrap_err().to_string().contains("no weight `head.bias`"));
}

#[test]
fn half_precision_weights_are_computed_in_float32_and_written_back_as_they_were() {
    let mut graph = GraphBuilder::new("half");
    let x = graph.input(ValueInfo::tensor("x", DType::F16, [Dim::Known(2)]));
    let values = [0.1, 3.0].map(half::f16::from_f32);
    let weight = graph.initializer("w", Weights::f16(&[2], values).unwrap());
    let y = graph.node("Mul", "y", &[&x, &weight], []);
    graph.output(ValueInfo::tensor(y, DType::F16, [Dim::Known(2)]));
    let mut model =
        Model { opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Default::default() };
    let original = model.clone();
    let program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    let y = program.run(&[Tensor::from_slice(&[1f32, 1.0])]).unwrap().remove(0);
    assert_eq!(torch::to_vec::<f32>(&y).unwrap(), values.map(|value| value.to_f32()));
    program.write_back(&mut model).unwrap();
    assert_eq!(model, original);
}

#[test]
fn the_wrong_number_of_inputs_is_refused() {
    let model = Edsr { features: 4, blocks: 1, scale: 2 }.build(0).unwrap();
    let mut session = Torch::new(Device::Cpu).load(&model).unwrap();
    assert!(session.run(&[]).unwrap_err().to_string().contains("takes 1 inputs and was given 0"));
}
