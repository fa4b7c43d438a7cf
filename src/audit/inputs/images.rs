//! The images of an audit: LR inputs, given or made from ground truth.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4, Axis, s};
use sha2::{Digest, Sha256};

use crate::attack::Interrupted;
use crate::audit::AuditError;
use crate::audit::inputs::requirements::{Fitted, ImageRequirements, fit};
use crate::audit::inputs::whole::Whole;
use crate::digest;
use crate::image::{Picture, list_images, load, match_pairs};
use crate::metric::{crop_to_multiple, downscale_8_bit, smallest_side};
use crate::report::ImageInfo;

/// Where the images come from.
#[derive(Clone, Debug)]
pub enum ImageSource {
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

/// Pixels to audit a model with, for callers that have them in memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Image {
    /// What reports call it; it also seeds the random numbers of attacks on it.
    pub name: String,
    /// The LR image: 3 x height x width, RGB on [0, 1].
    pub pixels: Array3<f32>,
    /// The HR image, `scale` times as large, for clean quality; none where `None`.
    pub truth: Option<Array3<f32>>,
}

impl Image {
    /// An LR image without ground truth.
    pub fn new(name: impl Into<String>, pixels: Array3<f32>) -> Self {
        Self { name: name.into(), pixels, truth: None }
    }

    /// With its ground truth: 3 x (scale * height) x (scale * width), RGB on [0, 1].
    #[must_use]
    pub fn with_truth(self, truth: Array3<f32>) -> Self {
        Self { truth: Some(truth), ..self }
    }

    /// Whether its pixels are what they should be.
    fn check(&self) -> Result<(), AuditError> {
        let wrong = |what: String| Err(AuditError::Pixels { image: self.name.clone(), what });
        for (what, pixels) in [("pixels", Some(&self.pixels)), ("truth", self.truth.as_ref())] {
            let Some(pixels) = pixels else { continue };
            if pixels.shape()[0] != 3 || pixels.is_empty() {
                return wrong(format!("`{what}` has the shape {:?}", pixels.shape()));
            }
            if let Some(value) = pixels.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                return wrong(format!("`{what}` holds the value {value}"));
            }
        }
        Ok(())
    }
}

/// An LR image with its ground truth, where there is one, as a model takes it.
#[derive(Clone, Debug)]
pub struct AuditImage {
    /// The LR file's name.
    pub name: String,
    /// The file that the LR image was read or made from.
    pub path: PathBuf,
    /// The LR image as a batch of one.
    pub x: Array4<f32>,
    /// The ground truth.
    pub truth: Option<Array3<f32>>,
    /// What it was cut from, where a model takes that too.
    pub whole: Option<Whole>,
    /// What was done to its size for the model's sake.
    fitted: Option<String>,
    made: bool,
    scale: usize,
}

/// The files of one image.
enum Files {
    /// The LR image, and its ground truth where there is one.
    Given(PathBuf, Option<PathBuf>),
    /// The ground truth, which the LR image is made from.
    Truth(PathBuf),
}

impl ImageSource {
    /// The images as models such as `model` take them, at most `most` of them, evenly picked, each cut to at
    /// most `crop` LR pixels a side.
    /// `on_image` hears the name of every file before it is read.
    pub fn load(
        &self,
        model: &str,
        requirements: &ImageRequirements,
        crop: Option<usize>,
        most: Option<usize>,
        on_image: &mut dyn FnMut(&Path) -> Result<(), Interrupted>,
    ) -> Result<Vec<AuditImage>, AuditError> {
        let side = crop.unwrap_or(usize::MAX);
        let mut images = Vec::new();
        for files in picked(self.files()?, most) {
            let (Files::Given(path, _) | Files::Truth(path)) = &files;
            on_image(path)?;
            let image = match files {
                Files::Given(lr, hr) => AuditImage::given(lr, hr.as_deref(), model, requirements.scale)?,
                Files::Truth(hr) => AuditImage::made(hr, requirements.scale)?,
            };
            let image = image.cropped(side).fitted(requirements)?;
            keep_largest(&mut images, image);
        }
        images.iter().try_for_each(AuditImage::check_truth)?;
        Ok(images)
    }

    /// The files of every image.
    fn files(&self) -> Result<Vec<Files>, AuditError> {
        Ok(match self {
            ImageSource::Lr { images, truth: None } => {
                list_images(images)?.into_iter().map(|path| Files::Given(path, None)).collect()
            }
            ImageSource::Lr { images, truth: Some(truth) } => {
                let pairs = match_pairs(&list_images(images)?, truth)?;
                pairs.into_iter().map(|pair| Files::Given(pair.lr, Some(pair.hr))).collect()
            }
            ImageSource::Truth(folder) => list_images(folder)?.into_iter().map(Files::Truth).collect(),
        })
    }
}

