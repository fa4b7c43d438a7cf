//! FDA's objective, eq. (13), between its jumps: which entries of Phi lie below C and which above is kept as it
//! is at one point.
//!
//! The objective itself jumps by about Phi^2 wherever an entry changes sides. Over a step of any size that
//! float32 resolves some do, in a share that no gradient tells, so that a difference of the objective is not
//! its derivative; a difference with the sets kept is.

use ndarray::{ArrayD, Axis, Zip};

/// Keeps the logarithm of an empty set a number, as in the objective's graph.
const EMPTY: f64 = 1e-12;

/// The sides of all entries, tap by tap: -1 below C, 1 above, 0 equal.
pub struct Frozen(Vec<ArrayD<i8>>);

impl Frozen {
    /// The sides at these feature maps, each N x C x ..., with N = 1.
    pub fn at(features: &[ArrayD<f32>]) -> Self {
        let sides = features.iter().map(|phi| {
            let count = phi.len_of(Axis(1)).max(1) as f32;
            let mean = (phi.sum_axis(Axis(1)) / count).insert_axis(Axis(1));
            let mean = mean.broadcast(phi.raw_dim()).expect("an axis of length 1 stands for any");
            Zip::from(phi).and(mean).map_collect(|phi, mean| match phi.partial_cmp(mean) {
                Some(std::cmp::Ordering::Less) => -1,
                Some(std::cmp::Ordering::Greater) => 1,
                _ => 0,
            })
        });
        Self(sides.collect())
    }

    /// The objective of other feature maps of the same shapes, in f64.
    pub fn value(&self, features: &[ArrayD<f32>]) -> f64 {
        let of = |(sides, phi): (&ArrayD<i8>, &ArrayD<f32>)| {
            let [mut below, mut above] = [0.0_f64; 2];
            Zip::from(sides).and(phi).for_each(|side, phi| match side {
                -1 => below += f64::from(*phi).powi(2),
                1 => above += f64::from(*phi).powi(2),
                _ => {}
            });
            (below.sqrt() + EMPTY).ln() - (above.sqrt() + EMPTY).ln()
        };
        self.0.iter().zip(features).map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn an_entry_that_changes_sides_counts_where_it_was() {
        let phi = array![[[1.0_f32], [3.0]]].into_dyn();
        let frozen = Frozen::at(std::slice::from_ref(&phi));
        assert!((frozen.value(&[phi]) - (1.0_f64.ln() - 3.0_f64.ln())).abs() < 1e-9);
        let crossed = array![[[4.0_f32], [2.0]]].into_dyn();
        assert!((frozen.value(&[crossed]) - (4.0_f64.ln() - 2.0_f64.ln())).abs() < 1e-9);
    }
}
