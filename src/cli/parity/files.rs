//! Images brought to an input's shape, and the files of a reproducer.

use std::path::Path;

use ndarray::{Array3, ArrayD, Axis, s};

use crate::cli::CliError;
use crate::files::{create_output_folder, write_atomically};
use crate::metric::{bicubic, luma};
use crate::onnx;
use crate::parity::{Divergence, Input, Question, npy, printed, reproducer};

/// The middle of an RGB image (3, H, W) in the shape of an input, or all of it enlarged where it is smaller; luma
/// where the input has one channel. `None` where the shape is none of an image.
pub fn fitted(pixels: &Array3<f32>, shape: &[usize]) -> Option<ArrayD<f32>> {
    let &[batch, a, b, c] = shape else { return None };
    let (channels, height, width, last) = match (a, c) {
        (1 | 3, _) => (a, b, c, false),
        (_, 1 | 3) => (c, a, b, true),
        _ => return None,
    };
    let (_, rows, columns) = pixels.dim();
    let part = if rows >= height && columns >= width {
        let (top, left) = ((rows - height) / 2, (columns - width) / 2);
        pixels.slice(s![.., top..top + height, left..left + width]).to_owned()
    } else {
        bicubic(pixels.view(), height, width)
    };
    let part = if channels == 1 {
        luma(part.view()).ok()?.mapv(|value| (value / 255.0) as f32).insert_axis(Axis(0))
    } else {
        part
    };
    let part = if last { part.permuted_axes([1, 2, 0]) } else { part };
    let one = part.insert_axis(Axis(0));
    let views = vec![one.view(); batch];
    Some(ndarray::concatenate(Axis(0), &views).ok()?.into_dyn())
}

/// Writes the smallest part that differs: models, inputs, both answers and the script.
pub fn write_reproducer(
    question: &Question<'_>,
    found: &Divergence,
    input: &Input,
    folder: &Path,
    notes: &mut Vec<String>,
) -> Result<(), CliError> {
    let Some(made) = reproducer(question, found, input).map_err(CliError::failed)? else {
        notes.push(format!("{}: nothing written: no part of the graph differs alone", folder.display()));
        return Ok(());
    };
    create_output_folder(folder).map_err(CliError::usage)?;
    onnx::write(&made.candidate, &folder.join("model.onnx")).map_err(CliError::usage)?;
    if let Some(reference) = &made.reference {
        onnx::write(reference, &folder.join("reference.onnx")).map_err(CliError::usage)?;
    }
    let write = |name: &str, bytes: &[u8]| {
        write_atomically(&folder.join(name), |out| out.write_all(bytes)).map_err(CliError::usage)
    };
    for (index, input) in made.inputs.iter().enumerate() {
        write(&format!("input_{index}.npy"), &npy(input))?;
    }
    write("reference.npy", &npy(&made.outputs[0]))?;
    write("candidate.npy", &npy(&made.outputs[1]))?;
    write("show.py", made.script.as_bytes())?;
    notes.push(format!(
        "{}: {} nodes that differ by {}; `python show.py` there prints it",
        folder.display(),
        made.candidate.graph.nodes.len(),
        printed(made.difference)
    ));
    Ok(())
}
