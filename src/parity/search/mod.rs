//! The input on which two sides differ most, searched for: samples miss saturation and borders.
//!
//! What is climbed is how many times its tolerance the worst output is off. Starts are the inputs that are compared
//! anyway; the search goes on from the worst of them. A step that makes the difference larger is kept, any other is
//! taken back. Integers stay as they are. Deliberately absent: proof that nothing worse exists.

mod climb;
mod moves;

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use self::climb::{Climb, Extreme};
use self::moves::Fill;
use super::compare::{Answer, Question};
use super::difference::Difference;
use super::error::ParityError;
use super::inputs::Input;
use super::slope::{hold, moved, range_of};
use super::value::Value;
use super::whole::Whole;

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Runs of each side at most, those on the starts left out.
    pub runs: usize,
    /// The most that an element may leave the start by; `None` for the whole range of the start, and of an image.
    pub ball: Option<f32>,
    /// Decides every random number.
    pub seed: u64,
}

/// What a search found, for a report.
#[derive(Clone, Debug, Serialize)]
pub struct Searched {
    /// The input that it began with.
    pub from: String,
    /// Runs of each side.
    pub runs: usize,
    /// The most that an element may leave the start by; `None` for the whole range.
    pub ball: Option<f32>,
    /// The least and the largest number that elements were given.
    pub range: [f32; 2],
    /// How many times its tolerance the worst output was off at the start.
    pub strain_before: f64,
    /// The same of what was found; beyond 1 it fails. null in JSON where one side is no finite number.
    pub strain: f64,
    /// The steps that made it larger, by their kind: `square` and `speckle` fill a box, `difference` follows the
    /// gradient of the difference, `extreme` that of the largest or least element of a value in between.
    pub steps: BTreeMap<&'static str, usize>,
    /// Why it ended before its runs were used up, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// The worst input found, what both sides gave on it, and how it was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// One more input to compare on.
    pub input: Input,
    /// The reference's answer and the candidate's.
    pub answers: [Answer; 2],
    /// For a report.
    pub searched: Searched,
}

/// The name of the input that a search found.
pub const FOUND: &str = "found by search";

/// Searches; `answers` are those to the inputs, and `on_run` is told of every run and of the strain so far.
/// `None` where there is nothing to search: no input of floating point.
///
/// # Errors
/// A side that does not start. One that fails later ends the search with what was found.
pub fn search(
    question: &Question<'_>,
    inputs: &[Input],
    answers: [&[Answer]; 2],
    settings: &Settings,
    on_run: &mut dyn FnMut(usize, f64),
) -> Result<Option<Found>, ParityError> {
    let strains = inputs.iter().zip(answers[0].iter().zip(answers[1]));
    let strains: Vec<f64> = strains.map(|(_, (a, b))| strain(question, a, b)).collect();
    // What is no finite number on one side cannot become worse.
    let starts = (0..strains.len()).filter(|&place| strains[place].is_finite());
    let worse = |&a: &usize, &b: &usize| strains[a].total_cmp(&strains[b]).then(b.cmp(&a));
    let Some(start) = starts.max_by(worse) else { return Ok(None) };
    if !inputs[start].values.iter().any(|value| value.dtype.is_float()) {
        return Ok(None);
    }
    let both = [answers[0][start].clone(), answers[1][start].clone()];
    let mut state = State::open(question, &inputs[start], both, strains[start], settings)?;
    while state.searched.runs < settings.runs && state.searched.strain.is_finite() {
        if let Err(error) = state.step() {
            state.searched.ended = Some(error.to_string());
            break;
        }
        on_run(state.searched.runs, state.searched.strain);
    }
    let State { best, answers, searched, .. } = state;
    let input = Input { name: FOUND.to_owned(), ..best };
    Ok(Some(Found { input, answers, searched }))
}

/// How many times its tolerance the worst output is off.
fn strain(question: &Question<'_>, expected: &[Value], given: &[Value]) -> f64 {
    let program = &question.candidate.program;
    let names = program.outputs();
    let of = |((name, a), b): ((&String, &Value), &Value)| {
        question.tolerances.strain(program.dtype(name), &Difference::of(a, b))
    };
    names.iter().zip(expected).zip(given).map(of).fold(0.0, f64::max)
}

