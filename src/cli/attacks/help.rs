//! What flags say of attacks, as the table of attacks has it.

use crate::attack::{Attack, AttackKind, QUERIES};

/// The attacks, those that climb gradients first.
pub fn attacks() -> String {
    format!(
        "Attacks, separated by commas [default: {}; ifgsm for a quick look, and with steps or tries too few for a \
         verdict]: {} climb gradients; {} need forward passes only, so they run on any model",
        listed(is_ensemble),
        listed(|attack| attack.needs_gradient() && !is_ensemble(attack)),
        listed(|attack| !attack.needs_gradient()),
    )
}

fn is_ensemble(attack: Attack) -> bool {
    attack.kind() == AttackKind::Ensemble
}

/// The same, and a line on each.
pub fn every_attack() -> String {
    let width = Attack::all().map(|attack| attack.name().len()).max().unwrap_or(0);
    let line = |attack: Attack| format!("\n  {:width$}  {}", attack.name(), attack.help());
    format!("{}:\n{}", attacks(), Attack::all().map(line).collect::<String>())
}

/// Whose starts and draws are counted.
pub fn restarts() -> String {
    format!(
        "Random starts of {}, and draws of {}, of which the best counts",
        listed(|attack| attack.restarts() && !is_ensemble(attack) && attack.kind() != AttackKind::Baseline),
        listed(|attack| attack.restarts() && attack.kind() == AttackKind::Baseline),
    )
}

/// Whose forward passes are counted.
pub fn queries() -> String {
    format!("Forward passes of {} [default: {QUERIES}]", listed(Attack::is_counted_in_queries))
}

/// Names as in "a, b and c".
fn listed(which: impl Fn(Attack) -> bool) -> String {
    let names: Vec<&str> = Attack::all().filter(|&attack| which(attack)).map(Attack::name).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
