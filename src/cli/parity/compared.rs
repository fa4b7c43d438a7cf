//! One model: run everywhere, compared, searched, and what is found put into a report.

use std::sync::Arc;

use super::worker::{self, Answers, Job};
use super::{Args, admission, files};
use crate::cli::CliError;
use crate::parity::{
    Applicant, Comparison, Input, Program, Question, Report, Side, Tolerances, Verdict, compare, generated,
    is_reduced,
};
use crate::runtime::Runtime;
use crate::runtime::faults::{known_faults, warning};

/// Operators whose results no runtime repeats.
const RANDOM: [&str; 6] =
    ["RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"];

impl Args {
    pub(super) fn compared(&self, index: usize, runtimes: &[Arc<dyn Runtime>]) -> Result<Report, CliError> {
        let (name, model) = self.read(index, false)?;
        let (shapes, inputs) = self.inputs(&name, &model)?;
        let refuse = |reason: &dyn std::fmt::Display| CliError::usage(format!("`{name}`: {reason}"));
        let program = Arc::new(Program::open(&model, &shapes).map_err(|error| refuse(&error))?);
        let good = match &self.reference {
            None => None,
            Some(_) => {
                let (name, model) = self.read(index, true)?;
                let refuse = |reason: &dyn std::fmt::Display| CliError::usage(format!("`{name}`: {reason}"));
                Some((
                    name.clone(),
                    Arc::new(Program::open(&model, &shapes).map_err(|error| refuse(&error))?),
                    model,
                ))
            }
        };
        let reduced = good.as_ref().is_some_and(|(_, good, _)| is_reduced(&program) && !is_reduced(good));
        if let (Some(path), false) = (&self.fix, reduced) {
            let what = "nothing in it is float16 or quantised that is float32 in the reference";
            return Err(CliError::usage(format!("--fix {}: `{name}`: {what}", path.display())));
        }
        let judged = match reduced {
            true => admission::judged(&inputs, generated(&model, &shapes, self.seed).len()),
            false => (0..inputs.len()).collect(),
        };
        let inputs: Vec<Input> = judged.iter().map(|&place| inputs[place].clone()).collect();
        let mut report = Report {
            verdict: Verdict::Pass,
            model: name.clone(),
            reference: good.as_ref().map(|(name, ..)| name.clone()),
            first_divergence: None,
            amplifiers: Vec::new(),
            comparisons: Vec::new(),
            loss: Vec::new(),
            admission: None,
            notes: Vec::new(),
            seed: self.seed,
        };
        let side = |program: &Arc<Program>, runtime: &Arc<dyn Runtime>| Side {
            program: program.clone(),
            runtime: runtime.clone(),
        };
        let ask = |runtime: &Arc<dyn Runtime>, of_reference: bool| {
            let answers = worker::ask(&Job { model: index, of_reference, runtime: runtime.kind() })?;
            // The worker knows nothing of the reference.
            Ok::<_, CliError>(admission::of(&judged, answers))
        };
        if let Some(random) = program.nodes().iter().find(|node| RANDOM.contains(&node.op.as_str())) {
            report.notes.push(format!("{} draws at random: no two runs agree", random.label()));
        }
        for runtime in runtimes {
            let hit = known_faults(&**runtime, &program.model);
            report.notes.extend(hit.iter().map(|(fault, node)| warning(runtime.kind(), fault, node)));
        }
        let mut first: Option<Answers> = None;
        for (place, runtime) in runtimes.iter().enumerate() {
            let own = ask(runtime, false)?;
            let mut pairs: Vec<(Side, bool, Answers)> = Vec::new();
            if let Some((_, good, _)) = &good {
                pairs.push((side(good, runtime), false, ask(runtime, true)?));
            }
            if let Some(first) = first.as_ref().filter(|_| place > 0) {
                pairs.push((side(&program, &runtimes[0]), true, first.clone()));
            }
            for (reference, one_file, expected) in pairs {
                let candidate = side(&program, runtime);
                let stated = match reduced && !one_file {
                    true => admission::tolerances(&self.tolerance)?,
                    false => self.tolerance.clone(),
                };
                let tolerances = Tolerances::new(stated, !one_file);
                let memory = (self.memory as usize) << 20;
                let question = Question {
                    reference: &reference,
                    candidate: &candidate,
                    one_file,
                    tolerances: &tolerances,
                    memory,
                };
                let mut comparison = self.one(&question, &inputs, [&expected, &own], &mut report.notes)?;
                if let Some((good, ..)) = good.as_ref().filter(|_| !one_file) {
                    comparison.reference = format!("{good} on {}", comparison.reference);
                }
                let failed = comparison.verdict == Verdict::Fail;
                report.comparisons.push(comparison);
                // The file is made for the first runtime on which it fails.
                let last = place + 1 == runtimes.len();
                let wanted = !one_file && report.admission.is_none() && (last || failed);
                if let (Some(path), Some((_, _, parent)), true) = (&self.fix, &good, wanted) {
                    let expected = expected.as_ref().map_err(|reason| CliError::failed(reason.clone()))?;
                    let applicant = Applicant {
                        sides: [&reference, &candidate],
                        models: [parent, &model],
                        shapes: &shapes,
                        inputs: &inputs,
                        expected,
                        tolerances: &tolerances,
                        memory,
                    };
                    admission::fix(path, &applicant, &mut report)?;
                }
            }
            first.get_or_insert(own);
        }
        if reduced {
            report.loss = admission::losses(&report);
        }
        let failing = report.comparisons.iter().find(|comparison| comparison.verdict == Verdict::Fail);
        if let Some(failing) = failing {
            report.verdict = Verdict::Fail;
            let with_place =
                report.comparisons.iter().find(|comparison| comparison.first_divergence.is_some());
            let shown = with_place.unwrap_or(failing);
            (report.first_divergence, report.amplifiers) =
                (shown.first_divergence.clone(), shown.amplifiers.clone());
        }
        Ok(report)
    }

