//! Protobuf messages to the IR. Every claim of the file is checked before memory is given to it.

use std::sync::Arc;

use half::{bf16, f16};
use indexmap::IndexMap;

use super::external::Beside;
use super::proto::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
    TypeProto, ValueInfoProto,
};
use crate::onnx::error::Problem;
use crate::onnx::model::{Attribute, Dim, Graph, Model, Node, ValueInfo, ValueType};
use crate::onnx::tensor::{DType, Data, Tensor, element_count};

type Result<T> = std::result::Result<T, Problem>;

/// Reads a decoded model, and its external data from `beside` it.
pub fn model(proto: ModelProto, beside: &mut Beside<'_>) -> Result<Model> {
    let refuse = |what: &str| Err(Problem::new("the model", what));
    if let Some(function) = proto.functions.first() {
        let place = format!("local function `{}.{}`", function.domain(), function.name());
        return Err(Problem::new(
            place,
            "local functions are not read; export the model with functions inlined",
        ));
    }
    if proto.ir_version() < 3 {
        return refuse("its IR version is below 3 or missing; export it with a current exporter");
    }
    let opsets: std::collections::BTreeMap<_, _> =
        proto.opset_import.iter().map(|set| (standard(set.domain()), set.version())).collect();
    let Some(graph) = proto.graph else { return Err(Problem::defect("the model", "holds no graph")) };
    Ok(Model {
        ir_version: proto.ir_version.unwrap_or_default(),
        opsets,
        producer: (proto.producer_name.unwrap_or_default(), proto.producer_version.unwrap_or_default()),
        domain: proto.domain.unwrap_or_default(),
        version: proto.model_version.unwrap_or_default(),
        doc: proto.doc_string.unwrap_or_default(),
        metadata: strings(proto.metadata_props),
        graph: Reader { beside }.graph(graph)?,
        training_info: proto.training_info.iter().map(|bytes| bytes.to_vec()).collect(),
        configuration: proto.configuration.iter().map(|bytes| bytes.to_vec()).collect(),
    })
}

/// `ai.onnx` is another way to write the standard domain.
fn standard(domain: &str) -> String {
    if domain == "ai.onnx" { String::new() } else { domain.to_owned() }
}

fn strings(entries: Vec<StringStringEntryProto>) -> IndexMap<String, String> {
    entries
        .into_iter()
        .map(|entry| (entry.key.unwrap_or_default(), entry.value.unwrap_or_default()))
        .collect()
}

struct Reader<'a, 'b> {
    beside: &'a mut Beside<'b>,
}

impl Reader<'_, '_> {
    fn graph(&mut self, proto: GraphProto) -> Result<Graph> {
        if !proto.sparse_initializer.is_empty() {
            return Err(Problem::new(
                "the graph",
                "sparse initializers are not read; store the weights densely",
            ));
        }
        let mut initializers = IndexMap::new();
        for tensor in proto.initializer {
            let name = tensor.name().to_owned();
            let place = format!("initializer `{name}`");
            if initializers.insert(name, self.tensor(tensor, &place)?).is_some() {
                return Err(Problem::defect(place, "is stored twice"));
            }
        }
        let nodes = proto.node.into_iter().map(|node| self.node(node)).collect::<Result<_>>()?;
        let values = |list: Vec<ValueInfoProto>| list.into_iter().map(value_info).collect::<Result<Vec<_>>>();
        Ok(Graph {
            name: proto.name.unwrap_or_default(),
            nodes,
            initializers,
            inputs: values(proto.input)?,
            outputs: values(proto.output)?,
            values: values(proto.value_info)?,
            doc: proto.doc_string.unwrap_or_default(),
            metadata: strings(proto.metadata_props),
            quantization: proto.quantization_annotation.iter().map(|bytes| bytes.to_vec()).collect(),
        })
    }

