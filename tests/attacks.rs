//! Every attack on models whose worst case is known in closed form, and what must hold of all of
//! them: budgets to the last bit, masks, seeds, and batches that change nothing.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests

mod common;

use std::sync::Arc;

use common::{Workspace, apart, mix, picture, rows, upscaler};
use ndarray::{Array4, Axis, concatenate, s};
use rand_chacha::ChaCha8Rng;
use temper::attack::{
    Attack, AttackError, Attacked, Ball, Discrepancy, Goal, Landscape, Mask, Norm, Settings, Universal,
    parse_budgets, seeded,
};
use temper::onnx::{DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};
use temper::oracle::{Objective, Oracle, OracleError};
use temper::runtime::{self, Kind};
use temper::zoo::Edsr;

/// Settings that give every attack enough to find a small worst case.
fn enough() -> Settings {
    Settings { iterations: 50, restarts: 3, queries: 4000, ..Settings::default() }
}

fn oracle(model: &Model) -> Oracle {
    let runtime = Arc::from(runtime::open(Kind::TRACT).unwrap());
    Oracle::new(runtime, Arc::new(model.clone()), Objective::Distance)
}

/// A picture whose values keep `margin` from both ends of the range.
fn image(height: usize, width: usize, margin: f32) -> Array4<f32> {
    picture(height, width).mapv(|value| margin + (1.0 - 2.0 * margin) * value).insert_axis(Axis(0))
}

fn goal(oracle: &mut Oracle, ball: Ball) -> Goal {
    let clean = oracle.forward(ball.centre()).unwrap();
    Goal::new(ball, clean)
}

fn random(seed: u64, attack: Attack) -> ChaCha8Rng {
    seeded(seed, "x0", attack, parse_budgets("4").unwrap()[0])
}

/// Attacks one image, and checks the ball.
fn run(attack: Attack, oracle: &mut Oracle, goal: &Goal, settings: &Settings) -> Attacked {
    let found = attack.run_one(oracle, goal, settings, &mut random(0, attack), &mut || Ok(())).unwrap();
    goal.ball.check(found.image.view()).unwrap();
    found
}

/// ||S(a) - S(x0)||_2 in f64.
fn distance(oracle: &mut Oracle, goal: &Goal, a: &Array4<f32>) -> f64 {
    oracle.values(a.view(), goal.clean.view()).unwrap()[0]
}

/// What share of a known worst case an attack finds; never more than all of it.
#[track_caller]
fn share(attack: Attack, model: &Model, ball: Ball, worst: f64) -> f64 {
    let mut oracle = oracle(model);
    let (norm, goal) = (ball.norm(), goal(&mut oracle, ball));
    let found = run(attack, &mut oracle, &goal, &enough());
    let share = distance(&mut oracle, &goal, &found.image) / worst;
    println!("{} in {}: {share:.4} of the worst case", attack.name(), norm.name());
    assert!(share <= 1.0 + 1e-4, "{} found more than there is: {share}", attack.name());
    share
}

/// Attacks that climb any objective as far as a budget goes.
fn of_a_budget() -> impl Iterator<Item = Attack> {
    Attack::all().filter(|attack| !attack.needs_tap() && !attack.is_minimal())
}

