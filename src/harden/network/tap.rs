//! Which value of the graph is Phi.
//!
//! `last` and `first` are what a network's own metadata call so; any other wish is the name of a
//! value or of a node. Deliberately absent: whether the value is a feature map, which running the
//! network tells.

use std::collections::HashSet;

use crate::harden::HardenError;
use crate::harden::config::LAST;
use crate::onnx::{Graph, Model};
use crate::suggest::suggest;
use crate::zoo::{TAP, TAP_FIRST};

/// The first feature map (Sec. 5.4 of the paper).
const FIRST: &str = "first";

/// The name of the value that `wish` stands for.
///
/// # Errors
/// [`HardenError::Tap`] with the most similar name.
pub(super) fn resolve(model: &Model, wish: &str) -> Result<String, HardenError> {
    let stated = |key: &str| model.metadata.get(key).cloned();
    match wish {
        LAST => stated(TAP).ok_or_else(|| unknown(wish, "the network does not say which value that is")),
        FIRST => {
            stated(TAP_FIRST).ok_or_else(|| unknown(wish, "the network does not say which value that is"))
        }
        name => named(&model.graph, name),
    }
}

fn named(graph: &Graph, name: &str) -> Result<String, HardenError> {
    let read: HashSet<&str> = graph.nodes.iter().flat_map(|node| &node.inputs).map(String::as_str).collect();
    let written = || graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str);
    if written().any(|value| value == name) {
        if read.contains(name) {
            return Ok(name.to_owned());
        }
        return Err(unknown(name, "no node reads that value: what is tapped must go on through the network"));
    }
    if let Some(node) = graph.nodes.iter().find(|node| node.name == name) {
        return match node.outputs.first().filter(|value| read.contains(value.as_str())) {
            Some(value) => Ok(value.clone()),
            None => Err(unknown(name, "no node reads what that node writes")),
        };
    }
    let names = written().chain(graph.nodes.iter().map(|node| node.name.as_str()));
    let advice = match suggest(name, names.filter(|name| !name.is_empty())) {
        Some(similar) => format!("no value or node has that name; did you mean `{similar}`?"),
        None => "no value or node has that name; `temper inspect` shows a model's nodes".to_owned(),
    };
    Err(unknown(name, &advice))
}

fn unknown(wish: &str, problem: &str) -> HardenError {
    HardenError::Tap { wish: wish.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::Edsr;

    #[test]
    fn taps_go_by_role_value_and_node() {
        let model = Edsr { features: 4, blocks: 2, scale: 2 }.build(0).unwrap();
        assert_eq!(resolve(&model, "last").unwrap(), "features");
        assert_eq!(resolve(&model, "first").unwrap(), "head");
        assert_eq!(resolve(&model, "body.0.relu").unwrap(), "body.0.relu");
        let refused = |wish: &str| resolve(&model, wish).unwrap_err().to_string();
        assert!(refused("body.0.reul").contains("did you mean `body.0.relu`?"), "{}", refused("body.0.reul"));
        assert!(refused("upscaled").contains("no node reads"), "{}", refused("upscaled"));
        assert!(refused("?").contains("no value or node"), "{}", refused("?"));
        assert!(refused("head.weight").contains("no value or node"));
    }
}