/// Runs of one way along the gradient of an extreme.
const WAY: usize = 8;
/// The smallest step along a gradient, as a share of the range or of the ball's diameter.
const SMALLEST_STEP: f32 = 0.01;

/// A way along the gradient of an extreme: it goes on whether or not the difference grows, which may be flat at first.
struct Way {
    at: Input,
    extreme: Extreme,
    left: usize,
    step: f32,
}

struct State<'a> {
    question: &'a Question<'a>,
    start: &'a Input,
    sides: [Whole<'a>; 2],
    climb: Climb<'a>,
    way: Option<Way>,
    best: Input,
    answers: [Answer; 2],
    searched: Searched,
    rng: ChaCha8Rng,
}

impl<'a> State<'a> {
    fn open(
        question: &'a Question<'a>,
        start: &'a Input,
        answers: [Answer; 2],
        strain: f64,
        settings: &Settings,
    ) -> Result<Self, ParityError> {
        let searched = Searched {
            from: start.name.clone(),
            runs: 0,
            ball: settings.ball,
            range: range_of(start),
            strain_before: strain,
            strain,
            steps: BTreeMap::new(),
            ended: None,
        };
        Ok(Self {
            question,
            start,
            sides: [Whole::open(question.reference, start)?, Whole::open(question.candidate, start)?],
            climb: Climb::open(question, start),
            way: None,
            best: start.clone(),
            answers,
            searched,
            rng: ChaCha8Rng::seed_from_u64(settings.seed),
        })
    }

    fn step(&mut self) -> Result<(), ParityError> {
        self.searched.runs += 1;
        let (name, mut input) = self.proposal()?;
        hold(&mut input, self.start, self.searched.ball.unwrap_or(f32::INFINITY), self.searched.range);
        if let Some(way) = &mut self.way {
            way.at = input.clone();
        }
        let [reference, candidate] = &mut self.sides;
        let answers = [reference.run(&input)?, candidate.run(&input)?];
        let strain = strain(self.question, &answers[0], &answers[1]);
        if strain > self.searched.strain {
            (self.best, self.answers, self.searched.strain) = (input, answers, strain);
            *self.searched.steps.entry(name).or_default() += 1;
        }
        Ok(())
    }

    /// The next input to try, and the kind of the step that leads to it.
    fn proposal(&mut self) -> Result<(&'static str, Input), ParityError> {
        self.way = self.way.take().filter(|way| way.left > 0);
        let kind = if self.way.is_some() { 3 } else { self.rng.random_range(0..4) };
        match kind {
            2 if self.climb.has_difference() => {
                if let Some(slope) = self.climb.difference(&self.best, &self.answers)? {
                    let step = self.random_step();
                    return Ok(("difference", moved(&self.best, &slope, step)));
                }
            }
            3 => {
                if let Some(input) = self.along()? {
                    return Ok(("extreme", input));
                }
            }
            _ => {}
        }
        let (name, fill) = if kind % 2 == 0 { ("square", Fill::Square) } else { ("speckle", Fill::Speckle) };
        let mut input = self.best.clone();
        let floats = input.values.iter_mut().filter(|value| value.dtype.is_float());
        let mut floats: Vec<&mut Value> = floats.collect();
        let place = self.rng.random_range(0..floats.len());
        fill.apply(&mut floats[place].high, self.searched.range, &mut self.rng);
        Ok((name, input))
    }

    /// One step on the way, or the first of another; `None` where no extreme has a gradient.
    fn along(&mut self) -> Result<Option<Input>, ParityError> {
        if self.way.is_none() {
            let Some(extreme) = self.climb.choose(&mut self.rng) else { return Ok(None) };
            let step = self.random_step();
            self.way = Some(Way { at: self.best.clone(), extreme, left: WAY, step });
        }
        let Some(way) = &mut self.way else { return Ok(None) };
        let Some(slope) = self.climb.drive(&way.at, &way.extreme)? else {
            self.way = None;
            return Ok(None);
        };
        let step = way.step * way.left as f32 / WAY as f32;
        way.left -= 1;
        Ok(Some(moved(&way.at, &slope, step)))
    }

    fn random_step(&mut self) -> f32 {
        let [low, high] = self.searched.range;
        let whole = self.searched.ball.map_or(high - low, |ball| (2.0 * ball).min(high - low));
        SMALLEST_STEP.powf(self.rng.random_range(0.0..1.0f32)) * whole
    }
}
