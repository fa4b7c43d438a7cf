//! Steps of a search that follow gradients: of the difference of two sides, and of the extremes of a value in between.
//!
//! Gradients are graphs like any other and run where the sides do. They only propose: runs decide what is kept, so that
//! a gradient that is wrong costs runs and nothing else. Models of one input of floating point alone have them here.

use std::collections::BTreeMap;

use ndarray::{ArrayD, ArrayView, IxDyn};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::onnx::{DType, Model, ValueInfo};
use crate::parity::compare::{Answer, Question};
use crate::parity::error::ParityError;
use crate::parity::inputs::Input;
use crate::parity::nodes::Side;
use crate::rewrite::{Emitter, RewriteError, TensorType, gradient, promote, specialise};
use crate::runtime::Session;

/// Extremes that are tried at most: each takes a graph of its own.
const MOST_EXTREMES: usize = 8;

/// The largest or the least element of a value in between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extreme {
    value: String,
    largest: bool,
}

/// What a gradient is taken of.
enum Of<'a> {
    /// The sum of an output's elements times those of a second input.
    Direction,
    /// One element of a value.
    Extreme(&'a Extreme),
}

/// The gradients at hand.
pub struct Climb<'a> {
    side: &'a Side,
    like: &'a Input,
    difference: Option<[Box<dyn Session>; 2]>,
    /// Extremes that may be driven.
    extremes: Vec<Extreme>,
    /// Those that were; `None` where there is no gradient.
    driven: BTreeMap<Extreme, Option<Box<dyn Session>>>,
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
        let plain = |dtype| matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
        if like.values.len() != 1 || !plain(like.values[0].dtype) {
            return climb;
        }
        let of_output = |side: &Side| session(side, like, &Of::Direction);
        climb.difference =
            of_output(question.reference).zip(of_output(question.candidate)).map(<[_; 2]>::from);
        let program = &climb.side.program;
        let is_float = |name: &&String| {
            plain(program.dtype(name))
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
        let (Some(sessions), [Some(a), Some(b)]) =
            (&mut self.difference, [answers[0].first(), answers[1].first()])
        else {
            return Ok(None);
        };
        if a.shape() != b.shape() {
            return Ok(None);
        }
        let mut direction = &a.high - &b.high;
        let most = direction.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        if most > 0.0 && most.is_finite() {
            direction.mapv_inplace(|value| value / most);
        }
        let [of_a, of_b] = sessions;
        let fed = [x.values[0].high.view(), direction.view()];
        let (a, b) = (first(&mut **of_a, &fed)?, first(&mut **of_b, &fed)?);
        Ok(Some(a - b))
    }

    /// An extreme, chosen at random; `None` where there is none.
    pub fn choose(&self, rng: &mut ChaCha8Rng) -> Option<Extreme> {
        let known: Vec<&Extreme> =
            self.driven.iter().filter_map(|(extreme, session)| session.as_ref().map(|_| extreme)).collect();
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
        let ready = || session(side, like, &Of::Extreme(extreme));
        let Some(session) = self.driven.entry(extreme.clone()).or_insert_with(ready) else { return Ok(None) };
        let found = first(&mut **session, &[x.values[0].high.view()])?;
        Ok(Some(if extreme.largest { found } else { -found }))
    }
}

fn first(session: &mut dyn Session, fed: &[ArrayView<'_, f32, IxDyn>]) -> Result<ArrayD<f32>, ParityError> {
    Ok(session.run(fed)?.into_iter().next().unwrap_or_default())
}

fn session(side: &Side, like: &Input, of: &Of<'_>) -> Option<Box<dyn Session>> {
    side.runtime.load(&slope(side, like, of).ok()?).ok()
}

/// The graph of a gradient with respect to the one input.
fn slope(side: &Side, like: &Input, of: &Of<'_>) -> Result<Model, RewriteError> {
    let shapes: Vec<&[usize]> = like.values.iter().map(|value| value.shape()).collect();
    let mut model = side.program.model.clone();
    if let Of::Extreme(extreme) = of {
        model.graph.outputs =
            vec![ValueInfo { ty: None, ..ValueInfo::tensor(&extreme.value, DType::F32, []) }];
    }
    let (fixed, _) = promote(&specialise(&model, &shapes)?);
    let output = fixed.graph.outputs.first().map(|output| output.name.clone()).unwrap_or_default();
    let wrt = side.program.inputs().into_iter().next().unwrap_or_default();
    let mut emitter = Emitter::open(fixed)?;
    let value = emitter.value(&output)?;
    let (op, part) = match of {
        Of::Extreme(extreme) => (if extreme.largest { "ReduceMax" } else { "ReduceMin" }, value),
        Of::Direction => {
            let ty = TensorType::new(DType::F32, value.ty.shape.clone());
            let direction = emitter.input("direction", ty)?;
            ("ReduceSum", emitter.emit("Mul", "directed", &[&value, &direction], [])?)
        }
    };
    let flat = emitter.reshape("flat", &part, &[part.ty.len()])?;
    let number = emitter.reduce(op, "number", &flat, &[0], false)?;
    let found = gradient(&mut emitter, &number, &wrt)?;
    emitter.finish(&[("gradient", &found.value)])
}
