//! The operators: one table, one small function each, a file or a folder per family.
//!
//! A function of the table reads its node's attributes once, when the program is compiled, and
//! gives the [`Kernel`] that runs. To add an operator, write its function in the file of its family
//! and its line in that file's list; nothing else names operators.

mod activation;
mod arithmetic;
mod conv;
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

use std::ops::RangeInclusive;

use super::attributes::Attributes;
use super::refusal::Refusal;
use crate::onnx::Node;
use crate::torch::{self, Tensor};

/// What a node does when the program runs: its inputs to its outputs.
pub(super) type Kernel = Box<dyn Fn(&Inputs<'_>) -> Result<Vec<Tensor>, Refusal> + Send>;

/// Reads a node's attributes and gives what it does.
type Prepare = fn(&Attributes<'_>) -> Result<Kernel, Refusal>;

/// One line of the table.
struct Operator {
    domain: &'static str,
    name: &'static str,
    /// How many inputs it may have, left-out ones counted.
    inputs: RangeInclusive<usize>,
    prepare: Prepare,
}

/// The most inputs of an operator that takes any number.
const MANY: usize = usize::MAX;

/// A line for an operator of the standard domain.
const fn standard(name: &'static str, inputs: RangeInclusive<usize>, prepare: Prepare) -> Operator {
    Operator { domain: "", name, inputs, prepare }
}

/// A family's name and its lines, file by file.
type Family = (&'static str, &'static [&'static [Operator]]);

/// The table. Its families have the names and the operators of those in [`crate::rewrite`].
const FAMILIES: &[Family] = &[
    ("activation", &[activation::OPERATORS]),
    ("arithmetic", &[arithmetic::OPERATORS]),
    ("conv", &[conv::OPERATORS]),
    ("indexing", indexing::OPERATORS),
    ("layout", layout::OPERATORS),
    ("logic", &[logic::OPERATORS]),
    ("matmul", &[matmul::OPERATORS]),
    ("normalisation", &[normalisation::OPERATORS]),
    ("pad", &[pad::OPERATORS]),
    ("pool", &[pool::OPERATORS]),
    ("quantise", &[quantise::OPERATORS]),
    ("reduce", &[reduce::OPERATORS]),
    ("resize", &[resize::OPERATORS]),
    ("shape", &[shape::OPERATORS]),
];

/// Every line, with the name of its family.
fn lines() -> impl Iterator<Item = (&'static str, &'static Operator)> {
    FAMILIES
        .iter()
        .flat_map(|(family, files)| files.iter().copied().flatten().map(move |line| (*family, line)))
}

/// Whether the interpreter knows an operator.
pub fn knows(domain: &str, op: &str) -> bool {
    find(domain, op).is_some()
}

fn find(domain: &str, op: &str) -> Option<&'static Operator> {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    lines().map(|(_, known)| known).find(|known| known.name == op && known.domain == domain)
}

/// What `node` does.
pub(super) fn prepare(node: &Node, attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    let operator = find(&node.domain, &node.op).ok_or_else(|| {
        Refusal::new(format!(
            "the libtorch interpreter has no operator `{}`; use another runtime for this model",
            node.qualified_op()
        ))
    })?;
    if !operator.inputs.contains(&node.inputs.len()) {
        let (least, most) = (operator.inputs.start(), operator.inputs.end());
        let range = match most {
            most if most == least => least.to_string(),
            &MANY => format!("at least {least}"),
            most => format!("{least} to {most}"),
        };
        return Err(Refusal::new(format!("has {} inputs, expected {range}", node.inputs.len())));
    }
    let kernel = (operator.prepare)(attributes)?;
    attributes.all_read()?;
    Ok(kernel)
}

/// The inputs of one application.
pub(super) struct Inputs<'a> {
    /// In order; `None` where one is left out.
    pub values: Vec<Option<&'a Tensor>>,
    /// Whether running statistics among them are to follow the batch.
    pub training: bool,
}

impl Inputs<'_> {
    /// An input that must be there.
    pub fn get(&self, index: usize) -> Result<&Tensor, Refusal> {
        self.optional(index).ok_or_else(|| Refusal::new(format!("input {index} is missing")))
    }

    /// An input that may be left out.
    pub fn optional(&self, index: usize) -> Option<&Tensor> {
        self.values.get(index).copied().flatten()
    }

    /// Every input, none of which may be left out.
    pub fn all(&self) -> Result<Vec<&Tensor>, Refusal> {
        (0..self.values.len()).map(|index| self.get(index)).collect()
    }

    /// The integers of an input that must be there.
    pub fn ints(&self, index: usize) -> Result<Vec<i64>, Refusal> {
        Ok(torch::to_vec::<i64>(self.get(index)?)?)
    }

    /// The integers of an input that may be left out.
    pub fn optional_ints(&self, index: usize) -> Result<Option<Vec<i64>>, Refusal> {
        Ok(self.optional(index).map(torch::to_vec::<i64>).transpose()?)
    }
}

/// A kernel of one output.
fn one(compute: impl Fn(&Inputs<'_>) -> Result<Tensor, Refusal> + Send + 'static) -> Result<Kernel, Refusal> {
    Ok(Box::new(move |inputs| Ok(vec![compute(inputs)?])))
}

/// A kernel of one input and one output.
fn unary(compute: impl Fn(&Tensor) -> Result<Tensor, Refusal> + Send + 'static) -> Result<Kernel, Refusal> {
    one(move |inputs| compute(inputs.get(0)?))
}

/// A kernel of two inputs and one output.
fn binary(
    compute: impl Fn(&Tensor, &Tensor) -> Result<Tensor, Refusal> + Send + 'static,
) -> Result<Kernel, Refusal> {
    one(move |inputs| compute(inputs.get(0)?, inputs.get(1)?))
}

/// An axis counted from the front.
fn axis(axis: i64, rank: usize) -> Result<i64, Refusal> {
    let rank = rank as i64;
    if (-rank..rank).contains(&axis) {
        return Ok(axis.rem_euclid(rank));
    }
    Err(Refusal::new(format!("axis {axis} does not exist in a tensor of {rank} dimensions")))
}

/// Axes counted from the front.
fn axes(list: &[i64], rank: usize) -> Result<Vec<i64>, Refusal> {
    list.iter().map(|&index| axis(index, rank)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_operator_is_listed_twice() {
        let mut seen = HashSet::new();
        for (_, operator) in lines() {
            assert!(seen.insert((operator.domain, operator.name)), "{}", operator.name);
        }
        assert!(knows("ai.onnx", "Conv") && !knows("com.example", "Conv"));
    }

    /// If, Loop and Scan hold graphs: a decided If is put in its place by `specialise`, the others are refused.
    #[test]
    fn every_operator_of_the_rewrite_table_is_here() {
        let lacking = |name: &&str| !knows("", name) && !["If", "Loop", "Scan"].contains(name);
        let missing: Vec<&str> =
            crate::rewrite::operators().map(|operator| operator.name).filter(lacking).collect();
        assert!(missing.is_empty(), "the interpreter lacks {}", missing.join(", "));
    }

    #[test]
    fn families_are_those_of_the_rewrite_table() {
        for (family, operator) in lines() {
            let there = crate::rewrite::family(operator.name).unwrap_or(family);
            assert_eq!(family, there, "{}", operator.name);
        }
    }

    #[test]
    fn axes_count_from_either_end() {
        assert_eq!(axes(&[0, -1, 2], 3), Ok(vec![0, 2, 2]));
        assert!(axis(3, 3).is_err() && axis(-4, 3).is_err() && axis(0, 0).is_err());
    }
}
