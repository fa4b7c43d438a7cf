//! A file of reduced precision beside its float32 parent: what it is judged on, where its loss comes from, and the file
//! that keeps some nodes in float32.

use std::path::Path;

use super::worker::Answers;
use crate::cli::CliError;
use crate::onnx;
use crate::parity::{
    Admitted, Answer, Applicant, Comparison, Input, Loss, Output, Report, TypedTolerance, admit,
};

/// What is allowed between a reduced file and its parent where nothing is stated.
const ADMITTED: &str = "psnr=40";

/// The tolerances of a reduced file.
pub fn tolerances(stated: &[TypedTolerance]) -> Result<Vec<TypedTolerance>, CliError> {
    match stated {
        [] => Ok(vec![ADMITTED.parse().map_err(CliError::failed)?]),
        stated => Ok(stated.to_vec()),
    }
}

/// The places of the inputs that a reduced file is judged on: images, else noise. Scales are chosen for images:
/// they hold nothing of denormals, nor of values beyond those of an image.
pub fn judged(inputs: &[Input], generated: usize) -> Vec<usize> {
    match inputs.len() > generated {
        true => (generated..inputs.len()).collect(),
        false => (0..inputs.len()).filter(|&place| inputs[place].name == "noise").collect(),
    }
}

/// The answers to some of the inputs.
pub fn of(judged: &[usize], answers: Answers) -> Answers {
    let mut answers: Vec<Option<Answer>> = answers?.into_iter().map(Some).collect();
    Ok(judged.iter().filter_map(|&place| answers.get_mut(place)?.take()).collect())
}

/// Of every runtime, what the file loses and what the runtime does.
pub fn losses(report: &Report) -> Vec<Loss> {
    // What is no number on one side is worth nothing.
    let psnr = |output: &Output| match output.difference.is_one_sided() {
        true => Some(0.0),
        false => output.difference.psnr,
    };
    let least = |outputs: &[Output]| outputs.iter().filter_map(psnr).reduce(f64::min);
    let of_files = report.comparisons.iter().filter(|comparison| !comparison.one_file);
    let loss = |comparison: &Comparison| Loss {
        runtime: comparison.candidate.clone(),
        quantisation_psnr: least(&comparison.outputs),
        runtime_psnr: report
            .comparisons
            .iter()
            .find(|other| other.one_file && other.candidate == comparison.candidate)
            .and_then(|other| least(&other.outputs)),
    };
    of_files.map(loss).collect()
}

/// Finds the nodes to keep, writes the file and says so.
pub fn fix(path: &Path, applicant: &Applicant<'_>, report: &mut Report) -> Result<(), CliError> {
    let Admitted { admission, model: made } = admit(applicant).map_err(CliError::failed)?;
    onnx::write(&made, path).map_err(CliError::usage)?;
    let db = |psnr: Option<f64>| psnr.map_or("equal or no number".to_owned(), |psnr| format!("{psnr:.1} dB"));
    report.notes.push(format!(
        "{}: keeps {} of {} nodes in float32 and {}; least PSNR {} before, {} with them",
        path.display(),
        admission.kept.len(),
        admission.reduced,
        if admission.passes { "passes" } else { "still FAILS" },
        db(admission.psnr_before),
        db(admission.psnr_after)
    ));
    report.admission = Some(admission);
    Ok(())
}
