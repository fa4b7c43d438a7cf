//! The interpreter against values worked out by hand, and its gradients against finite differences.

use ndarray::ArrayD;

use super::*;
use crate::onnx::{Attribute, DType, Dim, GraphBuilder, Node, Tensor as Weights, ValueInfo};
use crate::torch::Kind as Elements;
use crate::zoo::{Edsr, TAP};

/// One operator on given inputs.
struct Case {
    node: Node,
    opset: i64,
    inputs: Vec<Option<Weights>>,
}

fn case(op: &str, opset: i64) -> Case {
    let node = Node { op: op.into(), name: "n".into(), outputs: vec!["y0".into()], ..Default::default() };
    Case { node, opset, inputs: Vec::new() }
}

fn floats(shape: &[usize], values: &[f32]) -> Weights {
    Weights::f32(shape, values).unwrap()
}

/// 0, 1, 2, ... in a shape.
fn count(shape: &[usize]) -> Weights {
    floats(shape, &(0..shape.iter().product()).map(|value: usize| value as f32).collect::<Vec<_>>())
}

impl Case {
    fn input(mut self, tensor: Weights) -> Self {
        self.inputs.push(Some(tensor));
        self
    }

    fn left_out(mut self) -> Self {
        self.inputs.push(None);
        self
    }

    fn with(mut self, name: &str, attribute: impl Into<Attribute>) -> Self {
        self.node.attributes.insert(name.into(), attribute.into());
        self
    }

    fn outputs(mut self, number: usize) -> Self {
        self.node.outputs = (0..number).map(|index| format!("y{index}")).collect();
        self
    }

    /// The inputs as initializers, so that any element type can be given.
    fn model(&self) -> Model {
        let mut model = Model { opsets: [(String::new(), self.opset)].into(), ..Default::default() };
        let mut node = self.node.clone();
        for (index, input) in self.inputs.iter().enumerate() {
            let name = input.as_ref().map_or(String::new(), |_| format!("x{index}"));
            if let Some(tensor) = input {
                model.graph.initializers.insert(name.clone(), tensor.clone());
            }
            node.inputs.push(name);
        }
        let output = |name: &String| ValueInfo { ty: None, ..ValueInfo::tensor(name, DType::F32, []) };
        model.graph.outputs = node.outputs.iter().map(output).collect();
        model.graph.nodes = vec![node];
        model
    }

    fn run(&self) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        Torch::new(Device::Cpu).load(&self.model())?.run(&[])
    }

    fn refusal(&self) -> String {
        self.run().unwrap_err().to_string()
    }

    #[track_caller]
    fn gives(&self, shape: &[usize], values: &[f32]) {
        let outputs = self.run().unwrap();
        assert_output(&outputs[0], shape, values);
    }
}

#[track_caller]
fn assert_output(output: &ArrayD<f32>, shape: &[usize], values: &[f32]) {
    assert_eq!(output.shape(), shape);
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
    assert!(output.iter().zip(values).all(close), "{output} against {values:?}");
    assert_eq!(output.len(), values.len());
}

#[test]
fn elementwise_operators() {
    let pair =
        |op, a: &[f32], b: &[f32]| case(op, 13).input(floats(&[a.len()], a)).input(floats(&[b.len()], b));
    pair("Add", &[1.0, 2.0], &[10.0]).gives(&[2], &[11.0, 12.0]);
    pair("Sub", &[1.0, 2.0], &[10.0]).gives(&[2], &[-9.0, -8.0]);
    pair("Mul", &[1.0, 2.0], &[10.0]).gives(&[2], &[10.0, 20.0]);
    pair("Div", &[1.0, -2.0], &[4.0]).gives(&[2], &[0.25, -0.5]);
    pair("Pow", &[3.0, 4.0], &[2.0]).gives(&[2], &[9.0, 16.0]);
    pair("Max", &[3.0, -4.0], &[2.0]).gives(&[2], &[3.0, 2.0]);
    pair("Min", &[3.0, -4.0], &[2.0]).gives(&[2], &[2.0, -4.0]);
    pair("Mean", &[3.0, -4.0], &[2.0]).gives(&[2], &[2.5, -1.0]);
    pair("PRelu", &[3.0, -4.0], &[0.5]).gives(&[2], &[3.0, -2.0]);
    let single = |op, x: &[f32]| case(op, 13).input(floats(&[x.len()], x));
    single("Neg", &[1.0, -2.0]).gives(&[2], &[-1.0, 2.0]);
    single("Abs", &[1.0, -2.0]).gives(&[2], &[1.0, 2.0]);
    single("Sign", &[3.0, -2.0, 0.0]).gives(&[3], &[1.0, -1.0, 0.0]);
    single("Sqrt", &[4.0]).gives(&[1], &[2.0]);
    single("Exp", &[0.0, 1.0]).gives(&[2], &[1.0, std::f32::consts::E]);
    single("Log", &[1.0, std::f32::consts::E]).gives(&[2], &[0.0, 1.0]);
    single("Reciprocal", &[4.0]).gives(&[1], &[0.25]);
    single("Relu", &[3.0, -2.0]).gives(&[2], &[3.0, 0.0]);
    single("LeakyRelu", &[3.0, -2.0]).gives(&[2], &[3.0, -0.02]);
    single("LeakyRelu", &[-2.0]).with("alpha", Attribute::Float(0.5)).gives(&[1], &[-1.0]);
    single("Sigmoid", &[0.0]).gives(&[1], &[0.5]);
    single("Tanh", &[0.0, 20.0]).gives(&[2], &[0.0, 1.0]);
    single("Identity", &[7.0]).gives(&[1], &[7.0]);
}

