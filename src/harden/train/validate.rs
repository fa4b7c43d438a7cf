//! Validation between steps: clean PSNR and SSIM on luma, SR PSNR under a short attack, and the
//! entropy of Phi by counting.
//!
//! Quick, and no audit: the middle of every image, ten steps of I-FGSM by autograd. The entropy is a
//! histogram's with bins of width delta, so that networks without an estimator have one too.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::adversary::Adversary;
use super::trainer::Trainer;
use super::validated::Validated;
use crate::harden::HardenError;
use crate::harden::data::{self, Dataset, ImagePair, Part};
use crate::image::load;
use crate::metric::{clean_quality, crop_to_multiple, downscale_8_bit, psnr, smallest_side};
use crate::torch::{self, Tensor};
use ndarray::{Array3, Array4, ArrayView3, Axis, Ix4, s};

/// The most LR pixels a side that are evaluated, and attacked.
const EVALUATED: usize = 256;
const ATTACKED: usize = 48;
/// The same, and how many images, where training images stand in.
const EVALUATED_OF_TRAINING: usize = 96;
const IMAGES_OF_TRAINING: usize = 3;
/// The attack: a budget in 1/255 and its steps.
const BUDGET: f64 = 4.0;
const STEPS: u32 = 10;
/// The most bins of a histogram.
const BARS: i64 = 64;

/// Images to validate on.
pub(in crate::harden) struct Validation {
    /// LR and HR images (3, H, W) on [0, 1].
    pairs: Vec<(Array3<f32>, Array3<f32>)>,
    training: bool,
    adversary: Adversary,
}

impl Validation {
    /// Reads the images of a folder, or of DIV2K's validation part, as the network takes them.
    ///
    /// # Errors
    /// A file that cannot be read, LR and HR images that do not fit, or an image that is too small.
    pub fn load(folder: &Path, trainer: &Trainer, seed: u64) -> Result<Self, HardenError> {
        let scale = trainer.network().scale;
        let mut pairs = Vec::new();
        for files in data::find(folder, None, scale, Part::Valid)? {
            let hr = load(&files.hr)?.pixels;
            let hr = crop_to_multiple(hr.view(), scale).to_owned();
            let lr = match &files.lr {
                Some(path) => load(path)?.pixels,
                None => downscale_8_bit(hr.view(), scale),
            };
            let size = trainer.network().fitting([lr.shape()[1], lr.shape()[2]], EVALUATED);
            let least = smallest_side(scale).div_ceil(scale);
            let wanted = size.filter(|size| size.iter().all(|&side| side >= least));
            let Some(size) = wanted.filter(|_| hr.shape()[1] == lr.shape()[1] * scale) else {
                let [height, width] = [lr.shape()[1], lr.shape()[2]];
                return Err(HardenError::Validation { path: files.hr, size: format!("{width}x{height}") });
            };
            pairs.push((middle(&lr, size, 1), middle(&hr, size, scale)));
        }
        Ok(Self { pairs, training: false, adversary: Adversary::ifgsm(BUDGET, STEPS, seed) })
    }

    /// A few of the images that are trained on, for a run without others; `None` where none is large
    /// enough.
    pub fn of_training(data: &Dataset, trainer: &Trainer, seed: u64) -> Option<Self> {
        let scale = trainer.network().scale;
        let least = smallest_side(scale).div_ceil(scale);
        let evaluated = |index: usize| {
            let ImagePair { lr, hr } = data.pair(index)?;
            let size = trainer.network().fitting([lr.shape()[1], lr.shape()[2]], EVALUATED_OF_TRAINING)?;
            let wanted = size.iter().all(|&side| side >= least);
            wanted.then(|| (middle(&lr, size, 1), middle(&hr, size, scale)))
        };
        let pairs: Vec<_> = (0..data.len()).filter_map(evaluated).take(IMAGES_OF_TRAINING).collect();
        let adversary = Adversary::ifgsm(BUDGET, STEPS, seed);
        (!pairs.is_empty()).then_some(Self { pairs, training: true, adversary })
    }

    /// The network's output for the first image: (3, H, W) on [0, 1], clipped; `None` for a luma network.
    pub fn picture(&self, trainer: &Trainer) -> Result<Option<Array3<f32>>, HardenError> {
        let Some((lr, _)) = self.pairs.first() else { return Ok(None) };
        let x = trainer.network().colours(batch(lr, trainer))?;
        let output = image(&torch::no_grad(|| trainer.run(&x))?.f_clamp(0.0, 1.0)?)?;
        Ok(Some(output).filter(|output| output.dim().0 == 3))
    }

