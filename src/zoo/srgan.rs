//! SRGAN (Ledig et al., CVPR 2017): SRResNet as the generator, and the discriminator of Fig. 4.
//!
//! The original's dense layers read the 6 x 6 map that its crops of 96 x 96 leave, and so take no
//! other size. Here the map is averaged over its pixels first, so that a discriminator takes crops
//! of any size; its first dense layer has 512 x 1024 weights instead of 18,432 x 1024.

use super::net::{Conv, Net};
use super::{ZooError, check_size};
use crate::onnx::{Attribute, DType, Dim, Model, ValueInfo};

/// The slope of the rectifiers below zero.
const SLOPE: f32 = 0.2;
/// Channels, as multiples of the first block's, and stride of every convolution.
const BLOCKS: [(usize, usize); 8] = [(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)];
/// The hidden dense layer, as a multiple of the first block's channels.
const DENSE: usize = 16;

/// The settings of SRGAN's discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discriminator {
    /// Channels of the first block; the last has eight times as many.
    pub features: usize,
}

impl Discriminator {
    /// The original's size, but for its dense layer: 5,215,425 parameters.
    pub const FULL: Self = Self { features: 64 };

    /// The network with weights drawn from `seed`: RGB images in [0, 1] (N, 3, H, W) to one logit
    /// each (N, 1), above 0 for what it holds to be a photograph.
    ///
    /// # Errors
    /// [`ZooError`] for a size beyond any published one.
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        check_size("SRGAN's discriminator", &[("features", self.features)])?;
        let mut net = Net::new("srgan.discriminator", seed);
        let image = net.image();
        let (mut value, mut channels) = (net.signed(&image), 3);
        for (block, (times, stride)) in BLOCKS.into_iter().enumerate() {
            let outputs = self.features * times;
            let name = format!("body.{block}");
            value = net.conv(&name, &value, Conv::new(3, channels, outputs).stride(stride));
            if block > 0 {
                value = net.batch_norm(&format!("{name}.norm"), &value, outputs);
            }
            value = leaky(&mut net, &format!("{name}.relu"), &value);
            channels = outputs;
        }
        let pooled = net.graph.node("GlobalAveragePool", "pooled", &[&value], []);
        let flat = net.graph.node("Flatten", "flat", &[&pooled], []);
        let dense = net.linear("dense", &flat, channels, self.features * DENSE);
        let active = leaky(&mut net, "dense.relu", &dense);
        let logit = net.linear("logit", &active, self.features * DENSE, 1);
        net.graph.output(ValueInfo::tensor(logit, DType::F32, [Dim::from("N"), Dim::Known(1)]));
        Ok(net.finish())
    }
}

fn leaky(net: &mut Net, name: &str, input: &str) -> String {
    net.graph.node("LeakyRelu", name, &[input], [("alpha", Attribute::Float(SLOPE))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::check;
    use crate::zoo::parameter_count;

    #[test]
    fn the_number_of_parameters_is_the_originals_but_for_the_averaged_map() {
        let conv = |inputs: usize, outputs: usize| 9 * inputs * outputs + outputs;
        let widths = [64, 64, 128, 128, 256, 256, 512, 512];
        let convolutions: usize =
            conv(3, 64) + widths.windows(2).map(|pair| conv(pair[0], pair[1])).sum::<usize>();
        let norms: usize = widths[1..].iter().map(|width| 2 * width).sum();
        let dense = |inputs: usize| inputs * 1024 + 1024 + 1024 + 1;
        let original = convolutions + norms + dense(6 * 6 * 512);
        assert_eq!(original, 23_565_505);
        let found = parameter_count(&Discriminator::FULL.build(0).unwrap());
        assert_eq!(found, original - (6 * 6 - 1) * 512 * 1024);
        assert_eq!(found, 5_215_425);
    }

    #[test]
    fn it_is_a_valid_graph_of_eight_convolutions() {
        let model = Discriminator { features: 2 }.build(1).unwrap();
        assert_eq!(check(&model), Ok(()));
        let count = |op: &str| model.graph.nodes.iter().filter(|node| node.op == op).count();
        assert_eq!([count("Conv"), count("BatchNormalization"), count("LeakyRelu")], [8, 7, 9]);
        let refused = Discriminator { features: 0 }.build(1).unwrap_err().to_string();
        assert_eq!(refused, "SRGAN's discriminator takes 1 to 4096 features, not 0");
    }
}