#[test]
fn activations() {
    let single = |op, x: &[f32]| case(op, 20).input(floats(&[x.len()], x));
    single("HardSwish", &[-3.0, 1.0, 4.0]).gives(&[3], &[0.0, 2.0 / 3.0, 4.0]);
    single("Softplus", &[-200.0, 0.0, 200.0]).gives(&[3], &[0.0, 2f32.ln(), 200.0]);
    single("Softsign", &[1.0, -3.0]).gives(&[2], &[0.5, -0.75]);
    single("ThresholdedRelu", &[1.0, 2.0]).gives(&[2], &[0.0, 2.0]);
    let fall = (-1f32).exp() - 1.0;
    single("Elu", &[-1.0, 1.0]).gives(&[2], &[fall, 1.0]);
    single("Celu", &[-2.0, 1.0]).with("alpha", Attribute::Float(2.0)).gives(&[2], &[2.0 * fall, 1.0]);
    single("Selu", &[-1.0, 1.0]).gives(&[2], &[1.758_099_3 * fall, 1.050_701]);
    single("Gelu", &[1.0]).gives(&[1], &[0.841_344_7]);
    single("Gelu", &[1.0]).with("approximate", "tanh").gives(&[1], &[0.841_192]);
    single("Mish", &[1.0]).gives(&[1], &[0.865_098_4]);
    single("Erf", &[1.0]).gives(&[1], &[0.842_700_8]);
    single("LogSoftmax", &[7.0, 7.0]).gives(&[2], &[-(2f32.ln()); 2]);
    let kept = single("Dropout", &[3.0]).outputs(2).run().unwrap();
    assert_output(&kept[1], &[1], &[1.0]);
    let trains = Weights::bool(&[], vec![true]).unwrap();
    let refusal = single("Dropout", &[3.0]).input(Weights::scalar(0.5)).input(trains).refusal();
    assert!(refusal.contains("training mode"), "{refusal}");
}

#[test]
fn normalisations() {
    let each = |values: &[f32]| floats(&[values.len()], values);
    let exact = |op, opset| case(op, opset).with("epsilon", Attribute::Float(0.0));
    exact("BatchNormalization", 15)
        .input(floats(&[1, 1, 2], &[3.0, 5.0]))
        .input(each(&[2.0]))
        .input(each(&[1.0]))
        .input(each(&[1.0]))
        .input(each(&[4.0]))
        .gives(&[1, 1, 2], &[3.0, 5.0]);
    let instance = exact("InstanceNormalization", 6).input(floats(&[1, 1, 2], &[1.0, 3.0]));
    instance.input(each(&[2.0])).input(each(&[1.0])).gives(&[1, 1, 2], &[-1.0, 3.0]);
    let x = || floats(&[2, 2], &[1.0, 3.0, 4.0, 8.0]);
    let layer = || exact("LayerNormalization", 17).input(x()).input(each(&[1.0, 10.0]));
    layer().gives(&[2, 2], &[-1.0, 10.0, -1.0, 10.0]);
    let all = layer().input(each(&[0.5, 0.0])).outputs(3).run().unwrap();
    assert_output(&all[0], &[2, 2], &[-0.5, 10.0, -0.5, 10.0]);
    assert_output(&all[1], &[2, 1], &[2.0, 6.0]);
    assert_output(&all[2], &[2, 1], &[1.0, 0.5]);
    let x = || floats(&[1, 4, 1], &[1.0, 3.0, 4.0, 8.0]);
    let group = |opset, scale: &[f32]| {
        let none = vec![0.0; scale.len()];
        let group = exact("GroupNormalization", opset).with("num_groups", 2);
        group.input(x()).input(each(scale)).input(each(&none))
    };
    group(18, &[1.0, 2.0]).gives(&[1, 4, 1], &[-1.0, 1.0, -2.0, 2.0]);
    group(21, &[1.0, 2.0, 3.0, 4.0]).gives(&[1, 4, 1], &[-1.0, 2.0, -3.0, 4.0]);
    let rms = exact("RMSNormalization", 23).input(each(&[1.0, 7.0])).input(each(&[1.0, 2.0]));
    rms.gives(&[2], &[0.2, 2.8]);
    let norm = || case("LpNormalization", 1).input(each(&[3.0, -4.0]));
    norm().gives(&[2], &[0.6, -0.8]);
    norm().with("p", 1).gives(&[2], &[3.0 / 7.0, -4.0 / 7.0]);
}

#[test]
fn integers_are_divided_towards_zero() {
    case("Div", 14).input(Weights::ints(&[7, -7])).input(Weights::ints(&[2])).gives(&[2], &[3.0, -3.0]);
}

#[test]
fn clip_in_both_forms() {
    let x = floats(&[3], &[-2.0, 0.5, 2.0]);
    let scalar = |value| Weights::scalar(value);
    case("Clip", 6).input(x.clone()).with("max", Attribute::Float(1.0)).gives(&[3], &[-2.0, 0.5, 1.0]);
    let clip = || case("Clip", 13).input(x.clone());
    clip().input(scalar(-1.0)).input(scalar(1.0)).gives(&[3], &[-1.0, 0.5, 1.0]);
    clip().left_out().input(scalar(1.0)).gives(&[3], &[-2.0, 0.5, 1.0]);
    clip().gives(&[3], &[-2.0, 0.5, 2.0]);
}

