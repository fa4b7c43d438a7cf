#!/usr/bin/env bash
# Tries audit.sbatch on a cluster of one node, started here for it: submits four shards, kills the worker of one in
# mid-shard, submits that one again, merges, and compares with one run of all images, bit for bit but for time.
#
#     examples/cluster/slurm/one_node.sh MODEL.onnx PHOTOS
#
# Needs root, Debian's slurm-wlm and munge, and TEMPER (default: temper). Leaves nothing running.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=$(realpath "$1")
photos=$(realpath "$2")
export TEMPER=${TEMPER:-$(command -v temper)}
work=$(mktemp -d)
chmod 755 "$work"
daemons=()
stop() {
    for daemon in "${daemons[@]}"; do kill "$daemon" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap stop EXIT

# A key, an authentication daemon, a controller and a worker of this script alone.
mkdir "$work/munge" "$work/state" "$work/spool"
dd if=/dev/urandom of="$work/munge/key" bs=1024 count=1 status=none
chmod 600 "$work/munge/key"
munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
    --log-file="$work/munge/log" --seed-file="$work/munge/seed" 2>"$work/munged.log" &
daemons+=($!)
cat >"$work/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MinJobAge=3600
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
export SLURM_CONF=$work/slurm.conf
slurmctld -D >"$work/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D >"$work/slurmd.log" 2>&1 &
daemons+=($!)
for _ in $(seq 60); do
    sinfo --noheader --format=%t 2>/dev/null | grep -q idle && break
    sleep 1
done
sinfo --noheader --format=%t | grep -q idle || { tail "$work"/*.log; exit 1; }

audit=("$model" --images "$photos" --crop 32 --attack ifgsm --budget 2,4,8 --iterations 20 --runtime ort,tract)
export SHARDS=4
submit() { sbatch --parsable --array="$1" --output="$work/%A-%a.log" "$here/audit.sbatch" "$work/out" "${audit[@]}"; }
# The state that tells when no task of a job waits or runs.
finish() { while squeue --noheader --job "$1" 2>/dev/null | grep -q .; do sleep 0.5; done; }

job=$(submit 1-4)
echo "submitted job $job"
for _ in $(seq 1200); do # killed once it has kept something, and before its report
    [ "$(find "$work/out/shard-2/cache" -type f 2>/dev/null | wc -l)" -ge 12 ] && break
    sleep 0.05
done
scancel --signal=KILL --full "${job}_2" || { tail -n 5 "$work/$job"-*.log; exit 1; }
finish "$job"
[ ! -e "$work/out/shard-2/report.json" ] || { echo "shard 2 was done before it could be killed"; exit 1; }
echo "killed in mid-shard: shard 2 has kept $(find "$work/out/shard-2/cache" -type f | wc -l) results and no report"
again=$(submit 2)
finish "$again"
grep -h '^Plan' "$work/$again-2.log"

"$TEMPER" report merge "$work"/out/shard-*/report.json --out "$work/all" >"$work/table"
"$TEMPER" audit "${audit[@]}" --craft-on all --out "$work/one" >/dev/null
"$here/../compare.py" "$work/one/report.json" "$work/all/report.json"
