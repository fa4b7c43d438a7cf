//! Why a graph could not be rewritten.

use super::types::TensorType;
use crate::onnx::{Node, Problem};

/// A pass that stopped, at a node or on the whole.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum RewriteError {
    /// One node, with the types it read, stopped the pass.
    #[error("{node}{}: {reason}", on(inputs))]
    Node {
        /// The operator and the name of the node.
        node: String,
        /// The types of its inputs, as far as they are known.
        inputs: Vec<String>,
        /// What is wrong and what to do.
        reason: String,
    },
    /// No gradient reaches the input: climbing it would go nowhere.
    #[error(transparent)]
    ZeroGradient(Problem),
    /// The model as a whole.
    #[error(transparent)]
    Model(#[from] Problem),
}

fn on(inputs: &[String]) -> String {
    if inputs.is_empty() { String::new() } else { format!(" on {}", inputs.join(", ")) }
}

impl RewriteError {
    /// A node, what it read, and why that stopped the pass.
    pub fn at(node: &Node, inputs: &[Option<&TensorType>], reason: impl Into<String>) -> Self {
        let shown = |ty: &Option<&TensorType>| ty.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let reason = reason.into();
        RewriteError::Node { node: node.label(), inputs: inputs.iter().map(shown).collect(), reason }
    }
}