    fn node(&mut self, proto: NodeProto) -> Result<Node> {
        let mut node = Node {
            name: proto.name.unwrap_or_default(),
            op: proto.op_type.unwrap_or_default(),
            domain: standard(proto.domain.as_deref().unwrap_or_default()),
            overload: proto.overload.unwrap_or_default(),
            inputs: proto.input,
            outputs: proto.output,
            attributes: IndexMap::new(),
            doc: proto.doc_string.unwrap_or_default(),
            metadata: strings(proto.metadata_props),
            devices: proto.device_configurations.iter().map(|bytes| bytes.to_vec()).collect(),
        };
        for attribute in proto.attribute {
            let name = attribute.name().to_owned();
            let place = format!("attribute `{name}` of {}", node.label());
            if node.attributes.insert(name, self.attribute(attribute, &place)?).is_some() {
                return Err(Problem::defect(place, "is given twice"));
            }
        }
        Ok(node)
    }

    fn attribute(&mut self, proto: AttributeProto, place: &str) -> Result<Attribute> {
        if !proto.ref_attr_name().is_empty() {
            return Err(Problem::defect(place, "refers to a function's attribute outside a function"));
        }
        let missing = || Problem::defect(place, "holds no value of the type that it states");
        Ok(match kind(&proto) {
            1 => Attribute::Float(proto.f.unwrap_or_default()),
            2 => Attribute::Int(proto.i.unwrap_or_default()),
            3 => Attribute::String(proto.s.unwrap_or_default().to_vec()),
            4 => Attribute::Tensor(self.tensor(proto.t.ok_or_else(missing)?, place)?),
            5 => Attribute::Graph(Box::new(self.graph(proto.g.ok_or_else(missing)?)?)),
            6 => Attribute::Floats(proto.floats),
            7 => Attribute::Ints(proto.ints),
            8 => Attribute::Strings(proto.strings.iter().map(|bytes| bytes.to_vec()).collect()),
            9 => {
                let tensors = proto.tensors.into_iter().map(|tensor| self.tensor(tensor, place));
                Attribute::Tensors(tensors.collect::<Result<_>>()?)
            }
            10 => {
                let graphs = proto.graphs.into_iter().map(|graph| self.graph(graph));
                Attribute::Graphs(graphs.collect::<Result<_>>()?)
            }
            code => {
                return Err(Problem::defect(place, format!("has a type (number {code}) that is not known")));
            }
        })
    }

    fn tensor(&mut self, proto: TensorProto, place: &str) -> Result<Tensor> {
        let code = proto.data_type();
        let dtype = DType::from_code(code).ok_or_else(|| {
            Problem::defect(place, format!("has an element type (number {code}) that ONNX does not define"))
        })?;
        let shape = shape(&proto, place)?;
        let count = element_count(&shape)
            .ok_or_else(|| Problem::defect(place, format!("shape {shape:?} is larger than memory")))?;
        let data = if dtype == DType::String {
            let entries: Vec<_> = proto.string_data.iter().map(|bytes| bytes.to_vec()).collect();
            Data::String(entries.into())
        } else {
            self.numbers(&proto, dtype, count, place)?
        };
        build(&shape, dtype, data).ok_or_else(|| {
            Problem::defect(
                place,
                format!("its shape {shape:?} of {dtype} and the data stored for it disagree"),
            )
        })
    }

