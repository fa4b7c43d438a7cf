//! The training images: decoded once, kept as 8-bit pixels beside their LR images, and cut into
//! batches of random crops.
//!
//! The LR image is the bicubic downscale of the HR one, rounded to 8 bits as the published LR files
//! are. Deliberately absent: libtorch, threads that outlive a call, and any state: a batch is a
//! function of the seed and the step.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use ndarray::{Array3, ArrayView3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::HardenError;
use super::source::Files;
use crate::image;
use crate::metric::{crop_to_multiple, downscale};

/// HR images with their LR images, in the order of the files' names.
#[derive(Debug)]
pub struct Dataset {
    images: Vec<Photograph>,
    skipped: Vec<Skipped>,
    scale: usize,
    sha256: String,
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

/// Why a file becomes no photograph.
#[derive(Debug)]
enum Failure {
    /// It is left out.
    Skipped(Skipped),
    /// The data set is wrong.
    Wrong(HardenError),
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
    /// Decodes the images of `files` on all processors; `loaded` hears how many are done. Images
    /// that are broken or smaller than a patch are skipped and listed.
    ///
    /// # Errors
    /// [`HardenError::TooSmall`] or [`HardenError::AllBroken`] where none is left.
    pub(super) fn load(
        folder: &Path,
        files: &[Files],
        scale: usize,
        patch: usize,
        loaded: &mut dyn FnMut(usize),
    ) -> Result<Self, HardenError> {
        let mut found: Vec<Option<Result<Photograph, Failure>>> = Vec::new();
        found.resize_with(files.len(), || None);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(files.len());
            for _ in 0..threads {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || {
                    while let Some((index, files)) = take(next, files) {
                        // The receiver outlives this scope's threads.
                        let _ = send.send((index, Photograph::load(files, scale, patch)));
                    }
                });
            }
            drop(send);
            for (done, (index, photograph)) in receive.iter().enumerate() {
                found[index] = Some(photograph);
                loaded(done + 1);
            }
        });
        let mut dataset = Self { images: Vec::new(), skipped: Vec::new(), scale, sha256: String::new() };
        for photograph in found.into_iter().flatten() {
            match photograph {
                Ok(photograph) => dataset.images.push(photograph),
                Err(Failure::Skipped(skipped)) => dataset.skipped.push(skipped),
                Err(Failure::Wrong(error)) => return Err(error),
            }
        }
        if dataset.images.is_empty() {
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
        for pixels in self.images.iter().flat_map(|image| [&image.lr, &image.hr]) {
            hash.update([pixels.height, pixels.width].map(|side| side as u64).map(u64::to_le_bytes).concat());
            hash.update(pixels.values.as_flattened());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The HR image of photograph `index`, at most `side` pixels high and wide from its middle: (3, H, W)
    /// on [0, 1].
    pub(super) fn middle(&self, index: usize, side: usize) -> Option<Array3<f32>> {
        Some(self.images.get(index)?.hr.middle(side))
    }

    /// The LR and HR image of photograph `index`: (3, H, W) on [0, 1].
    pub(super) fn pair(&self, index: usize) -> Option<(Array3<f32>, Array3<f32>)> {
        let Photograph { lr, hr } = self.images.get(index)?;
        Some((lr.middle(usize::MAX), hr.middle(usize::MAX)))
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

fn take<'a>(next: &AtomicUsize, files: &'a [Files]) -> Option<(usize, &'a Files)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    files.get(index).map(|files| (index, files))
}

impl Photograph {
    fn load(files: &Files, scale: usize, patch: usize) -> Result<Self, Failure> {
        let (name, hr) = read(&files.hr)?;
        let (_, height, width) = hr.dim();
        if height.min(width) / scale < patch {
            return Err(Failure::Skipped(Skipped { name, reason: Reason::Small { height, width } }));
        }
        let lr = match &files.lr {
            Some(path) => given(path, &files.hr, [height, width], scale)?,
            None => downscale(hr.view(), scale),
        };
        Ok(Self {
            lr: Pixels::from_planes(lr.view()),
            hr: Pixels::from_planes(crop_to_multiple(hr.view(), scale)),
        })
    }
}

/// The name and pixels of a file.
fn read(path: &Path) -> Result<(String, Array3<f32>), Failure> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    match image::load(path) {
        Ok(picture) => Ok((name, picture.pixels)),
        Err(error) => Err(Failure::Skipped(Skipped { name, reason: Reason::Broken(error.to_string()) })),
    }
}

/// The LR image at `path`, whose size must be that of the HR image over the scale.
fn given(path: &Path, hr: &Path, hr_size: [usize; 2], scale: usize) -> Result<Array3<f32>, Failure> {
    let (_, lr) = read(path)?;
    let (_, height, width) = lr.dim();
    let wanted = hr_size.map(|side| side / scale);
    if [height, width] == wanted {
        return Ok(lr);
    }
    let shown = |[height, width]: [usize; 2]| format!("{width}x{height}");
    Err(Failure::Wrong(HardenError::PairSize {
        lr: path.to_owned(),
        lr_size: format!("has {} pixels", shown([height, width])),
        hr: hr.to_owned(),
        hr_size: format!(
            "has {} (width x height), which at scale {scale} wants {}",
            shown(hr_size),
            shown(wanted)
        ),
    }))
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

    /// At most `side` pixels high and wide from the middle: (3, H, W) on [0, 1].
    fn middle(&self, side: usize) -> Array3<f32> {
        let Self { height, width, values } = self;
        let (rows, columns) = (side.min(*height), side.min(*width));
        let (top, left) = ((height - rows) / 2, (width - columns) / 2);
        let pixel = |(channel, y, x): (usize, usize, usize)| {
            f32::from(values[(top + y) * width + left + x][channel]) / 255.0
        };
        Array3::from_shape_fn((3, rows, columns), pixel)
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
    use super::super::source;
    use super::*;
    use crate::image::save_png;
    use crate::metric::round_to_8_bits;
    use std::collections::HashSet;

    fn picture(height: usize, width: usize) -> Array3<f32> {
        Array3::from_shape_fn((3, height, width), |(c, y, x)| {
            ((37 * c + 11 * y + 5 * x + y * x) % 256) as f32 / 255.0
        })
    }

    fn load(folder: &Path, scale: usize, patch: usize) -> Result<Dataset, HardenError> {
        let files = source::find(folder, None, scale, source::Part::Train)?;
        Dataset::load(folder, &files, scale, patch, &mut |_| {})
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
    fn given_lr_images_are_taken_as_they_are_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let (hr, lr) = (folder.path().join("hr"), folder.path().join("lr"));
        for folder in [&hr, &lr] {
            std::fs::create_dir(folder).unwrap();
        }
        save_png(&hr.join("a.png"), picture(41, 30).view()).unwrap();
        save_png(&lr.join("a_x2.png"), picture(20, 15).view()).unwrap();
        let load = || {
            let files = source::find(&hr, Some(&lr), 2, source::Part::Train).unwrap();
            Dataset::load(&hr, &files, 2, 4, &mut |_| {})
        };
        let dataset = load().unwrap();
        assert_eq!(dataset.images[0].lr, Pixels::from_planes(picture(20, 15).view()));
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
