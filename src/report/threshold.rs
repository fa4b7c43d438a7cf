//! What a pipeline asks of an audit: a least PSNR that every row must keep.

use std::str::FromStr;

use super::{Report, Row};

/// A least SR PSNR, at one budget or at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeastSrPsnr {
    /// In dB.
    least: f64,
    /// The budget in 1/255 that it is asked at; `None` for all.
    budget: Option<f64>,
}

impl LeastSrPsnr {
    /// Whether it says anything of an audit at these budgets.
    pub fn names_any(&self, mut budgets: impl Iterator<Item = f64>) -> bool {
        budgets.any(|budget| self.is_about(budget))
    }

    /// The rows that fall short, in order. One whose output no attack changed
    /// never does, and neither does one of an attack without a budget.
    pub fn missed<'a>(&self, report: &'a Report) -> Vec<&'a Row> {
        let short = |row: &&Row| row.is_budgeted() && self.is_about(row.budget) && row.sr_psnr < self.least;
        report.measured.rows.iter().filter(short).collect()
    }

    fn is_about(&self, budget: f64) -> bool {
        self.budget.is_none_or(|asked| asked == budget)
    }
}

impl std::fmt::Display for LeastSrPsnr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.budget {
            Some(budget) => write!(f, "{}@{budget}", self.least),
            None => write!(f, "{}", self.least),
        }
    }
}

impl FromStr for LeastSrPsnr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number =
            |part: &str| part.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
        let (least, budget) = match text.split_once('@') {
            Some((least, budget)) => (number(least), number(budget).map(Some)),
            None => (number(text), Some(None)),
        };
        match (least, budget) {
            (Some(least), Some(budget)) => Ok(Self { least, budget }),
            _ => Err(format!(
                "`{text}` is no threshold; give dB, or dB@BUDGET with a budget in 1/255, such as 30@4"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::report;
    use super::*;

    #[test]
    fn a_threshold_is_about_one_budget_or_all() {
        let missed = |text: &str| {
            let rows = text.parse::<LeastSrPsnr>().unwrap();
            rows.missed(&report()).iter().map(|row| (row.budget, row.sr_psnr)).collect::<Vec<_>>()
        };
        assert_eq!(missed("31@1"), [(1.0, 30.0), (1.0, 30.25), (1.0, 27.0)]);
        assert_eq!(missed("26"), [(4.0, 25.0)]);
        assert_eq!(missed("99@8"), [], "an output that did not change is not worse than any");
        let at_four: LeastSrPsnr = "30@4".parse().unwrap();
        assert!(at_four.names_any([1.0, 4.0].into_iter()) && !at_four.names_any([1.0, 8.0].into_iter()));
        assert_eq!(at_four.to_string(), "30@4");
    }

    #[test]
    fn what_is_no_threshold_is_said() {
        for text in ["", "x", "30@", "@4", "-3", "30@0", "nan", "30@4@8"] {
            assert!(text.parse::<LeastSrPsnr>().unwrap_err().contains("such as 30@4"), "{text}");
        }
    }
}
