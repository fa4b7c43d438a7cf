//! The flag that raises or lowers the bounds on what files may claim.

use crate::limits::{self, Limit};

/// Bounds for this run of the program.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitArgs {
    /// Raise or lower a bound on what files may claim, such as nodes=500000 or model-bytes=2G; several, separated
    /// by commas (`temper --help` lists them)
    #[arg(long = "limit", value_name = "NAME=N,...", value_delimiter = ',', value_parser = limits::parse, global = true, help_heading = "Limits")]
    limits: Vec<(Limit, u64)>,
}

impl LimitArgs {
    /// Puts the bounds in force.
    pub fn enforce(&self) {
        self.limits.iter().for_each(|(limit, most)| limit.set(*most));
    }
}

/// Every bound with its default, for the help.
pub fn table() -> String {
    let row = |limit: &Limit| {
        let most = Limit::shown(limit.default());
        format!("  {:<14} {most:>6}  {}", limit.name(), limit.unit())
    };
    let rows: Vec<String> = Limit::ALL.iter().map(row).collect();
    format!(
        "Limits (--limit NAME=N; beyond one, a file is refused before memory is given to it):\n{}",
        rows.join("\n")
    )
}