/// Adds an image; only the largest is kept whole beside its crop, so that memory does not grow with their number.
fn keep_largest(images: &mut Vec<AuditImage>, mut image: AuditImage) {
    let pixels = |image: &AuditImage| image.whole.as_ref().map_or(0, |whole| whole.x.len());
    match images.iter_mut().find(|image| image.whole.is_some()) {
        Some(largest) if pixels(largest) >= pixels(&image) => image.whole = None,
        Some(largest) => largest.whole = None,
        None => {}
    }
    images.push(image);
}

/// At most `most` of them, evenly picked, the first among them.
fn picked<T>(all: Vec<T>, most: Option<usize>) -> Vec<T> {
    let (count, most) = (all.len(), most.unwrap_or(usize::MAX).max(1).min(all.len()));
    let mut next = 0;
    let pick = |(index, one)| {
        let wanted = next < most && index == next * count / most;
        next += usize::from(wanted);
        wanted.then_some(one)
    };
    all.into_iter().enumerate().filter_map(pick).collect()
}

impl AuditImage {
    /// An image from memory, as a model with these requirements takes it.
    ///
    /// # Errors
    /// Pixels outside [0, 1] or not RGB, and ground truth of another size than the model's output.
    pub fn from_memory(
        image: &Image,
        model: &str,
        requirements: &ImageRequirements,
    ) -> Result<Self, AuditError> {
        image.check()?;
        let path = PathBuf::from(&image.name);
        let picture = Picture { name: image.name.clone(), pixels: image.pixels.clone() };
        let truth = image.truth.as_ref().map(|truth| (path.as_path(), truth.clone()));
        let image = Self::paired(picture, path.clone(), truth, model, requirements.scale)?;
        let image = image.fitted(requirements)?;
        image.check_truth()?;
        Ok(image)
    }

    fn given(lr: PathBuf, hr: Option<&Path>, model: &str, scale: usize) -> Result<Self, AuditError> {
        let picture = load(&lr)?;
        let truth = hr.map(|hr| load(hr).map(|truth| (hr, truth.pixels))).transpose()?;
        Self::paired(picture, lr, truth, model, scale)
    }

    /// An LR image with ground truth, which must be `scale` times as large.
    fn paired(
        picture: Picture,
        path: PathBuf,
        truth: Option<(&Path, Array3<f32>)>,
        model: &str,
        scale: usize,
    ) -> Result<Self, AuditError> {
        if let Some((path, truth)) = &truth {
            let expected = [1, 2].map(|axis| picture.pixels.shape()[axis] * scale);
            let found = [1, 2].map(|axis| truth.shape()[axis]);
            if found != expected {
                let (path, model) = (path.to_path_buf(), model.to_owned());
                return Err(AuditError::TruthSize { path, model, scale, found, expected });
            }
        }
        let x = picture.pixels.insert_axis(Axis(0));
        let truth = truth.map(|(_, truth)| truth);
        Ok(Self { name: picture.name, path, x, truth, whole: None, fitted: None, made: false, scale })
    }

    fn made(path: PathBuf, scale: usize) -> Result<Self, AuditError> {
        let picture = load(&path)?;
        let truth = crop_to_multiple(picture.pixels.view(), scale).to_owned();
        let size = [picture.pixels.shape()[1], picture.pixels.shape()[2]];
        check_side(&path, size, scale)?;
        let x = downscale_8_bit(truth.view(), scale).insert_axis(Axis(0));
        let (name, truth) = (picture.name, Some(truth));
        Ok(Self { name, path, x, truth, whole: None, fitted: None, made: true, scale })
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
        if let Some(truth) = &mut self.truth {
            *truth = truth.slice(s![.., larger(&rows), larger(&columns)]).to_owned();
        }
        let at = [rows.start, columns.start];
        let cut = self.x.slice(s![.., .., rows, columns]).to_owned();
        if cut.dim() != self.x.dim() {
            self.whole = Some(Whole { x: std::mem::replace(&mut self.x, cut), at });
        }
        self
    }

    /// The image as models with these requirements take it.
    fn fitted(self, requirements: &ImageRequirements) -> Result<Self, AuditError> {
        let crop = fit(self.x, self.truth, requirements)
            .map_err(|source| AuditError::Metric { image: self.name.clone(), source })?;
        let whole = self.whole.and_then(|whole| whole.fitted(&crop, requirements));
        let Fitted { x, truth, how } = crop;
        Ok(Self { x, truth, whole, fitted: how, ..self })
    }

    /// Whether enough of the ground truth is left to be compared with.
    fn check_truth(&self) -> Result<(), AuditError> {
        let Some(truth) = &self.truth else { return Ok(()) };
        check_side(&self.path, [truth.shape()[1], truth.shape()[2]], self.scale)
    }

