//! Bicubic resampling in the convention of MATLAB's `imresize`, which made the LR images of the SR
//! literature: cubic convolution with a = -0.5 (Keys 1981), pixel centres at halves, the kernel
//! widened by the factor when shrinking, the outermost pixels repeated beyond the border.
//!
//! The published LR sets carry one more habit of `imresize`: of an 8-bit image it shrinks the
//! height first and rounds to 8 bits before it shrinks the width. [`downscale_8_bit`] does the same
//! and reproduces Set5, Set14 and BSD100 exactly; [`bicubic`] and [`downscale`] round nothing.
//!
//! The arithmetic is `fast_image_resize`'s: sums in f64 per pixel, a plane of f32 between the two
//! passes. It has no rule for the border but to renormalise the weights, so the planes it gets are
//! padded. Its sums run in the order of the CPU's vectors, so two kinds of CPU may differ in the
//! last bit of an f32. Deliberately absent: any other filter.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};

/// Resamples (C, H, W) to (C, `height`, `width`), as `imresize` does for floating-point images.
///
/// Nothing is rounded or clipped, so values may leave the range of the input. An image without
/// pixels, or a size of 0, gives zeros.
///
/// # Panics
/// Where a side is nearly 2^32 pixels long; an image that was loaded from a file is far smaller.
#[must_use]
pub fn bicubic(image: ArrayView3<f32>, height: usize, width: usize) -> Array3<f32> {
    let mut result = Array3::zeros((image.len_of(Axis(0)), height, width));
    if image.is_empty() || result.is_empty() {
        return result;
    }
    let mut resizer = Resizer::new();
    for (source, mut target) in image.outer_iter().zip(result.outer_iter_mut()) {
        let target = target.as_slice_mut().expect("a plane of a new array lies in order");
        resample_plane(&mut resizer, source, target, [height, width]);
    }
    result
}

/// Resamples one plane into a slice of `height * width`.
fn resample_plane(
    resizer: &mut Resizer,
    source: ArrayView2<f32>,
    target: &mut [f32],
    [height, width]: [usize; 2],
) {
    let (from_height, from_width) = source.dim();
    let (above, left) = (reach(from_height, height), reach(from_width, width));
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom)).crop(
        left as f64,
        above as f64,
        from_width as f64,
        from_height as f64,
    );

    let padded = with_edges_repeated(source, above, left);
    let source = padded.as_slice().expect("a new array lies in order");
    let (padded_height, padded_width) = padded.dim();
    let source =
        ImageRef::new(side(padded_width), side(padded_height), bytemuck::cast_slice(source), PixelType::F32)
            .expect("an f32 plane has the size and the alignment of an f32 image");
    let target = bytemuck::cast_slice_mut(target);
    let mut target = Image::from_slice_u8(side(width), side(height), target, PixelType::F32)
        .expect("the caller's slice holds one plane of f32");
    resizer
        .resize(&source, &mut target, &options)
        .expect("both are f32 planes and the crop is the unpadded source");
}

/// How many pixels beyond the border of one axis the kernel can reach: two output pixels when
/// shrinking, two input pixels when growing, none when the pass is left out.
fn reach(from: usize, to: usize) -> usize {
    if from == to { 0 } else { 2 * from.div_ceil(to) + 1 }
}

/// The plane with `above` rows added at the top and bottom and `left` columns on both sides.
fn with_edges_repeated(plane: ArrayView2<f32>, above: usize, left: usize) -> Array2<f32> {
    let (height, width) = plane.dim();
    Array2::from_shape_fn((height + 2 * above, width + 2 * left), |(y, x)| {
        plane[[y.saturating_sub(above).min(height - 1), x.saturating_sub(left).min(width - 1)]]
    })
}

fn side(length: usize) -> u32 {
    u32::try_from(length).expect("documented: a side is shorter than 2^32 pixels")
}

