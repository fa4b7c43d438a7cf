//! How many inputs each operator takes, from opset 13 on.
//!
//! A rule reads the inputs that it knows; one more would be ignored in silence, and runtimes refuse the
//! file. Deliberately absent: outputs, which a node may name fewer of than there are.

use crate::onnx::Node;

/// Any number.
const MANY: usize = usize::MAX;

/// The fewest and the most inputs, and the operators that take so many.
const INPUTS: &[(usize, usize, &[&str])] = &[
    (
        1,
        1,
        &[
            "Neg",
            "Abs",
            "Reciprocal",
            "Sqrt",
            "Identity",
            "Flatten",
            "Sign",
            "Cast",
            "Exp",
            "Log",
            "Erf",
            "Sin",
            "Cos",
            "Tan",
            "Atan",
            "Asinh",
            "Sinh",
            "Cosh",
            "Transpose",
            "LpNormalization",
            "AveragePool",
            "MaxPool",
            "GlobalAveragePool",
            "GlobalMaxPool",
            "DynamicQuantizeLinear",
            "Relu",
            "LeakyRelu",
            "ThresholdedRelu",
            "Elu",
            "Celu",
            "Selu",
            "HardSigmoid",
            "HardSwish",
            "ArgMax",
            "ArgMin",
            "NonZero",
            "Shape",
            "Size",
            "ConstantOfShape",
            "Floor",
            "Ceil",
            "Round",
            "Not",
            "DepthToSpace",
            "SpaceToDepth",
            "Sigmoid",
            "Tanh",
            "Softplus",
            "Softsign",
            "Gelu",
            "Swish",
            "Mish",
            "Softmax",
            "LogSoftmax",
            "If",
        ],
    ),
    (
        1,
        2,
        &[
            "Squeeze",
            "Split",
            "Trilu",
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ReduceMin",
            "ReduceProd",
            "ReduceL1",
            "ReduceL2",
            "ReduceSumSquare",
            "ReduceLogSum",
            "ReduceLogSumExp",
        ],
    ),
    (
        2,
        2,
        &[
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Pow",
            "Mod",
            "And",
            "Or",
            "Equal",
            "Greater",
            "GreaterOrEqual",
            "Less",
            "LessOrEqual",
            "Unsqueeze",
            "Gather",
            "GatherElements",
            "GatherND",
            "GridSample",
            "PRelu",
            "Reshape",
            "Expand",
            "MatMul",
            "Tile",
            "TopK",
            "RMSNormalization",
        ],
    ),
    (1, 3, &["Dropout", "Clip"]),
    (1, 4, &["Resize"]),
    (2, 3, &["Conv", "ConvTranspose", "Gemm", "LayerNormalization", "QuantizeLinear", "DequantizeLinear"]),
    (2, 4, &["Pad", "ConvInteger", "MatMulInteger"]),
    (
        3,
        3,
        &[
            "Where",
            "ScatterElements",
            "ScatterND",
            "InstanceNormalization",
            "GroupNormalization",
            "OneHot",
            "Range",
        ],
    ),
    (3, 5, &["Slice"]),
    (5, 5, &["BatchNormalization"]),
    (8, 8, &["QLinearMatMul"]),
    (8, 9, &["QLinearConv"]),
    (1, MANY, &["Sum", "Mean", "Max", "Min", "Concat", "Einsum", "Scan"]),
    // The count and the condition of a loop may be left out.
    (0, MANY, &["Loop"]),
];

/// Fails where a node lacks an input that its operator needs, or names one that it does not take.
pub fn check(node: &Node) -> Result<(), String> {
    let Some((least, most)) = arity(&node.op) else { return Ok(()) };
    if let Some(missing) = (0..least).find(|&index| node.input(index).is_none()) {
        return Err(format!("lacks its input {missing}"));
    }
    match (most..node.inputs.len()).find(|&index| node.input(index).is_some()) {
        Some(surplus) => Err(format!("has an input {surplus}, and its operator takes {most}")),
        None => Ok(()),
    }
}

fn arity(op: &str) -> Option<(usize, usize)> {
    INPUTS.iter().find(|(.., operators)| operators.contains(&op)).map(|(least, most, _)| (*least, *most))
}

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::*;

    #[test]
    fn every_operator_of_the_table_states_its_inputs_once() {
        let listed: Vec<&str> = INPUTS.iter().flat_map(|(.., operators)| operators.iter().copied()).collect();
        for operator in all() {
            assert_eq!(listed.iter().filter(|name| **name == operator.name).count(), 1, "{}", operator.name);
        }
        assert_eq!(listed.len(), all().count(), "an operator that the table does not hold");
    }

    #[test]
    fn inputs_too_few_and_too_many_are_named_by_number() {
        let node = |op: &str, inputs: &[&str]| {
            let inputs = inputs.iter().map(|name| (*name).to_owned()).collect();
            check(&Node { op: op.into(), inputs, ..Default::default() })
        };
        assert_eq!(node("Relu", &["x"]), Ok(()));
        assert_eq!(node("Relu", &[]).unwrap_err(), "lacks its input 0");
        assert_eq!(node("Conv", &["x", ""]).unwrap_err(), "lacks its input 1");
        assert_eq!(node("Add", &["x", "y", "z"]).unwrap_err(), "has an input 2, and its operator takes 2");
        assert_eq!(node("Add", &["x", "y", ""]), Ok(()));
        assert_eq!(node("Concat", &["x"; 100]), Ok(()));
        assert_eq!(node("Resize", &["x", "", "s"]), Ok(()));
    }
}
