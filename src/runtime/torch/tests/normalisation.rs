//! BatchNormalization in training and after: batch statistics, running statistics, fixed statistics.

use super::*;
use crate::onnx::{Dim, GraphBuilder};
use crate::torch::Kind as Elements;

/// A graph of one BatchNormalization over two channels, whose statistics are initializers or fixed.
fn normalisation(fixed: bool) -> Model {
    let mut graph = GraphBuilder::new("norm");
    let x = graph.input(ValueInfo::tensor("x", DType::F32, [Dim::from("N"), Dim::Known(2), Dim::from("W")]));
    let tensor = |values: [f32; 2]| Weights::f32(&[2], values).unwrap();
    let scale = graph.initializer("scale", tensor([2.0, 1.0]));
    let bias = graph.initializer("bias", tensor([0.0, 1.0]));
    let mut statistic = |name: &str, values: [f32; 2]| match fixed {
        true => graph.constant(name, tensor(values)),
        false => graph.initializer(name, tensor(values)),
    };
    let (mean, variance) = (statistic("mean", [0.5, 0.0]), statistic("variance", [4.0, 1.0]));
    let attributes = [("epsilon", Attribute::Float(0.0)), ("momentum", Attribute::Float(0.75))];
    let y = graph.node("BatchNormalization", "y", &[&x, &scale, &bias, &mean, &variance], attributes);
    graph.output(ValueInfo::tensor(y, DType::F32, [Dim::from("N"), Dim::Known(2), Dim::from("W")]));
    Model { opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Default::default() }
}

fn batch() -> Tensor {
    // Channel 0 is 1, 3, 5, 7: mean 4, variance 5, unbiased 20/3. Channel 1 is 2, 2, 2, 4.
    Tensor::from_slice(&[1f32, 3.0, 2.0, 2.0, 5.0, 7.0, 2.0, 4.0]).view([2, 2, 2])
}

fn close(found: &Tensor, expected: &[f32]) {
    let found = torch::to_vec::<f32>(found).unwrap();
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
}

fn named(list: &[(String, Tensor)], name: &str) -> Tensor {
    list.iter().find(|(own, _)| own == name).unwrap().1.shallow_clone()
}

#[test]
fn in_training_normalisation_is_by_the_batch_and_running_statistics_follow() {
    let mut model = normalisation(false);
    let mut program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    program.set_trainable(true);
    let names = |list: Vec<(String, Tensor)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(program.parameters()), ["scale", "bias"]);
    assert_eq!(names(program.state()), ["scale", "bias", "mean", "variance"]);
    let evaluated = |program: &Program| program.run(&[batch()]).unwrap().remove(0);
    close(&evaluated(&program).select(1, 0), &[0.5, 2.5, 4.5, 6.5]);

    program.set_mode(Mode::Train);
    let trained = program.run(&[batch()]).unwrap().remove(0);
    let root = 5f32.sqrt();
    close(&trained.select(1, 0), &[-3.0, -1.0, 1.0, 3.0].map(|value| 2.0 * value / root));
    trained.sum(Elements::Float).backward();
    let [mean, variance] = ["mean", "variance"].map(|name| named(&program.state(), name));
    // Three quarters of the old, one of the batch's.
    close(&mean, &[0.75 * 0.5 + 0.25 * 4.0, 0.25 * 2.5]);
    close(&variance, &[0.75 * 4.0 + 0.25 * 20.0 / 3.0, 0.75 + 0.25]);
    assert!(!mean.requires_grad() && named(&program.state(), "scale").grad().defined());

    program.set_mode(Mode::Evaluate);
    let before = evaluated(&program);
    close(&mean, &[1.375, 0.625]);
    program.write_back(&mut model).unwrap();
    let written = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    assert_eq!(evaluated(&written), before);
}

#[test]
fn statistics_that_are_fixed_in_the_graph_stay_and_are_used_in_training() {
    let mut program = Program::compile(&normalisation(true), Device::Cpu, Elements::Float).unwrap();
    let run = |program: &Program| program.run(&[batch()]).unwrap().remove(0);
    let before = run(&program);
    program.set_mode(Mode::Train);
    assert_eq!(run(&program), before);
    assert_eq!(run(&program), before);
}

#[test]
fn statistics_that_are_not_to_be_trained_stay_and_are_used_in_training() {
    let mut program = Program::compile(&normalisation(false), Device::Cpu, Elements::Float).unwrap();
    let before = program.run(&[batch()]).unwrap().remove(0);
    program.train_only(&|name| name == "scale");
    assert_eq!(program.state().len(), 1);
    program.set_mode(Mode::Train);
    for _ in 0..2 {
        assert_eq!(program.run(&[batch()]).unwrap().remove(0), before);
    }
}

/// The deviation is the square root of the mean of squares: its derivative is known in closed form.
#[test]
fn the_statistics_of_a_layer_norm_carry_a_gradient() {
    let mut graph = GraphBuilder::new("norm");
    let x = graph.input(ValueInfo::tensor("x", DType::F32, [Dim::Known(2)]));
    let scale = graph.initializer("scale", Weights::f32(&[2], vec![1.0, 1.0]).unwrap());
    graph.push(Node {
        op: "LayerNormalization".into(),
        inputs: vec![x, scale],
        outputs: ["y", "mean", "inverse"].map(str::to_owned).to_vec(),
        attributes: [("epsilon".to_owned(), Attribute::Float(0.0))].into(),
        ..Node::default()
    });
    for name in ["mean", "inverse"] {
        graph.output(ValueInfo::tensor(name, DType::F32, [Dim::Known(1)]));
    }
    let model = Model { opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Default::default() };
    let program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    let by = |output: usize| {
        let x = Tensor::from_slice(&[1.0_f32, 3.0]).set_requires_grad(true);
        program.run(&[x.shallow_clone()]).unwrap()[output].sum(Elements::Float).backward();
        x.grad()
    };
    close(&by(0), &[0.5, 0.5]);
    // 1 / s with s = |b - a| / 2: its derivative is 2 / (b - a)^2 by a, and the opposite by b.
    close(&by(1), &[0.5, -0.5]);
}
