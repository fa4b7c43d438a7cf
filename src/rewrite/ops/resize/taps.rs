//! Which entries of the data an entry of the result reads, and how it weighs them.
//!
//! Coordinates are computed in f32, as the runtimes do: where they fall on a tie, a nearest
//! neighbour hangs on the last bit.

use ndarray::{ArrayD, Axis, IxDyn};

use super::super::Call;
use super::super::taps::Taps;

/// How entries are weighed, whatever the axis.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    mode: Mode,
    coordinates: Coordinates,
    /// Keys' coefficient.
    cubic: f32,
    exclude_outside: bool,
    antialias: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Nearest(Nearest),
    Linear,
    Cubic,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Nearest {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    TfHalfPixelForNn,
    AlignCorners,
    Asymmetric,
}

impl Filter {
    /// What a Resize node's attributes say.
    pub fn read(call: &Call<'_>) -> Result<Self, String> {
        let unknown =
            |what: &str, value: &str| Err(format!("has `{what}` {value}, which ONNX does not define"));
        let nearest = match call.text("nearest_mode", "round_prefer_floor")? {
            "round_prefer_floor" => Nearest::PreferFloor,
            "round_prefer_ceil" => Nearest::PreferCeil,
            "floor" => Nearest::Floor,
            "ceil" => Nearest::Ceil,
            other => return unknown("nearest_mode", other),
        };
        let mode = match call.text("mode", "nearest")? {
            "nearest" => Mode::Nearest(nearest),
            "linear" => Mode::Linear,
            "cubic" => Mode::Cubic,
            other => return unknown("mode", other),
        };
        let coordinates = match call.text("coordinate_transformation_mode", "half_pixel")? {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "tf_half_pixel_for_nn" => Coordinates::TfHalfPixelForNn,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            "tf_crop_and_resize" => {
                return Err("crops as it resizes (`tf_crop_and_resize`), which is not read".into());
            }
            other => return unknown("coordinate_transformation_mode", other),
        };
        Ok(Self {
            mode,
            coordinates,
            cubic: call.float("cubic_coeff_a", -0.75)?,
            exclude_outside: call.int("exclude_outside", 0)? != 0,
            antialias: call.int("antialias", 0)? != 0,
        })
    }

    /// The weight of an entry at this distance.
    fn weight(&self, distance: f32) -> f32 {
        let (x, a) = (distance.abs(), self.cubic);
        match self.mode {
            Mode::Nearest(_) => 1.0,
            Mode::Linear => (1.0 - x).max(0.0),
            Mode::Cubic if x <= 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Mode::Cubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
            Mode::Cubic => 0.0,
        }
    }
}

/// What happens along one axis: `size` entries become `count`.
#[derive(Clone, Copy, Debug)]
pub struct Resample {
    pub size: usize,
    pub count: usize,
    pub scale: f32,
    pub filter: Filter,
}

/// What an entry reads: entries, which may lie beyond the edges, and their weights.
pub type Row = Vec<(i64, f32)>;

impl Resample {
    /// Whether the axis stays as it is.
    pub fn is_identity(&self) -> bool {
        self.scale == 1.0 && self.count == self.size
    }

    /// Whether entries beyond the edges are left out, rather than read as those at the edges.
    pub fn excludes(&self) -> bool {
        self.filter.exclude_outside && (self.filter.mode == Mode::Cubic || self.widens())
    }

    /// Whether the filter is widened so that every entry of the data is read.
    fn widens(&self) -> bool {
        self.filter.antialias && self.scale < 1.0 && !matches!(self.filter.mode, Mode::Nearest(_))
    }

    /// What each entry of the result reads, edges repeated.
    pub fn taps(&self) -> Taps {
        clamped(self.rows(), self.size)
    }

    /// What each entry of the result reads of an axis without end.
    pub fn rows(&self) -> Vec<Row> {
        (0..self.count).map(|index| self.row(index)).collect()
    }

