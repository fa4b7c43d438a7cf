//! Gradients that are right, spoilt, and right without leading anywhere.

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::arithmetic::SINGLE;
use super::*;
use crate::attack::Interrupted;
use crate::onnx::{DType, Dim, GraphBuilder, Model, ValueInfo};
use crate::oracle::Objective;
use crate::runtime::{Runtime, RuntimeError, Session};

/// A runtime that hands its input through, and spoils the gradient of the distance.
struct Spoilt(fn(usize, f32) -> f32);

impl Runtime for Spoilt {
    fn kind(&self) -> Kind {
        Kind::TRACT
    }

    fn version(&self) -> String {
        "0".into()
    }

    fn load(&self, _: &Model) -> Result<Box<dyn Session>, RuntimeError> {
        Ok(Box::new(Through))
    }

    fn autograd(&self, _: &Model, _: &str) -> Option<Result<Box<dyn Session>, RuntimeError>> {
        Some(Ok(Box::new(Spoilt(self.0))))
    }
}

struct Through;

impl Session for Through {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        Ok(vec![inputs[0].to_owned()])
    }
}

impl Session for Spoilt {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        let difference = &inputs[0] - &inputs[1];
        let norm = difference.mapv(|value| value * value).sum().sqrt();
        let mut gradient = difference / norm;
        gradient.iter_mut().enumerate().for_each(|(index, value)| *value = self.0(index, *value));
        Ok(vec![ArrayD::from_elem(vec![], norm), gradient])
    }
}

fn handing_through() -> Model {
    let mut graph = GraphBuilder::new("through");
    let dims = || [Dim::from("N"), Dim::Known(3), Dim::from("H"), Dim::from("W")];
    let x = graph.input(ValueInfo::tensor("x", DType::F32, dims()));
    let y = graph.node("Identity", "y", &[&x], []);
    graph.output(ValueInfo::tensor(y, DType::F32, dims()));
    let opsets = [(String::new(), 17)].into();
    Model { ir_version: 8, opsets, graph: graph.finish(), ..Default::default() }
}

fn tested(
    spoil: fn(usize, f32) -> f32,
    seed: u64,
    [height, width]: [usize; 2],
    on_run: &mut OnStep<'_>,
) -> Result<GradientCheck, AttackError> {
    let mut oracle = Oracle::new(Arc::new(Spoilt(spoil)), Arc::new(handing_through()), Objective::Distance);
    let mut rng = ChaCha8Rng::seed_from_u64(100 + seed);
    let x0 = Array4::from_shape_simple_fn((1, 3, height, width), || rng.random_range(0.1_f32..0.9));
    let points = points([("a.png", x0.view())].into_iter());
    let budgets = [1.0 / 255.0, 8.0 / 255.0];
    let objectives = [Objective::Distance];
    let question = Question { model: "m", points: &points, budgets: &budgets, objectives: &objectives, seed };
    Ok(probe(&question, &mut oracle, None, on_run)?.report)
}

/// Sides of images: large enough that random directions average out, and small.
const LARGE: [usize; 2] = [120, 160];
const SMALL: [usize; 2] = [12, 16];

/// What is said of a gradient spoilt entry by entry.
fn verdict(spoil: fn(usize, f32) -> f32, seed: u64) -> Option<String> {
    tested(spoil, seed, LARGE, &mut || Ok(())).unwrap().problem
}

#[test]
fn a_test_can_be_stopped_after_every_run() {
    let mut runs = 0;
    tested(|_, value| value, 0, SMALL, &mut || {
        runs += 1;
        Ok(())
    })
    .unwrap();
    assert!(runs >= 12, "a forward run, a gradient and two runs per direction, not {runs}");
    for last in 1..=runs {
        let mut left = last;
        let stopped = tested(|_, value| value, 0, SMALL, &mut || {
            left -= 1;
            if left == 0 { Err(Interrupted) } else { Ok(()) }
        });
        assert!(matches!(stopped, Err(AttackError::Interrupted(_))) && left == 0);
    }
}

