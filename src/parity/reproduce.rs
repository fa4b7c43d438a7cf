//! The smallest sub-model that still differs, as files that plain Python runs.

use std::fmt::Write as _;

use ndarray::ArrayD;

use super::bracket::bracket;
use super::compare::Question;
use super::cut::{Cut, Style, Values, cut};
use super::difference::Difference;
use super::error::ParityError;
use super::groups::groups;
use super::inputs::Input;
use super::matching::Matching;
use super::nodes::Sides;
use super::report::Divergence;
use super::value::Value;
use crate::onnx::Model;

/// What shows a difference without this program.
pub struct Reproducer {
    /// The sub-model of the candidate.
    pub candidate: Model,
    /// That of the reference, where it is another file.
    pub reference: Option<Model>,
    /// What both are fed, in order.
    pub inputs: Vec<ArrayD<f32>>,
    /// What the reference and the candidate gave.
    pub outputs: [ArrayD<f32>; 2],
    /// The largest difference of the two.
    pub difference: f64,
    /// The script: it prints the difference.
    pub script: String,
}

/// Cuts out what a divergence is about: its node where that node alone differs, else the nodes that do together.
///
/// # Errors
/// A runtime that fails.
pub fn reproducer(
    question: &Question<'_>,
    found: &Divergence,
    input: &Input,
) -> Result<Option<Reproducer>, ParityError> {
    let Question { reference, candidate, .. } = *question;
    let matching = match question.one_file {
        true => Matching::identity(&candidate.program),
        false => Matching::of(&reference.program, &candidate.program),
    };
    let alone = alone(question, &matching, found, input)?;
    let parts = match alone {
        Some(parts) => Some(parts),
        None => together(question, &matching, found, input)?,
    };
    let Some([theirs, own]) = parts else { return Ok(None) };
    let given = [(reference, &theirs), (candidate, &own)].map(|(side, part)| part.run(&*side.runtime));
    let [Some(expected), Some(answer)] =
        given.map(|given| given.ok().and_then(|values| values.into_values().next()))
    else {
        return Ok(None);
    };
    let difference = Difference::of(&expected, &answer).max;
    let kinds = [reference, candidate].map(|side| side.runtime.kind().name());
    Ok(Some(Reproducer {
        script: script(kinds, question.one_file, own.inputs.len()),
        reference: (!question.one_file).then_some(theirs.model),
        candidate: own.model,
        inputs: own.inputs,
        outputs: [expected.high, answer.high],
        difference,
    }))
}

/// The nodes that differ together, on both sides: the group that the divergence names, else what bracketing finds.
fn together(
    question: &Question<'_>,
    matching: &Matching,
    found: &Divergence,
    input: &Input,
) -> Result<Option<[Cut; 2]>, ParityError> {
    let Question { reference, candidate, tolerances, memory, .. } = *question;
    let sides = Sides { reference, candidate };
    let groups = groups(sides, matching, &input.values, memory)?;
    let named = groups.differing.into_iter().find(|group| group.border == found.value);
    let part = match named {
        Some(group) => Some((group.nodes, group.fed, group.border)),
        None => bracket(sides, matching, &input.values, tolerances)?
            .map(|found| (found.nodes, found.fed, found.value)),
    };
    let Some((nodes, fed, value)) = part else { return Ok(None) };
    let Some(other) = matching.value(&value).cloned() else { return Ok(None) };
    let theirs = renamed(&fed, matching);
    let partners = reference.program.between(&|name| theirs.contains_key(name), std::slice::from_ref(&other));
    Ok(Some([
        cut(&reference.program, &partners, &theirs, &[other], Style::Joined),
        cut(&candidate.program, &nodes, &fed, &[value], Style::Joined),
    ]))
}

