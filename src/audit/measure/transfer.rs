//! What attacks crafted for one of several models do to the others that take the same images: a gradient
//! that hides from its own attacks does not hide from those of a sibling.
//!
//! Forward runs alone; the attacked images are those that were kept. Deliberately absent: models of another
//! scale or size, whose images are others.

use std::time::Instant;

use crate::audit::AuditError;
use crate::audit::context::Audit;
use crate::audit::run::Watch;
use crate::report::Transfer;

/// Judges every model's attacks on every other model; gives how many pairs of models there was no time for.
pub fn between(
    audits: &mut [Audit<'_>],
    deadline: Option<Instant>,
    watch: &mut dyn Watch,
) -> Result<usize, AuditError> {
    let mut left_out = 0;
    for judge in 0..audits.len() {
        for crafter in (0..audits.len()).filter(|&crafter| crafter != judge) {
            let Ok([ours, theirs]) = audits.get_disjoint_mut([judge, crafter]) else { continue };
            if ours.subject.feed != theirs.subject.feed {
                continue;
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                left_out += 1;
                continue;
            }
            watch.doing(&format!("{}: attacks crafted for {}", ours.name(), theirs.name()))?;
            ours.judge_attacks_of(theirs, watch)?;
        }
        audits[judge].rest();
    }
    Ok(left_out)
}

impl Audit<'_> {
    fn judge_attacks_of(&mut self, other: &Audit<'_>, watch: &mut dyn Watch) -> Result<(), AuditError> {
        let scenes = self.scenes.len();
        let budgeted = other.crafted.iter().filter(|crafted| !crafted.attack.is_minimal());
        for crafted in budgeted.filter(|crafted| crafted.scene < scenes) {
            let which = (crafted.attack, crafted.budget);
            let Some(attacked) = other.recall(crafted.scene, which, crafted.crafter) else { continue };
            for judge in 0..self.oracles.len() {
                watch.tested()?;
                let judged = self.judged(crafted.scene, judge, &attacked.image)?;
                self.transfers.push(Transfer {
                    model: self.subject.name.clone(),
                    crafted_for: other.subject.name.clone(),
                    image: self.scenes[crafted.scene].photo.name.clone(),
                    attack: crafted.attack.name().into(),
                    kind: crafted.attack.kind(),
                    budget: crafted.budget.levels(),
                    crafted_on: other.oracles[crafted.crafter].kind().to_string(),
                    judged_on: self.oracles[judge].kind().to_string(),
                    sr_psnr: judged.sr_psnr,
                });
            }
        }
        Ok(())
    }

    /// Gives back what it holds of runtimes and outputs.
    pub fn rest(&mut self) {
        self.oracles.iter_mut().for_each(crate::oracle::Oracle::rest);
        self.scenes.iter_mut().for_each(|scene| scene.clean.fill(None));
    }
}
