//! How much memory the runs of a model need, and how much there is.
//!
//! An image too large for the machine would end an audit, or the machine, in the middle of the work.
//! What is alive at once is counted; runtimes need more, for layouts and buffers of their own, and how
//! much more was measured (`cargo bench --bench memory`).

use crate::onnx::Model;
use crate::rewrite::RewriteError;
pub use crate::rewrite::least_bytes;

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

/// A bound on the bytes that a forward run takes.
pub fn bound_forward(forward: &Model) -> Result<u64, RewriteError> {
    Ok(least_bytes(forward)?.saturating_mul(OVER_COUNTED).saturating_add(PER_RUNTIME))
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

    #[test]
    fn the_lines_of_meminfo_are_read() {
        let info = "MemTotal:       24000 kB\nMemAvailable:   1234 kB\n";
        assert_eq!(entry(info, "MemAvailable:"), Some(1234 * 1024));
        assert_eq!(entry(info, "SwapFree:"), None);
    }
}
