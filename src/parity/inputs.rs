//! Inputs to compare on: noise, and the values at which runtimes part.
//!
//! Made for any model: images where an input has four axes, else tensors. A size that the model leaves open is 1 for
//! a batch, and a small number otherwise.

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::value::{Value, is_carried};
use crate::onnx::{DType, Dim, Model, Problem, ValueInfo};

/// A set of values, one per input of the model, with a name for reports.
#[derive(Clone, Debug)]
pub struct Input {
    /// What it is.
    pub name: String,
    /// One value per required input, in order.
    pub values: Vec<Value>,
}

/// The shape that somebody states for an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// The input's name.
    pub input: String,
    /// A size for each axis.
    pub sizes: Vec<usize>,
}

/// What floating-point inputs are filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// Uniform on [0, 1].
    Noise,
    /// Uniform on [-4, 4]: beyond what a network was trained on, so that clips and saturations act.
    Wide,
    /// Uniform on [0, 255].
    Bytes,
    Zeros,
    Ones,
    Checkerboard,
    /// One element of 1 among zeros.
    BrightPixel,
    /// The smallest numbers that float32 has.
    Denormals,
}

const PATTERNS: [(&str, Pattern); 8] = [
    ("noise", Pattern::Noise),
    ("wide noise", Pattern::Wide),
    ("noise to 255", Pattern::Bytes),
    ("zeros", Pattern::Zeros),
    ("ones", Pattern::Ones),
    ("checkerboard", Pattern::Checkerboard),
    ("bright pixel", Pattern::BrightPixel),
    ("denormals", Pattern::Denormals),
];

/// Height and width of an image where the model leaves them open: unlike each other, multiples of 8.
const SIDES: [usize; 2] = [32, 40];

/// The shapes of a model's inputs, with open sizes filled in, or as `stated` by name.
///
/// # Errors
/// An input of no known rank or of a type that is not computed with; a stated shape that does not fit.
pub fn shapes(model: &Model, stated: &[InputShape]) -> Result<Vec<Vec<usize>>, Problem> {
    let names: Vec<&str> = model.graph.required_inputs().map(|input| input.name.as_str()).collect();
    if let Some(unknown) = stated.iter().find(|stated| !names.contains(&stated.input.as_str())) {
        return Err(Problem::new(
            "the model",
            format!("has no input `{}`; it takes {}", unknown.input, names.join(", ")),
        ));
    }
    model.graph.required_inputs().map(|input| shape(input, stated)).collect()
}

fn shape(input: &ValueInfo, stated: &[InputShape]) -> Result<Vec<usize>, Problem> {
    let refuse = |what: String| Problem::new(format!("input `{}`", input.name), what);
    let given = stated.iter().find(|stated| stated.input == input.name).map(|stated| stated.sizes.clone());
    let Some((dtype, dims)) = input.dims() else {
        return given.ok_or_else(|| refuse("states no shape; give one with --shape NAME=N,N,...".into()));
    };
    if !is_carried(dtype) {
        return Err(refuse(format!("is {dtype}, which cannot be compared here")));
    }
    if let Some(shape) = given {
        let fits = dims.len() == shape.len()
            && dims.iter().zip(&shape).all(|(dim, size)| dim.known().is_none_or(|known| known == *size));
        let words: Vec<String> = dims.iter().map(Dim::to_string).collect();
        return if fits {
            Ok(shape)
        } else {
            Err(refuse(format!("is [{}] and cannot have the shape {shape:?}", words.join(", "))))
        };
    }
    let last_is_channels =
        dims.len() == 4 && matches!(dims[3].known(), Some(1 | 3)) && dims[1].known().is_none();
    let open = |axis: usize| match (dims.len(), axis) {
        (_, 0) => 1,
        (4, axis) if last_is_channels => SIDES[axis - 1],
        (4, 1) => 3,
        (4, axis) => SIDES[axis - 2],
        _ => 16,
    };
    Ok(dims.iter().enumerate().map(|(axis, dim)| dim.known().unwrap_or_else(|| open(axis))).collect())
}

