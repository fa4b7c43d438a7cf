//! The gradient of EDSR: the graph on ONNX Runtime and tract, libtorch's autograd, and a finite
//! difference in f64 give one answer, at the published size and a small one, odd sizes included.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

#[path = "common/question.rs"]
mod question;
#[path = "common/trials.rs"]
mod trials;

use std::process::ExitCode;

use question::{Question, relative};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{Model, Tensor as TensorOfFile};
use temper::rewrite::specialise;
use temper::runtime::{self, Kind};
use temper::zoo::Edsr;
use trials::{runtime as need, trial};

const CASES: [(Edsr, [usize; 2]); 6] = [
    (Edsr::baseline(4), [17, 23]),
    (Edsr::baseline(4), [40, 48]),
    (Edsr { features: 16, blocks: 4, scale: 4 }, [31, 29]),
    (Edsr { features: 16, blocks: 4, scale: 4 }, [1, 5]),
    (Edsr { features: 8, blocks: 2, scale: 2 }, [20, 33]),
    (Edsr { features: 8, blocks: 2, scale: 3 }, [13, 8]),
];

/// The network with every Relu far from its kink: half the channels on, half off.
///
/// Of the two million Relu inputs of EDSR-baseline at 40 x 48 some lie so near zero that float32
/// rounds them to the other side on one runtime. That runtime then gives the gradient of the other
/// side, 1e-4 away and no less true; libtorch in float32 differs from itself in float64 by as much.
/// Away from the kinks there is one gradient, and everyone must find it.
fn off_the_kinks(edsr: Edsr) -> Model {
    let mut model = edsr.build(3).unwrap();
    for (name, tensor) in &mut model.graph.initializers {
        if name.starts_with("body.") && name.ends_with(".0.bias") {
            let far = |channel| if channel % 2 == 0 { 150.0 } else { -150.0 };
            *tensor =
                TensorOfFile::f32(tensor.shape(), (0..tensor.len()).map(far).collect::<Vec<_>>()).unwrap();
        }
    }
    model
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for (edsr, size) in CASES {
        for kind in [Kind::ORT, Kind::TRACT] {
            let name = format!("{} on {kind}", name(edsr, size));
            let off_kinks = move |kind| holds_within(1e-5, off_the_kinks(edsr), size, kind);
            tests.push(need(kind).trial(format!("the graph and autograd agree: {name}"), off_kinks));
            let among = move |kind| holds_within(1e-3, edsr.build(3).unwrap(), size, kind);
            tests.push(need(kind).trial(format!("the graph and autograd agree among kinks: {name}"), among));
        }
        let name = format!("a finite difference agrees: {}", name(edsr, size));
        tests.push(trial(name, move || a_finite_difference_agrees(edsr, size)));
    }
    tests.push(trial("at x0 the gradient is zero and not NaN", at_x0_the_gradient_is_zero_and_not_nan));
    trials::run(tests)
}

fn name(edsr: Edsr, [height, width]: [usize; 2]) -> String {
    let Edsr { features, blocks, scale } = edsr;
    format!("EDSR {blocks} x {features}, x{scale}, at {height} x {width}")
}

fn holds_within(tolerance: f64, network: Model, size: [usize; 2], kind: Kind) {
    let question = Question::new(network, size);
    let error = relative(&question.by_graph(kind), &question.by_autograd());
    assert!(error <= tolerance, "{error:e}");
}

fn a_finite_difference_agrees(edsr: Edsr, size: [usize; 2]) {
    let question = Question::new(off_the_kinks(edsr), size);
    let gradient = question.by_graph(Kind::TRACT);
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let direction = gradient.mapv(|_| rng.random_range(-1.0..1.0));
    let expected = question.slope(&direction);
    let found: f64 = gradient.iter().zip(&direction).map(|(&g, d)| f64::from(g) * d).sum();
    let error = (found - expected).abs() / expected.abs();
    assert!(error < 1e-4, "difference {expected:e}, gradient {found:e}");
}

fn at_x0_the_gradient_is_zero_and_not_nan() {
    let mut question = Question::new(CASES[4].0.build(3).unwrap(), CASES[4].1);
    let mut forward = runtime::open(Kind::TRACT)
        .unwrap()
        .load(&specialise(&question.model, &[question.image.shape()]).unwrap())
        .unwrap();
    question.target = forward.run(&[question.image.view()]).unwrap().remove(0);
    assert!(question.by_graph(Kind::TRACT).iter().all(|value| *value == 0.0));
}
