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
    /// Mean SR PSNR by attack, over the rows that `keep` keeps.
    pub fn left(&self, keep: impl Fn(&Row) -> bool) -> BTreeMap<&'a str, f64> {
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

    /// The white-box attack crafted here that left the least, and what it left; of an ensemble, its white-box
    /// members count.
    pub fn white_box(&self) -> Option<(&'a str, f64)> {
        let single = least(self.left(|row| self.at_home(row) && is_white_box(row)));
        let ensemble = self.rows.iter().find(|row| self.at_home(row) && !row.members.is_empty());
        let inside = ensemble.and_then(|row| Some((&*row.attack, members_left(self, AttackKind::WhiteBox)?)));
        single.into_iter().chain(inside).min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// A finding of this case; its image is the one with the least left.
    pub fn finding(
        &self,
        (level, code): (Level, &'static str),
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

/// SR PSNR in dB that members of one kind left at the worst, mean over the rows of ensembles crafted here;
/// `None` where none ran. Equal outputs count as the masking that they are.
pub fn members_left(case: &Case<'_>, kind: AttackKind) -> Option<f64> {
    let rows = case.rows.iter().filter(|row| case.at_home(row));
    let each: Vec<f64> = rows
        .filter_map(|row| {
            let of_kind = row.members.iter().filter(|member| member.kind == kind);
            let left = of_kind.map(|member| member.sr_psnr.unwrap_or(f64::INFINITY)).min_by(f64::total_cmp);
            // Where none of the kind could run, it left all that there is.
            (!row.members.is_empty()).then_some(left.unwrap_or(f64::INFINITY))
        })
        .collect();
    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
}

/// Whether a row says how far the model's own gradient leads. An attack on features does not: it maximises
/// something else than the output's distance.
pub fn is_white_box(row: &Row) -> bool {
    row.kind == AttackKind::WhiteBox && row.objective_kind == ObjectiveKind::Away
}

/// The entry with the least value.
pub fn least(left: BTreeMap<&str, f64>) -> Option<(&str, f64)> {
    left.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))
}
