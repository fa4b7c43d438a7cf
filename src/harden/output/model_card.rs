//! `MODEL_CARD.md`, in Hugging Face's form: YAML metadata, then what the network is, how it was trained, what
//! training changed, and what the numbers do not say.

use std::fmt::Write;

use crate::harden::config::{ExportOptions, Recipe, Settings};
use crate::harden::metadata::versions;
use crate::harden::network::Network;
use crate::harden::train::Validated;

/// What a card is written from.
pub(in crate::harden) struct Facts<'a> {
    pub settings: &'a Settings,
    pub network: &'a Network,
    /// Steps done.
    pub steps: u64,
    /// SHA-256 of the training images.
    pub data: &'a str,
    /// The validation before the first step, of a network that came with weights.
    pub before: Option<&'a Validated>,
    /// The last validation.
    pub after: Option<&'a Validated>,
    /// What was done to the graph when it was written, in words.
    pub transformed: &'a [String],
}

/// The card's text.
pub(in crate::harden) fn model_card(facts: &Facts<'_>) -> String {
    let Settings { recipe, export, .. } = facts.settings;
    let mut text = metadata(facts);
    let scale = facts.network.scale;
    let name = name(recipe);
    line(&mut text, &format!("\n# {name}, x{scale}\n"));
    line(
        &mut text,
        &format!(
            "An image super-resolution network that enlarges images {scale} times, {}.\n",
            defence(recipe)
        ),
    );
    line(&mut text, &format!("- File: `model.onnx`, {}", interface(facts.network, *export)));
    facts.transformed.iter().for_each(|what| line(&mut text, &format!("- {what}")));
    line(&mut text, "\n## Evaluation\n");
    text += &evaluation(facts);
    line(&mut text, "\n## Training\n");
    text += &training(facts);
    line(&mut text, "\n## Limits\n");
    text += "- The attack above is short (I-FGSM, 10 steps). `temper audit` attacks the file with stronger ones, inside the\n  \
             runtimes that serve it; what holds under the strongest of them is what counts.\n\
             - Numbers are of the images named above, and of this budget. Other images and budgets give others.\n";
    text
}

fn line(text: &mut String, what: &str) {
    text.push_str(what);
    text.push('\n');
}

/// The network by the name that people know it by.
pub(in crate::harden) fn name(recipe: &Recipe) -> String {
    match recipe.from.as_ref().and_then(|path| path.file_stem()) {
        Some(stem) => format!("{}, fine-tuned", plain(&stem.to_string_lossy())),
        None => recipe.arch.name().to_uppercase(),
    }
}

/// Text that neither YAML nor Markdown reads as more than text.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric() || "-_. ".contains(*c)).take(80).collect()
}

fn defence(recipe: &Recipe) -> String {
    let mut parts = Vec::new();
    if recipe.estimated() {
        parts.push(format!("an entropy loss on its features (lambda {})", recipe.lambda));
    }
    if recipe.noisy() {
        parts.push(format!("noise of width {} in its features", recipe.noise_width()));
    }
    if recipe.adversarial > 0.0 {
        let steps = recipe.adversarial_steps;
        let of = if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") };
        parts.push(format!("adversarial training at {}/255 ({of} of attack)", recipe.adversarial));
    }
    match parts.as_slice() {
        [] => "trained without a defence".to_owned(),
        parts => format!("trained with {}", parts.join(" and ")),
    }
}

fn interface(network: &Network, export: ExportOptions) -> String {
    let size = export.fixed.map_or_else(
        || "images of any size it takes".to_owned(),
        |size| format!("one image of {size} (height x width)"),
    );
    match network.interface() {
        Some(interface) => format!(
            "{size}; {} channels, {}, values on {}, as the file that it was made from",
            interface.form.channels,
            interface.form.layout.name(),
            interface.input_range
        ),
        None => format!("{size}; RGB, N x 3 x H x W, float32 on [0, 1]"),
    }
}

fn metadata(facts: &Facts<'_>) -> String {
    let recipe = &facts.settings.recipe;
    let mut text = String::from(
        "---\nlibrary_name: onnx\npipeline_tag: image-to-image\ntags:\n- super-resolution\n- onnx\n- adversarial-robustness\n",
    );
    let Some(after) = facts.after else { return text + "---\n" };
    let (name, images) = (name(recipe), on(after));
    // A number that is no number is nothing to publish.
    let metric = |kind: &str, label: &str, value: f64| {
        format!(
            "    - type: {kind}\n      name: {label}\n      value: {}\n",
            if value.is_finite() { value } else { 0.0 }
        )
    };
    let _ = write!(
        text,
        "model-index:\n- name: \"{name} x{}\"\n  results:\n  - task:\n      type: image-to-image\n    dataset:\n      \
         type: images\n      name: \"{images}\"\n    metrics:\n",
        facts.network.scale
    );
    text += &metric("psnr", "PSNR on luma (dB)", after.psnr);
    text += &metric("ssim", "SSIM on luma", after.ssim);
    text += &metric("psnr", "SR PSNR under I-FGSM of 4/255 in 10 steps (dB)", after.attacked);
    text + "---\n"
}

fn on(found: &Validated) -> String {
    let which = if found.training { "of the training images" } else { "validation images" };
    format!("{} {which}", found.images)
}

fn evaluation(facts: &Facts<'_>) -> String {
    let Some(after) = facts.after else {
        return "Not evaluated: no image was large enough.\n".to_owned();
    };
    let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    let row = |label: &str, part: fn(&Validated) -> f64| {
        format!("| {label} | {} | {:.2} |\n", cell(facts.before.map(part)), part(after))
    };
    let mut text = format!("On {}.\n\n| | before | after |\n|---|---|---|\n", on(after));
    text += &row("PSNR on luma, dB", |found| found.psnr);
    text += &row("SSIM on luma", |found| found.ssim);
    text += &row("SR PSNR under I-FGSM of 4/255 in 10 steps, dB", |found| found.attacked);
    text += "\nSR PSNR is between the outputs for an image and for its attacked version.\n";
    text
}

fn training(facts: &Facts<'_>) -> String {
    let Recipe { steps, batch, patch, learning_rate, seed, .. } = facts.settings.recipe;
    let mut text = format!(
        "- {} of {steps} steps of {batch} crops of {patch}x{patch} LR pixels, Adam from {learning_rate}, seed {seed}\n\
         - Training images, decoded: SHA-256 `{}`\n",
        facts.steps, facts.data
    );
    if let Some(origin) = facts.network.origin() {
        let _ = writeln!(text, "- Initial weights: of the file with SHA-256 `{origin}`");
    }
    let _ = writeln!(text, "- Versions: `{}`", versions());
    text += "- `config.toml` repeats the run: `temper harden --config config.toml`\n";
    text
}
