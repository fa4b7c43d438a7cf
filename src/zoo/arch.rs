//! The networks by name, their sizes, and what their originals were trained with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Carn, Edsr, Msrn, Rcan, SrResNet, ZooError};
use crate::onnx::Model;

/// A network of the zoo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// EDSR, the baseline (Lim et al. 2017).
    #[default]
    Edsr,
    /// SRResNet (Ledig et al. 2017).
    SrResNet,
    /// SRGAN's generator, which is SRResNet, trained against a discriminator (Ledig et al. 2017).
    Srgan,
    /// RCAN (Zhang et al. 2018).
    Rcan,
    /// MSRN (Li et al. 2018).
    Msrn,
    /// CARN (Ahn et al. 2018).
    Carn,
}

/// How large a network is where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// As the original.
    #[default]
    Full,
    /// Small enough to train on a CPU in minutes.
    Small,
}

/// L_r of eq. (2): what an output is compared with its target by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// The mean absolute difference of pixels on [0, 255].
    L1,
    /// The mean squared difference of pixels on [-1, 1].
    L2,
}

impl Arch {
    /// Every network, in the order of the paper.
    pub const ALL: [Self; 6] = [Self::Edsr, Self::SrResNet, Self::Srgan, Self::Rcan, Self::Msrn, Self::Carn];

    /// The name that flags and files know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edsr => "edsr",
            Self::SrResNet => "srresnet",
            Self::Srgan => "srgan",
            Self::Rcan => "rcan",
            Self::Msrn => "msrn",
            Self::Carn => "carn",
        }
    }

    /// The scales that the original has.
    pub const fn scales(self) -> &'static [usize] {
        match self {
            Self::SrResNet | Self::Srgan => &[2, 4],
            Self::Edsr | Self::Rcan | Self::Msrn | Self::Carn => &[2, 3, 4],
        }
    }

    /// The reconstruction loss of the paper's Sec. 4.1.
    pub const fn loss(self) -> Loss {
        match self {
            Self::SrResNet | Self::Srgan => Loss::L2,
            Self::Edsr | Self::Rcan | Self::Msrn | Self::Carn => Loss::L1,
        }
    }

    /// The weight of the entropy loss in the paper's Sec. 4.3.
    pub const fn lambda(self) -> f64 {
        match self.loss() {
            Loss::L1 => 1.0,
            Loss::L2 => 0.1,
        }
    }

    /// Whether it is trained against a discriminator.
    pub const fn adversarial(self) -> bool {
        matches!(self, Self::Srgan)
    }

    /// Channels of the feature maps.
    pub const fn features(self, preset: Preset) -> usize {
        match (preset, self) {
            (Preset::Full, _) => 64,
            (Preset::Small, Self::Msrn) => 8,
            (Preset::Small, _) => 16,
        }
    }

    /// Blocks (of RCAN: in each group); none where their number is part of the design.
    pub const fn blocks(self, preset: Preset) -> Option<usize> {
        Some(match (preset, self) {
            (_, Self::Carn) => return None,
            (Preset::Full, Self::Edsr | Self::SrResNet | Self::Srgan) => 16,
            (Preset::Full, Self::Rcan) => 20,
            (Preset::Full, Self::Msrn) => 8,
            (Preset::Small, Self::Edsr | Self::SrResNet | Self::Srgan) => 4,
            (Preset::Small, Self::Rcan | Self::Msrn) => 2,
        })
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = ZooError;

    fn from_str(name: &str) -> Result<Self, ZooError> {
        Self::ALL.into_iter().find(|arch| arch.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            ZooError(format!("no network is called `{name}`; there are {names}"))
        })
    }
}

/// A network with its size: what `build` needs beside a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Which one.
    pub arch: Arch,
    /// How large, where the next two do not say.
    pub preset: Preset,
    /// Channels of the feature maps, unless the preset's.
    pub features: Option<usize>,
    /// Blocks, unless the preset's.
    pub blocks: Option<usize>,
    /// One of [`Arch::scales`].
    pub scale: usize,
}

