//! FDA's objective, eq. (13) of Choi et al., ACCV 2020 (after Ganeshan et al., ICCV 2019): with
//! C(w, h) the mean of Phi over channels, log ||{Phi < C}||_2 - log ||{Phi > C}||_2 of every image,
//! added up over the taps.
//!
//! Which entries lie below C is a choice and has no gradient; the entries themselves have. 1e-12 is
//! added to each norm, so that an empty set has a logarithm. Channels are axis 1 of a tap.

use super::{Fragment, norms, summed};
use crate::onnx::{DType, Problem};
use crate::rewrite::{Emitter, RewriteError, Value};
use crate::suggest::did_you_mean;

/// Keeps the logarithm of an empty set a number.
const EMPTY: f32 = 1e-12;

/// The feature maps of these taps.
pub fn maps(emitter: &Emitter, taps: &[String], batch: usize) -> Result<Vec<Value>, RewriteError> {
    let map = |tap: &String| {
        let phi = find(emitter, tap)?;
        check(&phi, tap, batch)?;
        Ok(phi)
    };
    taps.iter().map(map).collect()
}

pub fn append(emitter: &mut Emitter, taps: &[String], batch: usize) -> Result<Fragment, RewriteError> {
    let mut total: Option<Value> = None;
    for phi in maps(emitter, taps, batch)? {
        let part = disruption(emitter, &phi)?;
        let part = emitter.reshape("objective/each", &part, &[batch])?;
        total = Some(match total {
            None => part,
            Some(sum) => emitter.emit("Add", "objective/taps", &[&sum, &part], [])?,
        });
    }
    let missing = || Problem::new("the objective `features`", "has no tap; name a value of the graph");
    summed(emitter, total.ok_or_else(missing)?)
}

/// The value of this name, or what the node of this name writes.
fn find(emitter: &Emitter, tap: &str) -> Result<Value, RewriteError> {
    let graph = emitter.nodes();
    let node = graph.iter().find(|node| node.name == *tap && !node.outputs.is_empty());
    let written = |name: &str| graph.iter().any(|node| node.outputs.iter().any(|output| output == name));
    match node {
        _ if written(tap) => emitter.value(tap),
        Some(node) => emitter.value(&node.outputs[0]),
        None => {
            let names = graph.iter().flat_map(|node| &node.outputs).filter(|name| !name.is_empty());
            let near = did_you_mean(tap, names.map(String::as_str));
            let what = format!("is no value of the graph{near}");
            Err(Problem::new(format!("tap `{tap}`"), what).into())
        }
    }
}

fn check(phi: &Value, tap: &str, batch: usize) -> Result<(), Problem> {
    if phi.ty.dtype == DType::F32 && phi.ty.rank() >= 3 && phi.shape()[0] == batch {
        return Ok(());
    }
    let what = format!("is {}, no feature map N x C x H x W of {batch} image(s); name another", phi.ty);
    Err(Problem::new(format!("tap `{tap}`"), what))
}

/// Eq. (13) on one tap.
fn disruption(emitter: &mut Emitter, phi: &Value) -> Result<Value, RewriteError> {
    let mean = emitter.reduce("ReduceMean", "objective/mean", phi, &[1], true)?;
    let below = log_norm(emitter, "Less", phi, &mean)?;
    let above = log_norm(emitter, "Greater", phi, &mean)?;
    emitter.emit("Sub", "objective/disruption", &[&below, &above], [])
}

/// The logarithm of the norm of those entries of Phi that compare with C as `than` says.
fn log_norm(emitter: &mut Emitter, than: &str, phi: &Value, mean: &Value) -> Result<Value, RewriteError> {
    let (zero, empty) = (emitter.scalar(0.0), emitter.scalar(EMPTY));
    let chosen = emitter.emit(than, "objective/chosen", &[phi, mean], [])?;
    let kept = emitter.emit("Where", "objective/kept", &[&chosen, phi, &zero], [])?;
    let norm = norms(emitter, &kept)?;
    let norm = emitter.emit("Add", "objective/norm", &[&norm, &empty], [])?;
    emitter.emit("Log", "objective/log", &[&norm], [])
}
