#!/usr/bin/env bash
# Tries audit.py on this machine: four shards, the worker process of one killed in mid-shard, so that Ray tries that
# shard again; the joined report is compared with one run of all images, bit for bit but for time.
#
#     examples/cluster/ray/one_node.sh MODEL.onnx PHOTOS
#
# Needs python3 with the package ray (`pip install ray`), and TEMPER (default: temper).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=$(realpath "$1")
photos=$(realpath "$2")
export TEMPER=${TEMPER:-$(command -v temper)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
audit=("$model" --images "$photos" --crop 32 --attack ifgsm --budget 2,4,8 --iterations 20 --runtime ort,tract)

python3 "$here/audit.py" --shards 4 --out "$work/out" "${audit[@]}" >"$work/table" &
driver=$!
for _ in $(seq 2400); do
    [ "$(find "$work/out/shard-2/cache" -type f 2>/dev/null | wc -l)" -ge 12 ] && break
    sleep 0.05
done
# The audit of that shard, and the worker that waits for it.
audit_process=$(pgrep -f -- "--shard 2/4 --out $work/out/shard-2" | head -1)
worker=$(ps -o ppid= -p "$audit_process" | tr -d ' ')
kill -KILL "$worker" "$audit_process"
[ ! -e "$work/out/shard-2/report.json" ] || { echo "shard 2 was done before it could be killed"; exit 1; }
echo "killed in mid-shard: worker $worker; shard 2 has kept $(find "$work/out/shard-2/cache" -type f | wc -l) results and no report"
wait "$driver"
"$TEMPER" audit "${audit[@]}" --out "$work/one" >/dev/null
"$here/../compare.py" "$work/one/report.json" "$work/out/all/report.json"
