//! From a graph to the steps of a program: names become places, attributes are read, and every value
//! learns after which step nobody reads it.

use std::collections::{HashMap, HashSet};

use super::attributes::Attributes;
use super::convert::Place;
use super::layout::{Layout, convolution_weights};
use super::operators;
use super::program::{Initializer, Input, Mode, Program, Role, Source, Step, failed};
use super::refusal::Refusal;
use crate::onnx::{Graph, Model, Node};
use crate::runtime::RuntimeError;

/// Compiles a model.
pub(super) fn program(model: &Model, place: Place) -> Result<Program, RuntimeError> {
    let mut compiler = Compiler::new(model, place)?;
    for node in &model.graph.nodes {
        compiler.step(node).map_err(|refusal| at_load(&node.label(), &refusal))?;
    }
    compiler.finish(&model.graph)
}

/// Builds a program node by node.
struct Compiler<'a> {
    model: &'a Model,
    program: Program,
    statistics: HashSet<&'a str>,
}

impl<'a> Compiler<'a> {
    fn new(model: &'a Model, place: Place) -> Result<Self, RuntimeError> {
        let program = Program {
            place,
            mode: Mode::default(),
            amp: false,
            layout: Layout::of(&model.graph),
            inputs: Vec::new(),
            outputs: Vec::new(),
            initializers: Vec::new(),
            steps: Vec::new(),
            sources: HashMap::new(),
            values: 0,
        };
        let mut compiler = Self { model, program, statistics: running_statistics(&model.graph) };
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
            let role = match stored.dtype().is_float() {
                true if self.statistics.contains(name.as_str()) => Role::Statistic,
                true => Role::Parameter,
                false => Role::Fixed,
            };
            program.initializers.push(Initializer { name: name.clone(), tensor, role });
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
        let follows = node.inputs.iter().any(|name| self.statistics.contains(name.as_str()));
        let label = node.label();
        let product = matches!(node.op.as_str(), "Conv" | "ConvTranspose" | "MatMul" | "Gemm");
        let last_read = Vec::new();
        self.program.steps.push(Step { label, kernel, inputs, product, follows, outputs, last_read });
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
        mark_last_reads(&mut program);
        Ok(program)
    }
}

/// The initializers that BatchNormalization reads as running mean and variance, where both are.
fn running_statistics(graph: &Graph) -> HashSet<&str> {
    let norms = graph.nodes.iter().filter(|node| node.op == "BatchNormalization");
    let pairs = norms.filter_map(|node| Some([node.input(3)?, node.input(4)?]));
    pairs.filter(|pair| pair.iter().all(|&name| graph.initializers.contains_key(name))).flatten().collect()
}

/// Notes at every step which values nobody reads after it.
fn mark_last_reads(program: &mut Program) {
    let mut wanted = vec![false; program.values];
    let value = |source: &Source| match source {
        Source::Value(value) => Some(*value),
        Source::Initializer(_) => None,
    };
    for index in program.outputs.iter().filter_map(value) {
        wanted[index] = true;
    }
    for step in program.steps.iter_mut().rev() {
        let read = step.inputs.iter().flatten().filter_map(value);
        for index in read.chain(step.outputs.iter().flatten().copied()) {
            if !std::mem::replace(&mut wanted[index], true) {
                step.last_read.push(index);
            }
        }
    }
}
fn at_load(place: &str, refusal: &Refusal) -> RuntimeError {
    failed("load the model", format!("{place}: {refusal}"))
}
