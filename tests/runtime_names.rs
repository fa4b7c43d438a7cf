//! Runtimes by name and setting, and a runtime that the caller brings.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use std::sync::Arc;

use ndarray::{Array4, ArrayD, ArrayViewD};
use temper::onnx::Model;
use temper::oracle::{Objective, Oracle};
use temper::runtime::{self, Kind, Runtime, RuntimeError, Session};
use temper::zoo::Edsr;

fn model() -> Model {
    Edsr { features: 8, blocks: 1, scale: 2 }.build(1).unwrap()
}

fn output(runtime: Box<dyn Runtime>, image: &Array4<f32>) -> ArrayD<f32> {
    let mut oracle = Oracle::new(Arc::from(runtime), Arc::new(model()), Objective::Distance);
    oracle.forward(image.view()).unwrap().into_dyn()
}

fn image() -> Array4<f32> {
    Array4::from_shape_fn((1, 3, 9, 11), |(_, c, y, x)| ((5 * c + 3 * y + 7 * x) % 13) as f32 / 12.0)
}

fn difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.iter().zip(b).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
}

/// Every setting either computes what the default does, or says what this machine lacks.
#[test]
fn every_setting_runs_or_says_what_is_missing() {
    let image = image();
    let expected = output(runtime::open(Kind::TRACT).unwrap(), &image);
    let range = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    for (name, share) in [
        ("ort", 1e-5),
        ("ort:opt=none", 1e-5),
        ("ort:opt=basic", 1e-5),
        ("ort:opt=extended", 1e-5),
        ("ort:threads=1", 1e-5),
        ("ort:cuda", 1e-4),
        ("ort:cuda,tf32=on", 1e-2),
        ("ort:openvino", 1e-3),
        ("tract:opt=off", 1e-5),
        ("torch", 1e-5),
        ("torch:f64", 1e-5),
        ("torch:bf16", 5e-2),
        ("torch:cuda", 1e-4),
    ] {
        let kind: Kind = name.parse().unwrap();
        match runtime::open(kind) {
            Ok(runtime) => {
                assert_eq!(runtime.kind(), kind);
                let found = difference(&output(runtime, &image), &expected);
                assert!(found <= share * range, "{name}: {found} of {range}");
            }
            Err(error) => {
                assert!(matches!(error, RuntimeError::Unavailable { .. }), "{error}");
                let said = error.to_string();
                assert!(said.starts_with(&format!("runtime {kind} is not available: ")), "{said}");
                assert!(!["tract", "torch:f64"].contains(&name) || cfg!(not(feature = "torch")), "{said}");
            }
        }
    }
}

/// A runtime of the caller's own: the file and the row of another would hold no more than this.
struct Mine(Box<dyn Runtime>);

impl Runtime for Mine {
    fn kind(&self) -> Kind {
        Kind::named("mine")
    }

    fn version(&self) -> String {
        "1.0".into()
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError> {
        Ok(Box::new(Halved(self.0.load(model)?)))
    }
}

/// Gives half of what another session gives.
struct Halved(Box<dyn Session>);

impl Session for Halved {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let outputs = self.0.run(inputs)?;
        Ok(outputs.into_iter().map(|output| 0.5 * output).collect())
    }
}

#[test]
fn a_runtime_can_be_handed_in() {
    let (image, tract) = (image(), || runtime::open(Kind::TRACT).unwrap());
    let mine = output(Box::new(Mine(tract())), &image);
    assert_eq!(mine, 0.5 * output(tract(), &image));
    let mut oracle = Oracle::new(Arc::new(Mine(tract())), Arc::new(model()), Objective::Distance);
    assert_eq!(oracle.kind().name(), "mine");
    let target = Array4::zeros((1, 3, mine.shape()[2], mine.shape()[3]));
    let (_, gradient) = oracle.value_and_gradient(image.view(), target.view()).unwrap();
    assert!(gradient.iter().any(|value| *value != 0.0));
}
