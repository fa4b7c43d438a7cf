//! RCAN (Zhang et al., ECCV 2018): residual groups of residual blocks, whose channels are weighed by
//! what a small network makes of their means.
//!
//! Inside, pixels are on [0, 255] with DIV2K's mean colour taken off, as the original has them.

use super::net::{Conv, Net, Taps};
use super::{ZooError, check_scale, check_size};
use crate::onnx::Model;

/// The settings of an RCAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rcan {
    /// Channels of the feature maps.
    pub features: usize,
    /// Residual groups.
    pub groups: usize,
    /// Channel-attention blocks in each group.
    pub blocks: usize,
    /// How many times fewer channels the attention has in its middle.
    pub reduction: usize,
    /// 2, 3 or 4.
    pub scale: usize,
}

impl Rcan {
    /// The original's size: 15,592,355 trained parameters at scale 4.
    pub const fn full(scale: usize) -> Self {
        Self { features: 64, groups: 10, blocks: 20, reduction: 16, scale }
    }

    /// The network with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`ZooError`] for a scale other than 2, 3 and 4, or a size beyond any published one.
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        let Self { features, groups, blocks, reduction, scale } = self;
        check_scale("RCAN", scale, &[2, 3, 4])?;
        let sizes =
            [("features", features), ("groups", groups), ("blocks", blocks), ("reduction", reduction)];
        check_size("RCAN", &sizes)?;
        let wide = Conv::new(3, features, features);
        let mut net = Net::new("rcan", seed);
        let first = net.head(features);
        let mut value = first.clone();
        for group in 0..groups {
            value = self.group(&mut net, &format!("body.{group}"), &value);
        }
        let body = net.conv("body.out", &value, wide);
        let last = net.add("features", &body, &first);
        let large = net.upsample(&last, features, scale);
        Ok(net.tail(&large, features, Taps { first, last }, scale))
    }

    fn group(self, net: &mut Net, name: &str, input: &str) -> String {
        let mut value = input.to_owned();
        for block in 0..self.blocks {
            value = self.block(net, &format!("{name}.{block}"), &value);
        }
        let out = net.conv(&format!("{name}.out"), &value, Conv::new(3, self.features, self.features));
        net.add(&format!("{name}.add"), &out, input)
    }

    fn block(self, net: &mut Net, name: &str, input: &str) -> String {
        let conv = Conv::new(3, self.features, self.features);
        let first = net.conv(&format!("{name}.0"), input, conv);
        let active = net.relu(&format!("{name}.relu"), &first);
        let second = net.conv(&format!("{name}.1"), &active, conv);
        let weighed = self.attention(net, &format!("{name}.attention"), &second);
        net.add(&format!("{name}.add"), &weighed, input)
    }

    /// Each channel times a number in (0, 1) that depends on the means of all.
    fn attention(self, net: &mut Net, name: &str, input: &str) -> String {
        let narrow = (self.features / self.reduction).max(1);
        let means = net.graph.node("GlobalAveragePool", &format!("{name}.means"), &[input], []);
        let squeezed = net.conv(&format!("{name}.0"), &means, Conv::new(1, self.features, narrow));
        let active = net.relu(&format!("{name}.relu"), &squeezed);
        let widened = net.conv(&format!("{name}.1"), &active, Conv::new(1, narrow, self.features));
        let weights = net.graph.node("Sigmoid", &format!("{name}.weights"), &[&widened], []);
        net.graph.node("Mul", name, &[input, &weights], [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{conv_size as conv, parameter_count};

    #[test]
    fn the_number_of_parameters_is_the_originals() {
        let wide = conv(3, 64, 64);
        let block = 2 * wide + conv(1, 64, 4) + conv(1, 4, 64);
        let body = conv(3, 3, 64) + 10 * (20 * block + wide) + wide + conv(3, 64, 3);
        let count = |scale| parameter_count(&Rcan::full(scale).build(0).unwrap());
        assert_eq!(count(2), body + conv(3, 64, 256));
        assert_eq!(count(3), body + conv(3, 64, 576));
        assert_eq!(count(4), body + 2 * conv(3, 64, 256));
        assert_eq!(count(4), 15_592_355);
    }

    #[test]
    fn the_mean_shifts_are_fixed() {
        let model = Rcan { groups: 1, blocks: 1, ..Rcan::full(2) }.build(0).unwrap();
        let constants = model.graph.nodes.iter().filter(|node| node.op == "Constant");
        assert_eq!(constants.count(), 4);
        assert!(model.graph.initializers.keys().all(|name| !name.contains("mean")));
    }
}
