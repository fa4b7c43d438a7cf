//! SRGAN's content loss on features (Ledig et al., CVPR 2017, eq. 5): the distance of two images as
//! a layer of a VGG network sees them.
//!
//! The network is a file of the user's, run by the same interpreter as everything else, up to the
//! layer and no further, so that images of any size pass. It is fed as torchvision's networks are:
//! RGB with ImageNet's mean taken off and divided by its deviation.

use std::path::Path;

use crate::harden::HardenError;
use crate::onnx::{self, DType, Dim, ValueInfo};
use crate::rewrite::prune;
use crate::runtime::torch::Program;
use crate::torch::{Device, Kind, Tensor};

/// ImageNet's mean colour on [0, 1] and its deviation, as torchvision states them.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// The original divides the features by this, which makes the loss comparable to that of pixels.
const FEATURES_PER_PIXEL: f64 = 12.75;

/// The part of a network that sees.
pub(super) struct Content {
    program: Program,
    mean: Tensor,
    deviation: Tensor,
}

impl Content {
    /// The network in `file` up to the value `tap`.
    ///
    /// # Errors
    /// The file is no model, has no value of that name, or takes something else than one image.
    pub fn read(file: &Path, tap: &str, device: Device) -> Result<Self, HardenError> {
        let mut model = onnx::read(file)?;
        let refused = |problem: String| HardenError::Features { path: file.to_owned(), problem };
        let written = model.graph.nodes.iter().flat_map(|node| &node.outputs).any(|name| name == tap);
        if !written {
            return Err(refused(format!(
                "no node writes a value called `{tap}`; name a feature map with --vgg-tap"
            )));
        }
        model.graph.outputs = vec![ValueInfo::tensor(tap, DType::F32, [const { Dim::Unknown }; 4])];
        prune(&mut model.graph);
        let program = Program::compile(&model, device, Kind::Float)?;
        let inputs = program.inputs().count();
        if inputs != 1 {
            return Err(refused(format!("it takes {inputs} inputs, and one image is wanted")));
        }
        let colour = |values: &[f32; 3]| Tensor::from_slice(values).f_view([1, 3, 1, 1])?.f_to_device(device);
        Ok(Self { program, mean: colour(&MEAN)?, deviation: colour(&DEVIATION)? })
    }

    /// The mean squared difference of the features of two images on [0, 1], rescaled.
    pub fn distance(&self, output: &Tensor, target: &Tensor) -> Result<Tensor, HardenError> {
        let difference = self.features(output)?.f_sub(&self.features(target)?)?;
        let squared = difference.f_square()?.f_mean(Kind::Float)?;
        Ok(squared.f_div_scalar(FEATURES_PER_PIXEL * FEATURES_PER_PIXEL)?)
    }

    fn features(&self, image: &Tensor) -> Result<Tensor, HardenError> {
        let normal = image.f_sub(&self.mean)?.f_div(&self.deviation)?;
        Ok(self.program.run(&[normal])?.swap_remove(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Attribute, GraphBuilder, Model};

    /// A "VGG" whose features are three times its input, and which then wants 4 x 4 of them.
    fn file(folder: &Path) -> std::path::PathBuf {
        let mut graph = GraphBuilder::new("vgg");
        let dims = [Dim::Known(1), Dim::Known(3), Dim::Known(4), Dim::Known(4)];
        let x = graph.input(ValueInfo::tensor("x", DType::F32, dims));
        let three = graph.initializer("three", onnx::Tensor::scalar(3.0));
        let features = graph.node("Mul", "features", &[&x, &three], []);
        let shape = graph.initializer("shape", onnx::Tensor::i64(&[2], vec![1, 48]).unwrap());
        let flat = graph.node("Reshape", "flat", &[&features, &shape], [("allowzero", Attribute::Int(0))]);
        graph.output(ValueInfo::tensor(flat, DType::F32, [Dim::Known(1), Dim::Known(48)]));
        let model = Model {
            ir_version: 8,
            opsets: [(String::new(), 17)].into(),
            graph: graph.finish(),
            ..Default::default()
        };
        let path = folder.join("vgg.onnx");
        onnx::write(&model, &path).unwrap();
        path
    }

    #[test]
    fn features_are_compared_up_to_the_layer_at_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let content = Content::read(&file(folder.path()), "features", Device::Cpu).unwrap();
        let black = Tensor::zeros([2, 3, 5, 7], (Kind::Float, Device::Cpu));
        let found = content.distance(&black, &black.full_like(0.5)).unwrap().double_value(&[]);
        let mean =
            DEVIATION.map(|deviation| f64::from(3.0 * 0.5 / deviation).powi(2)).iter().sum::<f64>() / 3.0;
        assert!((found - mean / 12.75_f64.powi(2)).abs() < 1e-5, "{found}");
    }

    #[test]
    fn a_layer_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let error = Content::read(&path, "relu5_4", Device::Cpu).err().unwrap();
        assert!(error.is_bad_input());
        assert!(error.to_string().contains("vgg.onnx: no node writes a value called `relu5_4`"), "{error}");
        let absent = Content::read(&folder.path().join("no.onnx"), "a", Device::Cpu).err().unwrap();
        assert!(absent.is_bad_input() && absent.to_string().contains("no.onnx"), "{absent}");
    }
}
