//! How a model is fed: what its one input and one output must be.
//!
//! One interface is taken so far, that of our own exports: float32, RGB, NCHW, [0, 1]. Anything else
//! is refused by naming what is unusual. Deliberately absent: the scale, which only the sizes of a
//! run can tell.

use crate::onnx::{DType, Dim, Model, Problem, ValueInfo};

/// What an input should be.
const WANTED: &str = "export the model with one of float32 [N, 3, H, W], for RGB images on [0, 1]";

/// The one image input of a model, by name.
///
/// # Errors
/// More inputs than one, or an input that cannot be an RGB image.
pub fn rgb_input(model: &Model) -> Result<String, Problem> {
    let inputs: Vec<&ValueInfo> = model.graph.required_inputs().collect();
    let [input] = inputs[..] else {
        let names: Vec<String> = inputs.iter().map(|input| format!("`{}`", input.name)).collect();
        let what = format!(
            "takes {} inputs ({}), and one image is expected; make the others constants of the model",
            names.len(),
            names.join(", ")
        );
        return Err(Problem::new("the model", what));
    };
    is_rgb(input)?;
    Ok(input.name.clone())
}

/// The model with one output only: the one that is named, or the only one there is.
///
/// # Errors
/// Several outputs where none is named, or a name that none has.
pub fn one_output(mut model: Model, named: Option<&str>) -> Result<Model, Problem> {
    let outputs = &mut model.graph.outputs;
    let names: Vec<String> = outputs.iter().map(|output| format!("`{}`", output.name)).collect();
    let names = names.join(", ");
    let what = match named {
        None if outputs.len() == 1 => return Ok(model),
        None => format!("gives {} outputs ({names}); choose one with --output NAME", outputs.len()),
        Some(name) => {
            if outputs.iter().any(|output| output.name == name) {
                outputs.retain(|output| output.name == name);
                return Ok(model);
            }
            format!("gives no output `{name}`; there is {names}")
        }
    };
    Err(Problem::new("the model", what))
}

fn is_rgb(input: &ValueInfo) -> Result<(), Problem> {
    let refuse = |what: String| Err(Problem::new(format!("input `{}`", input.name), what));
    let Some((dtype, dims)) = input.dims() else {
        return refuse(format!("is not a tensor of known rank; {WANTED}"));
    };
    let shown: Vec<String> = dims.iter().map(ToString::to_string).collect();
    let shown = format!("is {dtype} [{}]; {WANTED}", shown.join(", "));
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
    fn one_of_several_outputs_is_chosen_by_name() {
        let two = || {
            let mut two = model(&[("x", DType::F32, dims(3))]);
            two.graph.outputs.push(ValueInfo::tensor("features", DType::F32, []));
            two
        };
        let message = |result: Result<Model, Problem>| result.unwrap_err().to_string();
        let none = message(one_output(two(), None));
        assert!(none.contains("2 outputs (`y`, `features`); choose one with --output"), "{none}");
        let wrong = message(one_output(two(), Some("z")));
        assert!(wrong.contains("no output `z`; there is `y`, `features`"), "{wrong}");
        let chosen = one_output(two(), Some("features")).unwrap();
        assert_eq!(chosen.graph.outputs.len(), 1);
        assert_eq!(chosen.graph.outputs[0].name, "features");
        let only = one_output(model(&[("x", DType::F32, dims(3))]), None).unwrap();
        assert_eq!(only.graph.outputs[0].name, "y");
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
