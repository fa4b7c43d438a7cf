//! Known faults of runtimes: which version gets which nodes wrong, and where that is discussed.
//!
//! A row is a fact about a runtime and a pattern of nodes, so that a file can be held to it without being run. The
//! models that show a row lie in `fixtures/faults`, and a test runs them on the runtimes of the machine.
//! Deliberately absent: faults of conversion tools, and of runtimes that are not in the table.

use super::kind::Settings;
use super::{Kind, Runtime};
use crate::onnx::{Attribute, DType, Graph, Model, Node};

/// A fault that a runtime is known for.
#[derive(Debug)]
pub struct Fault {
    /// Its name; where it could be shown, that of the model in `fixtures/faults` that shows it.
    pub name: &'static str,
    /// The runtime, by its name in the table, with the setting that it takes to show, if any.
    pub runtime: &'static str,
    /// Whether it takes the runtime's optimisations to show.
    pub optimised: bool,
    /// The last version that has it; `None` where the newest that was tried does.
    pub last: Option<[u32; 2]>,
    /// What goes wrong.
    pub what: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Where it is discussed.
    pub thread: &'static str,
    /// The version on which its model showed it here, or why it could not be shown.
    pub shown: Result<&'static str, &'static str>,
    /// Whether a node is one that it hits.
    pub hits: fn(&Model, &Node) -> bool,
}

/// The tests that showed a row, where nobody discusses it yet.
const BACKEND_TESTS: &str = "https://onnx.ai/onnx/repo-docs/OnnxBackendTest.html";

/// Where one would look for it: nobody has reported it there.
const TRACT: &str = "https://github.com/sonos/tract/issues";

/// As [`TRACT`].
const OPENVINO: &str = "https://github.com/openvinotoolkit/openvino/issues";

/// As [`TRACT`].
const RTEN: &str = "https://github.com/robertknight/rten/issues";

/// The table.
pub static FAULTS: &[Fault] = &[
    Fault {
        name: "int8-without-zero-point",
        runtime: "ort",
        optimised: true,
        last: None,
        what: "int8 values behind a DequantizeLinear without a zero point lose their negative half: moved past a \
               Reshape, Transpose or Squeeze they are quantised again as uint8",
        remedy: "give the DequantizeLinear a zero point of int8, or use opset 21",
        thread: "https://github.com/microsoft/onnxruntime/issues/27845",
        shown: Ok("1.30"),
        hits: int8_without_zero_point,
    },
    Fault {
        name: "quantised-average",
        runtime: "ort",
        optimised: true,
        last: None,
        what: "fused with its QuantizeLinear, an AveragePool, Conv or Mul rounds otherwise: elements are off by a \
               step of the scale",
        remedy: "nothing where a step does not matter; `ort:opt=basic` computes as the file says",
        thread: "https://github.com/microsoft/onnxruntime/issues/32132",
        shown: Ok("1.30"),
        hits: fused_between_integers,
    },
    Fault {
        name: "cubic-to-one-pixel",
        runtime: "ort",
        optimised: false,
        last: None,
        what: "a cubic Resize with pytorch_half_pixel to one pixel reads position 0, as the operator's text says; \
               ONNX's reference implementation and PyTorch read others",
        remedy: "use half_pixel where an output may have one pixel",
        thread: "https://github.com/microsoft/onnxruntime/issues/11496",
        shown: Ok("1.30"),
        hits: cubic_to_one_pixel,
    },
    Fault {
        name: "cubic-to-one-pixel",
        runtime: "tract",
        optimised: false,
        last: None,
        what: "a cubic Resize with pytorch_half_pixel to one pixel reads another position than ONNX Runtime",
        remedy: "use half_pixel where an output may have one pixel",
        thread: "https://github.com/microsoft/onnxruntime/issues/11496",
        shown: Ok("0.23"),
        hits: cubic_to_one_pixel,
    },
    Fault {
        name: "recurrence-in-reverse",
        runtime: "tract",
        optimised: false,
        last: None,
        what: "an RNN, GRU or LSTM with direction=reverse is computed otherwise than ONNX states",
        remedy: "reverse the sequence before and behind it, or use ONNX Runtime",
        thread: BACKEND_TESTS,
        shown: Ok("0.23"),
        hits: recurrence_in_reverse,
    },
    Fault {
        name: "swish-alpha",
        runtime: "tract",
        optimised: false,
        last: None,
        what: "Swish takes its attribute alpha for 1",
        remedy: "write x * Sigmoid(alpha * x)",
        thread: BACKEND_TESTS,
        shown: Ok("0.23"),
        hits: swish_alpha,
    },
    Fault {
        name: "remainder-behind-cast",
        runtime: "tract",
        optimised: false,
        last: None,
        what: "a Mod of int64 behind a Cast gives a negative number where the dividend is negative: the integers are \
               taken for dimensions",
        remedy: "cast to int32",
        thread: BACKEND_TESTS,
        shown: Ok("0.23"),
        hits: remainder_behind_cast,
    },
    Fault {
        name: "strided-slice-of-conv",
        runtime: "tract",
        optimised: true,
        last: None,
        what: "a Slice behind a Conv whose start is no multiple of its step gives other entries, or is refused: the step is \
               moved into the Conv",
        remedy: "use `tract:opt=off`, or take the entries with a Gather",
        thread: TRACT,
        shown: Ok("0.23"),
        hits: strided_slice_of_conv,
    },
    Fault {
        name: "hard-sigmoid-of-zero",
        runtime: "ort:openvino",
        optimised: false,
        last: None,
        what: "a HardSigmoid takes an alpha or beta of 0 for its default, 0.2 or 0.5",
        remedy: "write 1e-30 in its place",
        thread: OPENVINO,
        shown: Ok("1.24"),
        hits: hard_sigmoid_of_zero,
    },
    Fault {
        name: "weights-of-both-convolutions",
        runtime: "ort:openvino",
        optimised: false,
        last: None,
        what: "of a Conv and a ConvTranspose that share square weights one may take them in the other's layout",
        remedy: "give the ConvTranspose a copy of its own",
        thread: OPENVINO,
        shown: Ok("1.24"),
        hits: weights_of_both_convolutions,
    },
    Fault {
        name: "cubic-as-linear",
        runtime: "rten",
        optimised: false,
        last: None,
        what: "a cubic Resize is computed as a linear one",
        remedy: "use another runtime",
        thread: RTEN,
        shown: Ok("0.27"),
        hits: cubic,
    },
    Fault {
        name: "max-pool-of-a-negative-scale",
        runtime: "ort",
        optimised: true,
        last: Some([1, 18]),
        what: "a MaxPool between DequantizeLinear and QuantizeLinear of a negative scale takes the least element",
        remedy: "use a positive scale, or a later version",
        thread: "https://github.com/microsoft/onnxruntime/issues/21176",
        shown: Err("1.30, the version at hand, is sound"),
        hits: max_pool_of_a_negative_scale,
    },
];

