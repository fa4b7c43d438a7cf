//! How far two values may lie apart, by element type: `exact`, `abs=`, `rel=`, `ulp=`, `psnr=`, `cosine=`.

use std::str::FromStr;

use serde::Serialize;

use super::difference::Difference;
use crate::onnx::DType;

/// One bound; several may hold for a type, and all of them must.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Every element is the same number.
    Exact,
    /// The largest difference is at most this.
    Abs(f64),
    /// The largest difference is at most this share of the reference's largest absolute element, or no more than
    /// denormals that were flushed to zero explain.
    Rel(f64),
    /// At most so many float32 steps lie between two elements.
    Ulp(u64),
    /// The PSNR in dB is at least this.
    Psnr(f64),
    /// The cosine of the angle between the two is at least this.
    Cosine(f64),
}

/// What runtimes that flush denormals to zero differ by at most: sums of a thousand of the smallest normal float32.
const FLUSHED: f64 = 1e-35;

impl Bound {
    fn holds(self, found: &Difference) -> bool {
        match self {
            Bound::Exact => found.max == 0.0,
            Bound::Abs(most) => found.max <= most,
            Bound::Rel(most) => found.max <= (most * found.scale).max(FLUSHED),
            Bound::Ulp(most) => found.ulp <= most,
            Bound::Psnr(least) => found.psnr.is_none_or(|psnr| psnr >= least),
            Bound::Cosine(least) => found.cosine >= least,
        }
    }
}

impl Bound {
    /// How much of it a difference uses up: 1 is its border.
    fn used(self, found: &Difference) -> f64 {
        let share = |used: f64, most: f64| if used > 0.0 { used / most } else { 0.0 };
        match self {
            Bound::Exact => found.max,
            Bound::Abs(most) => share(found.max, most),
            Bound::Rel(most) => share(found.max, (most * found.scale).max(FLUSHED)),
            Bound::Ulp(most) => share(found.ulp as f64, most as f64),
            Bound::Psnr(least) => found.psnr.map_or(0.0, |psnr| 10.0_f64.powf((least - psnr) / 20.0)),
            Bound::Cosine(least) => share(1.0 - found.cosine, 1.0 - least),
        }
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no tolerance; give exact, abs=1e-5, rel=1e-4, ulp=8, psnr=60 or cosine=0.9999"
            )
        };
        let Some((name, value)) = text.split_once('=') else {
            return if text == "exact" { Ok(Bound::Exact) } else { Err(wrong()) };
        };
        let number = value
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0)
            .ok_or_else(wrong)?;
        match name {
            "abs" => Ok(Bound::Abs(number)),
            "rel" => Ok(Bound::Rel(number)),
            "ulp" => value.parse().map(Bound::Ulp).map_err(|_| wrong()),
            "psnr" => Ok(Bound::Psnr(number)),
            "cosine" if number <= 1.0 => Ok(Bound::Cosine(number)),
            _ => Err(wrong()),
        }
    }
}

/// The bounds of one element type, or of all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedTolerance {
    /// The type; `None` for every type.
    dtype: Option<DType>,
    bounds: Vec<Bound>,
}

/// Element types by the names that people use for them.
const TYPES: [(&str, DType); 8] = [
    ("f32", DType::F32),
    ("f16", DType::F16),
    ("bf16", DType::BF16),
    ("f64", DType::F64),
    ("u8", DType::U8),
    ("i8", DType::I8),
    ("i32", DType::I32),
    ("i64", DType::I64),
];

impl FromStr for TypedTolerance {
    type Err = String;

    /// `rel=1e-4`, `f16:psnr=50,abs=0.1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (dtype, bounds) = match text.split_once(':') {
            None => (None, text),
            Some((name, bounds)) => {
                let known = TYPES.iter().find(|(known, dtype)| *known == name || dtype.name() == name);
                let names = TYPES.map(|(known, _)| known).join(", ");
                let (_, dtype) =
                    known.ok_or_else(|| format!("there is no element type `{name}`; there are {names}"))?;
                (Some(*dtype), bounds)
            }
        };
        Ok(Self { dtype, bounds: bounds.split(',').map(str::parse).collect::<Result<_, _>>()? })
    }
}

