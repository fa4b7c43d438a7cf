//! The table of operators: what each gives for its inputs' types, and how a gradient passes back
//! through it.
//!
//! One entry per operator; a file or a folder per family. A rule emits only operators whose meaning has not
//! changed since opset 13, so that the gradient graph of a model of any later opset is valid in
//! it. An operator that is not in the table, and an attribute that its entry does not list, are
//! refused by name: nothing is ignored silently.

mod activation;
mod arithmetic;
mod arity;
mod call;
mod control;
mod conv;
mod fold;
mod geometry;
mod indexing;
mod layout;
mod logic;
mod matmul;
mod normalisation;
mod pad;
mod pool;
mod quantise;
mod reduce;
mod resize;
mod shape;
mod taps;
mod vjp;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use call::Call;
pub use vjp::Vjp;

use super::error::RewriteError;
use super::types::TensorType;
use crate::onnx::{Node, Tensor};

/// An operator's entry.
#[derive(Debug)]
pub struct Operator {
    /// Its name in the standard domain.
    pub name: &'static str,
    /// Every attribute that `infer` and the rule take into account.
    pub attributes: &'static [&'static str],
    /// The types of its outputs.
    pub infer: Infer,
    /// How a gradient passes back through it.
    pub status: Status,
    /// Its result where that is known before anything runs; see `Fold`.
    pub fold: Option<Fold>,
    /// Its multiplications and additions, where they are worth counting; see `Cost`.
    pub cost: Option<Cost>,
}

/// Counts the multiplications and additions that give an output of the given type.
pub type Cost = fn(&Call<'_>, &TensorType) -> Result<u64, String>;

/// Computes an operator's outputs from constant inputs, or from their types alone (as Shape can).
/// `None` where an input that it needs is not constant.
pub type Fold = fn(&Call<'_>) -> Result<Option<Vec<Tensor>>, String>;
/// Gives the types of an operator's outputs.
pub type Infer = fn(&Call<'_>) -> Result<Vec<TensorType>, String>;
/// Passes a gradient back through an operator.
pub type Rule = fn(&mut Vjp<'_>) -> Result<(), RewriteError>;

impl Operator {
    const fn differentiable(
        name: &'static str,
        attributes: &'static [&'static str],
        infer: Infer,
        rule: Rule,
    ) -> Self {
        Self { name, attributes, infer, status: Status::Differentiable(rule), fold: None, cost: None }
    }

    const fn zero(
        name: &'static str,
        attributes: &'static [&'static str],
        infer: Infer,
        reason: &'static str,
    ) -> Self {
        Self { name, attributes, infer, status: Status::Zero(reason), fold: None, cost: None }
    }

    const fn refused(
        name: &'static str,
        attributes: &'static [&'static str],
        infer: Infer,
        reason: &'static str,
    ) -> Self {
        Self { name, attributes, infer, status: Status::Refused(reason), fold: None, cost: None }
    }

    const fn costs(self, cost: Cost) -> Self {
        Self { cost: Some(cost), ..self }
    }

    const fn folds(self, fold: Fold) -> Self {
        Self { fold: Some(fold), ..self }
    }
}

/// How a gradient passes back through an operator.
#[derive(Clone, Copy, Debug)]
pub enum Status {
    /// By this rule.
    Differentiable(Rule),
    /// Not at all, and rightly so: the derivative is zero almost everywhere.
    Zero(&'static str),
    /// Not yet, or not in a meaningful way; the model cannot be differentiated.
    Refused(&'static str),
}

/// A family's name and its entries, file by file. The interpreter's families and those of the test cases have
/// the same names and the same operators.
type Family = (&'static str, &'static [&'static [Operator]]);

const FAMILIES: &[Family] = &[
    ("activation", activation::OPERATORS),
    ("arithmetic", arithmetic::OPERATORS),
    ("control", &[control::OPERATORS]),
    ("conv", conv::OPERATORS),
    ("indexing", indexing::OPERATORS),
    ("layout", layout::OPERATORS),
    ("logic", &[logic::OPERATORS]),
    ("matmul", &[matmul::OPERATORS]),
    ("normalisation", normalisation::OPERATORS),
    ("pad", &[pad::OPERATORS]),
    ("pool", &[pool::OPERATORS]),
    ("quantise", quantise::OPERATORS),
    ("reduce", &[reduce::OPERATORS]),
    ("resize", &[resize::OPERATORS]),
    ("shape", &[shape::OPERATORS]),
];

/// Why the gradient of a step function is zero.
const STEPS: &str = "it is constant between its steps";

struct Entry {
    family: &'static str,
    operator: &'static Operator,
}

static TABLE: LazyLock<HashMap<&str, Entry>> =
    LazyLock::new(|| entries().map(|entry| (entry.operator.name, entry)).collect());

fn entries() -> impl Iterator<Item = Entry> {
    let of = |&(family, files): &Family| {
        files.iter().copied().flatten().map(move |operator| Entry { family, operator })
    };
    FAMILIES.iter().flat_map(of)
}

/// Every operator of the table.
pub fn all() -> impl Iterator<Item = &'static Operator> {
    entries().map(|entry| entry.operator)
}

/// The family of an operator of the standard domain, as the files of this folder are named.
pub fn family(operator: &str) -> Option<&'static str> {
    TABLE.get(operator).map(|entry| entry.family)
}

/// The first opset from which the operators' meanings are those of this table.
const FIRST_OPSET: i64 = 13;

/// The entry of a node's operator, once every attribute and input of the node is known to it.
pub fn find(node: &Node, opset: i64) -> Result<&'static Operator, String> {
    if !node.domain.is_empty() {
        return Err(format!("belongs to domain `{}`, whose operators Temper does not know", node.domain));
    }
    if opset < FIRST_OPSET {
        return Err(format!(
            "is of opset {opset}; opsets from {FIRST_OPSET} on are read, so convert the model"
        ));
    }
    let entry = TABLE.get(node.op.as_str()).ok_or("is an operator that Temper does not know yet")?;
    let operator = entry.operator;
    match node.attributes.keys().find(|name| !operator.attributes.contains(&name.as_str())) {
        Some(name) => {
            Err(format!("has the attribute `{name}`, which Temper does not know and will not ignore"))
        }
        None => arity::check(node).map(|()| operator),
    }
}

/// Whether an operator's integer results stand for real numbers, so that gradients pass through
/// them (see `quantise`).
pub fn quantises(node: &Node) -> bool {
    node.domain.is_empty() && family(&node.op) == Some("quantise")
}

pub use quantise::scales::stays;

/// How a gradient passes back through a node's operator, or why it is not known.
pub fn status(node: &Node, opset: i64) -> Result<Status, String> {
    find(node, opset).map(|operator| operator.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operator_is_entered_twice() {
        assert_eq!(all().count(), TABLE.len());
    }

    #[test]
    fn what_is_unknown_is_refused_by_name() {
        let node = |op: &str| Node { op: op.into(), outputs: vec!["y".into()], ..Default::default() };
        assert!(find(&node("Nonsense"), 17).unwrap_err().contains("does not know yet"));
        assert!(find(&node("Relu"), 9).unwrap_err().contains("opset 9"));
        assert!(find(&node("Relu"), 17).unwrap_err().contains("lacks its input 0"));
        let mut odd = node("Relu");
        odd.attributes.insert("slope".into(), 1.0.into());
        assert!(find(&odd, 17).unwrap_err().contains("`slope`"));
        let mut foreign = node("Relu");
        foreign.domain = "com.example".into();
        assert!(find(&foreign, 17).unwrap_err().contains("com.example"));
    }
}
