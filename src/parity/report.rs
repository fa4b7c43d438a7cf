//! What a comparison found, as JSON and as lines for a person.

use std::fmt::Write as _;

use serde::Serialize;

use super::admission::Admission;
use super::difference::Difference;
use super::search::{FOUND, Searched};

/// One file compared: on runtimes, or with another file.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `pass`, or `fail`.
    pub verdict: Verdict,
    /// The file.
    pub model: String,
    /// The file that it was compared with, where it was compared with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The first node that computes something else, of the comparison that failed first.
    pub first_divergence: Option<Divergence>,
    /// The nodes that made an error that came to them largest.
    pub amplifiers: Vec<Amplifier>,
    /// One entry per pair that was compared.
    pub comparisons: Vec<Comparison>,
    /// Of a file of reduced precision: what it loses against its float32 parent, on each runtime.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loss: Vec<Loss>,
    /// The nodes to keep in float32, where a mixed file was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// What a reader must know: runtimes that were left out or crashed, NaN on both sides.
    pub notes: Vec<String>,
    /// Decides every random number.
    pub seed: u64,
}

/// What a file of reduced precision loses, split.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// The runtime.
    pub runtime: String,
    /// The least PSNR of the file against its parent on this runtime, in dB; `None` where they are equal.
    pub quantisation_psnr: Option<f64>,
    /// The least PSNR of the file on this runtime against the file on the first; `None` where they are equal.
    pub runtime_psnr: Option<f64>,
}

/// Whether everything lay within its tolerance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It did.
    Pass,
    /// Something did not, or could not be compared.
    Fail,
}

/// A candidate beside its reference.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The reference: a runtime and its version.
    pub reference: String,
    /// What was compared with it.
    pub candidate: String,
    /// Whether one file ran on both sides.
    pub one_file: bool,
    /// Whether all outputs lay within their tolerance.
    pub verdict: Verdict,
    /// Every output on every input.
    pub outputs: Vec<Output>,
    /// Where they part, if they do.
    pub first_divergence: Option<Divergence>,
    /// The nodes that made an error that came to them largest.
    pub amplifiers: Vec<Amplifier>,
    /// Whether the outputs still differ where every value in between is looked at; `None` where that was not asked.
    pub survives_probing: Option<bool>,
    /// Why it could not be compared, or not node by node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The search for the input on which they differ most, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched: Option<Searched>,
    /// What the two files state differently of nodes that belong together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stated_differences: Vec<String>,
}

/// One output on one input.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    /// The input's name.
    pub input: String,
    /// The output's name.
    pub output: String,
    /// The element type.
    pub dtype: String,
    /// Whether it lies within its tolerance.
    pub within: bool,
    /// How it differs.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Where two sides part.
#[derive(Clone, Debug, Serialize)]
pub struct Divergence {
    /// The node's name; the value that it writes, where it has none.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// The value that differs.
    pub value: String,
    /// The largest difference of what the node gives for the reference's inputs; `None` where that is not known.
    pub isolated_error: Option<f64>,
    /// The largest difference of what it gives in sequence.
    pub propagated_error: f64,
    /// The isolated error in full.
    pub isolated: Option<Difference>,
    /// The propagated error in full.
    pub propagated: Difference,
    /// The input on which it was found.
    pub input: String,
    /// How it was found, and what it is.
    pub how: String,
    /// Nodes that the fault lies among, where it is not one node's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub among: Vec<String>,
    /// Who is right, by a third answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arbitration: Option<Arbitration>,
}

/// A third answer to what a node gives for the reference's inputs.
#[derive(Clone, Debug, Serialize)]
pub struct Arbitration {
    /// Who gave it.
    pub by: String,
    /// How far the reference is from it.
    pub reference_error: f64,
    /// How far the candidate is from it.
    pub candidate_error: f64,
    /// The side that is farther from it, or `neither`.
    pub farther: String,
}

/// A node that makes an error larger.
#[derive(Clone, Debug, Serialize)]
pub struct Amplifier {
    /// The node's name.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Its relative propagated error over the largest of what it reads.
    pub factor: f64,
    /// Its relative propagated error.
    pub relative_error: f64,
}

