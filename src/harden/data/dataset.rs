//! The training images, decoded once and kept as 8-bit pixels beside their LR images.
//!
//! Deliberately absent: which files they are (`files`), how one becomes a pair of images (`load`), crops
//! (`batch`), and libtorch.

use std::path::Path;

use ndarray::Array3;
use sha2::{Digest, Sha256};

use super::files::Files;
use super::load::{self, Failure, Pair, Reason, Skipped};
use crate::digest::hex;
use crate::harden::HardenError;

/// HR images with their LR images, in the order of the files' names.
#[derive(Debug)]
pub struct Dataset {
    pub(super) pairs: Vec<Pair>,
    skipped: Vec<Skipped>,
    pub(super) scale: usize,
    sha256: String,
}

/// An LR image and its HR image, each (3, H, W) on [0, 1].
pub(in crate::harden) struct ImagePair {
    pub lr: Array3<f32>,
    pub hr: Array3<f32>,
}

/// Part of an image: interleaved 8-bit RGB.
#[derive(Default)]
pub(in crate::harden) struct Sample {
    pub pixels: Vec<u8>,
    pub height: usize,
    pub width: usize,
}

impl Dataset {
    /// Decodes the images of `files` on all processors; `loaded` hears how many are done. Images
    /// that are broken or smaller than a patch are skipped and listed.
    ///
    /// # Errors
    /// [`HardenError::TooSmall`] or [`HardenError::AllBroken`] where none is left;
    /// [`HardenError::PairSize`] where an LR image does not fit its HR image.
    pub(in crate::harden) fn load(
        folder: &Path,
        files: &[Files],
        scale: usize,
        patch: usize,
        loaded: &mut dyn FnMut(usize),
    ) -> Result<Self, HardenError> {
        let mut dataset = Self { pairs: Vec::new(), skipped: Vec::new(), scale, sha256: String::new() };
        for pair in load::all(files, scale, patch, loaded) {
            match pair {
                Ok(pair) => dataset.pairs.push(pair),
                Err(Failure::Skipped(skipped)) => dataset.skipped.push(skipped),
                Err(Failure::Wrong(error)) => return Err(error),
            }
        }
        if dataset.pairs.is_empty() {
            return Err(dataset.nothing(folder, patch));
        }
        dataset.sha256 = dataset.hash();
        Ok(dataset)
    }

