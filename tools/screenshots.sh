#!/usr/bin/env bash
# The pictures of a report in docs/: an audit of the two small networks of models/ on the photographs of the demo, as
# a browser shows its page, in light, dark and on a phone. Needs `make demo` (photographs, program), and Debian's
# chromium and webp.
set -euo pipefail
cd "$(dirname "$0")/.."
temper=${TEMPER:-${CARGO_TARGET_DIR:-target}/debug/temper}
photos=${PHOTOS:-demo/photos/test}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$temper" audit models/edsr-small-lambda0.onnx models/edsr-small-lambda1.onnx --truth "$photos" --crop 40 \
    --attack ifgsm,square --budget 1,4,8 --iterations 10 --queries 40 --runtime ort,tract --clever=8 \
    --out "$work/audit"
shoot() { # NAME WIDTH HEIGHT FLAGS...
    local name=$1 size=$2,$3
    shift 3
    chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$work/profile-$name" \
        --window-size="$size" --screenshot="$work/$name.png" "$@" "file://$work/audit/report.html" 2>/dev/null
    cwebp -quiet -q 75 "$work/$name.png" -o "docs/$name.webp"
}
shoot report-light 1100 2600
shoot report-dark 1100 2600 --blink-settings=preferredColorScheme=0
shoot report-phone 500 1400
ls -l docs/report-*.webp
