//! An ensemble whose worst outcome counts, image by image (after the Segmentation Ensemble Attack of Croce et al.,
//! arXiv 2306.12941): what one attack misses, because a gradient is masked, a start is unlucky or a loss
//! misleads, another one finds.
//!
//! The first member is `apgd` itself, with the random numbers that it has alone, so that the ensemble is never
//! weaker. The others differ in where the gradient comes from ([`View`]) or where they start. `docs/attacks.md`
//! says what each is worth. A member that cannot run on a model, for want of a gradient or of features, is left
//! out; the ensemble fails only where all do. Deliberately absent: climbs from where a gradient-free member
//! ended, by which its success would pass for one of gradients.

mod arena;
mod long;

use ndarray::Array4;
use rand_chacha::ChaCha8Rng;

use self::arena::{Arena, from, halved, is_its_own};
use self::long::{POLISHING, polished, resumed, smooth};
use super::apgd::Apgd;
use super::trust::Trust;
use crate::attack::ensemble::{Ensemble, Member};
use crate::attack::goal::Goal;
use crate::attack::grid::{OnGrid, nearest};
use crate::attack::kind::AttackKind;
use crate::attack::landscape::Landscape;
use crate::attack::points::{along, around};
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};
use crate::attack::settings::Settings;
use crate::attack::template::{AttackError, Attacked, OnStep};
use crate::attack::view::View;
use crate::oracle::OracleError;

impl Attack {
    /// The worst of several attacks, image by image.
    pub const STRONGEST: Self = Self(&Row {
        name: "strongest",
        stream: "apgd",
        kind: AttackKind::Ensemble,
        restarts: true,
        converges: false,
        maximises: Maximises::Chosen,
        calls: Calls::Ensemble { times: ITERATIONS, dispensable: &DISPENSABLE },
        help: "the worst of apgd, its variants, smooth and square: for a verdict",
        method: Method::Own(strongest),
    });
}

/// How often the members that stay take [`Settings::iterations`] gradients at most, together: six of apgd's kind,
/// `smooth`, which takes eight for each and half as many, and `polished`.
const ITERATIONS: usize = 6 + 4 + POLISHING;
/// Members that can be left out where time is short, those first that cost the least strength (`docs/attacks.md`).
/// They take half of the iterations. The others stay: the first member, those that find what deceives it, and the last
/// climb.
const DISPENSABLE: [&str; 3] = ["features", "singular", "luma"];
/// By how much in dB mean gradients lead farther than plain ones, from the same start, only where these are masked.
/// Measured on seven networks at 1, 4 and 8/255 (two images): at most 0.5 where they are honest, and on most of the
/// images behind ripples of two and three levels' period 1 to 8.
const MASKED: f64 = 1.0;
/// Steps of power iteration.
const POWER: usize = 8;
/// How far from x0 power iteration takes its gradients, in budgets: the root mean square.
const TINY: f64 = 0.05;

/// The long climb.
const POLISHED: &str = "polished";
/// The member that follows mean gradients.
const SMOOTH: &str = "smooth";
/// The member that keeps to 8-bit images.
const EIGHT_BIT: &str = "eight-bit";
/// What it found, moved off the grid of 8-bit images.
const OFF_GRID: &str = "off-grid";
/// By how much, up to: as far as any value lies from the grid.
const OFF: f32 = 0.5 / 255.0;
/// The member that keeps to a part of the budget.
const INNER: &str = "inner";
/// The parts of the budget that it stays within.
const PARTS: [f64; 2] = [0.5, 0.25];

/// A member, and how it attacks one image.
struct Entry {
    name: &'static str,
    kind: AttackKind,
    view: View,
    run: Run,
}

