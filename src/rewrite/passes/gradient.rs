//! Reverse-mode differentiation, graph to graph.
//!
//! The pass knows no operator. It walks the nodes backwards, asks the table for each one's rule,
//! adds up what the uses of a value give, and undoes broadcasting. Deliberately absent: gradients
//! with respect to weights (libtorch trains), and second derivatives.

use std::collections::{HashMap, HashSet};

use crate::onnx::{Node, Problem, Tensor};
use crate::rewrite::emitter::{Emitter, Value};
use crate::rewrite::error::RewriteError;
use crate::rewrite::ops::{self, Status, Vjp};

/// A gradient, and where it was cut.
#[derive(Debug)]
pub struct Gradient {
    /// The gradient, of the shape of the value it was taken with respect to.
    pub value: Value,
    /// Nodes through which a gradient of zero passed, with the reason.
    pub stopped: Vec<Stop>,
}

/// A node whose derivative is zero almost everywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// The node.
    pub node: String,
    /// Why.
    pub reason: &'static str,
}

/// Adds to the graph the gradient of the scalar `of` with respect to the value named `wrt`.
pub fn gradient(emitter: &mut Emitter, of: &Value, wrt: &str) -> Result<Gradient, RewriteError> {
    if of.ty.len() != 1 {
        let what = format!("is {}, and only a single number can be differentiated", of.ty);
        return Err(Problem::new(format!("objective `{}`", of.name), what).into());
    }
    let source = emitter.value(wrt)?;
    let nodes = emitter.nodes().to_vec();
    let active = active_values(&nodes, emitter, wrt);
    let one = emitter.constant("grad/seed", Tensor::scalar(1.0));
    let seed = emitter.reshape("grad/seed", &one, of.shape())?;
    let mut pass = Pass { emitter, active, cotangents: HashMap::new(), stopped: Vec::new() };
    pass.cotangents.insert(of.name.clone(), vec![seed]);
    for node in nodes.iter().rev() {
        pass.step(node)?;
    }
    match pass.take(wrt)? {
        Some(value) => Ok(Gradient { value, stopped: pass.stopped }),
        None => {
            let place = format!("objective `{}`", of.name);
            Err(RewriteError::ZeroGradient(Problem::new(place, no_path(&source, &pass.stopped))))
        }
    }
}

fn no_path(source: &Value, stopped: &[Stop]) -> String {
    match stopped.first() {
        Some(stop) => format!("has a zero gradient everywhere: {} ({})", stop.node, stop.reason),
        None => format!("does not depend on `{}`", source.name),
    }
}

/// The values that depend on `wrt` and can carry a gradient: floats, and the integers of quantised
/// graphs as far as they are only moved.
fn active_values(nodes: &[Node], emitter: &Emitter, wrt: &str) -> HashSet<String> {
    let mut active = HashSet::from([wrt.to_owned()]);
    let is_float = |name: &str| emitter.types().get(name).is_some_and(Emitter::carries_gradient);
    for node in nodes {
        let mut read = node.inputs.iter().filter(|input| active.contains(*input)).peekable();
        if read.peek().is_some() {
            let quantised = ops::quantises(node) || read.any(|input| !is_float(input));
            let carries = |name: &&String| !name.is_empty() && (quantised || is_float(name));
            let carrying: Vec<String> = node.outputs.iter().filter(carries).cloned().collect();
            active.extend(carrying);
        }
    }
    active
}

struct Pass<'a> {
    emitter: &'a mut Emitter,
    active: HashSet<String>,
    cotangents: HashMap<String, Vec<Value>>,
    stopped: Vec<Stop>,
}

impl Pass<'_> {
    /// Passes the gradient back through one node, where it has one.
    fn step(&mut self, node: &Node) -> Result<(), RewriteError> {
        let wanted: Vec<bool> = node.inputs.iter().map(|input| self.active.contains(input)).collect();
        let reached = node.outputs.iter().any(|output| self.cotangents.contains_key(output));
        if !reached || !wanted.contains(&true) {
            return Ok(());
        }
        let opset = self.emitter.types().opset();
        match ops::status(node, opset).map_err(|reason| RewriteError::at(node, &[], reason))? {
            Status::Differentiable(rule) => {
                let cotangents: Result<_, _> = node.outputs.iter().map(|output| self.take(output)).collect();
                let mut vjp = Vjp::new(self.emitter, node, cotangents?, wanted.clone());
                rule(&mut vjp)?;
                let given = vjp.finish()?;
                self.accept(node, &wanted, given)
            }
            Status::Zero(reason) => {
                self.stopped.push(Stop { node: node.label(), reason });
                Ok(())
            }
            Status::Refused(reason) => {
                let call = self.emitter.types().call(node);
                Err(RewriteError::at(node, call.inputs(), format!("cannot be differentiated: {reason}")))
            }
        }
    }

    /// Notes what a rule gave, brought back to the shapes of the inputs.
    fn accept(
        &mut self,
        node: &Node,
        wanted: &[bool],
        given: Vec<Option<Value>>,
    ) -> Result<(), RewriteError> {
        for ((name, wanted), gradient) in node.inputs.iter().zip(wanted).zip(given) {
            if let Some(gradient) = gradient.filter(|_| *wanted) {
                let shape = self.emitter.value(name)?.ty.shape;
                let gradient = self.emitter.unbroadcast(&format!("grad/{name}"), &gradient, &shape)?;
                self.cotangents.entry(name.clone()).or_default().push(gradient);
            }
        }
        Ok(())
    }

    /// The sum of what the uses of a value gave.
    fn take(&mut self, name: &str) -> Result<Option<Value>, RewriteError> {
        let mut parts = self.cotangents.remove(name).unwrap_or_default().into_iter();
        let Some(mut sum) = parts.next() else { return Ok(None) };
        for part in parts {
            sum = self.emitter.emit("Add", &format!("grad/{name}"), &[&sum, &part], [])?;
        }
        Ok(Some(sum))
    }
}
