//! The independent answers to one question: the gradient of a weighted sum of a case's output.

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::Model;
use temper::rewrite::{Emitter, gradient, specialise};
use temper::runtime::{self, Kind};

use super::case::{Case, random};

/// What one way of asking gave.
pub enum Answer {
    /// The value and its whole gradient.
    Gradient { who: String, value: f32, gradient: Vec<f32> },
    #[cfg_attr(not(feature = "torch"), allow(dead_code))] // libtorch alone computes in f64
    /// The slope along one direction: by finite difference, and by the first gradient.
    Slope { expected: f64, gradient: f64 },
    /// It should have worked.
    Failed { who: String, reason: String },
}

/// Asks everyone who can answer.
pub fn answers(case: &Case) -> Vec<Answer> {
    let objective = match objective(case) {
        Ok(model) => model,
        Err(reason) => return vec![Answer::Failed { who: "the rewrite".into(), reason }],
    };
    let x = input(case);
    let mut answers = Vec::new();
    for kind in [Kind::ORT, Kind::TRACT] {
        if case.excluded.iter().any(|(excluded, _)| *excluded == kind) {
            continue;
        }
        match on_graph(kind, case, &x) {
            Ok(Some((value, gradient))) => {
                answers.push(Answer::Gradient { who: kind.to_string(), value, gradient });
            }
            Ok(None) => {}
            Err(reason) => answers.push(Answer::Failed { who: kind.to_string(), reason }),
        }
    }
    libtorch(&objective, &x, &mut answers);
    answers.retain(|answer| !(case.bent && matches!(answer, Answer::Slope { .. })));
    answers
}

/// What the case's model itself gives, on everyone who runs it.
pub fn outputs(case: &Case) -> Vec<Answer> {
    let fixed = match specialise(&case.model, &[&case.shape]) {
        Ok(model) => model,
        Err(error) => return vec![Answer::Failed { who: "the rewrite".into(), reason: error.to_string() }],
    };
    let x = input(case);
    let excluded = |kind: &Kind| case.excluded.iter().any(|(excluded, _)| excluded == kind);
    let mut answers = Vec::new();
    for kind in [Kind::TORCH, Kind::TRACT, Kind::ORT].into_iter().filter(|kind| !excluded(kind)) {
        let Ok(runtime) = runtime::open(kind) else { continue };
        let outputs = runtime.load(&fixed).and_then(|mut session| session.run(&[x.view()]));
        answers.push(match outputs {
            Ok(mut outputs) => {
                let output = outputs.remove(0).into_iter().collect();
                Answer::Gradient { who: kind.to_string(), value: 0.0, gradient: output }
            }
            Err(error) => Answer::Failed { who: kind.to_string(), reason: error.to_string() },
        });
    }
    answers
}

/// Why a case has no gradient graph; nothing where it has one.
pub fn refusal(case: &Case) -> Option<String> {
    let written = weighted_sum(case).and_then(|(mut emitter, sum)| {
        gradient(&mut emitter, &sum, "x").map(|_| ()).map_err(|error| error.to_string())
    });
    written.err()
}

fn input(case: &Case) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (low, high) = case.range;
    ArrayD::from_shape_simple_fn(IxDyn(&case.shape), || rng.random_range(low..=high))
}

/// The case's model with the weighted sum as its one output.
fn objective(case: &Case) -> Result<Model, String> {
    let (emitter, sum) = weighted_sum(case)?;
    emitter.finish(&[("value", &sum)]).map_err(|error| error.to_string())
}

