//! The loop that every attack without gradients shares: propose points, hear their objective.
//!
//! Only forward passes are asked for, so that it runs on any model that runs at all, and what is
//! asked for together goes through the model together. Every point that is proposed lies inside the
//! ball; the best counts. Deliberately absent: derivatives of any kind.

use ndarray::{Array4, Axis};
use rand_chacha::ChaCha8Rng;

use super::ball::Ball;
use super::goal::{Goal, stacked};
use super::landscape::Landscape;
use super::settings::Settings;
use super::template::{AttackError, Attacked, OnStep};

/// What an attack without gradients decides.
pub trait Search {
    /// The next points to try, at most `left` of them: at least one. The best so far is handed in
    /// with its objective; there is none at first.
    fn propose(
        &mut self,
        best: Option<(f64, &Array4<f32>)>,
        left: usize,
        ball: &Ball,
        rng: &mut ChaCha8Rng,
    ) -> Vec<Array4<f32>>;

    /// Hears the objective of the points that were just proposed.
    fn learn(&mut self, points: &[Array4<f32>], values: &[f64]) {
        let _ = (points, values);
    }
}

/// One image on its way.
struct Searcher<'a> {
    goal: &'a Goal,
    search: Box<dyn Search>,
    best: Option<(f64, Array4<f32>)>,
    values: Vec<f64>,
    left: usize,
    reached: bool,
}

/// Tries `queries` points around every goal.
pub fn search(
    make: &dyn Fn(&Goal) -> Box<dyn Search>,
    landscape: &mut dyn Landscape,
    goals: &[&Goal],
    settings: &Settings,
    queries: usize,
    rngs: &mut [ChaCha8Rng],
    on_step: &mut OnStep<'_>,
) -> Result<Vec<Attacked>, AttackError> {
    let mut searchers: Vec<Searcher<'_>> =
        goals.iter().map(|goal| Searcher::new(goal, make(goal), queries)).collect();
    while searchers.iter().any(Searcher::goes_on) {
        let mut points: Vec<Vec<Array4<f32>>> = Vec::with_capacity(searchers.len());
        for (searcher, rng) in searchers.iter_mut().zip(&mut *rngs) {
            points.push(if searcher.goes_on() { searcher.propose(rng) } else { vec![] });
        }
        let asked = searchers.iter().zip(&points);
        let asked: Vec<(&Goal, &Array4<f32>)> =
            asked.flat_map(|(searcher, points)| points.iter().map(|point| (searcher.goal, point))).collect();
        let values = evaluate(landscape, &asked, settings, on_step)?;
        let mut values = values.into_iter();
        for (searcher, points) in searchers.iter_mut().zip(points) {
            let values: Vec<f64> = values.by_ref().take(points.len()).collect();
            searcher.hear(points, &values);
        }
        stop_early(&mut searchers, landscape, settings)?;
    }
    Ok(searchers.into_iter().map(|searcher| searcher.into_attacked(settings)).collect())
}

fn evaluate(
    landscape: &mut dyn Landscape,
    asked: &[(&Goal, &Array4<f32>)],
    settings: &Settings,
    on_step: &mut OnStep<'_>,
) -> Result<Vec<f64>, AttackError> {
    let mut values = Vec::with_capacity(asked.len());
    for group in asked.chunks(settings.batch.max(1)) {
        let goals: Vec<&Goal> = group.iter().map(|(goal, _)| *goal).collect();
        let x = stacked(group.iter().map(|(_, point)| *point));
        values.extend(landscape.values(x.view(), &goals)?);
        for _ in group {
            on_step()?;
        }
    }
    Ok(values)
}

/// Ends the way of those whose best point reached the target PSNR.
fn stop_early(
    searchers: &mut [Searcher<'_>],
    landscape: &mut dyn Landscape,
    settings: &Settings,
) -> Result<(), AttackError> {
    let Some(target) = settings.target_psnr else { return Ok(()) };
    for searcher in searchers.iter_mut().filter(|searcher| searcher.goes_on() || searcher.left == 0) {
        if let Some((_, best)) = &searcher.best {
            let psnr = landscape.sr_psnr(best.view(), &[searcher.goal])?;
            searcher.reached |= psnr.first().is_some_and(|psnr| *psnr <= target);
        }
    }
    Ok(())
}

impl<'a> Searcher<'a> {
    fn new(goal: &'a Goal, search: Box<dyn Search>, queries: usize) -> Self {
        Self { goal, search, best: None, values: vec![], left: queries.max(1), reached: false }
    }

    fn goes_on(&self) -> bool {
        self.left > 0 && !self.reached
    }

    fn propose(&mut self, rng: &mut ChaCha8Rng) -> Vec<Array4<f32>> {
        let best = self.best.as_ref().map(|(value, x)| (*value, x));
        let ball = &self.goal.ball;
        let mut points = self.search.propose(best, self.left, ball, rng);
        points.truncate(self.left);
        points.iter_mut().for_each(|point| ball.project(point));
        self.left = if points.is_empty() { 0 } else { self.left - points.len() };
        points
    }

    fn hear(&mut self, points: Vec<Array4<f32>>, values: &[f64]) {
        self.search.learn(&points, values);
        self.values.extend(values);
        for (point, &value) in points.into_iter().zip(values) {
            if self.best.as_ref().is_none_or(|(best, _)| value > *best) {
                self.best = Some((value, point));
            }
        }
    }

    fn into_attacked(self, settings: &Settings) -> Attacked {
        let reached = settings.target_psnr.map(|_| self.reached);
        let (value, image) = match self.best {
            Some((value, image)) => (Some(value), image),
            None => (None, self.goal.ball.centre().to_owned()),
        };
        debug_assert_eq!(image.len_of(Axis(0)), 1);
        Attacked { image, values: self.values, value, reached, ensemble: None }
    }
}
