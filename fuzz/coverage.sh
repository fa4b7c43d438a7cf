#!/usr/bin/env bash
# A wrapper of rustc: edges are counted and compared values seen in this project's own code; what it depends on is
# compiled as for the program itself, so that its build is shared.
set -euo pipefail
if [[ ${CARGO_PKG_NAME:-} =~ ^temper-(sr|fuzz)$ && " $* " != *" build_script_build "* ]]; then
    set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing
fi
exec "$@"