    fn row(&self, index: usize) -> Row {
        let at = self.coordinate(index as f32);
        let row = match self.filter.mode {
            Mode::Nearest(nearest) => return vec![(nearest.pick(at), 1.0)],
            _ if self.widens() => self.wide(at),
            Mode::Linear => {
                let first = at.floor();
                vec![(first as i64, 1.0 - (at - first)), (first as i64 + 1, at - first)]
            }
            Mode::Cubic => {
                let first = at.floor();
                (-1..3)
                    .map(|step| (first as i64 + step, self.filter.weight(at - first - step as f32)))
                    .collect()
            }
        };
        let row: Row =
            row.into_iter().filter(|&(entry, weight)| weight != 0.0 && self.reads(entry)).collect();
        self.normalised(row)
    }

    /// Shrinking with antialiasing: the filter is as wide as the entries of the result.
    fn wide(&self, at: f32) -> Row {
        let reach = if self.filter.mode == Mode::Cubic { 2.0 } else { 1.0 } / self.scale;
        let (first, last) = ((at + 1.0 - reach).floor() as i64, (at + 1.0 + reach).floor() as i64);
        (first..last).map(|entry| (entry, self.filter.weight((entry as f32 - at) * self.scale))).collect()
    }

    fn reads(&self, entry: i64) -> bool {
        !self.excludes() || (0..self.size as i64).contains(&entry)
    }

    fn normalised(&self, mut row: Row) -> Row {
        let sum: f32 = row.iter().map(|(_, weight)| weight).sum();
        if (self.excludes() || self.widens()) && sum != 0.0 {
            row.iter_mut().for_each(|(_, weight)| *weight /= sum);
        }
        row
    }

    /// Where entry `index` of the result lies in the data.
    fn coordinate(&self, index: f32) -> f32 {
        let (size, count) = (self.size as f32, self.count as f32);
        let half_pixel = || (index + 0.5) / self.scale - 0.5;
        match self.filter.coordinates {
            _ if self.is_identity() => index,
            Coordinates::HalfPixel => half_pixel(),
            Coordinates::PytorchHalfPixel => {
                if self.count > 1 {
                    half_pixel()
                } else {
                    0.0
                }
            }
            Coordinates::HalfPixelSymmetric => {
                let shown = count / (self.scale * size);
                size / 2.0 * (1.0 - shown) + half_pixel()
            }
            Coordinates::TfHalfPixelForNn => (index + 0.5) / self.scale,
            Coordinates::AlignCorners if self.count > 1 => index * (size - 1.0) / (count - 1.0),
            Coordinates::AlignCorners => 0.0,
            Coordinates::Asymmetric => index / self.scale,
        }
    }
}

impl Nearest {
    fn pick(self, at: f32) -> i64 {
        let entry = match self {
            Nearest::PreferFloor => (at - 0.5).ceil(),
            Nearest::PreferCeil => (at + 0.5).floor(),
            Nearest::Floor => at.floor(),
            Nearest::Ceil => at.ceil(),
        };
        entry as i64
    }
}

/// What lies beyond the edges, read at the edges.
pub fn clamped(rows: Vec<Row>, size: usize) -> Taps {
    let inside = |entry: i64| entry.clamp(0, size as i64 - 1) as usize;
    let row = |row: Row| {
        let mut taps: Vec<(usize, f32)> = Vec::with_capacity(row.len());
        for (entry, weight) in row {
            match taps.last_mut().filter(|(last, _)| *last == inside(entry)) {
                Some((_, sum)) => *sum += weight,
                None => taps.push((inside(entry), weight)),
            }
        }
        taps
    };
    rows.into_iter().map(row).collect()
}

/// An array resampled along one axis.
pub fn apply(array: &ArrayD<f64>, axis: usize, taps: &Taps) -> ArrayD<f64> {
    let mut shape = array.shape().to_vec();
    shape[axis] = taps.len();
    let mut result = ArrayD::zeros(IxDyn(&shape));
    for (to, row) in taps.iter().enumerate() {
        for &(from, weight) in row {
            let source = array.index_axis(Axis(axis), from);
            result.index_axis_mut(Axis(axis), to).scaled_add(f64::from(weight), &source);
        }
    }
    result
}
