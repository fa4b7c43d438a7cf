//! What `temper inspect --json` prints.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Opened;
use crate::inspect::{self, Cost, Parameters, Use};
use crate::interface::{Found, Layout};
use crate::onnx::Model;
use crate::rewrite::{Array, RewriteError, Status};

/// A model as `inspect` found it. Sizes are height and width in pixels.
#[derive(Serialize)]
pub struct Document<'a> {
    model: String,
    opset: i64,
    producer: &'a str,
    producer_version: &'a str,
    input: Input<'a>,
    output: Output<'a>,
    /// Values that inputs beside the image are fed.
    constants: BTreeMap<&'a str, Vec<f64>>,
    parameters: usize,
    parameters_int8: usize,
    /// `null` where there is no gradient; `gradient_refused` says why.
    cost: Option<CostAt>,
    gradient_refused: Option<String>,
    operators: Vec<Operator>,
    runtimes: Vec<OnRuntime>,
}

#[derive(Serialize)]
struct Input<'a> {
    name: &'a str,
    dtype: &'a str,
    layout: Layout,
    channels: usize,
    range: String,
    /// The only size that is taken, where there is one.
    fixed: Option<[usize; 2]>,
    multiple: usize,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    layout: Layout,
    range: String,
    scale: usize,
    /// Pixels cut on every side for want of padding.
    margin: usize,
    /// PSNR in dB of the upscaled test picture against bicubic's.
    bicubic_psnr: f64,
}

/// Counted at one size: operations per input pixel, nodes in all.
#[derive(Serialize)]
struct CostAt {
    size: [usize; 2],
    forward_flop_per_pixel: f64,
    gradient_flop_per_pixel: f64,
    nodes: usize,
    gradient_nodes: usize,
}

#[derive(Serialize)]
struct Operator {
    name: String,
    count: usize,
    /// `differentiable`, `zero` or `refused`.
    gradient: &'static str,
    reason: Option<String>,
}

/// What a runtime made of the model; a reason stands where it did not run.
#[derive(Serialize)]
struct OnRuntime {
    runtime: String,
    forward: bool,
    gradient: bool,
    reason: Option<String>,
}

impl<'a> Document<'a> {
    /// Everything that the text says, as values.
    ///
    /// # Errors
    /// The model cannot be specialised to the size that probing found.
    pub fn new(
        model: &'a Model,
        found: &'a Found,
        canonical: &Model,
        runtimes: Vec<Opened>,
        name: String,
    ) -> Result<Self, RewriteError> {
        let interface = &found.interface;
        let Parameters { float, int8 } = inspect::parameters(model);
        let fixed = inspect::fixed(canonical, found)?;
        let cost = inspect::cost(&fixed, found);
        let constants = interface.constants.iter().map(|(name, tensor)| {
            let values = Array::of(tensor).map(|values| values.to_float().into_iter().collect());
            (name.as_str(), values.unwrap_or_default())
        });
        Ok(Self {
            model: name,
            opset: model.opset(),
            producer: &model.producer.0,
            producer_version: &model.producer.1,
            input: Input::new(found),
            output: Output::new(found),
            constants: constants.collect(),
            parameters: float,
            parameters_int8: int8,
            gradient_refused: cost.as_ref().err().map(ToString::to_string),
            cost: cost.ok().map(|cost| CostAt::new(interface.geometry.example, cost)),
            operators: inspect::operators(&fixed).into_iter().map(Operator::from).collect(),
            runtimes: runtimes.into_iter().map(|opened| OnRuntime::new(opened, canonical, found)).collect(),
        })
    }
}

impl<'a> Input<'a> {
    fn new(found: &'a Found) -> Self {
        let (form, geometry) = (&found.interface.form, found.interface.geometry);
        Self {
            name: &form.input,
            dtype: form.dtype.name(),
            layout: form.layout,
            channels: form.channels,
            range: found.interface.input_range.to_string(),
            fixed: geometry.fixed,
            multiple: geometry.multiple,
        }
    }
}

impl<'a> Output<'a> {
    fn new(found: &'a Found) -> Self {
        let (form, geometry) = (&found.interface.form, found.interface.geometry);
        Self {
            name: &form.output,
            layout: form.output_layout,
            range: found.interface.output_range.to_string(),
            scale: geometry.scale,
            margin: geometry.margin,
            bicubic_psnr: found.agreement,
        }
    }
}

impl CostAt {
    fn new(size: [usize; 2], cost: Cost) -> Self {
        let Cost { forward, gradient, nodes, gradient_nodes } = cost;
        Self {
            size,
            forward_flop_per_pixel: forward,
            gradient_flop_per_pixel: gradient,
            nodes,
            gradient_nodes,
        }
    }
}

impl From<Use> for Operator {
    fn from(used: Use) -> Self {
        let (gradient, reason) = match used.gradient {
            Ok(Status::Differentiable(_)) => ("differentiable", None),
            Ok(Status::Zero(reason)) => ("zero", Some(reason.to_owned())),
            Ok(Status::Refused(reason)) => ("refused", Some(reason.to_owned())),
            Err(reason) => ("refused", Some(reason)),
        };
        Self { name: used.operator, count: used.count, gradient, reason }
    }
}

impl OnRuntime {
    fn new((kind, opened): Opened, canonical: &Model, found: &Found) -> Self {
        let runtime = match opened {
            Ok(runtime) => runtime,
            Err(reason) => {
                return Self {
                    runtime: kind.name().to_owned(),
                    forward: false,
                    gradient: false,
                    reason: Some(reason),
                };
            }
        };
        let verdict = inspect::verdict(canonical, found, runtime);
        let gradient = verdict.gradient.as_ref().is_some_and(Result::is_ok);
        let refused = verdict.forward.as_ref().err();
        let refused = refused.or_else(|| verdict.gradient.as_ref().and_then(|result| result.as_ref().err()));
        Self {
            forward: verdict.forward.is_ok(),
            gradient,
            reason: refused.map(ToString::to_string),
            runtime: verdict.runtime,
        }
    }
}
