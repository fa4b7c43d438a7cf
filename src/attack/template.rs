//! The loop that every gradient attack shares: start, ask for the gradient, step, project.
//!
//! An attack fills in where to start and how to step. The ball is handed in and is checked again by
//! the caller, outside. Several images go through the model at once and yet each is attacked as if
//! it were alone. Deliberately absent: runtimes (a landscape answers) and judging.

use ndarray::{Array4, Axis};
use rand_chacha::ChaCha8Rng;

use super::ball::Ball;
use super::ensemble::Ensemble;
use super::goal::{Goal, stacked};
use super::landscape::Landscape;
use super::settings::Settings;
use crate::oracle::OracleError;

/// What a gradient attack decides.
pub trait Steps {
    /// The first point; it need not lie inside the ball.
    fn start(&mut self, ball: &Ball, rng: &mut ChaCha8Rng) -> Array4<f32>;

    /// The next point, before it is projected.
    fn step(&mut self, x: &Array4<f32>, value: f64, gradient: &Array4<f32>, ball: &Ball) -> Array4<f32>;

    /// Whether the best point seen counts, and not the last.
    fn keeps_best(&self) -> bool {
        false
    }

    /// Whether to end before the steps are used up.
    fn gives_up(&self) -> bool {
        false
    }

    /// Whether the objective of the last point is taken too, by a forward pass.
    fn weighs_last(&self) -> bool {
        self.keeps_best()
    }
}

/// An attacked image and how the attack went.
#[derive(Clone, Debug)]
pub struct Attacked {
    /// The attacked image.
    pub image: Array4<f32>,
    /// The objective before each step, or of each point that was tried, over all restarts.
    pub values: Vec<f64>,
    /// The objective at the attacked image, where the attack has looked.
    pub value: Option<f64>,
    /// Whether the target PSNR that was set is reached; `None` where none was.
    pub reached: Option<bool>,
    /// What the members of an ensemble found; `None` for a single attack.
    pub ensemble: Option<Ensemble>,
}

/// Stops an attack between two steps, or lets it go on and hears of it: called once for every image
/// whose gradient was taken, or that was tried.
pub type OnStep<'a> = dyn FnMut() -> Result<(), Interrupted> + 'a;

/// The user asked to stop.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Why an attack has no result.
#[derive(Debug, thiserror::Error)]
pub enum AttackError {
    /// No gradient.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// Stopped from outside.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// One image on its way.
struct Climber<'a> {
    goal: &'a Goal,
    steps: Box<dyn Steps>,
    x: Array4<f32>,
    /// The best of what counts, with its objective.
    best: Option<(f64, Array4<f32>)>,
    values: Vec<f64>,
    reached: bool,
}

impl<'a> Climber<'a> {
    fn new(goal: &'a Goal, steps: Box<dyn Steps>) -> Self {
        let x = goal.ball.centre().to_owned();
        Self { goal, steps, x, best: None, values: vec![], reached: false }
    }

    fn note(&mut self, value: f64, x: &Array4<f32>) {
        if self.best.as_ref().is_none_or(|(best, _)| value > *best) {
            self.best = Some((value, x.clone()));
        }
    }

    fn into_attacked(self, settings: &Settings) -> Attacked {
        let reached = settings.target_psnr.map(|_| self.reached);
        let (value, image) = match self.best {
            Some((value, image)) if !self.reached => (Some(value), image),
            _ => (None, self.x),
        };
        Attacked { image, values: self.values, value, reached, ensemble: None }
    }
}

/// Climbs the landscape from every goal for `iterations` steps, `restarts` times.
pub fn climb(
    make: &dyn Fn(&Goal) -> Box<dyn Steps>,
    landscape: &mut dyn Landscape,
    goals: &[&Goal],
    settings: &Settings,
    rngs: &mut [ChaCha8Rng],
    on_step: &mut OnStep<'_>,
) -> Result<Vec<Attacked>, AttackError> {
    let mut climbers: Vec<Climber<'_>> = goals.iter().map(|goal| Climber::new(goal, make(goal))).collect();
    for _ in 0..settings.restarts.max(1) {
        for (climber, rng) in climbers.iter_mut().zip(&mut *rngs).filter(|(climber, _)| !climber.reached) {
            climber.steps = make(climber.goal);
            climber.x = climber.steps.start(&climber.goal.ball, rng);
            climber.goal.ball.project(&mut climber.x);
        }
        for _ in 0..settings.iterations {
            advance(&mut climbers, landscape, settings, on_step)?;
        }
        finish(&mut climbers, landscape, settings)?;
    }
    Ok(climbers.into_iter().map(|climber| climber.into_attacked(settings)).collect())
}

/// One step of all who have not arrived or given up.
fn advance(
    climbers: &mut [Climber<'_>],
    landscape: &mut dyn Landscape,
    settings: &Settings,
    on_step: &mut OnStep<'_>,
) -> Result<(), AttackError> {
    let on_its_way = |climber: &&mut Climber<'_>| !climber.reached && !climber.steps.gives_up();
    let mut active: Vec<&mut Climber<'_>> = climbers.iter_mut().filter(on_its_way).collect();
    for group in active.chunks_mut(settings.batch.max(1)) {
        let goals: Vec<&Goal> = group.iter().map(|climber| climber.goal).collect();
        let x = stacked(group.iter().map(|climber| &climber.x));
        let (values, gradients) = landscape.value_and_gradient(x.view(), &goals)?;
        let gradients = gradients.axis_chunks_iter(Axis(0), 1);
        for ((climber, value), gradient) in group.iter_mut().zip(values).zip(gradients) {
            climber.values.push(value);
            if climber.steps.keeps_best() {
                let x = climber.x.clone();
                climber.note(value, &x);
            }
            let ball = &climber.goal.ball;
            climber.x = climber.steps.step(&climber.x, value, &gradient.to_owned(), ball);
            ball.project(&mut climber.x);
            on_step()?;
        }
        stop_early(group, landscape, &goals, settings)?;
    }
    Ok(())
}

/// Ends the way of those who reached the target PSNR.
fn stop_early(
    group: &mut [&mut Climber<'_>],
    landscape: &mut dyn Landscape,
    goals: &[&Goal],
    settings: &Settings,
) -> Result<(), AttackError> {
    let Some(target) = settings.target_psnr else { return Ok(()) };
    let x = stacked(group.iter().map(|climber| &climber.x));
    for (climber, psnr) in group.iter_mut().zip(landscape.sr_psnr(x.view(), goals)?) {
        climber.reached = psnr <= target;
    }
    Ok(())
}

/// Weighs the last points, where not only the last one counts.
fn finish(
    climbers: &mut [Climber<'_>],
    landscape: &mut dyn Landscape,
    settings: &Settings,
) -> Result<(), AttackError> {
    let weighed = |climber: &&mut Climber<'_>| {
        !climber.reached && (settings.restarts > 1 || climber.steps.weighs_last())
    };
    let mut active: Vec<&mut Climber<'_>> = climbers.iter_mut().filter(weighed).collect();
    for group in active.chunks_mut(settings.batch.max(1)) {
        let goals: Vec<&Goal> = group.iter().map(|climber| climber.goal).collect();
        let x = stacked(group.iter().map(|climber| &climber.x));
        for (climber, value) in group.iter_mut().zip(landscape.values(x.view(), &goals)?) {
            let x = climber.x.clone();
            climber.note(value, &x);
        }
    }
    Ok(())
}
