//! How much memory the runs of a model need, and how much there is.
//!
//! An image too large for the machine would end an audit, or the machine, in the middle of the work.
//! What is alive at once is counted; runtimes need more, for layouts and buffers of their own, and how
//! much more was measured (`cargo bench --bench memory`).

use std::collections::HashMap;

use crate::onnx::{DType, Model, Node};
use crate::rewrite::{RewriteError, TensorType, Types, infer};

/// Peaks of gradient steps that were measured, over what is counted, were at most 3 where there was more
/// than a few megabytes to hold.
const OVER_COUNTED: u64 = 3;
/// What a runtime needs for itself.
const PER_RUNTIME: u64 = 64 << 20;

/// A bound on the bytes that attacks take: a forward run and a gradient step, both of whose sessions keep
/// what they took, on each of `runtimes` runtimes.
pub fn bound(forward: &Model, step: &Model, runtimes: usize) -> Result<u64, RewriteError> {
    let counted = least_bytes(forward)?.saturating_add(least_bytes(step)?);
    let each = counted.saturating_mul(OVER_COUNTED).saturating_add(PER_RUNTIME);
    Ok(each.saturating_mul(runtimes.max(1) as u64))
}

/// The bytes that the values and weights of one run hold at its fullest, where each value goes once
/// its last reader has run, in the order of the nodes of a model of fixed size.
pub fn least_bytes(model: &Model) -> Result<u64, RewriteError> {
    let types = infer(model)?;
    let graph = &model.graph;
    let mut last_reader: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        last_reader.extend(node.inputs.iter().map(|name| (name.as_str(), index)));
    }
    last_reader.extend(graph.outputs.iter().map(|output| (output.name.as_str(), graph.nodes.len())));
    let held = graph.initializers.values().map(TensorType::of).map(|ty| bytes(&ty));
    let fed = graph.required_inputs().map(|input| bytes_of(&types, &input.name));
    let mut alive: u64 = held.chain(fed).sum();
    let mut most = alive;
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut read: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
        read.sort_unstable();
        read.dedup();
        let done = |name: &&str| last_reader[name] == index && !graph.initializers.contains_key(*name);
        let freed: u64 = read.into_iter().filter(done).map(|name| bytes_of(&types, name)).sum();
        let written: u64 = node.outputs.iter().map(|name| bytes_of(&types, name)).sum();
        // Many operators write in place, so what is read last here does not count beside the result.
        alive = alive.saturating_sub(freed).saturating_add(written);
        most = most.max(alive.saturating_add(columns(node, &types)));
    }
    Ok(most)
}

/// The matrix of columns through which a ConvTranspose is computed: for every value that it reads of a
/// channel, the whole kernel of every output channel.
fn columns(node: &Node, types: &Types) -> u64 {
    let shape =
        |index: usize| node.inputs.get(index).and_then(|name| types.get(name)).map(|ty| &ty.shape[..]);
    match (node.op.as_str(), shape(0), shape(1)) {
        ("ConvTranspose", Some([_, _, positions @ ..]), Some([_, kernel @ ..])) => {
            positions.iter().chain(kernel).fold(4, |bytes, &size| bytes.saturating_mul(size as u64))
        }
        _ => 0,
    }
}

fn bytes_of(types: &Types, name: &str) -> u64 {
    types.get(name).map_or(0, bytes)
}

fn bytes(ty: &TensorType) -> u64 {
    let bits = DType::bits(ty.dtype).unwrap_or(8) as u64;
    (ty.len() as u64).saturating_mul(bits) / 8
}

/// The bytes that the machine can still give, swap included; `None` where it does not say.
pub fn free_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = entry(&info, "MemAvailable:")? + entry(&info, "SwapFree:").unwrap_or(0);
    // A container may be allowed less than the machine has.
    let allowed = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let allowed = allowed.and_then(|text| text.trim().parse().ok());
    Some(allowed.map_or(free, |allowed: u64| free.min(allowed)))
}

/// The most bytes that this process has held; `None` where the system does not say.
pub fn peak_bytes() -> Option<u64> {
    entry(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The bytes that a line of `/proc/meminfo` states, in kB.
fn entry(info: &str, name: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{Dim, GraphBuilder, Tensor, ValueInfo};

    #[test]
    fn what_is_alive_at_once_is_counted() {
        let mut graph = GraphBuilder::new("g");
        let x = graph.input(ValueInfo::tensor("x", DType::F32, [Dim::Known(100)]));
        let weight = graph.initializer("w", Tensor::f32(&[1], vec![2.0]).unwrap());
        // x, w, and a while x is still needed: 100 + 1 + 100 values; then one goes for every one that comes.
        let a = graph.node("Mul", "a", &[&x, &weight], []);
        let b = graph.node("Relu", "b", &[&a], []);
        let c = graph.node("Add", "c", &[&b, &x], []);
        graph.output(ValueInfo::tensor(c, DType::F32, [Dim::Known(100)]));
        let opsets = [(String::new(), 17)].into();
        let model = Model { ir_version: 8, opsets, graph: graph.finish(), ..Default::default() };
        assert_eq!(least_bytes(&model).unwrap(), 4 * 201);
    }

    #[test]
    fn the_lines_of_meminfo_are_read() {
        let info = "MemTotal:       24000 kB\nMemAvailable:   1234 kB\n";
        assert_eq!(entry(info, "MemAvailable:"), Some(1234 * 1024));
        assert_eq!(entry(info, "SwapFree:"), None);
    }
}
