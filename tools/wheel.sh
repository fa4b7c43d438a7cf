#!/usr/bin/env bash
# Builds the wheel of `temper-sr` into dist/: `temper` without libtorch, `temper-torch` with it (libtorch itself
# stays outside: that of the Python package `torch` is used), the Python module, and the licences of all crates that
# are compiled in. `make wheel` runs it, after it has made sure of libtorch.
#
# Needs maturin (`pip install maturin`). PROFILE=dev packs what `make demo` builds: larger and a little slower, for
# trying the packaging alone.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${PROFILE:-wheel}
folder=$profile
[[ $profile == dev ]] && folder=debug
cargo=${CARGO:-cargo}

"$cargo" build --profile "$profile" --features torch --bin temper-torch
# maturin takes what lies in data/scripts beside the program that it builds itself.
rm -rf target/wheel.data dist
mkdir -p target/wheel.data/scripts
strip --strip-all -o target/wheel.data/scripts/temper-torch "${CARGO_TARGET_DIR:-target}/$folder/temper-torch"
chmod 755 target/wheel.data/scripts/temper-torch

"${PYTHON:-python3}" tools/licences.py THIRD-PARTY.md
"${MATURIN:-maturin}" build --profile "$profile" --no-default-features --strip --out dist
ls -lh dist