/// Attacks one image in a view of the model.
type Run = fn(&mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError>;

/// The members, in the order in which they run.
const MEMBERS: [Entry; 13] = [
    Entry { name: "apgd", kind: AttackKind::WhiteBox, view: View::Served, run: alone },
    Entry { name: "luma", kind: AttackKind::WhiteBox, view: View::Luma, run: briefly },
    Entry { name: "singular", kind: AttackKind::WhiteBox, view: View::Served, run: from_singular },
    Entry { name: "features", kind: AttackKind::WhiteBox, view: View::Features, run: from_features },
    Entry { name: "unclipped", kind: AttackKind::WhiteBox, view: View::Unclipped, run: alone },
    Entry { name: "straight", kind: AttackKind::WhiteBox, view: View::StraightThrough, run: alone },
    Entry { name: EIGHT_BIT, kind: AttackKind::WhiteBox, view: View::Served, run: on_grid },
    Entry { name: INNER, kind: AttackKind::WhiteBox, view: View::Served, run: inner },
    Entry { name: "transfer", kind: AttackKind::GradientFree, view: View::Surrogate, run: alone },
    Entry { name: "square", kind: AttackKind::GradientFree, view: View::Served, run: square },
    Entry { name: POLISHED, kind: AttackKind::WhiteBox, view: View::Served, run: polished },
    Entry { name: SMOOTH, kind: AttackKind::WhiteBox, view: View::Served, run: smooth },
    Entry { name: "resumed", kind: AttackKind::WhiteBox, view: View::Served, run: resumed },
];

fn strongest(
    landscape: &mut dyn Landscape,
    goal: &Goal,
    settings: &Settings,
    rng: &mut ChaCha8Rng,
    on_step: &mut OnStep<'_>,
) -> Result<Attacked, AttackError> {
    let mut arena = Arena {
        landscape,
        goal,
        settings,
        rng,
        on_step,
        trust: None,
        end: None,
        start: None,
        spared: 0,
        best: None,
    };
    let mut found = Found::default();
    let left_out = Attack::STRONGEST.left_out(settings);
    for entry in MEMBERS.iter().filter(|entry| !left_out.contains(&entry.name)) {
        if !arena.landscape.look(entry.view) {
            continue;
        }
        let outcome = (entry.run)(&mut arena);
        arena.landscape.look(View::Served);
        match outcome {
            Ok(Some(attacked)) => {
                arena.end.get_or_insert_with(|| attacked.image.clone());
                found.add(entry, attacked, &mut arena)?;
            }
            Ok(None) => {}
            Err(AttackError::Oracle(error)) if is_its_own(&error) => found.error = Some(error),
            Err(error) => return Err(error),
        }
        if found.reached() {
            break;
        }
    }
    found.into_attacked(&mut arena)
}

/// The worst so far.
#[derive(Default)]
struct Found {
    worst: Option<(f64, Attacked)>,
    members: Vec<Member>,
    /// The objective before every step of the first member.
    values: Vec<f64>,
    error: Option<OracleError>,
}

impl Found {
    fn add(
        &mut self,
        entry: &Entry,
        attacked: Attacked,
        arena: &mut Arena<'_, '_>,
    ) -> Result<(), AttackError> {
        let goals = [arena.goal];
        let value = match attacked.value {
            Some(value) => value,
            None => first(&arena.landscape.values(attacked.image.view(), &goals)?),
        };
        let (part, rounded) = ((entry.name == INNER).then_some(PARTS[0]), entry.name == EIGHT_BIT);
        let sr_psnr = left(arena, &attacked.image)?;
        self.members.push(Member { name: entry.name.into(), kind: entry.kind, sr_psnr, part, rounded });
        if rounded {
            let sr_psnr = left(arena, &off_grid(arena, &attacked.image))?;
            let (name, kind) = (OFF_GRID.into(), entry.kind);
            self.members.push(Member { name, kind, sr_psnr, part: None, rounded: false });
        }
        if self.values.is_empty() {
            self.values.clone_from(&attacked.values);
        }
        // A climb from where a gradient-free member ended would hide that this one found what gradients do not.
        let climbed = entry.kind == AttackKind::WhiteBox;
        if climbed && arena.best.as_ref().is_none_or(|(best, _)| value > *best) {
            arena.best = Some((value, attacked.image.clone()));
        }
        let reached = attacked.reached == Some(true);
        if reached || self.worst.as_ref().is_none_or(|(worst, _)| value > *worst) {
            self.worst = Some((value, attacked));
        }
        Ok(())
    }

    fn reached(&self) -> bool {
        self.worst.as_ref().is_some_and(|(_, attacked)| attacked.reached == Some(true))
    }

    /// Whether mean gradients led farther than plain ones from the same start.
    fn is_masked(&self) -> bool {
        let of = |name| self.members.iter().find(|member| member.name == name)?.sr_psnr;
        of(SMOOTH).zip(of(POLISHED)).is_some_and(|(smooth, polished)| smooth < polished - MASKED)
    }

    fn into_attacked(self, arena: &mut Arena<'_, '_>) -> Result<Attacked, AttackError> {
        let masked = self.is_masked();
        let Some((value, worst)) = self.worst else {
            return Err(self.error.expect("square runs on every model, or fails").into());
        };
        let overshoot = arena.landscape.overshoot(worst.image.view(), arena.goal)?;
        let rugged = arena.trust.as_ref().is_some_and(Trust::is_rugged) || masked;
        let ensemble = Some(Ensemble { members: self.members, rugged, overshoot });
        Ok(Attacked { value: Some(value), values: self.values, ensemble, ..worst })
    }
}

/// SR PSNR in dB; `None` where the output did not change.
fn left(arena: &mut Arena<'_, '_>, image: &Array4<f32>) -> Result<Option<f64>, OracleError> {
    let left = first(&arena.landscape.sr_psnr(image.view(), &[arena.goal])?);
    Ok(Some(left).filter(|psnr| psnr.is_finite()))
}

/// An image a little off the grid of 8-bit ones: whether a network is another one there shows in what is left of the
/// same attack, and not in which of two attacks had the luck.
fn off_grid(arena: &Arena<'_, '_>, image: &Array4<f32>) -> Array4<f32> {
    let mut moved = around(image.view(), OFF, &mut arena.rng.clone());
    arena.goal.ball.project(&mut moved);
    moved
}

fn first(values: &[f64]) -> f64 {
    *values.first().expect("a landscape gives one value per goal")
}

/// APGD in the view, from a random start.
fn alone(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let Arena { landscape, goal, settings, rng, on_step, .. } = arena;
    Attack::APGD.run_one(*landscape, goal, settings, rng, on_step).map(Some)
}

/// As [`alone`], with half of the steps.
fn briefly(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let half = halved(arena.settings);
    let Arena { landscape, goal, rng, on_step, .. } = arena;
    Attack::APGD.run_one(*landscape, goal, &half, rng, on_step).map(Some)
}

/// APGD on 8-bit images.
fn on_grid(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let Arena { landscape, goal, settings, rng, on_step, .. } = arena;
    let mut found = Attack::APGD.run_one(&mut OnGrid(*landscape), goal, settings, rng, on_step)?;
    found.image = nearest(found.image.view(), goal);
    Ok(Some(found))
}

/// APGD within a half and within a quarter of the budget, half of the steps each. A model that serves another network
/// once an image is noisy hides from attacks that begin at the border of the ball.
fn inner(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let Arena { landscape, goal, settings, rng, on_step, .. } = arena;
    let half = halved(settings);
    let mut best: Option<Attacked> = None;
    for part in PARTS {
        let goal = Goal { ball: goal.ball.part(part), ..(*goal).clone() };
        let found = Attack::APGD.run_one(*landscape, &goal, &half, rng, on_step)?;
        if found.reached == Some(true) || best.as_ref().is_none_or(|best| found.value > best.value) {
            best = Some(found);
        }
    }
    Ok(best)
}

/// APGD from the end of FDA, a quarter of the steps each.
fn from_features(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let half = halved(arena.settings);
    let quarter = halved(&half);
    let end = Attack::FDA.run_one(arena.landscape, arena.goal, &quarter, arena.rng, arena.on_step)?;
    arena.landscape.look(View::Served);
    let left = Settings { iterations: half.iterations - quarter.iterations, ..half };
    from(arena, end.image, &left, Apgd::new).map(Some)
}

/// APGD from the corner of the ball nearest to the leading right singular vector of the Jacobian at x0.
///
/// Power iteration: at x0 + r d with a tiny r the gradient of ||S(x) - S(x0)||_2 is J^T J d / ||J d||, so that
/// d becomes the leading eigenvector of J^T J when it is replaced by that gradient again and again.
fn from_singular(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let Arena { landscape, goal, settings, rng, on_step, .. } = arena;
    let ball = &goal.ball;
    let half = halved(settings);
    let power = POWER.min(half.iterations / 2);
    let radius = TINY * ball.level();
    let mut direction = around(Array4::zeros(ball.centre().raw_dim()).view(), 1.0, rng);
    for _ in 0..power {
        let mut x = along(&ball.centre().to_owned(), scale(&direction, radius), &direction);
        ball.project(&mut x);
        let (_, gradient) = landscape.value_and_gradient(x.view(), &[*goal])?;
        direction = gradient;
        on_step()?;
    }
    let start = along(&ball.centre().to_owned(), ball.level() as f32, &ball.direction(&direction));
    let left = Settings { iterations: half.iterations - power, ..half };
    from(arena, start, &left, Apgd::new).map(Some)
}

/// What a direction is multiplied by for this root mean square; 0 where it is zero.
fn scale(direction: &Array4<f32>, size: f64) -> f32 {
    let sum: f64 = direction.iter().map(|value| f64::from(*value).powi(2)).sum();
    if sum > 0.0 { (size * (direction.len() as f64 / sum).sqrt()) as f32 } else { 0.0 }
}

fn square(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let Arena { landscape, goal, settings, rng, on_step, .. } = arena;
    Attack::SQUARE.run_one(*landscape, goal, settings, rng, on_step).map(Some)
}
