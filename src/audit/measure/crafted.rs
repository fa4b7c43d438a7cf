//! An attack as it was made on one image, before anything is evaluated.

use crate::attack::Attacked;
use crate::report::NonFinite;

/// An attack that was made on an image.
#[derive(Clone, Debug)]
pub struct Crafted {
    /// The attacked image, and how the attack went.
    pub attacked: Attacked,
    /// What was not a finite number and ended the attack; `None` where it came to its own end.
    pub stopped_by: Option<NonFinite>,
}