fn weighted_sum(case: &Case) -> Result<(Emitter, temper::rewrite::Value), String> {
    let failed = |error: temper::rewrite::RewriteError| error.to_string();
    let fixed = specialise(&case.model, &[&case.shape]).map_err(failed)?;
    let output = fixed.graph.outputs[0].name.clone();
    let mut emitter = Emitter::open(fixed).map_err(failed)?;
    let y = emitter.value(&output).map_err(failed)?;
    let weights = emitter.constant("weights", random(y.shape()));
    // A square beside it: the gradient of a linear operator would be constant, and be folded away.
    let weights = emitter.emit("Add", "weights", &[&y, &weights], []).map_err(failed)?;
    let weighted = emitter.emit("Mul", "weighted", &[&y, &weights], []).map_err(failed)?;
    let sum = emitter.reduce("ReduceSum", "sum", &weighted, &[], false).map_err(failed)?;
    Ok((emitter, sum))
}

/// The value and the gradient from the gradient graph on a runtime; nothing where the runtime is not installed.
fn on_graph(kind: Kind, case: &Case, x: &ArrayD<f32>) -> Result<Option<(f32, Vec<f32>)>, String> {
    let runtime = match runtime::open(kind) {
        Ok(runtime) => runtime,
        // `main` shows that it is not here.
        Err(_) => return Ok(None),
    };
    let (mut emitter, sum) = weighted_sum(case)?;
    let gradient = gradient(&mut emitter, &sum, "x").map_err(|error| error.to_string())?;
    let outputs = [("value", &sum), ("gradient", &gradient.value)];
    let model = emitter.finish(&outputs).map_err(|error| error.to_string())?;
    let mut session = runtime.load(&model).map_err(|error| error.to_string())?;
    let outputs = session.run(&[x.view()]).map_err(|error| error.to_string())?;
    Ok(Some(parts(&outputs)))
}

/// The value and the gradient.
fn parts(outputs: &[ArrayD<f32>]) -> (f32, Vec<f32>) {
    (outputs[0].sum(), outputs[1].iter().copied().collect())
}

#[cfg(not(feature = "torch"))]
fn libtorch(_: &Model, _: &ArrayD<f32>, _: &mut Vec<Answer>) {}

/// Autograd in f32, and a central difference in f64 along a seeded direction.
#[cfg(feature = "torch")]
fn libtorch(objective: &Model, x: &ArrayD<f32>, answers: &mut Vec<Answer>) {
    let who = || "libtorch".to_owned();
    let runtime = runtime::open(Kind::TORCH).expect("built with libtorch");
    let session = runtime.autograd(objective, "x").expect("libtorch differentiates");
    match session.and_then(|mut session| session.run(&[x.view()])) {
        Ok(outputs) => {
            let (value, gradient) = parts(&outputs);
            answers.push(Answer::Gradient { who: who(), value, gradient });
        }
        Err(error) => answers.push(Answer::Failed { who: who(), reason: error.to_string() }),
    }
    let Some(Answer::Gradient { gradient, .. }) = answers.first() else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let direction: Vec<f64> = gradient.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
    let along = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * d).sum();
    match slope(objective, x, &direction) {
        Ok(expected) => answers.push(Answer::Slope { expected, gradient: along }),
        Err(reason) => answers.push(Answer::Failed { who: "libtorch in f64".into(), reason }),
    }
}

#[cfg(feature = "torch")]
fn slope(objective: &Model, x: &ArrayD<f32>, direction: &[f64]) -> Result<f64, String> {
    use temper::runtime::torch::Program;
    use temper::torch::{Device, Kind as Number, Tensor};
    const STEP: f64 = 1e-6;
    let program =
        Program::compile(objective, Device::Cpu, Number::Double).map_err(|error| error.to_string())?;
    let shape: Vec<i64> = x.shape().iter().map(|&size| size as i64).collect();
    let at = |step: f64| {
        let moved: Vec<f64> = x.iter().zip(direction).map(|(x, d)| f64::from(*x) + step * d).collect();
        let outputs = program.run(&[Tensor::from_slice(&moved).view(shape.as_slice())]);
        outputs.map(|outputs| outputs[0].double_value(&[])).map_err(|error| error.to_string())
    };
    Ok((at(STEP)? - at(-STEP)?) / (2.0 * STEP))
}
