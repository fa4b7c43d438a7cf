//! The estimator held to the mathematics, and the fast paths held to the reference.

use super::*;
use crate::torch::to_vec;

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

/// An estimator away from its start, so that gates, biases and matrices all matter.
fn disturbed(channels: usize, hidden: &[usize], kind: Kind) -> DensityEstimator {
    let shape = DensityShape { hidden: hidden.to_vec(), init_scale: 3.0 };
    let estimator = DensityEstimator::new(channels, &shape, kind, Device::Cpu, 5).unwrap();
    no_grad(|| {
        for (index, (_, mut parameter)) in estimator.parameters().into_iter().enumerate() {
            let change = Noise::new(8).uniform_like(&parameter, 1.6, index as u64).unwrap();
            let _ = parameter.g_add_(&change);
        }
    });
    estimator
}

/// Features of a plausible spread: uniform in [-width/2, width/2].
fn features(shape: [i64; 4], kind: Kind, width: f64) -> Tensor {
    let zeros = Tensor::zeros(shape, (kind, Device::Cpu));
    Noise::new(21).uniform_like(&zeros, width, 0).unwrap()
}

/// `from`, `from + step`, ... of `count` values, the same for each of `channels`.
fn grid(channels: i64, from: f64, step: f64, count: i64) -> Tensor {
    let line = Tensor::arange(count, DOUBLE) * step + from;
    line.view([1, 1, 1, count]).repeat([1, channels, 1, 1])
}

/// The derivatives of `loss` by `phi` and by every parameter.
fn gradients(loss: &Tensor, phi: &Tensor, estimator: &DensityEstimator) -> Vec<Tensor> {
    let parameters = estimator.parameters().into_iter().map(|(_, parameter)| parameter);
    let inputs: Vec<Tensor> = [phi.shallow_clone()].into_iter().chain(parameters).collect();
    Tensor::run_backward(&[loss], &inputs, false, false)
}

/// The largest difference relative to the largest value of `expected`.
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    let difference = (found - expected).abs().max().double_value(&[]);
    difference / expected.abs().max().double_value(&[]).max(1e-300)
}

#[test]
fn cumulative_rises_from_0_to_1_in_every_channel() {
    let estimator = disturbed(5, &[3, 3, 3], Kind::Double);
    let c = estimator.cumulative(&grid(5, -400.0, 0.5, 1601)).unwrap();
    let steps = c.diff::<Tensor>(1, -1, None, None);
    assert!(steps.min().double_value(&[]) >= 0.0);
    // Strictly where a double can tell: within the bulk.
    let bulk = estimator.cumulative(&grid(5, -8.0, 0.01, 1601)).unwrap();
    assert!(bulk.diff::<Tensor>(1, -1, None, None).min().double_value(&[]) > 0.0);
    assert!(c.select(3, 0).max().double_value(&[]) < 1e-9);
    assert!(c.select(3, 1600).min().double_value(&[]) > 1.0 - 1e-9);
}

#[test]
fn probabilities_over_a_grid_of_step_delta_sum_to_1() {
    let estimator = disturbed(4, &[3, 3, 3], Kind::Double);
    for delta in [0.1, 1.0, 7.3] {
        let count = (1200.0 / delta) as i64;
        let p = estimator.probability(&grid(4, -600.0, delta, count), delta).unwrap();
        let sums = p.sum_dim_intlist([3i64].as_slice(), false, Kind::Double);
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-9, "delta {delta}");
    }
}

#[test]
fn the_start_is_a_plain_scaling_by_init_scale() {
    let shape = DensityShape::default();
    let estimator = DensityEstimator::new(3, &shape, Kind::Double, Device::Cpu, 0).unwrap();
    let logits = estimator.logits(&grid(3, -20.0, 10.0, 5)).unwrap();
    let rises = logits.diff::<Tensor>(1, -1, None, None);
    assert!((rises - 1.0).abs().max().double_value(&[]) < 1e-12);
    for (name, parameter) in estimator.parameters() {
        let (least, most) = (parameter.min(), parameter.max());
        let (least, most) = (least.double_value(&[]), most.double_value(&[]));
        match name.as_str() {
            "density.matrix.3" => {
                let raw = (1.0 / 10f64.powf(0.25)).exp_m1().ln();
                assert!((least - raw).abs() < 1e-12 && (most - raw).abs() < 1e-12);
            }
            "density.gate.0" => assert_eq!((least, most), (0.0, 0.0)),
            "density.bias.1" => assert!(least >= -0.5 && most <= 0.5 && least < most),
            _ => {}
        }
    }
}