    /// Evaluates the network as it stands, which [`Trainer::with_exported`] makes the exported one.
    pub fn measure(&self, trainer: &Trainer) -> Result<Validated, HardenError> {
        let mut sums = [0.0; 4];
        let mut counts = Counts::default();
        let network = trainer.network();
        for (index, (lr, hr)) in self.pairs.iter().enumerate() {
            let x = network.colours(batch(lr, trainer))?;
            let truth = image(&network.inside(network.colours(batch(hr, trainer))?)?)?;
            let (output, phi) = trainer.run_with_phi(&x)?;
            counts.add(&phi, trainer.bin())?;
            let gain = trainer.gain(&x, &output, index as u64)?;
            let quality = clean_quality(image(&output)?.view(), truth.view(), network.scale)?;
            let size = network.fitting([lr.shape()[1], lr.shape()[2]], ATTACKED);
            let small = middle(lr, size.unwrap_or([lr.shape()[1], lr.shape()[2]]), 1);
            let x = network.colours(batch(&small, trainer))?;
            let attacked = self.adversary.attack(&|x| trainer.run(x), &x, index as u64)?;
            let run = |x: &Tensor| torch::no_grad(|| trainer.run(x)).and_then(|output| image(&output));
            let robust = psnr(run(&attacked)?.view(), run(&x)?.view())?;
            // Equal outputs have an infinite PSNR; 96 dB is what 16 bits resolve.
            let found = [quality.psnr, quality.ssim, robust.min(96.0), gain];
            (0..4).for_each(|part| sums[part] += found[part] / self.pairs.len() as f64);
        }
        let [psnr, ssim, attacked, gain] = sums;
        let (entropy, spread) = counts.finish();
        Ok(Validated {
            step: trainer.step(),
            images: self.pairs.len(),
            training: self.training,
            psnr,
            ssim,
            attacked,
            entropy,
            spread,
            channel_spreads: counts.channel_spreads(),
            gain,
            histogram: counts.histogram(trainer.bin()),
        })
    }
}

/// How often every channel of Phi falls into every bin.
#[derive(Default)]
struct Counts {
    bins: Vec<HashMap<i64, u64>>,
    /// The sum and the sum of squares of every channel.
    moments: Vec<[f64; 2]>,
    elements: u64,
}

impl Counts {
    fn add(&mut self, phi: &Tensor, width: f64) -> Result<(), HardenError> {
        let size = phi.size();
        let plane: usize = size[2..].iter().map(|&side| side as usize).product();
        self.bins.resize_with(size[1] as usize, HashMap::new);
        self.moments.resize(size[1] as usize, [0.0; 2]);
        let values = torch::to_vec::<f32>(phi)?;
        for (index, plane) in values.chunks(plane).enumerate() {
            let channel = index % size[1] as usize;
            let (bins, [sum, squares]) = (&mut self.bins[channel], &mut self.moments[channel]);
            for &value in plane {
                *bins.entry((f64::from(value) / width).floor() as i64).or_insert(0) += 1;
                *sum += f64::from(value);
                *squares += f64::from(value).powi(2);
            }
        }
        self.elements += values.len() as u64;
        Ok(())
    }

    /// Bits per element, and the standard deviation.
    fn finish(&self) -> (f64, f64) {
        let total = self.elements as f64;
        let each = total / self.bins.len().max(1) as f64;
        let bits = |count: u64| -(count as f64 / each).log2() * count as f64 / total;
        // A sum depends on its order, and a map's is another one every time.
        let mut counts: Vec<u64> = self.bins.iter().flat_map(HashMap::values).copied().collect();
        counts.sort_unstable();
        let entropy = counts.into_iter().map(bits).sum();
        let part = |index: usize| self.moments.iter().map(|moments| moments[index]).sum::<f64>();
        (entropy, deviation(part(0), part(1), total))
    }

    /// The shares of bins of equal width, at most [`BARS`], over all channels: the middle of each and its share.
    fn histogram(&self, width: f64) -> Vec<[f64; 2]> {
        let mut pooled: BTreeMap<i64, u64> = BTreeMap::new();
        self.bins.iter().flatten().for_each(|(&bin, &count)| *pooled.entry(bin).or_insert(0) += count);
        // A few far values would leave all others one bar.
        let tail = self.elements / 1000;
        let ends = (end_of(pooled.iter(), tail), end_of(pooled.iter().rev(), tail));
        let (Some(first), Some(last)) = ends else { return vec![] };
        let span = last.saturating_sub(first);
        let merged = span / BARS + 1;
        let bars = span / merged + 1;
        let mut shares = vec![0.0; bars as usize];
        for (bin, count) in pooled {
            let bar = bin.clamp(first, last).saturating_sub(first) / merged;
            shares[bar as usize] += count as f64 / self.elements.max(1) as f64;
        }
        let middle = |bar: usize| (first as f64 + (bar as f64 + 0.5) * merged as f64) * width;
        shares.into_iter().enumerate().map(|(bar, share)| [middle(bar), share]).collect()
    }