    /// The elements of a tensor of `count` numbers, from wherever they are stored: here as little-endian bytes
    /// or as typed fields, or beside the model.
    fn numbers(&mut self, proto: &TensorProto, dtype: DType, count: usize, place: &str) -> Result<Data> {
        let bytes = dtype.bits().and_then(|bits| count.checked_mul(bits)).map(|bits| bits.div_ceil(8));
        let Some(expected) = bytes else { return Err(Problem::defect(place, "is larger than memory")) };
        if proto.data_location() == 1 || !proto.external_data.is_empty() {
            let decode = |bytes: &[u8]| from_bytes(dtype, bytes);
            let data = self.beside.data(&proto.external_data, dtype, expected, decode);
            return data.map_err(|what| Problem::new(place, what));
        }
        match proto.raw_data.as_deref() {
            Some(raw) if raw.len() == expected => Ok(from_bytes(dtype, raw)),
            Some(raw) if !raw.is_empty() => {
                let what =
                    format!("its shape needs {expected} bytes of {dtype}, the file holds {}", raw.len());
                Err(Problem::defect(place, what))
            }
            _ => Ok(from_fields(dtype, proto)),
        }
    }
}

/// The attribute's type; files before IR version 2 leave it to be seen from the field in use.
fn kind(proto: &AttributeProto) -> i32 {
    let stated = proto.r#type();
    let seen = [
        proto.f.is_some(),
        proto.i.is_some(),
        proto.s.is_some(),
        proto.t.is_some(),
        proto.g.is_some(),
        !proto.floats.is_empty(),
        !proto.ints.is_empty(),
        !proto.strings.is_empty(),
    ];
    if stated != 0 {
        return stated;
    }
    (1..).zip(seen).find(|(_, used)| *used).map_or(0, |(code, _)| code)
}

fn shape(proto: &TensorProto, place: &str) -> Result<Vec<usize>> {
    if proto.segment.is_some() {
        return Err(Problem::defect(place, "is stored in segments"));
    }
    let negative = |_| Problem::defect(place, format!("its shape {:?} holds a negative size", proto.dims));
    proto
        .dims
        .iter()
        .map(|&dim| usize::try_from(dim))
        .collect::<std::result::Result<_, _>>()
        .map_err(negative)
}

/// Typed fields: `int32_data` also carries the small integer types and the bits of the half floats.
fn from_fields(dtype: DType, proto: &TensorProto) -> Data {
    let ints = || proto.int32_data.iter().copied();
    match dtype {
        DType::F32 => Data::F32(proto.float_data.as_slice().into()),
        DType::F64 => Data::F64(proto.double_data.as_slice().into()),
        DType::I64 => Data::I64(proto.int64_data.as_slice().into()),
        DType::U64 => Data::U64(proto.uint64_data.as_slice().into()),
        DType::U32 => Data::U32(proto.uint64_data.iter().map(|&v| v as u32).collect()),
        DType::I32 => Data::I32(proto.int32_data.as_slice().into()),
        DType::I16 => Data::I16(ints().map(|v| v as i16).collect()),
        DType::U16 => Data::U16(ints().map(|v| v as u16).collect()),
        DType::I8 => Data::I8(ints().map(|v| v as i8).collect()),
        DType::U8 => Data::U8(ints().map(|v| v as u8).collect()),
        DType::Bool => Data::Bool(ints().map(|v| v != 0).collect()),
        DType::F16 => Data::F16(ints().map(|v| f16::from_bits(v as u16)).collect()),
        DType::BF16 => Data::BF16(ints().map(|v| bf16::from_bits(v as u16)).collect()),
        DType::Complex64 => Data::Packed(dtype, floats(&proto.float_data)),
        DType::Complex128 => {
            Data::Packed(dtype, proto.double_data.iter().flat_map(|v| v.to_le_bytes()).collect())
        }
        _ => Data::Packed(dtype, ints().map(|v| v as u8).collect()),
    }
}

fn floats(values: &[f32]) -> Arc<[u8]> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Elements from their little-endian bytes.
fn from_bytes(dtype: DType, bytes: &[u8]) -> Data {
    macro_rules! decode {
        ($($dtype:ident $type:ty;)*) => {
            match dtype {
                $(DType::$dtype => {
                    const SIZE: usize = size_of::<$type>();
                    let elements = bytes.as_chunks::<SIZE>().0;
                    Data::$dtype(elements.iter().map(|element| <$type>::from_le_bytes(*element)).collect())
                })*
                DType::Bool => Data::Bool(bytes.iter().map(|&byte| byte != 0).collect()),
                _ => Data::Packed(dtype, bytes.into()),
            }
        };
    }
    decode! {
        F32 f32; F64 f64; F16 f16; BF16 bf16;
        I8 i8; I16 i16; I32 i32; I64 i64; U8 u8; U16 u16; U32 u32; U64 u64;
    }
}