/// The report in lines.
pub fn table(report: &Report) -> String {
    let mut text = report.model.clone();
    for comparison in &report.comparisons {
        let verdict = if comparison.verdict == Verdict::Pass { "pass" } else { "FAIL" };
        let _ = write!(text, "\n  {} against {}: {verdict}", comparison.candidate, comparison.reference);
        if let Some(reason) = &comparison.failed {
            let _ = write!(text, "; {reason}");
        }
        let worst = comparison.outputs.iter().max_by(|a, b| severity(a).total_cmp(&severity(b)));
        if let Some(worst) = worst {
            let _ = write!(text, "\n    {}", line(worst));
        }
        if let Some(searched) = &comparison.searched {
            let _ = write!(text, "\n    {}", searched_line(searched));
        }
        if let Some(divergence) = &comparison.first_divergence {
            let _ = write!(text, "\n{}", divergence_lines(divergence));
        }
        for amplifier in comparison.amplifiers.iter().take(3) {
            let _ = write!(
                text,
                "\n    amplifies x{:.3}: {} node `{}`",
                amplifier.factor, amplifier.operator, amplifier.node
            );
        }
        for stated in comparison.stated_differences.iter().take(10) {
            let _ = write!(text, "\n    the files differ: {stated}");
        }
    }
    for loss in &report.loss {
        let db = |psnr: Option<f64>| psnr.map_or("none".to_owned(), |psnr| format!("{psnr:.1} dB"));
        let _ = write!(
            text,
            "\n  loss on {}: of the file {}, of the runtime {}",
            loss.runtime,
            db(loss.quantisation_psnr),
            db(loss.runtime_psnr)
        );
    }
    if let Some(admission) = &report.admission {
        for node in &admission.kept {
            let _ = write!(text, "\n  keep in float32: {node}");
        }
        for range in admission.ranges.iter().filter(|range| range.outside).take(10) {
            let ([low, high], [least, most]) = (range.range, range.format);
            let _ = write!(
                text,
                "\n  `{}` reaches from {low:.3e} to {high:.3e}; {} holds {least:.3e} to {most:.3e}",
                range.value, range.dtype
            );
        }
    }
    for note in &report.notes {
        let _ = write!(text, "\n  note: {note}");
    }
    text
}

fn severity(output: &Output) -> f64 {
    let odd = output.difference.is_one_sided() || output.difference.shapes.is_some();
    if odd { f64::INFINITY } else { output.difference.relative }
}

fn line(output: &Output) -> String {
    let found = &output.difference;
    let place = format!("worst on {}: `{}`", output.input, output.output);
    if let Some([a, b]) = &found.shapes {
        return format!("{place} has the shape {b:?}, and {a:?} in the reference");
    }
    if found.is_one_sided() {
        let (reference, candidate) = (found.not_finite_in_reference, found.not_finite_in_candidate);
        return format!(
            "{place} is no finite number {candidate} times here and {reference} times in the reference alone, first at {:?}",
            found.at
        );
    }
    let psnr = found.psnr.map_or("equal".to_owned(), |psnr| format!("{psnr:.1} dB"));
    format!(
        "{place} max {:.3e} at {:?}, mean {:.3e}, {:.1e} of the largest value, {psnr}",
        found.max, found.at, found.mean, found.relative
    )
}

fn searched_line(found: &Searched) -> String {
    let (from, runs) = (&found.from, found.runs);
    let line = format!(
        "`{FOUND}`, in {runs} runs from {from}: {:.3} of the tolerance, {:.3} before",
        found.strain, found.strain_before
    );
    found.ended.iter().fold(line, |line, reason| format!("{line}; ended early: {reason}"))
}

fn divergence_lines(found: &Divergence) -> String {
    let isolated = found.isolated_error.map_or("not known".to_owned(), |error| format!("{error:.3e}"));
    let mut text = format!(
        "    first divergence: {} node `{}`, value `{}`: isolated error {isolated}, propagated {:.3e} (on {}); {}",
        found.operator, found.node, found.value, found.propagated_error, found.input, found.how
    );
    if !found.among.is_empty() {
        let _ = write!(text, "\n    among: {}", found.among.join(", "));
    }
    if let Some(third) = &found.arbitration {
        let _ = write!(
            text,
            "\n    by {}: the reference is {:.3e} off, the candidate {:.3e}; {} is farther",
            third.by, third.reference_error, third.candidate_error, third.farther
        );
    }
    text
}
