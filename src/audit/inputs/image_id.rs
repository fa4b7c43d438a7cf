//! An image as the audit of one model sees it, with what is decided by the image alone.

use ndarray::Array4;
use sha2::{Digest, Sha256};

use crate::audit::inputs::images::AuditImage;
use crate::audit::inputs::model::hex;

/// An image, and the model's outputs for it as far as somebody asked for them.
pub struct Scene<'a> {
    pub photo: &'a AuditImage,
    /// The hash of all that the image brings: its name, which seeds random numbers, its pixels and those of
    /// its ground truth.
    pub id: String,
    /// S(x0) on every runtime.
    pub clean: Vec<Option<Array4<f32>>>,
}

impl<'a> Scene<'a> {
    pub fn new(photo: &'a AuditImage, runtimes: usize) -> Self {
        Self { photo, id: identity(photo), clean: vec![None; runtimes] }
    }
}

/// See [`Scene::id`].
pub fn identity(photo: &AuditImage) -> String {
    let mut hash = Sha256::new();
    let mut part = |shape: &[usize], values: &mut dyn Iterator<Item = &f32>| {
        shape.iter().for_each(|side| hash.update((*side as u64).to_le_bytes()));
        values.for_each(|value| hash.update(value.to_le_bytes()));
    };
    part(&photo.shape(), &mut photo.x.iter());
    if let Some(truth) = &photo.truth {
        part(truth.shape(), &mut truth.iter());
    }
    hash.update(&photo.name);
    hex(&hash.finalize())
}
