//! Which numbers of the logs go on which axis.

use crate::harden::output::log::Record;
use crate::harden::train::Validated;
use crate::report::html::{Chart, Plot, Point, Series};

/// Points of a curve; of longer logs every so many lines are drawn.
const POINTS: usize = 120;

/// All plots that the logs have numbers for.
pub(super) fn charts(records: &[Record], validations: &[Validated]) -> Vec<Chart> {
    let plots = [
        (
            "Loss",
            losses(records),
            "Means over the steps since the line before. The reconstruction loss is on [0, 255], or for SRResNet and SRGAN on [-1, 1].",
        ),
        (
            "Entropy of Phi",
            curve("bits per element", &[("training", points(records, |line| line.entropy))]),
            "L_e of the paper, by the estimator that is trained along with the network.",
        ),
        (
            "Spread of Phi",
            curve("standard deviation", &[("training", points(records, |line| Some(line.spread)))]),
            "Over all elements, before the noise. Features that spread less are hidden by noise of the same width more easily.",
        ),
        (
            "Learning rate",
            curve(
                "learning rate in 1e-6",
                &[("Adam", points(records, |line| Some(1e6 * line.learning_rate)))],
            ),
            "Of the last step before each line.",
        ),
        (
            "Validation",
            curve(
                "PSNR in dB",
                &[
                    ("clean, on luma", at_validations(validations, |found| found.psnr)),
                    ("SR PSNR under I-FGSM, 4/255", at_validations(validations, |found| found.attacked)),
                ],
            ),
            "Clean PSNR against the ground truth, and what ten steps of I-FGSM leave of the output.",
        ),
        (
            "Histogram of Phi",
            histograms(validations),
            "The density of its elements, of all channels together, at the first and at the last validation.",
        ),
    ];
    let drawn = plots.into_iter().filter_map(|(title, plot, caption)| Chart::of(title, &plot, caption));
    drawn.collect()
}

fn losses(records: &[Record]) -> Plot {
    curve(
        "loss",
        &[
            ("total", points(records, |line| Some(line.loss))),
            ("reconstruction", points(records, |line| Some(line.reconstruction))),
            ("adversarial", points(records, |line| line.adversarial)),
            ("discriminator", points(records, |line| line.discriminator)),
        ],
    )
}

/// Curves over the steps, those without a point left out.
fn curve(unit: &str, curves: &[(&str, Vec<(u64, f64)>)]) -> Plot {
    let series = curves.iter().enumerate().map(|(colour, (name, points))| Series {
        name: (*name).to_owned(),
        colour,
        joined: true,
        dashed: false,
        points: points
            .iter()
            .map(|&(step, value)| Point {
                x: step as f64,
                y: value,
                label: format!("{name} at step {step}: {value:.4}"),
            })
            .collect(),
    });
    let series = series.filter(|series| !series.points.is_empty()).collect();
    Plot {
        title: format!("{unit} against steps"),
        x: "steps".into(),
        y: unit.into(),
        diagonal: false,
        series,
    }
}

/// Every so many lines that have a number, the last one among them.
fn points(records: &[Record], of: fn(&Record) -> Option<f64>) -> Vec<(u64, f64)> {
    let all: Vec<(u64, f64)> = records.iter().filter_map(|line| Some((line.step, of(line)?))).collect();
    let every = all.len().div_ceil(POINTS).max(1);
    let mut kept: Vec<(u64, f64)> = all.iter().rev().step_by(every).copied().collect();
    kept.reverse();
    kept
}

fn at_validations(validations: &[Validated], of: fn(&Validated) -> f64) -> Vec<(u64, f64)> {
    validations.iter().map(|found| (found.step, of(found))).collect()
}

fn histograms(validations: &[Validated]) -> Plot {
    let ends = validations.first().into_iter().chain(validations.iter().skip(1).next_back());
    let series = ends.enumerate().map(|(colour, found)| Series {
        name: format!("step {}", found.step),
        colour,
        joined: true,
        dashed: false,
        points: densities(&found.histogram, found.step),
    });
    Plot {
        title: "Histogram of Phi".into(),
        x: "value of Phi".into(),
        y: "% of elements per unit".into(),
        diagonal: false,
        series: series.collect(),
    }
}

/// Shares over the width of their bins, which is not the same at every validation.
fn densities(histogram: &[[f64; 2]], step: u64) -> Vec<Point> {
    let width = match histogram {
        [first, second, ..] => second[0] - first[0],
        _ => 1.0,
    };
    let density = |&[middle, share]: &[f64; 2]| {
        let y = 100.0 * share / width;
        Point { x: middle, y, label: format!("step {step}: {y:.3}% per unit around {middle:.3}") }
    };
    histogram.iter().map(density).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, entropy: Option<f64>) -> Record {
        Record { entropy, ..Record::example(step) }
    }

    fn validated(step: u64) -> Validated {
        Validated {
            step,
            images: 2,
            training: false,
            psnr: 30.0 + step as f64,
            ssim: 0.9,
            attacked: 25.0,
            entropy: 4.0,
            spread: 1.0,
            channel_spreads: vec![],
            gain: 1.0,
            histogram: vec![[-0.5, 0.25], [0.5, 0.75]],
        }
    }

    #[test]
    fn what_the_logs_lack_is_not_drawn() {
        let titles = |charts: &[Chart]| charts.iter().map(|chart| chart.title).collect::<Vec<_>>();
        assert!(charts(&[], &[]).is_empty());
        let plain = charts(&[record(1, None), record(2, None)], &[]);
        assert_eq!(titles(&plain), ["Loss", "Spread of Phi", "Learning rate"]);
        let all = charts(&[record(1, Some(6.0))], &[validated(0), validated(5), validated(10)]);
        assert_eq!(all.len(), 6);
        assert_eq!(all[0].legend.len(), 2, "no curve of a discriminator that was not there");
        assert_eq!(all[5].svg.matches("<circle").count(), 4, "the first and the last validation alone");
    }

    #[test]
    fn a_long_log_is_thinned_and_keeps_its_end() {
        let records: Vec<Record> = (1..=1000).map(|step| record(step, None)).collect();
        let drawn = points(&records, |line| Some(line.loss));
        assert!(drawn.len() <= POINTS && drawn.len() > POINTS / 2, "{}", drawn.len());
        assert_eq!(drawn.last().unwrap().0, 1000);
        assert!(drawn.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
