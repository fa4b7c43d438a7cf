//! The long climb, and what takes its place in part where the landscape is uneven: plain gradients, mean gradients from
//! the same start, and plain ones again from the best of both.

use ndarray::Array4;

use super::arena::{Arena, from, halved, is_its_own};
use crate::attack::methods::apgd::Apgd;
use crate::attack::methods::smooth::{DRAWS, EACH, Rival, climb_smoothed};
use crate::attack::methods::trust::trust;
use crate::attack::settings::Settings;
use crate::attack::template::{AttackError, Attacked};

/// How often `polished` takes [`Settings::iterations`] gradients: about half of what an honest network costs. On such a
/// one the steps of a single long climb lead farther than as many short ones. Where the landscape is uneven, `resumed`
/// takes half of them, and those that `smooth` did not need.
pub const POLISHING: usize = 6;
/// How far behind plain gradients mean ones may be half-way, as a share of the distance found: 1.9 dB. Measured with 20 steps
/// (five images): 2.1 dB and more behind on honest IMDN and RFDN, at most 1.7 dB behind on CARN-M and IMDN with ripples
/// of two and three levels' period.
const BEHIND: f64 = 0.8;

/// A long APGD from the best point of the white-box members before it, of half the length where the landscape is uneven.
pub fn polished(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let Some((_, start)) = arena.best.clone() else { return Ok(None) };
    arena.start = Some(start.clone());
    arena.trust = match trust(arena.landscape, arena.goal, arena.end.as_ref(), arena.rng) {
        Ok(trust) => Some(trust),
        Err(AttackError::Oracle(error)) if is_its_own(&error) => None,
        Err(error) => return Err(error),
    };
    let part = if arena.is_uneven() { POLISHING / 2 } else { POLISHING };
    climb_on(arena, start, part * arena.settings.iterations).map(Some)
}

/// `smooth` with half of the steps from where the long climb began, if much of what the plain gradient promises does not
/// come. Where it is well behind plain gradients half-way, the rest is spared.
pub fn smooth(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let (true, Some(start)) = (arena.is_uneven(), arena.start.clone()) else { return Ok(None) };
    let half = halved(arena.settings);
    let least = arena.best.as_ref().map_or(f64::NEG_INFINITY, |(best, _)| BEHIND * best);
    let Arena { landscape, goal, rng, on_step, .. } = arena;
    let found = climb_smoothed(*landscape, goal, &half, rng, on_step, Some(Rival { start, least }))?;
    arena.spared = (EACH * half.iterations).saturating_sub(DRAWS * found.values.len());
    Ok(Some(found))
}

/// The other half of the long climb.
pub fn resumed(arena: &mut Arena<'_, '_>) -> Result<Option<Attacked>, AttackError> {
    let iterations = POLISHING / 2 * arena.settings.iterations + arena.spared;
    match arena.best.clone() {
        Some((_, start)) if arena.is_uneven() => climb_on(arena, start, iterations).map(Some),
        _ => Ok(None),
    }
}

fn climb_on(
    arena: &mut Arena<'_, '_>,
    start: Array4<f32>,
    iterations: usize,
) -> Result<Attacked, AttackError> {
    let settings = Settings { iterations, restarts: 1, ..arena.settings.clone() };
    from(arena, start, &settings, Apgd::polishing)
}