/// Where every output is w times the sum of a pixel's three colours, the worst of the L-infinity ball
/// of radius r is 3 r w in each of the 12 outputs of a pixel, and the worst of the L2 ball, by Cauchy
/// and Schwarz, sqrt(12) sqrt(3) w times its radius in all.
#[test]
fn on_a_linear_network_attacks_find_the_worst_there_is() {
    const WEIGHT: f32 = 0.25;
    const LEVEL: f64 = 4.0 / 255.0;
    let model = upscaler(|graph, image| mix(graph, image, WEIGHT));
    let x0 = image(9, 11, 0.3);
    let pixels = (x0.len() / 3) as f64;
    for attack in of_a_budget() {
        let linf = Ball::of(Norm::Linf, x0.view(), LEVEL);
        let worst = 3.0 * LEVEL * f64::from(WEIGHT) * (12.0 * pixels).sqrt();
        let least = match attack.name() {
            // What starts on the wrong side of x0 ends two of fifty steps short of the border.
            "ifgsm" | "mifgsm" => 1.0 - 2.0 / 50.0,
            "square" => 0.95,
            "spsa" => 0.7,
            "random" => 0.55,
            _ => 0.999,
        };
        let found = share(attack, &model, linf, worst);
        assert!(found >= least, "{}: {found}", attack.name());

        let l2 = Ball::of(Norm::L2, x0.view(), LEVEL);
        let worst = 6.0 * f64::from(WEIGHT) * l2.radius();
        let least = match attack.name() {
            "ifgsm" | "mifgsm" => 0.95,
            "square" | "random" | "spsa" => 0.55,
            _ => 0.99,
        };
        let found = share(attack, &model, l2, worst);
        assert!(found >= least, "{} in L2: {found}", attack.name());
    }
}

/// Relu(x - 1/2), passed on to 4 outputs per value: where every value lies farther than the budget
/// from the kink, those above can be moved by all of it and those below not at all.
#[test]
fn on_a_relu_attacks_move_what_can_be_moved() {
    const LEVEL: f64 = 8.0 / 255.0;
    let model = upscaler(|graph: &mut GraphBuilder, image| {
        let half = graph.initializer("half", Tensor::scalar(0.5));
        let above = graph.node("Sub", "above", &[image, &half], []);
        let relu = graph.node("Relu", "relu", &[&above], []);
        apart(graph, &relu)
    });
    let x0 = image(9, 11, 0.1).mapv(|value| if value > 0.5 { value + 0.04 } else { value - 0.04 });
    let above = x0.iter().filter(|value| **value > 0.5).count() as f64;
    assert!(above > 50.0 && above < 250.0);
    let worst = LEVEL * (4.0 * above).sqrt();
    for attack in of_a_budget() {
        let least = match attack.name() {
            "ifgsm" | "mifgsm" => 1.0 - 2.0 / 50.0,
            "spsa" => 0.8,
            // Random signs of the whole budget are a worst case here.
            _ => 0.998,
        };
        let found = share(attack, &model, Ball::new(x0.view(), LEVEL), worst);
        assert!(found >= least, "{}: {found}", attack.name());
    }
}

/// floor(32 x) / 32: a gradient of zero wherever there is one. A budget of half a step lets every
/// value cross one border of its step, so the worst case is a step in every output.
#[test]
fn a_quantiser_stops_gradients_and_not_the_attacks_without() {
    const STEPS: f32 = 32.0;
    let model = upscaler(|graph: &mut GraphBuilder, image| {
        let steps = graph.initializer("steps", Tensor::scalar(STEPS));
        let scaled = graph.node("Mul", "scaled", &[image, &steps], []);
        let floor = graph.node("Floor", "floor", &[&scaled], []);
        let quantised = graph.node("Div", "quantised", &[&floor, &steps], []);
        apart(graph, &quantised)
    });
    let x0 = image(9, 11, 0.1);
    let ball = || Ball::new(x0.view(), 0.55 / f64::from(STEPS));
    let worst = (4.0 * x0.len() as f64).sqrt() / f64::from(STEPS);
    for attack in of_a_budget() {
        if !attack.kind().stands_without_gradient() {
            let mut oracle = oracle(&model);
            let goal = goal(&mut oracle, ball());
            let refused =
                attack.run_one(&mut oracle, &goal, &enough(), &mut random(0, attack), &mut || Ok(()));
            assert!(
                matches!(refused, Err(AttackError::Oracle(OracleError::Rewrite(_)))),
                "{}",
                attack.name()
            );
            continue;
        }
        let found = share(attack, &model, ball(), worst);
        let least = match attack.name() {
            "square" => 0.95,
            "spsa" => 0.75,
            _ => 0.7,
        };
        assert!(found >= least, "{}: {found}", attack.name());
    }
}

