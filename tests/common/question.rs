//! One question about a network's gradient, and who answers it: the gradient graph on a runtime,
//! libtorch's autograd, a finite difference.

#![allow(dead_code, clippy::unwrap_used)] // every test file uses its own part

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::Model;
use temper::oracle::{Objective, gradient_model, objective_model};
use temper::rewrite::specialise;
use temper::runtime::torch::Program;
use temper::runtime::{self, Kind};
use temper::torch::{Device, Kind as Number, Tensor};

pub struct Question {
    pub model: Model,
    pub image: ArrayD<f32>,
    pub target: ArrayD<f32>,
}

impl Question {
    /// The gradient near x0 of the distance to S(x0), as an attack asks for it.
    pub fn new(model: Model, [height, width]: [usize; 2]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let shape = IxDyn(&[1, 3, height, width]);
        let x0 = ArrayD::from_shape_simple_fn(shape, || rng.random_range(0.05_f32..0.95));
        let image = x0.mapv(|value| value + rng.random_range(-0.2_f32..0.2));
        let fixed = specialise(&model, &[x0.shape()]).unwrap();
        let mut forward = runtime::open(Kind::TRACT).unwrap().load(&fixed).unwrap();
        let target = forward.run(&[x0.view()]).unwrap().remove(0);
        Self { model, image, target }
    }

    pub fn by_graph(&self, kind: Kind) -> ArrayD<f32> {
        let runtime = runtime::open(kind).unwrap();
        let (graph, stopped) = gradient_model(&self.model, &Objective::Distance, self.image.shape()).unwrap();
        assert!(stopped.is_empty());
        let mut session = runtime.load(&graph).unwrap();
        session.run(&[self.image.view(), self.target.view()]).unwrap().remove(1)
    }

    pub fn by_autograd(&self) -> ArrayD<f32> {
        let model = objective_model(&self.model, &Objective::Distance, self.image.shape()).unwrap();
        let runtime = runtime::open(Kind::TORCH).unwrap();
        let mut session = runtime.autograd(&model, "image").unwrap().unwrap();
        session.run(&[self.image.view(), self.target.view()]).unwrap().remove(1)
    }

    /// The slope along `direction`, by a central difference in f64.
    pub fn slope(&self, direction: &ArrayD<f64>) -> f64 {
        const STEP: f64 = 1e-7;
        let model = objective_model(&self.model, &Objective::Distance, self.image.shape()).unwrap();
        let program = Program::compile(&model, Device::Cpu, Number::Double).unwrap();
        let tensor = |values: Vec<f64>, shape: &[usize]| {
            let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
            Tensor::from_slice(&values).view(shape.as_slice())
        };
        let target = tensor(self.target.iter().map(|&value| value.into()).collect(), self.target.shape());
        let at = |step: f64| {
            let moved = self.image.iter().zip(direction).map(|(&x, d)| f64::from(x) + step * d).collect();
            let inputs = [tensor(moved, self.image.shape()), target.shallow_clone()];
            program.run(&inputs).unwrap()[0].double_value(&[])
        };
        (at(STEP) - at(-STEP)) / (2.0 * STEP)
    }
}

/// The length of the difference over the length of `b`.
pub fn relative(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f64 {
    let square = |value: f64| value * value;
    let difference: f64 = a.iter().zip(b).map(|(&a, &b)| square(f64::from(a) - f64::from(b))).sum();
    let length: f64 = b.iter().map(|&b| square(b.into())).sum();
    (difference / length).sqrt()
}
