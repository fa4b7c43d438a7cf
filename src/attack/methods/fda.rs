//! FDA (Ganeshan et al., ICCV 2019; eq. (13) of Choi et al., ACCV 2020): the steps of I-FGSM on an objective
//! of feature maps, `oracle::Objective::Features`.
//!
//! That objective has a gradient at x0, so the first point is x0 itself and nothing is random. Its numbers are
//! for comparison with the paper: features may be disrupted without the output moving much, and the reverse.

use super::ifgsm::Ifgsm;
use crate::attack::kind::AttackKind;
use crate::attack::row::{Attack, Calls, Maximises, Method, Row};

impl Attack {
    /// Steps of equal size that disrupt features, eq. (13).
    pub const FDA: Self = Self(&Row {
        name: "fda",
        stream: "fda",
        kind: AttackKind::WhiteBox,
        restarts: false,
        converges: false,
        maximises: Maximises::Features,
        calls: Calls::Iterations(1),
        help: "the paper's attack on feature maps, with the steps of ifgsm",
        method: Method::Climb(|ball, settings| Box::new(Ifgsm::from_x0(ball.level(), settings.iterations))),
    });
}
