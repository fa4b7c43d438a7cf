//! Every operator against values worked out by hand.

use super::*;

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
