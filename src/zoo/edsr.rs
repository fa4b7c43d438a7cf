//! EDSR (Lim et al., CVPRW 2017): residual blocks without normalisation, then sub-pixel upsampling.
//!
//! The baseline has 16 blocks of 64 features and no residual scaling. Inside, pixels are on
//! [0, 255] with DIV2K's mean colour taken off, and both are part of the graph.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::init::Weights;
use super::{IR_VERSION, OPSET, SCALE, TAP, TAP_FIRST, ZooError};
use crate::onnx::{Attribute, DType, Dim, GraphBuilder, Model, Tensor, ValueInfo};

/// DIV2K's mean colour on [0, 1], as the original subtracts it.
const MEAN: [f32; 3] = [0.4488, 0.4371, 0.4040];
/// The largest setting of width and depth taken: far beyond any published one.
const MAX_WIDTH: usize = 4096;

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
    pub fn build(self, seed: u64) -> Result<Model, ZooError> {
        self.check()?;
        let mut net = Net {
            graph: GraphBuilder::new("edsr"),
            weights: Weights::new(ChaCha8Rng::seed_from_u64(seed)),
            features: self.features,
        };
        let head = net.head();
        let tap = net.body(&head, self.blocks);
        net.tail(&tap, self.scale);
        let mut model = Model {
            ir_version: IR_VERSION,
            opsets: [(String::new(), OPSET)].into(),
            producer: ("temper".into(), env!("CARGO_PKG_VERSION").into()),
            graph: net.graph.finish(),
            ..Default::default()
        };
        model.metadata.insert(TAP.into(), tap);
        model.metadata.insert(TAP_FIRST.into(), head);
        model.metadata.insert(SCALE.into(), self.scale.to_string());
        Ok(model)
    }

    fn check(self) -> Result<(), ZooError> {
        if !matches!(self.scale, 2..=4) {
            return Err(ZooError(format!("EDSR has scales 2, 3 and 4, not {}", self.scale)));
        }
        for (name, value) in [("features", self.features), ("blocks", self.blocks)] {
            if !(1..=MAX_WIDTH).contains(&value) {
                return Err(ZooError(format!("EDSR takes 1 to {MAX_WIDTH} {name}, not {value}")));
            }
        }
        Ok(())
    }
}

struct Net {
    graph: GraphBuilder,
    weights: Weights,
    features: usize,
}

impl Net {
    /// From the image to the first feature map, whose name it gives.
    fn head(&mut self) -> String {
        let dims = [Dim::from("N"), Dim::Known(3), Dim::from("H"), Dim::from("W")];
        let image = self.graph.input(ValueInfo::tensor("image", DType::F32, dims));
        let levels = self.scaled("levels", "Mul", &image, 255.0);
        let mean = self.mean();
        let centred = self.graph.node("Sub", "centred", &[&levels, &mean], []);
        self.conv("head", &centred, self.features, 3)
    }

    /// From the first feature map to the one before upsampling, whose name it gives.
    fn body(&mut self, head: &str, blocks: usize) -> String {
        let mut features = head.to_owned();
        for block in 0..blocks {
            features = self.block(block, &features);
        }
        let body = self.conv("body.out", &features, self.features, self.features);
        self.graph.node("Add", "features", &[&body, head], [])
    }

    fn block(&mut self, block: usize, input: &str) -> String {
        let first = self.conv(&format!("body.{block}.0"), input, self.features, self.features);
        let active = self.graph.node("Relu", &format!("body.{block}.relu"), &[&first], []);
        let second = self.conv(&format!("body.{block}.1"), &active, self.features, self.features);
        self.graph.node("Add", &format!("body.{block}.add"), &[&second, input], [])
    }

    /// From the feature map to the image `scale` times as large.
    fn tail(&mut self, features: &str, scale: usize) {
        let steps: &[usize] = match scale {
            4 => &[2, 2],
            3 => &[3],
            _ => &[2],
        };
        let mut value = features.to_owned();
        for (step, &factor) in steps.iter().enumerate() {
            let wide = self.features * factor * factor;
            let conv = self.conv(&format!("upsample.{step}"), &value, wide, self.features);
            let attributes = [("blocksize", Attribute::Int(factor as i64)), ("mode", Attribute::from("CRD"))];
            value =
                self.graph.node("DepthToSpace", &format!("upsample.{step}.shuffle"), &[&conv], attributes);
        }
        let colour = self.conv("tail", &value, 3, self.features);
        let mean = self.mean();
        let levels = self.graph.node("Add", "shifted", &[&colour, &mean], []);
        let output = self.scaled("upscaled", "Div", &levels, 255.0);
        let dims = [Dim::from("N"), Dim::Known(3), Dim::Unknown, Dim::Unknown];
        self.graph.output(ValueInfo::tensor(output, DType::F32, dims));
    }

    fn conv(&mut self, name: &str, input: &str, outputs: usize, inputs: usize) -> String {
        let (weight, bias) = self.weights.conv(&mut self.graph, name, outputs, inputs, 3);
        let attributes =
            [("kernel_shape", Attribute::Ints(vec![3, 3])), ("pads", Attribute::Ints(vec![1, 1, 1, 1]))];
        self.graph.node("Conv", name, &[input, &weight, &bias], attributes)
    }

    fn mean(&mut self) -> String {
        let mean = Tensor::f32(&[1, 3, 1, 1], MEAN.map(|value| value * 255.0)).expect("three colours");
        self.graph.constant("mean", mean)
    }

    fn scaled(&mut self, name: &str, op: &str, input: &str, factor: f32) -> String {
        let factor = self.graph.constant(&format!("{name}.factor"), Tensor::scalar(factor));
        self.graph.node(op, name, &[input, &factor], [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::check;
    use crate::zoo::parameter_count;

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