    /// SHA-256 over the sizes and pixels of all images, in order.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for pixels in self.pairs.iter().flat_map(|image| [&image.lr, &image.hr]) {
            hash.update([pixels.height, pixels.width].map(|side| side as u64).map(u64::to_le_bytes).concat());
            hash.update(pixels.values.as_flattened());
        }
        hex(&hash.finalize())
    }

    /// The middle of HR image `index`, at most `side` pixels high and wide: (3, H, W) on [0, 1].
    pub(in crate::harden) fn middle(&self, index: usize, side: usize) -> Option<Array3<f32>> {
        Some(self.pairs.get(index)?.hr.middle(side))
    }

    /// The LR and HR image `index`: (3, H, W) on [0, 1].
    pub(in crate::harden) fn pair(&self, index: usize) -> Option<ImagePair> {
        let Pair { lr, hr } = self.pairs.get(index)?;
        Some(ImagePair { lr: lr.middle(usize::MAX), hr: hr.middle(usize::MAX) })
    }

    /// Why no image can be used.
    fn nothing(&self, folder: &Path, patch: usize) -> HardenError {
        let sized = self.skipped.iter().filter_map(|skipped| match skipped.reason {
            Reason::Small { height, width } => Some((height.min(width), height, width, &skipped.name)),
            Reason::Broken(_) => None,
        });
        let folder = folder.to_owned();
        if let Some((side, height, width, name)) = sized.max_by_key(|(side, ..)| *side) {
            let largest = format!("{name} of {width}x{height} (width x height)");
            return HardenError::TooSmall {
                folder,
                patch,
                scale: self.scale,
                largest,
                fits: side / self.scale,
            };
        }
        let first = self.skipped.first().map_or(String::new(), |skipped| match &skipped.reason {
            Reason::Broken(reason) => reason.clone(),
            Reason::Small { .. } => skipped.name.clone(),
        });
        HardenError::AllBroken { folder, count: self.skipped.len(), first }
    }

    /// The number of images to train on.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none; never so for one that was loaded.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The images that were skipped.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The top left of the first LR image, at most `side` pixels high and wide, for checks of what
    /// was exported.
    pub(in crate::harden) fn sample(&self, side: usize) -> Sample {
        let Some(pair) = self.pairs.first() else { return Sample::default() };
        let (height, width) = (pair.lr.height.min(side), pair.lr.width.min(side));
        let rows = pair.lr.values.chunks(pair.lr.width).take(height);
        let pixels = rows.flat_map(|row| row[..width].iter().flatten().copied()).collect();
        Sample { pixels, height, width }
    }
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::super::pixels::Pixels;
    use super::super::tests::{load, picture};
    use super::*;
    use crate::image::save_png;
    use crate::metric::{downscale, round_to_8_bits};

    #[test]
    fn the_lr_image_is_the_one_a_file_would_hold() {
        let folder = tempfile::tempdir().unwrap();
        save_png(&folder.path().join("a.png"), picture(41, 30).view()).unwrap();
        let dataset = load(folder.path(), 3, 4).unwrap();
        let expected = round_to_8_bits(downscale(picture(41, 30).view(), 3).view());
        assert_eq!(dataset.pairs[0].lr, Pixels::from_planes(expected.view()));
        assert_eq!((dataset.pairs[0].hr.height, dataset.pairs[0].hr.width), (39, 30));
        let Sample { pixels, height, width } = dataset.sample(8);
        assert_eq!((pixels.len(), height, width), (8 * 8 * 3, 8, 8));
    }

    #[test]
    fn given_lr_images_are_taken_as_they_are_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let (hr, lr) = (folder.path().join("hr"), folder.path().join("lr"));
        for folder in [&hr, &lr] {
            std::fs::create_dir(folder).unwrap();
        }
        save_png(&hr.join("a.png"), picture(41, 30).view()).unwrap();
        save_png(&lr.join("a_x2.png"), picture(20, 15).view()).unwrap();
        let load = || {
            let files = files::find(&hr, Some(&lr), 2, files::Part::Train).unwrap();
            Dataset::load(&hr, &files, 2, 4, &mut |_| {})
        };
        let dataset = load().unwrap();
        assert_eq!(dataset.pairs[0].lr, Pixels::from_planes(picture(20, 15).view()));
        assert_eq!(dataset.middle(0, 8).unwrap().dim(), (3, 8, 8));
        let before = dataset.sha256().to_owned();
        save_png(&lr.join("a_x2.png"), (picture(20, 15) * 0.5).view()).unwrap();
        assert_ne!(load().unwrap().sha256(), before);
        save_png(&lr.join("a_x2.png"), picture(21, 15).view()).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(
            error.contains("lr/a_x2.png has 15x21 pixels") && error.contains("hr/a.png has 30x41"),
            "{error}"
        );
        assert!(error.contains("wants 15x20"), "{error}");
    }

    #[test]
    fn small_and_broken_images_are_skipped_by_name() {
        let folder = tempfile::tempdir().unwrap();
        save_png(&folder.path().join("a.png"), picture(40, 50).view()).unwrap();
        save_png(&folder.path().join("narrow.png"), picture(40, 19).view()).unwrap();
        std::fs::write(folder.path().join("broken.png"), b"not a png").unwrap();
        let dataset = load(folder.path(), 4, 5).unwrap();
        assert_eq!(dataset.len(), 1);
        let names: Vec<_> = dataset.skipped().iter().map(|skipped| skipped.name.as_str()).collect();
        assert_eq!(names, ["broken.png", "narrow.png"]);
        assert_eq!(dataset.skipped()[1].reason, Reason::Small { height: 40, width: 19 });
    }

    #[test]
    fn a_folder_of_nothing_usable_is_refused_with_what_would_fit() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), b"").unwrap();
        let broken = load(folder.path(), 4, 5).unwrap_err().to_string();
        assert!(broken.contains("none of the 1 images") && broken.contains("a.png: the file is empty"));
        save_png(&folder.path().join("b.png"), picture(24, 50).view()).unwrap();
        save_png(&folder.path().join("c.png"), picture(30, 31).view()).unwrap();
        let small = load(folder.path(), 4, 48).unwrap_err().to_string();
        assert!(small.contains("a patch of 48x48 LR pixels at scale 4, which is 192x192"), "{small}");
        assert!(small.contains("largest is c.png of 31x30 (width x height): use --patch 7"), "{small}");
    }
}