/// A number as the script prints it.
pub fn printed(number: f64) -> String {
    let text = format!("{number:.9e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

fn renamed(values: &Values, matching: &Matching) -> Values {
    values.iter().filter_map(|(own, value)| Some((matching.value(own)?.clone(), value.clone()))).collect()
}

/// The one node, on both sides, where it alone differs.
fn alone(
    question: &Question<'_>,
    matching: &Matching,
    found: &Divergence,
    input: &Input,
) -> Result<Option<[Cut; 2]>, ParityError> {
    let Question { reference, candidate, tolerances, .. } = *question;
    let (theirs, program) = (&reference.program, &candidate.program);
    let Some(node) = program.producer(&found.value) else { return Ok(None) };
    let Some(other) = matching.node(node) else { return Ok(None) };
    let mut values = theirs.fed(&input.values);
    let read: Option<Vec<String>> =
        program.reads(node).iter().map(|name| matching.value(name).cloned()).collect();
    let Some(mut wanted) = read else { return Ok(None) };
    wanted.extend(theirs.reads(other).iter().cloned());
    wanted.retain(|name| !values.contains_key(name));
    wanted.sort();
    wanted.dedup();
    let before = theirs.behind(&wanted);
    if !before.is_empty() {
        values.extend(cut(theirs, &before, &values, &wanted, Style::Joined).run(&*reference.runtime)?);
    }
    let own: Values = program
        .reads(node)
        .iter()
        .filter_map(|name| {
            let value = values.get(matching.value(name)?)?.clone();
            Some((name.clone(), Value { dtype: program.dtype(name), ..value }))
        })
        .collect();
    let value = matching.value(&found.value).cloned().unwrap_or_default();
    let parts = [
        cut(theirs, &[other], &values, std::slice::from_ref(&value), Style::Joined),
        cut(program, &[node], &own, std::slice::from_ref(&found.value), Style::Joined),
    ];
    let given = [(reference, &parts[0]), (candidate, &parts[1])].map(|(side, part)| part.run(&*side.runtime));
    let [Ok(expected), Ok(answer)] = given else { return Ok(None) };
    let (Some(expected), Some(answer)) = (expected.get(&value), answer.get(&found.value)) else {
        return Ok(None);
    };
    let differs = !tolerances.allow(program.dtype(&found.value), &Difference::of(expected, answer));
    Ok(differs.then_some(parts))
}

/// A session of ONNX Runtime as Python makes it; `None` for another runtime.
fn session(kind: &str, model: &str) -> Option<String> {
    let settings = kind.strip_prefix("ort")?;
    let level = match settings {
        text if text.contains("opt=none") || text == "-plain" => "ORT_DISABLE_ALL",
        text if text.contains("opt=basic") => "ORT_ENABLE_BASIC",
        text if text.contains("opt=extended") => "ORT_ENABLE_EXTENDED",
        _ => "ORT_ENABLE_ALL",
    };
    let provider = match settings {
        text if text.contains("cuda") => "CUDAExecutionProvider",
        text if text.contains("openvino") => "OpenVINOExecutionProvider",
        _ => "CPUExecutionProvider",
    };
    Some(format!("run(\"{model}\", ort.GraphOptimizationLevel.{level}, \"{provider}\")"))
}

/// Prints the largest difference, as this program does. An answer of a runtime other than ONNX Runtime is read
/// from its file.
fn script([reference, candidate]: [&str; 2], one_file: bool, inputs: usize) -> String {
    let mut text = String::from("import numpy as np, onnxruntime as ort\n");
    let _ = writeln!(text, "inputs = [np.load(f\"input_{{i}}.npy\") for i in range({inputs})]");
    text.push_str("def run(model, level, provider):\n    options = ort.SessionOptions()\n    options.graph_optimization_level = level\n");
    text.push_str("    session = ort.InferenceSession(model, options, providers=[provider])\n");
    text.push_str(
        "    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), inputs)})[0]\n",
    );
    let theirs = if one_file { "model.onnx" } else { "reference.onnx" };
    for (name, kind, model) in [("reference", reference, theirs), ("candidate", candidate, "model.onnx")] {
        let given = session(kind, model).unwrap_or_else(|| format!("np.load(\"{name}.npy\")  # by {kind}"));
        let _ = writeln!(text, "{name} = {given}");
    }
    text.push_str(
        "print(f\"{np.abs(reference.astype(np.float64) - candidate.astype(np.float64)).max():.9e}\")\n",
    );
    text
}

/// An array as a NumPy file, version 1.0.
pub fn npy(array: &ArrayD<f32>) -> Vec<u8> {
    let shape: Vec<String> = array.shape().iter().map(|size| format!("{size},")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape.join(" "));
    // Magic, version and length take ten bytes; the whole is a multiple of 64.
    header.push_str(&" ".repeat((64 - (header.len() + 11) % 64) % 64));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_written_as_numpy_reads_them() {
        let bytes = npy(&ArrayD::from_shape_vec(vec![2, 1], vec![1.0, 2.0]).unwrap());
        assert_eq!((&bytes[..8], (bytes.len() - 8) % 64), (&b"\x93NUMPY\x01\x00"[..], 0));
        let header = String::from_utf8_lossy(&bytes[10..bytes.len() - 8]).into_owned();
        assert!(header.contains("'shape': (2, 1,)") && header.ends_with('\n'), "{header}");
        assert_eq!(bytes[bytes.len() - 4..], 2.0_f32.to_le_bytes());
    }

    #[test]
    fn numbers_are_printed_as_python_prints_them() {
        assert_eq!(printed(0.041_554_868_22), "4.155486822e-02");
        assert_eq!([printed(1.5), printed(2e100)], ["1.500000000e+00", "2.000000000e+100"]);
    }

    #[test]
    fn the_script_states_what_the_runtimes_were() {
        let text = script(["ort-plain", "ort:opt=extended,threads=2"], true, 1);
        assert!(text.contains("ORT_DISABLE_ALL") && text.contains("ORT_ENABLE_EXTENDED"), "{text}");
        assert!(script(["ort", "tract"], true, 1).contains("candidate = np.load(\"candidate.npy\")"));
        assert!(text.lines().count() <= 10, "{text}");
    }
}
