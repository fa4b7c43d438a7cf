//! The training images: decoded once, kept as 8-bit pixels beside their LR images, and cut into
//! batches of random crops.
//!
//! The LR image is the bicubic downscale of the HR one, rounded to 8 bits as the published LR files
//! are. Deliberately absent: libtorch, threads that outlive a call, and any state: a batch is a
//! function of the seed and the step.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use ndarray::ArrayView3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::HardenError;
use crate::image;
use crate::metric::{crop_to_multiple, downscale};

/// HR images with their LR images, in the order of the files' names.
#[derive(Debug)]
pub struct Dataset {
    images: Vec<Photograph>,
    skipped: Vec<Skipped>,
    scale: usize,
}

/// An image that takes no part in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// Its file's name.
    pub name: String,
    /// Why.
    pub reason: Reason,
}

/// Why an image is skipped.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// It is smaller than a patch.
    Small {
        /// Height in pixels.
        height: usize,
        /// Width in pixels.
        width: usize,
    },
    /// It cannot be read, for this reason.
    Broken(String),
}

#[derive(Debug, PartialEq)]
struct Photograph {
    lr: Pixels,
    hr: Pixels,
}

/// RGB pixels, row by row.
#[derive(Debug, PartialEq)]
struct Pixels {
    height: usize,
    width: usize,
    values: Vec<[u8; 3]>,
}

/// The crops of one step as interleaved 8-bit RGB: (batch, side, side, 3), HR sides `scale` times
/// LR sides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub lr: Vec<u8>,
    pub hr: Vec<u8>,
}

impl Dataset {
    /// Decodes the images at `paths` on all processors; `loaded` hears how many are done. Images
    /// that are broken or smaller than a patch are skipped and listed.
    ///
    /// # Errors
    /// [`HardenError::TooSmall`] or [`HardenError::AllBroken`] where none is left.
    pub fn load(
        folder: &Path,
        paths: &[PathBuf],
        scale: usize,
        patch: usize,
        loaded: &mut dyn FnMut(usize),
    ) -> Result<Self, HardenError> {
        let mut found: Vec<Option<Result<Photograph, Skipped>>> = Vec::new();
        found.resize_with(paths.len(), || None);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(paths.len());
            for _ in 0..threads {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || {
                    while let Some((index, path)) = take(next, paths) {
                        // The receiver outlives this scope's threads.
                        let _ = send.send((index, Photograph::load(path, scale, patch)));
                    }
                });
            }
            drop(send);
            for (done, (index, photograph)) in receive.iter().enumerate() {
                found[index] = Some(photograph);
                loaded(done + 1);
            }
        });
        let mut dataset = Self { images: Vec::new(), skipped: Vec::new(), scale };
        for photograph in found.into_iter().flatten() {
            match photograph {
                Ok(photograph) => dataset.images.push(photograph),
                Err(skipped) => dataset.skipped.push(skipped),
            }
        }
        if dataset.images.is_empty() { Err(dataset.nothing(folder, patch)) } else { Ok(dataset) }
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
        self.images.len()
    }

    /// Whether there are none; never so for one that was loaded.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The images that were skipped.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The crops of a step: images, places and turns are drawn from ChaCha8 with `seed`, stream
    /// `step`.
    pub(super) fn batch(&self, seed: u64, step: u64, count: usize, patch: usize) -> Batch {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(step);
        let (scale, pixels) = (self.scale, count * patch * patch * 3);
        let mut batch =
            Batch { lr: Vec::with_capacity(pixels), hr: Vec::with_capacity(pixels * scale * scale) };
        for _ in 0..count {
            let image = &self.images[rng.random_range(0..self.images.len())];
            let top = rng.random_range(0..=image.lr.height - patch);
            let left = rng.random_range(0..=image.lr.width - patch);
            let turn = Turn(rng.random_range(0..8));
            image.lr.cut(top, left, patch, turn, &mut batch.lr);
            image.hr.cut(top * scale, left * scale, patch * scale, turn, &mut batch.hr);
        }
        batch
    }

    /// The LR image of the first photograph, at most `side` pixels high and wide, with its height
    /// and width.
    pub(super) fn sample(&self, side: usize) -> (Vec<u8>, usize, usize) {
        let Some(image) = self.images.first() else { return (Vec::new(), 0, 0) };
        let (height, width) = (image.lr.height.min(side), image.lr.width.min(side));
        let rows = image.lr.values.chunks(image.lr.width).take(height);
        (rows.flat_map(|row| row[..width].iter().flatten().copied()).collect(), height, width)
    }
}

fn take<'a>(next: &AtomicUsize, paths: &'a [PathBuf]) -> Option<(usize, &'a PathBuf)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    paths.get(index).map(|path| (index, path))
}

impl Photograph {
    fn load(path: &Path, scale: usize, patch: usize) -> Result<Self, Skipped> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let picture = match image::load(path) {
            Ok(picture) => picture,
            Err(error) => return Err(Skipped { name, reason: Reason::Broken(error.to_string()) }),
        };
        let (_, height, width) = picture.pixels.dim();
        if height.min(width) / scale < patch {
            return Err(Skipped { name, reason: Reason::Small { height, width } });
        }
        let hr = picture.pixels.view();
        Ok(Self {
            lr: Pixels::from_planes(downscale(hr, scale).view()),
            hr: Pixels::from_planes(crop_to_multiple(hr, scale)),
        })
    }
}