impl Network {
    /// The graph, with weights drawn from `seed`.
    ///
    /// # Errors
    /// [`ZooError`] where there is no such network: another scale, a size beyond any published one,
    /// a number of blocks for a network whose design has one.
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        let Self { arch, preset, scale, .. } = self;
        let features = self.features.unwrap_or(arch.features(preset));
        let blocks = match (arch.blocks(preset), self.blocks) {
            (None, Some(_)) => {
                let what =
                    format!("{arch} has three blocks of three by design; leave the number of blocks out");
                return Err(ZooError(what));
            }
            (preset, given) => given.or(preset).unwrap_or_default(),
        };
        match arch {
            Arch::Edsr => Edsr { features, blocks, scale }.build(seed),
            Arch::SrResNet | Arch::Srgan => SrResNet { features, blocks, scale }.build(seed),
            Arch::Rcan => {
                let (groups, reduction) = match preset {
                    Preset::Full => (10, 16),
                    Preset::Small => (2, 4),
                };
                Rcan { features, groups, blocks, reduction, scale }.build(seed)
            }
            Arch::Msrn => Msrn { features, blocks, scale }.build(seed),
            Arch::Carn => Carn { features, groups: 1, scale }.build(seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::check;
    use crate::zoo::{SCALE, TAP, TAP_FIRST};

    fn network(arch: Arch, preset: Preset, scale: usize) -> Network {
        Network { arch, preset, features: None, blocks: None, scale }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse(), Ok(arch));
            assert_eq!(serde_json::to_string(&arch).unwrap(), format!("\"{arch}\""));
        }
        let unknown = "srgam".parse::<Arch>().unwrap_err().to_string();
        assert_eq!(
            unknown,
            "no network is called `srgam`; there are edsr, srresnet, srgan, rcan, msrn, carn"
        );
    }

    #[test]
    fn every_scale_is_a_valid_graph_whose_taps_are_written() {
        for arch in Arch::ALL {
            for &scale in arch.scales() {
                let model = network(arch, Preset::Small, scale).build(1).unwrap();
                assert_eq!(check(&model), Ok(()), "{arch} x{scale}");
                assert_eq!(model.metadata[SCALE], scale.to_string());
                let written = |name: &str| model.graph.nodes.iter().any(|node| node.outputs[0] == name);
                assert!(
                    written(&model.metadata[TAP]) && written(&model.metadata[TAP_FIRST]),
                    "{arch} x{scale}"
                );
                assert_eq!(model, network(arch, Preset::Small, scale).build(1).unwrap());
                assert_ne!(model, network(arch, Preset::Small, scale).build(2).unwrap());
            }
        }
    }

    #[test]
    fn the_full_presets_are_the_originals() {
        let full = |arch| network(arch, Preset::Full, 4).build(0).unwrap();
        assert!(full(Arch::Edsr) == Edsr::baseline(4).build(0).unwrap());
        assert!(full(Arch::SrResNet) == SrResNet::full(4).build(0).unwrap());
        assert!(full(Arch::Srgan) == SrResNet::full(4).build(0).unwrap());
        assert!(full(Arch::Rcan) == Rcan::full(4).build(0).unwrap());
        assert!(full(Arch::Msrn) == Msrn::full(4).build(0).unwrap());
        assert!(full(Arch::Carn) == Carn::full(4).build(0).unwrap());
    }

    #[test]
    fn what_no_network_has_is_refused() {
        let refusal = |network: Network| network.build(0).unwrap_err().to_string();
        for arch in Arch::ALL {
            let small = network(arch, Preset::Small, 4);
            assert!(refusal(Network { scale: 5, ..small }).contains("not 5"), "{arch}");
            assert!(refusal(Network { scale: 0, ..small }).contains("not 0"), "{arch}");
            assert!(refusal(Network { features: Some(0), ..small }).contains("features, not 0"), "{arch}");
            let blocks = refusal(Network { blocks: Some(0), ..small });
            assert!(blocks.contains("blocks, not 0") || blocks.contains("by design"), "{arch}: {blocks}");
        }
        let three = refusal(network(Arch::Srgan, Preset::Small, 3));
        assert_eq!(three, "SRResNet has scales 2 and 4, not 3");
        let wide = Network { features: Some(1 << 20), ..network(Arch::Rcan, Preset::Small, 2) };
        assert_eq!(refusal(wide), "RCAN takes 1 to 4096 features, not 1048576");
        let odd = Carn { features: 10, groups: 4, scale: 2 }.build(0).unwrap_err().to_string();
        assert_eq!(odd, "CARN's 10 features do not divide into 4 groups");
    }

    #[test]
    fn losses_and_lambdas_are_the_papers() {
        for arch in Arch::ALL {
            let expected = match arch {
                Arch::SrResNet | Arch::Srgan => (Loss::L2, 0.1),
                _ => (Loss::L1, 1.0),
            };
            assert_eq!((arch.loss(), arch.lambda()), expected);
        }
    }
}
