//! One perturbation for many images: found with every second one, judged on all.

use ndarray::s;

use crate::attack::{Attack, Budget, Goal, Universal as Perturbation, seeded};
use crate::audit::AuditError;
use crate::audit::context::Audit;
use crate::audit::objective;
use crate::audit::run::Watch;
use crate::report::Universal;

impl Audit<'_> {
    /// Looks for one perturbation per budget with every runtime that crafts by a trusted gradient.
    pub fn find_universal(&mut self, watch: &mut dyn Watch) -> Result<(), AuditError> {
        for crafter in self.universal_crafters() {
            for &budget in &self.plan.budgets {
                watch.doing(&format!("{}: one perturbation for all images", self.subject.name))?;
                let found = self.universal_at(budget, crafter, watch)?;
                self.judge_universal(&found, budget, crafter)?;
            }
        }
        Ok(())
    }

    /// The runtimes that can climb.
    pub fn universal_crafters(&self) -> Vec<usize> {
        let trusted = |index: &usize| self.checks.get(*index).is_some_and(|check| check.trusted);
        self.crafters.iter().copied().filter(|index| self.plan.universal && trusted(index)).collect()
    }

    fn universal_at(
        &mut self,
        budget: Budget,
        crafter: usize,
        watch: &mut dyn Watch,
    ) -> Result<Perturbation, AuditError> {
        let plan = self.plan;
        let mut goals = Vec::new();
        for scene in (0..self.scenes.len()).filter(|scene| is_seen(*scene)) {
            let clean = self.clean_output(scene, crafter)?.slice_move(s![..1, .., .., ..]);
            let photo = self.scenes[scene].photo;
            goals.push(objective::goal(plan, self.subject, photo, (Attack::PGD, budget), &clean)?);
        }
        self.oracles[crafter].pursue(&plan.objective);
        let all: Vec<&Goal> = goals.iter().collect();
        let mut rng = seeded(plan.seed, "all images", Attack::PGD, budget);
        let mut on_step = || watch.stepped();
        Perturbation::find(&mut self.oracles[crafter], &all, &plan.settings, &mut rng, &mut on_step)
            .map_err(|error| AuditError::attack(&self.subject.name, "all", error))
    }

    fn judge_universal(
        &mut self,
        found: &Perturbation,
        budget: Budget,
        crafter: usize,
    ) -> Result<(), AuditError> {
        for scene in 0..self.scenes.len() {
            let photo = self.scenes[scene].photo;
            let ball = objective::ball(self.plan, photo, budget)?;
            let image = found.on(&ball);
            ball.check(image.view())?;
            for judge in 0..self.oracles.len() {
                let judged = self.judged(scene, judge, &image)?;
                self.universal.push(Universal {
                    model: self.subject.name.clone(),
                    budget: budget.levels(),
                    crafted_on: self.oracles[crafter].kind().to_string(),
                    judged_on: self.oracles[judge].kind().to_string(),
                    found_with: self.scenes.len().div_ceil(2),
                    image: photo.name.clone(),
                    seen: is_seen(scene),
                    sr_psnr: judged.sr_psnr,
                });
            }
        }
        Ok(())
    }
}

/// Whether a perturbation is found with this image; it is judged on the others.
fn is_seen(scene: usize) -> bool {
    scene.is_multiple_of(2)
}
