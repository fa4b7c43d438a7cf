//! Attacks on images of one model, each made once and kept.

use std::ops::Range;

use ndarray::s;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::attack::{Attack, Attacked, Budget, Discrepancy, Goal, Landscape, seeded};
use crate::audit::AuditError;
use crate::audit::context::Audit;
use crate::audit::objective;
use crate::audit::run::Watch;
use crate::audit::store::Key;

/// An attack that was made: where its image is kept.
#[derive(Clone, Debug)]
pub struct Crafted {
    pub scene: usize,
    pub attack: Attack,
    pub budget: Budget,
    pub crafter: usize,
}

/// How an attack went, beside its image.
#[derive(Serialize, Deserialize)]
struct Outcome {
    values: Vec<f64>,
    value: Option<f64>,
    reached: Option<bool>,
}

impl Audit<'_> {
    /// Attacks images of one shape on one runtime, and judges everywhere.
    pub fn attack(
        &mut self,
        group: Range<usize>,
        (attack, budget): (Attack, Budget),
        crafter: usize,
        watch: &mut dyn Watch,
    ) -> Result<(), AuditError> {
        let attacked = self.attacked(group.clone(), (attack, budget), crafter, watch)?;
        for (scene, attacked) in group.zip(&attacked) {
            self.judge_attack(scene, (attack, budget), crafter, attacked)?;
            self.crafted.push(Crafted { scene, attack, budget, crafter });
        }
        Ok(())
    }

    /// The attacked images: those that are kept, and the others made now, together.
    pub fn attacked(
        &mut self,
        group: Range<usize>,
        (attack, budget): (Attack, Budget),
        crafter: usize,
        watch: &mut dyn Watch,
    ) -> Result<Vec<Attacked>, AuditError> {
        let known: Vec<Option<Attacked>> =
            group.clone().map(|scene| self.recall(scene, (attack, budget), crafter)).collect();
        let missing = group.clone().zip(&known).filter(|(_, known)| known.is_none()).map(|(scene, _)| scene);
        let missing: Vec<usize> = missing.collect();
        let mut made = self.craft(&missing, (attack, budget), crafter, watch)?.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| made.next())).collect())
    }

    /// The key of an attack on an image.
    pub fn key(&self, scene: usize, (attack, budget): (Attack, Budget), crafter: usize) -> Key {
        let plan = self.plan;
        let partner = objective::drives_apart(plan, attack).then(|| &self.runtime_ids[self.partner(crafter)]);
        let objective = objective::objective(plan, self.subject, attack).map(|it| format!("{it:?}"));
        let question = (
            attack,
            budget,
            attack.settings(&plan.settings),
            plan.seed,
            (plan.norm, plan.region, plan.mask.as_ref().map(|mask| &mask.sha256)),
            (objective.unwrap_or_default(), plan.away_from.name(), self.toward),
        );
        let runtimes = (&self.runtime_ids[crafter], partner);
        self.store.key("attack", &(&self.model_id, runtimes, &self.scenes[scene].id, question))
    }

    /// An attack that was made before.
    pub fn recall(&self, scene: usize, which: (Attack, Budget), crafter: usize) -> Option<Attacked> {
        let shape = self.scenes[scene].photo.shape();
        let kept = self.store.get_with_image::<Outcome>(&self.key(scene, which, crafter), shape);
        let (Outcome { values, value, reached }, image) = kept?;
        Some(Attacked { image, values, value, reached })
    }

    /// The runtime that an attack drives its own apart from.
    fn partner(&self, crafter: usize) -> usize {
        (crafter + 1) % self.oracles.len()
    }

    /// Makes an attack on images, and keeps the results.
    fn craft(
        &mut self,
        scenes: &[usize],
        (attack, budget): (Attack, Budget),
        crafter: usize,
        watch: &mut dyn Watch,
    ) -> Result<Vec<Attacked>, AuditError> {
        let Some(&first) = scenes.first() else { return Ok(vec![]) };
        let plan = self.plan;
        let mut goals: Vec<Goal> = Vec::with_capacity(scenes.len());
        let mut rngs = Vec::with_capacity(scenes.len());
        for &scene in scenes {
            let clean = self.clean_output(scene, crafter)?;
            let one = clean.slice(s![..1, .., .., ..]).to_owned();
            let photo = self.scenes[scene].photo;
            goals.push(objective::goal(plan, self.subject, photo, (attack, budget), &one)?);
            rngs.push(seeded(plan.seed, &photo.name, attack, budget));
        }
        self.oracles[crafter].pursue(&objective::objective(plan, self.subject, attack)?);
        if let Some(rng) = rngs.first() {
            self.oracles[crafter].at_draw(rng.clone().random());
        }
        let all: Vec<&Goal> = goals.iter().collect();
        let partner = self.partner(crafter);
        let mut apart;
        let landscape: &mut dyn Landscape = match self.oracles.get_disjoint_mut([crafter, partner]) {
            Ok([ours, theirs]) if objective::drives_apart(plan, attack) => {
                apart = Discrepancy::between(ours, theirs);
                &mut apart
            }
            _ => &mut self.oracles[crafter],
        };
        let attacked = attack
            .run(landscape, &all, &plan.settings, &mut rngs, &mut || watch.stepped())
            .map_err(|error| AuditError::attack(&self.subject.name, &self.scenes[first].photo.name, error))?;
        for ((&scene, goal), attacked) in scenes.iter().zip(&goals).zip(&attacked) {
            goal.ball.check(attacked.image.view())?;
            let Attacked { image, values, value, reached } = attacked;
            let outcome = Outcome { values: values.clone(), value: *value, reached: *reached };
            let key = self.key(scene, (attack, budget), crafter);
            self.store.put_with_image(&key, &outcome, image)?;
        }
        Ok(attacked)
    }
}
