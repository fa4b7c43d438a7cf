//! Why an image could not be loaded, listed or saved.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::folder::EXTENSIONS;
use crate::files::FileError;
use crate::limits::Limit;

/// Why an image could not be loaded, listed or saved. Every message names the file or folder.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The file itself could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The content is of no known image format.
    #[error(
        "{path}: the content is not an image that can be read here; give PNG, JPEG, BMP, TIFF, \
         WebP or PNM"
    )]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// The content begins like an image and cannot be decoded.
    #[error("{path}: damaged or unsupported image: {cause}; open it and save it again as PNG")]
    Undecodable {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        cause: String,
    },
    /// More pixels than the limits allow.
    #[error(
        "{path}: {width}x{height} pixels (width x height) are too many (at most {} a side \
         and {} in all); crop the image, or raise --limit side=N and --limit pixels=N",
        Limit::Side.get(), Limit::Pixels.get()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Width in pixels, as the file declares it.
        width: u32,
        /// Height in pixels, as the file declares it.
        height: u32,
    },
    /// A floating-point image with a value that is no brightness.
    #[error("{path}: holds the value {value}, outside of [0, 1]; save it with 8 or 16 bits")]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The first such value; may be a NaN.
        value: f32,
    },
    /// No folder at the path, or not a readable one.
    #[error("{path}: cannot be read as a folder: {cause}; give a folder that holds images")]
    Folder {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        cause: io::Error,
    },
    /// A folder without images.
    #[error(
        "{path}: no images in this folder; it should hold files ending in {} (folders inside it \
         are not searched)",
        EXTENSIONS.join(", ")
    )]
    NoImages {
        /// The folder.
        path: PathBuf,
    },
    /// An array that is not an RGB image was to be saved.
    #[error("{path}: only RGB images (3, H, W) can be saved, not an array of {shape:?}")]
    NotRgb {
        /// The file that was to be written.
        path: PathBuf,
        /// Shape of the array.
        shape: Vec<usize>,
    },
    /// An array with a NaN or an infinity was to be saved.
    #[error("{path}: not saved, as the image holds {value}; look at what computed it")]
    NotFinite {
        /// The file that was to be written.
        path: PathBuf,
        /// The first such value.
        value: f32,
    },
}
