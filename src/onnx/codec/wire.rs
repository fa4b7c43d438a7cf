//! Walks a model's bytes before they are decoded: finds fields that the schema does not declare, and
//! counts what decoding would cost.
//!
//! A protobuf decoder skips what it does not know. In a model that may be a new feature that
//! changes what the network computes, so such a file is refused, and the field named. It also gives
//! hundreds of bytes of memory to two bytes of an empty message, so the claims are added up first. This
//! walk looks at field numbers and lengths alone; it decodes no value and allocates next to nothing.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::proto::{
    Buf, DecodeContext, DecodeError, FieldType, FileDescriptorSet, Message, SCHEMA, WireType, decode_key,
    decode_varint, skip_field,
};

/// Messages on the way from one graph to the next inside it: graph, node, attribute.
const PER_GRAPH: usize = 3;
/// Messages of a graph's innermost values, below the graph itself: node, attribute, tensor, entry.
const INNERMOST: usize = 4;

/// Bytes of memory that a message takes, decoded and then in the IR, whatever it holds. The largest are
/// nodes and attributes.
const PER_MESSAGE: u64 = 1024;
/// Bytes of memory that a text takes beside its own: its place in a list, twice, and the heap's overhead.
const PER_TEXT: u64 = 64;
/// Bytes of memory that a number takes: an int64 in a list that doubles as it grows.
const PER_NUMBER: u64 = 16;

/// What a field holds, as far as its cost goes.
#[derive(Debug)]
enum Content {
    /// A message of this type.
    Message(String),
    /// Text or bytes.
    Text,
    /// Numbers of a varying length, of at least one byte each where they are packed.
    Varint,
    /// Numbers of a fixed length.
    Fixed,
}

/// Field number to name and content.
type Fields = HashMap<u32, (String, Content)>;

static MESSAGES: LazyLock<HashMap<String, Fields>> = LazyLock::new(|| {
    let schema = FileDescriptorSet::decode(SCHEMA).unwrap_or_default();
    let messages = schema.file.into_iter().flat_map(|file| file.message_type);
    messages
        .map(|message| {
            let fields = message.field.into_iter().map(|field| {
                let content = match field.r#type() {
                    FieldType::Message => {
                        Content::Message(field.type_name().trim_start_matches(".onnx.").to_owned())
                    }
                    FieldType::String | FieldType::Bytes => Content::Text,
                    FieldType::Float | FieldType::Double => Content::Fixed,
                    _ => Content::Varint,
                };
                (field.number().cast_unsigned(), (field.name().to_owned(), content))
            });
            (message.name.clone().unwrap_or_default(), fields.collect())
        })
        .collect()
});

/// How much a model may hold.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Bytes of memory.
    pub bytes: u64,
    /// Nodes, those of inner graphs included.
    pub nodes: u64,
    /// Graphs inside graphs.
    pub nesting: u64,
}

/// What the walk found wrong.
#[derive(Debug, PartialEq)]
pub enum WireError {
    /// Not a sequence of protobuf fields.
    Malformed(String),
    /// A field the schema does not declare, with the place that holds it.
    Unknown { place: String, field: u32 },
    /// Graphs inside graphs beyond the limit.
    TooDeep,
    /// More memory than allowed.
    TooLarge,
    /// More nodes than allowed.
    TooManyNodes,
}

/// Checks that `bytes`, a `ModelProto`, holds declared fields only and no more than `most`; gives the bytes
/// of memory that are left of it.
pub fn check(bytes: &[u8], most: Most) -> Result<u64, WireError> {
    let mut walk = Walk {
        left: most,
        path: Vec::new(),
        deepest: (most.nesting as usize).saturating_mul(PER_GRAPH).saturating_add(INNERMOST),
    };
    walk.message(bytes, "ModelProto")?;
    Ok(walk.left.bytes)
}

struct Walk {
    left: Most,
    /// The fields that lead to the message at hand, each with its number among those of its name.
    path: Vec<(&'static str, usize)>,
    deepest: usize,
}

impl Walk {
    fn message(&mut self, mut bytes: &[u8], name: &str) -> Result<(), WireError> {
        if self.path.len() >= self.deepest {
            return Err(WireError::TooDeep);
        }
        self.pay(PER_MESSAGE)?;
        if name == "NodeProto" {
            self.left.nodes = self.left.nodes.checked_sub(1).ok_or(WireError::TooManyNodes)?;
        }
        let Some(fields) = MESSAGES.get(name) else { return Ok(()) };
        let mut seen: HashMap<u32, usize> = HashMap::new();
        while bytes.has_remaining() {
            let (number, wire_type) = decode_key(&mut bytes).map_err(malformed)?;
            let Some((name, content)) = fields.get(&number) else {
                return Err(WireError::Unknown { place: self.place(), field: number });
            };
            match (content, wire_type) {
                (Content::Message(inner), WireType::LengthDelimited) => {
                    let index = seen.entry(number).or_default();
                    self.path.push((name.as_str(), *index));
                    *index += 1;
                    self.message(take(&mut bytes)?, inner)?;
                    self.path.pop();
                }
                (content, WireType::LengthDelimited) => {
                    let length = take(&mut bytes)?.len() as u64;
                    self.pay(match content {
                        Content::Varint => PER_NUMBER.saturating_mul(length),
                        Content::Text => PER_TEXT + length,
                        _ => length,
                    })?;
                }
                _ => {
                    self.pay(PER_NUMBER)?;
                    skip_field(wire_type, number, &mut bytes, DecodeContext::default()).map_err(malformed)?;
                }
            }
        }
        Ok(())
    }

