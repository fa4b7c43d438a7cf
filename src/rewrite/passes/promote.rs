//! Computes in float32 what a model computes in half precision.
//!
//! float16 and bfloat16 tensors, and what is cast to them, become float32; nothing else changes. A
//! gradient in half precision would underflow, and not every runtime has half-precision kernels.

use crate::onnx::{Attribute, DType, Graph, Model, Tensor, ValueInfo, ValueType};

/// The model with float32 in the place of half precision, and whether there was any.
pub fn promote(model: &Model) -> (Model, bool) {
    let mut promoted = model.clone();
    let changed = promote_graph(&mut promoted.graph);
    (promoted, changed)
}

fn promote_graph(graph: &mut Graph) -> bool {
    let mut changed = false;
    for tensor in graph.initializers.values_mut() {
        changed |= promote_tensor(tensor);
    }
    for info in graph.inputs.iter_mut().chain(&mut graph.outputs).chain(&mut graph.values) {
        changed |= promote_info(info);
    }
    for node in &mut graph.nodes {
        let casts = matches!(node.op.as_str(), "Cast" | "EyeLike") || node.op.starts_with("Random");
        for (name, attribute) in &mut node.attributes {
            changed |= match attribute {
                Attribute::Tensor(tensor) => promote_tensor(tensor),
                Attribute::Graph(graph) => promote_graph(graph),
                Attribute::Int(code) if casts && matches!(name.as_str(), "to" | "dtype") => {
                    let half = i32::try_from(*code).ok().and_then(DType::from_code).is_some_and(is_half);
                    if half {
                        *code = DType::F32 as i64;
                    }
                    half
                }
                _ => false,
            };
        }
    }
    changed
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

fn promote_tensor(tensor: &mut Tensor) -> bool {
    let values: Vec<f32> = match (tensor.as_f16(), tensor.as_bf16()) {
        (Some(values), _) => values.iter().map(|value| value.to_f32()).collect(),
        (_, Some(values)) => values.iter().map(|value| value.to_f32()).collect(),
        _ => return false,
    };
    *tensor = Tensor::f32(tensor.shape(), values).expect("one value for each that was there");
    true
}

fn promote_info(info: &mut ValueInfo) -> bool {
    match &mut info.ty {
        Some(ValueType::Tensor { dtype, .. }) if is_half(*dtype) => {
            *dtype = DType::F32;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::onnx::{Dim, GraphBuilder};

    #[test]
    fn weights_constants_casts_and_declarations_become_float32() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F16, [Dim::Known(2)]));
        let half = |value| Tensor::f16(&[2], vec![f16::from_f32(value); 2]).unwrap();
        let weight = graph.initializer("w", half(0.5));
        let constant = graph.constant("c", half(2.0));
        let sum = graph.node("Add", "sum", &[&x, &weight], []);
        let product = graph.node("Mul", "product", &[&sum, &constant], []);
        let y = graph.node("Cast", "y", &[&product], [("to", Attribute::Int(DType::F16 as i64))]);
        graph.output(ValueInfo::tensor(y, DType::F16, [Dim::Known(2)]));
        let (promoted, changed) = promote(&Model { graph: graph.finish(), ..Default::default() });
        assert!(changed);
        assert_eq!(promoted.graph.initializers["w"].as_f32().unwrap(), [0.5, 0.5]);
        assert_eq!(promoted.graph.nodes[3].attributes["to"], Attribute::Int(1));
        assert_eq!(promoted.graph.inputs[0].dims().unwrap().0, DType::F32);
        assert_eq!(promote(&promoted), (promoted.clone(), false));
    }
}
