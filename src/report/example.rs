//! A small report for tests.

use super::{
    AskedAttack, Clean, EightBit, ImageInfo, InterfaceInfo, Measured, ModelInfo, OutputLinf, Report, Row,
    SCHEMA, Settings, StoppedNode, Timing, Transfer, WorstWindow, embedded, findings, summarise, verdicts,
    worst,
};
use crate::attack::{AttackKind, ObjectiveKind};

pub fn image(name: &str, scale: usize) -> ImageInfo {
    let name = name.to_owned();
    let sha256 = "00".into();
    ImageInfo { name, made_from_truth: true, sha256, size: [24, 24], channels: 3, fitted: None, scale }
}

pub fn model(name: &str, stopped: &[&str]) -> ModelInfo {
    let stopped =
        stopped.iter().map(|node| StoppedNode { node: (*node).into(), reason: "it is flat".into() });
    let metadata = [("temper.recipe", r#"{"lambda": 1.0}"#), ("temper.seed", "0")];
    ModelInfo {
        name: name.into(),
        path: name.into(),
        sha256: "00".into(),
        parameters: 1,
        scale: 2,
        memory_bound: 0,
        tiles: None,
        tap: None,
        interface: InterfaceInfo {
            input: "x".into(),
            output: "y".into(),
            dtype: "float32".into(),
            layout: "nchw".into(),
            output_layout: "nchw".into(),
            channels: 3,
            range: "0..1".into(),
            output_range: "0..1".into(),
            margin: 0,
            fixed: None,
            multiple: 1,
            fed: vec![],
            bicubic_agreement: 40.0,
        },
        opset: 17,
        metadata: metadata.map(|(key, value)| (key.to_owned(), embedded(value))).into(),
        metadata_ignored: vec![],
        branches_on_size: false,
        stopped: stopped.collect(),
        preprocess: None,
    }
}

pub fn row(crafted_on: &str, judged_on: &str, image: &str, budget: f64, sr_psnr: f64) -> Row {
    Row {
        model: "model.onnx".into(),
        image: image.into(),
        attack: "ifgsm".into(),
        kind: AttackKind::WhiteBox,
        budget,
        iterations: 50,
        crafted_on: crafted_on.into(),
        judged_on: judged_on.into(),
        lr_psnr: 40.0,
        sr_psnr,
        eight_bit: eight_bit(sr_psnr),
        non_finite: None,
        sr_ssim: Some(0.9),
        amplification: Some(2.0),
        bicubic_amplification: Some(0.5),
        late_gain: None,
        restart_gain: None,
        linf: budget,
        l2: budget,
        objective: "distance".into(),
        objective_kind: ObjectiveKind::Away,
        objective_start: 0.1,
        objective_end: 2.0,
        reached: None,
        members: vec![],
        rugged: None,
        overshoot: None,
        seed: 0,
        model_sha256: "00".into(),
    }
}

/// What a file carries of an attack that loses nothing by rounding.
pub fn eight_bit(sr_psnr: f64) -> EightBit {
    EightBit {
        sr_psnr,
        amplification: Some(2.0),
        bicubic_amplification: Some(0.5),
        worst_window: Some(WorstWindow { sr_psnr: sr_psnr - 8.0, x: 12, y: 6 }),
        output_linf: Some(OutputLinf { linf: 60.0, x: 14, y: 8 }),
    }
}

/// An attack crafted for another model.
pub fn transfer(image: &str, budget: f64, sr_psnr: f64) -> Transfer {
    Transfer {
        model: "model.onnx".into(),
        crafted_for: "other.onnx".into(),
        image: image.into(),
        attack: "ifgsm".into(),
        kind: AttackKind::WhiteBox,
        budget,
        crafted_on: "ort".into(),
        judged_on: "ort".into(),
        sr_psnr,
        eight_bit: eight_bit(sr_psnr),
        non_finite: None,
    }
}

pub fn report() -> Report {
    let rows = vec![
        row("ort", "ort", "a.png", 1.0, 30.0),
        row("ort", "tract", "a.png", 1.0, 30.25),
        row("tract", "tract", "a.png", 1.0, 31.0),
        row("ort", "ort", "b.png", 1.0, 32.0),
        row("ort", "ort", "a.png", 4.0, f64::INFINITY),
        row("ort", "ort", "b.png", 4.0, 25.0),
        row("ort", "ort", "a.png", 8.0, f64::INFINITY),
        row("ort", "tract", "a.png", 8.0, f64::INFINITY),
        Row { model: "other\n.onnx".into(), ..row("ort", "ort", "a.png", 1.0, 27.0) },
    ];
    let clean = Clean {
        model: "model.onnx".into(),
        image: "a.png".into(),
        runtime: "ort".into(),
        psnr: 29.126,
        ssim: 0.81234,
        bicubic_psnr: 28.0,
        bicubic_ssim: 0.8,
    };
    let mut report = Report {
        verdicts: Vec::new(),
        schema: SCHEMA,
        temper: "0".into(),
        conventions: vec![],
        settings: Settings {
            attacks: vec![AskedAttack { name: "ifgsm".into(), kind: AttackKind::WhiteBox }],
            objective: "distance".into(),
            taps: vec![],
            norm: "linf".into(),
            region: None,
            mask: None,
            budgets: vec![1.0, 8.0],
            iterations: 50,
            restarts: 1,
            queries: 500,
            target_psnr: None,
            batch: 1,
            cost: None,
            seed: 0,
            shard: None,
            crop: None,
            left_out: vec![],
            preprocess: vec![],
        },
        runtimes: vec![],
        lost_runtimes: vec![],
        models: vec![model("model.onnx", &["Round node `r`", "Floor node `f`"]), model("other.onnx", &[])],
        images: vec![image("a.png", 2), image("b.png", 2), image("a.png", 3), image("b.png", 3)],
        summary: summarise(&rows),
        worst: worst(&rows, &[]),
        findings: vec![],
        measured: Measured { rows, clean: vec![clean], ..Measured::default() },
        checksum: String::new(),
        timing: Timing::default(),
    };
    report.findings = findings(&report);
    report.verdicts = verdicts(&report);
    report
}
