//! Long runs: memory and file handles do not grow with the steps.

use crate::common::Workspace;
use crate::watched::{Outcome, watched};

/// More than this beside what a short run holds would be a leak of a few bytes in every step.
const SLACK: u64 = 24 << 20;
/// Likewise of handles. Those of a start are open for milliseconds, and a short run may be looked at beside them.
const HANDLES: usize = 16;

#[test]
fn memory_and_handles_are_flat_over_the_steps_of_an_attack() {
    let workspace = Workspace::new();
    for isolated in ["", " --isolate"] {
        let run = |steps: u32| -> Outcome {
            let command = format!(
                "audit model.onnx --images photos --crop 8 --budget 4 --iterations {steps} --runtime tract \
                 --no-cache --out out{isolated}"
            );
            let outcome = watched(&workspace, &command.split(' ').collect::<Vec<_>>());
            assert_eq!(outcome.code, Some(0), "{}", outcome.said);
            outcome
        };
        let (short, long) = (run(20), run(2_000));
        let [few, many] = [&short, &long].map(|outcome| outcome.peak_bytes);
        assert!(many < few + SLACK, "{few} bytes after 20 steps{isolated}, {many} after 2,000");
        let [few, many] = [&short, &long].map(|outcome| outcome.most_handles);
        assert!(many <= few + HANDLES, "{few} handles after 20 steps{isolated}, {many} after 2,000");
    }
}
