//! A graph as a list of steps on libtorch: compiled once, run many times, under autograd or not.

use std::collections::HashMap;

use super::compile;
use super::convert::{Place, export};
use super::layout::Layout;
use super::operators::{Inputs, Kernel};
use super::refusal::Refusal;
use crate::onnx::Model;
use crate::runtime::{self, RuntimeError};
use crate::torch::{Device, Kind, Tensor};

/// A model ready to run on libtorch. Its floating-point initializers are the parameters, but for
/// the running statistics of BatchNormalization.
pub struct Program {
    pub(super) place: Place,
    pub(super) mode: Mode,
    pub(super) amp: bool,
    pub(super) layout: Layout,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<Source>,
    pub(super) initializers: Vec<Initializer>,
    pub(super) steps: Vec<Step>,
    /// Where each named value of the graph is while the program runs.
    pub(super) sources: HashMap<String, Source>,
    pub(super) values: usize,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// BatchNormalization normalises by its running statistics, as the exported file does.
    #[default]
    Evaluate,
    /// BatchNormalization normalises by the batch's statistics, and its running ones follow: they
    /// move towards the batch's mean and unbiased variance by 1 - `momentum`, as in PyTorch.
    /// Statistics that are not initializers stay as they are, and are used. Dropout stays off.
    Train,
}

/// What an initializer is to training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// An optimiser moves it.
    Parameter,
    /// A running statistic: it follows the batches.
    Statistic,
    /// A number of another type, such as a shape.
    Fixed,
}

/// What a caller feeds.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) kind: Kind,
}

pub(super) struct Initializer {
    pub(super) name: String,
    pub(super) tensor: Tensor,
    pub(super) role: Role,
}

impl Initializer {
    fn named(&self) -> (String, Tensor) {
        (self.name.clone(), self.tensor.shallow_clone())
    }
}

/// Where a step finds a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    Initializer(usize),
    /// A value of the run: the inputs come first.
    Value(usize),
}

/// One node.
pub(super) struct Step {
    pub(super) label: String,
    pub(super) kernel: Kernel,
    pub(super) inputs: Vec<Option<Source>>,
    /// Whether its time is in products, which bfloat16 makes cheaper.
    pub(super) product: bool,
    /// Whether it does something else in training.
    pub(super) follows: bool,
    /// The value each output becomes; `None` where nobody reads it.
    pub(super) outputs: Vec<Option<usize>>,
    /// Values that no later step reads.
    pub(super) last_read: Vec<usize>,
}

/// What a tap makes of the value it stands at.
pub type Replace<'a, E> = &'a mut dyn FnMut(Tensor) -> Result<Tensor, E>;

impl Program {
    /// Compiles a model to run on `device`, with its floating-point numbers as `kind`: `Float`, `Double` for
    /// finite differences and arbitration, or `BFloat16`.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] naming the node: an operator that the interpreter lacks, an
    /// attribute it does not know, an element type libtorch does not compute with.
    pub fn compile(model: &Model, device: Device, kind: Kind) -> Result<Self, RuntimeError> {
        compile::program(model, Place { device, kind })
    }

