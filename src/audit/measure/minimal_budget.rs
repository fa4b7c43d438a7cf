//! The smallest budget at which an attack costs so many dB of PSNR against the ground truth: budgets are
//! doubled until it does, then the border is halved down.
//!
//! What is found is where this attack gets to, and so an upper bound of the budget that is really needed.

use crate::attack::{Attack, Budget};
use crate::audit::AuditError;
use crate::audit::context::Audit;
use crate::audit::run::Watch;
use crate::audit::store::Key;
use crate::report::MinimalBudget;

/// The first budget tried, in 1/255.
const FIRST: f64 = 0.25;
/// The largest.
const LAST: f64 = 64.0;
/// How often the border is halved: to a sixteenth of where it lies.
const HALVINGS: usize = 4;
/// About how many attacks that makes, most networks falling at a few levels.
pub const TRIES: u64 = 9;

impl Audit<'_> {
    /// Looks for the smallest budget at an image with every runtime that crafts, where that was asked for.
    pub fn find_smallest(&mut self, scene: usize, watch: &mut dyn Watch) -> Result<(), AuditError> {
        let Some(cost) = self.plan.cost else { return Ok(()) };
        for crafter in self.crafters.clone() {
            let key = self.smallest_key(scene, crafter);
            let smallest: MinimalBudget =
                self.store.remember(&key, || self.smallest_on(scene, crafter, cost, watch))?;
            self.smallest.push(MinimalBudget { model: self.subject.name.clone(), ..smallest });
        }
        Ok(())
    }

    /// The first attack of the plan that has budgets.
    pub fn cheapest(&self, crafter: usize) -> Attack {
        let attacks = self.attacks(crafter);
        attacks.into_iter().find(|attack| !attack.is_minimal()).unwrap_or(Attack::IFGSM)
    }

    pub fn smallest_key(&self, scene: usize, crafter: usize) -> Key {
        let attack = self.key(scene, (self.cheapest(crafter), Budget::default()), crafter);
        self.store.key("smallest", &(attack, self.plan.cost))
    }

    fn smallest_on(
        &mut self,
        scene: usize,
        crafter: usize,
        cost: f64,
        watch: &mut dyn Watch,
    ) -> Result<MinimalBudget, AuditError> {
        let photo = self.scenes[scene].photo;
        let attack = self.cheapest(crafter);
        let clean = self.clean_output(scene, crafter)?;
        let clean = self.quality_of_draws(photo, &clean)?.psnr;
        let mut found = MinimalBudget {
            model: String::new(),
            image: photo.name.clone(),
            runtime: self.oracles[crafter].kind().to_string(),
            attack: attack.name().into(),
            cost,
            budget: None,
            below: 0.0,
            psnr: clean,
        };
        let mut next = FIRST;
        let mut halvings = 0;
        while let Some(budget) = Budget::new(next).filter(|_| next <= LAST && halvings <= HALVINGS) {
            let psnr = self.attacked_quality(scene, (attack, budget), crafter, watch)?;
            if clean - psnr >= cost {
                (found.budget, found.psnr) = (Some(next), psnr);
            } else {
                found.below = next;
            }
            next = match found.budget {
                None => 2.0 * next,
                Some(above) => (found.below + above) / 2.0,
            };
            halvings += usize::from(found.budget.is_some());
        }
        Ok(found)
    }

    /// PSNR against the ground truth under an attack, judged where it was crafted.
    fn attacked_quality(
        &mut self,
        scene: usize,
        which: (Attack, Budget),
        crafter: usize,
        watch: &mut dyn Watch,
    ) -> Result<f64, AuditError> {
        let photo = self.scenes[scene].photo;
        let attacked = self.attacked(scene..scene + 1, which, crafter, watch)?;
        let Some(attacked) = attacked.first() else { return Ok(f64::INFINITY) };
        let output = self.upscale(crafter, photo, attacked.image.view())?;
        Ok(self.quality_of_draws(photo, &output)?.psnr)
    }
}
