#!/usr/bin/env python3
"""Measures what `temper harden` and `temper audit` hold over many steps of the smallest network: memory, file handles.

    python3 tests/scripts/growth.py audit|harden [--temper target/debug/temper] [--steps 10000] [-- FLAG ...]

Flags after `--` join the command, such as `--isolate`; a child's memory and handles are counted with the program's.
The run is looked at every 50 ms. Printed: resident memory and open files at the end of each tenth of its time, and the
growth from the end of the second tenth, when all is loaded, to the end of the ninth, and to the most in between: in the
last, what was trained is verified on other runtimes. A measurement, and no test: tests/hostile/growth.rs holds a shorter one.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import time

from kill_and_resume import photographs

SMALL = "--device cpu --data photos --no-audit --features 4 --blocks 1 --scale 2 --batch 1 --patch 8 --out"
HARDEN = f"harden {SMALL} out --save-every 500 --steps"
MODEL = f"harden {SMALL} made --steps 2"
AUDIT = "audit made/model.onnx --images photos --crop 8 --runtime tract --attack ifgsm --budget 4 --no-cache --out out --iterations"
TENTHS = 10


def main():
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("verb", choices=["audit", "harden"])
    options.add_argument("--temper", type=pathlib.Path, default=pathlib.Path("target/debug/temper"))
    options.add_argument("--maker", type=pathlib.Path, help="a program that can train, where --temper cannot")
    options.add_argument("--steps", type=int, default=10_000)
    options = options.parse_args(words[:at])
    with tempfile.TemporaryDirectory() as folder:
        photographs(pathlib.Path(folder))
        if options.verb == "audit":
            subprocess.run([(options.maker or options.temper).resolve(), *MODEL.split()], cwd=folder, check=True, capture_output=True)
        command = (AUDIT if options.verb == "audit" else HARDEN).split()
        seen = watch([options.temper.resolve(), *command, str(options.steps), *words[at + 1 :]], folder)
    tenths = [seen[len(seen) * part // TENTHS - 1] for part in range(1, TENTHS + 1)]
    for part, (memory, handles) in enumerate(tenths, 1):
        print(f"{part * 10:>4}% {memory / 2**20:>8.1f} MiB {handles:>4} handles")
    between = seen[len(seen) * 2 // TENTHS : len(seen) * (TENTHS - 1) // TENTHS]
    most = tuple(map(max, zip(*between)))
    print(
        f"{options.verb}: {options.steps} steps, {len(seen)} looks; from 20% to 90% {growth(tenths[1], tenths[8])}; "
        f"to the most in between {growth(tenths[1], most)}"
    )


def growth(before, after):
    return f"{(after[0] - before[0]) / 2**20:+.1f} MiB, {after[1] - before[1]:+d} handles"


def watch(command, folder):
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = []
    while process.poll() is None:
        looks = [look for look in map(held, family(process.pid)) if look]
        if looks:
            seen.append(tuple(map(sum, zip(*looks))))
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"the command ended with {process.returncode}")
    if len(seen) < 10 * TENTHS:
        sys.exit(f"{len(seen)} looks are too few; take more --steps")
    return seen


def family(pid):
    """A process and its children, by their ids."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *map(int, children)]


def held(pid):
    """Bytes of resident memory and the number of open files, or None of a process that has ended."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * 4096, len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None


if __name__ == "__main__":
    main()
