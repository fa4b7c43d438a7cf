//! Finds fields that the schema does not declare, before they could be dropped silently.
//!
//! A protobuf decoder skips what it does not know. In a model that may be a new feature that
//! changes what the network computes, so such a file is refused, and the field named. This walk
//! looks at field numbers alone; it decodes no value.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::proto::{
    Buf, DecodeContext, DecodeError, FieldType, FileDescriptorSet, Message, SCHEMA, WireType, decode_key,
    decode_varint, skip_field,
};

/// Messages nest this deep at most: graphs in attributes of nodes of graphs. prost stops at 100.
const MAX_DEPTH: usize = 90;

/// Field number to name and, where the field is a message, its type.
type Fields = HashMap<u32, (String, Option<String>)>;

static MESSAGES: LazyLock<HashMap<String, Fields>> = LazyLock::new(|| {
    let schema = FileDescriptorSet::decode(SCHEMA).unwrap_or_default();
    let messages = schema.file.into_iter().flat_map(|file| file.message_type);
    messages
        .map(|message| {
            let fields = message.field.into_iter().map(|field| {
                let nested = field.r#type() == FieldType::Message;
                let inner = nested.then(|| field.type_name().trim_start_matches(".onnx.").to_owned());
                (field.number().cast_unsigned(), (field.name().to_owned(), inner))
            });
            (message.name.clone().unwrap_or_default(), fields.collect())
        })
        .collect()
});

/// What the walk found wrong.
#[derive(Debug, PartialEq)]
pub enum WireError {
    /// Not a sequence of protobuf fields.
    Malformed(String),
    /// A field the schema does not declare, with the place that holds it.
    Unknown { place: String, field: u32 },
    /// Messages inside messages beyond any real model.
    TooDeep,
}

/// Checks that `bytes`, a `ModelProto`, holds declared fields only.
pub fn check(bytes: &[u8]) -> Result<(), WireError> {
    walk(bytes, "ModelProto", &mut Vec::new())
}

fn walk(mut bytes: &[u8], message: &str, path: &mut Vec<String>) -> Result<(), WireError> {
    if path.len() >= MAX_DEPTH {
        return Err(WireError::TooDeep);
    }
    let malformed = |error: DecodeError| WireError::Malformed(error.to_string());
    let Some(fields) = MESSAGES.get(message) else { return Ok(()) };
    let mut seen: HashMap<u32, usize> = HashMap::new();
    while bytes.has_remaining() {
        let (number, wire_type) = decode_key(&mut bytes).map_err(malformed)?;
        let Some((name, inner)) = fields.get(&number) else {
            let place = if path.is_empty() { message.to_owned() } else { path.join(".") };
            return Err(WireError::Unknown { place, field: number });
        };
        match inner {
            Some(inner) if wire_type == WireType::LengthDelimited => {
                let index = seen.entry(number).or_default();
                path.push(format!("{name}[{index}]"));
                *index += 1;
                walk(take(&mut bytes)?, inner, path)?;
                path.pop();
            }
            _ => skip_field(wire_type, number, &mut bytes, DecodeContext::default()).map_err(malformed)?,
        }
    }
    Ok(())
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

    #[test]
    fn nesting_is_bounded() {
        // graph.node.attribute.g.node.attribute.g ...
        let mut bytes = Vec::new();
        for depth in 0..3_000 {
            let key = if depth % 3 == 0 {
                0x32
            } else if depth % 3 == 1 {
                0x2a
            } else {
                0x0a
            };
            let mut outer = vec![key];
            let mut length = bytes.len();
            while length >= 0x80 {
                outer.push((length as u8 & 0x7f) | 0x80);
                length >>= 7;
            }
            outer.push(length as u8);
            outer.extend(bytes);
            bytes = outer;
        }
        let mut model = vec![0x3a];
        let mut length = bytes.len();
        while length >= 0x80 {
            model.push((length as u8 & 0x7f) | 0x80);
            length >>= 7;
        }
        model.push(length as u8);
        model.extend(bytes);
        assert_eq!(check(&model), Err(WireError::TooDeep));
    }
}
