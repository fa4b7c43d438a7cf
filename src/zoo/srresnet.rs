//! SRResNet (Ledig et al., CVPR 2017, Fig. 4): residual blocks with BatchNormalization, parametric
//! rectifiers, and 9 x 9 convolutions at both ends. It is SRGAN's generator too.
//!
//! Inside, pixels are on [-1, 1], and the way there and back is part of the graph. The paper gives
//! no number of parameters; every convolution has a bias and a rectifier one slope here, PyTorch's
//! defaults. Deliberately absent: a squashing function at the end, which the paper has not either.

use super::net::{Conv, Net, Taps};
use super::{ZooError, check_scale, check_size};
use crate::onnx::Model;

/// The settings of an SRResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrResNet {
    /// Channels of the feature maps.
    pub features: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// 2 or 4.
    pub scale: usize,
}

impl SrResNet {
    /// The original's size: 1,549,462 parameters at scale 4.
    pub const fn full(scale: usize) -> Self {
        Self { features: 64, blocks: 16, scale }
    }

    /// The network with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`ZooError`] for a scale other than 2 and 4, or a size beyond any published one.
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        let Self { features, blocks, scale } = self;
        check_scale("SRResNet", scale, &[2, 4])?;
        check_size("SRResNet", &[("features", features), ("blocks", blocks)])?;
        let mut net = Net::new("srresnet", seed);
        let image = net.image();
        let signed = net.signed(&image);
        let head = net.conv("head", &signed, Conv::new(9, 3, features));
        let first = net.prelu("head.prelu", &head);
        let mut value = first.clone();
        for block in 0..blocks {
            value = residual(&mut net, &format!("body.{block}"), &value, features);
        }
        let body = normalised(&mut net, "body.out", &value, features);
        let last = net.add("features", &body, &first);
        let large = upsample(&mut net, &last, features, scale);
        let colour = net.conv("tail", &large, Conv::new(9, features, 3));
        let output = net.unsigned(&colour);
        Ok(net.upscaler(output, Taps { first, last }, scale))
    }
}

fn residual(net: &mut Net, name: &str, input: &str, features: usize) -> String {
    let first = normalised(net, &format!("{name}.0"), input, features);
    let active = net.prelu(&format!("{name}.prelu"), &first);
    let second = normalised(net, &format!("{name}.1"), &active, features);
    net.add(&format!("{name}.add"), &second, input)
}

fn normalised(net: &mut Net, name: &str, input: &str, features: usize) -> String {
    let conv = net.conv(name, input, Conv::new(3, features, features));
    net.batch_norm(&format!("{name}.norm"), &conv, features)
}

fn upsample(net: &mut Net, input: &str, features: usize, scale: usize) -> String {
    net.upsample_by(input, scale, |net, name, value, factor| {
        let wide = net.conv(name, value, Conv::new(3, features, features * factor * factor));
        let large = net.shuffle(&format!("{name}.shuffle"), &wide, factor);
        net.prelu(&format!("{name}.prelu"), &large)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::check;
    use crate::zoo::{TAP, TAP_FIRST, conv_size as conv, parameter_count};

    #[test]
    fn the_number_of_parameters_is_that_of_the_published_layers() {
        let normalised = conv(3, 64, 64) + 2 * 64;
        // Two convolutions with their norms, and one slope between them.
        let block = 2 * normalised + 1;
        let body = conv(9, 3, 64) + 1 + 16 * block + normalised + conv(9, 64, 3);
        let step = conv(3, 64, 256) + 1;
        let count = |scale| parameter_count(&SrResNet::full(scale).build(0).unwrap());
        assert_eq!((count(2), count(4)), (body + step, body + 2 * step));
        assert_eq!(count(4), 1_549_462);
    }

    #[test]
    fn running_statistics_are_in_the_file_and_not_trained() {
        let model = SrResNet { features: 3, blocks: 1, scale: 2 }.build(0).unwrap();
        assert_eq!(check(&model), Ok(()));
        let all: usize = model.graph.initializers.values().map(|tensor| tensor.len()).sum();
        // A mean and a variance for each of 3 channels of 3 norms.
        assert_eq!(all - parameter_count(&model), 2 * 3 * 3);
        assert_eq!(
            (model.metadata[TAP_FIRST].as_str(), model.metadata[TAP].as_str()),
            ("head.prelu", "features")
        );
    }
}
