//! Differentiates ONNX's backend node tests, which `tests/scripts/backend_nodes.py` writes as files.
//!
//! `cargo run --example backend_gradients --features torch -- FOLDER WHO [NAME...]` prints a line per case as
//! `backend_nodes` does. WHO is a runtime that runs the gradient graph, or `autograd`: libtorch's own. Both are held to
//! central differences in float64, element by element, of a seeded sum over the outputs. An element at which the slopes to
//! the left and to the right differ is a kink: it is counted and not compared.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use ndarray::ArrayD;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{self, DType, Model, Tensor};
use temper::rewrite::{Emitter, RewriteError, Value, gradient, promote, specialise};
use temper::runtime::torch::Program;
use temper::runtime::{self, Kind, Runtime};
use temper::torch;

/// What a gradient may be off by, as a share of its largest element: float32 against float64.
const TOLERANCE: f64 = 1e-3;
/// The step of a difference, of an element of size 1.
const STEP: f64 = 1e-6;
/// Slopes to both sides that differ by more than this share of the larger mark a kink.
const KINK: f64 = 1e-2;
/// Elements that are compared at most, drawn from all.
const MOST: usize = 300;

enum Outcome {
    Passed(String),
    Refused(String),
    Failed(String),
}

#[allow(clippy::print_stdout)] // the lines are what the script reads
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(who)) = (arguments.next(), arguments.next()) else {
        return Err("usage: backend_gradients FOLDER RUNTIME|autograd [NAME...]".into());
    };
    let autograd = who == "autograd";
    let runtime: Arc<dyn Runtime> =
        Arc::from(runtime::open(if autograd { Kind::TORCH } else { who.parse()? })?);
    for name in arguments {
        let (word, reason) = match case(&Path::new(&folder).join(&name), &*runtime, autograd) {
            Outcome::Passed(reason) => ("passed", reason),
            Outcome::Refused(reason) => ("refused", reason),
            Outcome::Failed(reason) => ("failed", reason),
        };
        println!("{name}\t{word}\t{}", reason.replace(['\n', '\t'], " "));
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn case(folder: &Path, runtime: &dyn Runtime, autograd: bool) -> Outcome {
    let read = |file: &str| onnx::read(&folder.join(file));
    let (model, data) = match (read("model.onnx"), read("data.onnx")) {
        (Ok(model), Ok(data)) => (model, data),
        (Err(error), _) | (_, Err(error)) => return Outcome::Refused(error.to_string()),
    };
    let fed: Vec<(String, Tensor)> = model
        .graph
        .inputs
        .iter()
        .enumerate()
        .filter_map(|(place, input)| {
            Some((input.name.clone(), data.graph.initializers.get(&format!("in {place}"))?.clone()))
        })
        .collect();
    let (mut passed, mut refused) = (Vec::new(), Vec::new());
    for (name, tensor) in fed.iter().filter(|(_, tensor)| is_plain(tensor.dtype()) && !tensor.is_empty()) {
        match by(&model, &fed, (name, tensor), runtime, autograd) {
            Outcome::Passed(reason) => passed.push(format!("`{name}`{reason}")),
            Outcome::Refused(reason) => refused.push(format!("by `{name}`: {reason}")),
            Outcome::Failed(reason) => return Outcome::Failed(format!("by `{name}`: {reason}")),
        }
    }
    match (passed.is_empty(), refused.first()) {
        (true, None) => Outcome::Refused("no input of float32, float16 or bfloat16".into()),
        (true, Some(reason)) => Outcome::Refused(reason.clone()),
        (false, _) => {
            passed.extend(refused.into_iter().map(|reason| format!("not {reason}")));
            Outcome::Passed(passed.join("; "))
        }
    }
}

fn is_plain(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// The gradient by one input; all others are constants.
fn by(
    model: &Model,
    fed: &[(String, Tensor)],
    (wrt, at): (&str, &Tensor),
    runtime: &dyn Runtime,
    autograd: bool,
) -> Outcome {
    let mut model = model.clone();
    model.graph.inputs.retain(|input| input.name == wrt);
    for (name, tensor) in fed.iter().filter(|(name, _)| name != wrt) {
        model.graph.initializers.insert(name.clone(), tensor.clone());
    }
    let refused = |reason: &dyn std::fmt::Display| Outcome::Refused(reason.to_string());
    let (emitter, value) = match objective(&model, at.shape()) {
        Ok(Some(found)) => found,
        Ok(None) => return refused(&"no output of floating point"),
        Err(error) => return refused(&error),
    };
    let forward = match emitter.finish(&[("value", &value)]) {
        Ok(forward) => forward,
        Err(error) => return refused(&error),
    };
    let Some(x) = elements(at) else { return refused(&"a type that is not carried") };
    let found = match autograd {
        true => with_session(runtime.autograd(&forward, wrt), &x),
        false => match graph(&model, at.shape(), wrt) {
            Ok(graph) => with_session(Some(runtime.load(&graph)), &x),
            Err(RewriteError::ZeroGradient(_)) => Ok(x.mapv(|_| 0.0)),
            Err(error) => return refused(&error),
        },
    };
    match (found, differences(&forward, &x)) {
        (_, Err(reason)) => Outcome::Refused(format!("no judge: {reason}")),
        (Err(reason), Ok(_)) => Outcome::Refused(reason),
        (Ok(found), Ok(slopes)) => compared(&found, &slopes),
    }
}

type Ready = Result<Box<dyn runtime::Session>, runtime::RuntimeError>;

/// The second output of a session: the gradient.
fn with_session(ready: Option<Ready>, x: &ArrayD<f32>) -> Result<ArrayD<f32>, String> {
    let mut session = ready.ok_or("no differentiation of its own")?.map_err(|error| error.to_string())?;
    let outputs = session.run(&[x.view()]).map_err(|error| error.to_string())?;
    outputs.into_iter().nth(1).ok_or_else(|| "no gradient".to_owned())
}

fn graph(model: &Model, shape: &[usize], wrt: &str) -> Result<Model, RewriteError> {
    let Some((mut emitter, value)) = objective(model, shape)? else {
        return Err(onnx::Problem::new("the model", "has no output of floating point").into());
    };
    let found = gradient(&mut emitter, &value, wrt)?;
    emitter.finish(&[("value", &value), ("gradient", &found.value)])
}

/// The sum of y (y + w) over the outputs y, with seeded w: its cotangent is 2y + w, and no gradient is constant.
fn objective(model: &Model, shape: &[usize]) -> Result<Option<(Emitter, Value)>, RewriteError> {
    let (fixed, _) = promote(&specialise(model, &[shape])?);
    let outputs: Vec<String> = fixed.graph.outputs.iter().map(|output| output.name.clone()).collect();
    let mut emitter = Emitter::open(fixed)?;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut sum: Option<Value> = None;
    for name in outputs.iter().filter(|name| !name.is_empty()) {
        let y = emitter.value(name)?;
        if y.ty.dtype != DType::F32 || y.ty.is_empty() {
            continue;
        }
        let weights = (0..y.ty.len()).map(|_| rng.random_range(-1.0..1.0f32)).collect::<Vec<_>>();
        let weights = Tensor::f32(y.shape(), weights)
            .map_err(|error| onnx::Problem::new(format!("output `{name}`"), error.to_string()))?;
        let weights = emitter.constant("weights", weights);
        let moved = emitter.emit("Add", "moved", &[&y, &weights], [])?;
        let product = emitter.emit("Mul", "product", &[&y, &moved], [])?;
        let part = emitter.reduce("ReduceSum", "part", &product, &[], false)?;
        sum = Some(match sum {
            Some(sum) => emitter.emit("Add", "sum", &[&sum, &part], [])?,
            None => part,
        });
    }
    Ok(sum.map(|sum| (emitter, sum)))
}

fn elements(tensor: &Tensor) -> Option<ArrayD<f32>> {
    temper::parity::Value::of(tensor).map(|value| value.high)
}

/// The slope along an element, or that there is none.
struct Slope {
    at: usize,
    left: f64,
    right: f64,
}

/// Differences in float64 along the elements.
fn differences(forward: &Model, x: &ArrayD<f32>) -> Result<Vec<Slope>, String> {
    let program = Program::compile(forward, torch::Device::Cpu, torch::Kind::Double)
        .map_err(|error| error.to_string())?;
    let shape: Vec<i64> = x.shape().iter().map(|&size| size as i64).collect();
    let mut values: Vec<f64> = x.iter().map(|&value| f64::from(value)).collect();
    let run = |values: &[f64]| {
        let fed = torch::Tensor::from_slice(values).view(shape.as_slice());
        let outputs = program.run(&[fed]).map_err(|error| error.to_string())?;
        Ok::<f64, String>(outputs.first().map_or(f64::NAN, |output| output.double_value(&[])))
    };
    let middle = run(&values)?;
    let mut slopes = Vec::new();
    for at in drawn(values.len()) {
        let (own, step) = (values[at], STEP * values[at].abs().max(1.0));
        let mut moved = |by: f64| {
            values[at] = own + by;
            let found = run(&values);
            values[at] = own;
            found
        };
        let (low, high) = (moved(-step)?, moved(step)?);
        slopes.push(Slope { at, left: (middle - low) / step, right: (high - middle) / step });
    }
    Ok(slopes)
}

fn drawn(count: usize) -> BTreeSet<usize> {
    if count <= MOST {
        return (0..count).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    (0..MOST).map(|_| rng.random_range(0..count)).collect()
}

fn compared(found: &ArrayD<f32>, slopes: &[Slope]) -> Outcome {
    let found: Vec<f64> = found.iter().map(|&value| f64::from(value)).collect();
    let sizes = slopes.iter().flat_map(|slope| [slope.left.abs(), slope.right.abs()]);
    let scale = sizes.filter(|size| size.is_finite()).fold(0.0, f64::max);
    let is_smooth = |slope: &&Slope| {
        let own = slope.left.abs().max(slope.right.abs()).max(1e-4 * scale).max(1e-3);
        (slope.left - slope.right).abs() <= KINK * own
    };
    let smooth: Vec<&Slope> = slopes.iter().filter(is_smooth).collect();
    let kinks = slopes.len() - smooth.len();
    if smooth.is_empty() {
        return Outcome::Refused(format!("a kink, a tie or no number at all {kinks} elements"));
    }
    for slope in &smooth {
        let expected = (slope.left + slope.right) / 2.0;
        let own = found.get(slope.at).copied().unwrap_or(f64::NAN);
        let off = (own - expected).abs();
        if off.is_nan() || off > TOLERANCE * scale + 1e-5 {
            return Outcome::Failed(format!(
                "element {}: {own:.6e}, the difference in float64 gives {expected:.6e} (largest {scale:.3e})",
                slope.at
            ));
        }
    }
    Outcome::Passed(if kinks > 0 {
        format!(" but {kinks} of {} elements at a kink or tie", slopes.len())
    } else {
        String::new()
    })
}