    fn one(
        &self,
        question: &Question<'_>,
        inputs: &[Input],
        answers: [&Answers; 2],
        notes: &mut Vec<String>,
    ) -> Result<Comparison, CliError> {
        let (expected, given) = match answers {
            [Ok(expected), Ok(given)] => (expected, given),
            [expected, given] => {
                let reasons: Vec<&str> = [expected, given]
                    .into_iter()
                    .filter_map(|answer| answer.as_ref().err().map(String::as_str))
                    .collect();
                return Ok(worker::not_compared(question, &reasons.join("; ")));
            }
        };
        let (mut inputs, mut expected, mut given) = (inputs.to_vec(), expected.clone(), given.clone());
        for attacked in self.adversarial.find(question, &inputs, self.seed, notes)? {
            let [a, b] = attacked.answers;
            inputs.push(attacked.input);
            expected.push(a);
            given.push(b);
        }
        let found = self.search.find(question, &inputs, [&expected, &given], self.seed, notes)?;
        let searched = found.map(|found| {
            let [a, b] = found.answers;
            inputs.push(found.input);
            expected.push(a);
            given.push(b);
            found.searched
        });
        let mut found = compare(question, &inputs, [&expected, &given]).map_err(CliError::failed)?;
        found.searched = searched;
        let both: usize = found.outputs.iter().map(|output| output.difference.not_finite_in_both).sum();
        if both > 0 {
            notes.push(format!(
                "{both} elements are the same NaN or infinity in {} and in {}: not counted as a difference",
                found.reference, found.candidate
            ));
        }
        if let (Some(folder), Some(divergence)) = (&self.bisect, &found.first_divergence) {
            let input = inputs.iter().find(|input| input.name == divergence.input);
            if let Some(input) = input {
                files::write_reproducer(question, divergence, input, folder, notes)?;
            }
        }
        Ok(found)
    }
}
