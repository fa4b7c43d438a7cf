#!/usr/bin/env bash
# The paper's ablation (Sec. 5.2 to 5.4 and 5.6) on small EDSRs, in minutes on a CPU:
#   tools/ablation.sh PHOTOGRAPHS TEST_HR_PHOTOGRAPHS OUT [STEPS]
# trains the four cases, three lambdas, both taps and adversarial training, and audits all at once.
set -euo pipefail
photographs=$1 test=$2 out=$3 steps=${4:-300}
root=$(cd "$(dirname "$0")/.." && pwd)
temper=${CARGO_TARGET_DIR:-$root/target}/debug/temper
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}

train() {
    local name=$1
    shift
    "$temper" harden --preset small --steps "$steps" --halve-every "$((steps / 3 + 1))" --data "$photographs" \
        --validate "$test" --validate-every "$steps" --no-audit --out "$out/$name" "$@"
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

echo "The last line of each run's validation: bits per element and spread of the features, clean PSNR, attacked PSNR"
for name in plain estimator noise both lambda0.1 lambda10 first adversarial adversarial-both; do
    echo "$name: $(tail -n 1 "$out/$name/validation.jsonl")"
done
"$temper" audit "$out"/*/model.onnx --truth "$test" --crop 32 --budget 1,4,8 --iterations 50 --out "$out/audit"