#[test]
fn the_start_is_a_function_of_the_seed_alone() {
    let draw = |kind, seed| {
        let shape = DensityShape::default();
        let estimator = DensityEstimator::new(2, &shape, kind, Device::Cpu, seed).unwrap();
        let values = |(_, parameter): (_, Tensor)| to_vec::<f32>(&parameter).unwrap();
        estimator.parameters().into_iter().map(values).collect::<Vec<_>>()
    };
    assert_eq!(draw(Kind::Float, 1), draw(Kind::Double, 1));
    assert_ne!(draw(Kind::Float, 1), draw(Kind::Float, 2));
}

#[test]
fn gradients_agree_with_finite_differences_in_f64() {
    let estimator = disturbed(2, &[3, 3, 3], Kind::Double);
    let phi = features([2, 2, 3, 2], Kind::Double, 12.0).set_requires_grad(true);
    let loss = estimator.bits(&phi, 1.0).unwrap();
    let analytic = gradients(&loss, &phi, &estimator);
    let value = || estimator.bits_reference(&phi, 1.0).unwrap().double_value(&[]);
    let parameters = estimator.parameters().into_iter().map(|(_, parameter)| parameter);
    let inputs = [phi.shallow_clone()].into_iter().chain(parameters);
    for (input, analytic) in inputs.zip(analytic) {
        let flat = input.detach().view([-1]);
        let numeric: Vec<f64> = (0..flat.size()[0])
            .map(|place| {
                let step = 1e-5;
                let shift = |by: f64| {
                    let _ = flat.get(place).g_add_scalar_(by);
                    value()
                };
                let (up, down) = (shift(step), shift(-2.0 * step));
                shift(step);
                (up - down) / (2.0 * step)
            })
            .collect();
        let numeric = Tensor::from_slice(&numeric).view_as(&analytic);
        let error = distance(&analytic, &numeric);
        assert!(error < 1e-8, "{:?}: {error}", analytic.size());
    }
}

#[test]
fn fast_paths_agree_with_the_reference() {
    // Widths of every sort, planes shorter and longer than a block, both memory layouts.
    let hidden: [&[usize]; 5] = [&[3, 3, 3], &[], &[1], &[5, 2], &[2, 4, 3, 2]];
    let shapes = [[1, 1, 1, 1], [2, 3, 4, 5], [3, 2, 16, 16], [2, 4, 13, 31]];
    for ((hidden, shape), delta) in
        hidden.iter().flat_map(|h| shapes.map(|s| (h, s))).zip([1.0, 0.3].iter().cycle())
    {
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 3e-5)] {
            let estimator = disturbed(shape[1] as usize, hidden, kind);
            let plain = features(shape, kind, 16.0);
            for phi in [plain.shallow_clone(), torch::channels_last(&plain)] {
                agree(&estimator, &phi.set_requires_grad(true), *delta, tolerance);
            }
        }
    }
}

fn agree(estimator: &DensityEstimator, phi: &Tensor, delta: f64, tolerance: f64) {
    let case = format!("{:?} {:?} {:?}", estimator.layers, phi.size(), phi.kind());
    let exact = in_double(estimator);
    let phi64 = phi.detach().to_kind(Kind::Double).set_requires_grad(true);
    let expected = exact.bits_reference(&phi64, delta).unwrap();
    let by_reference = gradients(&expected, &phi64, &exact);
    let found = estimator.bits(phi, delta).unwrap();
    assert!(distance(&found, &expected) < tolerance, "{case}");
    for (found, expected) in gradients(&found, phi, estimator).iter().zip(&by_reference) {
        let error = distance(found, expected);
        assert!(error < tolerance, "{case}: {error} in {:?}", expected.size());
        assert_eq!(found.kind(), phi.kind());
    }
    let packed = estimator.packed();
    let (by_kernel, by_tensors) = no_grad(|| {
        let by_kernel = estimator.evaluate(phi, &packed, delta).unwrap();
        (by_kernel, fused::evaluate(&estimator.layers, phi, &packed, delta))
    });
    assert!(distance(&by_tensors.value, &expected) < tolerance, "{case}");
    assert!(distance(&by_tensors.d_phi, &by_kernel.d_phi) < tolerance, "{case}");
    assert!(distance(&by_tensors.d_packed, &by_kernel.d_packed) < tolerance, "{case}");
}

