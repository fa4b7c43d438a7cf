//! The gradient of EDSR: the graph on ONNX Runtime and tract, libtorch's autograd, and a finite
//! difference in f64 give one answer, at the published size and a small one, odd sizes included.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)] // helpers of tests are tests

#[path = "common/question.rs"]
mod question;

use question::{Question, relative};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{Model, Tensor as TensorOfFile};
use temper::rewrite::specialise;
use temper::runtime::{self, Kind};
use temper::zoo::Edsr;

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

fn holds_within(tolerance: f64, network: fn(Edsr) -> Model) {
    for (edsr, size) in CASES {
        let question = Question::new(network(edsr), size);
        let expected = question.by_autograd();
        for kind in [Kind::ORT, Kind::TRACT] {
            let Some(found) = question.by_graph(kind) else { continue };
            let error = relative(&found, &expected);
            println!("{edsr:?} at {size:?} on {kind}: relative error {error:.1e}");
            assert!(error <= tolerance, "{edsr:?} at {size:?} on {kind}: {error:e}");
        }
    }
}

#[test]
fn the_graph_and_autograd_agree() {
    holds_within(1e-5, off_the_kinks);
}

#[test]
fn the_graph_and_autograd_agree_among_kinks() {
    holds_within(1e-3, |edsr| edsr.build(3).unwrap());
}

#[test]
fn a_finite_difference_agrees() {
    for (edsr, size) in CASES {
        let question = Question::new(off_the_kinks(edsr), size);
        let gradient = question.by_graph(Kind::TRACT).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let direction = gradient.mapv(|_| rng.random_range(-1.0..1.0));
        let expected = question.slope(&direction);
        let found: f64 = gradient.iter().zip(&direction).map(|(&g, d)| f64::from(g) * d).sum();
        let error = (found - expected).abs() / expected.abs();
        println!("{edsr:?} at {size:?}: slope {expected:.6e}, relative error {error:.1e}");
        assert!(error < 1e-4, "{edsr:?} at {size:?}: difference {expected:e}, gradient {found:e}");
    }
}

#[test]
fn at_x0_the_gradient_is_zero_and_not_nan() {
    let mut question = Question::new(CASES[4].0.build(3).unwrap(), CASES[4].1);
    let mut forward = runtime::open(Kind::TRACT)
        .unwrap()
        .load(&specialise(&question.model, &[question.image.shape()]).unwrap())
        .unwrap();
    question.target = forward.run(&[question.image.view()]).unwrap().remove(0);
    assert!(question.by_graph(Kind::TRACT).unwrap().iter().all(|value| *value == 0.0));
}
