#!/usr/bin/env python3
"""An audit as tasks of Ray: a task a shard, tried again where its worker dies, and joined at the end.

    audit.py --shards 8 --out OUT model.onnx --images photos/ --attack apgd --budget 4 --craft-on ort

Everything after --out goes to `temper audit` as it is. Shard I is written to OUT/shard-I, which has to lie where all
workers see it, as do the files; a shard that is tried again goes on from what OUT/shard-I/cache keeps. TEMPER names
the program where it is not in PATH. RAY_ADDRESS names the cluster; without it one is started on this machine.
"""

import argparse
import os
import pathlib
import subprocess
import sys

import ray

TEMPER = os.environ.get("TEMPER", "temper")


@ray.remote(max_retries=3)
def shard(arguments, number, shards, out):
    folder = pathlib.Path(out) / f"shard-{number}"
    process = subprocess.Popen(
        [TEMPER, "audit", *arguments, "--shard", f"{number}/{shards}", "--out", folder],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )
    try:
        said = process.communicate()[1]
    finally:
        process.kill()
    if process.returncode:
        # Bad input stays bad: an exception is not tried again, a worker that died is.
        raise RuntimeError(f"shard {number}: {said}")
    return str(folder / "report.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--out", required=True)
    ours, arguments = parser.parse_known_args()
    out = str(pathlib.Path(ours.out).absolute())
    ray.init(log_to_driver=False, include_dashboard=False)
    numbers = range(1, ours.shards + 1)
    reports = ray.get([shard.remote(arguments, number, ours.shards, out) for number in numbers])
    sys.exit(subprocess.run([TEMPER, "report", "merge", *reports, "--out", f"{out}/all"], check=False).returncode)


if __name__ == "__main__":
    main()
