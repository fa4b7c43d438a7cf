//! The self-test that a gradient must pass before any verdict.
//!
//! On every runtime that crafts, near the first image: finite differences of the objective on that
//! very runtime, the distance to the first runtime's gradient, and the share of entries that are
//! exactly zero. A gradient that fails proves nothing about a model, least of all robustness.
//!
//! The differences go along the gradient, where the slope is steep and a wrong gradient is far off,
//! and along random signs, where a part that the gradient leaves out shows as much as a part of it.

use ndarray::{Array4, ArrayView4, Zip};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::attack::{AttackError, OnStep};
use crate::audit::AuditError;
use crate::oracle::Oracle;
use crate::report::GradientCheck;
use crate::rewrite::Stop;
use crate::runtime::Kind;

/// How far, on [0, 1], the point of the test lies from the image, where the norm has a gradient.
const AWAY: f32 = 2.0 / 255.0;
/// A difference this close, relatively, ends the search for a better step.
const CLOSE: f64 = 0.01;
/// Random directions; one alone may by chance show little of what a gradient leaves out.
const RANDOM_DIRECTIONS: usize = 4;

/// What a gradient is held to.
struct Standard {
    /// Steps of the central difference, on [0, 1], tried in this order.
    steps: [f32; 4],
    /// The largest relative error of the best of these differences.
    slope: f64,
    /// The largest error of a slope along random signs, as a share of the gradient's length: that is
    /// how large such a slope usually is.
    random: f64,
    /// The largest relative distance between two runtimes' gradients. Each rounds some inputs of a Relu
    /// to another side of its kink: 2e-2 was met on smooth images, where the gradient is small.
    agreement: f64,
}

/// For a derivative. Small steps come first: one that carries Relus over their kink is off, by 30% at
/// 3e-3 on CARN, where 3e-5 is off by 0.2%. Float32 hardly disturbs them, as the outputs' rounding
/// errors average out. Larger ones serve models that round more.
const DERIVATIVE: Standard =
    Standard { steps: [3e-5, 1e-4, 3e-4, 1e-3], slope: 0.05, random: 0.15, agreement: 0.05 };

/// For the gradient of a quantised model, which takes its roundings for what they round: an estimate
/// of where the steps lead, not a derivative. It must be right about what steps of about one level
/// along it do: on 28 quantised networks it promised 0.6 to 1.8 times the rise. Along random signs
/// there is mostly rounding to be seen, so nothing is asked of it there. Runtimes that round one value
/// in another way were 0.53 apart on one of them.
const STRAIGHT_THROUGH: Standard = Standard {
    steps: [1.0 / 255.0, 0.5 / 255.0, 2.0 / 255.0, 4.0 / 255.0],
    slope: 0.6,
    random: f64::INFINITY,
    agreement: 0.7,
};

fn standard(straight_through: bool) -> &'static Standard {
    if straight_through { &STRAIGHT_THROUGH } else { &DERIVATIVE }
}

/// More exact zeros than this: the gradient is masked.
const MOST_ZEROS: f64 = 0.9;

/// A gradient at the point of the test.
pub struct Probe {
    target: Array4<f32>,
    gradient: Array4<f32>,
    /// The findings.
    pub report: GradientCheck,
}

/// Tests the gradient of one model on one runtime near the image `x0`; `on_run` may stop it after
/// every run of the model.
pub fn probe(
    model: &str,
    oracle: &mut Oracle,
    x0: ArrayView4<'_, f32>,
    seed: u64,
    first: Option<&Probe>,
    on_run: &mut OnStep<'_>,
) -> Result<Probe, AttackError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let point = x0.mapv(|value| (value + rng.random_range(-AWAY..=AWAY)).clamp(0.0, 1.0));
    let target = oracle.forward(x0)?;
    on_run()?;
    let (_, gradient) = oracle.value_and_gradient(point.view(), target.view())?;
    on_run()?;
    // Half precision and int8 give every runtime a target of its own; the same one must give the same.
    let disagreement = match first {
        None => 0.0,
        Some(first) => {
            let (_, same) = oracle.value_and_gradient(point.view(), first.target.view())?;
            on_run()?;
            apart(&same, &first.gradient)
        }
    };
    let straight_through = oracle.is_quantised();
    let steps = &standard(straight_through).steps;
    let mut away = &oracle.forward(point.view())? - &target;
    on_run()?;
    let distance = length(&away).max(f64::MIN_POSITIVE);
    away.mapv_inplace(|value| (f64::from(value) / distance) as f32);
    let mut surface = Surface { oracle, point: &point, away, on_run };
    let direction = if straight_through { gradient.mapv(f32::signum) } else { near(&gradient, &mut rng) };
    let gradient_slope = dot(&gradient, &direction);
    let (step, slope) = surface.best_slope(&direction, gradient_slope, steps)?;
    let random_error = surface.random_error(&gradient, step, &mut rng)?;
    let zeros = gradient.iter().filter(|value| **value == 0.0).count();
    let mut report = GradientCheck {
        model: model.to_owned(),
        runtime: oracle.kind().to_string(),
        source: if oracle.kind() == Kind::TORCH { "autograd".into() } else { "gradient graph".into() },
        slope,
        gradient_slope,
        random_error,
        zero_share: zeros as f64 / gradient.len().max(1) as f64,
        straight_through,
        disagreement,
        trusted: false,
        problem: None,
        draws: 1,
    };
    report.trusted = problem(&report).is_none();
    Ok(Probe { target, gradient, report })
}

