//! Budgets as people write them: in levels of 1/255.

/// How far a pixel value may move, in 1/255: at most, or in the L2 norm as root mean square.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, serde::Serialize)]
pub struct Budget(f64);

/// All that a pixel can move.
impl Default for Budget {
    fn default() -> Self {
        Self(255.0)
    }
}

impl Budget {
    /// The smallest: a pixel is a float32 on [0, 1], and moves by little less.
    pub const SMALLEST: f64 = 0.001;

    /// A budget of so many levels, from [`Budget::SMALLEST`] to 255.
    pub fn new(levels: f64) -> Option<Self> {
        (Self::SMALLEST..=255.0).contains(&levels).then_some(Self(levels))
    }

    /// The budget as written, in 1/255.
    pub fn levels(self) -> f64 {
        self.0
    }

    /// The level of its ball, on [0, 1].
    pub fn radius(self) -> f64 {
        self.0 / 255.0
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The least number that is taken for one in 1/255: smaller ones were meant as shares of the range.
const LEAST_NUMBER: f64 = 0.1;

/// Reads budgets separated by commas, such as `1,4,8` or `4/255`.
///
/// # Errors
/// A word that is no budget, with what was probably meant, and one that is given twice.
pub fn parse_budgets(text: &str) -> Result<Vec<Budget>, String> {
    let mut budgets: Vec<Budget> = Vec::new();
    for word in text.split(',').map(str::trim) {
        let budget = parse_budget(word)?;
        if budgets.contains(&budget) {
            return Err(format!("the budget {word} is given twice; give each once"));
        }
        budgets.push(budget);
    }
    Ok(budgets)
}

fn parse_budget(word: &str) -> Result<Budget, String> {
    let (number, stated) = word.strip_suffix("/255").map_or((word, false), |number| (number.trim(), true));
    let budget = number.parse().ok().and_then(Budget::new).ok_or_else(|| {
        format!("`{word}` is no budget; a budget is a number above 0 and up to 255, in levels of 1/255")
    })?;
    if !stated && budget.0 < LEAST_NUMBER {
        let meant = (255.0 * budget.0 * 100.0).round() / 100.0;
        return Err(format!(
            "`{word}` is no budget: budgets are in levels of 1/255, and {word} of the whole range is {meant}/255; \
             give {meant}, or {word}/255 where so little is meant"
        ));
    }
    Ok(budget)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_levels_of_255() {
        let budgets = parse_budgets("1, 4,0.5").unwrap();
        assert_eq!(budgets.iter().map(|budget| budget.levels()).collect::<Vec<_>>(), [1.0, 4.0, 0.5]);
        assert_eq!(budgets[1].radius(), 4.0 / 255.0);
    }

    #[test]
    fn a_share_of_the_range_is_told_from_levels() {
        assert_eq!(parse_budgets("4/255, 0.05/255").unwrap(), [Budget(4.0), Budget(0.05)]);
        let refused = parse_budgets("0.0157").unwrap_err();
        assert!(refused.contains("0.0157 of the whole range is 4/255; give 4"), "{refused}");
    }

    #[test]
    fn what_is_no_budget_is_named() {
        for text in
            ["0", "-1", "nan", "inf", "256", "", "4,", "four", "1e-400", "1e-300", "0.0009", "4/256", "/255"]
        {
            assert!(parse_budgets(text).unwrap_err().contains("is no budget"), "{text}");
        }
        assert!(parse_budgets("4/255,4").unwrap_err().contains("twice"));
        assert!(parse_budgets("4,4.0").unwrap_err().contains("twice"));
    }
}
