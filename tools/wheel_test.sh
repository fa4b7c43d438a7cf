#!/usr/bin/env bash
# From nothing to an answer by the wheel in dist/: a fresh virtual environment, an audit of a file, ten steps of
# training, and the gradient from Python. `make wheel-test` runs it, after `make wheel`.
#
# libtorch is native/libtorch, put where the package `torch` has it, so that half a gigabyte need not come again;
# WITH_TORCH=1 installs the package itself.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the checkout may be found.
unset LIBTORCH ORT_DYLIB_PATH LD_LIBRARY_PATH VIRTUAL_ENV

started=$(date +%s)
"${PYTHON:-python3}" -m venv "$work/env"
"$work/env/bin/pip" install --quiet "$(ls "$root"/dist/temper_sr-*.whl)[ort${WITH_TORCH:+,torch}]"
cp "$root/models/edsr-small-lambda0.onnx" "$work/model.onnx"
cd "$work"
if [[ -z ${WITH_TORCH:-} ]]; then
    packages=$(env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    ln -s "$root/native/libtorch" "$packages/torch"
fi
# Two images of shades and stripes, as the simplest format there is.
env/bin/python - <<'END'
import pathlib
folder = pathlib.Path("images")
folder.mkdir()
for name, step in (("a", 3), ("b", 7)):
    pixels = bytes((40 + x * step + 2 * y + 60 * (x // 6 % 2) + 20 * c) % 256 for y in range(96) for x in range(96) for c in range(3))
    (folder / f"{name}.ppm").write_bytes(b"P6 96 96 255\n" + pixels)
END

say() { printf '\n== %s\n' "$*"; }
say "temper doctor"
env/bin/temper doctor
env/bin/temper doctor --json | grep -A4 '"name": "ort"' | grep -q '"place": ".*site-packages'
say "temper audit, from nothing to a page"
env/bin/temper audit model.onnx --images images --preset quick --out audit
test -s audit/report.html
say "$(($(date +%s) - started)) s from an empty environment to audit/report.html"
say "temper harden for ten steps"
env/bin/temper harden --arch edsr --preset small --data images --steps 10 --batch 2 --patch 16 --no-audit --out hardened
test -s hardened/model.onnx
say "temper_sr from Python"
env/bin/python - <<'END'
import numpy as np
import temper_sr

report = temper_sr.audit("model.onnx", np.full((48, 48, 3), 0.5, np.float32), "--budget", "4", "--iterations", "2")
assert report["rows"][0]["budget"] == 4.0, report["rows"][0]
step = temper_sr.gradient("model.onnx", (48, 48))
rng = np.random.default_rng(0)
x, target = rng.random((1, 3, 48, 48), np.float32), rng.random((1, 3, 192, 192), np.float32)
value, slope = step(x, target)
moved, _ = step(x + 1e-3 * np.sign(slope), target)
promised = 1e-3 * np.abs(slope).sum()
assert slope.shape == x.shape and 0.5 < (moved - value) / promised < 2, (value, moved, promised)
try:
    temper_sr.audit("missing.onnx", "images")
except temper_sr.TemperError as error:
    assert "missing.onnx" in str(error) and error.code == 2
else:
    raise AssertionError("a missing file was not refused")
print("audit and gradient agree with what they promise")
END
say "done in $(($(date +%s) - started)) s"
