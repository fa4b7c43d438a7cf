//! How the numbers are taken, in words, for every report to print.
//!
//! Deliberately absent: any arithmetic. The functions beside this file are held to these words by
//! their tests.

/// For each quantity of a report: its name and how it is taken.
///
/// A PSNR is worth nothing without its convention, so a report prints these lines with its numbers.
pub const CONVENTION: [(&str, &str); 5] = [
    (
        "lr_psnr",
        "dB between the original and the attacked input, RGB, all pixels, both clipped to [0, 1], \
         peak 1, not rounded; infinite for equal images",
    ),
    (
        "sr_psnr",
        "dB between the outputs for the original and the attacked input, RGB, all pixels, both \
         clipped to [0, 1], peak 1, not rounded; infinite for equal images",
    ),
    (
        "clean_psnr",
        "dB against the ground truth on luma (BT.601: 16 + 65.481 R + 128.553 G + 24.966 B), both \
         images clipped and rounded to 8 bits before luma and not after, peak 255, a border of \
         `scale` pixels removed on every side",
    ),
    (
        "clean_ssim",
        "Wang et al. 2004 on the same luma and border: Gaussian window 11x11 with sigma 1.5, \
         K1 0.01, K2 0.03, L 255, mean over the windows that lie inside the image, no downsampling",
    ),
    (
        "bicubic",
        "cubic convolution with a = -0.5, kernel widened by the factor when shrinking, pixel \
         centres at halves, outermost pixels repeated beyond the border, nothing rounded or clipped \
         between the passes",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_is_explained_once() {
        let mut names: Vec<_> = CONVENTION.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), CONVENTION.len());
        assert!(CONVENTION.iter().all(|(_, words)| !words.contains("  ")));
    }
}