/// The faults that a runtime is known for on nodes of a model, each with the first node that it hits.
pub fn known_faults<'a>(runtime: &dyn Runtime, model: &'a Model) -> Vec<(&'static Fault, &'a Node)> {
    let Some((row, settings)) = runtime.kind().row() else { return Vec::new() };
    let version = runtime.version();
    let concerns = |fault: &&Fault| {
        let (name, setting) =
            fault.runtime.split_once(':').map_or((fault.runtime, None), |(a, b)| (a, Some(b)));
        let accused = name == row.name && setting.is_none_or(|setting| settings.has(setting));
        accused && fault.is_in(&version) && (!fault.optimised || optimises(&settings))
    };
    let hit = |fault: &'static Fault| {
        model
            .graph
            .nodes
            .iter()
            .find(|node| node.domain.is_empty() && (fault.hits)(model, node))
            .map(|node| (fault, node))
    };
    FAULTS.iter().filter(concerns).filter_map(hit).collect()
}

/// A known fault in a line, for a person.
pub fn warning(kind: Kind, fault: &Fault, node: &Node) -> String {
    format!(
        "{kind} is known to be wrong at {}: {} ({}); {}",
        node.label(),
        fault.what,
        fault.thread,
        fault.remedy
    )
}

impl Fault {
    fn is_in(&self, version: &str) -> bool {
        let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
        match (self.last, &parts[..]) {
            (Some(last), [major, minor, ..]) => [*major, *minor] <= last,
            _ => true,
        }
    }
}

/// Whether quantised nodes are fused: not by the two lower levels.
fn optimises(settings: &Settings) -> bool {
    !matches!(settings.get("opt"), Some("none" | "basic" | "off"))
}

fn int8_without_zero_point(model: &Model, node: &Node) -> bool {
    let moves = ["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"];
    let graph = &model.graph;
    let read =
        node.input(0).and_then(|name| producer(graph, name)).and_then(|before| integers(graph, before));
    model.opset() < 21
        && node.op == "DequantizeLinear"
        && node.input(2).is_none()
        && read == Some(DType::I8)
        && readers(graph, node).any(|reader| moves.contains(&reader.op.as_str()))
}

fn fused_between_integers(model: &Model, node: &Node) -> bool {
    let graph = &model.graph;
    let reads_dequantised = || {
        let before = node.input(0).and_then(|name| producer(graph, name));
        before.is_some_and(|before| before.op == "DequantizeLinear")
    };
    ["AveragePool", "Conv", "Mul"].contains(&node.op.as_str())
        && reads_dequantised()
        && readers(graph, node).any(|reader| reader.op == "QuantizeLinear")
}

fn cubic_to_one_pixel(model: &Model, node: &Node) -> bool {
    let is = |name: &str, value: &str| node.attributes.get(name) == Some(&Attribute::from(value));
    let sizes = node.input(3).and_then(|name| model.graph.initializers.get(name));
    let one_pixel = sizes
        .and_then(|sizes| sizes.as_i64())
        .is_some_and(|sizes| sizes.iter().skip(2).any(|&size| size == 1));
    node.op == "Resize"
        && is("mode", "cubic")
        && is("coordinate_transformation_mode", "pytorch_half_pixel")
        && one_pixel
}