/// The same estimator with its parameters as f64.
fn in_double(estimator: &DensityEstimator) -> DensityEstimator {
    let hidden = estimator.gates.iter().map(|gate| gate.size()[1] as usize).collect();
    let shape = DensityShape { hidden, init_scale: 1.0 };
    let mut exact = DensityEstimator::new(estimator.channels, &shape, Kind::Double, Device::Cpu, 0).unwrap();
    exact.load(&estimator.parameters()).unwrap();
    exact
}

#[test]
fn gradients_scale_with_lambda_and_add_to_other_losses() {
    let estimator = disturbed(2, &[3, 3, 3], Kind::Double);
    let phi = features([1, 2, 4, 4], Kind::Double, 6.0).set_requires_grad(true);
    let alone = gradients(&estimator.bits(&phi, 1.0).unwrap(), &phi, &estimator);
    let loss = phi.square().sum(Kind::Double) + estimator.bits(&phi, 1.0).unwrap() * 0.1;
    let together = gradients(&loss, &phi, &estimator);
    assert!(distance(&together[0], &(&phi * 2.0 + &alone[0] * 0.1)) < 1e-14);
    assert!(distance(&together[1], &(&alone[1] * 0.1)) < 1e-14);
}

#[test]
fn nothing_cancels_far_in_the_tails() {
    let shape = DensityShape::default();
    let estimator = DensityEstimator::new(1, &shape, Kind::Float, Device::Cpu, 3).unwrap();
    let exact = DensityEstimator::new(1, &shape, Kind::Double, Device::Cpu, 3).unwrap();
    // The logit rises by 0.1 a unit: at 50 a plain difference of f32 sigmoids has 4 digits left,
    // at 150 none.
    for x in [-170.0, -150.0, -50.0, 50.0, 150.0, 170.0] {
        let point = |kind| Tensor::full([1, 1, 1, 1], x, (kind, Device::Cpu));
        let p = estimator.probability(&point(Kind::Float), 1.0).unwrap();
        let truth = exact.probability(&point(Kind::Double), 1.0).unwrap().double_value(&[]);
        assert!(truth > FLOOR && (p.double_value(&[]) / truth - 1.0).abs() < 1e-4, "{x}");
        let phi = point(Kind::Float).set_requires_grad(true);
        let loss = estimator.bits(&phi, 1.0).unwrap();
        assert!((loss.double_value(&[]) + truth.log2()).abs() < 1e-3, "{x}");
        let slope = gradients(&loss, &phi, &estimator)[0].double_value(&[0, 0, 0, 0]);
        // Far out -log2 p is a line of slope 0.1 / ln 2, up on the right.
        assert!((slope * x.signum() - 0.1 / std::f64::consts::LN_2).abs() < 5e-3, "{x}: {slope}");
    }
}

#[test]
fn the_floor_bounds_the_loss_and_the_pull_on_outliers_fades_with_their_probability() {
    let shape = DensityShape::default();
    for kind in [Kind::Float, Kind::Double] {
        let estimator = DensityEstimator::new(1, &shape, kind, Device::Cpu, 3).unwrap();
        for (x, pulled) in [(-240.0, true), (240.0, true), (1e6, false), (-1e30, false)] {
            let phi = Tensor::full([1, 1, 1, 1], x, (kind, Device::Cpu)).set_requires_grad(true);
            for loss in [estimator.bits(&phi, 1.0), estimator.bits_reference(&phi, 1.0)] {
                let loss = loss.unwrap();
                assert!((loss.double_value(&[]) + FLOOR.log2()).abs() < 1e-5, "{x}");
                let slope = gradients(&loss, &phi, &estimator)[0].double_value(&[0, 0, 0, 0]);
                assert!(slope.is_finite(), "{x}");
                assert_eq!(slope * x.signum() > 0.0, pulled, "{x}: {slope}");
            }
        }
    }
}

#[test]
fn the_median_itself_has_its_probability() {
    let shape = DensityShape::default();
    let estimator = DensityEstimator::new(1, &shape, Kind::Double, Device::Cpu, 0).unwrap();
    no_grad(|| estimator.biases.iter().for_each(|bias| drop(bias.shallow_clone().zero_())));
    // Both logits are then opposite numbers, +/- 0.05.
    let phi = Tensor::zeros([1, 1, 1, 1], DOUBLE);
    let truth = 0.025f64.tanh();
    assert!((estimator.probability(&phi, 1.0).unwrap().double_value(&[]) - truth).abs() < 1e-12);
    assert!((estimator.bits_value(&phi, 1.0).unwrap() + truth.log2()).abs() < 1e-12);
}