#[test]
fn what_is_not_trusted_names_the_nodes_that_stop_it() {
    let mut check = tested(|_, _| 0.0, 0, SMALL, &mut || Ok(())).unwrap();
    let stop = |node: &str| Stop { node: node.into(), reason: "it is flat" };
    explain(&mut check, &[stop("Round node `r`"), stop("Floor node `f`")]);
    let message = check.problem.unwrap();
    assert!(message.starts_with("100.0% of its entries are exactly zero"), "{message}");
    assert!(message.contains("passes Round node `r`: it is flat, and 1 more)"), "{message}");
}

#[test]
fn a_right_gradient_is_trusted() {
    for seed in 0..10 {
        assert_eq!(verdict(|_, value| value, seed), None);
        assert_eq!(verdict(|_, value| value * 1.001, seed), None);
    }
}

#[test]
fn a_wrong_gradient_is_not() {
    let spoilt: [fn(usize, f32) -> f32; 4] = [
        |_, value| -value,
        |_, value| value * 1.2,
        |index, value| if index % 2 == 0 { -value } else { value },
        |_, value| value.signum(),
    ];
    for spoil in spoilt {
        assert!(verdict(spoil, 0).is_some());
    }
}

/// The slope along the gradient cannot see this: the part left out is no part of that slope.
#[test]
fn a_gradient_with_a_part_left_out_is_not_trusted() {
    let spoilt: [fn(usize, f32) -> f32; 3] = [
        |index, value| if index % 3 == 0 { 0.0 } else { value },
        |index, value| if index < 28_800 { 0.0 } else { value },
        |index, value| if index % 5 == 0 { 0.0 } else { value },
    ];
    for (spoil, seed) in spoilt.into_iter().zip(0..) {
        assert!(verdict(spoil, seed).unwrap().contains("left out"));
    }
}

#[test]
fn two_runtimes_must_agree() {
    let right = tested(|_, value| value, 0, SMALL, &mut || Ok(())).unwrap();
    let check = |disagreement| problem(&GradientCheck { disagreement, ..right.clone() }, &SINGLE);
    assert_eq!(check(1e-4), None);
    assert!(check(6e-2).unwrap().contains("another runtime"));
    assert!(check(f64::NAN).is_some());
    let [one, other] = [ndarray::array![[[[0.0_f32, 1.0]]]], ndarray::array![[[[1.0_f32, 0.0]]]]];
    assert!((local::apart(one.view(), other.view()) - 2.0_f64.sqrt()).abs() < 1e-12);
}

/// The finite differences near the point are right; over a budget nothing comes, or what the gradient does not
/// see.
#[test]
fn a_promise_that_is_not_kept_is_no_gradient() {
    let right = tested(|_, value| value, 0, SMALL, &mut || Ok(())).unwrap();
    assert_eq!(right.reach.len(), 16, "one image and three made of it, within a level and over two budgets");
    for (promised, achieved, is_problem) in
        [(151.0, 1.0, true), (1.5, 1.0, false), (0.1, 1.0, true), (1.0, f64::NAN, true), (0.0, 0.0, true)]
    {
        let mut check = right.clone();
        (check.reach[15].promised, check.reach[15].achieved) = (promised, achieved);
        let found = problem(&check, &SINGLE);
        assert_eq!(found.is_some(), is_problem, "{promised} {achieved}: {found:?}");
        assert!(found.is_none_or(|found| found.contains("a.png flattened; 1 of 16 such steps")));
    }
}

#[test]
fn a_slope_that_does_not_last_within_a_level_is_no_gradient() {
    let mut check = tested(|_, value| value, 0, SMALL, &mut || Ok(())).unwrap();
    check.reach[0].promised *= 20.0;
    assert!(problem(&check, &SINGLE).unwrap().contains("within 0.50/255"));
    // Perceptual networks are so on images without contrast.
    check.reach[0].promised /= 20.0;
    check.reach[12].promised *= 20.0;
    assert_eq!(problem(&check, &SINGLE), None);
    // A slope that turns around is no honest one on any image.
    check.reach[12].achieved *= -10.0;
    assert!(problem(&check, &SINGLE).unwrap().contains("within 0.50/255"));
}

#[test]
fn a_slope_that_most_of_a_budget_does_not_serve_is_no_gradient() {
    let mut check = tested(|_, value| value, 0, SMALL, &mut || Ok(())).unwrap();
    check.reach.iter_mut().filter(|one| !one.below_a_level).for_each(|one| one.promised *= 60.0);
    assert!(problem(&check, &SINGLE).unwrap().contains("over whole budgets"));
}
