#!/usr/bin/env bash
# Runs the fuzz targets for so many seconds each: fuzz/run.sh [SECONDS]; with WHOLE=1 that of reports, too. Needs a nightly compiler; no other tool.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
# What `cargo fuzz` would set: edges counted and compared values seen. AddressSanitizer is left out, as the
# program itself holds no unsafe code and the libraries below it are built with its coverage anyway.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Ccodegen-units=4"
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
# The report is a part of the whole program, tract included, which takes long to build.
targets=(codec gradient image)
features=()
if [ "${WHOLE:-}" = 1 ]; then targets+=(report) features=(--features whole); fi
cargo +nightly build --release --target "$host" "${features[@]}"
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    "target/$host/release/$target" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 -max_len=65536 \
        -artifact_prefix="artifacts-$target-" -print_final_stats=1 "corpus/$target" "seeds/$target"
done
