//! Runs ONNX's backend node tests, which `tests/scripts/backend_nodes.py` writes as files, on one runtime.
//!
//! `cargo run --example backend_nodes -- FOLDER RUNTIME [NAME...]` prints a line per case: its name, `passed`, `refused` or
//! `failed`, and why, separated by tabs. A case is a folder with `model.onnx` and `data.onnx`, whose initializers
//! `in 0`, `in 1`, ... and `out 0`, ... are what goes in and must come out.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use temper::onnx::{self, DType, Tensor};
use temper::parity::{Difference, Input, Program, Side, Value, outputs};
use temper::runtime::{self, Runtime};

/// As the tests state them: |a - b| <= 1e-7 + 1e-3 |b|; here b is the largest expected element. Of a format of fewer
/// digits two steps are allowed, since a runtime may compute in float32 and round at another place.
fn relative(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2.0_f64.powi(-9),
        DType::BF16 => 2.0_f64.powi(-6),
        _ => 1e-3,
    }
}

enum Outcome {
    Passed,
    Refused(String),
    Failed(String),
}

#[allow(clippy::print_stdout)] // the lines are what the script reads
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(kind)) = (arguments.next(), arguments.next()) else {
        return Err("usage: backend_nodes FOLDER RUNTIME [NAME...]".into());
    };
    let runtime: Arc<dyn Runtime> = Arc::from(runtime::open(kind.parse()?)?);
    for name in arguments {
        let (word, reason) = match case(&Path::new(&folder).join(&name), &runtime) {
            Outcome::Passed => ("passed", String::new()),
            Outcome::Refused(reason) => ("refused", reason),
            Outcome::Failed(reason) => ("failed", reason),
        };
        println!("{name}\t{word}\t{}", reason.replace(['\n', '\t'], " "));
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Whether a number has more digits than a [`Value`] holds, or is larger.
fn has_more_digits(tensor: &Tensor) -> bool {
    let most = match tensor.dtype() {
        DType::I64 | DType::U64 => 2.0_f64.powi(48),
        DType::F64 => f64::from(f32::MAX),
        _ => return false,
    };
    let elements = match temper::rewrite::Array::of(tensor) {
        Some(temper::rewrite::Array::Int(_, values)) => values.iter().map(|&value| value as f64).collect(),
        Some(temper::rewrite::Array::Float(_, values)) => values.iter().copied().collect(),
        _ => Vec::new(),
    };
    elements.iter().any(|element: &f64| element.is_finite() && element.abs() >= most)
}

fn case(folder: &Path, runtime: &Arc<dyn Runtime>) -> Outcome {
    let refused = |reason: &dyn std::fmt::Display| Outcome::Refused(reason.to_string());
    let read = |file: &str| onnx::read(&folder.join(file));
    let (model, data) = match (read("model.onnx"), read("data.onnx")) {
        (Ok(model), Ok(data)) => (model, data),
        (Err(error), _) | (_, Err(error)) => return refused(&error),
    };
    let tensors = |kind: &str| -> Option<Vec<Value>> {
        let of = data.graph.initializers.iter().filter(|(name, _)| name.starts_with(kind));
        of.map(|(_, tensor): (_, &Tensor)| Value::of(tensor)).collect()
    };
    let (Some(values), Some(expected)) = (tensors("in "), tensors("out ")) else {
        return refused(&"a type that is not carried");
    };
    if data.graph.initializers.values().any(has_more_digits) {
        return refused(&"64-bit numbers that are larger than what is carried (48 bits, float32's range)");
    }
    let shapes: Vec<Vec<usize>> = values.iter().map(|value| value.shape().to_vec()).collect();
    let program = match Program::open(&model, &shapes) {
        Ok(program) => Arc::new(program),
        Err(error) => return refused(&error),
    };
    let input = Input { name: "case".into(), values };
    let given = match outputs(&Side { program, runtime: runtime.clone() }, &[input]) {
        Ok(given) => given.into_iter().next().unwrap_or_default(),
        Err(error) => return refused(&error),
    };
    if given.len() != expected.len() {
        return Outcome::Failed(format!("{} outputs, not {}", given.len(), expected.len()));
    }
    for (place, (expected, given)) in expected.iter().zip(&given).enumerate() {
        let found = Difference::of(expected, given);
        if let Some([right, wrong]) = &found.shapes {
            return Outcome::Failed(format!("output {place} has the shape {wrong:?}, not {right:?}"));
        }
        if found.is_one_sided() {
            let counts = (found.not_finite_in_reference, found.not_finite_in_candidate);
            return Outcome::Failed(format!(
                "output {place} is NaN or infinite where it should not be, or the other way: {counts:?}"
            ));
        }
        if found.max > 1e-7 + relative(expected.dtype) * found.scale {
            return Outcome::Failed(format!("output {place} is off by {:.3e} at {:?}", found.max, found.at));
        }
    }
    Outcome::Passed
}
