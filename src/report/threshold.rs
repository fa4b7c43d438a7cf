//! What a pipeline asks of an audit: a least PSNR that every row must keep.

use std::str::FromStr;

use super::{Report, Row, Transfer};

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

    /// The attacked images that fall short, as they were made or as a file can carry them, in order; those of
    /// attacks that were crafted for other models behind them. One whose output no attack changed never does,
    /// and neither does one of an attack without a budget.
    pub fn missed<'a>(&self, report: &'a Report) -> Vec<Missed<'a>> {
        let rows = report.measured.rows.iter().filter(|row| row.is_budgeted()).map(Missed::of_row);
        let transfers = report.measured.transfers.iter().map(Missed::of_transfer);
        let short = |missed: &Missed<'_>| self.is_about(missed.budget) && missed.sr_psnr < self.least;
        rows.chain(transfers).filter(short).collect()
    }

    fn is_about(&self, budget: f64) -> bool {
        self.budget.is_none_or(|asked| asked == budget)
    }
}

/// An attacked image, and what was left of its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed<'a> {
    /// The model that upscaled it.
    pub model: &'a str,
    /// The runtime that did.
    pub judged_on: &'a str,
    /// The attack.
    pub attack: &'a str,
    /// The model that it was crafted for; `None` for this one.
    pub crafted_for: Option<&'a str>,
    /// In 1/255.
    pub budget: f64,
    /// The image.
    pub image: &'a str,
    /// SR PSNR in dB, the lower of those with and without rounding to 8 bits.
    pub sr_psnr: f64,
}

impl<'a> Missed<'a> {
    fn of_row(row: &'a Row) -> Self {
        let Row { model, judged_on, attack, budget, image, sr_psnr, eight_bit, .. } = row;
        let sr_psnr = sr_psnr.min(eight_bit.sr_psnr);
        Self { model, judged_on, attack, crafted_for: None, budget: *budget, image, sr_psnr }
    }

    fn of_transfer(transfer: &'a Transfer) -> Self {
        let Transfer { model, judged_on, attack, crafted_for, budget, image, sr_psnr, eight_bit, .. } =
            transfer;
        let (crafted_for, sr_psnr) = (Some(crafted_for.as_str()), sr_psnr.min(eight_bit.sr_psnr));
        Self { model, judged_on, attack, crafted_for, budget: *budget, image, sr_psnr }
    }
}

impl std::fmt::Display for Missed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { model, judged_on, attack, crafted_for, budget, image, sr_psnr } = self;
        let crafted_for = crafted_for.map_or(String::new(), |model| format!(" for {model}"));
        write!(f, "{model} on {judged_on}, {attack}{crafted_for} at {budget}/255, {image}: {sr_psnr:.2} dB")
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
