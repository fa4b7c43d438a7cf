//! The plain intermediate representation of an ONNX model.
//!
//! It knows nothing of protobuf (the codec does) and nothing of what operators mean (the table in
//! `rewrite` does). Values are named by strings, as in the file.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::tensor::{DType, Tensor};

/// Bytes of a message that is carried along unread.
pub type Opaque = Vec<u8>;

/// A whole model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The version of the file format.
    pub ir_version: i64,
    /// Operator-set version by domain; the standard domain is `""`.
    pub opsets: BTreeMap<String, i64>,
    /// The tool that made the file, and its version.
    pub producer: (String, String),
    /// The model's own namespace.
    pub domain: String,
    /// The model's own version.
    pub version: i64,
    /// Free text.
    pub doc: String,
    /// Named strings that users put into the file.
    pub metadata: IndexMap<String, String>,
    /// The program.
    pub graph: Graph,
    /// `training_info` entries, carried along unread: they do not take part in inference.
    pub training_info: Vec<Opaque>,
    /// Device configurations, carried along unread: they say where to run, not what.
    pub configuration: Vec<Opaque>,
}

impl Model {
    /// The version of the standard operator set (0 where the file names none).
    pub fn opset(&self) -> i64 {
        self.opsets.get("").copied().unwrap_or(0)
    }

    /// The numbers that training may change: floating-point initializers, or, in a file without any,
    /// floating-point Constant nodes.
    pub fn parameter_count(&self) -> usize {
        let count = |tensor: &Tensor| if tensor.dtype().is_float() { tensor.len() } else { 0 };
        let weights: usize = self.graph.initializers.values().map(count).sum();
        if weights > 0 {
            return weights;
        }
        let values = self.graph.nodes.iter().filter(|node| node.op == "Constant");
        let values = values.flat_map(|node| node.attributes.values());
        values.map(|value| if let Attribute::Tensor(tensor) = value { count(tensor) } else { 0 }).sum()
    }
}

/// A graph: nodes in an order in which they can run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// The graph's name.
    pub name: String,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Constant tensors by name; trained weights live here.
    pub initializers: IndexMap<String, Tensor>,
    /// What a caller feeds. Before IR version 4 a file lists its initializers here too.
    pub inputs: Vec<ValueInfo>,
    /// What a caller gets.
    pub outputs: Vec<ValueInfo>,
    /// Types of values in between, as far as the file states them.
    pub values: Vec<ValueInfo>,
    /// Free text.
    pub doc: String,
    /// Named strings.
    pub metadata: IndexMap<String, String>,
    /// Quantisation annotations, carried along unread: runtimes ignore them.
    pub quantization: Vec<Opaque>,
}

impl Graph {
    /// The inputs that a caller must feed: those that no initializer stands behind.
    pub fn required_inputs(&self) -> impl Iterator<Item = &ValueInfo> {
        self.inputs.iter().filter(|input| !self.initializers.contains_key(&input.name))
    }
}

/// One application of an operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The node's name; may be empty.
    pub name: String,
    /// The operator.
    pub op: String,
    /// The operator's domain; `""` is the standard one.
    pub domain: String,
    /// The overload of a local function; empty for operators.
    pub overload: String,
    /// Names of the values read; `""` stands for an input left out.
    pub inputs: Vec<String>,
    /// Names of the values written; `""` stands for an output nobody wants.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: IndexMap<String, Attribute>,
    /// Free text.
    pub doc: String,
    /// Named strings.
    pub metadata: IndexMap<String, String>,
    /// Device configurations, carried along unread.
    pub devices: Vec<Opaque>,
}

impl Node {
    /// What messages call the node: its operator with its name or, where it has none, the value
    /// it writes.
    pub fn label(&self) -> String {
        let name = if self.name.is_empty() { self.outputs.first() } else { Some(&self.name) };
        match name {
            Some(name) => format!("{} node `{name}`", self.op),
            None => format!("{} node", self.op),
        }
    }