/// One set of values per pattern, from a seed; integers are small counts whatever the pattern.
pub fn generated(model: &Model, shapes: &[Vec<usize>], seed: u64) -> Vec<Input> {
    let inputs: Vec<DType> = model
        .graph
        .required_inputs()
        .map(|input| input.dims().map_or(DType::F32, |(dtype, _)| dtype))
        .collect();
    let any_float = inputs.iter().any(|dtype| dtype.is_float());
    // Patterns differ in floating point alone.
    let patterns = PATTERNS.iter().take(if any_float { PATTERNS.len() } else { 1 });
    patterns
        .map(|(name, pattern)| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let typed = inputs.iter().zip(shapes);
            let values = typed.map(|(dtype, shape)| filled(*dtype, shape, *pattern, &mut rng)).collect();
            Input { name: (*name).to_owned(), values }
        })
        .collect()
}

fn filled(dtype: DType, shape: &[usize], pattern: Pattern, rng: &mut ChaCha8Rng) -> Value {
    let count: usize = shape.iter().product();
    let width = shape.last().copied().unwrap_or(1).max(1);
    let middle = count / 2;
    let mut element = |index: usize| -> f32 {
        match (dtype, pattern) {
            (DType::Bool, _) => f32::from(u8::from(rng.random_range(0.0..1.0f32) < 0.5)),
            (DType::U8, _) => rng.random_range(0.0..256.0f32).floor(),
            (DType::I8, _) => rng.random_range(-128.0..128.0f32).floor(),
            (dtype, _) if !dtype.is_float() => rng.random_range(1.0..4.0f32).floor(),
            (_, Pattern::Noise) => rng.random_range(0.0..1.0),
            (_, Pattern::Wide) => rng.random_range(-4.0..4.0),
            (_, Pattern::Bytes) => rng.random_range(0.0..255.0),
            (_, Pattern::Zeros) => 0.0,
            (_, Pattern::Ones) => 1.0,
            (_, Pattern::Checkerboard) => ((index / width + index % width) % 2) as f32,
            (_, Pattern::BrightPixel) => f32::from(u8::from(index == middle)),
            (_, Pattern::Denormals) => f32::from_bits(1 + (index % 1000) as u32),
        }
    };
    let elements = (0..count).map(|index| rounded(dtype, element(index))).collect();
    let high = ArrayD::from_shape_vec(IxDyn(shape), elements).unwrap_or_default();
    Value::new(dtype, high)
}

/// The number of a type that is nearest.
pub fn rounded(dtype: DType, value: f32) -> f32 {
    match dtype {
        DType::F16 => half::f16::from_f32(value).to_f32(),
        DType::BF16 => half::bf16::from_f32(value).to_f32(),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Graph;

    fn model(dtype: DType, dims: &[usize]) -> Model {
        let dims = dims.iter().map(|&size| if size == 0 { Dim::Unknown } else { Dim::Known(size) });
        let inputs = vec![ValueInfo::tensor("x", dtype, dims)];
        Model { graph: Graph { inputs, ..Graph::default() }, ..Model::default() }
    }

    #[test]
    fn open_sizes_are_filled_in_and_stated_ones_are_held_to_the_model() {
        assert_eq!(shapes(&model(DType::F32, &[0, 3, 0, 0]), &[]).unwrap(), [[1, 3, 32, 40]]);
        assert_eq!(shapes(&model(DType::F32, &[0, 0, 0, 3]), &[]).unwrap(), [[1, 32, 40, 3]]);
        assert_eq!(shapes(&model(DType::I64, &[0, 0]), &[]).unwrap(), [[1, 16]]);
        let named = |input: &str, sizes: &[usize]| InputShape { input: input.into(), sizes: sizes.to_vec() };
        let stated = |sizes: &[usize]| vec![named("x", sizes)];
        assert_eq!(shapes(&model(DType::F32, &[0, 8]), &stated(&[2, 8])).unwrap(), [[2, 8]]);
        assert!(shapes(&model(DType::F32, &[0, 8]), &stated(&[2, 7])).is_err());
        assert!(
            shapes(&model(DType::F32, &[1]), &[named("y", &[1])]).unwrap_err().to_string().contains("`y`")
        );
    }

    #[test]
    fn one_seed_gives_one_set() {
        let model = model(DType::F32, &[1, 3, 4, 5]);
        let of =
            |seed| generated(&model, &[vec![1, 3, 4, 5]], seed).swap_remove(0).values.swap_remove(0).high;
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
        let bright = &generated(&model, &[vec![1, 3, 4, 5]], 0)[6];
        assert_eq!((bright.name.as_str(), bright.values[0].high.sum()), ("bright pixel", 1.0));
    }
}
