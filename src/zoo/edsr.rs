//! EDSR (Lim et al., CVPRW 2017): residual blocks without normalisation, then sub-pixel upsampling.
//!
//! The baseline has 16 blocks of 64 features and no residual scaling. Inside, pixels are on
//! [0, 255] with DIV2K's mean colour taken off, and both are part of the graph.

use super::net::{Conv, Net, Taps};
use super::{ZooError, check_scale, check_size};
use crate::onnx::Model;

/// The settings of an EDSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edsr {
    /// Channels of the feature maps.
    pub features: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// 2, 3 or 4.
    pub scale: usize,
}

impl Edsr {
    /// The baseline of the original paper: 1,517,571 parameters at scale 4.
    pub const fn baseline(scale: usize) -> Self {
        Self { features: 64, blocks: 16, scale }
    }

    /// The network with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`ZooError`] for a scale other than 2, 3 and 4, or a size beyond any published one.
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        let Self { features, blocks, scale } = self;
        check_scale("EDSR", scale, &[2, 3, 4])?;
        check_size("EDSR", &[("features", features), ("blocks", blocks)])?;
        let wide = Conv::new(3, features, features);
        let mut net = Net::new("edsr", seed);
        let first = net.head(features);
        let mut value = first.clone();
        for block in 0..blocks {
            value = residual(&mut net, &format!("body.{block}"), &value, wide);
        }
        let body = net.conv("body.out", &value, wide);
        let last = net.add("features", &body, &first);
        let large = net.upsample(&last, features, scale);
        Ok(net.tail(&large, features, Taps { first, last }, scale))
    }
}

fn residual(net: &mut Net, name: &str, input: &str, conv: Conv) -> String {
    let first = net.conv(&format!("{name}.0"), input, conv);
    let active = net.relu(&format!("{name}.relu"), &first);
    let second = net.conv(&format!("{name}.1"), &active, conv);
    net.add(&format!("{name}.add"), &second, input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::check;
    use crate::zoo::{TAP, TAP_FIRST, parameter_count};

    #[test]
    fn the_baseline_has_the_published_number_of_parameters() {
        let count = |scale| parameter_count(&Edsr::baseline(scale).build(0).unwrap());
        assert_eq!(count(4), 1_517_571);
        // One upsampling convolution less, and 9 x 64 channels instead of 4 x 64 at scale 3.
        assert_eq!(count(2), 1_517_571 - 147_712);
        assert_eq!(count(3), 1_517_571 - 2 * 147_712 + 64 * 576 * 9 + 576);
    }

    #[test]
    fn every_setting_is_a_valid_graph() {
        for scale in 2..=4 {
            let model = Edsr { features: 5, blocks: 2, scale }.build(1).unwrap();
            assert_eq!(check(&model), Ok(()));
            assert_eq!(
                (model.metadata[TAP].as_str(), model.metadata[TAP_FIRST].as_str()),
                ("features", "head")
            );
        }
    }

    #[test]
    fn weights_follow_the_seed() {
        let build = |seed| Edsr { features: 4, blocks: 1, scale: 2 }.build(seed).unwrap();
        assert_eq!(build(7), build(7));
        assert_ne!(build(7), build(8));
    }

    #[test]
    fn impossible_settings_are_refused() {
        for (features, blocks, scale) in [(64, 16, 5), (0, 16, 4), (64, 0, 4), (1 << 20, 1, 2)] {
            assert!(Edsr { features, blocks, scale }.build(0).is_err());
        }
    }
}