    /// The standard deviation of every channel.
    fn channel_spreads(&self) -> Vec<f64> {
        let each = self.elements as f64 / self.bins.len().max(1) as f64;
        self.moments.iter().map(|&[sum, squares]| deviation(sum, squares, each)).collect()
    }
}

/// The first bin before which at most `tail` elements lie.
fn end_of<'a>(mut bins: impl Iterator<Item = (&'a i64, &'a u64)>, tail: u64) -> Option<i64> {
    let mut before = 0;
    let end = bins.find(|(_, count)| {
        before += **count;
        before > tail
    });
    end.map(|(&bin, _)| bin)
}

/// The standard deviation of `count` numbers with this sum and sum of squares.
fn deviation(sum: f64, squares: f64, count: f64) -> f64 {
    let mean = sum / count;
    (squares / count - mean * mean).max(0.0).sqrt()
}

/// The middle of an image, in LR pixels of `unit` pixels each.
fn middle(image: &Array3<f32>, [rows, columns]: [usize; 2], unit: usize) -> Array3<f32> {
    let (_, height, width) = image.dim();
    let (top, left) = ((height / unit - rows) / 2 * unit, (width / unit - columns) / 2 * unit);
    image.slice(s![.., top..top + rows * unit, left..left + columns * unit]).to_owned()
}

fn batch(image: &Array3<f32>, trainer: &Trainer) -> Tensor {
    let view: ArrayView3<'_, f32> = image.view();
    torch::from_ndarray(view.insert_axis(Axis(0)).into_dyn()).to_device(trainer.program().device())
}

fn image(batch: &Tensor) -> Result<Array3<f32>, HardenError> {
    let array: Array4<f32> = torch::to_ndarray(batch)?
        .into_dimensionality::<Ix4>()
        .map_err(|error| torch::TorchError::Libtorch(error.to_string()))?;
    Ok(array.index_axis_move(Axis(0), 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{Device, Kind};

    #[test]
    fn entropy_is_of_the_bins_of_every_channel() {
        // Channel 0 is even over four bins: 2 bits. Channel 1 is constant: none.
        let phi = Tensor::from_slice(&[0.5f32, 1.5, 2.5, 3.5, 9.0, 9.0, 9.0, 9.0]).view([1, 2, 2, 2]);
        let mut counts = Counts::default();
        counts.add(&phi, 1.0).unwrap();
        counts.add(&phi, 1.0).unwrap();
        let (entropy, spread) = counts.finish();
        assert!((entropy - 1.0).abs() < 1e-12, "{entropy}");
        let mean = Tensor::zeros([1], (Kind::Double, Device::Cpu)) + phi.to_kind(Kind::Double).std(false);
        assert!((spread - mean.double_value(&[0])).abs() < 1e-9);
        let spreads = counts.channel_spreads();
        assert!((spreads[0] - 1.25f64.sqrt()).abs() < 1e-12 && spreads[1] == 0.0, "{spreads:?}");
    }

    #[test]
    fn a_histogram_is_of_all_channels() {
        let phi = Tensor::from_slice(&[0.5f32, 1.5, 2.5, 3.5, 9.0, 9.0, 9.0, 9.0]).view([1, 2, 2, 2]);
        let mut counts = Counts::default();
        counts.add(&phi, 1.0).unwrap();
        let bars = counts.histogram(1.0);
        assert_eq!((bars.len(), bars[0], bars[4], bars[9]), (10, [0.5, 0.125], [4.5, 0.0], [9.5, 0.5]));
        let wide = Tensor::arange(10_000, (Kind::Float, Device::Cpu)).view([1, 1, 100, 100]);
        let mut counts = Counts::default();
        counts.add(&wide, 1.0).unwrap();
        let bars = counts.histogram(1.0);
        assert!(bars.len() as i64 <= BARS && bars.len() > 60, "{}", bars.len());
        assert!((bars.iter().map(|bar| bar[1]).sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_middle_is_cut_in_whole_lr_pixels() {
        let image = Array3::from_shape_fn((1, 12, 9), |(_, y, x)| (10 * y + x) as f32);
        let cut = middle(&image, [2, 1], 3);
        assert_eq!((cut.dim(), cut[[0, 0, 0]]), ((1, 6, 3), 33.0));
    }
}