    /// The names of the inputs to feed, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.name.as_str())
    }

    /// The device the program runs on.
    pub fn device(&self) -> Device {
        self.place.device
    }

    /// The parameters by name, in the graph's order: leaves of the graph that autograd records.
    pub fn parameters(&self) -> Vec<(String, Tensor)> {
        self.initializers_of(&[Role::Parameter]).map(Initializer::named).collect()
    }

    /// Everything that training changes, by name: the parameters and the running statistics.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.initializers_of(&[Role::Parameter, Role::Statistic]).map(Initializer::named).collect()
    }

    fn initializers_of(&self, roles: &'static [Role]) -> impl Iterator<Item = &Initializer> {
        self.initializers.iter().filter(|initializer| roles.contains(&initializer.role))
    }

    /// Sets what the runs that follow are for; at first it is to evaluate.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Whether convolutions and matrix products compute in bfloat16 (mixed precision). Their inputs are
    /// rounded and their results are float32 again, so that parameters and gradients stay float32.
    pub fn set_amp(&mut self, amp: bool) {
        self.amp = amp;
    }

    /// Whether autograd is to find gradients of the parameters; at first it is not.
    pub fn set_trainable(&mut self, trainable: bool) {
        for initializer in self.initializers_of(&[Role::Parameter]) {
            // The flag belongs to the tensor, not to this handle on it.
            let _ = initializer.tensor.set_requires_grad(trainable);
        }
    }

    /// Lets training change only the initializers whose names are `wanted`: the others stay as they
    /// are, and BatchNormalization with running statistics among them uses those in training too.
    pub fn train_only(&mut self, wanted: &dyn Fn(&str) -> bool) {
        for initializer in self.initializers.iter_mut().filter(|initializer| !wanted(&initializer.name)) {
            initializer.role = Role::Fixed;
        }
        let followed = |source: &Source| match source {
            Source::Initializer(index) => self.initializers[*index].role == Role::Statistic,
            Source::Value(_) => false,
        };
        for step in &mut self.steps {
            step.follows = step.follows && step.inputs.iter().flatten().any(followed);
        }
    }

    /// Runs on one tensor per input (converted to the program's device and kind as needed); gives
    /// one per output.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] naming the node and the shapes it was given.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RuntimeError> {
        self.execute::<RuntimeError>(inputs, None)
    }

    /// Runs with the value named `tap` replaced, for everything downstream, by what `replace` makes
    /// of it.
    ///
    /// # Errors
    /// As [`Self::run`]; there is no such value; or `replace` failed.
    pub fn run_tapped<E: From<RuntimeError>>(
        &self,
        inputs: &[Tensor],
        tap: &str,
        replace: Replace<'_, E>,
    ) -> Result<Vec<Tensor>, E> {
        match self.sources.get(tap) {
            Some(Source::Value(value)) => self.execute(inputs, Some((*value, replace))),
            Some(Source::Initializer(_)) => {
                let reason = format!("`{tap}` is a weight of the model; tap a value that a node writes");
                Err(failed("run the model", reason).into())
            }
            None => Err(failed("run the model", format!("no value that is read is called `{tap}`")).into()),
        }
    }

    /// Puts the parameters and running statistics back into the model that the program was compiled
    /// from: the trained graph is the export.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] where `model` lacks a parameter or has it in another shape.
    pub fn write_back(&self, model: &mut Model) -> Result<(), RuntimeError> {
        for parameter in self.initializers_of(&[Role::Parameter, Role::Statistic]) {
            let name = &parameter.name;
            let target = model.graph.initializers.get_mut(name);
            let target = target.ok_or_else(|| failed(WRITE_BACK, format!("it has no weight `{name}`")))?;
            *target = export(&parameter.tensor, target)
                .map_err(|refusal| failed(WRITE_BACK, format!("weight `{name}`: {refusal}")))?;
        }
        Ok(())
    }

    fn execute<E: From<RuntimeError>>(
        &self,
        inputs: &[Tensor],
        tap: Option<(usize, Replace<'_, E>)>,
    ) -> Result<Vec<Tensor>, E> {
        let mut values = self.fed(inputs)?;
        let mut tap = tap;
        let mut look = |values: &mut [Option<Tensor>], written: usize| -> Result<(), E> {
            if let Some((value, replace)) = tap.as_mut().filter(|(value, _)| *value == written)
                && let Some(found) = values[*value].take()
            {
                values[*value] = Some(replace(found)?);
            }
            Ok(())
        };
        for input in 0..self.inputs.len() {
            look(&mut values, input)?;
        }
        for step in &self.steps {
            self.run_step(step, &mut values)?;
            for &value in step.outputs.iter().flatten() {
                look(&mut values, value)?;
            }
            for &value in &step.last_read {
                values[value] = None;
            }
        }
        let outputs = self.outputs.iter().map(|&source| {
            let found = self.find(source, &values).map(Tensor::shallow_clone);
            found.ok_or_else(|| failed("run the model", "an output was not written".into()))
        });
        Ok(outputs.collect::<Result<_, _>>()?)
    }

    /// The values of a run before its first step.
    fn fed(&self, inputs: &[Tensor]) -> Result<Vec<Option<Tensor>>, RuntimeError> {
        if inputs.len() != self.inputs.len() {
            let what = format!("it takes {} inputs and was given {}", self.inputs.len(), inputs.len());
            return Err(failed("run the model", what));
        }
        let mut values: Vec<Option<Tensor>> = Vec::new();
        values.resize_with(self.values, || None);
        for ((slot, given), input) in values.iter_mut().zip(inputs).zip(&self.inputs) {
            let held = self.place.hold(given, input.kind);
            *slot =
                Some(held.map_err(|refusal| {
                    failed("run the model", format!("input `{}`: {refusal}", input.name))
                })?);
        }
        Ok(values)
    }

    fn run_step(&self, step: &Step, values: &mut [Option<Tensor>]) -> Result<(), RuntimeError> {
        let read = |source: &Option<Source>| source.and_then(|source| self.find(source, values));
        let training = step.follows && self.mode == Mode::Train;
        let inputs = Inputs { values: step.inputs.iter().map(read).collect(), training };
        let written = if self.amp && step.product {
            half_precision(&step.kernel, &inputs)
        } else {
            (step.kernel)(&inputs)
        };
        let written = written.map_err(|refusal| at_run(step, &inputs, &refusal))?;
        if written.len() < step.outputs.len() {
            let refusal =
                Refusal::new(format!("has {} outputs, wrote {}", step.outputs.len(), written.len()));
            return Err(at_run(step, &inputs, &refusal));
        }
        for (output, tensor) in step.outputs.iter().zip(written) {
            if let Some(value) = *output {
                values[value] = Some(tensor);
            }
        }
        Ok(())
    }

    fn find<'a>(&'a self, source: Source, values: &'a [Option<Tensor>]) -> Option<&'a Tensor> {
        match source {
            Source::Initializer(index) => Some(&self.initializers[index].tensor),
            Source::Value(index) => values[index].as_ref(),
        }
    }
}

