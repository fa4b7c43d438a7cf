//! The ranges that networks compute in. Every graph takes and gives [0, 1]; how far apart two
//! features are, and so what delta means to them, depends on the range inside.

use super::net::{Conv, Net, Taps};
use crate::onnx::{Model, Tensor};

/// DIV2K's mean colour on [0, 1], as EDSR and those after it subtract it.
const MEAN: [f32; 3] = [0.4488, 0.4371, 0.4040];

impl Net {
    /// The input, and the first features of it: a convolution of the centred image.
    pub fn head(&mut self, features: usize) -> String {
        let image = self.image();
        let centred = self.centred(&image);
        self.conv("head", &centred, Conv::new(3, 3, features))
    }

    /// The network that turns enlarged features into colours, as [`Self::head`] began it.
    pub fn tail(mut self, large: &str, features: usize, taps: Taps, scale: usize) -> Model {
        let colour = self.conv("tail", large, Conv::new(3, features, 3));
        let output = self.uncentred(&colour);
        self.upscaler(output, taps, scale)
    }

    /// From [0, 1] to [0, 255] without DIV2K's mean colour.
    pub fn centred(&mut self, image: &str) -> String {
        let levels = self.scaled("levels", "Mul", image, 255.0);
        let mean = self.mean();
        self.graph.node("Sub", "centred", &[&levels, &mean], [])
    }

    /// Back from [`Self::centred`].
    pub fn uncentred(&mut self, colour: &str) -> String {
        let mean = self.mean();
        let levels = self.add("shifted", colour, &mean);
        self.scaled("upscaled", "Div", &levels, 255.0)
    }

    /// The two fixed mean shifts of the originals, 24 numbers there, are constants here.
    fn mean(&mut self) -> String {
        let mean = Tensor::f32(&[1, 3, 1, 1], MEAN.map(|value| value * 255.0)).expect("three colours");
        self.graph.constant("mean", mean)
    }

    /// From [0, 1] to [-1, 1].
    pub fn signed(&mut self, image: &str) -> String {
        let doubled = self.scaled("doubled", "Mul", image, 2.0);
        self.scaled("signed", "Sub", &doubled, 1.0)
    }

    /// Back from [`Self::signed`].
    pub fn unsigned(&mut self, colour: &str) -> String {
        let doubled = self.scaled("shifted", "Add", colour, 1.0);
        self.scaled("upscaled", "Div", &doubled, 2.0)
    }
}
