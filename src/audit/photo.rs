//! The images of an audit: LR inputs, given or made from ground truth.

use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4, Axis};
use sha2::{Digest, Sha256};

use super::AuditError;
use super::subject::hex;
use crate::image::{list_images, load, match_pairs};
use crate::metric::{crop_to_multiple, downscale_8_bit};
use crate::report::ImageInfo;

/// Where the images come from.
#[derive(Clone, Debug)]
pub enum Images {
    /// A folder of LR images, and a folder of their ground truth.
    Lr {
        /// LR images.
        images: PathBuf,
        /// Their ground truth.
        truth: Option<PathBuf>,
    },
    /// A folder of ground truth, from which LR images are made by bicubic.
    Truth(PathBuf),
}

/// An LR image with its ground truth, where there is one.
#[derive(Clone, Debug)]
pub struct Photo {
    /// The LR file's name.
    pub name: String,
    /// The LR image as a batch of one.
    pub x: Array4<f32>,
    /// The ground truth, and its file.
    pub truth: Option<(PathBuf, Array3<f32>)>,
    made: bool,
    scale: usize,
}

impl Images {
    /// The images for models of a scale.
    pub fn load(&self, scale: usize) -> Result<Vec<Photo>, AuditError> {
        match self {
            Images::Lr { images, truth: None } => {
                let paths = list_images(images)?;
                paths.iter().map(|path| Photo::given(path, None, scale)).collect()
            }
            Images::Lr { images, truth: Some(truth) } => {
                let pairs = match_pairs(&list_images(images)?, truth)?;
                pairs.iter().map(|pair| Photo::given(&pair.lr, Some(&pair.hr), scale)).collect()
            }
            Images::Truth(folder) => {
                list_images(folder)?.iter().map(|path| Photo::made(path, scale)).collect()
            }
        }
    }
}

impl Photo {
    fn given(lr: &Path, hr: Option<&Path>, scale: usize) -> Result<Self, AuditError> {
        let picture = load(lr)?;
        let truth = hr.map(|hr| load(hr).map(|truth| (hr.to_owned(), truth.pixels))).transpose()?;
        Ok(Self { name: picture.name, x: picture.pixels.insert_axis(Axis(0)), truth, made: false, scale })
    }

    fn made(path: &Path, scale: usize) -> Result<Self, AuditError> {
        let picture = load(path)?;
        let truth = crop_to_multiple(picture.pixels.view(), scale).to_owned();
        if truth.is_empty() {
            return Err(AuditError::TooSmall { path: path.into(), scale });
        }
        let lr = downscale_8_bit(truth.view(), scale);
        let truth = Some((path.to_owned(), truth));
        Ok(Self { name: picture.name, x: lr.insert_axis(Axis(0)), truth, made: true, scale })
    }

    /// What a report says of it.
    pub fn info(&self) -> ImageInfo {
        let mut hash = Sha256::new();
        self.x.iter().for_each(|value| hash.update(value.to_le_bytes()));
        let [_, _, height, width] = [0, 1, 2, 3].map(|axis| self.x.shape()[axis]);
        ImageInfo {
            name: self.name.clone(),
            made_from_truth: self.made,
            sha256: hex(&hash.finalize()),
            size: [height, width],
            scale: self.scale,
        }
    }
}