/// Fails where the test did, and then names the nodes that may be why.
pub fn require(check: &GradientCheck, stopped: &[Stop]) -> Result<(), AuditError> {
    let Some(mut reason) = problem(check) else { return Ok(()) };
    if let Some(first) = stopped.first() {
        let more =
            if stopped.len() > 1 { format!(", and {} more", stopped.len() - 1) } else { String::new() };
        reason += &format!(" (only a zero gradient passes {}: {}{more})", first.node, first.reason);
    }
    Err(AuditError::NotTrusted { model: check.model.clone(), runtime: check.runtime.clone(), reason })
}

/// The findings on a gradient that there is none of.
pub fn refused(model: &str, oracle: &Oracle, reason: String) -> GradientCheck {
    GradientCheck {
        model: model.to_owned(),
        runtime: oracle.kind().to_string(),
        source: "none".into(),
        slope: f64::NAN,
        gradient_slope: f64::NAN,
        random_error: f64::NAN,
        zero_share: f64::NAN,
        straight_through: oracle.is_quantised(),
        disagreement: f64::NAN,
        trusted: false,
        problem: Some(reason),
        draws: 1,
    }
}

/// What is wrong with a gradient, if anything.
fn problem(check: &GradientCheck) -> Option<String> {
    let GradientCheck { slope, gradient_slope, random_error, zero_share, disagreement, .. } = *check;
    let limits = standard(check.straight_through);
    let within = |error: f64, limit: f64| error <= limit; // false for a NaN
    if gradient_slope == 0.0 || !within(zero_share, MOST_ZEROS) {
        return Some(format!("{:.1}% of its entries are exactly zero", 100.0 * zero_share));
    }
    if !within(error(slope, gradient_slope), limits.slope) {
        return Some(format!(
            "a finite difference gives the slope {slope:.4e}, the gradient {gradient_slope:.4e}"
        ));
    }
    if !within(random_error, limits.random) {
        return Some(format!(
            "along random directions it misses the slope by {:.0}% of its own length, {:.1}% of its entries \
             being exactly zero: a part is left out",
            100.0 * random_error,
            100.0 * zero_share
        ));
    }
    (!within(disagreement, limits.agreement))
        .then(|| format!("it differs from another runtime's by {disagreement:.1e} of its length"))
}

fn error(slope: f64, gradient_slope: f64) -> f64 {
    (slope - gradient_slope).abs() / slope.abs().max(gradient_slope.abs()).max(f64::MIN_POSITIVE)
}

/// A direction of signs, half the gradient's own and half random: along it the slope is steep
/// enough for a difference in float32, and yet it tests every entry.
fn near(gradient: &Array4<f32>, rng: &mut ChaCha8Rng) -> Array4<f32> {
    gradient.mapv(|value| if rng.random() { value.signum() } else { random_sign(rng) })
}

fn random_sign(rng: &mut ChaCha8Rng) -> f32 {
    if rng.random() { 1.0 } else { -1.0 }
}

/// The outputs around the point of the test, by forward runs alone, seen along the way from the
/// target to the output at the point: there the objective has the slope that this has, and unlike it
/// this goes on evenly where a larger step passes the target.
struct Surface<'a, 'b> {
    oracle: &'a mut Oracle,
    point: &'a Array4<f32>,
    away: Array4<f32>,
    on_run: &'a mut OnStep<'b>,
}

