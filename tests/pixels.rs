//! Images, metrics and resampling held to the published SR sets: their LR images, their training
//! photographs, and the numbers the literature prints for bicubic upscaling.
//!
//! The sets are not part of the project. `TEMPER_ASSETS` names a folder with `data/Set5`,
//! `data/Set14`, `data/BSD100` and `data/train` in it; without it these tests skip and say so.

// Clippy exempts tests, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::PathBuf;

use ndarray::{Array3, ArrayView3, Axis, s};
use temper::image::{list_images, load, match_pairs};
use temper::metric::{bicubic, clean_quality, downscale, downscale_8_bit, round_to_8_bits};

/// A test set's folder, or `None` (said aloud) where the sets are not on this machine.
fn test_set(name: &str) -> Option<PathBuf> {
    let Some(assets) = std::env::var_os("TEMPER_ASSETS") else {
        println!("skipped: TEMPER_ASSETS is not set, so {name} cannot be found");
        return None;
    };
    Some(PathBuf::from(assets).join("data").join(name))
}

/// (LR, HR) of every image of a set.
fn pairs(name: &str) -> Option<Vec<(Array3<f32>, Array3<f32>)>> {
    let set = test_set(name)?;
    let lr_files = list_images(&set.join("LR_x4")).unwrap();
    let pairs = match_pairs(&lr_files, &set.join("HR")).unwrap();
    let pixels = |path: &PathBuf| load(path).unwrap().pixels;
    Some(pairs.iter().map(|pair| (pixels(&pair.lr), pixels(&pair.hr))).collect())
}

/// Without the outermost `border` pixels.
fn inside(image: &Array3<f32>, border: usize) -> ArrayView3<'_, f32> {
    let (_, height, width) = image.dim();
    image.slice(s![.., border..height - border, border..width - border])
}

/// Of the pixels at least `border` from the edge, the share that differs by no more than `levels`
/// in any channel.
fn share_within(levels: f32, border: usize, images: &[(Array3<f32>, Array3<f32>)]) -> f64 {
    let (mut near, mut all) = (0, 0);
    for (made, given) in images {
        assert_eq!(made.dim(), given.dim());
        let apart = (&inside(made, border) - &inside(given, border)).mapv(|d| (d * 255.0).abs());
        for pixel in apart.lanes(Axis(0)) {
            near += usize::from(pixel.iter().all(|&d| d.round() <= levels));
            all += 1;
        }
    }
    near as f64 / all as f64
}

#[test]
fn the_published_lr_images_are_reproduced_exactly() {
    for name in ["Set5", "Set14", "BSD100"] {
        let Some(pairs) = pairs(name) else { return };
        for (index, (lr, hr)) in pairs.iter().enumerate() {
            assert_eq!(&downscale_8_bit(hr.view(), 4), lr, "image {index} of {name}");
        }
        println!("{name}: all {} LR images are equal, pixel for pixel", pairs.len());
    }
}

#[test]
fn without_rounding_between_the_passes_lr_images_are_one_level_off_at_most() {
    for name in ["Set5", "BSD100"] {
        let Some(pairs) = pairs(name) else { return };
        let made: Vec<_> =
            pairs.into_iter().map(|(lr, hr)| (round_to_8_bits(downscale(hr.view(), 4).view()), lr)).collect();
        let (equal, near) = (share_within(0.0, 3, &made), share_within(1.0, 3, &made));
        println!("{name}: {:.2}% equal, {:.3}% within one level", 100.0 * equal, 100.0 * near);
        assert!(near >= 0.998, "{name}: only {near:.5} within one level");
    }
}

#[test]
fn bicubic_upscaling_has_the_quality_the_literature_prints() {
    // Bicubic x4 as printed in VDSR (Kim et al. 2016), table 3. There, the greyscale image of Set14
    // is compared as it is; here it becomes RGB, and luma squeezes [0, 255] into [16, 235]. Luma is
    // rounded there and not here, which alone raises SSIM by about 0.001.
    let squeezed = 20.0 * (255.0f64 / 219.0).log10() / 14.0;
    for (name, psnr, ssim) in
        [("Set5", 28.42, 0.8104), ("Set14", 26.00 + squeezed, 0.7027), ("BSD100", 25.96, 0.6675)]
    {
        let Some(pairs) = pairs(name) else { return };
        let (mut mean_psnr, mut mean_ssim) = (0.0, 0.0);
        for (lr, hr) in &pairs {
            let (_, height, width) = hr.dim();
            let sr = bicubic(lr.view(), height, width);
            let quality = clean_quality(sr.view(), hr.view(), 4).unwrap();
            mean_psnr += quality.psnr / pairs.len() as f64;
            mean_ssim += quality.ssim / pairs.len() as f64;
        }
        println!("{name}: {mean_psnr:.3} dB, SSIM {mean_ssim:.4}; printed {psnr:.3}, {ssim:.4}");
        assert!((mean_psnr - psnr).abs() < 0.02, "{name}: {mean_psnr} dB");
        assert!((mean_ssim - ssim).abs() < 0.003, "{name}: SSIM {mean_ssim}");
    }
}

#[test]
fn the_greyscale_image_of_set14_loads_as_rgb() {
    /// Where the PNG header says how the samples are stored, and what it says for greyscale.
    const COLOUR_TYPE: usize = 25;
    const GREYSCALE: u8 = 0;

    let Some(set) = test_set("Set14") else { return };
    let files = list_images(&set.join("HR")).unwrap();
    let grey: Vec<_> =
        files.iter().filter(|path| fs::read(path).unwrap()[COLOUR_TYPE] == GREYSCALE).collect();
    assert_eq!(grey.len(), 1);
    let pixels = load(grey[0]).unwrap().pixels;
    assert_eq!(pixels.dim(), (3, 512, 512));
    assert_eq!(pixels.index_axis(Axis(0), 0), pixels.index_axis(Axis(0), 1));
    assert_eq!(pixels.index_axis(Axis(0), 0), pixels.index_axis(Axis(0), 2));
}

#[test]
fn every_training_photograph_loads() {
    for (name, count) in [("train/BSDS500", 399), ("train/T91", 91)] {
        let Some(folder) = test_set(name) else { return };
        let files = list_images(&folder).unwrap();
        assert_eq!(files.len(), count, "{name}");
        for file in files {
            let picture = load(&file).unwrap();
            assert!(picture.pixels.iter().all(|value| (0.0..=1.0).contains(value)), "{file:?}");
        }
    }
}