/// A convolution over three rows and columns behind which a Relu sits: enough to be no closed form.
fn network() -> Model {
    Edsr { features: 6, blocks: 1, scale: 2 }.build(0).unwrap()
}

fn taps(model: &Model) -> Objective {
    Objective::Features(vec![model.metadata["temper.tap"].clone()])
}

/// An oracle for what the attack climbs.
fn oracle_for(attack: Attack, model: &Model) -> Oracle {
    let mut oracle = oracle(model);
    if attack.needs_tap() {
        oracle.set_objective(&taps(model));
    }
    oracle
}

/// Few steps, of which nothing is asked but that they stay inside.
fn quick() -> Settings {
    Settings { iterations: 4, restarts: 2, queries: 40, ..Settings::default() }
}

#[test]
fn budgets_and_masks_hold_to_the_last_bit() {
    let model = network();
    for attack in Attack::all() {
        let mut oracle = oracle_for(attack, &model);
        for (number, level) in [0.003, 0.1, 1.0, 3.7, 8.0, 255.0].into_iter().enumerate() {
            for norm in [Norm::Linf, Norm::L2] {
                // The last bits differ from image to image, and so do pixels at the ends of the range.
                let x0 = image(8 + number % 2, 9, 0.07 * number as f32 - 0.07).mapv(|x| x.clamp(0.0, 1.0));
                let whole = Ball::of(norm, x0.view(), level / 255.0);
                let part = whole.clone().masked(corner(&x0)).unwrap();
                for ball in [whole, part] {
                    let goal = goal(&mut oracle, ball);
                    let found = run(attack, &mut oracle, &goal, &quick());
                    holds(&goal.ball, &found.image, norm, level / 255.0);
                }
            }
        }
    }
}

/// The top left 3 x 4 pixels.
fn corner(x0: &Array4<f32>) -> Mask {
    Mask::rectangle("0,0,4,3".parse().unwrap(), [x0.shape()[2], x0.shape()[3]]).unwrap()
}