#[test]
fn logic() {
    let pair = |op| case(op, 16).input(floats(&[3], &[1.0, 2.0, 3.0])).input(floats(&[1], &[2.0]));
    pair("Greater").gives(&[3], &[0.0, 0.0, 1.0]);
    pair("GreaterOrEqual").gives(&[3], &[0.0, 1.0, 1.0]);
    pair("Less").gives(&[3], &[1.0, 0.0, 0.0]);
    pair("LessOrEqual").gives(&[3], &[1.0, 1.0, 0.0]);
    pair("Equal").gives(&[3], &[0.0, 1.0, 0.0]);
    let truth = |values: &[bool]| Weights::bool(&[values.len()], values).unwrap();
    let both = |op| case(op, 16).input(truth(&[true, false])).input(truth(&[true]));
    both("And").gives(&[2], &[1.0, 0.0]);
    both("Or").gives(&[2], &[1.0, 1.0]);
    case("Not", 16).input(truth(&[true, false])).gives(&[2], &[0.0, 1.0]);
    let choice = case("Where", 16).input(truth(&[true, false]));
    choice.input(floats(&[1], &[5.0])).input(floats(&[2], &[6.0, 7.0])).gives(&[2], &[5.0, 7.0]);
}

#[test]
fn cast_to_integers_cuts_off() {
    let x = floats(&[3], &[1.7, -1.7, 0.0]);
    let to = |dtype: DType| case("Cast", 13).input(x.clone()).with("to", dtype as i64);
    to(DType::I64).gives(&[3], &[1.0, -1.0, 0.0]);
    to(DType::Bool).gives(&[3], &[1.0, 1.0, 0.0]);
    to(DType::F16).gives(&[3], &[1.7, -1.7, 0.0]);
    assert!(to(DType::String).refusal().contains("does not compute with string"));
}

#[test]
fn convolutions() {
    let x = count(&[1, 1, 3, 3]);
    let ones = || floats(&[1, 1, 2, 2], &[1.0; 4]);
    let conv = || case("Conv", 11).input(x.clone()).input(ones());
    conv().gives(&[1, 1, 2, 2], &[8.0, 12.0, 20.0, 24.0]);
    conv().with("strides", vec![2, 2]).gives(&[1, 1, 1, 1], &[8.0]);
    conv().with("dilations", vec![2, 2]).gives(&[1, 1, 1, 1], &[16.0]);
    conv().input(floats(&[1], &[0.5])).gives(&[1, 1, 2, 2], &[8.5, 12.5, 20.5, 24.5]);
    // One row of zeros above alone: asymmetric.
    conv().with("pads", vec![1, 0, 0, 0]).gives(&[1, 1, 3, 2], &[1.0, 3.0, 8.0, 12.0, 20.0, 24.0]);
    let upper = [8.0, 12.0, 7.0, 20.0, 24.0, 13.0, 13.0, 15.0, 8.0];
    conv().with("auto_pad", "SAME_UPPER").gives(&[1, 1, 3, 3], &upper);
    let lower = [0.0, 1.0, 3.0, 3.0, 8.0, 12.0, 9.0, 20.0, 24.0];
    conv().with("auto_pad", "SAME_LOWER").gives(&[1, 1, 3, 3], &lower);
    conv().with("auto_pad", "VALID").gives(&[1, 1, 2, 2], &[8.0, 12.0, 20.0, 24.0]);
    let grouped = case("Conv", 11).input(count(&[1, 2, 1, 2])).input(floats(&[2, 1, 1, 1], &[1.0, 10.0]));
    grouped.with("group", 2).gives(&[1, 2, 1, 2], &[0.0, 1.0, 20.0, 30.0]);
    case("Conv", 11)
        .input(count(&[1, 1, 4]))
        .input(floats(&[1, 1, 2], &[1.0, 2.0]))
        .gives(&[1, 1, 3], &[2.0, 5.0, 8.0]);
    case("Conv", 11)
        .input(count(&[1, 1, 2, 2, 2]))
        .input(floats(&[1, 1, 2, 2, 2], &[1.0; 8]))
        .gives(&[1, 1, 1, 1, 1], &[28.0]);
}

#[test]
fn transposed_convolutions() {
    let x = || floats(&[1, 1, 2], &[1.0, 2.0]);
    let conv = || case("ConvTranspose", 11).input(x()).input(floats(&[1, 1, 3], &[1.0, 10.0, 100.0]));
    conv().gives(&[1, 1, 4], &[1.0, 12.0, 120.0, 200.0]);
    conv().with("strides", vec![2]).gives(&[1, 1, 5], &[1.0, 10.0, 102.0, 20.0, 200.0]);
    conv().with("strides", vec![2]).with("pads", vec![1, 1]).gives(&[1, 1, 3], &[10.0, 102.0, 20.0]);
    conv().with("strides", vec![2]).with("pads", vec![0, 1]).gives(&[1, 1, 4], &[1.0, 10.0, 102.0, 20.0]);
    let wider = conv().with("strides", vec![2]).with("output_padding", vec![1]);
    wider.gives(&[1, 1, 6], &[1.0, 10.0, 102.0, 20.0, 200.0, 0.0]);
    let same = |mode: &str| conv().with("strides", vec![2]).with("auto_pad", mode);
    same("SAME_UPPER").gives(&[1, 1, 4], &[1.0, 10.0, 102.0, 20.0]);
    same("SAME_LOWER").gives(&[1, 1, 4], &[10.0, 102.0, 20.0, 200.0]);
}

