//! libtorch as a runtime: an interpreter of ONNX graphs with autograd.
//!
//! It trains networks (`harden`), and it is the independent judge of the gradients that graph
//! rewriting derives. [`Program`] is the interpreter; the table of operators is in `operators`.
//! Deliberately absent: optimisers, losses and any knowledge of images.

mod attributes;
mod compile;
mod convert;
mod layout;
mod operators;
mod program;
mod refusal;
mod spatial;
#[cfg(test)]
mod tests;

use ndarray::{ArrayD, ArrayViewD};

pub use operators::knows;
pub use program::{Mode, Program, Replace};

use self::program::failed;
use super::{Kind, Runtime, RuntimeError, Session};
use crate::onnx::Model;
use crate::torch::{self, Device, Tensor, no_grad};

/// The runtime `torch` on one device, with its floating-point values in one kind.
#[derive(Clone, Copy, Debug)]
pub struct Torch {
    kind: Kind,
    device: Device,
    number: torch::Kind,
}

impl Torch {
    /// The runtime on `device`, computing in float32.
    pub fn new(device: Device) -> Self {
        Self::with_numbers(Kind::TORCH, device, torch::Kind::Float)
    }

    /// The same under a name of its own, computing in `number`: `Float`, `Double` or `BFloat16`.
    pub fn with_numbers(kind: Kind, device: Device, number: torch::Kind) -> Self {
        Self { kind, device, number }
    }
}

impl Runtime for Torch {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn version(&self) -> String {
        torch::version()
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError> {
        Ok(Box::new(Forward { program: Program::compile(model, self.device, self.number)? }))
    }

    fn has_autograd(&self) -> bool {
        true
    }

    fn autograd(&self, model: &Model, wrt: &str) -> Option<Result<Box<dyn Session>, RuntimeError>> {
        Some(Gradient::new(model, *self, wrt).map(|session| Box::new(session) as Box<dyn Session>))
    }
}

/// Runs without recording gradients.
struct Forward {
    program: Program,
}

impl Session for Forward {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let inputs: Vec<Tensor> = inputs.iter().map(|input| torch::from_ndarray(input.view())).collect();
        let outputs = no_grad(|| self.program.run(&inputs))?;
        outputs.iter().map(to_ndarray).collect()
    }
}

/// Gives the first output, a scalar, its gradient with respect to one input, and the other outputs.
struct Gradient {
    program: Program,
    wrt: usize,
}

impl Gradient {
    fn new(model: &Model, Torch { device, number, .. }: Torch, wrt: &str) -> Result<Self, RuntimeError> {
        let program = Program::compile(model, device, number)?;
        let position = program.inputs().position(|name| name == wrt);
        let wrt = position.ok_or_else(|| {
            failed("load the model", format!("it has no input `{wrt}` to differentiate by"))
        })?;
        Ok(Self { program, wrt })
    }
}

impl Session for Gradient {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let mut inputs: Vec<Tensor> = inputs.iter().map(|input| torch::from_ndarray(input.view())).collect();
        let leaf = inputs.get_mut(self.wrt).map(|input| {
            *input = input.to_device(self.program.device()).set_requires_grad(true);
            input.shallow_clone()
        });
        let outputs = self.program.run(&inputs)?;
        let (Some(value), Some(leaf)) = (outputs.first(), leaf) else {
            return Err(failed("differentiate the model", "it has no output".into()));
        };
        if value.numel() != 1 {
            let reason = format!("its first output has shape {:?}, expected a scalar", value.size());
            return Err(failed("differentiate the model", reason));
        }
        let gradient = gradient(value, &leaf)?;
        let others = outputs[1..].iter().map(to_ndarray);
        [to_ndarray(value), to_ndarray(&gradient)].into_iter().chain(others).collect()
    }
}

/// d `value` / d `leaf`, of a scalar; zero where the one does not depend on the other.
///
/// # Errors
/// [`RuntimeError::Failed`] in libtorch's words.
pub fn gradient(value: &Tensor, leaf: &Tensor) -> Result<Tensor, RuntimeError> {
    if !value.requires_grad() {
        return Ok(leaf.zeros_like());
    }
    let found = Tensor::f_run_backward(&[value], &[leaf], false, false)
        .map_err(|error| failed("differentiate the model", torch::first_line(&error)))?;
    Ok(found.into_iter().next().filter(Tensor::defined).unwrap_or_else(|| leaf.zeros_like()))
}

fn to_ndarray(tensor: &Tensor) -> Result<ArrayD<f32>, RuntimeError> {
    torch::to_ndarray(tensor).map_err(|error| failed("give its result", error.to_string()))
}
