//! What ONNX Runtime says of a failure, made readable. Deliberately absent: what to do about it, which its callers know.

use crate::runtime::failure::first_line;

/// What ONNX Runtime says, in one line: the node it was at, without the source file it says so in.
pub(super) fn readable(message: &str) -> String {
    let message = first_line(message);
    let at_node = message.strip_prefix("Non-zero status code returned while running ").and_then(|rest| {
        let (operator, rest) = rest.split_once(" node. Name:'")?;
        let (name, status) = rest.split_once("' Status Message: ")?;
        Some(format!("{operator} node `{name}`: {}", without_source(status)))
    });
    at_node.unwrap_or_else(|| without_source(message).to_owned())
}

/// Cuts off where in ONNX Runtime's source a message was made: a file with its line, a function
/// with its types, and the condition that did not hold.
fn without_source(message: &str) -> &str {
    let mut rest = message.strip_prefix("Exception during initialization: ").unwrap_or(message);
    if let Some((file, after)) = rest.split_once(' ') {
        rest = if file.contains(".h:") || file.contains(".cc:") { after } else { rest };
    }
    if let Some((_, told)) = rest.split_once(" was false. ") {
        return told;
    }
    if rest.split(' ').take(3).any(|word| word.contains("onnxruntime::")) {
        rest = rest.split_once(") ").map_or(rest, |(_, after)| after);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_their_place_in_the_source() {
        let cases = [
            ("Incompatible dimensions", "Incompatible dimensions"),
            (
                "/src/core/reshape.h:91 onnxruntime::Reshape(int, bool) a == b was false. No match.",
                "No match.",
            ),
            ("void onnxruntime::Model::Check(const std::string&, int) Opset 99 is new", "Opset 99 is new"),
        ];
        for (message, told) in cases {
            assert_eq!(without_source(message), told);
        }
    }
}
