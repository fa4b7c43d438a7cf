//! The files that a run writes to its output folder.

/// The trained network.
pub(super) const MODEL: &str = "model.onnx";
/// The network at its best validation.
pub(super) const BEST: &str = "best.onnx";
/// What `--resume` goes on from.
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
/// What the network is, and what training changed, for people.
pub(super) const CARD: &str = "MODEL_CARD.md";
/// The settings, for `--config`.
pub(super) const CONFIG: &str = "config.toml";
/// The losses, a line each `log_every` steps.
pub(super) const LOG: &str = "train.jsonl";
/// The validations.
pub(super) const VALIDATIONS: &str = "validation.jsonl";
/// How the run went, as a page.
pub(super) const TRAINING: &str = "training.html";
/// The folder of the initial audit.
pub(super) const AUDIT: &str = "audit";
