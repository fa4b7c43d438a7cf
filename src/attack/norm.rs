//! The norms that budgets are measured in.

use serde::Serialize;

/// How the size of a perturbation is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The largest change of a value.
    #[default]
    Linf,
    /// The root of the sum of squared changes.
    L2,
}

impl Norm {
    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Norm::Linf => "linf",
            Norm::L2 => "l2",
        }
    }
}

impl std::str::FromStr for Norm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let norm = [Norm::Linf, Norm::L2].into_iter().find(|norm| norm.name() == name);
        norm.ok_or_else(|| format!("there is no norm `{name}`; there are linf and l2"))
    }
}
