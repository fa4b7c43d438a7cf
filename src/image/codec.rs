//! Image files decoded to tensors and encoded from them. The only file that knows the `image` crate.
//!
//! Samples are taken as they are stored: an ICC profile, a gamma chunk or an EXIF orientation is
//! not applied, as the tools of the SR literature do not apply them either. Deliberately absent:
//! formats that lose more than they must in files; only PNG is written, and JPEG only in passing.

use std::io::{self, Cursor};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};
use ndarray::{Array3, ArrayView3, Axis, s};

use super::error::ImageError;
use super::folder::file_name;
use super::jpeg;
use crate::files::{read_bounded, write_atomically};
use crate::limits::Limit;

/// What an image file may hold, whatever its extension.
const FORMATS: [ImageFormat; 6] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::Bmp,
    ImageFormat::Tiff,
    ImageFormat::WebP,
    ImageFormat::Pnm,
];

/// The most bytes that a decoder may allocate. A picture of the most pixels takes 12 bytes for each of them
/// as a tensor, beside it.
const MAX_BYTES: u64 = 1 << 30;

/// An image and what to call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// File name without its folder.
    pub name: String,
    /// RGB on [0, 1], shape (3, H, W).
    pub pixels: Array3<f32>,
}

/// Loads a PNG, JPEG, BMP, TIFF, WebP or PNM file, recognised by its content, not by its name.
///
/// Greyscale is repeated to RGB; an alpha channel is dropped (the colours under it are kept as they
/// are, not blended); 16-bit samples keep their precision; of an animation the first frame is read.
///
/// # Errors
/// [`ImageError`], for anything that is not a whole image within [`Limit::Side`] and
/// [`Limit::Pixels`], and of at most 1 GiB, both as a file and decoded.
pub fn load(path: &Path) -> Result<Picture, ImageError> {
    let bytes = read_bounded(path, MAX_BYTES.min(Limit::FileBytes.get()))?;
    let decoded = decode(path, &bytes)?;
    let pixels = to_planes(&decoded);
    if let Some(&value) = pixels.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        return Err(ImageError::OutOfRange { path: path.to_owned(), value });
    }
    Ok(Picture { name: file_name(path), pixels })
}

/// Saves an RGB image (3, H, W) as an 8-bit PNG, whole or not at all.
///
/// Values are clipped to [0, 1] and rounded to the nearest level, so an image that was loaded from
/// 8 bits comes back exactly.
///
/// # Errors
/// [`ImageError::NotRgb`], [`ImageError::NotFinite`], or [`ImageError::File`].
pub fn save_png(path: &Path, pixels: ArrayView3<f32>) -> Result<(), ImageError> {
    let (channels, height, width) = pixels.dim();
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let Some((width, height)) = sides.filter(|_| channels == 3 && !pixels.is_empty()) else {
        return Err(ImageError::NotRgb { path: path.to_owned(), shape: pixels.shape().to_vec() });
    };
    if let Some(&value) = pixels.iter().find(|value| !value.is_finite()) {
        return Err(ImageError::NotFinite { path: path.to_owned(), value });
    }
    let interleaved = pixels.permuted_axes([1, 2, 0]);
    let bytes: Vec<u8> =
        interleaved.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    write_atomically(path, |out| {
        image::codecs::png::PngEncoder::new(out)
            .write_image(&bytes, width, height, ExtendedColorType::Rgb8)
            .map_err(io::Error::other)
    })?;
    Ok(())
}

