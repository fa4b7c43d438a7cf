//! A report before anything was measured: what was asked for, of what, and how numbers are taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::model::AuditedModel;
use crate::audit::inputs::requirements::ImageRequirements;
use crate::audit::measure::certificate;
use crate::audit::plan::Settings;
use crate::audit::preprocess;
use crate::metric::CONVENTION;
use crate::report::{self, AskedAttack, Convention, Measured, Report, RuntimeInfo, SCHEMA, Timing};
use crate::runtime::Runtime;

/// What the numbers of an audit need said beside those of the metrics.
const OURS: [(&str, &str); 5] = [
    (
        "start",
        "the norm has no gradient at x0, so an attack starts at x0 plus seeded uniform noise: ifgsm and mifgsm of at most one step, fgsm of at most a fiftieth of the budget (its step starts at x0), pgd and apgd of at most the budget; fda starts at x0",
    ),
    (
        "budget",
        "in 1/255: the most that a value may move, and in the norm l2 the most that the root mean square over all values that may move can be; cw is bounded by the range of pixels alone, written 255, and aims at 30 dB where no target_psnr is set",
    ),
    ("null", "a PSNR of null is infinite: the two images are equal"),
    (
        "summary",
        "a mean is over the finite PSNRs of a cell, so that one attack that changed nothing cannot hide what the others did; null where none is finite",
    ),
    (
        "unchanged",
        "attacks of a cell that left the output as it was, to the last bit: no part of its mean sr_psnr",
    ),
];

/// The report of an audit in which nothing was measured yet.
pub fn skeleton(
    settings: &Settings,
    models: &[AuditedModel],
    images: &BTreeMap<ImageRequirements, Vec<AuditImage>>,
    runtimes: &[Arc<dyn Runtime>],
) -> Report {
    let conventions =
        CONVENTION.into_iter().chain(OURS).chain([preprocess::CONVENTION, certificate::CONVENTION]);
    Report {
        verdicts: Vec::new(),
        schema: SCHEMA,
        temper: env!("CARGO_PKG_VERSION").into(),
        conventions: conventions
            .map(|(name, how)| Convention { name: name.into(), how: how.into() })
            .collect(),
        settings: asked(settings),
        runtimes: runtimes
            .iter()
            .map(|runtime| RuntimeInfo { name: runtime.kind().to_string(), version: runtime.version() })
            .collect(),
        lost_runtimes: Vec::new(),
        models: models.iter().map(AuditedModel::info).collect(),
        images: images.values().flatten().map(AuditImage::info).collect(),
        measured: Measured::default(),
        summary: Vec::new(),
        worst: Vec::new(),
        findings: Vec::new(),
        checksum: String::new(),
        timing: Timing::default(),
    }
}

fn asked(settings: &Settings) -> report::Settings {
    let strength = &settings.strength;
    report::Settings {
        attacks: settings
            .attacks
            .iter()
            .map(|attack| AskedAttack { name: attack.name().into(), kind: attack.kind() })
            .collect(),
        objective: settings.objective.function().name().into(),
        taps: settings.taps.clone(),
        norm: settings.norm.name().into(),
        region: settings.region.map(|region| [region.x, region.y, region.width, region.height]),
        mask: settings.mask.as_ref().map(|mask| mask.sha256.clone()),
        budgets: settings.budgets.iter().map(|budget| budget.levels()).collect(),
        iterations: strength.iterations,
        restarts: strength.restarts,
        queries: strength.queries,
        target_psnr: strength.target_psnr,
        batch: strength.batch,
        cost: settings.cost,
        seed: settings.seed,
        shard: settings.shard.map(|shard| shard.to_string()),
        crop: None,
        left_out: settings.left_out.clone(),
        preprocess: settings.preprocess.iter().map(ToString::to_string).collect(),
    }
}
