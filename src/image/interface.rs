//! How a model is fed: what its one input and one output must be.
//!
//! One interface is taken so far, that of our own exports: float32, RGB, NCHW, [0, 1]. Anything else
//! is refused by naming what is unusual. Deliberately absent: the scale, which only the sizes of a
//! run can tell.

use crate::onnx::{DType, Dim, Model, Problem, ValueInfo};

/// The one image input of a model, by name.
///
/// # Errors
/// More inputs or outputs than one, or an input that cannot be an RGB image.
pub fn rgb_input(model: &Model) -> Result<String, Problem> {
    let inputs: Vec<&ValueInfo> = model.graph.required_inputs().collect();
    let [input] = inputs[..] else {
        let names: Vec<String> = inputs.iter().map(|input| format!("`{}`", input.name)).collect();
        let what = format!(
            "takes {} inputs ({}), and an audit feeds one image; make the others constants of the model",
            names.len(),
            names.join(", ")
        );
        return Err(Problem::new("the model", what));
    };
    if model.graph.outputs.len() != 1 {
        let what = format!("gives {} outputs, and an audit judges one image", model.graph.outputs.len());
        return Err(Problem::new("the model", what));
    }
    is_rgb(input)?;
    Ok(input.name.clone())
}

fn is_rgb(input: &ValueInfo) -> Result<(), Problem> {
    let refuse = |what: String| Err(Problem::new(format!("input `{}`", input.name), what));
    let Some((dtype, dims)) = input.dims() else {
        return refuse("is not a tensor of known rank; float32 N x 3 x H x W is expected".into());
    };
    let shown: Vec<String> = dims.iter().map(ToString::to_string).collect();
    let shown = format!("is {dtype} [{}]; float32 N x 3 x H x W is expected", shown.join(", "));
    let channels = dims.get(1).and_then(Dim::known);
    if dtype != DType::F32 || dims.len() != 4 || channels.is_some_and(|channels| channels != 3) {
        return refuse(shown);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Graph;

    fn model(inputs: &[(&str, DType, Vec<Dim>)]) -> Model {
        let input =
            |(name, dtype, dims): &(&str, DType, Vec<Dim>)| ValueInfo::tensor(*name, *dtype, dims.clone());
        let outputs = vec![ValueInfo::tensor("y", DType::F32, [])];
        let graph = Graph { inputs: inputs.iter().map(input).collect(), outputs, ..Default::default() };
        Model { graph, ..Default::default() }
    }

    fn dims(channels: usize) -> Vec<Dim> {
        vec![Dim::Unknown, Dim::Known(channels), Dim::from("H"), Dim::from("W")]
    }

    #[test]
    fn our_own_exports_are_taken() {
        assert_eq!(rgb_input(&model(&[("x", DType::F32, dims(3))])), Ok("x".to_owned()));
    }

    #[test]
    fn what_is_unusual_is_named() {
        let refusal = |inputs: &[(&str, DType, Vec<Dim>)]| rgb_input(&model(inputs)).unwrap_err().to_string();
        let two = refusal(&[("image", DType::F32, dims(3)), ("factor", DType::F32, vec![])]);
        assert!(two.contains("`image`, `factor`"), "{two}");
        assert!(refusal(&[("x", DType::F32, dims(1))]).contains("float32 [?, 1, H, W]"));
        assert!(refusal(&[("x", DType::F16, dims(3))]).contains("float16"));
        assert!(refusal(&[("x", DType::F32, vec![Dim::Known(3)])]).contains("[3]"));
    }
}