/// What JPEG leaves of an image (C, H, W) at a quality from 1 to 100: RGB where there are three channels, with
/// chroma at full size, else every channel as grey. Values are clipped to [0, 1] and rounded to 8 bits first.
///
/// # Panics
/// Where a side is 0 or longer than 65,535 pixels; an image that was loaded from a file is neither.
#[must_use]
pub fn through_jpeg(pixels: ArrayView3<f32>, quality: u8) -> Array3<f32> {
    let (channels, height, width) = pixels.dim();
    let at_once = if channels == 3 { 3 } else { 1 };
    let mut result = Array3::zeros((channels, height, width));
    let parts = pixels.axis_chunks_iter(Axis(0), at_once);
    for (part, mut into) in parts.zip(result.axis_chunks_iter_mut(Axis(0), at_once)) {
        let interleaved = part.permuted_axes([1, 2, 0]);
        let levels: Vec<u8> =
            interleaved.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        let colour = if at_once == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality)
            .encode(&levels, width as u32, height as u32, colour)
            .expect("JPEG takes 8-bit RGB and grey of every size up to 65,535");
        let decoded = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg)
            .expect("what was just encoded can be decoded");
        into.assign(&to_planes(&decoded).slice(s![..at_once, .., ..]));
    }
    result
}

fn decode(path: &Path, bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let undecodable = |cause: String| ImageError::Undecodable { path: path.to_owned(), cause };
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| FORMATS.contains(format))
        .ok_or_else(|| ImageError::NotAnImage { path: path.to_owned() })?;
    if format == ImageFormat::Jpeg && !jpeg::reaches_its_end(bytes) {
        return Err(undecodable("the JPEG data stop before the end of the image".to_owned()));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| undecodable(error.to_string()))?;
    // Checked here and not by the decoder's own limits, so that the message can name the size.
    let (width, height) = decoder.dimensions();
    if u64::from(width.max(height)) > Limit::Side.get()
        || u64::from(width) * u64::from(height) > Limit::Pixels.get()
        || decoder.total_bytes() > MAX_BYTES
    {
        return Err(ImageError::TooLarge { path: path.to_owned(), width, height });
    }
    if width == 0 || height == 0 {
        return Err(undecodable(format!("{width}x{height} pixels are no image")));
    }
    DynamicImage::from_decoder(decoder).map_err(|error| undecodable(error.to_string()))
}

/// RGB on [0, 1] as planes (3, H, W).
///
/// Each sample is divided by the largest one of its type; the `image` crate's own conversions leave
/// that value by an ulp for greyscale.
fn to_planes(decoded: &DynamicImage) -> Array3<f32> {
    let channels = usize::from(decoded.color().channel_count());
    if let Some(flat) = decoded.as_flat_samples_u8() {
        planes(decoded, channels, |at| f32::from(flat.samples[at]) / 255.0)
    } else if let Some(flat) = decoded.as_flat_samples_u16() {
        planes(decoded, channels, |at| f32::from(flat.samples[at]) / 65535.0)
    } else {
        let rgb = decoded.to_rgb32f();
        let samples = rgb.as_raw();
        planes(decoded, 3, |at| samples[at])
    }
}

