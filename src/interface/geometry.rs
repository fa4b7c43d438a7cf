//! The sizes that a model takes, and those of the images that it gives.

use ndarray::{ArrayView3, s};

use super::form::{Form, Layout};
use crate::onnx::{DType, Dim, Model, Problem};
use crate::rewrite::{RewriteError, outputs_at};

/// The sizes of a model's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Output side over input side.
    pub scale: usize,
    /// Pixels of the output that are missing on every side, for want of padding.
    pub margin: usize,
    /// The one size that is taken, height and width, where there is only one.
    pub fixed: Option<[usize; 2]>,
    /// Height and width must be multiples of this.
    pub multiple: usize,
    /// A size that is taken.
    pub example: [usize; 2],
}

/// Sizes that are tried where a model takes any: height and width differ, so that they cannot be
/// taken for each other, until a model wants squares.
const TRIED: [[usize; 2]; 5] = [[48, 64], [64, 96], [64, 64], [128, 128], [256, 256]];
/// Multiples that are tried.
const MULTIPLES: [usize; 8] = [1, 2, 3, 4, 8, 16, 32, 64];

impl Geometry {
    /// What the output's size is for an input's.
    pub fn output(&self, [height, width]: [usize; 2]) -> [usize; 2] {
        [height, width].map(|side| side * self.scale - 2 * self.margin)
    }

    /// The part of an image `scale` times as large as the input that the model gives: without the
    /// margin.
    pub fn inside<'a>(&self, image: ArrayView3<'a, f32>) -> ArrayView3<'a, f32> {
        let (_, height, width) = image.dim();
        let kept = |side: usize| self.margin.min(side / 2)..side - self.margin.min(side / 2);
        image.slice_move(s![.., kept(height), kept(width)])
    }

    /// The geometry that inference gives for a form, and the form with its output's layout and type.
    pub fn find(model: &Model, form: &Form) -> Result<(Self, Form), GeometryError> {
        let sizes: Vec<[usize; 2]> = match form.fixed {
            [Some(height), Some(width)] => vec![[height, width]],
            _ => {
                TRIED.map(|tried| std::array::from_fn(|axis| form.fixed[axis].unwrap_or(tried[axis]))).into()
            }
        };
        let mut first_error = None;
        for example in sizes {
            match Self::at(model, form, example) {
                Ok(found) => return Ok(found),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| Problem::new("the model", "takes no size").into()))
    }

    fn at(model: &Model, form: &Form, example: [usize; 2]) -> Result<(Self, Form), GeometryError> {
        let (output, shaped) = output_size(model, form, example)?;
        let fixed = form.fixed.iter().all(Option::is_some);
        let steps: &[usize] = if fixed { &[] } else { &MULTIPLES };
        let mut shrinks = None;
        for &multiple in steps {
            let step = form.fixed.map(|fixed| if fixed.is_some() { 0 } else { multiple });
            let larger = [example[0] + step[0], example[1] + step[1]];
            let Ok((grown, _)) = output_size(model, form, larger) else { continue };
            let axis = usize::from(step[0] == 0);
            let rise = grown[axis] - output[axis].min(grown[axis]);
            if rise == 0 || rise % multiple != 0 {
                // A network that pads its images grows by more than it is given, or not at all.
                shrinks = (rise > 0 && rise < multiple).then_some((rise, multiple));
                continue;
            }
            let found = Self { scale: rise / multiple, margin: 0, fixed: None, multiple, example };
            let found = found.with_margin(output)?;
            if found.output(larger) == grown {
                return Ok((found, shaped));
            }
        }
        if let Some((rise, step)) = shrinks {
            let what = format!(
                "gives an image of {}x{} for one of {}x{}, and {rise} pixels a side more for {step} more: it makes \
                 images smaller, and super-resolution models make them larger",
                output[0], output[1], example[0], example[1]
            );
            return Err(Problem::new("the model", what).into());
        }
        let scale = output[0].div_ceil(example[0]);
        let found = Self { scale, margin: 0, fixed: Some(example), multiple: 1, example };
        Ok((found.with_margin(output)?, shaped))
    }

    fn with_margin(mut self, output: [usize; 2]) -> Result<Self, Problem> {
        let missing = (self.example[0] * self.scale).checked_sub(output[0]);
        let even = missing.filter(|missing| missing % 2 == 0 && missing / 2 < output[0]);
        if let Some(missing) = even {
            self.margin = missing / 2;
            if self.output(self.example) == output {
                return Ok(self);
            }
        }
        let what = format!(
            "gives an image of {}x{} for one of {}x{}; one that is a whole number of times as large, or the \
             same cut evenly on all sides, is expected",
            output[0], output[1], self.example[0], self.example[1]
        );
        Err(Problem::new("the model", what))
    }
}

/// Height and width of the output for an input's, and the form with its output's layout and type.
fn output_size(model: &Model, form: &Form, size: [usize; 2]) -> Result<([usize; 2], Form), GeometryError> {
    let outputs = outputs_at(model, &[&form.layout.shape(form.channels, size)])?;
    let output = outputs.iter().find(|output| output.name == form.output);
    let (output_dtype, dims) = output.and_then(|output| output.dims()).unwrap_or((DType::F32, &[]));
    let refuse = |what: String| Err(Problem::new(format!("output `{}`", form.output), what).into());
    if !matches!(output_dtype, DType::F32 | DType::F16) {
        return refuse(format!("is {output_dtype}; export the model with a float32 or float16 output"));
    }
    let sizes: Vec<usize> = dims.iter().filter_map(Dim::known).collect();
    let fits = |layout: &Layout| sizes.get(layout.channel_axis()) == Some(&form.channels);
    let layouts = [form.layout, Layout::Nchw, Layout::Nhwc];
    match layouts.into_iter().find(fits) {
        Some(output_layout) if sizes.len() == 4 && sizes[0] == 1 => {
            let row = output_layout.row_axis();
            Ok(([sizes[row], sizes[row + 1]], Form { output_layout, output_dtype, ..form.clone() }))
        }
        _ => {
            let (height, width) = (size[0], size[1]);
            let shown: Vec<String> = dims.iter().map(ToString::to_string).collect();
            refuse(format!(
                "is [{}] for an image of {height}x{width} with {} channels; an image with as many is expected",
                shown.join(", "),
                form.channels
            ))
        }
    }
}

/// Why a form has no geometry.
#[derive(Debug, thiserror::Error)]
pub enum GeometryError {
    /// The graph does not take the size, or not at all.
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
    /// What comes out is no upscaled image.
    #[error(transparent)]
    Output(#[from] Problem),
}
