//! What noise of a budget does, for comparison: every value moved by all of the budget, up or down at random.

use super::evaluate::evaluate;
use crate::attack::{Attack, Budget, seeded, signed_noise};
use crate::audit::AuditError;
use crate::audit::context::Context;
use crate::audit::index::ImageIndex;
use crate::audit::objective;
use crate::report::Noise;

/// Evaluates an image under noise on every runtime.
///
/// # Errors
/// A runtime that fails.
pub fn noise(context: &mut Context<'_>, index: ImageIndex, budget: Budget) -> Result<Vec<Noise>, AuditError> {
    let image = context.image(index);
    let ball = objective::ball(context.settings, image, budget)?;
    let mut rng = seeded(context.settings.seed, &image.name, Attack::RANDOM, budget);
    let noisy = signed_noise(&ball, &mut rng);
    ball.check(noisy.view())?;
    let mut rows = Vec::with_capacity(context.runtimes.len());
    for judge in context.judges() {
        let sr_psnr = evaluate(context, index, judge, &noisy)?.sr_psnr;
        rows.push(Noise {
            model: context.name().to_owned(),
            image: image.name.clone(),
            budget: budget.levels(),
            runtime: context.runtime(judge).name(),
            sr_psnr,
        });
    }
    Ok(rows)
}
