#!/usr/bin/env bash
# Trains two small networks that differ in one number, lambda, attacks both, and compares.
# `make demo` runs it, after it has made sure of the program and the photographs.
set -euo pipefail
cd "$(dirname "$0")/.."
# libtorch's idle threads sleep rather than spin: they share the cores with ONNX Runtime and tract.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
temper=${CARGO_TARGET_DIR:-target}/debug/temper

for lambda in 0 1; do
    echo
    echo "Training a small EDSR with lambda $lambda"
    rm -rf "demo/lambda$lambda" # of an earlier demo
    "$temper" harden --no-audit --arch edsr --features 16 --blocks 4 --scale 4 \
        --steps 1500 --batch 8 --patch 24 --lr 0.002 --halve-every 500 --lambda "$lambda" --seed 0 \
        --data demo/photos/train --out "demo/lambda$lambda"
done

echo
echo "Attacking both on photographs that neither has seen"
"$temper" audit demo/lambda0/model.onnx demo/lambda1/model.onnx --truth demo/photos/test --crop 64 \
    --attack ifgsm --budget 1,4,8 --iterations 50 --seed 0 --runtime ort,tract --out demo/audit

cat <<END

Written:
  demo/lambda0/  demo/lambda1/   model.onnx, train.jsonl and a checkpoint of each network
  demo/audit/                    report.json: every image, attack and runtime
  demo/photos/                   the photographs, and where they come from in SOURCES.md

Next:
  $temper audit YOUR.onnx --images YOUR_PICTURES --attack ifgsm --budget 4 --runtime tract --out demo/yours
  $temper grad demo/lambda1/model.onnx --input 48x48 -o demo/gradient.onnx
  $temper harden --help
END
