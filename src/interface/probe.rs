//! Finds an interface: tries what the declarations leave open, and asks which of it upscales a
//! picture as bicubic does.

use ndarray::{Array3, Axis, Ix4};

use super::constants::{Constants, ambiguous, constants, with_constants};
use super::form::{Form, forms};
use super::geometry::{Geometry, GeometryError};
use super::picture::picture;
use super::range::PixelRange;
use super::{Interface, InterfaceError, Overrides};
use crate::metric::{bicubic, psnr};
use crate::onnx::{Model, Problem};
use crate::rewrite::{bounded, specialise};
use crate::runtime::Runtime;

/// An interface, and how well the model agrees with it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The interface.
    pub interface: Interface,
    /// PSNR in dB between the model's upscale of a test picture and the bicubic one.
    pub agreement: f64,
    /// What the file's metadata state and the probe contradicts, in words.
    pub ignored: Option<String>,
}

/// Less agreement than this with a bicubic upscale, in dB, is none.
const LEAST: f64 = 18.0;
/// Forms or ranges whose agreement differs by less, in dB, are not told apart by it: the more usual
/// one is taken.
const CLEAR: f64 = 3.0;

/// Finds how a model is fed and read, on the first of the runtimes that runs it.
///
/// # Errors
/// [`InterfaceError::Unclear`] names what is ambiguous or unusual, and the flag that settles it.
pub fn discover<'a>(
    model: &Model,
    overrides: &Overrides,
    runtimes: impl IntoIterator<Item = &'a dyn Runtime>,
) -> Result<Found, InterfaceError> {
    let runtimes: Vec<&dyn Runtime> = runtimes.into_iter().collect();
    let stated = overrides.or_own(model);
    if stated == *overrides {
        return attempt(model, overrides, &runtimes);
    }
    // Anybody can write metadata: what they state holds unless the probe clearly finds something else.
    let claimed = attempt(model, &stated, &runtimes);
    let Ok(probed) = attempt(model, overrides, &runtimes) else { return claimed };
    match claimed {
        Ok(claimed)
            if probed.interface.input_range == claimed.interface.input_range
                || probed.agreement <= claimed.agreement + CLEAR =>
        {
            Ok(claimed)
        }
        _ => {
            let ignored = format!(
                "its metadata `temper.scale` say that its images are on [0, 1], and it is fed with {} (the upscale of a \
                 test picture agrees with bicubic to {:.1} dB so): the metadata are ignored",
                probed.interface.input_range.name(),
                probed.agreement
            );
            Ok(Found { ignored: Some(ignored), ..probed })
        }
    }
}

fn attempt(model: &Model, overrides: &Overrides, runtimes: &[&dyn Runtime]) -> Result<Found, InterfaceError> {
    let candidates = candidates(model, overrides, usize::MAX)?;
    let mut failure = None;
    for runtime in runtimes {
        match probe(model, &candidates, overrides, *runtime) {
            Err(InterfaceError::Runtime(error)) => failure = failure.or(Some(error)),
            other => return other,
        }
    }
    Err(failure
        .map_or_else(|| Problem::new("the model", "has no runtime to be probed on").into(), Into::into))
}

/// What the declarations alone say of how a model is fed and read, its pixel range taken for granted; the
/// agreement is no number. For models that are too large to be run only for this.
///
/// # Errors
/// As for [`discover`].
pub fn unprobed(model: &Model, overrides: &Overrides) -> Result<Found, InterfaceError> {
    let overrides = &overrides.or_own(model);
    let (constants, form, geometry) = candidates(model, overrides, 1)?.swap_remove(0);
    let input_range = overrides.range.unwrap_or(PixelRange::Unit);
    let output_range = overrides.output_range.unwrap_or(input_range);
    Ok(Found {
        interface: Interface { form, geometry, input_range, output_range, constants },
        agreement: f64::NAN,
        ignored: None,
    })
}

