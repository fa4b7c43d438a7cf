//! The images of an audit: LR inputs, given or made from ground truth.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4, Axis, s};
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
    /// The images for models of a scale, each cut to at most `crop` LR pixels a side.
    pub fn load(&self, scale: usize, crop: Option<usize>) -> Result<Vec<Photo>, AuditError> {
        let photos = self.load_whole(scale)?;
        let side = crop.unwrap_or(usize::MAX);
        Ok(photos.into_iter().map(|photo| photo.cropped(side)).collect())
    }

    fn load_whole(&self, scale: usize) -> Result<Vec<Photo>, AuditError> {
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

    /// The middle of the image, at most `side` LR pixels high and wide, and of its ground truth.
    fn cropped(mut self, side: usize) -> Self {
        let middle = |size: usize| {
            let cut = size.saturating_sub(side);
            cut / 2..size - cut.div_ceil(2)
        };
        let (rows, columns) = (middle(self.x.shape()[2]), middle(self.x.shape()[3]));
        let scale = self.scale;
        let larger = |range: &Range<usize>| range.start * scale..range.end * scale;
        if let Some((_, truth)) = &mut self.truth {
            // Ground truth of another size is refused later, by its own message.
            let fits = truth.shape()[1] == self.x.shape()[2] * scale
                && truth.shape()[2] == self.x.shape()[3] * scale;
            if fits {
                *truth = truth.slice(s![.., larger(&rows), larger(&columns)]).to_owned();
            }
        }
        self.x = self.x.slice(s![.., .., rows, columns]).to_owned();
        self
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

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(height: usize, width: usize, scale: usize) -> Photo {
        let value = |y: usize, x: usize| (y * 100 + x) as f32;
        let x = Array4::from_shape_fn((1, 3, height, width), |(_, _, y, x)| value(y, x));
        let truth = Array3::from_shape_fn((3, height * scale, width * scale), |(_, y, x)| {
            value(y / scale, x / scale)
        });
        Photo { name: "a.png".into(), x, truth: Some(("a.png".into(), truth)), made: true, scale }
    }

    #[test]
    fn a_crop_is_the_middle_of_image_and_truth_alike() {
        for (height, width, side) in [(9, 6, 4), (3, 8, 5), (4, 4, 4), (4, 5, 100)] {
            let cut = photo(height, width, 3).cropped(side);
            let (_, truth) = cut.truth.unwrap();
            assert_eq!(cut.x.shape(), [1, 3, height.min(side), width.min(side)]);
            let every_third = truth.slice(s![.., ..;3, ..;3]);
            assert_eq!(every_third, cut.x.index_axis(Axis(0), 0));
        }
    }
}
