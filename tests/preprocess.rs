//! Models behind pre-processing: attacked by who knows of it, judged beside the bare model, and what it costs.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests are tests

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Workspace, nearest_luma, picture, rows};
use ndarray::{Array3, Array4, ArrayView3, Axis};
use serde_json::Value;
use temper::attack::{Attack, Ball, Goal, Settings, parse_budgets, seeded};
use temper::audit::Preprocessing;
use temper::metric::psnr;
use temper::onnx::{self, Model};
use temper::oracle::{Objective, Oracle, Preprocess};
use temper::runtime::{self, Kind};

/// A trained network, small enough for a test.
fn trained() -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/edsr-small-lambda0.onnx");
    onnx::read(&path).unwrap()
}

fn oracle(front: impl Preprocess + 'static) -> Oracle {
    let runtime = Arc::from(runtime::open(Kind::TRACT).unwrap());
    Oracle::new(runtime, Arc::new(trained()), Objective::Distance).behind(Arc::new(front))
}

/// A random pre-processing whose attacker looks at one draw of it only, again and again.
#[derive(Debug)]
struct OneDraw(Preprocessing);

impl Preprocess for OneDraw {
    fn apply(&self, x: ArrayView3<'_, f32>, _: u64) -> Array3<f32> {
        self.0.apply(x, 1)
    }

    fn pull_back(&self, gradient: ArrayView3<'_, f32>, _: u64) -> Array3<f32> {
        self.0.pull_back(gradient, 1)
    }

    fn has_derivative(&self) -> bool {
        self.0.has_derivative()
    }

    fn draws(&self) -> usize {
        1
    }
}

/// The SR PSNR that an attack on `front` leaves behind `judged`, over draws of the judge's own.
fn left(front: impl Preprocess + 'static, judged: Preprocessing, attack: Attack, budget: &str) -> f64 {
    let x0 = picture(32, 36).insert_axis(Axis(0));
    let budget = parse_budgets(budget).unwrap()[0];
    let mut attacker = oracle(front);
    let clean = attacker.forward(x0.view()).unwrap();
    let goal = Goal::new(Ball::new(x0.view(), budget.radius()), clean);
    let settings = Settings { iterations: 20, queries: 300, ..Settings::default() };
    let mut rng = seeded(0, "x0", attack, budget);
    let attacked = attack.run_one(&mut attacker, &goal, &settings, &mut rng, &mut || Ok(())).unwrap();
    goal.ball.check(attacked.image.view()).unwrap();
    let mut judge = oracle(judged);
    let of_draw = |draw| {
        judge.at_draw(draw);
        let [clean, output]: [Array4<f32>; 2] =
            [&x0, &attacked.image].map(|x| judge.forward(x.view()).unwrap());
        psnr(clean.index_axis(Axis(0), 0), output.index_axis(Axis(0), 0)).unwrap()
    };
    let values: Vec<f64> = (1_000_000..1_000_012).map(of_draw).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn expectation_over_draws_beats_one_draw_and_no_search_without_gradients_beats_it() {
    let front: Preprocessing = "resize=0.7".parse().unwrap();
    let expected = left(front, front, Attack::IFGSM, "8");
    let one = left(OneDraw(front), front, Attack::IFGSM, "8");
    let square = left(front, front, Attack::SQUARE, "8");
    println!("EOT {expected:.2} dB, one draw {one:.2} dB, square {square:.2} dB");
    assert!(expected < one, "EOT {expected}, one draw {one}");
    assert!(expected < square + 0.5, "EOT {expected}, square {square}");
}

/// What every audit here asks for.
const QUICK: &str = "model.onnx --images photos --runtime tract --budget";

fn audit(workspace: &Workspace, more: &str) -> (String, Value) {
    let steps = if more.contains("--iterations") { "" } else { " --iterations 10" };
    let words = format!("{QUICK} {more}{steps}");
    workspace.audit(&words.split(' ').collect::<Vec<_>>())
}

fn trained_workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &trained());
    workspace
}

/// Mean SR PSNR of the cell of a model.
fn cell(report: &Value, model: &str, attack: &str) -> f64 {
    let of = |cell: &&Value| cell["model"] == model && cell["attack"] == attack;
    report["summary"].as_array().unwrap().iter().find(of).unwrap()["sr_psnr"].as_f64().unwrap()
}

#[test]
fn jpeg_and_fewer_bits_are_broken_by_an_attack_that_passes_straight_through() {
    let workspace = trained_workspace();
    let (table, report) =
        audit(&workspace, "8 --preprocess jpeg=75,bits=5 --attack ifgsm,square --queries 100");
    let bare = cell(&report, "model.onnx", "ifgsm");
    for name in ["model.onnx + jpeg=75", "model.onnx + bits=5"] {
        let [left, square] = ["ifgsm", "square"].map(|attack| cell(&report, name, attack));
        println!("{name}: {left:.2} dB, square {square:.2} dB, bare {bare:.2} dB");
        assert!(left < bare + 1.0, "{name} leaves {left}, bare {bare}");
        assert!(left < square + 1.0, "{name}: square leaves {square}, ifgsm {left}");
        assert!(table.contains(name), "{table}");
    }
    for trust in report["gradient_checks"].as_array().unwrap() {
        assert_eq!(trust["straight_through"], trust["model"] != "model.onnx", "{trust}");
    }
}

