//! `cargo bench --bench gradient --profile dev [-- NAME ...]`: a forward run and a gradient step on
//! every runtime at hand, of EDSR-baseline x4 at 1x3x80x120 and, where `TEMPER_ASSETS` names a folder
//! with `models/`, of every model in it. Names pick those models whose file names contain one.
//!
//! Ratios within one run are what counts: absolute times are one machine's. The floor is the
//! arithmetic, which no implementation can do without: a step runs the network forwards and its
//! adjoint once, and the adjoint of a linear map costs what the map does.

#![allow(clippy::print_stdout)] // what it is for

use std::error::Error;
use std::time::{Duration, Instant};

use ndarray::{Array, ArrayD, ArrayViewD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::onnx::Model;
use temper::oracle::{Objective, gradient_model, image_input, objective_model};
use temper::rewrite::{flops, promote, specialise};
use temper::runtime::{self, Kind, Runtime, RuntimeError, Session};

mod subjects;

const ROUNDS: usize = 9;
/// Small networks are run more often, for this long: on a busy machine nine runs of 2 ms say nothing.
const LEAST: Duration = Duration::from_secs(1);

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    // Cargo adds flags of its own.
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    println!(
        "medians of {ROUNDS} or more interleaved runs, ms; floor: the arithmetic of a step over that of a forward run"
    );
    println!(
        "{:<40} {:<14} {:>5} {:>6} {:<6} {:>9} {:>9} {:>6}",
        "model", "input", "floor", "nodes", "on", "forward", "step", "ratio"
    );
    subjects::each(&names, &mut |name, model, shape| compare(name, model, shape))
}

fn compare(name: &str, model: &Model, shape: [usize; 4]) -> Result<(), Failure> {
    let forward = specialise(model, &[&shape])?;
    let step = gradient_model(model, &Objective::Distance, &shape)?.0;
    let floor = flops(&step)? as f64 / flops(&forward)? as f64;
    let (nodes, all) = (forward.graph.nodes.len() as f64, step.graph.nodes.len() as f64);
    let input = shape.map(|size| size.to_string()).join("x");
    let heading = format!("{name:<40.40} {input:<14} {floor:>5.2} {:>6.2}", (all - nodes) / nodes);
    for kind in Kind::all() {
        match sessions(kind, model, &forward, &step, &shape) {
            Ok((mut forward, mut step)) => {
                let (forward, step) = measure(&mut *forward, &mut *step, &shape)?;
                println!("{heading} {kind:<6} {forward:>9.1} {step:>9.1} {:>6.2}", step / forward);
            }
            Err(reason) => println!("{heading} {kind:<6} left out: {reason}"),
        }
    }
    Ok(())
}

type Sessions = (Box<dyn Session>, Box<dyn Session>);

fn sessions(
    kind: Kind,
    model: &Model,
    forward: &Model,
    step: &Model,
    shape: &[usize],
) -> Result<Sessions, Failure> {
    let runtime: Box<dyn Runtime> = runtime::open(kind)?;
    let objective = objective_model(model, &Objective::Distance, shape)?;
    let step = match runtime.autograd(&objective, &image_input(model)?) {
        Some(session) => session?,
        None => runtime.load(step)?,
    };
    // As an audit runs it: in float32 where the runtime has no fast half precision.
    let forward = if runtime.half_precision() { forward.clone() } else { promote(forward).0 };
    Ok::<_, RuntimeError>((runtime.load(&forward)?, step)).map_err(Into::into)
}

/// Median milliseconds of a forward run and of a gradient step, taken in turns.
fn measure(
    forward: &mut dyn Session,
    step: &mut dyn Session,
    shape: &[usize],
) -> Result<(f64, f64), Failure> {
    let image = random(shape, 1);
    let target = forward.run(&[image.view()])?.remove(0).mapv(|value| 0.9 * value);
    let (mut forwards, mut steps) = (Vec::new(), Vec::new());
    let start = Instant::now();
    for round in 0.. {
        if round > ROUNDS && start.elapsed() > LEAST {
            break;
        }
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

fn timed(session: &mut dyn Session, inputs: &[ArrayViewD<'_, f32>]) -> Result<f64, Failure> {
    let start = Instant::now();
    session.run(inputs)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
