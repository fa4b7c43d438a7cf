//! Adversarial inputs: every input that is compared, moved within a small ball so that the reference's first output
//! changes most (I-FGSM, Kurakin et al., 2017, on the distance between outputs).
//!
//! What breaks a network on one runtime must break it on the other, to the same numbers: inside such inputs values may be
//! larger than inside samples. Deliberately absent: a verdict on robustness, which `audit` gives, and the input on
//! which two sides differ most, which `search` looks for.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::compare::{Answer, Question};
use super::error::ParityError;
use super::inputs::Input;
use super::slope::{Of, Slope, hold, moved, range_of};
use super::whole::Whole;

/// Steps of the attack.
const STEPS: usize = 10;

/// An attacked input, and what the reference and the candidate gave on it.
#[derive(Clone, Debug)]
pub struct Adversarial {
    /// One more input to compare on.
    pub input: Input,
    /// The reference's answer and the candidate's.
    pub answers: [Answer; 2],
}

/// Attacks the reference from every input on which its output is finite, by at most `levels` 255ths of the input's range.
/// `None` where the reference has no gradient. `seed` decides the first step; `on_input` is told of every input that is done.
///
/// # Errors
/// A side that does not start, or fails on what was crafted.
pub fn adversarial(
    question: &Question<'_>,
    inputs: &[Input],
    levels: f32,
    seed: u64,
    on_input: &mut dyn FnMut(),
) -> Result<Option<Vec<Adversarial>>, ParityError> {
    let Some(first) = inputs.first() else { return Ok(None) };
    let Some(mut slope) = Slope::open(question.reference, first, &Of::Direction) else { return Ok(None) };
    let mut sides = [Whole::open(question.reference, first)?, Whole::open(question.candidate, first)?];
    let mut found = Vec::new();
    for start in inputs {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        if let Some(input) = crafted(&mut sides[0], &mut slope, start, levels, &mut rng)? {
            let answers = [sides[0].run(&input)?, sides[1].run(&input)?];
            found.push(Adversarial { input, answers });
        }
        on_input();
    }
    Ok(Some(found))
}

/// The attacked version of an input; `None` where the gradient or the output is no number from the start.
fn crafted(
    side: &mut Whole<'_>,
    slope: &mut Slope,
    start: &Input,
    levels: f32,
    rng: &mut ChaCha8Rng,
) -> Result<Option<Input>, ParityError> {
    let clean = side.run(start)?;
    let Some(clean) = clean.first().filter(|value| value.high.iter().all(|value| value.is_finite())) else {
        return Ok(None);
    };
    let range @ [low, high] = range_of(start);
    let ball = levels / 255.0 * (high - low);
    let mut x = start.clone();
    for step in 0..STEPS {
        // At the start the distance is 0, and so is its gradient: the first step moves the output any way.
        let direction = match step {
            0 => clean.high.mapv(|_| if rng.random() { 1.0 } else { -1.0 }),
            _ => match side.run(&x)?.first() {
                Some(now) if now.shape() == clean.shape() => &now.high - &clean.high,
                _ => break,
            },
        };
        let gradient = slope.of_direction(&x, direction)?;
        if !gradient.iter().all(|value| value.is_finite()) {
            break;
        }
        x = moved(&x, &gradient, 2.0 * ball / STEPS as f32);
        hold(&mut x, start, ball, range);
    }
    Ok(Some(Input { name: format!("{}, attacked", start.name), ..x }))
}
