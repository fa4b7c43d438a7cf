//! The table of attacks: one file and one row each. `docs/adding-an-attack.md` adds one.

mod apgd;
mod cw;
mod fda;
mod fgsm;
mod ifgsm;
mod mifgsm;
mod pgd;
mod random;
mod smooth;
mod spsa;
mod square;
mod strongest;
mod trust;

use std::str::FromStr;

use crate::attack::row::Attack;
use crate::suggest::no_such;

/// Every attack, those with gradients first; every file of this folder declares its own.
const TABLE: [Attack; 12] = [
    Attack::FGSM,
    Attack::IFGSM,
    Attack::PGD,
    Attack::MIFGSM,
    Attack::APGD,
    Attack::SMOOTH,
    Attack::CW,
    Attack::FDA,
    Attack::SQUARE,
    Attack::SPSA,
    Attack::RANDOM,
    Attack::STRONGEST,
];

impl Attack {
    /// Every attack, those with gradients first.
    pub fn all() -> impl Iterator<Item = Attack> {
        TABLE.into_iter()
    }
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if let Some(attack) = TABLE.iter().find(|attack| attack.name() == given) {
            return Ok(*attack);
        }
        Err(no_such("attack", given, TABLE.iter().map(|attack| attack.name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_attack_names_the_nearest() {
        for attack in Attack::all() {
            assert_eq!(attack.name().parse(), Ok(attack));
        }
        assert!("ifsgm".parse::<Attack>().unwrap_err().contains("did you mean `ifgsm`"));
        assert!("sqare".parse::<Attack>().unwrap_err().contains("did you mean `square`"));
    }
}