/// Arranges interleaved samples of 1 to 4 channels (grey, grey and alpha, RGB, RGB and alpha).
fn planes(size: &DynamicImage, channels: usize, sample: impl Fn(usize) -> f32) -> Array3<f32> {
    let (height, width) = (size.height() as usize, size.width() as usize);
    let colours = if channels < 3 { 1 } else { 3 };
    Array3::from_shape_fn((3, height, width), |(c, y, x)| sample((y * width + x) * channels + c % colours))
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, LumaA, Rgb, Rgb32FImage, RgbImage, RgbaImage};
    use proptest::prelude::*;

    use std::fs;

    use super::*;
    use crate::metric::round_to_8_bits;

    fn texture(height: u32, width: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 37 + y * 11) as u8, (x * y + 90) as u8, (255 - x * 5) as u8])
        })
    }

    /// The bytes of an image in a format.
    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Loads bytes as a file of the given name.
    fn loaded(name: &str, bytes: &[u8]) -> Result<Picture, ImageError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        load(&path)
    }

    #[test]
    fn jpeg_takes_more_away_the_lower_its_quality() {
        let image = to_planes(&DynamicImage::from(texture(21, 30)));
        let lost = |quality| {
            let left = through_jpeg(image.view(), quality);
            assert_eq!(left.dim(), image.dim());
            assert_eq!(left, through_jpeg(image.view(), quality));
            (&left - &image).mapv(|d| d * d).mean().unwrap()
        };
        assert!(lost(1) > lost(50) && lost(50) > lost(90) && lost(90) > lost(100));
        assert!(lost(100).sqrt() * 255.0 < 2.0, "{}", lost(100).sqrt() * 255.0);
    }

    #[test]
    fn one_channel_goes_through_jpeg_as_grey() {
        let grey = Array3::from_shape_fn((1, 19, 26), |(_, y, x)| ((y + x) as f32 / 43.0).clamp(0.0, 1.0));
        let left = through_jpeg(grey.view(), 90);
        assert_eq!(left.dim(), (1, 19, 26));
        assert!(left.iter().zip(&grey).all(|(a, b)| (a - b).abs() < 6.0 / 255.0));
    }

    fn message(result: Result<impl std::fmt::Debug, ImageError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn every_format_loads_and_the_lossless_ones_exactly() {
        let rgb = texture(9, 14);
        for format in FORMATS {
            let picture = loaded("name.png", &encoded(&rgb.clone().into(), format)).unwrap();
            assert_eq!(picture.name, "name.png");
            assert_eq!(picture.pixels.dim(), (3, 9, 14), "{format:?}");
            let tolerance = if format == ImageFormat::Jpeg { 0.5 } else { 0.0 };
            for ((c, y, x), value) in picture.pixels.indexed_iter() {
                let expected = f32::from(rgb.get_pixel(x as u32, y as u32)[c]) / 255.0;
                assert!((value - expected).abs() <= tolerance, "{format:?} at {c}, {y}, {x}");
            }
        }
    }

    #[test]
    fn greyscale_is_repeated_and_alpha_is_dropped() {
        let grey = GrayImage::from_pixel(3, 2, Luma([51]));
        let grey_alpha = ImageBuffer::from_pixel(3, 2, LumaA([51u8, 7]));
        let colour_alpha = RgbaImage::from_pixel(3, 2, image::Rgba([51, 51, 51, 0]));
        for image in [grey.into(), DynamicImage::from(grey_alpha), colour_alpha.into()] {
            let picture = loaded("grey.png", &encoded(&image, ImageFormat::Png)).unwrap();
            assert_eq!(picture.pixels, Array3::from_elem((3, 2, 3), 0.2));
        }
    }

    #[test]
    fn sixteen_bits_keep_their_precision() {
        let deep = ImageBuffer::from_fn(2, 2, |x, y| Rgb([1u16, 32768 + x as u16, 65535 - y as u16]));
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            let pixels = loaded("deep", &encoded(&deep.clone().into(), format)).unwrap().pixels;
            assert_eq!(pixels[[0, 0, 0]], 1.0 / 65535.0);
            assert_eq!(pixels[[1, 0, 1]], 32769.0 / 65535.0);
            assert_eq!(pixels[[2, 1, 0]], 65534.0 / 65535.0);
        }
    }

    #[test]
    fn floating_point_images_must_stay_within_the_range() {
        let tiff = |value: f32| {
            let image = Rgb32FImage::from_pixel(2, 2, Rgb([0.5, value, 0.5]));
            loaded("float.tif", &encoded(&image.into(), ImageFormat::Tiff))
        };
        assert_eq!(tiff(0.125).unwrap().pixels[[1, 0, 0]], 0.125);
        for value in [f32::NAN, f32::INFINITY, 255.0, -0.01] {
            let message = message(tiff(value));
            let expected = format!("float.tif: holds the value {value}, outside of [0, 1]");
            assert!(message.contains(&expected), "{message}");
        }
    }

    #[test]
    fn what_is_not_an_image_is_said_to_be_none() {
        let empty = message(loaded("empty.png", b""));
        assert!(empty.contains("empty.png: the file is empty (0 bytes)"), "{empty}");
        let text = message(loaded("text.png", b"once upon a time there was no image"));
        assert!(text.contains("text.png: the content is not an image"), "{text}");
        let gif = message(loaded("moving.gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"));
        assert!(gif.contains("give PNG, JPEG, BMP, TIFF, WebP or PNM"), "{gif}");
        let missing = message(load(Path::new("nowhere/missing.png")));
        assert!(missing.starts_with("nowhere/missing.png: no such file"), "{missing}");
    }

    #[test]
    fn a_truncated_image_is_refused_in_every_format() {
        let image = texture(40, 40).into();
        for format in FORMATS {
            let bytes = encoded(&image, format);
            for kept in [bytes.len() / 4, bytes.len() / 2, bytes.len() * 9 / 10] {
                let result = loaded("cut.img", &bytes[..kept]);
                assert!(
                    matches!(result, Err(ImageError::Undecodable { .. })),
                    "{format:?}, {kept} of {} bytes: {result:?}",
                    bytes.len(),
                );
            }
        }
    }

    #[test]
    fn a_declared_size_beyond_the_limits_is_refused_before_it_is_allocated() {
        for (width, height) in [(40_000, 1), (1, 40_000), (30_000, 30_000), (99_999, 99_999)] {
            let bomb = format!("P6 {width} {height} 255\n");
            let message = message(loaded("bomb.ppm", bomb.as_bytes()));
            let expected = format!("bomb.ppm: {width}x{height} pixels (width x height) are too");
            assert!(message.contains(&expected), "{message}");
        }
    }

    #[test]
    fn only_finite_rgb_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.png");
        let grey = message(save_png(&path, Array3::zeros((1, 4, 4)).view()));
        assert!(grey.contains("not an array of [1, 4, 4]"), "{grey}");
        let empty = message(save_png(&path, Array3::zeros((3, 0, 4)).view()));
        assert!(empty.contains("not an array of [3, 0, 4]"), "{empty}");
        let nan = message(save_png(&path, Array3::from_elem((3, 4, 4), f32::NAN).view()));
        assert!(nan.contains("out.png: not saved, as the image holds NaN"), "{nan}");
        let nowhere = save_png(&path.join("below.png"), Array3::zeros((3, 4, 4)).view());
        assert!(matches!(nowhere, Err(ImageError::File(_))), "{nowhere:?}");
        assert!(!path.exists());
    }

    proptest! {
        // Every save waits for the disk.
        #![proptest_config(ProptestConfig { cases: 32, ..crate::metric::seeded_cases() })]

        #[test]
        fn saving_and_loading_rounds_to_8_bits_and_no_more(
            (height, width, values) in (1..9usize, 1..9usize).prop_flat_map(|(height, width)| {
                let values = prop::collection::vec(-0.1f32..1.1, 3 * height * width);
                (Just(height), Just(width), values)
            })
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("round.png");
            let image = Array3::from_shape_vec((3, height, width), values).unwrap();
            save_png(&path, image.view()).unwrap();
            let first = load(&path).unwrap().pixels;
            prop_assert_eq!(&first, &round_to_8_bits(image.view()));
            save_png(&path, first.view()).unwrap();
            prop_assert_eq!(load(&path).unwrap().pixels, first);
        }
    }

    proptest! {
        #![proptest_config(crate::metric::seeded_cases())]

        #[test]
        fn damage_is_an_error_or_an_image_in_range_and_never_a_panic(
            format in prop::sample::select(FORMATS.to_vec()),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        ) {
            let mut bytes = encoded(&texture(20, 17).into(), format);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(picture) = loaded("damaged", &bytes) {
                prop_assert!(picture.pixels.iter().all(|value| (0.0..=1.0).contains(value)));
            }
        }
    }
}