/// The budget as a reader of the docs would check it.
fn holds(ball: &Ball, image: &Array4<f32>, norm: Norm, level: f64) {
    let masked = ball.free() == 36;
    let mut squares = 0.0;
    for (((_, _, row, column), &x), &x0) in image.indexed_iter().zip(&ball.centre()) {
        let moved = (f64::from(x) - f64::from(x0)).abs();
        assert!((0.0..=1.0).contains(&x));
        assert!(norm == Norm::L2 || moved <= level, "{moved:e} of {level:e}");
        assert!(!masked || (row < 3 && column < 4) || moved == 0.0, "{row} {column} moved by {moved:e}");
        squares += moved * moved;
    }
    assert!(norm == Norm::Linf || squares.sqrt() <= level * (ball.free() as f64).sqrt());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_others() {
    let model = network();
    for attack in Attack::all() {
        let mut oracle = oracle_for(attack, &model);
        let goal = goal(&mut oracle, Ball::new(image(8, 9, 0.2).view(), 4.0 / 255.0));
        let mut at = |seed| {
            let mut rng = random(seed, attack);
            attack.run_one(&mut oracle, &goal, &quick(), &mut rng, &mut || Ok(())).unwrap().image
        };
        assert_eq!(at(0), at(0), "{}", attack.name());
        // FDA starts at x0 and draws nothing; cw gives x0 back where it does not succeed.
        assert!(at(0) != at(1) || attack.needs_tap() || attack.is_minimal(), "{}", attack.name());
    }
}

/// Three images at once: each as if it were alone.
#[test]
fn a_batch_gives_what_its_images_give_alone() {
    let model = network();
    for attack in Attack::all() {
        let mut oracle = oracle_for(attack, &model);
        let x0: Vec<Array4<f32>> = [0.05, 0.2, 0.35].map(|margin| image(8, 9, margin)).into();
        let goals: Vec<Goal> =
            x0.iter().map(|x0| goal(&mut oracle, Ball::new(x0.view(), 4.0 / 255.0))).collect();
        let goals: Vec<&Goal> = goals.iter().collect();
        let mut together = |batch| {
            let mut rngs: Vec<ChaCha8Rng> = (0..3).map(|seed| random(seed, attack)).collect();
            let settings = Settings { batch, ..quick() };
            attack.run(&mut oracle, &goals, &settings, &mut rngs, &mut || Ok(())).unwrap()
        };
        let (alone, two, all) = (together(1), together(2), together(3));
        for found in [two, all] {
            for (alone, found) in alone.iter().zip(&found) {
                assert_eq!(alone.values.len(), found.values.len(), "{}", attack.name());
                let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
                assert!(alone.values.iter().zip(&found.values).all(near), "{}", attack.name());
                let far = (&alone.image - &found.image).mapv(f32::abs).fold(0.0_f32, |most, &v| most.max(v));
                assert!(far <= 1e-6, "{}: {far}", attack.name());
            }
        }
    }
}

/// A batch of two with a number of its own for each.
fn two() -> Array4<f32> {
    concatenate(Axis(0), &[image(8, 9, 0.1).view(), image(8, 9, 0.4).view()]).unwrap()
}

#[test]
fn values_and_gradients_come_image_by_image_from_every_runtime() {
    let x = two();
    for kind in Kind::all() {
        let Ok(runtime) = runtime::open(kind) else { continue };
        let model = Arc::new(network());
        for objective in [Objective::Distance, Objective::Luma, taps(&model)] {
            let mut oracle = Oracle::new(Arc::from(runtime::open(kind).unwrap()), model.clone(), objective);
            let clean = oracle.forward(x.view()).unwrap();
            let near = x.mapv(|value| value * 0.97 + 0.01);
            let (values, gradient) = oracle.value_and_gradient(near.view(), clean.view()).unwrap();
            assert_eq!(values.len(), 2);
            for index in 0..2 {
                let of = |all: &Array4<f32>| all.slice(s![index..=index, .., .., ..]).to_owned();
                let (value, alone) = oracle.value_and_gradient(of(&near).view(), of(&clean).view()).unwrap();
                assert!(
                    (value[0] - values[index]).abs() <= 1e-5 * value[0].abs(),
                    "{kind}: {value:?} {values:?}"
                );
                let far = (&alone - &of(&gradient)).mapv(f32::abs).fold(0.0_f32, |most, &v| most.max(v));
                let size = alone.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
                assert!(far <= 1e-4 * size, "{kind}: {far} of {size}");
            }
            assert_eq!(oracle.effort().gradients, 4, "images are counted, not calls");
        }
        drop(runtime);
    }
}

/// A model that takes one image at a time, or that lets images touch each other, is asked image by
/// image.
#[test]
fn images_that_would_mix_go_alone() {
    let single = {
        let mut model = network();
        let dims = [Dim::Known(1), Dim::Known(3), Dim::from("H"), Dim::from("W")];
        model.graph.inputs[0] = ValueInfo::tensor(model.graph.inputs[0].name.clone(), DType::F32, dims);
        model
    };
    let mixing = upscaler(|graph: &mut GraphBuilder, image| {
        let mean = graph.node("ReduceMean", "mean", &[image], []);
        let centred = graph.node("Sub", "centred", &[image, &mean], []);
        apart(graph, &centred)
    });
    for model in [single, mixing] {
        let mut oracle = oracle(&model);
        let x = two();
        let all = oracle.forward(x.view()).unwrap();
        let near = x.mapv(|value| value * 0.97 + 0.01);
        let (values, gradient) = oracle.value_and_gradient(near.view(), all.view()).unwrap();
        for (index, &expected) in values.iter().enumerate() {
            let of = |all: &Array4<f32>| all.slice(s![index..=index, .., .., ..]).to_owned();
            assert_eq!(oracle.forward(of(&x).view()).unwrap(), of(&all));
            let (value, alone) = oracle.value_and_gradient(of(&near).view(), of(&all).view()).unwrap();
            assert_eq!((value[0], alone), (expected, of(&gradient)));
        }
    }
}

#[test]
fn fda_needs_a_tap_that_is_there() {
    let model = network();
    let mut oracle = oracle(&model);
    let goal = goal(&mut oracle, Ball::new(image(8, 9, 0.2).view(), 8.0 / 255.0));
    let tap = &model.metadata["temper.tap"];
    oracle.set_objective(&Objective::Features(vec![format!("{tap}x")]));
    let wrong =
        Attack::FDA.run_one(&mut oracle, &goal, &quick(), &mut random(0, Attack::FDA), &mut || Ok(()));
    let message = wrong.unwrap_err().to_string();
    assert!(message.contains(&format!("did you mean `{tap}`?")), "{message}");
    oracle.set_objective(&taps(&model));
    let found = run(Attack::FDA, &mut oracle, &goal, &Settings::default());
    assert!(found.values.last() > found.values.first(), "{:?}", found.values);
}

#[test]
fn an_attack_ends_when_the_target_is_reached() {
    let model = upscaler(|graph, image| mix(graph, image, 0.25));
    for attack in [Attack::IFGSM, Attack::PGD, Attack::SQUARE] {
        let mut oracle = oracle(&model);
        let goal = goal(&mut oracle, Ball::new(image(9, 11, 0.3).view(), 8.0 / 255.0));
        let mut at = |target_psnr| run(attack, &mut oracle, &goal, &Settings { target_psnr, ..enough() });
        let (free, easy, never) = (at(None), at(Some(45.0)), at(Some(1.0)));
        assert_eq!((free.reached, easy.reached, never.reached), (None, Some(true), Some(false)));
        assert!(easy.values.len() < free.values.len(), "{}: {}", attack.name(), easy.values.len());
        assert!(goal.sr_psnr(oracle.forward(easy.image.view()).unwrap().view()) <= 45.0);
    }
}

/// On a linear network the smallest perturbation lies along the worst direction, where the output
/// moves by 6 w times it.
#[test]
fn the_smallest_perturbation_is_found_or_none() {
    const WEIGHT: f32 = 0.25;
    let model = upscaler(|graph, image| mix(graph, image, WEIGHT));
    let mut oracle = oracle(&model);
    let x0 = image(9, 11, 0.3);
    let whole = goal(&mut oracle, Ball::new(x0.view(), 1.0));
    for psnr in [20.0, 30.0, 40.0] {
        let settings = Settings { target_psnr: Some(psnr), iterations: 60, ..enough() };
        let found = run(Attack::CW, &mut oracle, &whole, &settings);
        assert_eq!(found.reached, Some(true));
        let reached = whole.sr_psnr(oracle.forward(found.image.view()).unwrap().view());
        assert!(reached <= psnr && reached > psnr - 0.1, "{reached} dB where {psnr} were asked for");
        let wanted = (whole.clean.len() as f64).sqrt() * 10.0_f64.powf(-psnr / 20.0);
        let least = wanted / (6.0 * f64::from(WEIGHT));
        let size = (&found.image - &x0).iter().map(|d| f64::from(*d).powi(2)).sum::<f64>().sqrt();
        println!("{psnr} dB: {:.4} of the least perturbation", size / least);
        assert!(size >= least * (1.0 - 1e-4) && size <= least * 1.05, "{size}, and {least} would do");
    }
    let corner = goal(&mut oracle, whole.ball.clone().masked(corner(&x0)).unwrap());
    let settings = Settings { target_psnr: Some(3.0), ..quick() };
    let found = run(Attack::CW, &mut oracle, &corner, &settings);
    assert_eq!(found.reached, Some(false));
    assert_eq!(found.image, x0);
}

/// One perturbation for many images: found on three, and as good on two that it has not seen.
#[test]
fn a_universal_perturbation_serves_images_it_has_not_seen() {
    let model = upscaler(|graph, image| mix(graph, image, 0.25));
    let mut oracle = oracle(&model);
    for norm in [Norm::Linf, Norm::L2] {
        let goals: Vec<Goal> = [0.1, 0.2, 0.3, 0.35, 0.4]
            .map(|margin| goal(&mut oracle, Ball::of(norm, image(9, 11, margin).view(), 4.0 / 255.0)))
            .into();
        let (seen, unseen): (Vec<&Goal>, Vec<&Goal>) =
            (goals[..3].iter().collect(), goals[3..].iter().collect());
        let settings = Settings { batch: 2, ..enough() };
        let mut rng = random(0, Attack::PGD);
        let found = Universal::find(&mut oracle, &seen, &settings, &mut rng, &mut || Ok(())).unwrap();
        for goal in unseen {
            let image = found.on(&goal.ball);
            goal.ball.check(image.view()).unwrap();
            let worst = match norm {
                Norm::Linf => 3.0 * goal.ball.level() * 0.25 * (12.0 * 99.0_f64).sqrt(),
                Norm::L2 => 6.0 * 0.25 * goal.ball.radius(),
            };
            let share = distance(&mut oracle, goal, &image) / worst;
            assert!(share > 0.97 && share <= 1.0 + 1e-4, "{share} of the worst case");
        }
    }
}

/// Two linear networks that differ by a factor are driven apart by brightening every pixel.
#[test]
fn runtimes_are_driven_apart() {
    let level = 4.0 / 255.0;
    let [mut a, mut b] =
        [0.25, 0.2].map(|weight| oracle(&upscaler(|graph, image| mix(graph, image, weight))));
    let x0 = image(9, 11, 0.3);
    let goal = goal(&mut a, Ball::new(x0.view(), level));
    let mut apart = Discrepancy::between(&mut a, &mut b);
    let sums = x0.sum_axis(Axis(1)).mapv(|sum| f64::from(sum) + 3.0 * level);
    let worst = 0.05 * (12.0 * sums.mapv(|sum| sum * sum).sum()).sqrt();
    for attack in [Attack::FGSM, Attack::IFGSM, Attack::PGD, Attack::SQUARE] {
        let mut rng = random(0, attack);
        let found = attack.run_one(&mut apart, &goal, &enough(), &mut rng, &mut || Ok(())).unwrap();
        goal.ball.check(found.image.view()).unwrap();
        let reached = apart.values(found.image.view(), &[&goal]).unwrap()[0];
        assert!((reached / worst - 1.0).abs() < 2e-3, "{}: {reached}, not {worst}", attack.name());
    }
}

#[test]
fn one_runtime_is_not_driven_apart_from_itself() {
    let workspace = Workspace::new();
    let refused = "audit model.onnx --images photos --runtime tract --objective runtimes --out none";
    let message = workspace.refused(&refused.split(' ').collect::<Vec<_>>(), 2);
    assert!(message.contains("two or more"), "{message}");
}

/// What every audit here asks for.
fn audited(workspace: &Workspace, flags: &str) -> (String, serde_json::Value) {
    let arguments = format!("model.onnx --images photos --budget 4 --iterations 3 --runtime tract {flags}");
    workspace.audit(&arguments.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>())
}

#[test]
fn every_attack_runs_from_the_command_line() {
    let workspace = Workspace::new();
    let names: Vec<&str> = Attack::all().map(Attack::name).collect();
    for norm in ["linf", "l2"] {
        let flags = format!("--attack {} --queries 30 --restarts 2 --norm {norm}", names.join(","));
        let (table, report) = audited(&workspace, &flags);
        assert_eq!(rows(&report).len(), 2 * names.len(), "images x attacks");
        for row in rows(&report) {
            let size = row[norm].as_f64().unwrap();
            if row["attack"] == "cw" {
                assert!(row["reached"].is_boolean() && row["budget"] == 255.0, "{row}");
                continue;
            }
            assert!(size > 0.0 && size <= 4.0 + 1e-9, "{row}");
            assert!(
                row["objective_end"].as_f64() > row["objective_start"].as_f64() || row["attack"] != "ifgsm"
            );
        }
        for name in &names {
            assert!(table.contains(name), "{table}");
        }
    }
}

#[test]
fn a_region_is_all_that_changes() {
    let workspace = Workspace::new();
    let (_, report) = audited(&workspace, "--region 2,3,5,4");
    let (_, whole) = audited(&workspace, "");
    let psnr = |report: &serde_json::Value, key: &str| rows(report)[0][key].as_f64().unwrap();
    assert!(psnr(&report, "lr_psnr") > psnr(&whole, "lr_psnr") + 10.0);
    assert!(psnr(&report, "sr_psnr") > psnr(&whole, "sr_psnr"));
    assert_eq!(report["settings"]["region"], serde_json::json!([2, 3, 5, 4]));
    let beyond = "audit model.onnx --images photos --runtime tract --region 28,0,5,5 --out none";
    let message = Workspace::new().refused(&beyond.split(' ').collect::<Vec<_>>(), 2);
    assert!(message.contains("a.png") && message.contains("30 wide and 22 high"), "{message}");
}

#[test]
fn objectives_are_chosen_by_name() {
    let workspace = Workspace::new();
    workspace.photo("toward.png", 60, 40);
    let first = |flags: &str| rows(&audited(&workspace, flags).1)[0].clone();
    for name in ["l1", "luma", "cosine"] {
        let row = first(&format!("--objective {name}"));
        assert!(row["objective_end"].as_f64() > row["objective_start"].as_f64(), "{row}");
    }
    let targeted = first("--objective targeted --toward toward.png");
    assert!(targeted["objective_end"].as_f64() > targeted["objective_start"].as_f64(), "{targeted}");
    assert_eq!(targeted["objective"], "-||S(x) - target||_2");
    for (flags, words) in [
        ("--objective targeted", "--toward"),
        ("--objective l2 --toward toward.png", "targeted"),
        ("--objective truth", "no ground truth"),
        ("--objective lumar", "did you mean `luma`"),
        ("--attack ifgsm,ifgsm", "twice"),
        ("--attack fda --tap nowhere", "is no value of the graph"),
        ("--norm l3", "linf and l2"),
        ("--target-psnr -3", "dB above 0"),
    ] {
        let arguments = format!("audit model.onnx --images photos --runtime tract {flags} --out none");
        let message = Workspace::new().refused(&arguments.split(' ').collect::<Vec<_>>(), 2);
        assert!(message.contains(words), "{flags}: {message}");
    }
}

#[test]
fn fda_is_refused_where_no_tap_is_known() {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &upscaler(apart));
    let arguments = "audit model.onnx --images photos --runtime tract --attack fda --out none";
    let message = workspace.refused(&arguments.split(' ').collect::<Vec<_>>(), 2);
    assert!(message.contains("temper.tap") && message.contains("--tap"), "{message}");
    let named = audited(&workspace, "--attack fda --tap apart");
    assert_eq!(rows(&named.1)[0]["attack"], "fda");
}

/// What has no gradient needs none where none is asked for.
#[test]
fn a_model_without_a_gradient_is_attacked_without() {
    let workspace = Workspace::new();
    workspace.model(
        "model.onnx",
        &upscaler(|graph: &mut GraphBuilder, image| {
            let steps = graph.initializer("steps", Tensor::scalar(64.0));
            let scaled = graph.node("Mul", "scaled", &[image, &steps], []);
            let rounded = graph.node("Round", "rounded", &[&scaled], []);
            let quantised = graph.node("Div", "quantised", &[&rounded, &steps], []);
            apart(graph, &quantised)
        }),
    );
    let (_, report) = audited(&workspace, "--attack random,square --queries 20");
    assert_eq!(report["gradient_checks"].as_array().unwrap().len(), 0, "no gradient was tested");
    assert_eq!(rows(&report).len(), 4);
    let (table, report) = audited(&workspace, "--attack ifgsm,random --queries 20");
    assert!(table.contains("gradient not trusted"), "{table}");
    let names: Vec<&str> = rows(&report).iter().map(|row| row["attack"].as_str().unwrap()).collect();
    assert_eq!(names, ["square", "random", "square", "random"]);
}
