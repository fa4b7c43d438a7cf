//! The shape of the per-channel networks: K and the widths m of eq. (3), and where each layer's
//! parameters lie in a packed row. No tensors here.

use std::ops::Range;

use super::DensityError;

/// The hyperparameters of the estimator.
#[derive(Debug, Clone, PartialEq)]
pub struct DensityShape {
    /// The widths between the layers: K - 1 numbers (m_2 to m_K of eq. 3); m_1 and m_(K+1) are 1.
    pub hidden: Vec<usize>,
    /// About how widely the features spread at the start; c_d then rises over some +/- this.
    pub init_scale: f64,
}

impl Default for DensityShape {
    /// The paper's: K = 4, widths 3, 3, 3, init_scale 10.
    fn default() -> Self {
        Self { hidden: vec![3, 3, 3], init_scale: 10.0 }
    }
}

impl DensityShape {
    /// The most parameters of one channel: the paper's have 43.
    pub const MAX_PARAMETERS: usize = 1 << 16;

    /// Parameters of one channel's network: for every layer a matrix, a bias and, but for the last, a gate.
    /// Saturates.
    pub fn parameters(&self) -> usize {
        let widths = [&[1], self.hidden.as_slice(), &[1]].concat();
        let layer = |pair: &[usize]| pair[0].saturating_add(2).saturating_mul(pair[1]);
        // The last layer, of width 1, has no gate.
        widths.windows(2).map(layer).fold(0, usize::saturating_add) - 1
    }

    /// Checks that the networks can be.
    ///
    /// # Errors
    /// [`DensityError::Setting`] for a width of 0, more parameters than 65,536 a channel, or an init_scale that is
    /// not positive.
    pub fn check(&self) -> Result<(), DensityError> {
        if self.hidden.contains(&0) {
            let given = format!("{:?}", self.hidden);
            let (what, must) = ("a hidden width", "at least 1");
            return Err(DensityError::Setting { what, given, must });
        }
        if self.parameters() > Self::MAX_PARAMETERS {
            let given = format!("{:?}, with {} parameters for every channel", self.hidden, self.parameters());
            let must = "smaller: at most 65,536 parameters a channel, where the paper's 3, 3, 3 have 43";
            return Err(DensityError::Setting { what: "the list of hidden widths", given, must });
        }
        if !(self.init_scale.is_finite() && self.init_scale > 0.0) {
            let given = self.init_scale.to_string();
            let (what, must) = ("init_scale", "a positive number");
            return Err(DensityError::Setting { what, given, must });
        }
        Ok(())
    }

    pub(super) fn layers(&self) -> Result<Layers, DensityError> {
        self.check()?;
        let widths = [&[1], self.hidden.as_slice(), &[1]].concat();
        Ok(Layers { widths })
    }
}

/// The widths of all K layers, ends included, and the layout of a channel's parameters:
/// layer by layer M (row-major, width out x width in), b, and a where the layer has a gate.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    widths: Vec<usize>,
}

/// One layer: its widths and where its parameters lie in a channel's packed row.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// m_i.
    pub width_in: usize,
    /// m_(i+1).
    pub width_out: usize,
    /// M, row-major.
    pub matrix: Range<usize>,
    /// b.
    pub bias: Range<usize>,
    /// a; empty in the last layer.
    pub gate: Range<usize>,
}

impl Layers {
    /// K.
    pub fn depth(&self) -> usize {
        self.widths.len() - 1
    }

    /// All layers, in order.
    pub fn list(&self) -> Vec<Layer> {
        let mut end = 0;
        let mut take = |count: usize| {
            end += count;
            end - count..end
        };
        let pairs = self.widths.windows(2).enumerate();
        pairs
            .map(|(index, pair)| {
                let gates = if index + 1 < self.depth() { pair[1] } else { 0 };
                Layer {
                    width_in: pair[0],
                    width_out: pair[1],
                    matrix: take(pair[0] * pair[1]),
                    bias: take(pair[1]),
                    gate: take(gates),
                }
            })
            .collect()
    }

    /// How many parameters a channel has.
    pub fn count(&self) -> usize {
        self.list().last().map_or(0, |layer| layer.gate.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_shape_has_43_parameters_per_channel() {
        let layers = DensityShape::default().layers().unwrap();
        assert_eq!((layers.depth(), layers.count()), (4, 43));
        for hidden in [vec![], vec![1], vec![3, 3, 3], vec![7, 2]] {
            let shape = DensityShape { hidden, ..DensityShape::default() };
            assert_eq!(shape.parameters(), shape.layers().unwrap().count());
        }
        let list = layers.list();
        assert_eq!((list[0].matrix.clone(), list[0].bias.clone()), (0..3, 3..6));
        assert_eq!((list[1].matrix.clone(), list[1].gate.clone()), (9..18, 21..24));
        assert_eq!((list[3].matrix.clone(), list[3].gate.clone()), (39..42, 43..43));
    }

    #[test]
    fn shapes_that_cannot_be_are_refused_by_name() {
        let shape = DensityShape { hidden: vec![3, 0], ..DensityShape::default() };
        let message = shape.layers().unwrap_err().to_string();
        assert_eq!(message, "density estimator: a hidden width is [3, 0]; it must be at least 1");
        for hidden in [vec![30_000, 30_000], vec![usize::MAX, usize::MAX]] {
            let shape = DensityShape { hidden, ..DensityShape::default() };
            assert!(shape.layers().unwrap_err().to_string().contains("at most 65,536 parameters"));
        }
        for init_scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(DensityShape { init_scale, ..DensityShape::default() }.layers().is_err());
        }
    }
}
