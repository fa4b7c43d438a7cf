#!/usr/bin/env bash
# Fine-tunes a small network against attacks, attacks it and the network that it was, and compares.
# `make demo` runs it, after it has made sure of the program and the photographs.
set -euo pipefail
cd "$(dirname "$0")/.."
# libtorch's idle threads sleep rather than spin: they share the cores with ONNX Runtime and tract.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
temper=${CARGO_TARGET_DIR:-target}/debug/temper

plain=models/edsr-small-lambda0.onnx

echo
echo "Fine-tuning a small EDSR against attacks"
rm -rf demo/hardened # of an earlier demo
"$temper" harden --no-audit --arch edsr --features 16 --blocks 4 --weights "$plain" \
    --preset robust --steps 300 --lr 5e-4 --seed 0 --data demo/photos/train --out demo/hardened

echo
echo "Attacking both on photographs that neither has seen"
"$temper" audit "$plain" demo/hardened/model.onnx --truth demo/photos/test --crop 64 \
    --attack ifgsm --budget 1,4,8 --iterations 50 --seed 0 --runtime ort,tract --out demo/audit

cat <<END

Written:
  demo/hardened/   model.onnx, its card, train.jsonl and a checkpoint
  demo/audit/      report.html and report.json: every image, attack and runtime
  demo/photos/     the photographs, and where they come from in SOURCES.md

Next:
  $temper audit YOUR.onnx --images YOUR_PICTURES --attack ifgsm --budget 4 --runtime tract --out demo/yours
  $temper grad demo/hardened/model.onnx --input 48x48 -o demo/gradient.onnx
  $temper harden --help
END
