//! Sub-models: some nodes of a graph, fed with values at hand, with the values that are wanted as outputs.
//!
//! Every border is float32, which all runtimes take and give: a Cast stands where a value is of another type.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ndarray::ArrayD;

use super::program::Program;
use super::value::{Value, is_wide};
use crate::onnx::{Attribute, DType, Dim, Graph, Model, Node, ValueInfo, ValueType};
use crate::runtime::{Runtime, RuntimeError, Session};

/// Values by name.
pub type Values = HashMap<String, Value>;

/// The IR version that sub-models are written in: old enough for every runtime, new enough for initializers that
/// are no inputs.
const IR_VERSION: i64 = 8;

/// How nodes are cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As they stand: a node reads what another one of them writes.
    Joined,
    /// Every node alone: all read what is fed. The values written bear another name, so that none is read.
    Apart,
}

/// A sub-model and what it takes and gives.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The model, of float32 inputs and outputs.
    pub model: Model,
    /// What to feed, in order.
    pub inputs: Vec<ArrayD<f32>>,
    /// The values that the inputs are, and whether it is what float32 left of them.
    names: Vec<(String, bool)>,
    /// The values it gives, with their types.
    wanted: Vec<(String, DType)>,
}

/// Cuts `nodes` out of a program; `values` holds what they read, and `wanted` is what they are to give.
///
/// Integers wider than 16 bits and booleans inside a graph are shapes and indices: they are fed as initializers, as
/// the runtimes that need to know shapes beforehand want them. Inputs of the whole graph stay inputs.
pub fn cut(program: &Program, nodes: &[usize], values: &Values, wanted: &[String], style: Style) -> Cut {
    let mut graph = Graph { name: "part".into(), ..Graph::default() };
    let written: BTreeSet<&String> = nodes.iter().flat_map(|&node| program.writes(node)).collect();
    let mut fed = BTreeMap::new();
    for &node in nodes {
        for name in program.weights(node) {
            if let Some(tensor) = program.model.graph.initializers.get(name) {
                graph.initializers.insert(name.clone(), tensor.clone());
            }
        }
        let outside = |name: &&String| style == Style::Apart || !written.contains(*name);
        for name in program.reads(node).iter().filter(outside) {
            if let Some(value) = values.get(name) {
                fed.insert(name.clone(), value);
            }
        }
    }
    let (mut inputs, mut names) = (Vec::new(), Vec::new());
    for (name, value) in fed {
        let inside = program.producer(&name).is_some();
        let frozen = if inside && is_shape_like(value.dtype) { value.tensor() } else { None };
        match frozen {
            Some(tensor) => drop(graph.initializers.insert(name, tensor)),
            None => {
                let parts = feed(&mut graph, &name, value);
                names.extend((0..parts.len()).map(|part| (name.clone(), part == 1)));
                inputs.extend(parts);
            }
        }
    }
    for &node in nodes {
        let mut node = program.nodes()[node].clone();
        if style == Style::Apart {
            node.outputs.iter_mut().filter(|name| !name.is_empty()).for_each(|name| *name = apart(name));
            // tract takes a node and an input of one name for one, and nodes need no name in a file.
            node.name = node.outputs.iter().find(|name| !name.is_empty()).cloned().unwrap_or_default();
        }
        graph.nodes.push(node);
    }
    let wanted: Vec<(String, DType)> =
        wanted.iter().map(|name| (name.clone(), program.dtype(name))).collect();
    for (name, dtype) in &wanted {
        let known = program.ty(name).is_some();
        give(&mut graph, &if style == Style::Apart { apart(name) } else { name.clone() }, *dtype, known);
    }
    let model =
        Model { ir_version: IR_VERSION, opsets: program.model.opsets.clone(), graph, ..Model::default() };
    Cut { model, inputs, names, wanted }
}

impl Cut {
    /// Runs it on a runtime.
    ///
    /// # Errors
    /// What the runtime refuses or fails at.
    pub fn run(&self, runtime: &dyn Runtime) -> Result<Values, RuntimeError> {
        self.give(&mut *runtime.load(&self.model)?, &self.inputs.iter().collect::<Vec<_>>())
    }