/// The first steps of a long attack are rounded away whole, and S(x) is S(x0) to the last bit there.
#[test]
fn steps_too_small_for_a_rounding_do_not_end_an_attack() {
    let workspace = trained_workspace();
    let (_, report) = audit(&workspace, "4 --attack ifgsm --iterations 50 --preprocess jpeg=75,bits=5");
    let bare = cell(&report, "model.onnx", "ifgsm");
    for cell in report["summary"].as_array().unwrap() {
        println!("{}: {} dB, {} unchanged", cell["model"], cell["sr_psnr"], cell["unchanged"]);
        assert_eq!(cell["unchanged"], 0, "{cell}");
        assert!(cell["sr_psnr"].as_f64().unwrap() < bare + 1.5, "{cell}, bare {bare}");
    }
}

#[test]
fn rows_of_every_pre_processing_stand_beside_the_bare_models_own() {
    let workspace = Workspace::new();
    let (_, bare) = audit(&workspace, "1,8");
    let (table, report) = audit(&workspace, "1,8 --preprocess jpeg=60,resize=0.8,bits=4");
    let names = ["model.onnx", "model.onnx + jpeg=60", "model.onnx + resize=0.8", "model.onnx + bits=4"];
    let of =
        |name: &str| rows(&report).iter().filter(|row| row["model"] == name).cloned().collect::<Vec<_>>();
    assert_eq!(&of(names[0]), rows(&bare), "the bare model is audited as it is without");
    for (name, model) in names.iter().zip(report["models"].as_array().unwrap()) {
        assert!(model["name"] == *name && of(name).len() == 4, "{model}");
        assert_eq!(model["sha256"], report["models"][0]["sha256"]);
    }
    for row in rows(&report) {
        let [linf, budget] = ["linf", "budget"].map(|key| row[key].as_f64().unwrap());
        assert!(linf <= budget * (1.0 + 1e-6), "{row}");
        assert!(row["objective_end"].as_f64() >= row["objective_start"].as_f64(), "{row}");
    }
    assert_eq!(report["noise"].as_array().unwrap().len(), 4 * 4);
    assert_eq!(report["models"][2]["preprocess"]["draws"], 8);
    assert_eq!(report["models"][0]["preprocess"], Value::Null);
    assert_eq!(report["gradient_checks"][2]["draws"], 8);
    assert!(table.contains("its gradient is an estimate: a mean over 8 draws each"), "{table}");
}

#[test]
fn what_it_costs_without_attack_is_told() {
    let workspace = trained_workspace();
    workspace.photo("truth/a.png", 96, 112);
    let words =
        "model.onnx --truth truth --runtime tract --iterations 3 --budget 4 --preprocess bits=3,jpeg=30";
    let (table, report) = workspace.audit(&words.split(' ').collect::<Vec<_>>());
    let clean: Vec<f64> =
        report["clean"].as_array().unwrap().iter().map(|clean| clean["psnr"].as_f64().unwrap()).collect();
    assert!(clean.len() == 3 && clean[1] < clean[0] - 0.5 && clean[2] < clean[0] - 0.2, "{clean:?}");
    let note = format!("bits=3 costs {:.2} dB of clean PSNR", clean[0] - clean[1]);
    assert!(table.contains(&note), "{note}: {table}");
    let findings = report["findings"].as_array().unwrap();
    let told = findings.iter().find(|finding| finding["code"] == "preprocess").unwrap();
    assert!((told["numbers"]["cost"].as_f64().unwrap() - (clean[0] - clean[1])).abs() < 1e-9, "{told}");
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_other_draws() {
    let workspace = Workspace::new();
    let run = |more: &str| {
        let mut report =
            audit(&workspace, &format!("8 --preprocess resize=0.8 --attack ifgsm,square{more}")).1;
        report.as_object_mut().unwrap().remove("timing").unwrap();
        report
    };
    let flags = " --queries 30";
    let first = run(flags);
    assert_eq!(first, run(&format!("{flags} --no-cache")));
    let of = |report: &Value| cell(report, "model.onnx + resize=0.8", "ifgsm");
    assert_ne!(of(&first), of(&run(" --queries 30 --seed 1")));
    // What happens to an image does not depend on the others.
    std::fs::remove_file(workspace.path("photos/a.png")).unwrap();
    let alone = run(flags);
    let of_b: Vec<&Value> = rows(&first).iter().filter(|row| row["image"] == "b.png").collect();
    assert_eq!(of_b, rows(&alone).iter().collect::<Vec<_>>());
}

#[test]
fn luma_models_and_searches_for_a_target_take_them_too() {
    let workspace = Workspace::new();
    workspace.model("model.onnx", &nearest_luma());
    let flags =
        "8 --range 0..1 --preprocess jpeg=80,resize=0.9,bits=6 --attack cw,pgd --target-psnr 45 --norm l2";
    let (_, report) = audit(&workspace, flags);
    assert_eq!(report["models"][0]["interface"]["channels"], 1);
    assert_eq!(rows(&report).len(), 4 * 2 * 2);
    for row in rows(&report) {
        assert!(row["sr_psnr"].as_f64().is_none_or(|sr_psnr| sr_psnr > 10.0), "{row}");
        assert!(row["reached"].is_boolean(), "{row}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_read() {
    let workspace = Workspace::new();
    let refused = |value: &str| {
        let flags = ["audit", "model.onnx", "--images", "photos", "--out", "out", "--preprocess", value];
        workspace.refused(&flags, 2)
    };
    assert!(refused("jpeg=0").contains("jpeg takes a quality from 1 to 100"));
    assert!(refused("jpeg=101").contains("jpeg takes a quality from 1 to 100"));
    assert!(refused("resize=1.5").contains("above 0 and below 1"));
    assert!(refused("bits=0").contains("bits per channel from 1 to 8"));
    assert!(refused("jpeg=75,jpg=75").contains("did you mean `jpeg`?"));
    assert!(refused("bits=5,jpeg=75,bits=5").contains("bits=5 is given twice"));
}
