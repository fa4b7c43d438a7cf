//! Fewer bits per channel (Xu et al., "Feature squeezing", NDSS 2018).

use ndarray::{Array3, ArrayView3};

/// Every value, clipped to [0, 1], rounded to the nearest of 2^bits levels.
pub fn apply(x: ArrayView3<'_, f32>, bits: u8) -> Array3<f32> {
    let most = ((1_u32 << bits) - 1) as f32;
    x.mapv(|value| (value.clamp(0.0, 1.0) * most).round() / most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_stay_and_everything_else_goes_to_one() {
        let x =
            Array3::from_shape_fn((3, 16, 16), |(c, y, x)| ((c * 256 + y * 16 + x) as f32 / 700.0).min(1.0));
        for bits in 1..=8 {
            let squeezed = apply(x.view(), bits);
            let mut levels: Vec<u32> = squeezed.iter().map(|value| value.to_bits()).collect();
            levels.sort_unstable();
            levels.dedup();
            assert_eq!(levels.len(), 1 << bits);
            assert_eq!(apply(squeezed.view(), bits), squeezed);
            let half = 0.5 / f32::from((1_u16 << bits) - 1) + 1e-6;
            assert!(squeezed.iter().zip(&x).all(|(a, b)| (a - b).abs() <= half));
        }
        let levels = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| (y * 16 + x) as f32 / 255.0);
        assert_eq!(apply(levels.view(), 8), levels, "an image of 8 bits keeps all of them");
    }
}
