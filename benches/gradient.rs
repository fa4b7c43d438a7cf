//! `cargo bench --bench gradient --profile dev`: a forward run and a gradient step of
//! EDSR-baseline x4 at 1x3x80x120, on every runtime at hand.
//!
//! Ratios within one run are what counts: absolute times are one machine's. The floor is the
//! arithmetic, which no implementation can do without: a step runs the network forwards and its
//! adjoint once, and the adjoint of a linear map costs what the map does.

#![allow(clippy::print_stdout)] // what it is for

use std::time::Instant;

use ndarray::{Array, ArrayD, ArrayViewD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::Model;
use temper::oracle::{Objective, gradient_model, objective_model};
use temper::rewrite::{flops, specialise};
use temper::runtime::{self, Kind, Session};
use temper::zoo::Edsr;

const SHAPE: [usize; 4] = [1, 3, 80, 120];
const SCALE: usize = 4;
const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Edsr::baseline(SCALE).build(0)?;
    let forward = specialise(&model, &[&SHAPE])?;
    let step = gradient_model(&model, Objective::Distance, &SHAPE)?.0;
    let (once, both) = (flops(&forward)? as f64, flops(&step)? as f64);
    println!("EDSR-baseline x{SCALE}, input {SHAPE:?}; medians of {ROUNDS} interleaved runs");
    println!(
        "floor: forward {:.1} GFLOP, step {:.1} GFLOP, ratio {:.2}",
        once / 1e9,
        both / 1e9,
        both / once
    );
    let nodes = |model: &Model| model.graph.nodes.len();
    println!("nodes: forward {}, step {}", nodes(&forward), nodes(&step));
    println!("{:<8} {:>12} {:>12} {:>7}", "runtime", "forward ms", "step ms", "ratio");
    for kind in Kind::ALL {
        match runtime::open(kind) {
            Ok(runtime) => {
                let mut forward = runtime.load(&forward)?;
                let mut step = match runtime.autograd(&objective(&model)?, "image") {
                    Some(session) => session?,
                    None => runtime.load(&step)?,
                };
                let (forward, step) = measure(&mut *forward, &mut *step)?;
                println!("{kind:<8} {forward:>12.1} {step:>12.1} {:>7.2}", step / forward);
            }
            Err(reason) => println!("{kind:<8} left out: {reason}"),
        }
    }
    Ok(())
}

/// The model with the objective as its one output, for a runtime that differentiates by itself.
fn objective(model: &Model) -> Result<Model, Box<dyn std::error::Error>> {
    Ok(objective_model(model, Objective::Distance, &SHAPE)?)
}

/// Median milliseconds of a forward run and of a gradient step, taken in turns.
fn measure(
    forward: &mut dyn Session,
    step: &mut dyn Session,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let image = random(&SHAPE, 1);
    let target = random(&[SHAPE[0], SHAPE[1], SHAPE[2] * SCALE, SHAPE[3] * SCALE], 2);
    let (mut forwards, mut steps) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let a = timed(forward, &[image.view()])?;
        let b = timed(step, &[image.view(), target.view()])?;
        if round > 0 {
            forwards.push(a);
            steps.push(b);
        }
    }
    Ok((median(forwards), median(steps)))
}

fn random(shape: &[usize], seed: u64) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array::from_shape_simple_fn(IxDyn(shape), || rng.random_range(0.0..1.0))
}

fn timed(
    session: &mut dyn Session,
    inputs: &[ArrayViewD<'_, f32>],
) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    session.run(inputs)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