    /// Batch, channels, height and width of the LR image.
    pub fn shape(&self) -> [usize; 4] {
        [0, 1, 2, 3].map(|axis| self.x.shape()[axis])
    }

    /// The hash of all that it brings to a result: its name, which seeds random numbers, its pixels and those
    /// of its ground truth.
    pub fn identity(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |shape: &[usize], values: &mut dyn Iterator<Item = &f32>| {
            shape.iter().for_each(|side| hash.update((*side as u64).to_le_bytes()));
            values.for_each(|value| hash.update(value.to_le_bytes()));
        };
        part(&self.shape(), &mut self.x.iter());
        if let Some(truth) = &self.truth {
            part(truth.shape(), &mut truth.iter());
        }
        hash.update(&self.name);
        digest::hex(&hash.finalize())
    }

    /// What a report says of it.
    pub fn info(&self) -> ImageInfo {
        let [_, channels, height, width] = self.shape();
        ImageInfo {
            name: self.name.clone(),
            made_from_truth: self.made,
            sha256: digest::of_floats(&self.x),
            size: [height, width],
            channels,
            fitted: self.fitted.clone(),
            scale: self.scale,
        }
    }
}

/// Whether SSIM has a window inside ground truth of this size, its borders removed.
fn check_side(path: &Path, size: [usize; 2], scale: usize) -> Result<(), AuditError> {
    let least = smallest_side(scale);
    if size.iter().all(|&side| side >= least) {
        return Ok(());
    }
    Err(AuditError::TruthTooSmall { path: path.into(), size, scale, least })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(height: usize, width: usize, scale: usize) -> AuditImage {
        let value = |y: usize, x: usize| (y * 100 + x) as f32;
        let x = Array4::from_shape_fn((1, 3, height, width), |(_, _, y, x)| value(y, x));
        let truth = Array3::from_shape_fn((3, height * scale, width * scale), |(_, y, x)| {
            value(y / scale, x / scale)
        });
        AuditImage {
            name: "a.png".into(),
            path: "a.png".into(),
            x,
            truth: Some(truth),
            whole: None,
            fitted: None,
            made: true,
            scale,
        }
    }

    #[test]
    fn images_are_picked_evenly() {
        let all = || (0..10).collect::<Vec<_>>();
        assert_eq!(picked(all(), Some(3)), [0, 3, 6]);
        assert_eq!(picked(all(), Some(10)), all());
        assert_eq!(picked(all(), Some(99)), all());
        assert_eq!(picked(all(), None), all());
        assert!(picked(Vec::<u8>::new(), Some(3)).is_empty());
    }

    #[test]
    fn a_crop_is_the_middle_of_image_and_truth_alike() {
        for (height, width, side) in [(9, 6, 4), (3, 8, 5), (4, 4, 4), (4, 5, 100)] {
            let cut = image(height, width, 3).cropped(side);
            let truth = cut.truth.unwrap();
            assert_eq!(cut.x.shape(), [1, 3, height.min(side), width.min(side)]);
            let every_third = truth.slice(s![.., ..;3, ..;3]);
            assert_eq!(every_third, cut.x.index_axis(Axis(0), 0));
        }
    }

    #[test]
    fn a_crop_knows_its_place_in_what_it_was_cut_from() {
        let needs = |multiple, fixed| ImageRequirements { scale: 3, channels: 3, fixed, multiple };
        let cut = |height, width, side, needs| image(height, width, 3).cropped(side).fitted(&needs).unwrap();
        for (height, width, side, multiple) in [(9, 6, 4, 1), (23, 31, 8, 4), (21, 8, 8, 8)] {
            let cut = cut(height, width, side, needs(multiple, None));
            let Whole { x, at } = cut.whole.unwrap();
            let [rows, columns] = [0, 1].map(|axis| at[axis]..at[axis] + cut.x.shape()[2 + axis]);
            assert_eq!(x.slice(s![.., .., rows, columns]), cut.x);
            assert!(
                x.shape()[2..].iter().chain(&at).all(|side| side % multiple == 0),
                "{:?} {at:?}",
                x.shape()
            );
        }
        assert!(cut(4, 4, 4, needs(1, None)).whole.is_none(), "nothing was cut");
        assert!(cut(9, 6, 4, needs(1, Some([4, 4]))).whole.is_none(), "no other size is taken");
    }

    #[test]
    fn only_the_largest_image_is_kept_whole() {
        let mut images = Vec::new();
        for side in [6, 9, 8] {
            keep_largest(&mut images, image(side, side, 1).cropped(4));
        }
        let whole = images.iter().map(|image| image.whole.as_ref().map(|whole| whole.x.shape()[2]));
        assert_eq!(whole.collect::<Vec<_>>(), [None, Some(9), None]);
    }
}
