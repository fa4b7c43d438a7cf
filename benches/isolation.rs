//! `cargo bench --bench isolation --profile dev -- NAME ...`: what a process of its own costs a runtime, in a gradient
//! step, as the ratio of its time to the same step inside this program, of the models that `TEMPER_ASSETS` names (see
//! `subjects`), at 40x40 where a model takes any size and at the size of the other benches.
//!
//! The two take turns, in blocks of steps as an attack makes them (the input changes, the target does not). Medians of
//! the blocks; ratios within one run are what counts.

#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;
use std::time::{Duration, Instant};

use ndarray::{Array, ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::Model;
use temper::oracle::{Objective, gradient_model};
use temper::rewrite::{promote, specialise};
use temper::runtime::{self, Confinement, Isolated, Kind, Runtime, Session};

mod subjects;

/// Steps that are taken in a row, and how long a pair of blocks is repeated.
const BLOCK: usize = 20;
const LEAST: Duration = Duration::from_secs(20);
const SMALL: usize = 40;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    // Cargo adds flags of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let [verb, kind, ..] = &words[..]
        && verb == runtime::SERVE
    {
        return Ok(runtime::serve(kind.parse()?, None)?);
    }
    println!(
        "{:<28} {:<14} {:<6} {:>10} {:>10} {:>7} {:>9} {:>6}",
        "model", "input", "on", "within ms", "apart ms", "ratio", "start s", "pairs"
    );
    subjects::each(&words, &mut |name, model, shape| {
        if shape[2..] == [80, 120] {
            compare(name, model, [shape[0], shape[1], SMALL, SMALL])?;
        }
        compare(name, model, shape)
    })
}

fn compare(name: &str, model: &Model, shape: [usize; 4]) -> Result<(), Failure> {
    let step = gradient_model(model, &Objective::Distance, &shape)?.0;
    let forward = promote(&specialise(model, &[&shape])?).0;
    for kind in [Kind::ORT, Kind::TRACT] {
        let program = std::env::current_exe()?;
        let apart =
            Isolated::open(kind, Confinement { program, memory: None, time: Duration::from_secs(600) })?;
        let within = runtime::open(kind)?;
        let image = random(&shape);
        let target = within.load(&forward)?.run(&[image.view()])?.remove(0).mapv(|value| 0.9 * value);
        let start = Instant::now();
        let mut within = Turns { session: within.load(&step)?, image: image.clone() };
        let here = start.elapsed();
        let start = Instant::now();
        let mut apart = Turns { session: apart.load(&step)?, image };
        let start = start.elapsed().as_secs_f64() - here.as_secs_f64();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while begun.elapsed() < LEAST {
            ours.push(within.block(&target)?);
            theirs.push(apart.block(&target)?);
        }
        let pairs = ours.len();
        let (ours, theirs) = (median(ours), median(theirs));
        let input = shape.map(|size| size.to_string()).join("x");
        println!(
            "{name:<28.28} {input:<14} {kind:<6} {ours:>10.3} {theirs:>10.3} {:>7.3} {start:>9.2} {pairs:>6}",
            theirs / ours
        );
    }
    Ok(())
}

/// A session and the image that it is at.
struct Turns {
    session: Box<dyn Session>,
    image: ArrayD<f32>,
}

impl Turns {
    /// Milliseconds of a step, over a block of them.
    fn block(&mut self, target: &ArrayD<f32>) -> Result<f64, Failure> {
        let start = Instant::now();
        for _ in 0..BLOCK {
            let outputs = self.session.run(&[self.image.view(), target.view()])?;
            let gradient = &outputs[1];
            self.image.zip_mut_with(gradient, |value, slope| *value += 1e-4 * slope.signum());
        }
        Ok(start.elapsed().as_secs_f64() * 1e3 / BLOCK as f64)
    }
}

fn random(shape: &[usize]) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    Array::from_shape_simple_fn(IxDyn(shape), || rng.random_range(0.0..1.0))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
