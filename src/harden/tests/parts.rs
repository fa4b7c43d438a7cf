//! The parts of the defence: each switches alone, and works where the recipe says.

use super::*;

#[test]
fn lambda_0_is_the_plain_network() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 2);
    let out = folder.path().join("out");
    let mut estimator = None;
    let plain = job(Recipe { lambda: 0.0, ..small() }, &data, &out);
    let mut watch = |event: Event<'_>| {
        if let Event::Ready { estimator: count, .. } = event {
            estimator = Some(count);
        }
    };
    harden(&plain, Start::Fresh, &AtomicBool::new(false), &mut watch).unwrap();
    assert_eq!(estimator, Some(0));
    assert!(Checkpoint::read(&out.join("checkpoint.safetensors")).unwrap().estimator.is_empty());
    // Without noise, delta has no say.
    let before = fs::read(out.join("model.onnx")).unwrap();
    let other = Recipe { lambda: 0.0, delta: 7.0, ..small() };
    let weights = |bytes: &[u8]| onnx::from_bytes(bytes).unwrap().graph.initializers;
    start(&job(other, &data, &out), Start::Overwrite).unwrap();
    assert!(weights(&before) == weights(&fs::read(out.join("model.onnx")).unwrap()));
}

/// The estimator's parameters and the first line of the log.
fn ready_and_first(recipe: Recipe) -> (usize, Record) {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 2);
    let out = folder.path().join("out");
    let mut parameters = 0;
    let mut watch = |event: Event<'_>| {
        if let Event::Ready { estimator, .. } = event {
            parameters = estimator;
        }
    };
    harden(&job(recipe, &data, &out), Start::Fresh, &AtomicBool::new(false), &mut watch).unwrap();
    (parameters, records(&out).remove(0))
}

#[test]
fn the_four_cases_of_the_ablation_are_four() {
    let case = |estimator, noise| ready_and_first(Recipe { estimator, noise, steps: 1, ..small() });
    let [plain, estimated, noisy, both] =
        [(false, false), (true, false), (false, true), (true, true)].map(|(pe, noise)| case(pe, noise));
    // 6 channels of 43 parameters each.
    assert_eq!([plain.0, estimated.0, noisy.0, both.0], [0, 6 * 43, 0, 6 * 43]);
    let entropies = [&plain, &estimated, &noisy, &both].map(|(_, record)| record.entropy.is_some());
    assert_eq!(entropies, [false, true, false, true]);
    // At the first step all have the same weights, so only the noise can move the reconstruction.
    assert_eq!(plain.1.reconstruction, estimated.1.reconstruction);
    assert_eq!(noisy.1.reconstruction, both.1.reconstruction);
    assert_ne!(plain.1.reconstruction, noisy.1.reconstruction);
    assert_ne!(estimated.1.entropy, both.1.entropy);
    // The spread is that of Phi before the noise.
    assert!(plain.1.spread > 0.0 && plain.1.spread == both.1.spread);
}

#[test]
fn the_tap_is_where_the_recipe_says() {
    let at = |tap: &str| ready_and_first(Recipe { tap: tap.into(), steps: 1, ..small() });
    let (last, first, named) = (at("last"), at("first"), at("head"));
    assert_ne!(last.1.entropy, first.1.entropy);
    assert_eq!(first.1.entropy, named.1.entropy);
    // Before the shuffle there are four times as many channels.
    assert_eq!(at("upsample.0").0, 4 * last.0);

    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let refused = |tap: &str| {
        let recipe = Recipe { tap: tap.into(), ..small() };
        let error = run(&job(recipe, &data, &folder.path().join("out"))).unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        error.to_string()
    };
    assert!(refused("upsample").contains("did you mean `upsample.0"), "{}", refused("upsample"));
}

#[test]
fn adversarial_training_sees_every_crop_twice() {
    let case = |adversarial, estimator, noise| {
        ready_and_first(Recipe { adversarial, estimator, noise, steps: 1, ..small() }).1
    };
    let plain = case(0.0, false, false);
    let slight = case(1e-4, false, false);
    let strong = case(8.0, false, false);
    // A half of the loss is that of the clean crops, whatever the attack does to the other.
    assert!((slight.reconstruction - plain.reconstruction).abs() < 1e-3 * plain.reconstruction);
    assert!(strong.reconstruction > plain.reconstruction);
    let both = case(8.0, true, true);
    assert!(both.entropy.is_some() && both.reconstruction != strong.reconstruction);
}

#[test]
fn an_attacked_crop_is_compared_with_the_truth_or_with_the_crops_own_output() {
    let case = |adversarial_target, adversarial_weight| {
        let recipe = Recipe { adversarial: 8.0, adversarial_target, adversarial_weight, steps: 1, ..small() };
        ready_and_first(Recipe { lambda: 0.0, ..recipe }).1.reconstruction
    };
    let clean = ready_and_first(Recipe { lambda: 0.0, steps: 1, ..small() }).1.reconstruction;
    let (truth, output) = (AttackTarget::Truth, AttackTarget::Output);
    // L = (L_r + w L_a) / (1 + w): two weights give L_a, and a third follows from it.
    let attacked = |target| 2.0 * case(target, 1.0) - clean;
    for target in [truth, output] {
        let expected = (clean + 3.0 * attacked(target)) / 4.0;
        let found = case(target, 3.0);
        assert!((found - expected).abs() < 1e-4 * expected, "{target:?}: {found} for {expected}");
    }
    // At its first step the network is far from the truth, and its two outputs are near each other.
    assert!(attacked(output) < 0.5 * attacked(truth));
}

#[test]
fn the_noise_has_a_width_of_its_own_and_lambda_a_ramp() {
    let case = |noise_width, lambda_ramp| {
        ready_and_first(Recipe { noise_width, lambda_ramp, steps: 1, ..small() }).1
    };
    let (usual, stated, wide) = (case(None, 0), case(Some(1.0), 0), case(Some(30.0), 0));
    assert_eq!(usual.reconstruction, stated.reconstruction);
    assert_ne!(wide.reconstruction, usual.reconstruction);
    // The bins keep their width.
    assert!(wide.entropy.is_some_and(f64::is_finite));
    // At the first of ten steps of the ramp the entropy has a tenth of its weight in the loss.
    let ramp = case(None, 10);
    let (bits, weighed) = (ramp.entropy.unwrap(), ramp.loss - ramp.reconstruction);
    assert!((weighed - 0.1 * bits).abs() < 1e-4 * bits, "{weighed} of {bits}");
}

#[test]
fn a_validation_tells_the_spread_of_every_channel_and_the_gain_on_noise() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path(), 1);
    let found = run(&job(small(), &data, &folder.path().join("out"))).unwrap().validated.unwrap();
    assert_eq!(found.channel_spreads.len(), 6);
    assert!(found.channel_spreads.iter().all(|spread| *spread > 0.0 && *spread <= 20.0 * found.spread));
    assert!(found.gain.is_finite() && found.gain > 0.0, "{}", found.gain);
    // What follows Phi is linear, so that the gain does not depend on the noise's width.
    let recipe = Recipe { noise: false, noise_width: Some(8.0), estimator: false, ..small() };
    let (narrow, wide) = (Recipe { noise_width: Some(0.5), ..recipe.clone() }, recipe);
    let gain = |recipe: Recipe, name: &str| {
        run(&job(recipe, &data, &folder.path().join(name))).unwrap().validated.unwrap().gain
    };
    let (narrow, wide) = (gain(narrow, "narrow"), gain(wide, "wide"));
    assert!((narrow / wide - 1.0).abs() < 1e-3, "{narrow} {wide}");
}