impl Surface<'_, '_> {
    /// The first central difference along `direction` that is close to `expected`, else the closest,
    /// and its step. A wrong gradient comes close to none.
    fn best_slope(
        &mut self,
        direction: &Array4<f32>,
        expected: f64,
        steps: &[f32],
    ) -> Result<(f32, f64), AttackError> {
        let mut best = (0.0, f64::INFINITY);
        for &step in steps {
            let found = self.slope(direction, step)?;
            if (found - expected).abs() < (best.1 - expected).abs() {
                best = (step, found);
            }
            if error(found, expected) <= CLOSE {
                break;
            }
        }
        Ok(best)
    }

    /// The largest error of the gradient's slope along random signs, as a share of its length.
    fn random_error(
        &mut self,
        gradient: &Array4<f32>,
        step: f32,
        rng: &mut ChaCha8Rng,
    ) -> Result<f64, AttackError> {
        let mut worst = 0.0_f64;
        for _ in 0..RANDOM_DIRECTIONS {
            let direction = gradient.mapv(|_| random_sign(rng));
            let error = self.slope(&direction, step)? - dot(gradient, &direction);
            worst = worst.max(error.abs());
        }
        Ok(worst / length(gradient).max(f64::MIN_POSITIVE))
    }

    fn slope(&mut self, direction: &Array4<f32>, step: f32) -> Result<f64, AttackError> {
        Ok((self.at(direction, step)? - self.at(direction, -step)?) / (2.0 * f64::from(step)))
    }

    fn at(&mut self, direction: &Array4<f32>, step: f32) -> Result<f64, AttackError> {
        let moved = Zip::from(self.point).and(direction).map_collect(|x, d| x + step * d);
        let output = self.oracle.forward(moved.view())?;
        (self.on_run)()?;
        Ok(dot(&output, &self.away))
    }
}

fn separation(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

fn dot(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn length(values: &Array4<f32>) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

/// How far apart, as a share of the longer one.
fn apart(a: &Array4<f32>, b: &Array4<f32>) -> f64 {
    separation(a, b) / length(a).max(length(b)).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{ArrayD, ArrayViewD};

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
        on_run: &mut OnStep<'_>,
    ) -> Result<GradientCheck, AttackError> {
        let mut oracle =
            Oracle::new(Arc::new(Spoilt(spoil)), Arc::new(handing_through()), Objective::Distance);
        let mut rng = ChaCha8Rng::seed_from_u64(100 + seed);
        let x0 = Array4::from_shape_simple_fn((1, 3, 120, 160), || rng.random_range(0.1_f32..0.9));
        Ok(probe("m", &mut oracle, x0.view(), seed, None, on_run)?.report)
    }

    /// What is said of a gradient spoilt entry by entry.
    fn verdict(spoil: fn(usize, f32) -> f32, seed: u64) -> Option<String> {
        problem(&tested(spoil, seed, &mut || Ok(())).unwrap())
    }

    #[test]
    fn a_test_can_be_stopped_after_every_run() {
        let mut runs = 0;
        tested(|_, value| value, 0, &mut || {
            runs += 1;
            Ok(())
        })
        .unwrap();
        assert!(runs >= 12, "a forward run, a gradient and two runs per direction, not {runs}");
        for last in 1..=runs {
            let mut left = last;
            let stopped = tested(|_, value| value, 0, &mut || {
                left -= 1;
                if left == 0 { Err(Interrupted) } else { Ok(()) }
            });
            assert!(matches!(stopped, Err(AttackError::Interrupted(_))) && left == 0);
        }
    }

    #[test]
    fn what_is_not_trusted_names_the_nodes_that_stop_it() {
        let trust = tested(|_, _| 0.0, 0, &mut || Ok(())).unwrap();
        let stop = |node: &str| Stop { node: node.into(), reason: "it is flat" };
        let message =
            require(&trust, &[stop("Round node `r`"), stop("Floor node `f`")]).unwrap_err().to_string();
        assert!(
            message.starts_with("gradient not trusted: that of `m` on runtime tract: 100.0%"),
            "{message}"
        );
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
        let trust = |disagreement| GradientCheck {
            model: "m".into(),
            runtime: "tract".into(),
            source: "gradient graph".into(),
            slope: 1.0,
            gradient_slope: 1.0,
            random_error: 0.0,
            zero_share: 0.0,
            straight_through: false,
            disagreement,
            trusted: true,
            problem: None,
            draws: 1,
        };
        assert_eq!(problem(&trust(1e-4)), None);
        assert!(problem(&trust(6e-2)).unwrap().contains("another runtime"));
        assert!(problem(&trust(f64::NAN)).is_some());
        let [one, other] = [ndarray::array![[[[0.0_f32, 1.0]]]], ndarray::array![[[[1.0_f32, 0.0]]]]];
        assert!((apart(&one, &other) - 2.0_f64.sqrt()).abs() < 1e-12);
    }
}
