//! Pictures of attacked images for the page, as `temper audit --save-images` wrote them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::files::{FileError, read_bounded};

/// The list of what was written, beside the pictures.
pub const LIST: &str = "pictures.json";
/// The largest picture that goes into a page.
const MOST_BYTES: u64 = 1 << 22;

/// Why pictures could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The list.
    #[error("{path}: is no list of pictures: {reason}")]
    Form {
        /// The list.
        path: PathBuf,
        /// What is wrong, and where.
        reason: serde_json::Error,
    },
}

/// An attacked image and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The model.
    pub model: String,
    /// The image.
    pub image: String,
    /// The attack.
    pub attack: String,
    /// The budget in 1/255.
    pub budget: f64,
    /// The runtime that upscaled.
    pub runtime: String,
    /// PSNR of the attacked output against the clean one, in dB; null where they are equal.
    pub sr_psnr: Option<f64>,
    /// What the difference of the outputs was multiplied by before it was drawn around mid-grey.
    pub factor: f64,
    /// The pictures by what they show, in the order in which they are shown: a file each, or its contents as a
    /// `data:` address.
    pub files: Vec<(String, String)>,
}

/// Reads what was written to a folder, at most so many, the worst first; each file becomes a `data:` address.
///
/// # Errors
/// The list or a picture cannot be read.
pub fn read_pictures(folder: &Path, most: usize) -> Result<Vec<Picture>, PictureError> {
    let path = folder.join(LIST);
    let bytes = read_bounded(&path, MOST_BYTES)?;
    let mut pictures: Vec<Picture> =
        serde_json::from_slice(&bytes).map_err(|reason| PictureError::Form { path, reason })?;
    let left = |picture: &Picture| picture.sr_psnr.unwrap_or(f64::INFINITY);
    pictures.sort_by(|a, b| left(a).total_cmp(&left(b)));
    pictures.truncate(most);
    for (_, file) in pictures.iter_mut().flat_map(|picture| &mut picture.files) {
        let bytes = read_bounded(&folder.join(&*file), MOST_BYTES)?;
        *file = format!("data:image/png;base64,{}", STANDARD.encode(bytes));
    }
    Ok(pictures)
}
