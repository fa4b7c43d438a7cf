//! The IR to protobuf messages. Tensors are written as `raw_data`, inside the file.

use indexmap::IndexMap;

use super::proto::{
    AttributeProto, Bytes, Dimension, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::onnx::model::{Attribute, Dim, Graph, Model, Node, Opaque, ValueInfo, ValueType};
use crate::onnx::tensor::{Data, Tensor};

/// The message of a model.
pub fn model(model: &Model) -> ModelProto {
    let opset = |(domain, version): (&String, &i64)| OperatorSetIdProto {
        domain: Some(domain.clone()),
        version: Some(*version),
    };
    ModelProto {
        ir_version: Some(model.ir_version),
        producer_name: text(&model.producer.0),
        producer_version: text(&model.producer.1),
        domain: text(&model.domain),
        model_version: (model.version != 0).then_some(model.version),
        doc_string: text(&model.doc),
        graph: Some(graph(&model.graph)),
        opset_import: model.opsets.iter().map(opset).collect(),
        metadata_props: strings(&model.metadata),
        training_info: opaque(&model.training_info),
        functions: Vec::new(),
        configuration: opaque(&model.configuration),
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn opaque(messages: &[Opaque]) -> Vec<Bytes> {
    messages.iter().map(|bytes| Bytes::copy_from_slice(bytes)).collect()
}

fn strings(entries: &IndexMap<String, String>) -> Vec<StringStringEntryProto> {
    let entry = |(key, value): (&String, &String)| StringStringEntryProto {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    entries.iter().map(entry).collect()
}

fn graph(graph: &Graph) -> GraphProto {
    GraphProto {
        node: graph.nodes.iter().map(node).collect(),
        name: Some(graph.name.clone()),
        initializer: graph.initializers.iter().map(|(name, data)| tensor(name, data)).collect(),
        doc_string: text(&graph.doc),
        input: graph.inputs.iter().map(value_info).collect(),
        output: graph.outputs.iter().map(value_info).collect(),
        value_info: graph.values.iter().map(value_info).collect(),
        quantization_annotation: opaque(&graph.quantization),
        sparse_initializer: Vec::new(),
        metadata_props: strings(&graph.metadata),
    }
}

fn node(node: &Node) -> NodeProto {
    NodeProto {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: text(&node.name),
        op_type: Some(node.op.clone()),
        attribute: node.attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
        doc_string: text(&node.doc),
        domain: text(&node.domain),
        overload: text(&node.overload),
        metadata_props: strings(&node.metadata),
        device_configurations: opaque(&node.devices),
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: Some(name.to_owned()), ..Default::default() };
    let kind = match value {
        Attribute::Float(value) => (proto.f = Some(*value), 1).1,
        Attribute::Int(value) => (proto.i = Some(*value), 2).1,
        Attribute::String(value) => (proto.s = Some(Bytes::copy_from_slice(value)), 3).1,
        Attribute::Tensor(value) => (proto.t = Some(tensor("", value)), 4).1,
        Attribute::Graph(value) => (proto.g = Some(graph(value)), 5).1,
        Attribute::Floats(values) => (proto.floats = values.clone(), 6).1,
        Attribute::Ints(values) => (proto.ints = values.clone(), 7).1,
        Attribute::Strings(values) => (proto.strings = opaque(values), 8).1,
        Attribute::Tensors(values) => {
            (proto.tensors = values.iter().map(|value| tensor("", value)).collect(), 9).1
        }
        Attribute::Graphs(values) => (proto.graphs = values.iter().map(graph).collect(), 10).1,
    };
    proto.r#type = Some(kind);
    proto
}

fn tensor(name: &str, tensor: &Tensor) -> TensorProto {
    let mut proto = TensorProto {
        dims: tensor.shape().iter().map(|&dim| dim as i64).collect(),
        data_type: Some(tensor.dtype() as i32),
        name: text(name),
        ..Default::default()
    };
    match tensor.data() {
        Data::String(strings) => proto.string_data = opaque(strings),
        data => proto.raw_data = Some(to_bytes(data).into()),
    }
    proto
}

/// Elements as little-endian bytes.
fn to_bytes(data: &Data) -> Vec<u8> {
    macro_rules! encode {
        ($($variant:ident)*) => {
            match data {
                $(Data::$variant(elements) => elements.iter().flat_map(|element| element.to_le_bytes()).collect(),)*
                Data::Bool(elements) => elements.iter().map(|&element| u8::from(element)).collect(),
                Data::Packed(_, bytes) => bytes.to_vec(),
                Data::String(_) => Vec::new(),
            }
        };
    }
    encode!(F32 F64 F16 BF16 I8 I16 I32 I64 U8 U16 U32 U64)
}

fn value_info(info: &ValueInfo) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(info.name.clone()),
        r#type: info.ty.as_ref().map(value_type),
        doc_string: text(&info.doc),
        metadata_props: strings(&info.metadata),
    }
}

fn value_type(ty: &ValueType) -> TypeProto {
    match ty {
        ValueType::Tensor { dtype, shape, denotation } => {
            let shape =
                shape.as_ref().map(|dims| TensorShapeProto { dim: dims.iter().map(dimension).collect() });
            let tensor = TensorTypeProto { elem_type: Some(*dtype as i32), shape };
            TypeProto { tensor_type: Some(tensor), denotation: text(denotation), ..Default::default() }
        }
        // Read from these very bytes, so they decode.
        ValueType::Other { bytes, .. } => TypeProto::decode(bytes.as_slice()).unwrap_or_default(),
    }
}

fn dimension(dim: &Dim) -> Dimension {
    match dim {
        Dim::Known(size) => Dimension { dim_value: Some(*size as i64), ..Default::default() },
        Dim::Named(name) => Dimension { dim_param: Some(name.clone()), ..Default::default() },
        Dim::Unknown => Dimension::default(),
    }
}