/// Runs a kernel in bfloat16 on float32 values.
fn half_precision(kernel: &Kernel, inputs: &Inputs<'_>) -> Result<Vec<Tensor>, Refusal> {
    let narrow = |value: &Option<&Tensor>| -> Result<Option<Tensor>, Refusal> {
        let Some(value) = value else { return Ok(None) };
        let kind = if value.kind() == Kind::Float { Kind::BFloat16 } else { value.kind() };
        Ok(Some(value.f_to_kind(kind)?))
    };
    let narrowed = inputs.values.iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
    let values = narrowed.iter().map(Option::as_ref).collect();
    let written = kernel(&Inputs { values, training: inputs.training })?;
    written.iter().map(|value| Ok(value.f_to_kind(Kind::Float)?)).collect()
}

const WRITE_BACK: &str = "write its weights back into the model";

pub(super) fn failed(action: &'static str, reason: String) -> RuntimeError {
    RuntimeError::Failed { kind: runtime::Kind::TORCH, action, reason }
}

fn at_run(step: &Step, inputs: &Inputs<'_>, refusal: &Refusal) -> RuntimeError {
    let shapes: Vec<String> = inputs
        .values
        .iter()
        .map(|input| input.map_or_else(|| "nothing".to_owned(), |tensor| format!("{:?}", tensor.size())))
        .collect();
    failed("run the model", format!("{} on {}: {refusal}", step.label, shapes.join(", ")))
}
