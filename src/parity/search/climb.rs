//! Steps of a search that follow gradients: of the difference of two sides, and of the extremes of a value in between.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::parity::compare::{Answer, Question};
use crate::parity::error::ParityError;
use crate::parity::inputs::Input;
use crate::parity::nodes::Side;
use crate::parity::slope::{Of, Slope, is_plain};

/// Extremes that are tried at most: each takes a graph of its own.
const MOST_EXTREMES: usize = 8;

/// The largest or the least element of a value in between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extreme {
    value: String,
    largest: bool,
}

/// The gradients at hand.
pub struct Climb<'a> {
    side: &'a Side,
    like: &'a Input,
    difference: Option<[Slope; 2]>,
    /// Extremes that may be driven.
    extremes: Vec<Extreme>,
    /// Those that were; `None` where there is no gradient.
    driven: BTreeMap<Extreme, Option<Slope>>,
}

impl<'a> Climb<'a> {
    /// Makes gradients ready where there are any.
    pub fn open(question: &Question<'a>, like: &'a Input) -> Self {
        let mut climb = Self {
            side: question.candidate,
            like,
            difference: None,
            extremes: Vec::new(),
            driven: BTreeMap::new(),
        };
        if like.values.len() != 1 || !is_plain(like.values[0].dtype) {
            return climb;
        }
        let of_output = |side: &Side| Slope::open(side, like, &Of::Direction);
        climb.difference =
            of_output(question.reference).zip(of_output(question.candidate)).map(<[Slope; 2]>::from);
        let program = &climb.side.program;
        let is_float = |name: &&String| {
            is_plain(program.dtype(name))
                && program.ty(name).is_some_and(|ty| ty.shape.len() > 1 && ty.len() > 1)
        };
        let moves = (0..program.nodes().len()).filter(|&node| !program.is_constant(node));
        let values = moves.flat_map(|node| program.writes(node)).filter(is_float);
        climb.extremes = values
            .flat_map(|value| [true, false].map(|largest| Extreme { value: value.clone(), largest }))
            .collect();
        climb
    }

    /// Whether the difference has a gradient.
    pub fn has_difference(&self) -> bool {
        self.difference.is_some()
    }

    /// The gradient of the distance between what the two sides give for their first output.
    ///
    /// # Errors
    /// A runtime that fails.
    pub fn difference(
        &mut self,
        x: &Input,
        answers: &[Answer; 2],
    ) -> Result<Option<ArrayD<f32>>, ParityError> {
        let (Some([of_a, of_b]), [Some(a), Some(b)]) =
            (&mut self.difference, [answers[0].first(), answers[1].first()])
        else {
            return Ok(None);
        };
        if a.shape() != b.shape() {
            return Ok(None);
        }
        let direction = &a.high - &b.high;
        Ok(Some(of_a.of_direction(x, direction.clone())? - of_b.of_direction(x, direction)?))
    }

    /// An extreme, chosen at random; `None` where there is none.
    pub fn choose(&self, rng: &mut ChaCha8Rng) -> Option<Extreme> {
        let known: Vec<&Extreme> =
            self.driven.iter().filter_map(|(extreme, slope)| slope.as_ref().map(|_| extreme)).collect();
        if self.driven.len() >= MOST_EXTREMES {
            return (!known.is_empty()).then(|| known[rng.random_range(0..known.len())].clone());
        }
        (!self.extremes.is_empty()).then(|| self.extremes[rng.random_range(0..self.extremes.len())].clone())
    }

    /// Where to go for a larger largest, or a lesser least element; `None` where there is no gradient.
    ///
    /// # Errors
    /// A runtime that fails.
    pub fn drive(&mut self, x: &Input, extreme: &Extreme) -> Result<Option<ArrayD<f32>>, ParityError> {
        let (side, like) = (self.side, self.like);
        let of = Of::Extreme { value: &extreme.value, largest: extreme.largest };
        let ready = || Slope::open(side, like, &of);
        let Some(slope) = self.driven.entry(extreme.clone()).or_insert_with(ready) else { return Ok(None) };
        let found = slope.of_extreme(x)?;
        Ok(Some(if extreme.largest { found } else { -found }))
    }
}