#[test]
fn nan_in_phi_is_nan_in_the_loss() {
    let estimator = disturbed(2, &[3, 3, 3], Kind::Float);
    let phi = features([1, 2, 8, 8], Kind::Float, 4.0);
    let _ = phi.get(0).get(1).get(3).get(3).fill_(f64::NAN);
    assert!(estimator.bits_value(&phi, 1.0).unwrap().is_nan());
    assert!(estimator.bits(&phi, 1.0).unwrap().double_value(&[]).is_nan());
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let estimator = disturbed(3, &[3, 3, 3], Kind::Float);
    let phi = features([2, 3, 20, 20], Kind::Float, 9.0);
    let before = torch::threads();
    let under = |threads| {
        torch::set_threads(threads);
        let loss = no_grad(|| estimator.evaluate(&phi, &estimator.packed(), 1.0)).unwrap();
        [loss.value, loss.d_phi, loss.d_packed].map(|part| to_vec::<f32>(&part).unwrap())
    };
    let (one, four) = (under(1), under(4));
    torch::set_threads(before);
    assert_eq!(one, four);
}

#[test]
fn half_precision_features_are_taken_in_the_estimators_kind() {
    let estimator = disturbed(2, &[3, 3, 3], Kind::Float);
    let phi = features([1, 2, 4, 4], Kind::Float, 4.0).to_kind(Kind::BFloat16);
    let phi = phi.set_requires_grad(true);
    let loss = estimator.bits(&phi, 1.0).unwrap();
    assert_eq!(loss.kind(), Kind::Float);
    assert_eq!(gradients(&loss, &phi, &estimator)[0].kind(), Kind::BFloat16);
}

#[test]
fn parameters_are_saved_and_loaded_by_name() {
    let saved = disturbed(3, &[3, 2], Kind::Float);
    let shape = DensityShape { hidden: vec![3, 2], init_scale: 10.0 };
    let mut other = DensityEstimator::new(3, &shape, Kind::Float, Device::Cpu, 9).unwrap();
    let names: Vec<String> = saved.parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 3 + 3 + 2);
    assert_eq!((names[0].as_str(), names[7].as_str()), ("density.matrix.0", "density.gate.1"));
    other.load(&saved.parameters()).unwrap();
    let phi = features([1, 3, 4, 4], Kind::Float, 4.0);
    let bits = |estimator: &DensityEstimator| estimator.bits_value(&phi, 1.0).unwrap();
    assert_eq!(bits(&saved), bits(&other));
    assert!(other.parameters().iter().all(|(_, leaf)| leaf.requires_grad() && leaf.is_leaf()));

    let lacking = other.load(&saved.parameters()[1..]).unwrap_err().to_string();
    assert!(lacking.contains("lacks `density.matrix.0`"), "{lacking}");
    let wrong = disturbed(4, &[3, 2], Kind::Float).parameters();
    assert!(other.load(&wrong).unwrap_err().to_string().contains("expected [3, 3, 1]"));
    assert_eq!(bits(&saved), bits(&other));
}

#[test]
fn what_does_not_fit_is_refused_with_its_shape() {
    let estimator = disturbed(3, &[3], Kind::Float);
    let float = (Kind::Float, Device::Cpu);
    for shape in [&[1i64, 4, 2, 2] as &[i64], &[1, 3, 2], &[1, 3, 0, 2]] {
        let error = estimator.bits(&Tensor::zeros(shape, float), 1.0).unwrap_err().to_string();
        assert!(error.contains(&format!("{shape:?}")) && error.contains("[N, 3, H, W]"), "{error}");
    }
    let phi = Tensor::zeros([1, 3, 2, 2], float);
    for delta in [0.0, -1.0, f64::NAN] {
        let error = estimator.bits(&phi, delta).unwrap_err().to_string();
        assert!(error.contains("delta is") && error.contains("a positive number"), "{error}");
    }
    let shape = DensityShape::default();
    assert!(DensityEstimator::new(0, &shape, Kind::Float, Device::Cpu, 0).is_err());
    assert!(DensityEstimator::new(1, &shape, Kind::Half, Device::Cpu, 0).is_err());
}
