#!/usr/bin/env bash
# The pictures of a report in docs/: an audit of the two small networks of models/ on the photographs of the demo, as
# a browser shows its page, in light and dark. Needs `make demo` (photographs, program) and Chromium.
set -euo pipefail
cd "$(dirname "$0")/.."
temper=${CARGO_TARGET_DIR:-target}/debug/temper
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$temper" audit models/edsr-small-lambda0.onnx models/edsr-small-lambda1.onnx --truth demo/photos/test --crop 48 \
    --attack ifgsm,square --budget 1,2,4,8 --iterations 20 --queries 100 --runtime ort,tract --clever=64 \
    --save-images "$work/pictures" --out "$work/audit"
shoot() { # NAME WIDTH HEIGHT FLAGS...
    local name=$1 size=$2,$3
    shift 3
    chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
        --window-size="$size" --screenshot="docs/$name.png" "$@" "file://$work/audit/report.html" 2>/dev/null
}
shoot report-light 1100 1400
shoot report-dark 1100 1400 --force-dark-mode --blink-settings=preferredColorScheme=0
shoot report-phone 420 1400
ls -l docs/report-*.png