fn cubic(_: &Model, node: &Node) -> bool {
    node.op == "Resize" && node.attributes.get("mode") == Some(&Attribute::from("cubic"))
}

fn hard_sigmoid_of_zero(_: &Model, node: &Node) -> bool {
    let zero = |name: &str| node.attributes.get(name) == Some(&Attribute::Float(0.0));
    node.op == "HardSigmoid" && (zero("alpha") || zero("beta"))
}

fn weights_of_both_convolutions(model: &Model, node: &Node) -> bool {
    let weights = node.input(1).filter(|_| node.op == "ConvTranspose");
    let square = weights
        .and_then(|name| model.graph.initializers.get(name))
        .is_some_and(|weights| weights.shape().get(..2).is_some_and(|sizes| sizes[0] == sizes[1]));
    let shares = |other: &Node| other.op == "Conv" && other.input(1) == weights;
    square && model.graph.nodes.iter().any(shares)
}

fn recurrence_in_reverse(_: &Model, node: &Node) -> bool {
    ["RNN", "GRU", "LSTM"].contains(&node.op.as_str())
        && node.attributes.get("direction") == Some(&Attribute::from("reverse"))
}

fn swish_alpha(_: &Model, node: &Node) -> bool {
    let alpha = node.attributes.get("alpha");
    node.op == "Swish" && matches!(alpha, Some(Attribute::Float(alpha)) if *alpha != 1.0)
}

fn remainder_behind_cast(model: &Model, node: &Node) -> bool {
    let before = node.input(0).and_then(|name| producer(&model.graph, name));
    let to = Attribute::Int(i64::from(DType::I64 as i32));
    node.op == "Mod"
        && before.is_some_and(|before| before.op == "Cast" && before.attributes.get("to") == Some(&to))
}

/// Through what keeps the entries of an axis apart.
fn strided_slice_of_conv(model: &Model, node: &Node) -> bool {
    const THROUGH: [&str; 8] = ["Slice", "Transpose", "Relu", "LeakyRelu", "PRelu", "Add", "Mul", "Sigmoid"];
    let graph = &model.graph;
    let ints = |index| graph.initializers.get(node.input(index)?)?.as_i64();
    let (Some(starts), Some(steps)) = (ints(1), ints(4)) else { return false };
    let is_off = |(start, step): (&i64, &i64)| *step > 1 && start % step != 0;
    if node.op != "Slice" || !starts.iter().zip(steps.iter()).any(is_off) {
        return false;
    }
    let mut before = node.input(0).and_then(|name| producer(graph, name));
    // A graph that is no order of nodes has no end.
    for _ in 0..graph.nodes.len() {
        match before {
            Some(conv) if conv.op == "Conv" => return true,
            Some(other) if THROUGH.contains(&other.op.as_str()) => {
                before = other.input(0).and_then(|name| producer(graph, name));
            }
            _ => return false,
        }
    }
    false
}

fn max_pool_of_a_negative_scale(model: &Model, node: &Node) -> bool {
    let graph = &model.graph;
    let negative = |node: &Node| {
        let scale = node.input(1).and_then(|name| graph.initializers.get(name));
        scale.and_then(|scale| scale.as_f32()).is_some_and(|scale| scale.iter().any(|&step| step < 0.0))
    };
    node.op == "MaxPool"
        && readers(graph, node).any(|reader| reader.op == "QuantizeLinear" && negative(reader))
}

fn producer<'a>(graph: &'a Graph, value: &str) -> Option<&'a Node> {
    graph.nodes.iter().find(|node| node.outputs.iter().any(|name| name == value))
}

fn readers<'a>(graph: &'a Graph, node: &'a Node) -> impl Iterator<Item = &'a Node> {
    graph
        .nodes
        .iter()
        .filter(|reader| reader.inputs.iter().any(|name| !name.is_empty() && node.outputs.contains(name)))
}

/// The integers that a QuantizeLinear makes: uint8 unless its zero point says otherwise.
fn integers(graph: &Graph, node: &Node) -> Option<DType> {
    let zero = node.input(2).and_then(|name| graph.initializers.get(name));
    (node.op == "QuantizeLinear").then(|| zero.map_or(DType::U8, |zero| zero.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_of_their_own_and_a_runtime_of_the_table() {
        let mut names: Vec<[&str; 2]> = FAULTS.iter().map(|fault| [fault.name, fault.runtime]).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAULTS.len());
        assert!(FAULTS.iter().all(|fault| fault.thread.starts_with("https://")));
        let is_built = |fault: &&Fault| cfg!(feature = "rten") || fault.runtime != "rten";
        assert!(FAULTS.iter().filter(is_built).all(|fault| fault.runtime.parse::<Kind>().is_ok()));
    }

    #[test]
    fn a_version_lies_in_a_range_or_behind_it() {
        let fault = FAULTS.iter().find(|fault| fault.last == Some([1, 18])).expect("such a row");
        assert!(fault.is_in("1.9.0") && fault.is_in("1.18.1"));
        assert!(!fault.is_in("1.30.0") && !fault.is_in("2.0.0"));
    }
}