    /// Runs it in a session that is ready, on other values of the same shapes.
    ///
    /// # Errors
    /// What the runtime fails at.
    pub fn run_in<'a>(
        &'a self,
        session: &mut dyn Session,
        values: &'a Values,
    ) -> Result<Values, RuntimeError> {
        let inputs = self.names.iter().zip(&self.inputs);
        let part = |((name, is_low), own): (&'a (String, bool), &'a ArrayD<f32>)| {
            let value = values.get(name);
            value
                .and_then(|value| if *is_low { value.low.as_ref() } else { Some(&value.high) })
                .unwrap_or(own)
        };
        let fed: Vec<_> = inputs.map(part).collect();
        self.give(session, &fed)
    }

    fn give(&self, session: &mut dyn Session, inputs: &[&ArrayD<f32>]) -> Result<Values, RuntimeError> {
        let views: Vec<_> = inputs.iter().map(|input| input.view()).collect();
        let mut outputs = session.run(&views)?.into_iter();
        let mut values = Values::new();
        for (name, dtype) in &self.wanted {
            let high = outputs.next().unwrap_or_default();
            let low = if is_wide(*dtype) { outputs.next() } else { None };
            values.insert(name.clone(), Value { dtype: *dtype, high, low });
        }
        Ok(values)
    }
}

fn apart(name: &str) -> String {
    format!("{name}//apart")
}

fn is_shape_like(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32 | DType::U32 | DType::U64 | DType::Bool)
}

/// Adds a float32 input that becomes the value, and another one for what float32 leaves of it, if it leaves something.
fn feed(graph: &mut Graph, name: &str, value: &Value) -> Vec<ArrayD<f32>> {
    let mut input = |name: &str| {
        let dims = value.shape().iter().map(|&size| Dim::Known(size));
        graph.inputs.push(ValueInfo::tensor(name, DType::F32, dims));
    };
    if value.dtype == DType::F32 {
        input(name);
        return vec![value.high.clone()];
    }
    let [fed, left, sum] = ["fed", "left", "sum"].map(|part| format!("{name}//{part}"));
    input(&fed);
    let Some(low) = value.low.as_ref().filter(|low| low.iter().any(|left| *left != 0.0)) else {
        graph.nodes.push(cast(&fed, name, value.dtype));
        return vec![value.high.clone()];
    };
    input(&left);
    // The rest of an unsigned integer may be negative.
    let wide = if value.dtype == DType::F64 { DType::F64 } else { DType::I64 };
    let [first, rest] = [(&fed, "first"), (&left, "rest")].map(|(from, part)| {
        let to = format!("{name}//{part}");
        graph.nodes.push(cast(from, &to, wide));
        to
    });
    let is_wide = value.dtype == wide;
    graph.nodes.push(Node {
        op: "Add".into(),
        inputs: vec![first, rest],
        outputs: vec![if is_wide { name.to_owned() } else { sum.clone() }],
        ..Node::default()
    });
    if !is_wide {
        graph.nodes.push(cast(&sum, name, value.dtype));
    }
    vec![value.high.clone(), low.clone()]
}

/// Makes a value an output: as it is where it is float32, else cast, and of a wide type what the cast left, too.
fn give(graph: &mut Graph, name: &str, dtype: DType, known: bool) {
    let output = |graph: &mut Graph, name: String| {
        let ty = Some(ValueType::Tensor { dtype: DType::F32, shape: None, denotation: String::new() });
        graph.outputs.push(ValueInfo { ty, ..ValueInfo::tensor(name, DType::F32, []) });
    };
    if dtype == DType::F32 && known {
        return output(graph, name.to_owned());
    }
    let high = format!("{name}//high");
    graph.nodes.push(cast(name, &high, DType::F32));
    output(graph, high.clone());
    if is_wide(dtype) {
        let [back, left, low] = ["back", "left", "low"].map(|part| format!("{name}//{part}"));
        // What float32 rounded up leaves less than nothing, which an unsigned integer does not hold.
        let (of, signed) = match dtype {
            DType::U32 | DType::U64 => (format!("{name}//signed"), DType::I64),
            _ => (name.to_owned(), dtype),
        };
        if signed != dtype {
            graph.nodes.push(cast(name, &of, signed));
        }
        graph.nodes.push(cast(&high, &back, signed));
        graph.nodes.push(Node {
            op: "Sub".into(),
            inputs: vec![of, back],
            outputs: vec![left.clone()],
            ..Node::default()
        });
        graph.nodes.push(cast(&left, &low, DType::F32));
        output(graph, low);
    }
}

fn cast(from: &str, to: &str, dtype: DType) -> Node {
    Node {
        op: "Cast".into(),
        name: to.to_owned(),
        inputs: vec![from.to_owned()],
        outputs: vec![to.to_owned()],
        attributes: [("to".to_owned(), Attribute::Int(i64::from(dtype as i32)))].into_iter().collect(),
        ..Node::default()
    }
}
