#!/usr/bin/env bash
# Runs fuzz targets for so many seconds each: fuzz/run.sh [SECONDS]; no tool beside a compiler is needed.
#
# Those of models and images (nightly) are compiled from the program's own sources, with coverage of what they depend on.
# WHOLE=1 runs those of settings, cache entries, checkpoints and reports in their place: they need the whole program, of
# which the crates that it depends on, tract among them, come from its own build in ../target, without coverage.
# TARGETS="a b" picks some. AddressSanitizer is left out: the program itself holds next to no unsafe code.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
if [ "${WHOLE:-}" = 1 ]; then
    targets=(config cache checkpoint report)
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../target} RUSTC_WRAPPER=$PWD/coverage.sh CARGO_INCREMENTAL=0
    cargo build --features whole "${targets[@]/#/--bin=}"
    programs=$CARGO_TARGET_DIR/debug
else
    targets=(codec gradient image)
    # What `cargo fuzz` would set: edges counted and compared values seen.
    export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Ccodegen-units=4"
    host=$(rustc +nightly -vV | sed -n 's/^host: //p')
    cargo +nightly build --release --target "$host" "${targets[@]/#/--bin=}"
    programs=${CARGO_TARGET_DIR:-target}/$host/release
fi
for target in ${TARGETS:-${targets[@]}}; do
    mkdir -p "corpus/$target"
    "$programs/$target" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=10 -max_len=65536 \
        -artifact_prefix="artifacts-$target-" -print_final_stats=1 "corpus/$target" "seeds/$target"
done