/// Bounds for every element type.
#[derive(Clone, Debug, Default)]
pub struct Tolerances {
    stated: Vec<TypedTolerance>,
    /// Whether the same runtime runs both sides, so that sound nodes give the same bits.
    same_runtime: bool,
}

impl Tolerances {
    /// What is stated, over the defaults: those between runtimes, or the tighter ones of one runtime.
    pub fn new(stated: Vec<TypedTolerance>, same_runtime: bool) -> Self {
        Self { stated, same_runtime }
    }

    /// The bounds of a type: the last that were stated for it, else those for every type, else the default.
    pub fn of(&self, dtype: DType) -> Vec<Bound> {
        let last = |wanted: Option<DType>| self.stated.iter().rev().find(|stated| stated.dtype == wanted);
        match last(Some(dtype)).or_else(|| last(None)) {
            Some(stated) => stated.bounds.clone(),
            None => vec![self.default(dtype)],
        }
    }

    /// float32 differs by the order of sums between runtimes, and by nothing on one; 8 bits by a rounded tie.
    fn default(&self, dtype: DType) -> Bound {
        match (dtype, self.same_runtime) {
            (DType::F32 | DType::F64, true) => Bound::Rel(2e-6),
            (DType::F32, false) => Bound::Rel(1e-4),
            (DType::F64, false) => Bound::Rel(1e-6),
            (DType::F16, _) => Bound::Rel(5e-3),
            (DType::BF16, _) => Bound::Rel(3e-2),
            (DType::U8 | DType::I8, false) => Bound::Abs(1.0),
            _ => Bound::Exact,
        }
    }

    /// How much of the bounds of its type a difference uses up, of `exact` the difference itself; beyond 1 it is not
    /// allowed. Infinite where no tolerance would do.
    pub fn strain(&self, dtype: DType, found: &Difference) -> f64 {
        if found.shapes.is_some() || found.is_one_sided() {
            return f64::INFINITY;
        }
        self.of(dtype).into_iter().map(|bound| bound.used(found)).fold(0.0, f64::max)
    }

    /// Whether a difference lies within the bounds of its type. NaN on one side and shapes that differ never do.
    pub fn allow(&self, dtype: DType, found: &Difference) -> bool {
        found.shapes.is_none()
            && !found.is_one_sided()
            && self.of(dtype).into_iter().all(|bound| bound.holds(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_and_the_most_particular_stands() {
        let stated =
            ["rel=1e-3", "f16:psnr=40,abs=0.5", "f16:psnr=50"].map(|text| text.parse().unwrap()).to_vec();
        let tolerances = Tolerances::new(stated, false);
        assert_eq!(tolerances.of(DType::F16), [Bound::Psnr(50.0)]);
        assert_eq!(tolerances.of(DType::F32), [Bound::Rel(1e-3)]);
        assert_eq!(Tolerances::new(vec![], false).of(DType::I64), [Bound::Exact]);
        for wrong in ["rel", "abs=-1", "near=2", "cosine=2", "f12:abs=1", "ulp=1.5"] {
            assert!(wrong.parse::<TypedTolerance>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn flushed_denormals_are_no_fault() {
        let between = Tolerances::new(vec![], true);
        let flushed = Difference { max: 4e-45, scale: 1e-42, relative: 4e-3, ..Difference::default() };
        assert!(between.allow(DType::F32, &flushed));
        assert!(!between.allow(DType::F32, &Difference { max: 4e-33, scale: 1e-30, ..flushed }));
    }

    #[test]
    fn no_tolerance_is_wide_enough_for_a_nan_or_a_shape() {
        let wide = Tolerances::new(vec!["abs=1e30".parse().unwrap()], false);
        assert!(wide.allow(DType::F32, &Difference { max: 1.0, ..Difference::default() }));
        assert!(!wide.allow(DType::F32, &Difference { not_finite_in_candidate: 1, ..Difference::default() }));
        let shapes = Some([vec![1], vec![2]]);
        assert!(!wide.allow(DType::F32, &Difference { shapes, ..Difference::default() }));
    }
}