/// The model with its image as its one input and one output left, and the image's form, from what
/// it declares for an image of `size`. Layout and range stay the model's own, and the output may be
/// any value.
///
/// # Errors
/// [`InterfaceError::Unclear`], as for [`discover`].
pub fn declared(
    model: &Model,
    overrides: &Overrides,
    size: [usize; 2],
) -> Result<(Model, Form), InterfaceError> {
    standard_domain_only(model)?;
    let constants = constants(model, overrides)?;
    let [constants] = &constants[..] else { return Err(ambiguous(&constants[0], &[]).into()) };
    let mut declared = with_constants(model, constants);
    let mut first_error = None;
    for form in forms(&declared, overrides)? {
        match specialise(&declared, &[&form.layout.shape(form.channels, size)]) {
            Ok(_) => {
                declared.graph.outputs.retain(|output| output.name == form.output);
                return Ok((declared, form));
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let nothing = || Problem::new("the model", "takes no image").into();
    Err(first_error.map_or_else(nothing, InterfaceError::from))
}

/// What the declarations and the shapes leave open: at least one, and at most so many forms for each set of
/// constants. A form that does not fit is found out at several sizes, which takes long in a large graph.
fn candidates(model: &Model, overrides: &Overrides, most: usize) -> Result<Vec<Candidate>, InterfaceError> {
    standard_domain_only(model)?;
    let mut candidates = Vec::new();
    let mut first_error = None;
    for constants in constants(model, overrides)? {
        let fed = with_constants(model, &constants);
        let shaped = forms(&fed, overrides)?.into_iter().map(|form| shaped(&fed, &form, overrides));
        let fitting =
            shaped.filter_map(|shaped| shaped.map_err(|error| _ = first_error.get_or_insert(error)).ok());
        let fitting = fitting.take(most);
        candidates.extend(fitting.map(|(form, geometry)| (constants.clone(), form, geometry)));
    }
    if candidates.is_empty() {
        let nothing = || Problem::new("the model", "takes no image").into();
        return Err(first_error.map_or_else(nothing, InterfaceError::from));
    }
    one_set_of_constants(&candidates)?;
    Ok(candidates)
}

fn probe(
    model: &Model,
    candidates: &[Candidate],
    overrides: &Overrides,
    runtime: &dyn Runtime,
) -> Result<Found, InterfaceError> {
    let mut best: Option<Found> = None;
    for (constants, form, geometry) in candidates.iter().cloned() {
        let found = with_ranges(model, constants, form, geometry, overrides, runtime)?;
        if best.as_ref().is_none_or(|best| found.agreement > best.agreement + CLEAR) {
            best = Some(found);
        }
    }
    best.ok_or_else(|| Problem::new("the model", "takes no image").into())
}

/// Operators of a domain of their own do not say what they compute.
fn standard_domain_only(model: &Model) -> Result<(), Problem> {
    match model.graph.nodes.iter().find(|node| !node.domain.is_empty()) {
        None => Ok(()),
        Some(node) => {
            let what = format!(
                "belongs to the operator domain `{}`, which Temper does not know; export the network without it",
                node.domain
            );
            Err(Problem::new(node.label(), what))
        }
    }
}

type Candidate = (Constants, Form, Geometry);

impl From<GeometryError> for InterfaceError {
    fn from(error: GeometryError) -> Self {
        match error {
            GeometryError::Rewrite(error) => InterfaceError::Rewrite(error),
            GeometryError::Output(problem) => InterfaceError::Unclear(problem),
        }
    }
}

/// The form with what its output is like, and the sizes that go with it.
fn shaped(model: &Model, form: &Form, overrides: &Overrides) -> Result<(Form, Geometry), GeometryError> {
    let (geometry, form) = Geometry::find(model, form)?;
    match overrides.scale {
        Some(scale) if scale != geometry.scale => {
            let what = format!("has scale {}, not {scale}", geometry.scale);
            Err(Problem::new("the model", what).into())
        }
        _ => Ok((form, geometry)),
    }
}

/// Refuses where several guesses at the other inputs all give an image.
fn one_set_of_constants(candidates: &[Candidate]) -> Result<(), Problem> {
    let Some((first, ..)) = candidates.first() else { return Ok(()) };
    if candidates.iter().all(|(constants, ..)| constants == first) {
        return Ok(());
    }
    let mut scales: Vec<usize> = candidates.iter().map(|(.., geometry)| geometry.scale).collect();
    scales.dedup();
    Err(ambiguous(first, &scales))
}

/// The ranges at input and output under which the model agrees best with a bicubic upscale.
fn with_ranges(
    model: &Model,
    constants: Constants,
    form: Form,
    geometry: Geometry,
    overrides: &Overrides,
    runtime: &dyn Runtime,
) -> Result<Found, InterfaceError> {
    let interface = |input_range, output_range| Interface {
        form: form.clone(),
        geometry,
        input_range,
        output_range,
        constants: constants.clone(),
    };
    let picture = picture(form.channels, geometry.example);
    let expected = reference(&picture, &geometry);
    let mut best: Option<Found> = None;
    for input in allowed(overrides.range) {
        let raw = run(&interface(input, PixelRange::Unit), model, &picture, runtime)?;
        let outputs = allowed(overrides.output_range.or(overrides.range));
        for output in outputs {
            let upscaled = raw.mapv(|value| output.to_unit(value));
            // No number, no agreement.
            let agreement = psnr(upscaled.view(), expected.view()).unwrap_or(f64::NEG_INFINITY);
            let agreement = if agreement.is_nan() { f64::NEG_INFINITY } else { agreement };
            let found = Found { interface: interface(input, output), agreement, ignored: None };
            // A range for both ends is more usual than two.
            let needed = if input == output { CLEAR } else { 2.0 * CLEAR };
            if best.as_ref().is_none_or(|best| found.agreement > best.agreement + needed) {
                best = Some(found);
            }
        }
    }
    // What is stated is believed, though it may be a poor network.
    let settled = overrides.range.is_some();
    match best {
        Some(best) if best.agreement >= LEAST || settled => Ok(best),
        best => {
            let agreement = best.map_or(f64::NEG_INFINITY, |best| best.agreement);
            if !agreement.is_finite() {
                let what = "gives values that are not finite numbers for a test picture; export it again";
                return Err(Problem::new("the model", what).into());
            }
            let what = format!(
                "does not upscale a test picture as bicubic does, whatever the range of its values: {agreement:.1} dB \
                 at best; if it is a super-resolution model, say --range (and --output-range)"
            );
            Err(Problem::new("the model", what).into())
        }
    }
}

fn allowed(stated: Option<PixelRange>) -> Vec<PixelRange> {
    stated.map_or_else(|| PixelRange::ALL.to_vec(), |range| vec![range])
}

/// What bicubic makes of the picture, where the model gives an output.
fn reference(picture: &Array3<f32>, geometry: &Geometry) -> Array3<f32> {
    let [height, width] = geometry.example.map(|side| side * geometry.scale);
    let large = bicubic(picture.view(), height, width);
    geometry.inside(large.view()).to_owned()
}

fn run(
    interface: &Interface,
    model: &Model,
    picture: &Array3<f32>,
    runtime: &dyn Runtime,
) -> Result<Array3<f32>, InterfaceError> {
    let input = picture.view().insert_axis(Axis(0)).into_dyn();
    let fixed = specialise(&interface.canonical(model), &[input.shape()])?;
    // Nobody has looked at this file yet.
    bounded(&fixed, model)?;
    let mut outputs = runtime.load(&fixed)?.run(&[input])?;
    let output = outputs.swap_remove(0).into_dimensionality::<Ix4>();
    let output = output.map_err(|_| Problem::new("the model", "gives no image of four axes"))?;
    Ok(output.index_axis_move(Axis(0), 0))
}
