//! The views of one model as a landscape; see [`View`].
//!
//! One gradient session is held at a time, so that several views need no more memory than one. Deliberately
//! absent: pre-processings that draw at random, whose gradients are means (`expected`), and which view is of
//! use.

use ndarray::{Array4, ArrayView4, Axis, concatenate};

use super::goal::Goal;
use super::landscape::Landscape;
use super::view::View;
use crate::oracle::{Objective, Oracle, OracleError};

/// Channels of the surrogate's image.
const COLOURS: usize = 3;

/// A model as it is served, with other ways to look at it.
pub struct Views<'a> {
    served: &'a mut Oracle,
    /// What is maximised.
    objective: Objective,
    /// Feature maps of the model, where they are known.
    features: Option<Objective>,
    /// The model before its output is clipped.
    unclipped: Oracle,
    /// The model without its roundings, where it has any.
    straight: Option<Oracle>,
    /// A network that takes images of three colours.
    surrogate: Oracle,
    /// The surrogate's output at the centre of the goal that was last asked about.
    undisturbed: Option<(Array4<f32>, Array4<f32>)>,
    view: View,
}

impl<'a> Views<'a> {
    /// The views of `served`, which is made to answer for `objective`; `straight` is the model without its
    /// roundings, where it has any.
    pub fn new(
        served: &'a mut Oracle,
        objective: Objective,
        features: Option<Objective>,
        [unclipped, surrogate]: [Oracle; 2],
        mut straight: Option<Oracle>,
    ) -> Self {
        served.set_objective(&objective);
        straight.iter_mut().for_each(|straight| straight.set_objective(&objective));
        let view = View::Served;
        Self { served, objective, features, unclipped, straight, surrogate, undisturbed: None, view }
    }

    /// The gradient of another objective of the served model.
    fn gradient_of(
        &mut self,
        objective: &Objective,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<Array4<f32>, OracleError> {
        self.served.set_objective(objective);
        let found = Landscape::value_and_gradient(self.served, x, goals);
        self.served.set_objective(&self.objective);
        Ok(found?.1)
    }

    /// The surrogate's gradient, image by image; that of a luma image is the sum over three equal colours.
    fn gradient_of_surrogate(
        &mut self,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<Array4<f32>, OracleError> {
        let mut gradients = Array4::zeros(x.raw_dim());
        let parts = gradients.axis_chunks_iter_mut(Axis(0), 1).zip(x.axis_chunks_iter(Axis(0), 1));
        for ((mut part, x), goal) in parts.zip(goals) {
            let centre = goal.ball.centre();
            let known = self.undisturbed.take().filter(|(of, _)| of == centre);
            let (of, target) = match known {
                Some(known) => known,
                None => (centre.to_owned(), self.surrogate.forward(coloured(centre).view())?),
            };
            let gradient = of_another(self.surrogate.value_and_gradient(coloured(x).view(), target.view()))?;
            self.undisturbed = Some((of, target));
            if x.len_of(Axis(1)) == COLOURS {
                part.assign(&gradient);
            } else {
                part.assign(&gradient.sum_axis(Axis(1)).insert_axis(Axis(1)));
            }
        }
        Ok(gradients)
    }
}

/// The gradient of another model than the one that is served: where its objective is no number, there is none.
fn of_another(found: Result<(Vec<f64>, Array4<f32>), OracleError>) -> Result<Array4<f32>, OracleError> {
    match found {
        Ok((_, gradient)) => Ok(gradient),
        Err(OracleError::NotFinite { kind, count, .. }) => {
            Err(OracleError::NotFinite { kind, what: "gradient", count })
        }
        Err(error) => Err(error),
    }
}

/// A luma image as three equal colours.
fn coloured(x: ArrayView4<'_, f32>) -> Array4<f32> {
    if x.len_of(Axis(1)) == COLOURS {
        return x.to_owned();
    }
    concatenate(Axis(1), &[x; COLOURS]).expect("three times one shape")
}

impl Landscape for Views<'_> {
    fn value_and_gradient(
        &mut self,
        x: ArrayView4<'_, f32>,
        goals: &[&Goal],
    ) -> Result<(Vec<f64>, Array4<f32>), OracleError> {
        let gradient = match self.view {
            View::Served => return Landscape::value_and_gradient(self.served, x, goals),
            View::Luma => self.gradient_of(&Objective::Luma, x, goals)?,
            View::Features => {
                let features = self.features.clone().expect("`look` has seen that there are features");
                self.gradient_of(&features, x, goals)?
            }
            View::Unclipped => of_another(Landscape::value_and_gradient(&mut self.unclipped, x, goals))?,
            View::StraightThrough => {
                let straight = self.straight.as_mut().expect("`look` has seen that there are roundings");
                of_another(Landscape::value_and_gradient(straight, x, goals))?
            }
            View::Surrogate => self.gradient_of_surrogate(x, goals)?,
        };
        Ok((Landscape::values(self.served, x, goals)?, gradient))
    }

    fn values(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        Landscape::values(self.served, x, goals)
    }

    fn sr_psnr(&mut self, x: ArrayView4<'_, f32>, goals: &[&Goal]) -> Result<Vec<f64>, OracleError> {
        Landscape::sr_psnr(self.served, x, goals)
    }

    fn look(&mut self, view: View) -> bool {
        match view {
            View::Features if self.features.is_none() => return false,
            View::StraightThrough if self.straight.is_none() => return false,
            _ => {}
        }
        if view != self.view {
            match self.view {
                View::Unclipped => self.unclipped.release_sessions(),
                View::Surrogate => self.surrogate.release_sessions(),
                View::StraightThrough => self.straight.iter_mut().for_each(Oracle::release_sessions),
                View::Served | View::Luma | View::Features => self.served.release_sessions(),
            }
            self.view = view;
        }
        true
    }

    fn overshoot(&mut self, x: ArrayView4<'_, f32>, goal: &Goal) -> Result<Option<f64>, OracleError> {
        let outputs = [self.unclipped.forward(goal.ball.centre()), self.unclipped.forward(x)];
        self.unclipped.release_sessions();
        let (clean, output) = match outputs {
            [Ok(clean), Ok(output)] => (clean, output),
            // An infinite output is clipped as any other.
            [Err(OracleError::NotFinite { .. }), _] | [_, Err(OracleError::NotFinite { .. })] => {
                return Ok(Some(1.0));
            }
            [Err(error), _] | [_, Err(error)] => return Err(error),
        };
        let squared = |a: f32, b: f32| (f64::from(a) - f64::from(b)).powi(2);
        let pairs = || output.iter().zip(&clean);
        let all: f64 = pairs().map(|(&a, &b)| squared(a, b)).sum();
        let served: f64 = pairs().map(|(&a, &b)| squared(a.clamp(0.0, 1.0), b.clamp(0.0, 1.0))).sum();
        Ok((all > 0.0).then(|| 1.0 - served / all))
    }
}