    fn pay(&mut self, bytes: u64) -> Result<(), WireError> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or(WireError::TooLarge)?;
        Ok(())
    }

    /// The message at hand, as messages name it: `graph[0].node[3]`.
    fn place(&self) -> String {
        let parts: Vec<String> = self.path.iter().map(|(name, index)| format!("{name}[{index}]")).collect();
        if parts.is_empty() { "ModelProto".to_owned() } else { parts.join(".") }
    }
}

fn malformed(error: DecodeError) -> WireError {
    WireError::Malformed(error.to_string())
}

/// Splits a length-delimited field off the front.
fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = decode_varint(bytes).map_err(|error| WireError::Malformed(error.to_string()))?;
    let cut = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
    let Some((head, tail)) = cut else {
        return Err(WireError::Malformed("a field claims more bytes than the file holds".into()));
    };
    *bytes = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::super::proto::{GraphProto, ModelProto, NodeProto};
    use super::*;

    const MOST: Most = Most { bytes: 1 << 20, nodes: 100, nesting: 30 };

    fn check(bytes: &[u8]) -> Result<(), WireError> {
        super::check(bytes, MOST).map(drop)
    }

    fn model_with(node: NodeProto) -> Vec<u8> {
        let graph = GraphProto { node: vec![NodeProto::default(), node], ..Default::default() };
        ModelProto { ir_version: Some(8), graph: Some(graph), ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn declared_fields_pass() {
        let node = NodeProto { op_type: Some("Relu".into()), ..Default::default() };
        assert_eq!(check(&model_with(node)), Ok(()));
    }

    #[test]
    fn an_unknown_field_is_named_with_its_place() {
        let mut bytes = ModelProto { ir_version: Some(8), ..Default::default() }.encode_to_vec();
        bytes.extend([0xfa, 0x07, 0x01, 0x00]); // field 127, one byte
        assert_eq!(check(&bytes), Err(WireError::Unknown { place: "ModelProto".into(), field: 127 }));
        let inside = [&[0x3a, 0x06, 0x0a, 0x04][..], &[0xfa, 0x07, 0x01, 0x00][..]].concat();
        let place = "graph[0].node[0]".into();
        assert_eq!(check(&inside), Err(WireError::Unknown { place, field: 127 }));
    }

    #[test]
    fn truncation_is_malformed() {
        let bytes = model_with(NodeProto { op_type: Some("Relu".into()), ..Default::default() });
        assert!(matches!(check(&bytes[..bytes.len() - 1]), Err(WireError::Malformed(_))));
    }

    /// A length-delimited field.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut encoded = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            encoded.push((length as u8 & 0x7f) | 0x80);
            length >>= 7;
        }
        encoded.push(length as u8);
        encoded.extend_from_slice(bytes);
        encoded
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |graphs: usize| {
            let mut graph = Vec::new();
            for _ in 0..graphs {
                // graph.node.attribute.g
                graph = field(1, &field(5, &field(6, &graph)));
            }
            field(7, &graph)
        };
        assert_eq!(check(&nested(30)), Ok(()));
        assert_eq!(check(&nested(1000)), Err(WireError::TooDeep));
    }

    #[test]
    fn small_files_of_large_claims_are_refused_before_they_are_decoded() {
        let empty_nodes = field(7, &field(1, &[]).repeat(101));
        assert_eq!(check(&empty_nodes), Err(WireError::TooManyNodes));
        let empty_attributes = field(7, &field(1, &field(5, &[]).repeat(2000)));
        assert_eq!(check(&empty_attributes), Err(WireError::TooLarge));
        let empty_names = field(7, &field(1, &field(1, &[]).repeat(20_000)));
        assert_eq!(check(&empty_names), Err(WireError::TooLarge));
        // Numbers of one byte that become eight, packed and one by one.
        for numbers in [field(7, &vec![0; 70_000]), [0x38, 0].repeat(70_000)] {
            assert_eq!(check(&field(7, &field(5, &numbers))), Err(WireError::TooLarge));
        }
        // Raw data cost what they hold.
        assert_eq!(check(&field(7, &field(5, &field(9, &vec![0; 1_000_000])))), Ok(()));
    }
}