impl Pixels {
    fn from_planes(planes: ArrayView3<'_, f32>) -> Self {
        let (_, height, width) = planes.dim();
        let level = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        let pixel = |index: usize| {
            let (y, x) = (index / width, index % width);
            [0, 1, 2].map(|channel| level(planes[[channel, y, x]]))
        };
        Self { height, width, values: (0..height * width).map(pixel).collect() }
    }

    /// Appends a square, turned.
    fn cut(&self, top: usize, left: usize, side: usize, turn: Turn, target: &mut Vec<u8>) {
        for y in 0..side {
            for x in 0..side {
                let (row, column) = turn.source(y, x, side);
                target.extend(self.values[(top + row) * self.width + left + column]);
            }
        }
    }
}

/// One of the eight flips and quarter turns of a square.
#[derive(Clone, Copy, Debug)]
struct Turn(u8);

impl Turn {
    /// Where the pixel comes from that stands at (y, x) of the turned square.
    fn source(self, y: usize, x: usize, side: usize) -> (usize, usize) {
        let (y, x) = if self.0 & 4 == 0 { (y, x) } else { (x, y) };
        let flipped = |at: usize, bit: u8| if self.0 & bit == 0 { at } else { side - 1 - at };
        (flipped(y, 1), flipped(x, 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::save_png;
    use crate::metric::round_to_8_bits;
    use ndarray::Array3;
    use std::collections::HashSet;

    fn picture(height: usize, width: usize) -> Array3<f32> {
        Array3::from_shape_fn((3, height, width), |(c, y, x)| {
            ((37 * c + 11 * y + 5 * x + y * x) % 256) as f32 / 255.0
        })
    }

    fn load(folder: &Path, scale: usize, patch: usize) -> Result<Dataset, HardenError> {
        let paths = image::list_images(folder).unwrap();
        Dataset::load(folder, &paths, scale, patch, &mut |_| {})
    }

    #[test]
    fn the_eight_turns_differ_and_keep_every_pixel() {
        let mut seen = HashSet::new();
        for turn in 0..8 {
            let cells: Vec<_> = (0..9).map(|cell| Turn(turn).source(cell / 3, cell % 3, 3)).collect();
            assert_eq!(cells.iter().collect::<HashSet<_>>().len(), 9);
            assert!(seen.insert(cells));
        }
    }

    #[test]
    fn lr_and_hr_crops_show_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        // Colours constant over 2x2 blocks and smooth beyond, so that LR is close to HR's blocks.
        let smooth = Array3::from_shape_fn((3, 41, 50), |(c, y, x)| {
            (20 * c + 3 * (y / 2) + 2 * (x / 2)) as f32 / 255.0
        });
        save_png(&folder.path().join("a.png"), smooth.view()).unwrap();
        let dataset = load(folder.path(), 2, 6).unwrap();
        let batch = dataset.batch(1, 2, 9, 6);
        assert_eq!((batch.lr.len(), batch.hr.len()), (9 * 6 * 6 * 3, 9 * 12 * 12 * 3));
        for example in 0..9 {
            for (y, x, c) in (0..108).map(|index| (index / 18, index / 3 % 6, index % 3)) {
                let lr = i32::from(batch.lr[example * 108 + (y * 6 + x) * 3 + c]);
                let hr = i32::from(batch.hr[example * 432 + (2 * y * 12 + 2 * x) * 3 + c]);
                assert!((lr - hr).abs() <= 2, "{lr} {hr}");
            }
        }
    }

    #[test]
    fn the_lr_image_is_the_one_a_file_would_hold() {
        let folder = tempfile::tempdir().unwrap();
        save_png(&folder.path().join("a.png"), picture(41, 30).view()).unwrap();
        let dataset = load(folder.path(), 3, 4).unwrap();
        let expected = round_to_8_bits(downscale(picture(41, 30).view(), 3).view());
        assert_eq!(dataset.images[0].lr, Pixels::from_planes(expected.view()));
        assert_eq!((dataset.images[0].hr.height, dataset.images[0].hr.width), (39, 30));
        let (sample, height, width) = dataset.sample(8);
        assert_eq!((sample.len(), height, width), (8 * 8 * 3, 8, 8));
    }

    #[test]
    fn a_batch_is_a_function_of_seed_and_step() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.png", "b.png", "c.png"] {
            save_png(&folder.path().join(name), picture(40, 50).view()).unwrap();
        }
        let (one, other) = (load(folder.path(), 4, 5).unwrap(), load(folder.path(), 4, 5).unwrap());
        assert_eq!(one.batch(3, 7, 4, 5), other.batch(3, 7, 4, 5));
        assert_ne!(one.batch(3, 7, 4, 5), one.batch(3, 8, 4, 5));
        assert_ne!(one.batch(3, 7, 4, 5), one.batch(4, 7, 4, 5));
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
