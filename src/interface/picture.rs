//! The picture that models are probed with: smooth shades, a few soft edges, some texture; nothing
//! that a network trained on photographs would find strange.

use ndarray::Array3;

/// Values on [0.1, 0.9], (C, H, W); no channel equals another, no side another side.
pub fn picture(channels: usize, [height, width]: [usize; 2]) -> Array3<f32> {
    Array3::from_shape_fn((channels, height, width), |(channel, y, x)| {
        let (c, y, x) = (channel as f32, y as f32 / 48.0, x as f32 / 48.0);
        let shade = 0.5 + 0.18 * (2.1 * x + 0.9 * c).sin() - 0.14 * (1.7 * y + 0.5 * c).cos();
        let disc = (x - 0.6).hypot(y - 0.45) - 0.28;
        let object = 0.12 / (1.0 + (30.0 * disc).exp());
        let texture = 0.02 * (13.0 * x + 7.0 * y).sin();
        (shade - object + texture).clamp(0.1, 0.9)
    })
}
