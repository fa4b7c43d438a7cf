#!/usr/bin/env bash
# The paper's ablation (Sec. 5.2 to 5.4 and 5.6) on small EDSRs, in minutes on a CPU:
#   tools/ablation.sh PHOTOGRAPHS TEST_HR_PHOTOGRAPHS OUT [STEPS [SEED]]
# trains the four cases, three lambdas, both taps and adversarial training, prints what the last validation
# of each found, and audits all at once. What came of it once is in docs/ablation.md.
set -euo pipefail
photographs=$1 test=$2 out=$3 steps=${4:-300} seed=${5:-0}
root=$(cd "$(dirname "$0")/.." && pwd)
temper=${TEMPER:-${CARGO_TARGET_DIR:-$root/target}/debug/temper}
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
names=() models=()

train() {
    local name=$1
    shift
    "$temper" harden --preset small --steps "$steps" --halve-every "$((steps / 3 + 1))" --seed "$seed" \
        --data "$photographs" --validate "$test" --validate-every "$steps" --no-audit --out "$out/$name" "$@"
    names+=("$name") models+=("$out/$name/model.onnx")
}

train plain --estimator off --noise off
train estimator --noise off
train noise --estimator off
train both
train lambda0.1 --lambda 0.1
train lambda10 --lambda 10
train first --tap first
train adversarial --estimator off --noise off --adversarial 8
train adversarial-both --adversarial 8

python3 - "$out" "${names[@]}" <<'TABLE'
import json, pathlib, sys
out, *names = sys.argv[1:]
print("\n| run | bits per element | spread of Phi | clean PSNR | SSIM | SR PSNR at 4/255 |\n|---|---|---|---|---|---|")
for name in names:
    last = json.loads(pathlib.Path(out, name, "validation.jsonl").read_text().splitlines()[-1])
    print("| {0} | {entropy:.2f} | {spread:.1f} | {psnr:.2f} | {ssim:.4f} | {attacked:.2f} |".format(name, **last))
TABLE
"$temper" audit "${models[@]}" --truth "$test" --crop 32 --budget 1,4,8 --iterations 50 --out "$out/audit"
