//! One case: a small graph from an image-like input to a value, and where it cannot run.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::{Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};
use temper::runtime::Kind;

/// A case of the table.
#[derive(Clone)]
pub struct Case {
    /// What messages call it.
    pub name: String,
    /// The model; its one input is `x`, of fixed size.
    pub model: Model,
    /// The shape of `x`.
    pub shape: Vec<usize>,
    /// `x` is drawn uniformly from here.
    pub range: (f32, f32),
    /// Runtimes that cannot run the forward operator, with the reason.
    pub excluded: Vec<(Kind, &'static str)>,
    /// Runtimes whose own forward operators are inexact: how far their gradient may be off, and why.
    pub inexact: Vec<(Kind, f64, &'static str)>,
    /// Whether `x` lies where the function bends: the choice made there is compared, and no finite
    /// difference is taken.
    pub bent: bool,
    /// Below this a slope counts as zero.
    pub floor: f64,
    /// The operators that the case is about, where it holds others too.
    pub about: Vec<String>,
}

impl Case {
    /// A case whose graph `build` writes, from the input's name to the result's.
    pub fn new(name: &str, shape: &[usize], build: impl FnOnce(&mut GraphBuilder, &str) -> String) -> Self {
        Self::at_opset(17, name, shape, build)
    }

    /// The same at another opset.
    pub fn at_opset(
        opset: i64,
        name: &str,
        shape: &[usize],
        build: impl FnOnce(&mut GraphBuilder, &str) -> String,
    ) -> Self {
        let mut graph = GraphBuilder::new("case");
        let dims = shape.iter().map(|&size| Dim::Known(size));
        let x = graph.input(ValueInfo::tensor("x", DType::F32, dims));
        let y = build(&mut graph, &x);
        graph.output(ValueInfo { name: y, ty: None, doc: String::new(), metadata: Default::default() });
        let model = Model {
            ir_version: 8,
            opsets: [(String::new(), opset)].into(),
            graph: graph.finish(),
            ..Default::default()
        };
        Self {
            name: name.into(),
            model,
            shape: shape.to_vec(),
            range: (-1.0, 1.0),
            excluded: vec![],
            inexact: vec![],
            bent: false,
            floor: 1e-6,
            about: vec![],
        }
    }

    /// Draws the input from another range.
    pub fn over(mut self, low: f32, high: f32) -> Self {
        self.range = (low, high);
        self
    }

    /// Draws the input from one point, where the function bends.
    pub fn on_a_bend(self, at: f32) -> Self {
        Self { bent: true, ..self.over(at, at) }
    }

    /// Leaves a runtime out, with the reason.
    #[allow(dead_code)] // the table may need none
    pub fn without(mut self, kind: Kind, reason: &'static str) -> Self {
        self.excluded.push((kind, reason));
        self
    }

    /// Lets a runtime's gradient be off by a larger share, with the reason.
    pub fn inexact(mut self, kind: Kind, share: f64, reason: &'static str) -> Self {
        self.inexact.push((kind, share, reason));
        self
    }

    /// The result moves in steps, and its gradient is that of a straight line through them: no finite
    /// difference can judge it.
    pub fn straight_through(mut self) -> Self {
        self.floor = f64::INFINITY;
        self
    }

    /// Says which operators the case is about. A graph of one operator is about that one; in a graph of
    /// several, those that are not named here only help.
    pub fn about(self, operators: &[&str]) -> Self {
        Self { about: operators.iter().map(|&operator| operator.to_owned()).collect(), ..self }
    }

    /// The operators that the case is about. The gradient passes through each.
    pub fn subjects(&self) -> BTreeSet<String> {
        let (nodes, passed) = (&self.model.graph.nodes, self.passed());
        for operator in &self.about {
            assert!(passed.contains(operator), "{}: no gradient passes through {operator}", self.name);
        }
        let one = nodes.iter().all(|node| node.op == nodes[0].op);
        if one { passed } else { self.about.iter().cloned().collect() }
    }

    /// The operators that the gradient passes through: a node reads what depends on `x`, and the result depends
    /// on what it gives.
    pub fn passed(&self) -> BTreeSet<String> {
        let nodes = &self.model.graph.nodes;
        let mut above = BTreeSet::from(["x"]);
        for node in nodes {
            if node.inputs.iter().any(|input| above.contains(input.as_str())) {
                above.extend(node.outputs.iter().map(String::as_str));
            }
        }
        let mut below: BTreeSet<&str> =
            self.model.graph.outputs.iter().map(|out| out.name.as_str()).collect();
        for node in nodes.iter().rev() {
            if node.outputs.iter().any(|output| below.contains(output.as_str())) {
                below.extend(node.inputs.iter().map(String::as_str));
            }
        }
        let passed = nodes.iter().filter(|node| {
            let read = node.inputs.iter().any(|name| above.contains(name.as_str()));
            read && node.outputs.iter().any(|name| below.contains(name.as_str()))
        });
        passed.map(|node| node.op.clone()).collect()
    }
}

/// A case of one node: `op(x, constants...)`.
pub fn node<const N: usize>(
    name: &str,
    op: &str,
    shape: &[usize],
    constants: Vec<Tensor>,
    attributes: [(&str, Attribute); N],
) -> Case {
    node_at(17, name, op, shape, constants, attributes)
}

/// The same at another opset.
pub fn node_at<const N: usize>(
    opset: i64,
    name: &str,
    op: &str,
    shape: &[usize],
    constants: Vec<Tensor>,
    attributes: [(&str, Attribute); N],
) -> Case {
    Case::at_opset(opset, name, shape, |graph, x| {
        let mut inputs = vec![x.to_owned()];
        inputs.extend(constants.into_iter().map(|tensor| graph.initializer("c", tensor)));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        graph.node(op, "y", &inputs, attributes)
    })
}

/// A case of one node at a point where it has no derivative: every entry of `x` is `value`.
pub fn at_bend(op: &str, value: f32, constants: Vec<Tensor>) -> Case {
    node(&format!("{op} at {value}"), op, &[1, 2, 5, 4], constants, []).on_a_bend(value)
}

/// Seeded numbers, uniform in [-1, 1].
pub fn random(shape: &[usize]) -> Tensor {
    between(shape, -1.0, 1.0)
}

/// Seeded numbers, uniform in [low, high].
pub fn between(shape: &[usize], low: f32, high: f32) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(shape.iter().sum::<usize>() as u64);
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(low..=high)).collect();
    Tensor::f32(shape, values).unwrap()
}
