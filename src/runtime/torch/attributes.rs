//! What an operator reads of its node when the program is compiled.
//!
//! Every attribute read is remembered, so that one which nobody read is refused by name and never
//! silently ignored.

use std::cell::RefCell;

use super::convert::Place;
use super::refusal::Refusal;
use crate::onnx::{self, Attribute, Node};
use crate::torch::Tensor;

/// A node's attributes, the version of its operator set, and where its values will live.
pub(super) struct Attributes<'a> {
    node: &'a Node,
    /// The version of the operator set that the node's domain has in the model.
    pub opset: i64,
    pub place: Place,
    read: RefCell<Vec<String>>,
}

impl<'a> Attributes<'a> {
    pub fn new(node: &'a Node, opset: i64, place: Place) -> Self {
        Self { node, opset, place, read: RefCell::default() }
    }

    /// The number of values the node writes.
    pub fn outputs(&self) -> usize {
        self.node.outputs.len()
    }

    /// Whether the node gives input `index`.
    pub fn has_input(&self, index: usize) -> bool {
        self.node.input(index).is_some()
    }

    fn get(&self, name: &str) -> Option<&'a Attribute> {
        self.read.borrow_mut().push(name.to_owned());
        self.node.attributes.get(name)
    }

    fn typed<T>(
        &self,
        name: &str,
        wanted: &str,
        convert: impl Fn(&'a Attribute) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(attribute) = self.get(name) else { return Ok(None) };
        let mismatch = || format!("attribute `{name}` is {}, expected {wanted}", attribute.kind());
        convert(attribute).map(Some).ok_or_else(|| Refusal::new(mismatch()))
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.typed(name, "an integer", |attribute| match attribute {
            Attribute::Int(value) => Some(*value),
            _ => None,
        })
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    pub fn float(&self, name: &str) -> Result<Option<f64>, Refusal> {
        self.typed(name, "a float", |attribute| match attribute {
            Attribute::Float(value) => Some(f64::from(*value)),
            _ => None,
        })
    }

    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        self.typed(name, "integers", |attribute| match attribute {
            Attribute::Ints(values) => Some(values.clone()),
            // Some exporters write a list of none as a list of no type.
            Attribute::Floats(values) if values.is_empty() => Some(Vec::new()),
            _ => None,
        })
    }

    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, Refusal> {
        self.typed(name, "floats", |attribute| match attribute {
            Attribute::Floats(values) => Some(values.clone()),
            _ => None,
        })
    }

    /// A tensor, where its values will live.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, Refusal> {
        let tensor = self.typed(name, "a tensor", |attribute| match attribute {
            Attribute::Tensor(tensor) => Some(tensor),
            _ => None,
        })?;
        tensor.map(|tensor: &onnx::Tensor| self.place.import(tensor)).transpose()
    }

    /// A string.
    pub fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.typed(name, "a string", |attribute| match attribute {
            Attribute::String(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        })
    }

    /// One of the words of `choices`, of which the first is the default.
    pub fn choice<'c>(&self, name: &str, choices: &[&'c str]) -> Result<&'c str, Refusal> {
        let given = self.typed(name, "a string", |attribute| match attribute {
            Attribute::String(bytes) => Some(String::from_utf8_lossy(bytes)),
            _ => None,
        })?;
        let Some(given) = given else { return Ok(choices[0]) };
        let found = choices.iter().find(|choice| **choice == given);
        found.copied().ok_or_else(|| {
            Refusal::new(format!("attribute `{name}` is `{given}`, expected one of {}", choices.join(", ")))
        })
    }

    /// Refuses the attributes that nobody asked for.
    pub fn all_read(&self) -> Result<(), Refusal> {
        let read = self.read.borrow();
        let unread = self.node.attributes.keys().find(|name| !read.contains(name));
        match unread {
            Some(name) => Err(Refusal::new(format!(
                "attribute `{name}` is not known for this operator and will not be ignored"
            ))),
            None => Ok(()),
        }
    }
}