#[test]
fn channels_and_space() {
    let x = count(&[1, 4, 1, 2]);
    let blocks = || case("DepthToSpace", 13).input(x.clone()).with("blocksize", 2);
    blocks().gives(&[1, 1, 2, 4], &[0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    let x = count(&[1, 8, 1, 1]);
    let blocks =
        |mode: &str| case("DepthToSpace", 13).input(x.clone()).with("blocksize", 2).with("mode", mode);
    blocks("DCR").gives(&[1, 2, 2, 2], &[0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
    blocks("CRD").gives(&[1, 2, 2, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    assert!(blocks("RCD").refusal().contains("expected one of DCR, CRD"));
    let back = case("SpaceToDepth", 13).input(count(&[1, 2, 2, 2])).with("blocksize", 2);
    back.gives(&[1, 8, 1, 1], &[0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
}

#[test]
fn shapes() {
    let x = count(&[2, 3]);
    let reshape = |shape: &[i64]| case("Reshape", 13).input(x.clone()).input(Weights::ints(shape));
    reshape(&[3, -1]).gives(&[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    reshape(&[0, 1, 3]).gives(&[2, 1, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert!(reshape(&[4]).refusal().contains("Reshape node `n` on [2, 3], [1]"));
    case("Flatten", 13).input(count(&[2, 1, 2])).with("axis", 2).gives(&[2, 2], &[0.0, 1.0, 2.0, 3.0]);
    case("Transpose", 13).input(x.clone()).gives(&[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let turned = case("Transpose", 13).input(count(&[1, 2, 2])).with("perm", vec![2, 0, 1]);
    turned.gives(&[2, 1, 2], &[0.0, 2.0, 1.0, 3.0]);
    case("Squeeze", 13).input(count(&[1, 2, 1])).input(Weights::ints(&[-1])).gives(&[1, 2], &[0.0, 1.0]);
    case("Squeeze", 11).input(count(&[1, 2, 1])).gives(&[2], &[0.0, 1.0]);
    let refused = case("Squeeze", 11).input(count(&[1, 2])).with("axes", vec![1]).refusal();
    assert!(refused.contains("dimension 1 of [1, 2] is not 1"), "{refused}");
    let wider = case("Unsqueeze", 13).input(count(&[2])).input(Weights::ints(&[2, 0]));
    wider.gives(&[1, 2, 1], &[0.0, 1.0]);
    case("Unsqueeze", 11).input(count(&[2])).with("axes", vec![0]).gives(&[1, 2], &[0.0, 1.0]);
    let expand = case("Expand", 13).input(count(&[2, 1])).input(Weights::ints(&[1, 2]));
    expand.gives(&[2, 2], &[0.0, 0.0, 1.0, 1.0]);
    case("Shape", 13).input(x.clone()).gives(&[2], &[2.0, 3.0]);
    case("Shape", 15).input(x).with("start", -1).gives(&[1], &[3.0]);
}

#[test]
fn parts() {
    let x = count(&[2, 4]);
    let slice = |starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]| {
        let list = |values| Weights::ints(values);
        case("Slice", 13)
            .input(x.clone())
            .input(list(starts))
            .input(list(ends))
            .input(list(axes))
            .input(list(steps))
    };
    slice(&[1], &[3], &[1], &[1]).gives(&[2, 2], &[1.0, 2.0, 5.0, 6.0]);
    slice(&[0], &[i64::MAX], &[-1], &[2]).gives(&[2, 2], &[0.0, 2.0, 4.0, 6.0]);
    slice(&[-1], &[i64::MIN], &[1], &[-1]).gives(&[2, 4], &[3.0, 2.0, 1.0, 0.0, 7.0, 6.0, 5.0, 4.0]);
    slice(&[3], &[0], &[1], &[-2]).gives(&[2, 2], &[3.0, 1.0, 7.0, 5.0]);
    slice(&[3], &[1], &[1], &[1]).gives(&[2, 0], &[]);
    let old = case("Slice", 9).input(x.clone()).with("starts", vec![1]).with("ends", vec![2]);
    old.gives(&[1, 4], &[4.0, 5.0, 6.0, 7.0]);
    let concat = case("Concat", 13).input(count(&[1, 2])).input(count(&[1, 1])).with("axis", -1);
    concat.gives(&[1, 3], &[0.0, 1.0, 0.0]);
    let halves = case("Split", 13).input(x.clone()).with("axis", 1).outputs(2).run().unwrap();
    assert_output(&halves[1], &[2, 2], &[2.0, 3.0, 6.0, 7.0]);
    let uneven = case("Split", 18).input(x.clone()).with("axis", 1).with("num_outputs", 3).outputs(3);
    assert_eq!(uneven.run().unwrap()[2].shape(), [2, 0]);
    let stated = case("Split", 13).input(x.clone()).input(Weights::ints(&[1, 3])).with("axis", 1).outputs(2);
    assert_output(&stated.run().unwrap()[0], &[2, 1], &[0.0, 4.0]);
    let gather = case("Gather", 13).input(x).input(Weights::ints(&[-1, 0])).with("axis", 1);
    gather.gives(&[2, 2], &[3.0, 0.0, 7.0, 4.0]);
    case("Gather", 13)
        .input(Weights::ints(&[5, 6, 7]))
        .input(Weights::i64(&[], vec![1]).unwrap())
        .gives(&[], &[6.0]);
}

#[test]
fn pads() {
    let x = count(&[1, 3]);
    let pad =
        |mode: &str| case("Pad", 19).input(x.clone()).input(Weights::ints(&[0, 2, 0, 1])).with("mode", mode);
    pad("constant").gives(&[1, 6], &[0.0, 0.0, 0.0, 1.0, 2.0, 0.0]);
    pad("constant").input(Weights::scalar(9.0)).gives(&[1, 6], &[9.0, 9.0, 0.0, 1.0, 2.0, 9.0]);
    pad("reflect").gives(&[1, 6], &[2.0, 1.0, 0.0, 1.0, 2.0, 1.0]);
    pad("edge").gives(&[1, 6], &[0.0, 0.0, 0.0, 1.0, 2.0, 2.0]);
    pad("wrap").gives(&[1, 6], &[1.0, 2.0, 0.0, 1.0, 2.0, 0.0]);
    let cropped = case("Pad", 6).input(x.clone()).with("pads", vec![0, -1, 0, 1]);
    cropped.with("value", Attribute::Float(4.0)).gives(&[1, 3], &[1.0, 2.0, 4.0]);
    let named = case("Pad", 18).input(x).input(Weights::ints(&[1, 0])).left_out().input(Weights::ints(&[1]));
    named.gives(&[1, 4], &[0.0, 0.0, 1.0, 2.0]);
}

#[test]
fn pools() {
    let x = count(&[1, 1, 3, 3]);
    let pool = |op: &str| case(op, 11).input(x.clone()).with("kernel_shape", vec![2, 2]);
    pool("MaxPool").gives(&[1, 1, 2, 2], &[4.0, 5.0, 7.0, 8.0]);
    pool("AveragePool").gives(&[1, 1, 2, 2], &[2.0, 3.0, 5.0, 6.0]);
    pool("MaxPool")
        .with("auto_pad", "SAME_UPPER")
        .gives(&[1, 1, 3, 3], &[4.0, 5.0, 5.0, 7.0, 8.0, 8.0, 7.0, 8.0, 8.0]);
    let strided = |op: &str| pool(op).with("strides", vec![2, 2]).with("pads", vec![0, 0, 1, 1]);
    strided("MaxPool").gives(&[1, 1, 2, 2], &[4.0, 5.0, 7.0, 8.0]);
    strided("AveragePool").gives(&[1, 1, 2, 2], &[2.0, 3.5, 6.5, 8.0]);
    strided("AveragePool").with("count_include_pad", 1).gives(&[1, 1, 2, 2], &[2.0, 1.75, 3.25, 2.0]);
    pool("MaxPool")
        .with("strides", vec![2, 2])
        .with("ceil_mode", 1)
        .gives(&[1, 1, 2, 2], &[4.0, 5.0, 7.0, 8.0]);
    // The second window reaches beyond a row of padding that is there on one side alone.
    let uneven = |op: &str| {
        let uneven = pool(op).with("strides", vec![3, 3]).with("pads", vec![1, 0, 0, 0]);
        uneven.with("ceil_mode", 1)
    };
    uneven("MaxPool").gives(&[1, 1, 2, 1], &[1.0, 7.0]);
    uneven("AveragePool").gives(&[1, 1, 2, 1], &[0.5, 6.5]);
    uneven("AveragePool").with("count_include_pad", 1).gives(&[1, 1, 2, 1], &[0.25, 6.5]);
    pool("AveragePool").with("dilations", vec![2, 2]).gives(&[1, 1, 1, 1], &[4.0]);
    case("GlobalAveragePool", 1).input(x.clone()).gives(&[1, 1, 1, 1], &[4.0]);
    case("GlobalMaxPool", 1).input(x).gives(&[1, 1, 1, 1], &[8.0]);
}

#[test]
fn products_and_reductions() {
    let matrix = |values: &[f32]| floats(&[2, 2], values);
    let (a, b) = (matrix(&[1.0, 2.0, 3.0, 4.0]), matrix(&[1.0, 0.0, 0.0, 10.0]));
    case("MatMul", 13).input(a.clone()).input(b.clone()).gives(&[2, 2], &[1.0, 20.0, 3.0, 40.0]);
    let gemm = case("Gemm", 13).input(a.clone()).input(b).input(floats(&[1, 2], &[1.0, 2.0]));
    let gemm =
        gemm.with("transA", 1).with("alpha", Attribute::Float(2.0)).with("beta", Attribute::Float(3.0));
    gemm.gives(&[2, 2], &[5.0, 66.0, 7.0, 86.0]);
    let x = floats(&[2, 2], &[3.0, -4.0, 0.0, 2.0]);
    let reduce = |op: &str| case(op, 13).input(x.clone());
    reduce("ReduceSum").with("keepdims", 0).gives(&[], &[1.0]);
    reduce("ReduceLogSumExp").with("axes", vec![0]).gives(&[1, 2], &[3.048_587_4, 2.002_475_8]);
    reduce("ArgMax").with("axis", 1).gives(&[2, 1], &[0.0, 1.0]);
    let last = case("ArgMin", 13).input(floats(&[3], &[1.0, 0.0, 0.0])).with("select_last_index", 1);
    last.with("keepdims", 0).gives(&[], &[2.0]);
    reduce("ReduceSum").input(Weights::ints(&[1])).gives(&[2, 1], &[-1.0, 2.0]);
    reduce("ReduceMean").with("axes", vec![-1]).with("keepdims", 0).gives(&[2], &[-0.5, 1.0]);
    reduce("ReduceMax").with("axes", vec![0]).gives(&[1, 2], &[3.0, 2.0]);
    reduce("ReduceMin").gives(&[1, 1], &[-4.0]);
    reduce("ReduceProd").with("axes", vec![1]).gives(&[2, 1], &[-12.0, 0.0]);
    reduce("ReduceL1").gives(&[1, 1], &[9.0]);
    reduce("ReduceL2").with("axes", vec![1]).gives(&[2, 1], &[5.0, 2.0]);
    reduce("ReduceSumSquare").gives(&[1, 1], &[29.0]);
    let since_18 = case("ReduceL2", 18).input(x.clone()).with("noop_with_empty_axes", 1);
    // Nothing is summed, and the norm of each number is its size.
    since_18.gives(&[2, 2], &[3.0, 4.0, 0.0, 2.0]);
    let softmax = case("Softmax", 13).input(floats(&[1, 2, 1], &[0.0, 0.0]));
    softmax.gives(&[1, 2, 1], &[1.0, 1.0]);
    case("Softmax", 11).input(floats(&[1, 2, 1], &[0.0, 0.0])).gives(&[1, 2, 1], &[0.5, 0.5]);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let unknown = case("Frobnicate", 13).input(count(&[1])).refusal();
    assert!(
        unknown.contains("Frobnicate node `n`") && unknown.contains("no operator `Frobnicate`"),
        "{unknown}"
    );
    let mut private = case("Relu", 13).input(count(&[1]));
    private.node.domain = "com.example".into();
    assert!(private.refusal().contains("no operator `com.example.Relu`"));
    let ignored = case("Relu", 13).input(count(&[1])).with("leak", 1).refusal();
    assert!(ignored.contains("attribute `leak` is not known"), "{ignored}");
    let twisted = case("Concat", 13).input(count(&[1])).with("axis", "zero").refusal();
    assert!(twisted.contains("attribute `axis` is a string, expected an integer"), "{twisted}");
    let lonely = case("Add", 13).input(count(&[1])).refusal();
    assert!(lonely.contains("has 1 inputs, expected 2"), "{lonely}");
    let misfit = case("Add", 13).input(count(&[2])).input(count(&[3])).refusal();
    assert!(misfit.contains("Add node `n` on [2], [3]: The size of tensor a (2)"), "{misfit}");
}

/// `sum(weights * S(x))` of a small EDSR: a scalar that depends on every part of the network.
fn objective() -> Model {
    let mut model = Edsr { features: 4, blocks: 2, scale: 2 }.build(3).unwrap();
    let output = model.graph.outputs.remove(0).name;
    let mut graph = GraphBuilder::from_graph(std::mem::take(&mut model.graph));
    let values: Vec<f32> = (0..3 * 10 * 14).map(|index| (index as f32 * 0.37).sin()).collect();
    let weights = graph.constant("weights", Weights::f32(&[1, 3, 10, 14], values).unwrap());
    let product = graph.node("Mul", "product", &[&output, &weights], []);
    let sum = graph.node("ReduceSum", "sum", &[&product], [("keepdims", Attribute::Int(0))]);
    graph.output(ValueInfo::tensor(sum, DType::F32, []));
    model.graph = graph.finish();
    model
}

fn image(kind: Elements) -> Tensor {
    let values: Vec<f64> = (0..3 * 5 * 7).map(|index| 0.5 + 0.4 * (index as f64 * 0.71).sin()).collect();
    Tensor::from_slice(&values).view([1, 3, 5, 7]).to_kind(kind)
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).sum(Elements::Double).double_value(&[])
}

#[test]
fn the_gradient_by_the_image_and_by_every_weight_agrees_with_finite_differences() {
    let mut program = Program::compile(&objective(), Device::Cpu, Elements::Double).unwrap();
    program.set_trainable(true);
    let x = image(Elements::Double).set_requires_grad(true);
    let value = || program.run(&[x.shallow_clone()]).unwrap().remove(0);
    let mut leaves = program.parameters();
    assert_eq!(leaves.len(), 2 * (1 + 4 + 1 + 1 + 1));
    leaves.push(("image".into(), x.shallow_clone()));
    let handles: Vec<&Tensor> = leaves.iter().map(|(_, leaf)| leaf).collect();
    let gradients = Tensor::run_backward(&[value()], &handles, false, false);
    let step = 1e-6;
    for ((name, leaf), gradient) in leaves.iter().zip(&gradients) {
        let direction = (leaf.detach() * 7.3 + 0.4).sin();
        let shift = |by: f64| no_grad(|| drop(leaf.shallow_clone().g_add_(&(&direction * by))));
        let at = |by| {
            shift(by);
            let found = no_grad(|| value().double_value(&[]));
            shift(-by);
            found
        };
        let numeric = (at(step) - at(-step)) / (2.0 * step);
        let analytic = dot(gradient, &direction);
        assert!((numeric - analytic).abs() <= 1e-6 * numeric.abs().max(1.0), "{name}: {numeric} {analytic}");
    }
}

#[test]
fn the_autograd_session_gives_value_and_gradient() {
    let model = objective();
    let x = image(Elements::Float);
    let mut session = Torch::new(Device::Cpu).autograd(&model, "image").unwrap().unwrap();
    let found = session.run(&[torch::to_ndarray(&x).unwrap().view()]).unwrap();
    assert_eq!(found[1].shape(), [1, 3, 5, 7]);

    let double = Program::compile(&model, Device::Cpu, Elements::Double).unwrap();
    let x = image(Elements::Double).set_requires_grad(true);
    let value = double.run(&[x.shallow_clone()]).unwrap().remove(0);
    let gradient = gradient(&value, &x).unwrap();
    let error = (torch::from_ndarray(found[1].view()) - &gradient).norm().double_value(&[]);
    assert!(error < 1e-5 * gradient.norm().double_value(&[]), "{error}");
    assert!((f64::from(found[0][[]]) - value.double_value(&[])).abs() < 1e-3);

    let Some(Err(error)) = Torch::new(Device::Cpu).autograd(&model, "picture") else {
        panic!("no such input")
    };
    assert!(error.to_string().contains("no input `picture`"));
}

#[test]
fn a_tap_replaces_a_value_for_everything_downstream() {
    let model = Edsr { features: 4, blocks: 1, scale: 2 }.build(0).unwrap();
    let program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    let x = [image(Elements::Float)];
    let plain = program.run(&x).unwrap().remove(0);
    let mut seen = Vec::new();
    let mut tapped = |tap: &str, by: f64| {
        let run = program.run_tapped::<RuntimeError>(&x, tap, &mut |phi| {
            seen.push(phi.size());
            Ok(phi + by)
        });
        run.map(|mut outputs| outputs.remove(0))
    };
    assert_eq!(tapped(&model.metadata[TAP], 0.0).unwrap(), plain);
    assert_ne!(tapped(&model.metadata[TAP], 1.0).unwrap(), plain);
    assert_ne!(tapped("image", 1.0).unwrap(), plain);
    assert!(tapped("nowhere", 0.0).unwrap_err().to_string().contains("`nowhere`"));
    assert!(tapped("head.weight", 0.0).unwrap_err().to_string().contains("is a weight"));
    assert_eq!(seen, [[1, 4, 5, 7], [1, 4, 5, 7], [1, 3, 5, 7]]);
}

#[test]
fn trained_weights_go_back_into_the_graph() {
    let mut model = Edsr { features: 4, blocks: 1, scale: 2 }.build(0).unwrap();
    let original = model.clone();
    let program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    program.write_back(&mut model).unwrap();
    assert_eq!(model, original);
    for (_, parameter) in program.parameters() {
        let _ = parameter.shallow_clone().g_mul_scalar_(0.5);
    }
    program.write_back(&mut model).unwrap();
    let x = image(Elements::Float);
    let again = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    let run = |program: &Program| program.run(&[x.shallow_clone()]).unwrap().remove(0);
    assert_eq!(run(&program), run(&again));
    model.graph.initializers.shift_remove("head.bias");
    assert!(program.write_back(&mut model).unwrap_err().to_string().contains("no weight `head.bias`"));
}

#[test]
fn half_precision_weights_are_computed_in_float32_and_written_back_as_they_were() {
    let mut graph = GraphBuilder::new("half");
    let x = graph.input(ValueInfo::tensor("x", DType::F16, [Dim::Known(2)]));
    let values = [0.1, 3.0].map(half::f16::from_f32);
    let weight = graph.initializer("w", Weights::f16(&[2], values).unwrap());
    let y = graph.node("Mul", "y", &[&x, &weight], []);
    graph.output(ValueInfo::tensor(y, DType::F16, [Dim::Known(2)]));
    let mut model =
        Model { opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Default::default() };
    let original = model.clone();
    let program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    let y = program.run(&[Tensor::from_slice(&[1f32, 1.0])]).unwrap().remove(0);
    assert_eq!(torch::to_vec::<f32>(&y).unwrap(), values.map(|value| value.to_f32()));
    program.write_back(&mut model).unwrap();
    assert_eq!(model, original);
}

#[test]
fn the_wrong_number_of_inputs_is_refused() {
    let model = Edsr { features: 4, blocks: 1, scale: 2 }.build(0).unwrap();
    let mut session = Torch::new(Device::Cpu).load(&model).unwrap();
    assert!(session.run(&[]).unwrap_err().to_string().contains("takes 1 inputs and was given 0"));
}

#[test]
fn parametric_rectifiers_take_slopes_of_every_shape() {
    let x = floats(&[1, 2, 2], &[-1.0, -2.0, -3.0, 4.0]);
    let sloped =
        |shape: &[usize], slopes: &[f32]| case("PRelu", 16).input(x.clone()).input(floats(shape, slopes));
    sloped(&[1], &[0.5]).gives(&[1, 2, 2], &[-0.5, -1.0, -1.5, 4.0]);
    sloped(&[2, 1], &[0.5, 2.0]).gives(&[1, 2, 2], &[-0.5, -1.0, -6.0, 4.0]);
    sloped(&[1, 2, 1], &[0.5, 2.0]).gives(&[1, 2, 2], &[-0.5, -1.0, -6.0, 4.0]);
    // As many slopes as channels, and yet along the last axis.
    sloped(&[2], &[0.5, 2.0]).gives(&[1, 2, 2], &[-0.5, -4.0, -1.5, 4.0]);
    sloped(&[2, 2], &[1.0, 2.0, 3.0, 4.0]).gives(&[1, 2, 2], &[-1.0, -4.0, -9.0, 4.0]);
}

/// A graph of one BatchNormalization over two channels, whose statistics are initializers or fixed.
fn normalisation(fixed: bool) -> Model {
    let mut graph = GraphBuilder::new("norm");
    let x = graph.input(ValueInfo::tensor("x", DType::F32, [Dim::from("N"), Dim::Known(2), Dim::from("W")]));
    let tensor = |values: [f32; 2]| Weights::f32(&[2], values).unwrap();
    let scale = graph.initializer("scale", tensor([2.0, 1.0]));
    let bias = graph.initializer("bias", tensor([0.0, 1.0]));
    let mut statistic = |name: &str, values: [f32; 2]| match fixed {
        true => graph.constant(name, tensor(values)),
        false => graph.initializer(name, tensor(values)),
    };
    let (mean, variance) = (statistic("mean", [0.5, 0.0]), statistic("variance", [4.0, 1.0]));
    let attributes = [("epsilon", Attribute::Float(0.0)), ("momentum", Attribute::Float(0.75))];
    let y = graph.node("BatchNormalization", "y", &[&x, &scale, &bias, &mean, &variance], attributes);
    graph.output(ValueInfo::tensor(y, DType::F32, [Dim::from("N"), Dim::Known(2), Dim::from("W")]));
    Model { opsets: [(String::new(), 17)].into(), graph: graph.finish(), ..Default::default() }
}

fn batch() -> Tensor {
    // Channel 0 is 1, 3, 5, 7: mean 4, variance 5, unbiased 20/3. Channel 1 is 2, 2, 2, 4.
    Tensor::from_slice(&[1f32, 3.0, 2.0, 2.0, 5.0, 7.0, 2.0, 4.0]).view([2, 2, 2])
}

fn close(found: &Tensor, expected: &[f32]) {
    let found = torch::to_vec::<f32>(found).unwrap();
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
}

fn named(list: &[(String, Tensor)], name: &str) -> Tensor {
    list.iter().find(|(own, _)| own == name).unwrap().1.shallow_clone()
}

#[test]
fn in_training_normalisation_is_by_the_batch_and_running_statistics_follow() {
    let mut model = normalisation(false);
    let mut program = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    program.set_trainable(true);
    let names = |list: Vec<(String, Tensor)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(program.parameters()), ["scale", "bias"]);
    assert_eq!(names(program.state()), ["scale", "bias", "mean", "variance"]);
    let evaluated = |program: &Program| program.run(&[batch()]).unwrap().remove(0);
    close(&evaluated(&program).select(1, 0), &[0.5, 2.5, 4.5, 6.5]);

    program.set_mode(Mode::Train);
    let trained = program.run(&[batch()]).unwrap().remove(0);
    let root = 5f32.sqrt();
    close(&trained.select(1, 0), &[-3.0, -1.0, 1.0, 3.0].map(|value| 2.0 * value / root));
    trained.sum(Elements::Float).backward();
    let [mean, variance] = ["mean", "variance"].map(|name| named(&program.state(), name));
    // Three quarters of the old, one of the batch's.
    close(&mean, &[0.75 * 0.5 + 0.25 * 4.0, 0.25 * 2.5]);
    close(&variance, &[0.75 * 4.0 + 0.25 * 20.0 / 3.0, 0.75 + 0.25]);
    assert!(!mean.requires_grad() && named(&program.state(), "scale").grad().defined());

    program.set_mode(Mode::Evaluate);
    let before = evaluated(&program);
    close(&mean, &[1.375, 0.625]);
    program.write_back(&mut model).unwrap();
    let written = Program::compile(&model, Device::Cpu, Elements::Float).unwrap();
    assert_eq!(evaluated(&written), before);
}

#[test]
fn statistics_that_are_fixed_in_the_graph_stay_and_are_used_in_training() {
    let mut program = Program::compile(&normalisation(true), Device::Cpu, Elements::Float).unwrap();
    let run = |program: &Program| program.run(&[batch()]).unwrap().remove(0);
    let before = run(&program);
    program.set_mode(Mode::Train);
    assert_eq!(run(&program), before);
    assert_eq!(run(&program), before);
}

#[test]
fn statistics_that_are_not_to_be_trained_stay_and_are_used_in_training() {
    let mut program = Program::compile(&normalisation(false), Device::Cpu, Elements::Float).unwrap();
    let before = program.run(&[batch()]).unwrap().remove(0);
    program.train_only(&|name| name == "scale");
    assert_eq!(program.state().len(), 1);
    program.set_mode(Mode::Train);
    for _ in 0..2 {
        assert_eq!(program.run(&[batch()]).unwrap().remove(0), before);
    }
}
