#!/usr/bin/env bash
# Builds the wheel of `temper-sr` into dist/: `temper` without libtorch, `temper-torch` with it (libtorch itself
# stays outside: the wheel uses that of the Python package `torch`), the Python module, and the licences of all
# crates that are compiled in. `make wheel` runs it, after it has made sure of libtorch.
#
# Needs maturin (pip install maturin) and cargo-about (cargo install cargo-about). PROFILE=dev makes a quick one
# of the build that `make demo` uses, for trying the packaging alone.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
target=${CARGO_TARGET_DIR:-target}
folder=$profile; [[ $profile == dev ]] && folder=debug

echo "temper-torch ($profile)"
${CARGO:-cargo} build --profile "$profile" --features torch --bin temper-torch
rm -rf target/wheel.data
mkdir -p target/wheel.data/scripts
# The loader finds libtorch by LD_LIBRARY_PATH, which `temper` sets.
strip --strip-all -o target/wheel.data/scripts/temper-torch "$target/$folder/temper-torch"
chmod 755 target/wheel.data/scripts/temper-torch

python3 tools/licences.py THIRD-PARTY.md

echo "temper ($profile) and the wheel"
maturin build --profile "$profile" --no-default-features --out dist "$@"
ls -l dist
