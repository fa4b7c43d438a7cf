//! Resize since opset 11: along every axis that changes, a product with the matrix of its weights.
//!
//! A weight is the filter's value at the distance of two entries, for every pair of them. What lies
//! beyond the edges weighs in at the edges, or not at all.

use super::{Attributes, Inputs, Kernel, Operator, Refusal, axes, one, standard};
use crate::torch::{self, Kind, Tensor};

pub(super) const OPERATORS: &[Operator] = &[standard("Resize", 1..=4, resize)];

/// What a node's attributes say, the same for every axis.
struct Rule {
    mode: String,
    nearest: String,
    coordinates: String,
    policy: String,
    cubic: f64,
    excludes: bool,
    antialias: bool,
    axes: Option<Vec<i64>>,
}

/// One axis: `size` entries become `count`.
struct Along {
    size: i64,
    count: i64,
    scale: f32,
}

fn resize(attributes: &Attributes<'_>) -> Result<Kernel, Refusal> {
    if attributes.opset < 11 {
        return Err(Refusal::new("of an opset before 11 is not known; convert the model"));
    }
    let rule = Rule {
        mode: attributes.choice("mode", &["nearest", "linear", "cubic"])?.to_owned(),
        nearest: attributes
            .choice("nearest_mode", &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])?
            .to_owned(),
        coordinates: attributes.choice("coordinate_transformation_mode", COORDINATES)?.to_owned(),
        policy: attributes
            .choice("keep_aspect_ratio_policy", &["stretch", "not_larger", "not_smaller"])?
            .to_owned(),
        cubic: attributes.float("cubic_coeff_a")?.unwrap_or(-0.75),
        excludes: attributes.flag("exclude_outside", false)?,
        antialias: attributes.flag("antialias", false)?,
        axes: attributes.ints("axes")?,
    };
    // Concerns `tf_crop_and_resize` alone.
    attributes.float("extrapolation_value")?;
    one(move |inputs| rule.apply(inputs))
}

const COORDINATES: &[&str] = &[
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "tf_half_pixel_for_nn",
    "align_corners",
    "asymmetric",
];

impl Rule {
    fn apply(&self, inputs: &Inputs<'_>) -> Result<Tensor, Refusal> {
        let x = inputs.get(0)?;
        let dims = match &self.axes {
            Some(list) => axes(list, x.dim())?,
            None => (0..x.dim() as i64).collect(),
        };
        let mut result = x.shallow_clone();
        for (&dim, along) in dims.iter().zip(self.all(inputs, &dims, &x.size())?) {
            if along.scale == 1.0 && along.count == along.size {
                continue;
            }
            let matrix = Tensor::from_slice(&self.matrix(&along))
                .f_view([along.count, along.size])?
                .f_to_kind(x.f_kind()?)?
                .f_to_device(x.device())?;
            result =
                result.f_transpose(dim, -1)?.f_matmul(&matrix.f_transpose(0, 1)?)?.f_transpose(dim, -1)?;
        }
        Ok(result)
    }

    /// The lengths and scales of the axes that the node names.
    fn all(&self, inputs: &Inputs<'_>, dims: &[i64], size: &[i64]) -> Result<Vec<Along>, Refusal> {
        let own = |index: usize| size[dims[index] as usize];
        let scales = match inputs.optional(2) {
            Some(scales) => torch::to_vec::<f32>(&scales.f_to_kind(Kind::Float)?)?,
            None => Vec::new(),
        };
        let sizes = inputs.optional_ints(3)?.unwrap_or_default();
        if scales.len().max(sizes.len()) != dims.len() {
            return Err(Refusal::new(format!("scales or sizes do not fit {} dimensions", dims.len())));
        }
        if !scales.is_empty() {
            let along = |(index, &scale): (usize, &f32)| {
                let count = (own(index) as f32 * scale).floor() as i64;
                Along { size: own(index), count, scale }
            };
            return Ok(scales.iter().enumerate().map(along).collect());
        }
        let ratio = |index: usize| sizes[index] as f32 / own(index) as f32;
        let ratios = (0..dims.len()).map(ratio);
        let common = match self.policy.as_str() {
            "not_larger" => ratios.reduce(f32::min),
            "not_smaller" => ratios.reduce(f32::max),
            _ => None,
        };
        let along = |index: usize| {
            let scale = common.unwrap_or(ratio(index));
            let kept = (scale * own(index) as f32).round() as i64;
            Along { size: own(index), count: common.map_or(sizes[index], |_| kept), scale }
        };
        Ok((0..dims.len()).map(along).collect())
    }

    /// One row of weights per entry of the result.
    fn matrix(&self, along: &Along) -> Vec<f64> {
        (0..along.count).flat_map(|index| self.row(along, self.position(along, index as f32))).collect()
    }

    fn row(&self, along: &Along, at: f32) -> Vec<f64> {
        let mut row = vec![0.0; along.size as usize];
        let last = along.size - 1;
        if self.mode == "nearest" {
            row[self.rounded(at).clamp(0, last) as usize] = 1.0;
            return row;
        }
        let widened = self.antialias && along.scale < 1.0;
        let shrink = if widened { f64::from(along.scale) } else { 1.0 };
        let radius = (if self.mode == "cubic" { 2.0 } else { 1.0 } / shrink).ceil() as i64 + 1;
        let excludes = self.excludes && (widened || self.mode == "cubic");
        for entry in at.floor() as i64 - radius..=at.floor() as i64 + radius {
            if !excludes || (0..=last).contains(&entry) {
                let weight = self.filter((entry as f64 - f64::from(at)) * shrink);
                row[entry.clamp(0, last) as usize] += weight;
            }
        }
        let sum: f64 = row.iter().sum();
        row.iter().map(|weight| if excludes || widened { weight / sum } else { *weight }).collect()
    }

    fn filter(&self, distance: f64) -> f64 {
        let (d, a) = (distance.abs(), self.cubic);
        match self.mode.as_str() {
            "linear" => (1.0 - d).max(0.0),
            _ if d <= 1.0 => (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0,
            _ if d < 2.0 => a * (d.powi(3) - 5.0 * d.powi(2) + 8.0 * d - 4.0),
            _ => 0.0,
        }
    }

    fn rounded(&self, at: f32) -> i64 {
        let tie = at - at.floor() == 0.5;
        (match self.nearest.as_str() {
            "floor" => at.floor(),
            "ceil" => at.ceil(),
            "round_prefer_ceil" if tie => at.ceil(),
            "round_prefer_floor" if tie => at.floor(),
            _ => at.round(),
        }) as i64
    }

    /// Where an entry of the result lies among the entries of the input, in f32 as elsewhere.
    fn position(&self, along: &Along, index: f32) -> f32 {
        let (size, count) = (along.size as f32, along.count as f32);
        let centred = (index + 0.5) / along.scale - 0.5;
        match self.coordinates.as_str() {
            "pytorch_half_pixel" if along.count == 1 => 0.0,
            "align_corners" if along.count == 1 => 0.0,
            "align_corners" => index * (size - 1.0) / (count - 1.0),
            "asymmetric" => index / along.scale,
            "tf_half_pixel_for_nn" => (index + 0.5) / along.scale,
            "half_pixel_symmetric" => size * (1.0 - count / (along.scale * size)) / 2.0 + centred,
            _ => centred,
        }
    }
}
