//! What a validation finds.

use serde::{Deserialize, Serialize};

/// Means over the images of a validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    /// Steps done.
    pub step: u64,
    /// Images.
    pub images: usize,
    /// Whether they are among those that were trained on, for want of others.
    #[serde(default)]
    pub training: bool,
    /// PSNR on luma, in dB.
    pub psnr: f64,
    /// SSIM on luma.
    pub ssim: f64,
    /// SR PSNR in dB under I-FGSM of 4/255 in 10 steps, on the middle of every image.
    pub attacked: f64,
    /// Bits per element of Phi, by a histogram with bins of width delta for every channel.
    pub entropy: f64,
    /// The standard deviation of Phi.
    pub spread: f64,
    /// The standard deviation of every channel of Phi: channels that collapse under the entropy loss are seen.
    #[serde(default)]
    pub channel_spreads: Vec<f64>,
    /// How much what follows Phi amplifies noise in it: the root mean square of the change of the output, in
    /// 1/255, over that of uniform noise of the noise's width in Phi.
    #[serde(default)]
    pub gain: f64,
    /// A histogram of Phi, of all channels: pairs of a bin's middle and its share of the elements. What lies farther
    /// out than all but a thousandth counts to the bins at the ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<[f64; 2]>,
}

impl Validated {
    /// What the best network maximises: clean PSNR; for a foreign network, which was trained before, the sum
    /// of clean and attacked PSNR.
    pub(in crate::harden) fn score(&self, foreign: bool) -> f64 {
        if foreign { self.psnr + self.attacked } else { self.psnr }
    }
}
