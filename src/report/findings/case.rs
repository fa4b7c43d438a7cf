//! The rows that findings compare: all attacks of one budget on one model, judged on one runtime.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::{Finding, Level};
use crate::attack::{AttackKind, ObjectiveKind};
use crate::report::summary::finite_mean;
use crate::report::{Measured, Row};

/// All attacks of one budget on one model, judged on one runtime.
pub struct Case<'a> {
    pub model: &'a str,
    pub runtime: &'a str,
    /// In 1/255.
    pub budget: f64,
    pub rows: Vec<&'a Row>,
}

pub fn cases(measured: &Measured) -> Vec<Case<'_>> {
    let mut cases: IndexMap<_, Vec<&Row>> = IndexMap::new();
    for row in measured.rows.iter().filter(|row| row.drives_away()) {
        cases.entry((&row.model, &row.judged_on, row.budget.to_bits())).or_default().push(row);
    }
    let mut made = Vec::with_capacity(cases.len());
    for ((model, runtime, budget), rows) in cases {
        made.push(Case { model, runtime, budget: f64::from_bits(budget), rows });
    }
    made
}

impl<'a> Case<'a> {
    /// Mean SR PSNR in dB by attack, over the rows that `keep` keeps.
    pub fn means(&self, keep: impl Fn(&Row) -> bool) -> BTreeMap<&'a str, f64> {
        let mut rows: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| keep(row)) {
            rows.entry(&row.attack).or_default().push(row.sr_psnr);
        }
        rows.into_iter().map(|(attack, values)| (attack, finite_mean(values.into_iter()))).collect()
    }

    /// Whether a row was crafted on the runtime that judged it.
    pub fn at_home(&self, row: &Row) -> bool {
        row.crafted_on == self.runtime
    }

    /// What attacks of one kind that were crafted here left of every image at the least; of an ensemble, its members
    /// of that kind count. An output that they could not change counts as the masking that it is.
    pub fn least(&self, kind: AttackKind) -> ByImage<'a> {
        let mut found = ByImage::new();
        for row in self.rows.iter().copied().filter(|row| self.at_home(row)) {
            if row.kind == kind && row.objective_kind == ObjectiveKind::Away {
                note(&mut found, &row.image, Least { sr_psnr: row.sr_psnr, by: &row.attack });
            }
            // Where no member of the kind could run, the ensemble found nothing by it.
            let nothing = || Least { sr_psnr: f64::INFINITY, by: &row.attack };
            let of_kind = row.members.iter().filter(|member| member.kind == kind);
            let of_kind =
                of_kind.map(|it| Least { sr_psnr: it.sr_psnr.unwrap_or(f64::INFINITY), by: &it.name });
            let member = of_kind.min_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr));
            if !row.members.is_empty() {
                note(&mut found, &row.image, member.unwrap_or_else(nothing));
            }
        }
        found
    }

    /// A finding of this case; its image is the one with the least left.
    pub fn finding(
        &self,
        level: Level,
        code: &'static str,
        sentence: String,
        numbers: impl IntoIterator<Item = (&'static str, f64)>,
    ) -> Finding {
        let numbers = [("budget", self.budget)].into_iter().chain(numbers).collect();
        let (model, runtime) = (self.model.to_owned(), self.runtime.to_owned());
        let worst = self.rows.iter().min_by(|a, b| a.sr_psnr.total_cmp(&b.sr_psnr));
        let image = worst.map(|row| row.image.clone());
        Finding { level, code, model, runtime, sentence, numbers, image }
    }
}

/// What was left of an image at the least.
#[derive(Clone, Copy)]
pub struct Least<'a> {
    /// SR PSNR in dB; infinite where the output did not change.
    pub sr_psnr: f64,
    /// The attack, or the member of an ensemble.
    pub by: &'a str,
}

/// What was left of every image.
pub type ByImage<'a> = BTreeMap<&'a str, Least<'a>>;

/// Keeps the lesser of what was left of an image.
pub fn note<'a>(found: &mut ByImage<'a>, image: &'a str, left: Least<'a>) {
    let known = found.entry(image).or_insert(left);
    if left.sr_psnr < known.sr_psnr {
        *known = left;
    }
}

/// Whether a row says how far the model's own gradient leads. An attack on features does not: it maximises
/// something else than the output's distance.
pub fn is_white_box(row: &Row) -> bool {
    row.kind == AttackKind::WhiteBox && row.objective_kind == ObjectiveKind::Away
}

/// The entry with the least value.
pub fn lowest(left: BTreeMap<&str, f64>) -> Option<(&str, f64)> {
    left.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))
}