/// Puts shape and elements together where they agree.
fn build(shape: &[usize], dtype: DType, data: Data) -> Option<Tensor> {
    match data {
        Data::F32(data) => Tensor::f32(shape, data),
        Data::F64(data) => Tensor::f64(shape, data),
        Data::F16(data) => Tensor::f16(shape, data),
        Data::BF16(data) => Tensor::bf16(shape, data),
        Data::I8(data) => Tensor::i8(shape, data),
        Data::I16(data) => Tensor::i16(shape, data),
        Data::I32(data) => Tensor::i32(shape, data),
        Data::I64(data) => Tensor::i64(shape, data),
        Data::U8(data) => Tensor::u8(shape, data),
        Data::U16(data) => Tensor::u16(shape, data),
        Data::U32(data) => Tensor::u32(shape, data),
        Data::U64(data) => Tensor::u64(shape, data),
        Data::Bool(data) => Tensor::bool(shape, data),
        Data::String(data) => Tensor::strings(shape, data),
        Data::Packed(_, bytes) => Tensor::packed(shape, dtype, bytes),
    }
    .ok()
}

fn value_info(proto: ValueInfoProto) -> Result<ValueInfo> {
    let name = proto.name.unwrap_or_default();
    let ty = proto.r#type.map(|ty| value_type(ty, &format!("value `{name}`"))).transpose()?.flatten();
    Ok(ValueInfo {
        name,
        ty,
        doc: proto.doc_string.unwrap_or_default(),
        metadata: strings(proto.metadata_props),
    })
}

fn value_type(proto: TypeProto, place: &str) -> Result<Option<ValueType>> {
    let bytes = proto.encode_to_vec();
    let denotation = proto.denotation.unwrap_or_default();
    let others = [
        (proto.sequence_type.is_some(), "a sequence"),
        (proto.map_type.is_some(), "a map"),
        (proto.optional_type.is_some(), "an optional value"),
        (proto.sparse_tensor_type.is_some(), "a sparse tensor"),
        (proto.opaque_type.is_some(), "an opaque value"),
    ];
    if let Some((_, kind)) = others.into_iter().find(|(used, _)| *used) {
        return Ok(Some(ValueType::Other { kind, bytes, denotation }));
    }
    let Some(tensor) = proto.tensor_type else { return Ok(None) };
    let code = tensor.elem_type();
    let dtype = DType::from_code(code).ok_or_else(|| {
        Problem::defect(place, format!("has an element type (number {code}) that ONNX does not define"))
    })?;
    let shape = tensor
        .shape
        .map(|shape| shape.dim.into_iter().map(|dim| dimension(dim, place)).collect::<Result<_>>());
    Ok(Some(ValueType::Tensor { dtype, shape: shape.transpose()?, denotation }))
}

/// A dimension. Its denotation (`DATA_CHANNEL` and the like) is a remark, and is let go.
fn dimension(proto: super::proto::Dimension, place: &str) -> Result<Dim> {
    match (proto.dim_value, proto.dim_param) {
        // Exporters write -1, and some 0, for "any size".
        (Some(size), _) if size <= 0 => Ok(Dim::Unknown),
        (Some(size), _) => usize::try_from(size)
            .map(Dim::Known)
            .map_err(|_| Problem::defect(place, format!("has a dimension of {size}"))),
        (None, Some(name)) if !name.is_empty() => Ok(Dim::Named(name)),
        _ => Ok(Dim::Unknown),
    }
}
