//! A graph as a list of steps on libtorch: compiled once, run many times, under autograd or not.

use std::collections::HashMap;

use super::attributes::Attributes;
use super::convert::{Place, export};
use super::operators::{self, Inputs, Kernel};
use super::refusal::Refusal;
use crate::onnx::{Graph, Model, Node};
use crate::runtime::{self, RuntimeError};
use crate::torch::{self, Device, Kind, Tensor};

/// A model ready to run on libtorch. Its floating-point initializers are the parameters.
pub struct Program {
    place: Place,
    layout: Layout,
    inputs: Vec<Input>,
    outputs: Vec<Source>,
    initializers: Vec<Initializer>,
    steps: Vec<Step>,
    /// Where each named value of the graph is while the program runs.
    sources: HashMap<String, Source>,
    values: usize,
}

/// What a caller feeds.
struct Input {
    name: String,
    kind: Kind,
}

struct Initializer {
    name: String,
    tensor: Tensor,
    is_parameter: bool,
}

/// Where a step finds a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Initializer(usize),
    /// A value of the run: the inputs come first.
    Value(usize),
}

/// One node.
struct Step {
    label: String,
    kernel: Kernel,
    inputs: Vec<Option<Source>>,
    /// The value each output becomes; `None` where nobody reads it.
    outputs: Vec<Option<usize>>,
    /// Values that no later step reads.
    last_read: Vec<usize>,
}

