//! Gradients of a side with respect to its one input, as sessions of that side's runtime.
//!
//! They are graphs like any other. They only propose inputs, and runs of both sides decide: a gradient that is wrong
//! costs runs and nothing else. Models of one input of floating point alone have them.

use ndarray::{ArrayD, ArrayView, IxDyn};

use super::error::ParityError;
use super::inputs::{Input, rounded};
use super::nodes::Side;
use crate::onnx::{DType, Model, ValueInfo};
use crate::rewrite::{Emitter, RewriteError, TensorType, gradient, promote, specialise};
use crate::runtime::Session;

/// What a gradient is taken of.
pub enum Of<'a> {
    /// The sum of the first output's elements times those of a second input.
    Direction,
    /// The largest, or else the least, element of a value.
    Extreme { value: &'a str, largest: bool },
}

/// The gradient of one side.
pub struct Slope(Box<dyn Session>);

impl Slope {
    /// Makes a gradient ready; `None` where a model has none, or its runtime refuses it.
    pub fn open(side: &Side, like: &Input, of: &Of<'_>) -> Option<Self> {
        let single = like.values.len() == 1 && is_plain(like.values[0].dtype);
        let model = single.then(|| model(side, like, of))?.ok()?;
        side.runtime.load(&model).ok().map(Self)
    }

    /// The gradient at an input.
    ///
    /// # Errors
    /// A runtime that fails.
    pub fn of_extreme(&mut self, x: &Input) -> Result<ArrayD<f32>, ParityError> {
        self.run(&[x.values[0].high.view()])
    }

    /// The gradient at an input of the first output's product with `direction`, which is scaled to a largest element
    /// of 1.
    ///
    /// # Errors
    /// A runtime that fails.
    pub fn of_direction(
        &mut self,
        x: &Input,
        mut direction: ArrayD<f32>,
    ) -> Result<ArrayD<f32>, ParityError> {
        let most = direction.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        if most > 0.0 && most.is_finite() {
            direction.mapv_inplace(|value| value / most);
        }
        self.run(&[x.values[0].high.view(), direction.view()])
    }

    fn run(&mut self, fed: &[ArrayView<'_, f32, IxDyn>]) -> Result<ArrayD<f32>, ParityError> {
        Ok(self.0.run(fed)?.into_iter().next().unwrap_or_default())
    }
}

/// Whether values of a type have gradients that runtimes compute in float32.
pub fn is_plain(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// An input moved by a step along the signs of a gradient.
pub fn moved(input: &Input, slope: &ArrayD<f32>, step: f32) -> Input {
    let mut input = input.clone();
    if let Some(value) = input.values.first_mut().filter(|value| value.shape() == slope.shape()) {
        value.high.zip_mut_with(slope, |value, slope| {
            if *slope != 0.0 && slope.is_finite() {
                *value += step * slope.signum();
            }
        });
    }
    input
}

/// Brings an input back to at most `ball` from `start` and into a range, and to numbers of its types.
pub fn hold(input: &mut Input, start: &Input, ball: f32, [low, high]: [f32; 2]) {
    let pairs = input.values.iter_mut().zip(&start.values);
    for (value, start) in pairs.filter(|(value, _)| value.dtype.is_float()) {
        let dtype = value.dtype;
        value.high.zip_mut_with(&start.high, |value, start| {
            let least = low.max(start - ball);
            *value = rounded(dtype, value.max(least).min(high.min(start + ball)));
        });
        if let Some(rest) = &mut value.low {
            rest.fill(0.0);
        }
    }
}

/// The range of an input's numbers, and of an image.
pub fn range_of(input: &Input) -> [f32; 2] {
    let floats = input.values.iter().filter(|value| value.dtype.is_float());
    let elements = floats.flat_map(|value| value.high.iter().copied());
    elements.fold([0.0, 1.0], |[low, high]: [f32; 2], value| [low.min(value), high.max(value)])
}

/// The graph of a gradient with respect to the one input.
fn model(side: &Side, like: &Input, of: &Of<'_>) -> Result<Model, RewriteError> {
    let shapes: Vec<&[usize]> = like.values.iter().map(|value| value.shape()).collect();
    let mut model = side.program.model.clone();
    if let Of::Extreme { value, .. } = of {
        model.graph.outputs = vec![ValueInfo { ty: None, ..ValueInfo::tensor(*value, DType::F32, []) }];
    }
    let (fixed, _) = promote(&specialise(&model, &shapes)?);
    let output = fixed.graph.outputs.first().map(|output| output.name.clone()).unwrap_or_default();
    let wrt = side.program.inputs().into_iter().next().unwrap_or_default();
    let mut emitter = Emitter::open(fixed)?;
    let value = emitter.value(&output)?;
    let (op, part) = match of {
        Of::Extreme { largest, .. } => (if *largest { "ReduceMax" } else { "ReduceMin" }, value),
        Of::Direction => {
            let ty = TensorType::new(DType::F32, value.ty.shape.clone());
            let direction = emitter.input("direction", ty)?;
            ("ReduceSum", emitter.emit("Mul", "directed", &[&value, &direction], [])?)
        }
    };
    let flat = emitter.reshape("flat", &part, &[part.ty.len()])?;
    let number = emitter.reduce(op, "number", &flat, &[0], false)?;
    let found = gradient(&mut emitter, &number, &wrt)?;
    emitter.finish(&[("gradient", &found.value)])
}
