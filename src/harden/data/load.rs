//! Image files to pairs of LR and HR images, decoded on all processors.
//!
//! Where no LR image is given it is the bicubic downscale of the HR one, rounded to 8 bits as the published
//! LR files are. Deliberately absent: threads that outlive a call.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use ndarray::Array3;

use super::files::Files;
use super::pixels::Pixels;
use crate::harden::HardenError;
use crate::image;
use crate::metric::{crop_to_multiple, downscale};

/// An LR image and its HR image.
#[derive(Debug, PartialEq)]
pub(super) struct Pair {
    pub lr: Pixels,
    pub hr: Pixels,
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

/// Why a file becomes no pair.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is left out.
    Skipped(Skipped),
    /// The data set is wrong.
    Wrong(HardenError),
}

/// What becomes of every one of `files`, in their order; `loaded` hears how many are done.
pub(super) fn all(
    files: &[Files],
    scale: usize,
    patch: usize,
    loaded: &mut dyn FnMut(usize),
) -> Vec<Result<Pair, Failure>> {
    let mut found: Vec<Option<Result<Pair, Failure>>> = Vec::new();
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
                    let _ = send.send((index, Pair::load(files, scale, patch)));
                }
            });
        }
        drop(send);
        for (done, (index, pair)) in receive.iter().enumerate() {
            found[index] = Some(pair);
            loaded(done + 1);
        }
    });
    found.into_iter().flatten().collect()
}

fn take<'a>(next: &AtomicUsize, files: &'a [Files]) -> Option<(usize, &'a Files)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    files.get(index).map(|files| (index, files))
}

impl Pair {
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

/// The name of a file, and its pixels (3, H, W) on [0, 1].
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
