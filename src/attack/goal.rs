//! What is attacked: an image with its ball, and what its output is driven away from.

use ndarray::{Array4, ArrayView4, Axis};

use super::ball::Ball;
use crate::metric::psnr;

/// One image under attack.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The image x0 as a batch of one, how far it may move and where.
    pub ball: Ball,
    /// S(x0), which SR PSNR is taken against.
    pub clean: Array4<f32>,
    /// What the objective compares the output with: S(x0), the ground truth or another image.
    pub target: Array4<f32>,
}

impl Goal {
    /// Away from S(x0).
    pub fn new(ball: Ball, clean: Array4<f32>) -> Self {
        let target = clean.clone();
        Self { ball, clean, target }
    }

    /// With another target for the objective.
    pub fn aimed_at(self, target: Array4<f32>) -> Self {
        Self { target, ..self }
    }

    /// SR PSNR in dB of an output against S(x0); a NaN where the shapes differ.
    pub fn sr_psnr(&self, output: ArrayView4<'_, f32>) -> f64 {
        let [clean, output] = [self.clean.index_axis(Axis(0), 0), output.index_axis_move(Axis(0), 0)];
        psnr(clean, output).unwrap_or(f64::NAN)
    }
}

/// Images of one shape as a batch, of which there is at least one.
pub fn stacked<'a>(images: impl Iterator<Item = &'a Array4<f32>>) -> Array4<f32> {
    let views: Vec<_> = images.map(|image| image.view()).collect();
    ndarray::concatenate(Axis(0), &views).expect("images that are attacked together have one shape")
}