impl Program {
    /// Compiles a model to run on `device`, with its floating-point numbers as `kind` (`Float`, or
    /// `Double` for finite differences).
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] naming the node: an operator that the interpreter lacks, an
    /// attribute it does not know, an element type libtorch does not compute with.
    pub fn compile(model: &Model, device: Device, kind: Kind) -> Result<Self, RuntimeError> {
        let place = Place { device, kind };
        let mut compiler = Compiler::new(model, place)?;
        for node in &model.graph.nodes {
            compiler.step(node).map_err(|refusal| at_load(&node.label(), &refusal))?;
        }
        compiler.finish(&model.graph)
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
        let parameters = self.initializers.iter().filter(|initializer| initializer.is_parameter);
        parameters.map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone())).collect()
    }

    /// Whether autograd is to find gradients of the parameters; at first it is not.
    pub fn set_trainable(&mut self, trainable: bool) {
        for initializer in self.initializers.iter().filter(|initializer| initializer.is_parameter) {
            // The flag belongs to the tensor, not to this handle on it.
            let _ = initializer.tensor.set_requires_grad(trainable);
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
        replace: &mut dyn FnMut(Tensor) -> Result<Tensor, E>,
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

    /// Puts the parameters back into the model that the program was compiled from: the trained
    /// graph is the export.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] where `model` lacks a parameter or has it in another shape.
    pub fn write_back(&self, model: &mut Model) -> Result<(), RuntimeError> {
        for parameter in self.initializers.iter().filter(|initializer| initializer.is_parameter) {
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
        tap: Option<(usize, &mut dyn FnMut(Tensor) -> Result<Tensor, E>)>,
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
        let inputs = Inputs(step.inputs.iter().map(read).collect());
        let written = (step.kernel)(&inputs).map_err(|refusal| at_run(step, &inputs, &refusal))?;
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

/// Builds a program node by node.
struct Compiler<'a> {
    model: &'a Model,
    program: Program,
}

impl<'a> Compiler<'a> {
    fn new(model: &'a Model, place: Place) -> Result<Self, RuntimeError> {
        let program = Program {
            place,
            layout: Layout::of(&model.graph),
            inputs: Vec::new(),
            outputs: Vec::new(),
            initializers: Vec::new(),
            steps: Vec::new(),
            sources: HashMap::new(),
            values: 0,
        };
        let mut compiler = Self { model, program };
        for info in model.graph.required_inputs() {
            let kind = match info.dims() {
                Some((dtype, _)) => place.kind_of(dtype),
                None => Ok(place.kind),
            };
            let kind = kind.map_err(|refusal| at_load(&format!("input `{}`", info.name), &refusal))?;
            compiler.program.inputs.push(Input { name: info.name.clone(), kind });
            compiler.value(&info.name);
        }
        compiler.initializers()?;
        Ok(compiler)
    }

    fn initializers(&mut self) -> Result<(), RuntimeError> {
        let weights = convolution_weights(&self.model.graph);
        let program = &mut self.program;
        for (name, stored) in &self.model.graph.initializers {
            let imported = program.place.import(stored);
            let imported = imported.map_err(|refusal| at_load(&format!("initializer `{name}`"), &refusal))?;
            let is_weight = weights.contains(&name.as_str());
            let tensor = if is_weight { program.layout.apply(imported) } else { imported };
            program.sources.insert(name.clone(), Source::Initializer(program.initializers.len()));
            let is_parameter = stored.dtype().is_float();
            program.initializers.push(Initializer { name: name.clone(), tensor, is_parameter });
        }
        Ok(())
    }

    /// A new value of the run.
    fn value(&mut self, name: &str) -> usize {
        let value = self.program.values;
        self.program.values += 1;
        self.program.sources.insert(name.to_owned(), Source::Value(value));
        value
    }

    fn step(&mut self, node: &Node) -> Result<(), Refusal> {
        let domain = if node.domain == "ai.onnx" { "" } else { node.domain.as_str() };
        let opset = self.model.opsets.get(domain).or_else(|| self.model.opsets.get("ai.onnx"));
        let attributes = Attributes::new(node, opset.copied().unwrap_or(0), self.program.place);
        let kernel = operators::prepare(node, &attributes)?;
        let mut inputs = Vec::new();
        for name in &node.inputs {
            let source = self.program.sources.get(name).copied();
            if source.is_none() && !name.is_empty() {
                return Err(Refusal::new(format!("reads `{name}`, which nothing before it writes")));
            }
            inputs.push(source.filter(|_| !name.is_empty()));
        }
        let outputs = node.outputs.iter().map(|name| (!name.is_empty()).then(|| self.value(name))).collect();
        self.program.steps.push(Step { label: node.label(), kernel, inputs, outputs, last_read: Vec::new() });
        Ok(())
    }

    fn finish(self, graph: &Graph) -> Result<Program, RuntimeError> {
        let mut program = self.program;
        for output in &graph.outputs {
            let source = program.sources.get(&output.name).copied();
            program.outputs.push(source.ok_or_else(|| {
                failed("load the model", format!("output `{}` is written by no node", output.name))
            })?);
        }
        program.mark_last_reads();
        Ok(program)
    }
}

impl Program {
    /// Notes at every step which values nobody reads after it.
    fn mark_last_reads(&mut self) {
        let mut wanted = vec![false; self.values];
        let value = |source: &Source| match source {
            Source::Value(value) => Some(*value),
            Source::Initializer(_) => None,
        };
        for index in self.outputs.iter().filter_map(value) {
            wanted[index] = true;
        }
        for step in self.steps.iter_mut().rev() {
            let read = step.inputs.iter().flatten().filter_map(value);
            for index in read.chain(step.outputs.iter().flatten().copied()) {
                if !std::mem::replace(&mut wanted[index], true) {
                    step.last_read.push(index);
                }
            }
        }
    }
}

/// How the 4-D values of a program lie in memory. Convolutions carry the layout of their inputs and
/// weights on to their outputs, so that it is chosen once for all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    /// N, C, H, W.
    RowMajor,
    /// N, H, W, C.
    ChannelsLast,
}

/// From this number of channels on, channels-last is the faster layout. Measured on two CPU cores,
/// training EDSR at scale 4: with 64 channels a step takes 0.87 of the row-major time, with 16
/// channels 1.15.
const WIDE: usize = 32;

impl Layout {
    /// The faster layout for the graph's typical convolution.
    fn of(graph: &Graph) -> Self {
        let weights = convolution_weights(graph);
        let shapes = weights.iter().filter_map(|name| Some(graph.initializers.get(*name)?.shape()));
        let mut widths: Vec<usize> = shapes.filter(|shape| shape.len() == 4).map(|shape| shape[1]).collect();
        widths.sort_unstable();
        match widths.get(widths.len() / 2) {
            Some(&width) if width >= WIDE => Layout::ChannelsLast,
            _ => Layout::RowMajor,
        }
    }

    fn apply(self, value: Tensor) -> Tensor {
        match self {
            Layout::ChannelsLast if value.dim() == 4 => torch::channels_last(&value),
            _ => value.contiguous(),
        }
    }
}

/// The initializers that convolutions read as weights.
fn convolution_weights(graph: &Graph) -> Vec<&str> {
    let convolutions = graph.nodes.iter().filter(|node| node.op == "Conv" || node.op == "ConvTranspose");
    convolutions.filter_map(|node| node.input(1)).collect()
}

const WRITE_BACK: &str = "write its weights back into the model";

pub(super) fn failed(action: &'static str, reason: String) -> RuntimeError {
    RuntimeError::Failed { kind: runtime::Kind::Torch, action, reason }
}

fn at_load(place: &str, refusal: &Refusal) -> RuntimeError {
    failed("load the model", format!("{place}: {refusal}"))
}

fn at_run(step: &Step, inputs: &Inputs<'_>, refusal: &Refusal) -> RuntimeError {
    let shapes: Vec<String> = inputs
        .0
        .iter()
        .map(|input| input.map_or_else(|| "nothing".to_owned(), |tensor| format!("{:?}", tensor.size())))
        .collect();
    failed("run the model", format!("{} on {}: {refusal}", step.label, shapes.join(", ")))
}
