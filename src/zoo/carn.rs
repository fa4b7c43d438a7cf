//! CARN (Ahn et al., ECCV 2018): blocks within blocks, each level cascading: every stage reads what
//! all stages before it gave, through a 1 x 1 convolution. And CARN-M, its mobile variant, with
//! grouped convolutions whose weights the blocks of a cascade share.
//!
//! There are three blocks of three. A network here has the upsampler of its own scale; the
//! original carries those of all scales in one file. Inside, pixels are on [0, 255] with DIV2K's
//! mean colour taken off. Initial weights are PyTorch's defaults, as in the authors' code, and not
//! 1 / sqrt(c_in) as in their text, which does not count the kernel and would let signals grow.

use super::net::{Conv, Net, Parameters, Taps};
use super::{ZooError, check_scale, check_size};
use crate::onnx::Model;

/// Stages of a cascade.
const STAGES: usize = 3;

/// The settings of a CARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carn {
    /// Channels of the feature maps.
    pub features: usize,
    /// Groups of the 3 x 3 convolutions: 1 is CARN, more is CARN-M (the original's has 4).
    pub groups: usize,
    /// 2, 3 or 4.
    pub scale: usize,
}

impl Carn {
    /// The original's size: 1,111,875 parameters at scale 4.
    pub const fn full(scale: usize) -> Self {
        Self { features: 64, groups: 1, scale }
    }

    /// CARN-M: 294,147 parameters at scale 4.
    pub const fn mobile(scale: usize) -> Self {
        Self { features: 64, groups: 4, scale }
    }

    /// The network with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`ZooError`] for a scale other than 2, 3 and 4, a size beyond any published one, or groups
    /// that do not divide the features.
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        let Self { features, groups, scale } = self;
        check_scale("CARN", scale, &[2, 3, 4])?;
        check_size("CARN", &[("features", features), ("groups", groups)])?;
        if !features.is_multiple_of(groups) {
            return Err(ZooError(format!("CARN's {features} features do not divide into {groups} groups")));
        }
        let mut net = Net::new("carn", seed);
        let first = net.head(features);
        let last = self.cascade(&mut net, "body", &first, |net, name, input| self.block(net, name, input));
        let large = self.upsample(&mut net, &last);
        Ok(net.tail(&large, features, Taps { first, last }, scale))
    }

    /// Three stages; what each gives is joined to all before it and fused to be the next one's input.
    fn cascade(
        self,
        net: &mut Net,
        name: &str,
        input: &str,
        mut stage: impl FnMut(&mut Net, &str, &str) -> String,
    ) -> String {
        let (mut value, mut joined) = (input.to_owned(), input.to_owned());
        for index in 0..STAGES {
            let name = format!("{name}.{index}");
            let given = stage(net, &name, &value);
            joined = net.concat(&format!("{name}.joined"), &[&joined, &given]);
            let fusion = Conv::new(1, (index + 2) * self.features, self.features);
            let fused = net.conv(&format!("{name}.fusion"), &joined, fusion);
            value = net.relu(&format!("{name}.fused"), &fused);
        }
        value
    }

    /// A cascade of residual blocks.
    fn block(self, net: &mut Net, name: &str, input: &str) -> String {
        let mut shared = None;
        self.cascade(net, name, input, |net, stage, input| {
            if self.groups == 1 {
                let own = self.residual_parameters(net, stage);
                return self.residual(net, stage, input, &own);
            }
            let own = shared.get_or_insert_with(|| self.residual_parameters(net, &format!("{name}.shared")));
            self.residual(net, stage, input, own)
        })
    }

    /// The convolutions of a residual block: two, and in CARN-M one of 1 x 1 that mixes the groups.
    fn convolutions(self) -> Vec<Conv> {
        let spatial = Conv::new(3, self.features, self.features).groups(self.groups);
        match self.groups {
            1 => vec![spatial; 2],
            _ => vec![spatial, spatial, Conv::new(1, self.features, self.features)],
        }
    }

    fn residual_parameters(self, net: &mut Net, name: &str) -> Vec<Parameters> {
        let named = self.convolutions().into_iter().enumerate();
        named.map(|(index, conv)| net.parameters(&format!("{name}.{index}"), conv)).collect()
    }

    fn residual(self, net: &mut Net, name: &str, input: &str, parameters: &[Parameters]) -> String {
        let mut value = input.to_owned();
        for (index, (conv, by)) in self.convolutions().into_iter().zip(parameters).enumerate() {
            if index > 0 {
                value = net.relu(&format!("{name}.{}.relu", index - 1), &value);
            }
            value = net.apply(&format!("{name}.{index}"), &value, conv, by);
        }
        let sum = net.add(&format!("{name}.add"), &value, input);
        net.relu(&format!("{name}.relu"), &sum)
    }

    fn upsample(self, net: &mut Net, input: &str) -> String {
        net.upsample_by(input, self.scale, |net, name, value, factor| {
            let conv = Conv::new(3, self.features, self.features * factor * factor).groups(self.groups);
            let wide = net.conv(name, value, conv);
            let active = net.relu(&format!("{name}.relu"), &wide);
            net.shuffle(&format!("{name}.shuffle"), &active, factor)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::check;
    use crate::zoo::{conv_size as conv, parameter_count};

    /// What a cascade fuses by: 1 x 1 from two, three and four maps to one.
    const FUSIONS: usize = conv(1, 128, 64) + conv(1, 192, 64) + conv(1, 256, 64);
    const ENDS: usize = conv(3, 3, 64) + conv(3, 64, 3);

    fn counts(network: fn(usize) -> Carn) -> [usize; 3] {
        [2, 3, 4].map(|scale| parameter_count(&network(scale).build(0).unwrap()))
    }

    /// The paper's 1,592K count the upsamplers of all three scales; a network here has one.
    #[test]
    fn the_number_of_parameters_is_the_originals() {
        let body = ENDS + 3 * (3 * 2 * conv(3, 64, 64) + FUSIONS) + FUSIONS;
        let upsamplers = [conv(3, 64, 256), conv(3, 64, 576), 2 * conv(3, 64, 256)];
        let found = counts(Carn::full);
        assert_eq!(found, upsamplers.map(|upsampler| body + upsampler));
        assert_eq!(found, [964_163, 1_148_803, 1_111_875]);
        assert_eq!(body + upsamplers.iter().sum::<usize>(), 1_591_939);
    }

    /// Four groups: a quarter of the weights, and one residual block for the three of a cascade.
    #[test]
    fn the_mobile_variant_shares_and_groups() {
        let grouped = |outputs: usize| 9 * 16 * outputs + outputs;
        let block = 2 * grouped(64) + conv(1, 64, 64) + FUSIONS;
        let body = ENDS + 3 * block + FUSIONS;
        let upsamplers = [grouped(256), grouped(576), 2 * grouped(256)];
        let found = counts(Carn::mobile);
        assert_eq!(found, upsamplers.map(|upsampler| body + upsampler));
        assert_eq!(found[2], 294_147);
        let model = Carn { features: 8, ..Carn::mobile(3) }.build(1).unwrap();
        assert_eq!(check(&model), Ok(()));
        assert_eq!(model.graph.nodes.iter().filter(|node| node.op == "Conv").count(), 3 * 3 * 3 + 12 + 3);
    }
}
