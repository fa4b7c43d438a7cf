//! MSRN (Li et al., ECCV 2018): blocks that see with 3 x 3 and 5 x 5 kernels side by side, all of
//! whose results are fused before upsampling.
//!
//! Inside, pixels are on [0, 255] with DIV2K's mean colour taken off, as the original has them in
//! the version for colour images. The paper's blocks have 64 features and there are 8.

use super::net::{Conv, Net, Taps};
use super::{ZooError, check_scale, check_size};
use crate::onnx::Model;

/// The settings of an MSRN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msrn {
    /// Channels of the feature maps.
    pub features: usize,
    /// Multi-scale blocks.
    pub blocks: usize,
    /// 2, 3 or 4.
    pub scale: usize,
}

impl Msrn {
    /// The original's size: 6,078,019 parameters at scale 4.
    pub const fn full(scale: usize) -> Self {
        Self { features: 64, blocks: 8, scale }
    }

    /// The network with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`ZooError`] for a scale other than 2, 3 and 4, or a size beyond any published one.
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        let Self { features, blocks, scale } = self;
        check_scale("MSRN", scale, &[2, 3, 4])?;
        check_size("MSRN", &[("features", features), ("blocks", blocks)])?;
        let mut net = Net::new("msrn", seed);
        let first = net.head(features);
        let mut levels = vec![first.clone()];
        for block in 0..blocks {
            let level = multi_scale(&mut net, &format!("body.{block}"), &levels[block], features);
            levels.push(level);
        }
        let all: Vec<&str> = levels.iter().map(String::as_str).collect();
        let joined = net.concat("levels.joined", &all);
        let fused = net.conv("fusion", &joined, Conv::new(1, features * (blocks + 1), features));
        let last = net.conv("features", &fused, Conv::new(3, features, features));
        let large = net.upsample(&last, features, scale);
        Ok(net.tail(&large, features, Taps { first, last }, scale))
    }
}

/// Two layers of both kernels, each reading both results of the layer before, fused by 1 x 1.
fn multi_scale(net: &mut Net, name: &str, input: &str, features: usize) -> String {
    let narrow = both_kernels(net, &format!("{name}.0"), input, features);
    let wide = both_kernels(net, &format!("{name}.1"), &narrow, 2 * features);
    let fused = net.conv(&format!("{name}.fusion"), &wide, Conv::new(1, 4 * features, features));
    net.add(&format!("{name}.add"), &fused, input)
}

fn both_kernels(net: &mut Net, name: &str, input: &str, channels: usize) -> String {
    let [three, five] = [3, 5].map(|kernel| {
        let name = format!("{name}.{kernel}x{kernel}");
        let seen = net.conv(&name, input, Conv::new(kernel, channels, channels));
        net.relu(&format!("{name}.relu"), &seen)
    });
    net.concat(&format!("{name}.joined"), &[&three, &five])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{conv_size as conv, parameter_count};

    /// The original's numbers are quoted as 5,930K, 6,114K and 6,078K at scales 2, 3 and 4.
    #[test]
    fn the_number_of_parameters_is_the_originals() {
        let narrow = conv(3, 64, 64) + conv(5, 64, 64);
        let wide = conv(3, 128, 128) + conv(5, 128, 128);
        let block = narrow + wide + conv(1, 256, 64);
        assert_eq!(block, 36_928 + 102_464 + 147_584 + 409_728 + 16_448);
        // Nine levels are fused: what the head gives, and what each of the eight blocks gives.
        let fusion = conv(1, 9 * 64, 64) + conv(3, 64, 64);
        let body = conv(3, 3, 64) + 8 * block + fusion + conv(3, 64, 3);
        let count = |scale| parameter_count(&Msrn::full(scale).build(0).unwrap());
        assert_eq!(count(2), body + conv(3, 64, 256));
        assert_eq!(count(3), body + conv(3, 64, 576));
        assert_eq!(count(4), body + 2 * conv(3, 64, 256));
        assert_eq!([count(2), count(3), count(4)], [5_930_307, 6_114_947, 6_078_019]);
    }
}