    /// The operator with its domain, where that is not the standard one.
    pub fn qualified_op(&self) -> String {
        if self.domain.is_empty() || self.domain == "ai.onnx" {
            self.op.clone()
        } else {
            format!("{}.{}", self.domain, self.op)
        }
    }

    /// The name of input `index`, unless it is left out.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each variant is the format's `AttributeType` of its name
pub enum Attribute {
    Float(f32),
    Int(i64),
    String(Vec<u8>),
    Tensor(Tensor),
    Graph(Box<Graph>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<Vec<u8>>),
    Tensors(Vec<Tensor>),
    Graphs(Vec<Graph>),
}

impl Attribute {
    /// The name of the attribute's type, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Attribute::Float(_) => "a float",
            Attribute::Int(_) => "an integer",
            Attribute::String(_) => "a string",
            Attribute::Tensor(_) => "a tensor",
            Attribute::Graph(_) => "a graph",
            Attribute::Floats(_) => "floats",
            Attribute::Ints(_) => "integers",
            Attribute::Strings(_) => "strings",
            Attribute::Tensors(_) => "tensors",
            Attribute::Graphs(_) => "graphs",
        }
    }
}

macro_rules! attribute_from {
    ($($variant:ident($type:ty)),*) => {
        $(impl From<$type> for Attribute {
            fn from(value: $type) -> Self {
                Attribute::$variant(value)
            }
        })*
    };
}

attribute_from!(Float(f32), Int(i64), Tensor(Tensor), Floats(Vec<f32>), Ints(Vec<i64>));

impl From<&str> for Attribute {
    fn from(value: &str) -> Self {
        Attribute::String(value.as_bytes().to_vec())
    }
}

/// The name and type of a value, as far as a file states them.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueInfo {
    /// The value's name.
    pub name: String,
    /// Its type; `None` where the file is silent.
    pub ty: Option<ValueType>,
    /// Free text.
    pub doc: String,
    /// Named strings.
    pub metadata: IndexMap<String, String>,
}

impl ValueInfo {
    /// A tensor value.
    pub fn tensor(name: impl Into<String>, dtype: DType, dims: impl IntoIterator<Item = Dim>) -> Self {
        let shape = Some(dims.into_iter().collect());
        let ty = Some(ValueType::Tensor { dtype, shape, denotation: String::new() });
        Self { name: name.into(), ty, doc: String::new(), metadata: IndexMap::new() }
    }

    /// The element type and dimensions, where the value is a tensor whose rank the file states.
    pub fn dims(&self) -> Option<(DType, &[Dim])> {
        match &self.ty {
            Some(ValueType::Tensor { dtype, shape: Some(shape), .. }) => Some((*dtype, shape)),
            _ => None,
        }
    }
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueType {
    /// A tensor.
    Tensor {
        /// The element type.
        dtype: DType,
        /// The dimensions; `None` where not even the rank is known.
        shape: Option<Vec<Dim>>,
        /// What the value stands for, such as `IMAGE`; usually empty.
        denotation: String,
    },
    /// A sequence, map, optional or sparse tensor, carried along unread.
    Other {
        /// What it is, for messages.
        kind: &'static str,
        /// The message.
        bytes: Opaque,
        /// What the value stands for.
        denotation: String,
    },
}

/// One dimension of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// A fixed size.
    Known(usize),
    /// A size that is the same wherever the name stands.
    Named(String),
    /// A size the file does not state.
    Unknown,
}

impl Dim {
    /// The size, where it is fixed.
    pub fn known(&self) -> Option<usize> {
        match self {
            Dim::Known(size) => Some(*size),
            _ => None,
        }
    }
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dim::Known(size) => write!(f, "{size}"),
            Dim::Named(name) => f.write_str(name),
            Dim::Unknown => f.write_str("?"),
        }
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Self {
        Dim::Known(size)
    }
}

impl From<&str> for Dim {
    fn from(name: &str) -> Self {
        Dim::Named(name.to_owned())
    }
}
