//! What there is to know of a model before it is attacked: its interface, its operators and how a
//! gradient passes through them, its cost, and which runtimes run it.
//!
//! Deliberately absent: whether the gradient is right, which an audit tests on an image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ndarray::Array4;

use crate::interface::Found;
use crate::onnx::{DType, Model, Tensor};
use crate::oracle::{Objective, Oracle, OracleError, gradient_model, gradient_of_fixed};
use crate::rewrite::{RewriteError, Status, flops, specialise, status};
use crate::runtime::Runtime;

/// An operator as a model uses it.
#[derive(Clone, Debug)]
pub struct Use {
    /// Its name, with the domain where that is not the standard one.
    pub operator: String,
    /// How many nodes.
    pub count: usize,
    /// How a gradient passes back through it, or why it is refused.
    pub gradient: Result<Status, String>,
}

/// What a model costs at its interface's example size.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Multiplications and additions of a forward run, per pixel of the input.
    pub forward: f64,
    /// The same of a gradient step.
    pub gradient: f64,
    /// Nodes of the forward graph, at its example size.
    pub nodes: usize,
    /// Nodes of the gradient graph, forward ones included.
    pub gradient_nodes: usize,
}

/// Numbers that a model holds: its weights, with the scales of a quantised one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// In floating point.
    pub float: usize,
    /// In integers of 8 bits, read by an operator that scales them.
    pub int8: usize,
}

/// Operators that read 8-bit weights, and the inputs where they stand.
const INT8_WEIGHTS: [(&str, usize); 5] = [
    ("DequantizeLinear", 0),
    ("ConvInteger", 1),
    ("MatMulInteger", 1),
    ("QLinearConv", 3),
    ("QLinearMatMul", 3),
];

/// Counts a model's parameters, a weight that several nodes read once.
pub fn parameters(model: &Model) -> Parameters {
    let graph = &model.graph;
    let read = graph.nodes.iter().filter_map(|node| {
        let (_, place) = INT8_WEIGHTS.iter().find(|(op, _)| node.domain.is_empty() && node.op == *op)?;
        node.input(*place)
    });
    let names: BTreeSet<&str> = read.collect();
    let weights = names.into_iter().filter_map(|name| graph.initializers.get(name));
    let int8 =
        weights.filter(|tensor| matches!(tensor.dtype(), DType::I8 | DType::U8)).map(Tensor::len).sum();
    Parameters { float: model.parameter_count(), int8 }
}

/// What one runtime makes of a model.
#[derive(Debug)]
pub struct Verdict {
    /// The runtime's name and version.
    pub runtime: String,
    /// Whether a forward run gave numbers.
    pub forward: Result<(), OracleError>,
    /// Whether a gradient step did; `None` where the gradient exists and was not run, as there was no forward
    /// run to take it from.
    pub gradient: Option<Result<(), OracleError>>,
}

/// A canonical model at its interface's example size, with constants folded: what [`operators`] and [`cost`] look at.
///
/// # Errors
/// A graph that cannot be followed.
pub fn fixed(model: &Model, found: &Found) -> Result<Model, RewriteError> {
    specialise(model, &[&shape(found)])
}

/// The operators of a model of fixed size, by name.
pub fn operators(fixed: &Model) -> Vec<Use> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    for node in &fixed.graph.nodes {
        let operator = node.qualified_op();
        let entry = uses.entry(operator.clone()).or_insert_with(|| Use {
            operator,
            count: 0,
            gradient: status(node, fixed.opset()),
        });
        entry.count += 1;
    }
    uses.into_values().collect()
}

/// What a forward run and a gradient step of a model of fixed size cost.
///
/// # Errors
/// A model that cannot be differentiated.
pub fn cost(fixed: &Model, found: &Found) -> Result<Cost, RewriteError> {
    let shape = shape(found);
    let (step, _) = gradient_of_fixed(fixed, &Objective::Distance, &shape)?;
    let pixels = (shape[2] * shape[3]) as f64;
    Ok(Cost {
        forward: flops(fixed)? as f64 / pixels,
        gradient: flops(&step)? as f64 / pixels,
        nodes: fixed.graph.nodes.len(),
        gradient_nodes: step.graph.nodes.len(),
    })
}

/// Runs a canonical model forwards, and its gradient once, on a runtime.
pub fn verdict(model: &Model, found: &Found, runtime: Arc<dyn Runtime>) -> Verdict {
    let name = format!("{} {}", runtime.kind(), runtime.version());
    let mut oracle = Oracle::new(runtime, Arc::new(model.clone()), Objective::Distance);
    let image = Array4::from_elem(shape(found), 0.5_f32);
    let nearby = Array4::from_shape_fn(shape(found), |(_, c, y, x)| 0.5 + 0.01 * ((c + y + x) % 3) as f32);
    let forward = oracle.forward(image.view());
    let gradient = match &forward {
        Ok(target) => Some(oracle.value_and_gradient(nearby.view(), target.view()).map(drop)),
        Err(_) => match gradient_model(model, &Objective::Distance, &shape(found)) {
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        },
    };
    Verdict { runtime: name, forward: forward.map(drop), gradient }
}

fn shape(found: &Found) -> [usize; 4] {
    let [height, width] = found.interface.geometry.example;
    [1, found.interface.form.channels, height, width]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Dim, GraphBuilder, ValueInfo};

    #[test]
    fn weights_of_8_bits_are_counted_once_and_zero_points_are_not() {
        let mut graph = GraphBuilder::new("quantised");
        graph.input(ValueInfo::tensor("x", DType::F32, [Dim::Known(2)]));
        let weight = graph.initializer("w", Tensor::i8(&[2, 3], vec![1; 6]).unwrap());
        let scale = graph.initializer("s", Tensor::scalar(0.5));
        let zero = graph.initializer("z", Tensor::i8(&[], vec![0]).unwrap());
        for name in ["a", "b"] {
            graph.node("DequantizeLinear", name, &[&weight, &scale, &zero], []);
        }
        let model = Model { graph: graph.finish(), ..Default::default() };
        assert_eq!(parameters(&model), Parameters { float: 1, int8: 6 });
    }
}
