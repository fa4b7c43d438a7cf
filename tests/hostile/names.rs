//! Names that would steer a terminal, or fill it.

use temper::onnx;

use crate::common::{Workspace, apart, upscaler};
use crate::watched::bounded;

#[test]
fn a_name_is_shown_without_what_steers_a_terminal_and_without_end() {
    let workspace = Workspace::empty();
    let endless = "n".repeat(10_000_000);
    for (name, shown) in
        [("a\u{1b}]0;title\u{7}b", "a?]0;title?b"), ("a\u{202e}gnp", "a?gnp"), (&endless, "nnn[... 99")]
    {
        let mut model = upscaler(|graph, image| {
            let value = graph.node("Frobnicate", "odd", &[image], []);
            apart(graph, &value)
        });
        model.graph.nodes[0].name = name.to_owned();
        workspace.file("odd.onnx", &onnx::to_bytes(&model));
        let outcome = bounded(&workspace, shown, &["inspect", "odd.onnx"]);
        assert!(outcome.code == Some(2) && outcome.said.contains(shown), "{}", outcome.said);
        assert!(outcome.said.len() < 1000, "{} bytes", outcome.said.len());
        assert!(!outcome.said.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{}", outcome.said);
    }
}