/// The top left part whose sides are multiples of `scale` (0 counts as 1), as `modcrop` in the SR
/// literature; empty where a side is shorter than `scale`.
#[must_use]
pub fn crop_to_multiple(image: ArrayView3<'_, f32>, scale: usize) -> ArrayView3<'_, f32> {
    let scale = scale.max(1);
    let keep = |axis| image.len_of(Axis(axis)) / scale * scale;
    let (height, width) = (keep(1), keep(2));
    image.slice_move(s![.., ..height, ..width])
}

/// [`crop_to_multiple`], then [`bicubic`] by 1 / `scale`, then clipped to [0, 1]; not rounded.
///
/// (C, H, W) becomes (C, H / scale, W / scale).
#[must_use]
pub fn downscale(image: ArrayView3<f32>, scale: usize) -> Array3<f32> {
    let cropped = crop_to_multiple(image, scale);
    let [height, width] = shrunk(cropped, scale);
    bicubic(cropped, height, width).mapv_into(|value| value.clamp(0.0, 1.0))
}

/// The LR image as the published test sets hold it: [`crop_to_multiple`], then the height and then
/// the width shrunk by `scale`, clipped and rounded to 8 bits after each.
///
/// (C, H, W) on [0, 1], rounded to 8 bits first, becomes (C, H / scale, W / scale) on [0, 1].
#[must_use]
pub fn downscale_8_bit(image: ArrayView3<f32>, scale: usize) -> Array3<f32> {
    // On [0, 255], where levels are whole numbers, a tie between two levels is exact.
    let to_levels = |image: Array3<f32>| image.mapv_into(|value| value.clamp(0.0, 255.0).round());
    let cropped = crop_to_multiple(image, scale);
    let [height, width] = shrunk(cropped, scale);
    let levels = to_levels(&cropped * 255.0);
    let flat = to_levels(bicubic(levels.view(), height, cropped.len_of(Axis(2))));
    to_levels(bicubic(flat.view(), height, width)) / 255.0
}

/// Height and width of an image after division by `scale` (0 counts as 1).
fn shrunk(image: ArrayView3<f32>, scale: usize) -> [usize; 2] {
    [Axis(1), Axis(2)].map(|axis| image.len_of(axis) / scale.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metric::round_to_8_bits;

    fn row(values: &[f32]) -> Array3<f32> {
        Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap()
    }

    fn assert_close(left: &Array3<f32>, right: &Array3<f32>, tolerance: f32) {
        assert_eq!(left.dim(), right.dim());
        for (index, value) in left.indexed_iter() {
            let other = right[index];
            assert!((value - other).abs() <= tolerance, "at {index:?}: {value} against {other}");
        }
    }

    fn image() -> impl Strategy<Value = Array3<f32>> {
        (1..20usize, 1..20usize).prop_flat_map(|(height, width)| {
            prop::collection::vec(0.0f32..1.0, 3 * height * width)
                .prop_map(move |v| Array3::from_shape_vec((3, height, width), v).unwrap())
        })
    }

    /// Keys 1981 with a = -0.5 at a quarter, three quarters, ... of a pixel from the centre.
    const KEYS: [f32; 4] = [0.867_187_5, 0.226_562_5, -0.070_312_5, -0.023_437_5];

    #[test]
    fn an_impulse_upscaled_by_2_shows_the_kernel() {
        let mut impulse = [0.0; 11];
        impulse[5] = 1.0;
        let up = bicubic(row(&impulse).view(), 1, 22);
        let mut expected = vec![0.0; 22];
        for (distance, weight) in KEYS.into_iter().enumerate() {
            expected[11 + distance] = weight;
            expected[10 - distance] = weight;
        }
        assert_close(&up, &row(&expected), 1e-7);
    }

    #[test]
    fn shrinking_by_2_widens_the_kernel_to_8_taps() {
        // Output pixel 5 lies between the inputs 10 and 11.
        for (offset, weight) in KEYS.into_iter().enumerate() {
            for position in [10 - offset, 11 + offset] {
                let mut impulse = [0.0; 22];
                impulse[position] = 1.0;
                let down = bicubic(row(&impulse).view(), 1, 11);
                assert!((down[[0, 0, 5]] - weight / 2.0).abs() < 1e-7, "input {position}");
            }
        }
    }

    #[test]
    fn a_ramp_stays_a_ramp_away_from_the_border() {
        let ramp = Array3::from_shape_fn((3, 48, 60), |(c, y, x)| {
            0.1 * c as f32 + 0.004 * (y as f32 + 0.5) + 0.006 * (x as f32 + 0.5)
        });
        for (height, width) in [(12, 15), (16, 20), (24, 30), (96, 120), (192, 240), (50, 61)] {
            let (ry, rx) = (48.0 / height as f32, 60.0 / width as f32);
            let expected = Array3::from_shape_fn((3, height, width), |(c, y, x)| {
                0.1 * c as f32 + 0.004 * ry * (y as f32 + 0.5) + 0.006 * rx * (x as f32 + 0.5)
            });
            let margin = if height < 48 { 3 } else { 10 };
            let inside = s![.., margin..height - margin, margin..width - margin];
            let resized = bicubic(ramp.view(), height, width).slice(inside).to_owned();
            assert_close(&resized, &expected.slice(inside).to_owned(), 1e-5);
        }
    }

    #[test]
    fn nothing_is_clipped_between_the_passes() {
        // Diagonally off a bright dot, two negative lobes multiply to something positive; clipping
        // after the first pass would leave 0 there.
        let mut dot = Array3::zeros((1, 9, 9));
        dot[[0, 4, 4]] = 1.0;
        let up = bicubic(dot.view(), 18, 18);
        assert!((up[[0, 11, 11]] - KEYS[2] * KEYS[2]).abs() < 1e-7);
    }

    #[test]
    fn the_lr_image_is_cropped_first_and_stays_in_range() {
        let checks = Array3::from_shape_fn((3, 31, 43), |(_, y, x)| ((x / 4 + y / 4) % 2) as f32);
        for scale in [1, 2, 3, 4] {
            for method in [downscale, downscale_8_bit] {
                let lr = method(checks.view(), scale);
                assert_eq!(lr.dim(), (3, 31 / scale, 43 / scale));
                assert!(lr.iter().all(|value| (0.0..=1.0).contains(value)));
                let cropped = crop_to_multiple(checks.view(), scale);
                assert_eq!(lr, method(cropped, scale));
            }
        }
    }

    #[test]
    fn an_8_bit_lr_image_is_rounded_between_the_passes() {
        let image = Array3::from_shape_fn((1, 8, 8), |(_, y, x)| ((y * 8 + x * x) % 7) as f32 / 255.0);
        let lr = downscale_8_bit(image.view(), 2);
        let height_first = round_to_8_bits(bicubic(image.view(), 4, 8).view());
        assert_eq!(lr, round_to_8_bits(bicubic(height_first.view(), 4, 4).view()));
        assert_ne!(lr, round_to_8_bits(downscale(image.view(), 2).view()));
        assert_eq!(lr, round_to_8_bits(lr.view()));
    }

    #[test]
    fn the_outermost_pixels_are_repeated_beyond_the_border() {
        // Every tap at or beyond a bright first pixel sees it.
        let up = bicubic(row(&[1.0, 0.0, 0.0, 0.0, 0.0]).view(), 1, 10);
        assert!((up[[0, 0, 0]] - (KEYS[0] + KEYS[1] + KEYS[3])).abs() < 1e-6, "{up}");
        assert!((up[[0, 0, 1]] - (KEYS[0] + KEYS[2])).abs() < 1e-6, "{up}");
        let padded = bicubic(row(&[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).view(), 1, 16);
        for x in 0..4 {
            assert!((up[[0, 0, x]] - padded[[0, 0, x + 6]]).abs() < 1e-6, "output {x}");
        }
    }

    #[test]
    fn an_image_smaller_than_the_scale_has_an_empty_lr_image() {
        let tiny = Array3::from_elem((3, 3, 9), 0.5);
        for method in [downscale, downscale_8_bit] {
            assert_eq!(method(tiny.view(), 4).dim(), (3, 0, 2));
            assert_eq!(method(tiny.view(), 0).dim(), tiny.dim());
        }
        assert_eq!(bicubic(Array3::zeros((3, 0, 4)).view(), 2, 2), Array3::<f32>::zeros((3, 2, 2)));
    }

    proptest! {
        #![proptest_config(crate::metric::seeded_cases())]

        #[test]
        fn a_constant_stays_that_constant(
            value in 0.0f32..1.0, from in (1..30usize, 1..30usize), to in (1..60usize, 1..60usize),
        ) {
            let constant = Array3::from_elem((3, from.0, from.1), value);
            let resized = bicubic(constant.view(), to.0, to.1);
            assert_close(&resized, &Array3::from_elem((3, to.0, to.1), value), 1e-6);
        }

        #[test]
        fn the_same_size_is_the_same_image(image in image()) {
            let (_, height, width) = image.dim();
            prop_assert_eq!(bicubic(image.view(), height, width), image);
        }

        #[test]
        fn mirroring_before_and_after_is_the_same(image in image(), to in (1..40usize, 1..40usize)) {
            let flip = s![.., ..;-1, ..;-1];
            let before = bicubic(image.slice(flip), to.0, to.1);
            let after = bicubic(image.view(), to.0, to.1).slice(flip).to_owned();
            assert_close(&before, &after, 1e-5);
        }

        #[test]
        fn axes_are_treated_alike(image in image(), to in (1..40usize, 1..40usize)) {
            let transposed = bicubic(image.view().permuted_axes([0, 2, 1]), to.1, to.0);
            let direct = bicubic(image.view(), to.0, to.1);
            assert_close(&transposed.permuted_axes([0, 2, 1]).to_owned(), &direct, 1e-5);
        }
    }
}
