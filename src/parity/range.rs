//! The range of the parent's values beside what the format of a reduced file holds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::matching::Matching;
use super::nodes::Point;
use super::program::Program;
use crate::onnx::{DType, Node, Tensor};

/// A value of the parent, and the numbers between which the file can hold it.
#[derive(Clone, Debug, Serialize)]
pub struct Range {
    /// The value, by its name in the file.
    pub value: String,
    /// The type that the file has it in.
    pub dtype: String,
    /// The parent's least and largest element.
    pub range: [f64; 2],
    /// What the format holds, at its scale.
    pub format: [f64; 2],
    /// Whether elements of the parent lie outside.
    pub outside: bool,
}

/// Every value that is float16 or quantised, in the file's order.
pub fn ranges(program: &Program, matching: &Matching, points: &[Point]) -> Vec<Range> {
    let mut spans: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    for point in points.iter().filter(|point| point.candidate.is_some()) {
        let [low, high] = point.propagated.range;
        let span = spans.entry(&point.value).or_insert([low, high]);
        *span = [span[0].min(low), span[1].max(high)];
    }
    let mut found = Vec::new();
    for (index, node) in program.nodes().iter().enumerate() {
        for value in program.writes(index) {
            let Some(Held { value: read, format }) = format_of(program, node, value) else { continue };
            let Some(&range) = spans.get(read.as_str()).filter(|_| matching.value(&read).is_some()) else {
                continue;
            };
            found.push(Range {
                value: value.clone(),
                dtype: program.dtype(value).name().into(),
                range,
                format,
                outside: range[0] < format[0] || range[1] > format[1],
            });
        }
    }
    found
}

/// A value that a format of fewer bits holds.
struct Held {
    value: String,
    /// The least and the largest number of the format.
    format: [f64; 2],
}

fn format_of(program: &Program, node: &Node, value: &str) -> Option<Held> {
    let largest = f64::from(half::f16::MAX.to_f32());
    if program.dtype(value) == DType::F16 {
        return Some(Held { value: value.to_owned(), format: [-largest, largest] });
    }
    let weight = |place: usize| node.input(place).and_then(|name| program.model.graph.initializers.get(name));
    let scale = weight(1)?.as_f32().filter(|_| node.op == "QuantizeLinear")?;
    let &[scale] = scale else { return None };
    let zero = weight(2);
    let (least, most) = match zero.map_or(DType::U8, Tensor::dtype) {
        DType::U8 => (0.0, 255.0),
        DType::I8 => (-128.0, 127.0),
        DType::U16 => (0.0, 65_535.0),
        DType::I16 => (-32_768.0, 32_767.0),
        _ => return None,
    };
    let zero = zero.and_then(integer).unwrap_or(0.0);
    let format = [least, most].map(|end| (end - zero) * f64::from(scale));
    Some(Held { value: node.input(0)?.to_owned(), format })
}

fn integer(tensor: &Tensor) -> Option<f64> {
    let bytes = tensor.as_u8().and_then(|values| values.first().map(|&value| f64::from(value)));
    let signed = || tensor.as_i8().and_then(|values| values.first().map(|&value| f64::from(value)));
    let wide = || tensor.as_u16().and_then(|values| values.first().map(|&value| f64::from(value)));
    let wide_signed = || tensor.as_i16().and_then(|values| values.first().map(|&value| f64::from(value)));
    bytes.or_else(signed).or_else(wide).or_else(wide_signed)
}
