//! How constant results are computed: shared steps of the operators' folds.

use ndarray::{ArrayD, IxDyn, Zip};

use super::Call;
use super::call::broadcast;
use crate::onnx::Tensor;
use crate::rewrite::Array;

/// What a fold gives: nothing where an input is not constant.
pub type Folded = Result<Option<Vec<Tensor>>, String>;

/// The inputs as arrays, left-out ones as `None`; `None` on the whole unless all are constant.
pub fn arrays(call: &Call<'_>) -> Option<Vec<Option<Array>>> {
    // Before any of them is copied.
    if (0..call.input_count()).any(|index| !call.is_left_out(index) && call.constant(index).is_err()) {
        return None;
    }
    let input = |index: usize| match call.is_left_out(index) {
        true => Some(None),
        false => call.constant(index).ok().and_then(Array::of).map(Some),
    };
    (0..call.input_count()).map(input).collect()
}

/// One output.
pub fn one(array: &Array) -> Folded {
    Ok(array.tensor().map(|tensor| vec![tensor]))
}

/// Computes one output from arrays of which none is left out.
pub fn from_all(call: &Call<'_>, compute: impl FnOnce(&[Array]) -> Result<Option<Array>, String>) -> Folded {
    let all: Option<Vec<Array>> = arrays(call).and_then(|inputs| inputs.into_iter().collect());
    match all {
        Some(inputs) => compute(&inputs)?.map_or(Ok(None), |array| one(&array)),
        None => Ok(None),
    }
}

/// An operator of one input, element by element, on floats.
pub fn unary(call: &Call<'_>, float: impl Fn(f64) -> f64) -> Folded {
    from_all(call, |inputs| match inputs {
        [Array::Float(dtype, a)] => Ok(Some(Array::Float(*dtype, a.mapv(&float)))),
        _ => Ok(None),
    })
}

/// An operator of one input, element by element, on integers and floats.
pub fn number(call: &Call<'_>, int: impl Fn(i64) -> i64, float: impl Fn(f64) -> f64) -> Folded {
    from_all(call, |inputs| match inputs {
        [Array::Int(dtype, a)] => Ok(Some(Array::Int(*dtype, a.mapv(&int)))),
        [Array::Float(dtype, a)] => Ok(Some(Array::Float(*dtype, a.mapv(&float)))),
        _ => Ok(None),
    })
}

/// An operator of two inputs that broadcasts, on integers and floats. An integer result of `None`
/// (a division by zero, an overflow) is left for the runtime to meet.
pub fn binary(
    call: &Call<'_>,
    int: impl Fn(i64, i64) -> Option<i64>,
    float: impl Fn(f64, f64) -> f64,
) -> Folded {
    from_all(call, |inputs| match inputs {
        [a, b] => combined(a, b, &int, &float),
        _ => Ok(None),
    })
}

/// An operator of any number of inputs, joined two by two from the first on.
pub fn variadic(
    call: &Call<'_>,
    int: impl Fn(i64, i64) -> Option<i64>,
    float: impl Fn(f64, f64) -> f64,
) -> Folded {
    from_all(call, |inputs| {
        let Some((first, rest)) = inputs.split_first() else { return Ok(None) };
        let mut result = first.clone();
        for input in rest {
            let Some(joined) = combined(&result, input, &int, &float)? else { return Ok(None) };
            result = joined;
        }
        Ok(Some(result))
    })
}

fn combined(
    a: &Array,
    b: &Array,
    int: &impl Fn(i64, i64) -> Option<i64>,
    float: &impl Fn(f64, f64) -> f64,
) -> Result<Option<Array>, String> {
    match (a, b) {
        (Array::Int(dtype, a), Array::Int(_, b)) => {
            let result = zip(a, b, |a, b| int(*a, *b))?;
            let whole: Option<Vec<i64>> = result.iter().copied().collect();
            let array = whole.and_then(|values| ArrayD::from_shape_vec(result.raw_dim(), values).ok());
            Ok(array.map(|array| Array::Int(*dtype, array)))
        }
        (Array::Float(dtype, a), Array::Float(_, b)) => {
            Ok(Some(Array::Float(*dtype, zip(a, b, |a, b| float(*a, *b))?)))
        }
        _ => Ok(None),
    }
}

/// A comparison of numbers, broadcasting.
pub fn compare(call: &Call<'_>, holds: impl Fn(std::cmp::Ordering) -> bool) -> Folded {
    from_all(call, |inputs| {
        let result = match inputs {
            [Array::Int(_, a), Array::Int(_, b)] => zip(a, b, |a, b| holds(a.cmp(b)))?,
            [Array::Float(_, a), Array::Float(_, b)] => {
                zip(a, b, |a, b| a.partial_cmp(b).is_some_and(&holds))?
            }
            [Array::Bool(a), Array::Bool(b)] => zip(a, b, |a, b| holds(a.cmp(b)))?,
            _ => return Ok(None),
        };
        Ok(Some(Array::Bool(result)))
    })
}

/// Two arrays broadcast together, element by element.
pub fn zip<A, B, C>(a: &ArrayD<A>, b: &ArrayD<B>, f: impl Fn(&A, &B) -> C) -> Result<ArrayD<C>, String> {
    let shape = broadcast(a.shape(), b.shape())?;
    let (a, b) = (stretched(a, &shape)?, stretched(b, &shape)?);
    Ok(Zip::from(a).and(b).map_collect(f))
}

/// An array seen under a larger shape.
pub fn stretched<'a, A>(array: &'a ArrayD<A>, shape: &[usize]) -> Result<ndarray::ArrayViewD<'a, A>, String> {
    array.broadcast(IxDyn(shape)).ok_or_else(|| format!("cannot broadcast {:?} to {shape:?}", array.shape()))
}
